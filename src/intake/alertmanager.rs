//! Alertmanager's webhook, version "4" in all its variants; "1", which Grafana sends, reads the same.
//!
//! Unknown keys are passed over and absent optional ones tolerated: the format has grown a key in many releases.
//! Anything that is not this shape is refused with the place of the fault, so that it is seen, not guessed at.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use serde_json::{Map, Value};

use super::{Delivery, Fault};
use crate::domain::{
    alert::{AlertReport, AlertStatus, Fingerprint},
    labels::Labels,
};

/// The longest text Postgres keeps sensibly in one label; longer ones are cut visibly.
const TEXT_BYTES_MAX: usize = 65_536;

/// Reads one body.
pub fn parse(body: &[u8]) -> Result<Delivery, Fault> {
    let document: Value = serde_json::from_slice(body).map_err(|error| Fault {
        place: format!("line {}, column {}", error.line(), error.column()),
        problem: format!("not JSON: {}", json_problem(&error)),
    })?;
    let Value::Object(root) = document else {
        return Err(fault("", "expected an object, as Alertmanager's webhook sends"));
    };
    let Some(alerts) = root.get("alerts") else {
        return Err(fault(
            "alerts",
            "missing; this address takes Alertmanager's webhook, version 4",
        ));
    };
    let Value::Array(alerts) = alerts else {
        return Err(fault(
            "alerts",
            &format!("expected a list, found {}", kind(alerts)),
        ));
    };
    let mut reports: BTreeMap<Fingerprint, AlertReport> = BTreeMap::new();
    for (index, alert) in alerts.iter().enumerate() {
        let report = read_alert(alert, &format!("alerts[{index}]"))?;
        reports.insert(report.fingerprint, report);
    }
    if reports.is_empty() {
        return Err(fault("alerts", "holds no alert"));
    }
    Ok(Delivery {
        receiver: text(&root, "", "receiver")?,
        group_key: text(&root, "", "groupKey")?,
        truncated: match root.get("truncatedAlerts") {
            None | Some(Value::Null) => 0,
            Some(number) => number
                .as_i64()
                .and_then(|number| i32::try_from(number).ok())
                .filter(|number| *number >= 0)
                .ok_or_else(|| fault("truncatedAlerts", "expected a number, 0 or more"))?,
        },
        alerts: reports.into_values().collect(),
    })
}

fn read_alert(value: &Value, place: &str) -> Result<AlertReport, Fault> {
    let Value::Object(alert) = value else {
        return Err(fault(
            place,
            &format!("expected an object, found {}", kind(value)),
        ));
    };
    let labels = pairs(alert, place, "labels")?;
    if !alert.contains_key("labels") {
        return Err(fault(&format!("{place}.labels"), "missing"));
    }
    let status = match alert.get("status").and_then(Value::as_str) {
        Some("firing") => AlertStatus::Firing,
        Some("resolved") => AlertStatus::Resolved,
        _ => {
            return Err(fault(
                &format!("{place}.status"),
                "expected \"firing\" or \"resolved\"",
            ));
        }
    };
    let starts_at = time(alert, place, "startsAt")?.ok_or_else(|| {
        fault(
            &format!("{place}.startsAt"),
            "missing; expected a time like 2026-11-21T02:01:26Z",
        )
    })?;
    let ends_at = time(alert, place, "endsAt")?;
    Ok(AlertReport {
        fingerprint: text(alert, place, "fingerprint")
            .ok()
            .and_then(|text| Fingerprint::parse(&text))
            .unwrap_or_else(|| labels.fingerprint()),
        status,
        annotations: visible(pairs(alert, place, "annotations")?),
        generator_url: shown(&text(alert, place, "generatorURL")?),
        labels: visible(labels),
        starts_at,
        ends_at: match status {
            AlertStatus::Firing => None,
            // A resolve without an end ended, at the latest, when it started again to be reported.
            AlertStatus::Resolved => Some(ends_at.unwrap_or(starts_at)),
        },
    })
}

fn fault(place: &str, problem: &str) -> Fault {
    Fault {
        // It is kept, and a label's name in it may hold what Postgres refuses.
        place: shown(place),
        problem: problem.to_owned(),
    }
}

fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn at(place: &str, key: &str) -> String {
    if place.is_empty() {
        key.to_owned()
    } else {
        format!("{place}.{key}")
    }
}

fn text(map: &Map<String, Value>, place: &str, key: &str) -> Result<String, Fault> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(shown(text)),
        Some(other) => Err(fault(
            &at(place, key),
            &format!("expected a text, found {}", kind(other)),
        )),
    }
}

fn pairs(map: &Map<String, Value>, place: &str, key: &str) -> Result<Labels, Fault> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(Labels::default()),
        Some(Value::Object(pairs)) => pairs
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                other => Err(fault(
                    &format!("{}.{name}", at(place, key)),
                    &format!("expected a text, found {}", kind(other)),
                )),
            })
            .collect::<Result<_, _>>()
            .map(Labels),
        Some(other) => Err(fault(
            &at(place, key),
            &format!("expected an object, found {}", kind(other)),
        )),
    }
}

/// A time; the year 1, which Alertmanager sends for "not yet", is none. Cut to the precision Postgres keeps, so that
/// a time read back compares equal.
fn time(map: &Map<String, Value>, place: &str, key: &str) -> Result<Option<DateTime<Utc>>, Fault> {
    let text = text(map, place, key)?;
    if text.is_empty() {
        return Ok(None);
    }
    let time = DateTime::parse_from_rfc3339(&text)
        .map_err(|_| fault(&at(place, key), "expected a time like 2026-11-21T02:01:26Z"))?
        .with_timezone(&Utc)
        .trunc_subsecs(6);
    Ok((time.year() > 1).then_some(time))
}

/// U+0000, which Postgres refuses, becomes its picture; the raw body keeps the original.
fn shown(text: &str) -> String {
    let mut text = text.replace('\0', "\u{2400}");
    if text.len() > TEXT_BYTES_MAX {
        let cut = (0..=TEXT_BYTES_MAX)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(cut);
        text.push_str("… [cut]");
    }
    text
}

fn visible(labels: Labels) -> Labels {
    Labels(
        labels
            .0
            .into_iter()
            .map(|(name, value)| (shown(&name), shown(&value)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut body = json!({
            "receiver": "team", "status": "firing", "groupKey": "{}:{}", "version": "4", "truncatedAlerts": 0,
            "alerts": [{
                "status": "firing", "labels": {"alertname": "Down"}, "annotations": {"summary": "s"},
                "startsAt": "2026-11-21T07:31:26.123456789+05:30", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://p/", "fingerprint": "00000000000000ff",
            }],
        });
        change(&mut body);
        body.to_string().into_bytes()
    }

    #[test]
    fn a_body_is_read_whatever_optional_keys_it_has() {
        let delivery = parse(&body(|_| {})).unwrap();
        let alert = &delivery.alerts[0];
        assert_eq!(alert.fingerprint, Fingerprint(255));
        assert_eq!(alert.starts_at.to_rfc3339(), "2026-11-21T02:01:26.123456+00:00");
        assert_eq!(alert.ends_at, None);

        let bare = parse(&body(|body| {
            let root = body.as_object_mut().unwrap();
            root.retain(|key, _| key == "alerts");
            let alert = root["alerts"][0].as_object_mut().unwrap();
            alert.retain(|key, _| ["status", "labels", "startsAt"].contains(&key.as_str()));
            alert["status"] = json!("resolved");
        }))
        .unwrap();
        assert_eq!(bare.alerts[0].fingerprint, bare.alerts[0].labels.fingerprint());
        assert_eq!(bare.alerts[0].ends_at, Some(bare.alerts[0].starts_at));
    }

    #[test]
    fn what_postgres_refuses_is_kept_visibly() {
        let delivery = parse(&body(|body| {
            body["alerts"][0]["labels"] = json!({"a\0b": "x\0y", "__proto__": "data"});
            body["alerts"][0]["fingerprint"] = json!("not hex");
        }))
        .unwrap();
        let labels = &delivery.alerts[0].labels;
        assert_eq!(labels.get("a␀b"), "x␀y");
        assert_eq!(labels.get("__proto__"), "data");
        let sent = Labels::from([("a\0b", "x\0y"), ("__proto__", "data")]);
        assert_eq!(delivery.alerts[0].fingerprint, sent.fingerprint());
    }

    #[test]
    fn a_fault_names_its_place() {
        for (body, place) in [
            (b"{\"alerts\": [\n{]".to_vec(), "line 2, column 2"),
            (b"[]".to_vec(), ""),
            (b"{}".to_vec(), "alerts"),
            (body(|body| body["alerts"] = json!({})), "alerts"),
            (body(|body| body["alerts"] = json!([])), "alerts"),
            (body(|body| body["alerts"][0] = json!(7)), "alerts[0]"),
            (
                body(|body| body["alerts"][0]["status"] = json!("FIRING")),
                "alerts[0].status",
            ),
            (
                body(|body| body["alerts"][0]["labels"] = json!({"a": 1})),
                "alerts[0].labels.a",
            ),
            (
                body(|body| body["alerts"][0]["labels"] = json!([])),
                "alerts[0].labels",
            ),
            (
                body(|body| body["alerts"][0]["startsAt"] = json!("yesterday")),
                "alerts[0].startsAt",
            ),
            (
                body(|body| body["alerts"][0]["startsAt"] = json!(null)),
                "alerts[0].startsAt",
            ),
            (body(|body| body["groupKey"] = json!(5)), "groupKey"),
            (
                body(|body| body["truncatedAlerts"] = json!(-1)),
                "truncatedAlerts",
            ),
        ] {
            assert_eq!(
                parse(&body).unwrap_err().place,
                place,
                "{}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}
