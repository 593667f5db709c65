//! PagerDuty's webhooks: which events mean something, and whose alert they are.

use serde_json::{Value, json};

use super::{alerts, at, only, place, told_json};
use crate::{
    domain::{
        alert::{
            AlertReport,
            AlertStatus::{Firing, Resolved},
        },
        labels::Labels,
    },
    intake::{Content, Format},
};

const CREATED: &str = "2026-11-21T02:01:26Z";
const OCCURRED: &str = "2026-11-21T02:04:00.169Z";

fn event(kind: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut body = json!({"event": {
        "id": "01CH754SM17TWPE2V2H4VPBRO7", "event_type": kind, "resource_type": "incident", "occurred_at": OCCURRED,
        "agent": {"html_url": "https://acme.pagerduty.com/users/PLH1HKV", "id": "PLH1HKV", "type": "user_reference"},
        "client": null,
        "data": {
            "id": "PGR0VU2", "type": "incident", "self": "https://api.pagerduty.com/incidents/PGR0VU2",
            "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2", "number": 2, "status": "triggered",
            "incident_key": "d3640fbd41094207a1c11e58e46b1662", "created_at": CREATED,
            "title": "A little bump in the road",
            "service": {"id": "PF9KMXH", "summary": "API Service", "type": "service_reference"},
            "assignees": [], "priority": {"id": "PSO75BM", "summary": "P1", "type": "priority_reference"},
            "urgency": "high", "conference_bridge": null, "resolve_reason": null,
        },
    }});
    change(&mut body["event"]);
    body
}

fn report(kind: &str) -> AlertReport {
    only(told_json(Format::Pagerduty, &event(kind, |_| {})))
}

#[test]
fn three_events_say_whether_it_fires() {
    for (kind, status, starts_at, ends_at) in [
        ("incident.triggered", Firing, CREATED, None),
        ("incident.reopened", Firing, OCCURRED, None),
        ("incident.resolved", Resolved, CREATED, Some(OCCURRED)),
    ] {
        let report = report(kind);
        assert_eq!(report.status, status, "{kind}");
        assert_eq!(report.starts_at, at(starts_at), "{kind}");
        assert_eq!(report.ends_at, ends_at.map(at), "{kind}");
    }
    for kind in [
        "incident.acknowledged",
        "incident.unacknowledged",
        "incident.escalated",
        "incident.delegated",
        "incident.reassigned",
        "incident.priority_updated",
        "incident.annotated",
        "service.updated",
        "pagey.ping",
        "incident.something_new",
    ] {
        // A note's data is no incident, nor is a ping's.
        for body in [
            event(kind, |_| {}),
            event(kind, |event| event["data"] = json!({"type": "ping"})),
        ] {
            let content = told_json(Format::Pagerduty, &body);
            assert!(matches!(content, Ok(Content::Nothing(_))), "{kind}: {content:?}");
        }
    }
}

#[test]
fn an_incident_is_a_group_of_one_alert() {
    let (groups, _) = alerts(told_json(Format::Pagerduty, &event("incident.triggered", |_| {})));
    assert_eq!(groups[0].group_key, "pagerduty:PGR0VU2");
    let report = &groups[0].alerts[0];
    assert_eq!(
        report.labels,
        Labels::from([
            ("alertname", "A little bump in the road"),
            ("source", "pagerduty"),
            ("incident", "PGR0VU2"),
            ("service", "API Service"),
            ("urgency", "high"),
            ("priority", "P1"),
            ("severity", "critical"),
        ])
    );
    assert_eq!(report.annotations.get("pagerduty_number"), "2");
    assert_eq!(
        report.generator_url,
        "https://acme.pagerduty.com/incidents/PGR0VU2"
    );
}

#[test]
fn an_edited_incident_stays_the_same_alert() {
    let edited = event("incident.resolved", |event| {
        event["data"]["title"] = json!("Checkout is down");
        event["data"]["urgency"] = json!("low");
        event["data"]["service"] = json!(null);
        event["data"]["priority"] = json!(null);
    });
    let edited = only(told_json(Format::Pagerduty, &edited));
    assert_eq!(edited.fingerprint, report("incident.triggered").fingerprint);
    assert_eq!(edited.labels.get("severity"), "warning");
    let other = event("incident.triggered", |event| {
        event["data"]["id"] = json!("PGR0VU3")
    });
    let other = only(told_json(Format::Pagerduty, &other));
    assert_ne!(other.fingerprint, edited.fingerprint);
}

#[test]
fn a_fault_names_its_place() {
    let change = |path: &str, value: Value| {
        let body = event("incident.triggered", |event| {
            *event.pointer_mut(path).unwrap() = value
        });
        place(Format::Pagerduty, &body)
    };
    assert_eq!(place(Format::Pagerduty, &json!([])), "");
    assert_eq!(place(Format::Pagerduty, &json!({})), "event");
    assert_eq!(place(Format::Pagerduty, &json!({"messages": []})), "event");
    assert_eq!(change("/event_type", json!(null)), "event.event_type");
    assert_eq!(change("/occurred_at", json!(null)), "event.occurred_at");
    assert_eq!(change("/occurred_at", json!("x")), "event.occurred_at");
    assert_eq!(change("/data", json!(null)), "event.data");
    assert_eq!(change("/data/id", json!("")), "event.data.id");
    assert_eq!(
        change("/data/service/summary", json!([])),
        "event.data.service.summary"
    );
}

#[test]
fn hostile_text_is_data() {
    let body = event("incident.triggered", |event| {
        event["data"]["title"] = json!("\0<script>\u{202e}");
        event["data"]["__proto__"] = json!({"id": "x"});
    });
    let report = only(told_json(Format::Pagerduty, &body));
    assert_eq!(report.title(), "␀<script>\u{202e}");
}
