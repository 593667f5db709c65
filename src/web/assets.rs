//! The style sheet, the scripts and the icons, inside the program. Their addresses carry a digest of their content, so a
//! browser may keep them for ever and never keeps an old one.
//!
//! `muster.css` is the files of `static/style` one after the other, in the order of `STYLES`; `muster.js` is made of
//! `MODULES`. Scripts of single pages import it by name, so the digest in all their addresses is the folder's.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

use super::{bundle::bundle, caller::Anyone, error::WebError, extract::Path, favicon, state::AppState};
use crate::domain::digest::Digest;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The parts of the style sheet, in their order: what comes later wins inside one layer.
const STYLES: &[&str] = &[
    "tokens",
    "base",
    "parts",
    "frame",
    "incidents",
    "incident",
    "runs",
    "log",
    "documents",
    "approvals",
    "rooms",
    "runbooks",
    "editor",
    "print",
];

/// The modules of the script that every page loads; each imports only what stands before it.
const MODULES: &[&str] = &[
    "page", "held", "times", "patch", "live", "forms", "incident", "keys", "list", "icon", "muster",
];

/// The address of each file, by its plain name. In a debug build files are read from the disk, so there the digest is
/// of the content at the first use.
static ADDRESSES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let scripts: Vec<u8> = Files::iter()
        .filter(|name| name.starts_with("script/"))
        .filter_map(|name| Files::get(&name))
        .flat_map(|file| file.data.into_owned())
        .collect();
    let scripts = Digest::of_bytes(&scripts).short();
    let icons = Files::iter()
        .filter(|name| !name.contains('/'))
        .map(Cow::into_owned);
    let mut addresses: BTreeMap<String, String> = icons
        .chain(["muster.css".to_owned()])
        .filter_map(|name| {
            let digest = Digest::of_bytes(&content(&name)?).short();
            let (stem, ending) = name.rsplit_once('.')?;
            let address = format!("/static/{stem}.{digest}.{ending}");
            Some((name, address))
        })
        .collect();
    for name in Files::iter() {
        if let Some(script) = name.strip_prefix("script/") {
            addresses.insert(script.to_owned(), format!("/static/{scripts}/{script}"));
        }
    }
    addresses
});

/// The address of a file of ours.
pub fn address(name: &str) -> &'static str {
    ADDRESSES.get(name).map_or("/static/missing", String::as_str)
}

/// What a browser gets of a file, by its plain name.
fn content(name: &str) -> Option<Vec<u8>> {
    if name == "muster.css" {
        let parts = STYLES
            .iter()
            .map(|style| Files::get(&format!("style/{style}.css")));
        return Some(parts.flatten().flat_map(|part| bare(&part.data, "/*")).collect());
    }
    if let Some(icon) = favicon::content(name) {
        return Some(icon);
    }
    if name == "muster.js" {
        let module = |module: &&'static str| {
            let file = Files::get(&format!("script/{module}.js"))?;
            Some((*module, String::from_utf8(bare(&file.data, "//")).ok()?))
        };
        let modules: Vec<(&str, String)> = MODULES.iter().filter_map(module).collect();
        return Some(bundle(&modules).into_bytes());
    }
    match name.ends_with(".js") {
        true => Some(bare(&Files::get(&format!("script/{name}"))?.data, "//")),
        false => Some(Files::get(name)?.data.into_owned()),
    }
}

/// Without what only people read: indentation, and lines that are nothing but a comment. Lines keep their numbers.
fn bare(text: &[u8], comment: &str) -> Vec<u8> {
    let mut bare = Vec::with_capacity(text.len());
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.trim();
        let is_comment = line.starts_with(comment) && (comment == "//" || line.ends_with("*/"));
        if !is_comment {
            bare.extend_from_slice(line.as_bytes());
        }
        bare.push(b'\n');
    }
    bare
}

/// `GET /static/{file}`
pub async fn get(
    State(_): State<AppState>,
    _: Anyone,
    Path(asked): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    answer(&plain_name(&asked), &format!("/static/{asked}"), &headers)
}

/// `GET /static/{digest}/{file}`
pub async fn get_script(
    State(_): State<AppState>,
    _: Anyone,
    Path((digest, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    answer(&name, &format!("/static/{digest}/{name}"), &headers)
}

fn answer(name: &str, asked: &str, headers: &HeaderMap) -> Result<Response, WebError> {
    let data = content(name).ok_or_else(|| WebError::not_found("file"))?;
    let tag = format!("\"{}\"", Digest::of_bytes(&data).short());
    let keep = match address(name) == asked && !cfg!(debug_assertions) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| {
            tags.split(',')
                .any(|given| given.trim().trim_start_matches("W/") == tag)
        });
    let head = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, keep.to_owned()),
        (header::CONTENT_TYPE, kind(name).to_owned()),
    ];
    Ok(match known {
        true => (StatusCode::NOT_MODIFIED, head).into_response(),
        false => (head, data).into_response(),
    })
}

/// The media type of a file of ours, by its ending.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
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
        for name in ["muster.css", "icons.svg", "favicon.svg"] {
            let asked = address(name).strip_prefix("/static/").unwrap();
            assert_ne!(asked, name);
            assert_eq!(plain_name(asked), name);
        }
        assert_eq!(address("nothing"), "/static/missing");
    }

    #[test]
    fn what_only_people_read_does_not_travel() {
        let script = "// Why.\nif (a) {\n  b(\"//\"); // here\n}\n";
        let told = bare(script.as_bytes(), "//");
        assert_eq!(told, b"\nif (a) {\nb(\"//\"); // here\n}\n");
        // A text over several lines would lose its indentation.
        for name in Files::iter().filter(|name| name.starts_with("script/")) {
            let data = Files::get(&name).unwrap().data.into_owned();
            for line in String::from_utf8(data).unwrap().lines() {
                assert_eq!(line.matches('`').count() % 2, 0, "{name}: {line}");
            }
        }
    }

    #[test]
    fn every_style_and_every_module_is_there_and_none_is_forgotten() {
        let styles = Files::iter().filter(|name| name.starts_with("style/")).count();
        assert_eq!(styles, STYLES.len());
        for style in STYLES {
            assert!(Files::get(&format!("style/{style}.css")).is_some(), "{style}");
        }
        let mut before = Vec::new();
        for module in MODULES {
            let file = Files::get(&format!("script/{module}.js")).unwrap();
            let text = String::from_utf8(file.data.into_owned()).unwrap();
            for line in text
                .lines()
                .filter(|line| line.contains("from \"./") || line.starts_with("import "))
            {
                let imported = line.rsplit_once("./").unwrap().1.trim_end_matches(".js\";");
                assert!(
                    before.contains(&imported),
                    "{module} imports {imported}, which comes later"
                );
            }
            before.push(*module);
        }
        let script = String::from_utf8(content("muster.js").unwrap()).unwrap();
        assert!(!script.contains("import "), "{script}");
    }
}
