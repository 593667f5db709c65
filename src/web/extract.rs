//! Extractors whose refusals are ours: an address that names nothing is not found, a body that cannot be read says
//! where.

use std::borrow::Cow;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{error::WebError, nul};

/// The parameters of an address; one that cannot be read names nothing.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(_) => Err(WebError::not_found("page")),
        }
    }
}

/// A JSON body, without U+0000; the refusal says where it cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        let (mut parts, body) = request.into_parts();
        let sent = Request::from_parts(parts.clone(), body);
        let bytes = match Bytes::from_request(sent, state).await {
            Ok(bytes) => bytes,
            Err(rejection) if rejection.status() == 413 => return Err(WebError::too_large()),
            Err(rejection) => return Err(WebError::unreadable(rejection.body_text())),
        };
        let bytes = match nul::json(&bytes) {
            Cow::Borrowed(_) => bytes,
            Cow::Owned(clean) => {
                parts.headers.remove(header::CONTENT_LENGTH);
                clean.into()
            }
        };
        let request = Request::from_parts(parts, bytes.into());
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) if rejection.status() == 413 => Err(WebError::too_large()),
            Err(rejection) => Err(WebError::unreadable(rejection.body_text())),
        }
    }
}
