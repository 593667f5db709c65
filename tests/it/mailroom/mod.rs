//! The mailroom: where tokens may stand, packed bodies, what Amazon signs, deliveries sent again, tests of sources, and
//! how much is kept.

mod amazon;
mod door;
mod kept;
mod replay;
mod trial;

use muster::{domain::source::SourceKind, domain::source::SourceSettings};
use serde_json::{Value, json};

use crate::support::site::{Answer, Site};

/// A form with an operation of its own.
async fn post(site: &Site, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let op = uuid::Uuid::new_v4().to_string();
    let fields: Vec<(&str, &str)> = [("op", op.as_str())]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    site.post(path, cookie, &fields).await
}

/// Settings of a source of any JSON with this mapping.
fn generic(mapping: Value) -> SourceSettings {
    SourceSettings {
        format: SourceKind::Generic,
        mapping: Some(mapping),
        ..SourceSettings::default()
    }
}

/// Alertmanager's body with one alert that fires.
fn firing(name: &str) -> String {
    json!({"receiver": "r", "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"), "alerts": [{
        "status": "firing", "labels": {"alertname": name}, "startsAt": "2026-11-21T02:59:00Z",
    }]})
    .to_string()
}
