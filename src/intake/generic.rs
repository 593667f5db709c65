//! Any JSON, read by a mapping. Without one it must have the plain shape: an alert, a list of alerts, or an object
//! whose `alerts` is the list, each alert as
//!
//! ```json
//! {
//!   "title": "Disk full",
//!   "status": "firing",
//!   "starts_at": "2026-11-21T02:01:26Z",
//!   "ends_at": null,
//!   "labels": { "service": "db", "severity": "critical" },
//!   "annotations": { "summary": "Disk full on db-1" },
//!   "url": "https://example.org/alerts/7",
//!   "key": "disk-db-1"
//! }
//! ```
//!
//! where only `status` and a `title` or a label must be there. `title` becomes the label `alertname`; without `key`, an
//! alert with equal labels is the same alert.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Content, Fault, Reader,
    document::{self, fault, kind, plain, shown, time},
    groups::Groups,
    mapping::{JsonPath, Mapping, Pick},
};
use crate::domain::{
    alert::{AlertReport, AlertStatus, Fingerprint},
    labels::Labels,
};

/// Characters of an unknown status that a fault repeats.
const STATUS_CHARS_MAX: usize = 80;

/// Reads one body.
pub fn read(body: &[u8], with: &Reader<'_>) -> Result<Content, Fault> {
    let document = document::parse(body)?;
    match with.mapping {
        Some(mapping) => read_document(&document, mapping, with),
        None => read_plain(&document, with),
    }
}

/// Reads a document of the plain shape.
pub(super) fn read_plain(document: &Value, with: &Reader<'_>) -> Result<Content, Fault> {
    let (one, many) = &*PLAIN;
    let mapping = match document.get("alerts") {
        Some(_) => many,
        None => one,
    };
    read_document(document, mapping, with)
}

/// The plain shape as mappings: of the alert, and of the object whose `alerts` is the list.
static PLAIN: LazyLock<(Mapping, Mapping)> = LazyLock::new(|| {
    let at = |name: &str| JsonPath::parse(name).ok();
    let pick = |from: &str| Pick {
        from: at(from),
        ..Pick::default()
    };
    let mut one = Mapping {
        status: at("status"),
        starts_at: at("starts_at"),
        ends_at: at("ends_at"),
        labels: pick("labels"),
        annotations: pick("annotations"),
        url: at("url"),
        key: at("key").into_iter().collect(),
        ..Mapping::default()
    };
    let titles = at("title").into_iter().map(|path| ("alertname".to_owned(), path));
    one.labels.names.extend(titles);
    let many = Mapping {
        alerts: at("alerts"),
        ..one.clone()
    };
    (one, many)
});

/// Reads a document by a mapping.
pub(super) fn read_document(
    document: &Value,
    mapping: &Mapping,
    with: &Reader<'_>,
) -> Result<Content, Fault> {
    let (place, root) = match &mapping.alerts {
        None => (String::new(), Some(document)),
        Some(path) => (path.below(""), path.find(document)),
    };
    let mut groups = Groups::new(with.correlate_by);
    match root {
        Some(Value::Array(alerts)) => {
            for (index, alert) in alerts.iter().enumerate() {
                groups.push(report(alert, &format!("{place}[{index}]"), mapping, with));
            }
        }
        Some(alert @ Value::Object(_)) => groups.push(Ok(report(alert, &place, mapping, with)?)),
        other => {
            let found = other.map_or("nothing", kind);
            let problem = format!("expected a list of alerts or one alert, found {found}");
            return Err(named("alerts", &place, &problem));
        }
    }
    Ok(groups.into_content("the list holds no alert"))
}

/// A fault in what a field of the mapping leads to.
fn named(field: &str, place: &str, problem: &str) -> Fault {
    fault(place, format!("{field}: {problem}"))
}

fn report(alert: &Value, place: &str, mapping: &Mapping, with: &Reader<'_>) -> Result<AlertReport, Fault> {
    if !alert.is_object() {
        let problem = format!("expected an object, found {}", kind(alert));
        return Err(named("alerts", place, &problem));
    }
    let status = status(alert, place, mapping)?;
    let labels = picked("labels", &mapping.labels, alert, place)?;
    let start = moment("starts_at", mapping.starts_at.as_ref(), alert, place)?;
    let end = moment("ends_at", mapping.ends_at.as_ref(), alert, place)?;
    let ends_at = match status {
        AlertStatus::Firing => None,
        AlertStatus::Resolved => Some(end.unwrap_or(with.received_at)),
    };
    Ok(AlertReport {
        fingerprint: identity(alert, place, mapping, &labels)?,
        status,
        labels,
        annotations: picked("annotations", &mapping.annotations, alert, place)?,
        starts_at: start.unwrap_or_else(|| ends_at.unwrap_or(with.received_at)),
        ends_at,
        lease_until: None,
        generator_url: match mapping.url.as_ref().and_then(|path| path.find(alert)) {
            Some(Value::String(text)) => shown(text),
            _ => String::new(),
        },
    })
}

/// A status that the mapping does not know is a fault: taken for firing it would never end, for resolved never begin.
fn status(alert: &Value, place: &str, mapping: &Mapping) -> Result<AlertStatus, Fault> {
    let Some(path) = &mapping.status else {
        return Ok(AlertStatus::Firing);
    };
    let Some(value) = path.find(alert).and_then(plain) else {
        return Err(named("status", &path.below(place), "missing"));
    };
    let is_in = |list: &[String]| list.iter().any(|known| known.eq_ignore_ascii_case(&value));
    if is_in(&mapping.firing) {
        return Ok(AlertStatus::Firing);
    }
    if is_in(&mapping.resolved) {
        return Ok(AlertStatus::Resolved);
    }
    let problem = format!(
        "`{}` is neither firing ({}) nor resolved ({})",
        value.chars().take(STATUS_CHARS_MAX).collect::<String>(),
        mapping.firing.join(", "),
        mapping.resolved.join(", ")
    );
    Err(named("status", &path.below(place), &problem))
}

fn moment(
    field: &str,
    path: Option<&JsonPath>,
    alert: &Value,
    place: &str,
) -> Result<Option<DateTime<Utc>>, Fault> {
    let Some((path, value)) = path.and_then(|path| Some((path, path.find(alert)?))) else {
        return Ok(None);
    };
    time(value).map_err(|problem| named(field, &path.below(place), problem))
}

/// Names and values; what is missing is left out, so that one optional field does not cost the alert.
fn picked(field: &str, pick: &Pick, alert: &Value, place: &str) -> Result<Labels, Fault> {
    let mut labels = Labels::default();
    if let Some((path, value)) = pick
        .from
        .as_ref()
        .and_then(|path| Some((path, path.find(alert)?)))
    {
        let Value::Object(map) = value else {
            let problem = format!("expected an object, found {}", kind(value));
            return Err(named(&format!("{field}.from"), &path.below(place), &problem));
        };
        let pairs = map
            .iter()
            .filter_map(|(name, value)| Some((shown(name), plain(value)?)));
        labels.0.extend(pairs);
    }
    let pairs = pick
        .names
        .iter()
        .filter_map(|(name, path)| Some((shown(name), path.find(alert).and_then(plain)?)));
    labels.0.extend(pairs);
    Ok(labels)
}

fn identity(alert: &Value, place: &str, mapping: &Mapping, labels: &Labels) -> Result<Fingerprint, Fault> {
    let parts: Labels = Labels(
        mapping
            .key
            .iter()
            .filter_map(|path| Some((path.to_string(), path.find(alert).and_then(plain)?)))
            .collect(),
    );
    if !parts.0.is_empty() {
        return Ok(parts.fingerprint());
    }
    // An alert whose key is missing must not be taken for all others whose key is.
    if labels.0.is_empty() {
        return Err(named("labels", place, "found none, and no key"));
    }
    Ok(labels.fingerprint())
}
