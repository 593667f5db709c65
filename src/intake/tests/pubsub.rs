//! Google Pub/Sub: Cloud Monitoring's incidents, and other bodies in its envelope.

use serde_json::{Value, json};

use super::{RECEIVED_AT, alerts, at, only, place, told, told_json};
use crate::{
    domain::{
        alert::AlertStatus::{Firing, Resolved},
        labels::Labels,
    },
    intake::{Content, Format, mapping::Mapping},
};

fn push(data: &Value) -> Value {
    json!({
        "message": {
            "attributes": {"key": "value"}, "data": data_encoding::BASE64.encode(data.to_string().as_bytes()),
            "messageId": "2070443601311540", "publishTime": "2026-11-21T02:01:27.379Z",
        },
        "subscription": "projects/shop/subscriptions/muster",
    })
}

fn incident(change: impl FnOnce(&mut Value)) -> Value {
    let mut data = json!({"version": "1.2", "incident": {
        "incident_id": "0.o7sfagvrgc4l", "scoping_project_id": "shop", "scoping_project_number": 12345,
        "url": "https://console.cloud.google.com/monitoring/alerting/incidents/0.o7sfagvrgc4l?project=shop",
        "started_at": 1_795_226_486, "ended_at": null, "state": "open",
        "summary": "CPU utilization for shop web-1 is above the threshold of 0.9 with a value of 0.96.",
        "observed_value": "0.96", "threshold_value": "0.9", "policy_name": "CPU too high",
        "condition_name": "VM Instance - CPU utilization", "severity": "Critical",
        "resource": {"type": "gce_instance", "labels": {"instance_id": "123", "project_id": "shop", "zone": "us-a"}},
        "metric": {"type": "compute.googleapis.com/instance/cpu/utilization", "labels": {"instance_name": "web-1"}},
        "policy_user_labels": {"service": "web", "alertname": "not this"},
        "documentation": {"content": "Look at the dashboard.", "mime_type": "text/markdown"},
    }});
    change(&mut data["incident"]);
    data
}

#[test]
fn an_incident_is_one_alert() {
    let (groups, _) = alerts(told_json(Format::Pubsub, &push(&incident(|_| {}))));
    assert_eq!(
        groups[0].group_key,
        r#"{"alertname"="CPU too high","service"="web"}"#
    );
    let report = &groups[0].alerts[0];
    assert_eq!(report.status, Firing);
    assert_eq!(report.starts_at, at("2026-11-21T02:01:26Z"));
    assert_eq!(
        report.labels,
        Labels::from([
            ("alertname", "CPU too high"),
            ("source", "cloud_monitoring"),
            ("condition", "VM Instance - CPU utilization"),
            ("project", "shop"),
            ("severity", "critical"),
            ("resource_type", "gce_instance"),
            ("instance_id", "123"),
            ("project_id", "shop"),
            ("zone", "us-a"),
            ("instance_name", "web-1"),
            ("service", "web"),
        ])
    );
    assert_eq!(report.annotations.get("description"), "Look at the dashboard.");
}

#[test]
fn a_closed_incident_is_the_same_alert_resolved() {
    let opened = only(told_json(Format::Pubsub, &push(&incident(|_| {}))));
    let closed = |change: &dyn Fn(&mut Value)| {
        only(told_json(
            Format::Pubsub,
            &push(&incident(|incident| {
                incident["state"] = json!("CLOSED");
                incident["ended_at"] = json!(1_795_226_600);
                change(incident);
            })),
        ))
    };
    let report = closed(&|incident| {
        incident["policy_name"] = json!("renamed");
        incident["severity"] = json!("No severity");
        incident["resource"] = json!(null);
    });
    assert_eq!(report.fingerprint, opened.fingerprint);
    assert_eq!(report.status, Resolved);
    assert_eq!(report.ends_at, Some(at("2026-11-21T02:03:20Z")));
    assert_eq!(report.labels.get("severity"), "");
    let without_end = closed(&|incident| incident["ended_at"] = json!(null));
    assert_eq!(without_end.ends_at, Some(at(RECEIVED_AT)));
}

#[test]
fn a_test_is_nothing() {
    let mut test = incident(|_| {});
    test["version"] = json!("test");
    assert!(matches!(
        told_json(Format::Pubsub, &push(&test)),
        Ok(Content::Nothing(_))
    ));
}

#[test]
fn other_data_is_read_as_if_it_had_come_alone() {
    let alert = json!({"status": "firing", "labels": {"alertname": "Down"}, "startsAt": RECEIVED_AT});
    let alertmanager = json!({"receiver": "team", "groupKey": "{}:{}", "alerts": [alert]});
    assert_eq!(
        told_json(Format::Pubsub, &push(&alertmanager)),
        told_json(Format::Alertmanager, &alertmanager)
    );
    let plain = json!({"title": "Down", "status": "firing"});
    assert_eq!(
        told_json(Format::Pubsub, &push(&plain)),
        told_json(Format::Generic, &plain)
    );

    let mapping: Mapping =
        serde_json::from_value(json!({"labels": {"names": {"alertname": "what"}}})).unwrap();
    let own = push(&json!({"what": "Backup failed"})).to_string();
    assert_eq!(
        only(told(Format::Pubsub, own.as_bytes(), Some(&mapping))).title(),
        "Backup failed"
    );
}

#[test]
fn a_fault_names_its_place() {
    let of = |path: &str, value: Value| {
        let mut data = incident(|_| {});
        *data.pointer_mut(path).unwrap() = value;
        place(Format::Pubsub, &push(&data))
    };
    for (body, at) in [
        (json!([]), ""),
        (json!({}), "message"),
        (json!({"message": {}}), "message.data"),
        (json!({"message": {"data": "no base64!"}}), "message.data"),
        (json!({"message": {"data": "e30"}}), "message.data"),
        (
            json!({"message": {"data": "ew=="}}),
            "message.data: line 1, column 1",
        ),
    ] {
        assert_eq!(place(Format::Pubsub, &body), at, "{body}");
    }
    assert_eq!(
        of("/incident/incident_id", json!(null)),
        "message.data: incident.incident_id"
    );
    assert_eq!(
        of("/incident/state", json!("half-open")),
        "message.data: incident.state"
    );
    assert_eq!(
        of("/incident/started_at", json!("x")),
        "message.data: incident.started_at"
    );
    assert_eq!(
        of("/incident/resource/type", json!(7)),
        "message.data: incident.resource.type"
    );
}
