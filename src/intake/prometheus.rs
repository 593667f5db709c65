//! What Prometheus pushes to `/api/v2/alerts` and, in its 2.x, to `/api/v1/alerts`: a list of alerts that are neither
//! grouped nor named, mixed in random order, each firing for as long as its `endsAt` lies ahead.
//!
//! Judged as Alertmanager does: an alert at fault does not keep the others of its batch from being used. Its check
//! that `generatorURL` is an address is left out: an alert with a bad link is an alert.

use chrono::TimeDelta;
use serde_json::Value;

use super::{
    Content, Fault, Reader,
    document::{self, Object, fault, kind},
    groups::Groups,
};
use crate::domain::alert::{AlertReport, AlertStatus};

/// How long a report without an end lasts: what Alertmanager calls `resolve_timeout`, by default.
const RESOLVE_TIMEOUT: TimeDelta = TimeDelta::minutes(5);

/// Reads one batch.
pub fn read(body: &[u8], with: &Reader<'_>) -> Result<Content, Fault> {
    let document = document::parse(body)?;
    let Value::Array(alerts) = &document else {
        let problem = format!(
            "expected a list of alerts, as Prometheus sends, found {}",
            kind(&document)
        );
        return Err(fault("", problem));
    };
    let mut groups = Groups::new(with.correlate_by);
    for (index, alert) in alerts.iter().enumerate() {
        groups.push(report(alert, &format!("[{index}]"), with));
    }
    Ok(groups.into_content("the list holds no alert"))
}

fn report(alert: &Value, place: &str, with: &Reader<'_>) -> Result<AlertReport, Fault> {
    let alert = Object::at(alert, place)?;
    let mut labels = alert.pairs("labels")?;
    labels.0.retain(|_, value| !value.is_empty());
    if labels.0.is_empty() {
        return Err(alert.fault("labels", "expected at least one label with a value"));
    }
    let ends_at = alert.time("endsAt")?;
    let (status, lease_until) = match ends_at {
        None => (AlertStatus::Firing, Some(with.received_at + RESOLVE_TIMEOUT)),
        Some(end) if end > with.received_at => (AlertStatus::Firing, Some(end)),
        Some(_) => (AlertStatus::Resolved, None),
    };
    let ended_at = ends_at.filter(|_| status == AlertStatus::Resolved);
    let starts_at = match alert.time("startsAt")? {
        Some(start) if ends_at.is_some_and(|end| end < start) => {
            return Err(alert.fault("endsAt", "before startsAt"));
        }
        Some(start) => start,
        None => ended_at.unwrap_or(with.received_at),
    };
    Ok(AlertReport {
        fingerprint: labels.fingerprint(),
        status,
        labels: document::visible(labels),
        annotations: document::visible(alert.pairs("annotations")?),
        starts_at,
        ends_at: ended_at,
        lease_until,
        generator_url: alert.text("generatorURL")?,
    })
}
