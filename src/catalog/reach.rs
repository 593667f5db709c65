//! What a target says about the way to it: the networks its names may lead to, and what its TLS connections rest on.

use super::{
    document::Content,
    fields::{Field, Fields},
    findings::Findings,
    targets::secret,
};
use crate::domain::{
    network::Network,
    step::ActionKind,
    target::{Tls, Trust},
};

/// The most networks of one target.
const NETWORKS_MAX: usize = 32;
/// The longest name of a server, as DNS has it.
const NAME_BYTES_MAX: usize = 253;

/// Addresses that are not public and that the target's names may stand for.
pub(super) fn networks(
    fields: &Fields<'_>,
    kind: Option<ActionKind>,
    findings: &mut Findings<'_>,
) -> Vec<Network> {
    let Some(list) = fields.get("networks") else {
        return Vec::new();
    };
    if let Some(kind @ (ActionKind::File | ActionKind::Command)) = kind {
        let message = format!(
            "a target of kind {} is on this machine and in no network",
            kind.name()
        );
        fields.fault_at_key("networks", message, None, findings);
    }
    let items = list.list(NETWORKS_MAX, findings);
    items
        .iter()
        .filter_map(|item| item.parsed(|text| text.parse::<Network>(), findings))
        .collect()
}

/// `tls` of a web service.
pub(super) fn trust(fields: &Fields<'_>, is_https: bool, findings: &mut Findings<'_>) -> Trust {
    let Some(field) = fields.get("tls") else {
        return Trust::default();
    };
    if !is_https {
        let message = "tls is for addresses that begin with https://".to_owned();
        fields.fault_at_key("tls", message, None, findings);
    }
    let Some(parts) = field.fields(&PARTS, findings) else {
        return Trust::default();
    };
    read(&parts, findings)
}

/// `tls` of a database: a word, or a map of what it rests on, which is `verify-full` unless its `mode` says otherwise.
pub(super) fn database(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<(Tls, Trust)> {
    let Some(field) = fields.get("tls") else {
        return Some((Tls::default(), Trust::default()));
    };
    if !matches!(&field.node.content, Content::Map(_)) {
        return Some((mode(&field, findings)?, Trust::default()));
    }
    let known: Vec<&str> = ["mode"].into_iter().chain(PARTS).collect();
    let parts = field.fields(&known, findings)?;
    let mode = match parts.get("mode") {
        Some(field) => mode(&field, findings)?,
        None => Tls::VerifyFull,
    };
    let trust = read(&parts, findings);
    for key in ["ca", "server_name"] {
        if parts.get(key).is_some() && mode != Tls::VerifyFull {
            let message = format!("{key} is for mode verify-full: the others let a server prove nothing");
            parts.fault_at_key(key, message, None, findings);
        }
    }
    Some((mode, trust))
}

fn mode(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Tls> {
    let choices = [
        ("disable", Tls::Disable),
        ("prefer", Tls::Prefer),
        ("require", Tls::Require),
        ("verify-full", Tls::VerifyFull),
    ];
    field.choice(&choices, findings)
}

const PARTS: [&str; 4] = ["ca", "client_certificate", "client_key", "server_name"];

fn read(parts: &Fields<'_>, findings: &mut Findings<'_>) -> Trust {
    for (one, other) in [
        ("client_certificate", "client_key"),
        ("client_key", "client_certificate"),
    ] {
        if parts.get(one).is_some() && parts.get(other).is_none() {
            let message = format!("{one} works together with {other} only");
            parts.fault_at_key(one, message, None, findings);
        }
    }
    Trust {
        ca: secret(parts.get("ca"), findings),
        client_certificate: secret(parts.get("client_certificate"), findings),
        client_key: secret(parts.get("client_key"), findings),
        server_name: parts
            .get("server_name")
            .and_then(|field| field.parsed(server_name, findings)),
    }
}

fn server_name(text: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match text.len() <= NAME_BYTES_MAX && !is_number && text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err("expected a DNS name, like db.example.com"),
    }
}
