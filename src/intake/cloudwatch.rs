//! A CloudWatch alarm as SNS carries it: the alarm's new state, one alert.
//!
//! An alarm without enough data is nothing here: that data is missing is neither a failure nor a recovery.

use serde_json::Value;

use super::{
    Content, Fault, Reader,
    document::{Object, plain, shown},
    groups::Groups,
};
use crate::domain::{
    alert::{AlertReport, AlertStatus, Fingerprint},
    labels::Labels,
};

/// Whether a message is an alarm's.
pub(super) fn is_alarm(message: &Value) -> bool {
    message.get("AlarmName").is_some()
}

/// Reads one alarm.
pub(super) fn read(message: &Value, with: &Reader<'_>) -> Result<Content, Fault> {
    let alarm = Object::at(message, "")?;
    let name = alarm.required("AlarmName")?;
    let status = match alarm.raw_text("NewStateValue")? {
        "ALARM" => AlertStatus::Firing,
        "OK" => AlertStatus::Resolved,
        "INSUFFICIENT_DATA" => return Ok(Content::Nothing("the alarm has not enough data to say")),
        _ => {
            return Err(alarm.fault(
                "NewStateValue",
                "expected \"ALARM\", \"OK\" or \"INSUFFICIENT_DATA\"",
            ));
        }
    };
    let changed_at = alarm.time("StateChangeTime")?.unwrap_or(with.received_at);
    let mut groups = Groups::new(with.correlate_by);
    groups.push(Ok(AlertReport {
        fingerprint: identity(&alarm, &name)?,
        status,
        labels: labels(&alarm, name)?,
        annotations: annotations(&alarm)?,
        starts_at: changed_at,
        ends_at: (status == AlertStatus::Resolved).then_some(changed_at),
        lease_until: None,
        generator_url: String::new(),
    }));
    Ok(groups.into_content("no alarm"))
}

/// Of the alarm, not of what it watches: that can be edited.
fn identity(alarm: &Object<'_>, name: &str) -> Result<Fingerprint, Fault> {
    let arn = alarm.text("AlarmArn")?;
    let labels = match arn.is_empty() {
        false => Labels::from([("alarm_arn", arn.as_str())]),
        true => Labels::from([
            ("alarm", name),
            ("account", &alarm.text("AWSAccountId")?),
            ("region", &alarm.text("Region")?),
        ]),
    };
    Ok(labels.fingerprint())
}

/// The dimensions of the metric under their own names, unless one of these names is taken.
fn labels(alarm: &Object<'_>, name: String) -> Result<Labels, Fault> {
    let mut labels = Labels::default();
    labels.0.insert("alertname".to_owned(), name);
    labels.0.insert("source".to_owned(), "cloudwatch".to_owned());
    labels.0.insert("account".to_owned(), alarm.text("AWSAccountId")?);
    labels.0.insert("region".to_owned(), alarm.text("Region")?);
    if let Some(trigger) = alarm.object("Trigger")? {
        labels.0.insert("metric".to_owned(), trigger.text("MetricName")?);
        // A "namespace" is a cluster's everywhere else.
        labels
            .0
            .insert("metric_namespace".to_owned(), trigger.text("Namespace")?);
        for dimension in trigger
            .get("Dimensions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let (Some(name), Some(value)) = (dimension.get("name"), dimension.get("value").and_then(plain))
            {
                let name = shown(name.as_str().unwrap_or_default());
                labels.0.entry(name).or_insert(value);
            }
        }
    }
    labels
        .0
        .retain(|name, value| !name.is_empty() && !value.is_empty());
    Ok(labels)
}

/// No summary: the name of the alarm says more than its numbers.
fn annotations(alarm: &Object<'_>) -> Result<Labels, Fault> {
    let mut annotations = Labels::from([
        ("reason", alarm.text("NewStateReason")?.as_str()),
        ("description", &alarm.text("AlarmDescription")?),
    ]);
    annotations.0.retain(|_, value| !value.is_empty());
    Ok(annotations)
}
