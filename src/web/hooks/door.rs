//! Where a sender may put its token: a bearer or basic header, `X-Muster-Token`, the path, or `?token=`. The first of them
//! that is there counts. None is ever logged.

use axum::http::{HeaderMap, header};
use data_encoding::BASE64;
use serde::Deserialize;

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
