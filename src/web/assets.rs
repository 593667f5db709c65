//! The style sheet, the script and the icons, inside the program. Their addresses carry a digest of their content, so a
//! browser may keep them for ever and never keeps an old one.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

use super::{caller::Anyone, error::WebError, extract::Path, state::AppState};
use crate::domain::digest::Digest;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The address with the digest of each file, by its plain name. In a debug build files are read from the disk, so
/// there the digest is of the content at the first use.
static ADDRESSES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    Files::iter()
        .filter_map(|name| {
            let file = Files::get(&name)?;
            let digest = Digest::of_bytes(&file.data).short();
            let (stem, ending) = name.rsplit_once('.')?;
            Some((name.to_string(), format!("/static/{stem}.{digest}.{ending}")))
        })
        .collect()
});

/// The address of a file of ours.
pub fn address(name: &str) -> &'static str {
    ADDRESSES.get(name).map_or("/static/missing", String::as_str)
}

/// `GET /static/{file}`
pub async fn get(
    State(_): State<AppState>,
    _: Anyone,
    Path(asked): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let name = plain_name(&asked);
    let file = Files::get(&name).ok_or_else(|| WebError::not_found("file"))?;
    let tag = format!("\"{}\"", Digest::of_bytes(&file.data).short());
    let keep = if address(&name).ends_with(&format!("/{asked}")) && !cfg!(debug_assertions) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| {
            tags.split(',')
                .any(|given| given.trim().trim_start_matches("W/") == tag)
        });
    let kind = file.metadata.mimetype().to_owned();
    let head = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, keep.to_owned()),
        (header::CONTENT_TYPE, kind),
    ];
    Ok(match known {
        true => (StatusCode::NOT_MODIFIED, head).into_response(),
        false => (head, file.data.into_owned()).into_response(),
    })
}

/// `muster.css` of `muster.0123456789.css`; a plain name is itself.
fn plain_name(asked: &str) -> String {
    let parts: Vec<&str> = asked.split('.').collect();
    match parts.as_slice() {
        [stem, digest, ending] if digest.len() == 10 => format!("{stem}.{ending}"),
        _ => asked.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_a_digest_and_lead_back_to_their_file() {
        for name in ["muster.css", "muster.js", "icons.svg"] {
            let address = address(name);
            let asked = address.strip_prefix("/static/").unwrap();
            assert_ne!(asked, name);
            assert_eq!(plain_name(asked), name);
        }
        assert_eq!(address("nothing"), "/static/missing");
    }
}
