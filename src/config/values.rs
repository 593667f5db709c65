//! What a value on the command line means, or what is wrong with it.

use chrono::{DateTime, Utc};
use url::Url;

use super::{commands::DrillFormat, serve::DeclaredSource};
use crate::domain::{
    audit::{self, ExportFormat},
    digest::Digest,
    id::is_slug,
    operator::Role,
    source::SourceKind,
    span::{Span, SpanError},
    target::SecretRef,
};

/// The shortest pause between two signs of life of Muster itself.
const HEARTBEAT_EVERY_MIN: Span = Span::from_secs(1);

/// The shortest time a session may be left alone or last; less would sign people out between two clicks.
const SESSION_MIN: Span = Span::from_secs(300);

pub(super) fn drill_format(text: &str) -> Result<DrillFormat, String> {
    match text {
        "text" => Ok(DrillFormat::Text),
        "json" => Ok(DrillFormat::Json),
        "junit" => Ok(DrillFormat::Junit),
        _ => Err(format!("{text} is none of text, json, junit")),
    }
}

pub(super) fn secret_ref(text: &str) -> Result<SecretRef, String> {
    SecretRef::try_from(text.to_owned())
}

pub(super) fn heartbeat_every(text: &str) -> Result<Span, String> {
    let every: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    match every >= HEARTBEAT_EVERY_MIN {
        true => Ok(every),
        false => Err(format!("at least {HEARTBEAT_EVERY_MIN}")),
    }
}

/// The text is kept to the letter: the issuer in a token is compared with it.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let url: Url = text.parse().map_err(|_| "not an address".to_owned())?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if is_here => Ok(text.to_owned()),
        _ => Err("needs https, unless it is on this machine's own loopback".to_owned()),
    }
}

pub(super) fn group_role(text: &str) -> Result<(String, Role), String> {
    match text.rsplit_once('=') {
        Some((group, name)) if !group.is_empty() => Ok((group.to_owned(), role(name)?)),
        _ => Err("expected GROUP=ROLE".to_owned()),
    }
}

pub(super) fn session_span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    match span >= SESSION_MIN {
        true => Ok(span),
        false => Err(format!("at least {SESSION_MIN}")),
    }
}

pub(super) fn role(text: &str) -> Result<Role, String> {
    Role::named(text).ok_or_else(|| "expected viewer, responder, approver or admin".to_owned())
}

pub(super) fn source_kind(text: &str) -> Result<SourceKind, String> {
    SourceKind::named(text).ok_or_else(|| {
        let names: Vec<&str> = SourceKind::ALL.into_iter().map(SourceKind::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    audit::moment(text)
        .ok_or_else(|| "expected a time like 2026-11-21 or 2026-11-21T03:00, in UTC".to_owned())
}

pub(super) fn export_format(text: &str) -> Result<ExportFormat, String> {
    ExportFormat::named(text).ok_or_else(|| "expected csv or jsonl".to_owned())
}

pub(super) fn known_link(text: &str) -> Result<(i64, Digest), String> {
    let (seq, hash) = text.split_once(':').ok_or("expected NUMBER:SHA256")?;
    let seq = seq
        .parse()
        .map_err(|_| "expected a number before the colon".to_owned())?;
    Ok((seq, Digest::try_from(hash.to_owned())?))
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(super) fn slug(text: &str) -> Result<String, String> {
    match is_slug(text) {
        true => Ok(text.to_owned()),
        false => Err("a name has lower-case letters, digits and inner dashes, at most 63".to_owned()),
    }
}

pub(super) fn declared_source(text: &str) -> Result<DeclaredSource, String> {
    let (name, token) = text
        .split_once('=')
        .ok_or("expected NAME=env:VAR or NAME=file:/path")?;
    let (name, heartbeat) = match name.split_once(':') {
        Some((name, span)) => (
            name,
            Some(span.parse().map_err(|error: SpanError| error.to_string())?),
        ),
        None => (name, None),
    };
    Ok(DeclaredSource {
        name: slug(name)?,
        heartbeat,
        token: SecretRef::try_from(token.to_owned())?,
    })
}
