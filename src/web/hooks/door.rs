//! Who is let in. A sender may put its token into a bearer or basic header, `X-Muster-Token`, the path, or `?token=`; the
//! first of them that is there counts, and none is ever logged. A source may need a client certificate as well.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, FromRequestParts, rejection::ExtensionRejection},
    http::{HeaderMap, header, request::Parts},
};
use data_encoding::BASE64;
use serde::Deserialize;

use crate::{store::sources::Source, web::tls::Peer};

/// The header for senders that can set one, but not `Authorization`.
pub const TOKEN_HEADER: &str = "x-muster-token";

/// What the path names.
#[derive(Deserialize)]
pub struct Door {
    /// The source.
    pub source: String,
    /// The token, as the last part of the address or before what Prometheus adds.
    #[serde(default)]
    pub token: Option<String>,
}

/// What an address may carry besides its path.
#[derive(Deserialize)]
pub struct Address {
    /// The token.
    token: Option<String>,
}

/// The other end of a connection.
pub struct Caller {
    /// Where it comes from.
    pub remote: SocketAddr,
    /// The certificate it has shown to Muster itself, verified.
    pub peer: Option<Peer>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let ConnectInfo(remote) = ConnectInfo::from_request_parts(parts, state).await?;
        let peer = parts.extensions.get().cloned();
        Ok(Self { remote, peer })
    }
}

/// What a sender shows to be let in.
pub struct Proof {
    /// What it sends as its token.
    pub token: Option<Vec<u8>>,
    /// Its certificate.
    pub peer: Option<Peer>,
}

impl Proof {
    /// What is wrong with its certificate, and the way out; `None` when it is the one the source needs, or none is needed.
    pub fn misses(&self, source: &Source) -> Option<Missing> {
        let name = source.settings.client_name.as_ref()?;
        let why = match &self.peer {
            Some(peer) if peer.is_named(name) => return None,
            Some(_) => format!("the one shown is not for {name}"),
            None => "none was shown".to_owned(),
        };
        let why = format!("no or wrong client certificate: {why}");
        let way_out = format!(
            "{why}; deliver over https to Muster itself, with the token and a certificate that has {name} among its \
             alternative names"
        );
        Some(Missing { why, way_out })
    }
}

/// A certificate that a source needs and did not get.
pub struct Missing {
    /// What is wrong, in a few words.
    pub why: String,
    /// The same with what the sender must do.
    pub way_out: String,
}

/// The token of a request.
pub fn token(headers: &HeaderMap, door: &Door, address: Address) -> Option<Vec<u8>> {
    authorization(headers)
        .or_else(|| Some(headers.get(TOKEN_HEADER)?.as_bytes().trim_ascii().to_vec()))
        .or_else(|| door.token.clone().map(String::into_bytes))
        .or_else(|| address.token.map(String::into_bytes))
}

/// The token of a bearer or basic header. The user of basic auth may be anything.
fn authorization(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let at = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = BASE64.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}
