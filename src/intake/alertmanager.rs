//! Alertmanager's webhook, version "4" in all its variants. What Grafana makes of it reads through here too.
//!
//! Unknown keys are passed over and absent optional ones tolerated: the format has grown a key in many releases.
//! Anything that is not this shape is refused with the place of the fault, so that it is seen, not guessed at.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Delivery, Fault,
    document::{self, Object, fault, kind},
};
use crate::domain::{
    alert::{AlertReport, AlertStatus, Fingerprint},
    labels::Labels,
};

/// Reads one body.
pub fn parse(body: &[u8]) -> Result<Delivery, Fault> {
    read(&document::parse(body)?, |_, _| {})
}

/// Reads a document of this shape. `enrich` may add to an alert's annotations what a dialect says besides.
pub(super) fn read(document: &Value, enrich: impl Fn(&Object<'_>, &mut Labels)) -> Result<Delivery, Fault> {
    let Ok(root) = Object::at(document, "") else {
        return Err(fault("", "expected an object, as Alertmanager's webhook sends"));
    };
    let alerts = match root.get("alerts") {
        Some(Value::Array(alerts)) => alerts,
        Some(other) => {
            return Err(root.fault("alerts", format!("expected a list, found {}", kind(other))));
        }
        None => {
            return Err(root.fault(
                "alerts",
                "missing; expected the webhook of Alertmanager or Grafana",
            ));
        }
    };
    let mut reports: BTreeMap<Fingerprint, AlertReport> = BTreeMap::new();
    for (index, alert) in alerts.iter().enumerate() {
        let alert = Object::at(alert, &format!("alerts[{index}]"))?;
        let mut report = read_alert(&alert)?;
        enrich(&alert, &mut report.annotations);
        reports.insert(report.fingerprint, report);
    }
    if reports.is_empty() {
        return Err(root.fault("alerts", "holds no alert"));
    }
    Ok(Delivery {
        receiver: root.text("receiver")?,
        group_key: root.text("groupKey")?,
        truncated: match root.get("truncatedAlerts") {
            None => 0,
            Some(number) => number
                .as_i64()
                .and_then(|number| i32::try_from(number).ok())
                .filter(|number| *number >= 0)
                .ok_or_else(|| root.fault("truncatedAlerts", "expected a number, 0 or more"))?,
        },
        alerts: reports.into_values().collect(),
    })
}

fn read_alert(alert: &Object<'_>) -> Result<AlertReport, Fault> {
    let labels = alert.pairs("labels")?;
    if alert.get("labels").is_none() {
        return Err(alert.fault("labels", "missing"));
    }
    let status = match alert.get("status").and_then(Value::as_str) {
        Some("firing") => AlertStatus::Firing,
        Some("resolved") => AlertStatus::Resolved,
        _ => return Err(alert.fault("status", "expected \"firing\" or \"resolved\"")),
    };
    let starts_at = alert
        .time("startsAt")?
        .ok_or_else(|| alert.fault("startsAt", "missing; expected a time like 2026-11-21T02:01:26Z"))?;
    let ends_at = alert.time("endsAt")?;
    Ok(AlertReport {
        fingerprint: alert
            .raw_text("fingerprint")
            .ok()
            .and_then(Fingerprint::parse)
            .unwrap_or_else(|| labels.fingerprint()),
        status,
        annotations: document::visible(alert.pairs("annotations")?),
        generator_url: alert.text("generatorURL")?,
        labels: document::visible(labels),
        starts_at,
        ends_at: match status {
            AlertStatus::Firing => None,
            // A resolve without an end ended, at the latest, when it started again to be reported.
            AlertStatus::Resolved => Some(ends_at.unwrap_or(starts_at)),
        },
        lease_until: None,
    })
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
