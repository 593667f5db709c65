//! Prometheus pushing straight to Muster: mixed batches, leases, starts and faults.

use serde_json::{Value, json};

use super::{RECEIVED_AT, alerts, at, only, place, told_json};
use crate::{
    domain::{
        alert::AlertStatus::{Firing, Resolved},
        labels::Labels,
    },
    intake::{Content, Format, Reader, alertmanager, prometheus},
};

/// As Prometheus 2.53 sends it to `/api/v2/alerts`.
fn alert(labels: Value, starts: &str, ends: &str) -> Value {
    json!({
        "endsAt": ends, "startsAt": starts,
        "generatorURL": "http://prom:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "labels": labels,
    })
}

#[test]
fn an_alert_fires_until_its_end_has_passed() {
    let start = "2026-11-21T02:01:26.123Z";
    let ahead = "2026-11-21T02:09:00Z";
    let past = "2026-11-21T02:04:59.5Z";
    let in_five_minutes = "2026-11-21T02:10:00Z";
    for (starts, ends, status, starts_at, ends_at, lease) in [
        (json!(start), json!(ahead), Firing, start, None, Some(ahead)),
        (json!(start), json!(past), Resolved, start, Some(past), None),
        // An end that is now is over, as Alertmanager has it.
        (
            json!(start),
            json!(RECEIVED_AT),
            Resolved,
            start,
            Some(RECEIVED_AT),
            None,
        ),
        (
            json!(start),
            json!(null),
            Firing,
            start,
            None,
            Some(in_five_minutes),
        ),
        (
            json!(start),
            json!("0001-01-01T00:00:00Z"),
            Firing,
            start,
            None,
            Some(in_five_minutes),
        ),
        (json!(null), json!(ahead), Firing, RECEIVED_AT, None, Some(ahead)),
        (
            json!(null),
            json!(null),
            Firing,
            RECEIVED_AT,
            None,
            Some(in_five_minutes),
        ),
        (json!(null), json!(past), Resolved, past, Some(past), None),
        (
            json!("2099-01-01T00:00:00Z"),
            json!(null),
            Firing,
            "2099-01-01T00:00:00Z",
            None,
            Some(in_five_minutes),
        ),
    ] {
        let body = json!([{"labels": {"alertname": "Down"}, "startsAt": starts, "endsAt": ends}]);
        let report = only(told_json(Format::Prometheus, &body));
        assert_eq!(report.status, status, "{body}");
        assert_eq!(report.starts_at, at(starts_at), "{body}");
        assert_eq!(report.ends_at, ends_at.map(at), "{body}");
        assert_eq!(report.lease_until, lease.map(at), "{body}");
    }
}

#[test]
fn the_first_version_of_the_interface_reads_the_same() {
    // As Prometheus 2.42 sends it to `/api/v1/alerts`.
    let body = json!([{
        "labels": {"alertname": "DemoAlert", "instance": "db-1", "severity": ""},
        "annotations": {}, "startsAt": "2026-11-21T02:01:26.123456789Z", "endsAt": "2026-11-21T02:09:26.123456789Z",
        "generatorURL": "http://prom:9090/graph",
    }]);
    let report = only(told_json(Format::Prometheus, &body));
    let labels = Labels::from([("alertname", "DemoAlert"), ("instance", "db-1")]);
    assert_eq!(report.fingerprint, labels.fingerprint(), "empty labels are none");
    assert_eq!(report.labels, labels);
    assert_eq!(report.annotations, Labels::default());
    assert_eq!(report.generator_url, "http://prom:9090/graph");
}

#[test]
fn a_mixed_batch_is_split_into_its_groups_whatever_its_order() {
    let (start, ahead, past) = (
        "2026-11-21T02:00:00Z",
        "2026-11-21T02:09:00Z",
        "2026-11-21T02:04:00Z",
    );
    let one = |name: &str, instance: &str, ends| {
        alert(
            json!({"alertname": name, "cluster": "a", "instance": instance}),
            start,
            ends,
        )
    };
    let mut batch = vec![
        one("Down", "db-1", ahead),
        one("Slow", "db-1", past),
        one("Down", "db-2", past),
        alert(json!({"job": "node"}), start, ahead),
        alert(json!({"alertname": "A\",\"cluster\"=\"a"}), start, ahead),
    ];
    let (groups, faults) = alerts(told_json(Format::Prometheus, &json!(batch)));
    assert_eq!(faults, []);
    let keys: Vec<(&str, usize)> = groups
        .iter()
        .map(|group| (group.group_key.as_str(), group.alerts.len()))
        .collect();
    assert_eq!(
        keys,
        [
            (r#"{"alertname"="A\",\"cluster\"=\"a"}"#, 1),
            (r#"{"alertname"="Down","cluster"="a"}"#, 2),
            (r#"{"alertname"="Slow","cluster"="a"}"#, 1),
            ("{}", 1),
        ]
    );
    assert!(
        groups
            .iter()
            .all(|group| group.receiver.is_empty() && group.truncated == 0)
    );
    batch.reverse();
    assert_eq!(
        alerts(told_json(Format::Prometheus, &json!(batch))),
        (groups, faults)
    );
}

#[test]
fn the_later_of_two_reports_of_one_alert_counts() {
    let labels = json!({"alertname": "Down"});
    let (start, ahead, past) = (
        "2026-11-21T02:00:00Z",
        "2026-11-21T02:09:00Z",
        "2026-11-21T02:04:00Z",
    );
    let body = json!([alert(labels.clone(), start, ahead), alert(labels, start, past)]);
    assert_eq!(only(told_json(Format::Prometheus, &body)).status, Resolved);
}

#[test]
fn faults_of_single_alerts_leave_the_others_usable() {
    let good = json!({"labels": {"alertname": "Down"}});
    for (bad, place) in [
        (json!(7), "[0]"),
        (json!({}), "[0].labels"),
        (json!({"labels": {}}), "[0].labels"),
        (json!({"labels": {"a": ""}}), "[0].labels"),
        (json!({"labels": {"a": 1}}), "[0].labels.a"),
        (json!({"labels": {"a\0": 1}}), "[0].labels.a␀"),
        (
            json!({"labels": {"a": "b"}, "annotations": []}),
            "[0].annotations",
        ),
        (json!({"labels": {"a": "b"}, "startsAt": "now"}), "[0].startsAt"),
        (
            json!({"labels": {"a": "b"}, "startsAt": "2026-11-21T02:00:00Z", "endsAt": "2026-11-21T01:00:00Z"}),
            "[0].endsAt",
        ),
        (
            json!({"labels": {"a": "b"}, "generatorURL": {}}),
            "[0].generatorURL",
        ),
    ] {
        let (groups, faults) = alerts(told_json(Format::Prometheus, &json!([bad, good])));
        assert_eq!(groups.len(), 1, "{bad}");
        assert_eq!(
            faults
                .iter()
                .map(|fault| fault.place.as_str())
                .collect::<Vec<_>>(),
            [place]
        );
    }
    let (groups, faults) = alerts(told_json(Format::Prometheus, &json!(vec![json!(null); 1000])));
    assert_eq!(groups, []);
    assert_eq!(faults.len(), 33);
    assert_eq!(faults[32].to_string(), "968 more alerts cannot be used");
}

#[test]
fn a_body_that_is_no_list_is_refused_whole() {
    assert_eq!(place(Format::Prometheus, &json!({"alerts": []})), "");
    assert_eq!(place(Format::Prometheus, &json!("x")), "");
    assert!(matches!(
        told_json(Format::Prometheus, &json!([])),
        Ok(Content::Nothing(_))
    ));
}

#[test]
fn hostile_text_is_data() {
    let body = json!([alert(
        json!({"__proto__": "x", "a\0b": "c\0d", "\u{202e}": "<b>"}),
        RECEIVED_AT,
        ""
    )]);
    let report = only(told_json(Format::Prometheus, &body));
    let sent = Labels::from([("__proto__", "x"), ("a\0b", "c\0d"), ("\u{202e}", "<b>")]);
    assert_eq!(report.fingerprint, sent.fingerprint());
    assert_eq!(
        report.labels,
        Labels::from([("__proto__", "x"), ("a␀b", "c␀d"), ("\u{202e}", "<b>")])
    );
}

#[test]
fn recorded_alerts_are_who_alertmanager_says_they_are() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/alertmanager");
    // Later than every end in them.
    let with = Reader {
        received_at: at("2026-11-22T00:00:00Z"),
        correlate_by: &[],
        mapping: None,
    };
    let mut compared = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let Ok(recording) = serde_json::from_slice::<Value>(&std::fs::read(file.unwrap().path()).unwrap())
        else {
            continue;
        };
        for request in recording["requests"].as_array().unwrap() {
            let body = request["body_raw"].as_str().unwrap();
            let stated = alertmanager::parse(body.as_bytes()).unwrap().alerts;
            // The same list, without what Prometheus does not send: states and fingerprints.
            let mut list = serde_json::from_str::<Value>(body).unwrap()["alerts"].take();
            for alert in list.as_array_mut().unwrap() {
                let alert = alert.as_object_mut().unwrap();
                alert.retain(|key, _| !["status", "fingerprint"].contains(&key.as_str()));
                alert.retain(|key, value| key != "annotations" || *value != json!({}));
            }
            let (groups, faults) = alerts(prometheus::read(list.to_string().as_bytes(), &with));
            assert_eq!(faults, []);
            let mut read: Vec<_> = groups.into_iter().flat_map(|group| group.alerts).collect();
            read.sort_by_key(|report| report.fingerprint);
            for report in &mut read {
                assert_eq!(report.lease_until.take().is_some(), report.status == Firing);
            }
            compared += read.len();
            assert_eq!(read, stated);
        }
    }
    assert!(compared > 2000, "{compared}");
}
