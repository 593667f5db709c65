//! Reading a request: its body up to a length and a time, unpacked when it is gzip, and the headers worth keeping.

use std::io::Read;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::HookLimits;
use crate::store::deliveries::Headers;

/// Headers that are kept: what a body is and which message it was. None may hold a secret.
const KEPT: [&str; 9] = [
    "content-type",
    "content-encoding",
    "date",
    "traceparent",
    "x-request-id",
    "x-forwarded-for",
    "x-amz-sns-message-id",
    "x-amz-sns-message-type",
    "x-amz-sns-topic-arn",
];
/// Characters kept of one.
const VALUE_CHARS_MAX: usize = 300;

/// Why a body was not read.
pub enum Unread {
    /// It did not arrive in time.
    Late,
    /// It is longer than it may be; the text says what.
    TooLong(String),
    /// It is packed in a way that is not known.
    Unknown(String),
    /// It broke off, or is not what it says.
    Broken(String),
}

/// The headers of a request that are kept with its body.
pub fn kept(headers: &HeaderMap) -> Headers {
    KEPT.iter()
        .filter_map(|name| {
            let value = String::from_utf8_lossy(headers.get(*name)?.as_bytes()).into_owned();
            let value = value.chars().filter(|c| *c != '\0').take(VALUE_CHARS_MAX);
            Some(((*name).to_owned(), value.collect()))
        })
        .collect()
}

/// Reads a body; at most `limits.body_bytes_max` bytes of it, packed and unpacked.
pub async fn read(body: Body, headers: &HeaderMap, limits: &HookLimits) -> Result<Vec<u8>, Unread> {
    let is_packed = is_gzip(headers)?;
    let max = limits.body_bytes_max;
    let reading = Limited::new(body, max).collect();
    let collected = tokio::time::timeout(limits.body_timeout, reading)
        .await
        .map_err(|_| Unread::Late)?;
    let body = match collected {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Unread::TooLong(format!("the body is longer than {max} bytes")));
        }
        Err(error) => return Err(Unread::Broken(error.to_string())),
    };
    match is_packed {
        false => Ok(body),
        true => tokio::task::spawn_blocking(move || unpack(&body, max))
            .await
            .unwrap_or_else(|error| Err(Unread::Broken(error.to_string()))),
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Unread> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    let encoding = String::from_utf8_lossy(encoding.as_bytes()).trim().to_lowercase();
    match encoding.as_str() {
        "gzip" | "x-gzip" => Ok(true),
        "" | "identity" => Ok(false),
        _ => Err(Unread::Unknown(
            "a body may be packed with gzip, or not at all".to_owned(),
        )),
    }
}

/// Unpacks gzip, and stops at one byte too many: a small body may unpack to any length.
fn unpack(packed: &[u8], max: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    let mut reader = MultiGzDecoder::new(packed).take(max as u64 + 1);
    reader
        .read_to_end(&mut body)
        .map_err(|error| Unread::Broken(format!("the body is not gzip: {error}")))?;
    match body.len() > max {
        true => Err(Unread::TooLong(format!(
            "the body unpacks to more than {max} bytes"
        ))),
        false => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_and_a_bomb_is_not() {
        assert_eq!(unpack(&packed(b"{}"), 2).ok(), Some(b"{}".to_vec()));
        let bomb = packed(&vec![b' '; 1 << 20]);
        assert!(bomb.len() < 2000);
        assert!(matches!(unpack(&bomb, 4096), Err(Unread::TooLong(_))));
        assert!(matches!(unpack(b"{}", 4096), Err(Unread::Broken(_))));
        let cut = &packed(b"a longer text")[..20];
        assert!(matches!(unpack(cut, 4096), Err(Unread::Broken(_))));
    }

    #[test]
    fn headers_that_may_hold_a_secret_are_not_kept() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "x-muster-token",
            "cookie",
            "content-type",
            "x-muster-signature",
        ] {
            headers.insert(name, "x".parse().unwrap());
        }
        assert_eq!(kept(&headers).into_keys().collect::<Vec<_>>(), ["content-type"]);
    }
}
