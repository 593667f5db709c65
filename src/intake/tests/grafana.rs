//! Grafana's webhook: Alertmanager's, and what it adds.

use serde_json::{Value, json};

use super::{alerts, only, place, told_json};
use crate::{
    domain::alert::{AlertStatus::Resolved, Fingerprint},
    intake::Format,
};

/// As Grafana documents it, with two alerts.
fn body() -> Value {
    json!({
        "receiver": "Muster", "status": "firing", "orgId": 1, "version": "1", "title": "[FIRING:1, RESOLVED:1]",
        "groupKey": "{}/{team=\"db\"}:{alertname=\"HighLoad\"}", "truncatedAlerts": 2, "state": "alerting",
        "message": "**Firing**", "externalURL": "https://grafana.example.org/", "appVersion": "12.1.0",
        "groupLabels": {"alertname": "HighLoad"}, "commonLabels": {}, "commonAnnotations": {},
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "HighLoad", "grafana_folder": "DB", "instance": "db-1"},
                "annotations": {"summary": "load is high", "grafana_panel_url": "the rule's own"},
                "startsAt": "2026-11-21T02:01:30+01:00", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://grafana.example.org/alerting/1afz29v7z/edit",
                "fingerprint": "c6eadffa33fcdf37",
                "silenceURL": "https://grafana.example.org/alerting/silence/new?alertmanager=grafana",
                "dashboardURL": "https://grafana.example.org/d/abc", "panelURL": "https://grafana.example.org/d/abc?viewPanel=7",
                "values": {"B": 44.231, "C": null}, "valueString": "[ var='B' labels={} value=44.231 ]",
                "ruleUID": "1afz29v7z", "imageURL": "", "orgId": 1, "enrichments": null,
            },
            {
                "status": "resolved",
                "labels": {"alertname": "DatasourceNoData", "datasource_uid": "p8", "rulename": "HighLoad"},
                "annotations": {}, "startsAt": "2026-11-21T01:00:00Z", "endsAt": "2026-11-21T02:01:00Z",
                "generatorURL": "", "fingerprint": "", "values": null, "valueString": "",
            },
        ],
    })
}

#[test]
fn a_body_reads_as_alertmanagers_with_links_beside() {
    let (groups, faults) = alerts(told_json(Format::Grafana, &body()));
    assert_eq!(faults, []);
    let [group] = &groups[..] else {
        panic!("{groups:?}")
    };
    assert_eq!(group.receiver, "Muster");
    assert_eq!(group.truncated, 2);
    let high = Fingerprint(0xc6ea_dffa_33fc_df37);
    let (high, no_data): (Vec<_>, Vec<_>) = group.alerts.iter().partition(|alert| alert.fingerprint == high);
    let annotations: Vec<(&str, &str)> = high[0]
        .annotations
        .0
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        annotations,
        [
            ("grafana_dashboard_url", "https://grafana.example.org/d/abc"),
            ("grafana_panel_url", "the rule's own"),
            ("grafana_rule_uid", "1afz29v7z"),
            (
                "grafana_silence_url",
                "https://grafana.example.org/alerting/silence/new?alertmanager=grafana"
            ),
            ("grafana_value_string", "[ var='B' labels={} value=44.231 ]"),
            ("grafana_values", r#"{"B":44.231,"C":null}"#),
            ("summary", "load is high"),
        ]
    );
    assert_eq!(high[0].lease_until, None);
    assert_eq!(no_data[0].title(), "DatasourceNoData");
    assert_eq!(no_data[0].status, Resolved);
    assert_eq!(no_data[0].fingerprint, no_data[0].labels.fingerprint());
    assert!(no_data[0].annotations.0.is_empty());
}

#[test]
fn what_grafana_adds_is_never_a_fault() {
    let mut body = body();
    body["alerts"].as_array_mut().unwrap().truncate(1);
    body["alerts"][0]["dashboardURL"] = json!({"not": "a text"});
    let report = only(told_json(Format::Grafana, &body));
    assert_eq!(
        report.annotations.get("grafana_dashboard_url"),
        r#"{"not":"a text"}"#
    );
}

#[test]
fn its_faults_are_alertmanagers() {
    let change = |path: &str, value: Value| {
        let mut body = body();
        *body.pointer_mut(path).unwrap() = value;
        place(Format::Grafana, &body)
    };
    assert_eq!(change("/alerts", json!([])), "alerts");
    assert_eq!(change("/alerts/1/status", json!("alerting")), "alerts[1].status");
    assert_eq!(
        change("/alerts/0/labels/instance", json!(1)),
        "alerts[0].labels.instance"
    );
    assert_eq!(
        place(Format::Grafana, &json!({"text": "a custom payload"})),
        "alerts"
    );
}
