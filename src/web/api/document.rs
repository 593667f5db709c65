//! The document that describes the JSON interface.

use axum::{Json, extract::State};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::shapes::ErrorAnswer;
use crate::{
    domain::permission::Permission,
    web::{
        caller::{Anyone, Need},
        routes::complete,
        state::AppState,
    },
};

/// Where the routes stand.
pub const PREFIX: &str = "/api/v1";

/// What is routed beside the rest of the interface, with limits of its own.
const OWN_LIMITS: &[(&str, Permission)] = &[
    ("/runbooks", Permission::Publish),
    ("/runbooks/{slug}/plan", Permission::Run),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muster",
        description = "Incidents, runbooks, runs and approvals as JSON. Errors are `{error: {code, message, reference}}`.",
        license(name = "Apache-2.0")
    ),
    paths(alertmanager, super::plans::run, super::publishing::publish),
    components(schemas(ErrorAnswer)),
    modifiers(&Schemes),
    security(("session" = []), ("api_token" = []))
)]
struct Base;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("muster"))),
        );
        components.add_security_scheme(
            "source_header",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Muster-Token"))),
        );
        for (name, scheme) in [
            ("api_token", HttpAuthScheme::Bearer),
            ("source_bearer", HttpAuthScheme::Bearer),
            ("source_basic", HttpAuthScheme::Basic),
        ] {
            let scheme = HttpBuilder::new().scheme(scheme).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// Alerts in Alertmanager's webhook format (version 4). Answered 2xx only once everything that follows from them is
/// committed; the same body may be sent any number of times. The token may also be the last part of the path.
#[utoipa::path(
    post,
    path = "/sources/{source}/alertmanager",
    tag = "intake",
    params(("source" = String, Path, description = "Name of a configured source")),
    request_body(content = serde_json::Value, description = "Alertmanager's webhook body", content_type = "application/json"),
    responses(
        (status = 200, description = "Committed"),
        (status = 400, description = "The body cannot be read; kept with the place of the fault", body = ErrorAnswer),
        (status = 401, description = "The token does not open this source, or its client certificate was not shown", body = ErrorAnswer),
        (status = 415, description = "The body is packed with anything but gzip", body = ErrorAnswer),
        (status = 413, description = "The body is too large", body = ErrorAnswer),
        (status = 503, description = "Nothing was committed; send it again", body = ErrorAnswer),
    ),
    security(("source_bearer" = []), ("source_basic" = []), ("source_header" = []))
)]
#[expect(
    dead_code,
    reason = "only its description is used; the handler is the intake's"
)]
fn alertmanager() {}

/// The document before the routes are added.
pub fn base() -> Document {
    Base::openapi()
}

/// The whole document, with the addresses as they are asked for.
pub fn whole() -> Document {
    let (_, mut document, _) = super::parts().into_parts();
    for (path, need) in OWN_LIMITS {
        let item = document.paths.paths.get_mut(*path);
        if let Some(operation) = item.and_then(|item| item.post.as_mut()) {
            complete(operation, Need::Permission(*need));
        }
    }
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths
        .into_iter()
        .map(|(path, item)| (format!("{PREFIX}{path}"), item))
        .collect();
    document
}

/// This document, as JSON. It is no secret: it says what there is, not what is in it.
#[utoipa::path(get, path = "/openapi.json", tag = "document", security(()),
    responses((status = 200, description = "The document", body = serde_json::Value)))]
pub async fn get(_: State<AppState>, _: Anyone) -> Json<Document> {
    Json(whole())
}
