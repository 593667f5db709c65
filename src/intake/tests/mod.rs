//! What every reader must do, whatever the format: no bytes make one panic, and the same bytes mean the same.

mod generic;
mod grafana;
mod pagerduty;
mod prometheus;
mod pubsub;
mod sns;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    CORRELATE_BY, Content, Delivery, Fault, Format, Reader,
    mapping::{JsonPath, Mapping},
    read,
};
use crate::domain::alert::AlertReport;

/// When every body arrives.
const RECEIVED_AT: &str = "2026-11-21T02:05:00Z";

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

/// Reads with the standard settings.
fn told(format: Format, body: &[u8], mapping: Option<&Mapping>) -> Result<Content, Fault> {
    let correlate_by = CORRELATE_BY.map(str::to_owned);
    let with = Reader {
        received_at: at(RECEIVED_AT),
        correlate_by: &correlate_by,
        mapping,
    };
    read(format, body, &with)
}

fn told_json(format: Format, body: &Value) -> Result<Content, Fault> {
    told(format, body.to_string().as_bytes(), None)
}

/// The groups and faults of a body that has alerts.
fn alerts(content: Result<Content, Fault>) -> (Vec<Delivery>, Vec<Fault>) {
    match content {
        Ok(Content::Alerts { groups, faults }) => (groups, faults),
        other => panic!("no alerts: {other:?}"),
    }
}

/// The alert of a body that has one.
fn only(content: Result<Content, Fault>) -> AlertReport {
    let (mut groups, faults) = alerts(content);
    assert_eq!(faults, []);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].alerts.len(), 1);
    groups.remove(0).alerts.remove(0)
}

/// The place of the fault of a body that cannot be used at all.
fn place(format: Format, body: &Value) -> String {
    told_json(format, body).unwrap_err().place
}

#[test]
fn a_format_is_found_by_its_name() {
    for format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
        assert!(!format.title().is_empty());
    }
    assert_eq!(Format::from_name("Sns"), None);
}

/// Deeper than JSON is read; far deeper than any sender nests.
const NESTING: usize = 10_000;

#[test]
fn endless_nesting_is_a_fault_in_every_format() {
    for format in Format::ALL {
        for open in ["[", "{\"a\":", "{\"event\":", "{\"message\":", "{\"alerts\":["] {
            let fault = told(format, open.repeat(NESTING).as_bytes(), None).unwrap_err();
            assert!(
                fault.problem.starts_with("not JSON: "),
                "{format:?} {open}: {fault}"
            );
        }
    }
}

/// A body of each format into which anything can be put.
fn shapes(anything: &Value) -> Vec<(Format, Value)> {
    let alert = json!({
        "labels": anything, "annotations": anything, "status": "resolved", "startsAt": RECEIVED_AT,
        "values": anything, "title": anything, "key": anything,
    });
    let incident =
        json!({"incident": {"incident_id": "1", "state": "open", "resource": anything, "metric": anything}});
    let alarm =
        json!({"AlarmName": "a", "NewStateValue": "OK", "Trigger": anything, "StateChangeTime": anything});
    let event = |data: &Value| json!({"event": {"event_type": "incident.triggered", "occurred_at": RECEIVED_AT, "data": data}});
    let base64 = |value: &Value| data_encoding::BASE64.encode(value.to_string().as_bytes());
    vec![
        (Format::Alertmanager, json!({"alerts": [alert]})),
        (Format::Prometheus, json!([alert, anything])),
        (Format::Prometheus, anything.clone()),
        (Format::Grafana, json!({"alerts": [alert], "groupKey": anything})),
        (Format::Pagerduty, event(anything)),
        (
            Format::Pagerduty,
            event(&json!({"id": "P1", "service": anything, "title": anything})),
        ),
        (
            Format::Sns,
            json!({"Type": "Notification", "Message": alarm.to_string()}),
        ),
        (
            Format::Sns,
            json!({"Type": "SubscriptionConfirmation", "SubscribeURL": anything}),
        ),
        (Format::Pubsub, json!({"message": {"data": base64(&incident)}})),
        (Format::Pubsub, json!({"message": {"data": base64(anything)}})),
        (Format::Generic, json!({"alerts": [alert, anything]})),
        (Format::Generic, anything.clone()),
    ]
}

/// JSON of any kind, with the keys that readers look for and with hostile ones.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "__proto__",
            "a\0b",
            "",
            "alerts",
            "labels",
            "status",
            "incident",
            "type",
            "Dimensions",
            "name",
            "value",
            "ends_at",
            "starts_at",
            "title",
            "id",
            "key",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "firing",
            "OK",
            "\0",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:60-23:59"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Everything that may be stored can be.
fn is_storable(content: &Content) -> bool {
    let Content::Alerts { groups, faults } = content else {
        return true;
    };
    let of_groups = groups.iter().flat_map(|group| {
        let texts = group.alerts.iter().flat_map(|alert| {
            let pairs = alert.labels.0.iter().chain(&alert.annotations.0);
            pairs
                .flat_map(|(name, value)| [name, value])
                .chain([&alert.generator_url])
        });
        texts.chain([&group.receiver, &group.group_key])
    });
    let of_faults = faults.iter().flat_map(|fault| [&fault.place, &fault.problem]);
    of_groups.chain(of_faults).all(|text| !text.contains('\0'))
}

/// A mapping that looks everywhere.
fn broad_mapping() -> Mapping {
    let path = |text: &str| Some(JsonPath::parse(text).unwrap());
    let mut mapping = Mapping {
        alerts: path("alerts"),
        status: path("status"),
        starts_at: path("starts_at"),
        ends_at: path("ends_at"),
        url: path("title"),
        key: path("labels").into_iter().collect(),
        ..Mapping::default()
    };
    mapping.labels.from = path(".");
    mapping.annotations.from = path("labels");
    mapping
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in Format::ALL {
            prop_assert_eq!(told(format, &body, None), told(format, &body, None));
        }
    }

    #[test]
    fn no_json_makes_a_reader_panic(anything in any_json()) {
        let mapping = broad_mapping();
        for (format, body) in shapes(&anything) {
            for mapping in [None, Some(&mapping)] {
                let body = body.to_string();
                let first = told(format, body.as_bytes(), mapping);
                prop_assert_eq!(&first, &told(format, body.as_bytes(), mapping));
                match first {
                    Ok(content) => prop_assert!(is_storable(&content), "{content:?}"),
                    Err(fault) => prop_assert!(!fault.to_string().contains('\0')),
                }
            }
        }
    }

    #[test]
    fn no_text_makes_a_path_panic(text in "[a\\[\\]0-9.\"\\\\é]{0,12}", value in any_json()) {
        if let Ok(path) = JsonPath::parse(&text) {
            path.find(&value);
        }
    }
}
