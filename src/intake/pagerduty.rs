//! PagerDuty's webhooks, version 3: one event of one incident, which is one alert and a group of its own, since
//! PagerDuty has grouped already.
//!
//! Only three events change whether it fires: triggered, reopened and resolved. All others (acknowledged, escalated,
//! annotated, priority updated, ...) are nothing here, although they show the incident as open: PagerDuty neither
//! sends in order nor stops trying, and one of them arriving after the resolve would read as firing again, with
//! nothing ever to end it.

use super::{
    Content, Delivery, Fault,
    document::{self, Object},
};
use crate::domain::{
    alert::{AlertReport, AlertStatus},
    labels::Labels,
};

/// Reads one event.
pub fn read(body: &[u8]) -> Result<Content, Fault> {
    let document = document::parse(body)?;
    let event = Object::at(&document, "")?.required_object("event")?;
    let opened = match event.required("event_type")?.as_str() {
        "incident.triggered" => Opened::Created,
        // The incident keeps its creation; that it fires anew began with this event.
        "incident.reopened" => Opened::Now,
        "incident.resolved" => Opened::No,
        "pagey.ping" => return Ok(Content::Nothing("a test of the webhook")),
        _ => return Ok(Content::Nothing("an event that does not change whether it fires")),
    };
    let occurred_at = event.time("occurred_at")?.ok_or_else(|| {
        event.fault(
            "occurred_at",
            "missing; expected a time like 2026-11-21T02:01:26Z",
        )
    })?;
    let incident = event.required_object("data")?;
    let id = incident.required("id")?;
    let created_at = incident.time("created_at")?.unwrap_or(occurred_at);
    let report = AlertReport {
        // Titles, urgencies and services are edited; the id stays.
        fingerprint: Labels::from([("source", "pagerduty"), ("incident", &id)]).fingerprint(),
        status: match opened {
            Opened::Created | Opened::Now => AlertStatus::Firing,
            Opened::No => AlertStatus::Resolved,
        },
        annotations: annotations(&incident)?,
        labels: labels(&incident, &id)?,
        starts_at: match opened {
            Opened::Now => occurred_at,
            Opened::Created | Opened::No => created_at,
        },
        ends_at: matches!(opened, Opened::No).then_some(occurred_at),
        lease_until: None,
        generator_url: incident.text("html_url")?,
    };
    Ok(Content::from(Delivery {
        receiver: String::new(),
        group_key: format!("pagerduty:{id}"),
        truncated: 0,
        alerts: vec![report],
    }))
}

/// Since when the incident is open.
enum Opened {
    Created,
    Now,
    No,
}

fn labels(incident: &Object<'_>, id: &str) -> Result<Labels, Fault> {
    let urgency = incident.text("urgency")?;
    let severity = match urgency.as_str() {
        "high" => "critical",
        "low" => "warning",
        _ => "",
    };
    let title = incident.text("title")?;
    let service = summary(incident, "service")?;
    let priority = summary(incident, "priority")?;
    let mut labels = Labels::from([
        ("alertname", title.as_str()),
        ("source", "pagerduty"),
        ("incident", id),
        ("service", &service),
        ("urgency", &urgency),
        ("priority", &priority),
        ("severity", severity),
    ]);
    labels.0.retain(|_, value| !value.is_empty());
    Ok(labels)
}

/// The name of what is referred to.
fn summary(incident: &Object<'_>, key: &str) -> Result<String, Fault> {
    match incident.object(key)? {
        Some(reference) => reference.text("summary"),
        None => Ok(String::new()),
    }
}

fn annotations(incident: &Object<'_>) -> Result<Labels, Fault> {
    let mut annotations = Labels::from([("summary", incident.text("title")?.as_str())]);
    if let Some(number) = incident.get("number").and_then(document::plain) {
        annotations.0.insert("pagerduty_number".to_owned(), number);
    }
    annotations.0.retain(|_, value| !value.is_empty());
    Ok(annotations)
}
