//! A Cloud Monitoring incident: open or closed, one alert.

use serde_json::Value;

use super::{Content, Fault, Reader, document::Object, groups::Groups};
use crate::domain::{
    alert::{AlertReport, AlertStatus},
    labels::Labels,
};

/// Reads one notification.
pub(super) fn read(notification: &Value, with: &Reader<'_>) -> Result<Content, Fault> {
    let root = Object::at(notification, "")?;
    if root.get("version").is_some_and(|version| version == "test") {
        return Ok(Content::Nothing("a test of the channel"));
    }
    let incident = root.required_object("incident")?;
    let mut groups = Groups::new(with.correlate_by);
    groups.push(Ok(report(&incident, with)?));
    Ok(groups.into_content("no incident"))
}

fn report(incident: &Object<'_>, with: &Reader<'_>) -> Result<AlertReport, Fault> {
    let id = incident.required("incident_id")?;
    let state = incident.raw_text("state")?;
    let is_open = match () {
        () if state.eq_ignore_ascii_case("open") => true,
        () if state.eq_ignore_ascii_case("closed") => false,
        () => return Err(incident.fault("state", "expected \"open\" or \"closed\"")),
    };
    let ends_at = match is_open {
        true => None,
        false => Some(incident.time("ended_at")?.unwrap_or(with.received_at)),
    };
    Ok(AlertReport {
        fingerprint: Labels::from([("source", "cloud_monitoring"), ("incident", &id)]).fingerprint(),
        status: match is_open {
            true => AlertStatus::Firing,
            false => AlertStatus::Resolved,
        },
        labels: labels(incident)?,
        annotations: annotations(incident)?,
        starts_at: incident
            .time("started_at")?
            .unwrap_or_else(|| ends_at.unwrap_or(with.received_at)),
        ends_at,
        lease_until: None,
        generator_url: incident.text("url")?,
    })
}

/// Its own labels, then those of the policy, the resource and the metric, as far as their names are free.
fn labels(incident: &Object<'_>) -> Result<Labels, Fault> {
    let severity = match incident.text("severity")?.to_ascii_lowercase() {
        none if none == "no severity" => String::new(),
        severity => severity,
    };
    let mut labels = Labels::from([
        ("alertname", incident.text("policy_name")?.as_str()),
        ("source", "cloud_monitoring"),
        ("condition", &incident.text("condition_name")?),
        ("project", &incident.text("scoping_project_id")?),
        ("severity", &severity),
    ]);
    labels.0.retain(|_, value| !value.is_empty());
    let resource = incident.object("resource")?;
    if let Some(resource) = &resource {
        let kind = resource.text("type")?;
        labels.0.entry("resource_type".to_owned()).or_insert(kind);
    }
    let metric = incident.object("metric")?;
    let further = [
        Some(incident.loose_pairs("policy_user_labels")),
        resource.map(|resource| resource.loose_pairs("labels")),
        metric.map(|metric| metric.loose_pairs("labels")),
    ];
    for (name, value) in further.into_iter().flatten().flat_map(|labels| labels.0) {
        labels.0.entry(name).or_insert(value);
    }
    labels.0.retain(|_, value| !value.is_empty());
    Ok(labels)
}

fn annotations(incident: &Object<'_>) -> Result<Labels, Fault> {
    let documentation = match incident.object("documentation")? {
        Some(documentation) => documentation.text("content")?,
        None => String::new(),
    };
    let mut annotations = Labels::from([
        ("summary", incident.text("summary")?.as_str()),
        ("description", &documentation),
    ]);
    annotations.0.retain(|_, value| !value.is_empty());
    Ok(annotations)
}
