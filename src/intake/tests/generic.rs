//! Any JSON: the plain shape, mappings, and faults that name the field of the mapping and the place in the body.

use serde_json::{Value, json};

use super::{RECEIVED_AT, alerts, at, only, told, told_json};
use crate::{
    domain::{
        alert::AlertStatus::{Firing, Resolved},
        labels::Labels,
    },
    intake::{Content, Delivery, Fault, Format, mapping::Mapping},
};

fn mapping(json: Value) -> Mapping {
    serde_json::from_value(json).unwrap()
}

fn mapped(mapping_: Value, body: &Value) -> Result<Content, Fault> {
    told(
        Format::Generic,
        body.to_string().as_bytes(),
        Some(&mapping(mapping_)),
    )
}

#[test]
fn the_plain_shape_needs_little() {
    let report = only(told_json(
        Format::Generic,
        &json!({"title": "Disk full", "status": "firing"}),
    ));
    assert_eq!(report.labels, Labels::from([("alertname", "Disk full")]));
    assert_eq!((report.status, report.starts_at), (Firing, at(RECEIVED_AT)));
    assert_eq!(report.fingerprint, report.labels.fingerprint());

    let whole = json!({
        "title": "Disk full", "status": "Resolved", "starts_at": "2026-11-21T02:01:26Z", "ends_at": 1_795_226_600,
        "labels": {"service": "db", "severity": "critical", "shard": 7, "spare": true, "none": null, "empty": ""},
        "annotations": {"summary": "Disk full on db-1"}, "url": "https://example.org/7", "key": "disk-db-1",
    });
    let report = only(told_json(Format::Generic, &whole));
    assert_eq!(report.status, Resolved);
    assert_eq!(report.ends_at, Some(at("2026-11-21T02:03:20Z")));
    assert_eq!(
        report.labels,
        Labels::from([
            ("alertname", "Disk full"),
            ("service", "db"),
            ("severity", "critical"),
            ("shard", "7"),
            ("spare", "true"),
        ])
    );
    assert_eq!(report.generator_url, "https://example.org/7");
    let renamed = json!({"title": "Disk is full", "status": "ok", "key": "disk-db-1"});
    assert_eq!(
        only(told_json(Format::Generic, &renamed)).fingerprint,
        report.fingerprint
    );

    let list = json!([whole, {"title": "Slow", "status": "firing", "labels": {"service": "db"}}]);
    let (groups, faults) = alerts(told_json(Format::Generic, &list));
    assert_eq!((groups.len(), &faults[..]), (2, &[][..]));
    assert_eq!(
        alerts(told_json(Format::Generic, &json!({"alerts": list}))),
        (groups, faults)
    );
    assert!(matches!(
        told_json(Format::Generic, &json!({"alerts": []})),
        Ok(Content::Nothing(_))
    ));
}

#[test]
fn a_mapping_finds_the_parts_wherever_they_stand() {
    let body = json!({"data": {"events": [{
        "id": 12, "rule": {"title": "Latency", "app.name": "checkout"}, "state": "TRIGGERED", "hosts": ["a", "b"],
        "since": 1_795_226_486_000_i64, "tags": {"env": "prod", "alertname": "from the tags"},
        "text": {"short": "slow", "long": "very slow"}, "links": [{"href": "https://m/12"}],
    }]}});
    let words = json!({
        "alerts": "data.events", "status": "state", "firing": ["triggered"], "resolved": ["recovered"],
        "starts_at": "since", "url": "links[0].href", "key": ["id", "rule[\"app.name\"]"],
        "labels": {
            "from": "tags",
            "names": {"alertname": "rule.title", "service": "rule[\"app.name\"]", "host": "hosts[1]", "all": "hosts", "no": "x.y"},
        },
        "annotations": {"from": "text", "names": {"summary": "text.short"}},
    });
    let report = only(mapped(words.clone(), &body));
    assert_eq!(
        report.labels,
        Labels::from([
            ("alertname", "Latency"),
            ("service", "checkout"),
            ("host", "b"),
            ("all", "[\"a\",\"b\"]"),
            ("env", "prod"),
        ])
    );
    assert_eq!(
        report.annotations,
        Labels::from([("short", "slow"), ("long", "very slow"), ("summary", "slow")])
    );
    assert_eq!(report.starts_at, at("2026-11-21T02:01:26Z"));
    assert_eq!(report.generator_url, "https://m/12");

    let mut over = body;
    over["data"]["events"][0]["state"] = json!("Recovered");
    over["data"]["events"][0]["tags"] = json!({});
    let over = only(mapped(words, &over));
    assert_eq!(over.fingerprint, report.fingerprint);
    assert_eq!((over.status, over.ends_at), (Resolved, Some(at(RECEIVED_AT))));
}

#[test]
fn identity_is_the_key_or_all_labels() {
    let words = |key: Value| json!({"labels": {"from": "."}, "key": key});
    let of = |key: Value, body: Value| only(mapped(words(key), &body)).fingerprint;
    assert_eq!(
        of(json!(["id"]), json!({"id": 1, "v": 1})),
        of(json!(["id"]), json!({"id": "1", "v": 2}))
    );
    assert_ne!(
        of(json!([]), json!({"id": 1, "v": 1})),
        of(json!([]), json!({"id": 1, "v": 2}))
    );
    // Alerts without a key are not all one alert.
    assert_ne!(
        of(json!(["id"]), json!({"v": 1})),
        of(json!(["id"]), json!({"v": 2}))
    );
}

#[test]
fn a_value_in_both_lists_is_firing() {
    let words = json!({"status": "s", "firing": ["x"], "resolved": ["X"], "labels": {"from": "."}});
    assert_eq!(only(mapped(words, &json!({"s": "x"}))).status, Firing);
}

#[test]
fn a_fault_names_the_field_and_the_place() {
    let words = json!({
        "alerts": "data", "status": "meta.state", "starts_at": "from", "ends_at": "to",
        "labels": {"from": "tags"}, "annotations": {"from": "notes"},
    });
    for (alert, fault) in [
        (json!(7), "data[0]: alerts: expected an object, found a number"),
        (json!({}), "data[0].meta.state: status: missing"),
        (
            json!({"meta": {"state": "odd\0"}}),
            "data[0].meta.state: status: `odd␀` is neither firing (firing, triggered, alerting, alert, open, active, \
             problem, critical) nor resolved (resolved, ok, closed, recovered, recovery, inactive)",
        ),
        (
            json!({"meta": {"state": "open"}, "tags": []}),
            "data[0].tags: labels.from: expected an object, found a list",
        ),
        (
            json!({"meta": {"state": "open"}}),
            "data[0]: labels: found none, and no key",
        ),
        (
            json!({"meta": {"state": "open"}, "tags": {"a": "b"}, "from": "then"}),
            "data[0].from: starts_at: expected a time like 2026-11-21T02:01:26Z",
        ),
        (
            json!({"meta": {"state": "ok"}, "tags": {"a": "b"}, "to": {}}),
            "data[0].to: ends_at: expected a time like 2026-11-21T02:01:26Z",
        ),
        (
            json!({"meta": {"state": "open"}, "tags": {"a": "b"}, "notes": "x"}),
            "data[0].notes: annotations.from: expected an object, found a text",
        ),
    ] {
        let good = json!({"meta": {"state": "open"}, "tags": {"a": "b"}});
        let (groups, faults) = alerts(mapped(words.clone(), &json!({"data": [alert, good]})));
        assert_eq!(groups.len(), 1, "{alert}");
        assert_eq!(faults.iter().map(Fault::to_string).collect::<Vec<_>>(), [fault]);
    }
    let whole = mapped(words.clone(), &json!({"data": {}})).unwrap_err();
    assert_eq!(whole.to_string(), "data.meta.state: status: missing");
    let nothing = mapped(words, &json!([])).unwrap_err();
    assert_eq!(
        nothing.to_string(),
        "data: alerts: expected a list of alerts or one alert, found nothing"
    );
}

#[test]
fn hostile_text_is_data() {
    let body = json!({"title": "\0", "status": "firing", "labels": {"__proto__": "x", "\0": {"\0": 1}}});
    let report = only(told_json(Format::Generic, &body));
    assert_eq!(report.labels.get("alertname"), "␀");
    assert_eq!(report.labels.get("__proto__"), "x");
    assert_eq!(report.labels.get("␀"), "{\"\\u0000\":1}");
    let (groups, _): (Vec<Delivery>, _) = alerts(told_json(Format::Generic, &json!([body, body])));
    assert_eq!(groups[0].alerts.len(), 1, "twice the same is once");
}
