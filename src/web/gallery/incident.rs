//! The page of one incident.

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{Specimen, frame, now, operator};
use crate::{
    catalog,
    domain::{
        action::Rendered,
        approval::{ApprovalState, Bound, BoundStep},
        digest::Digest,
        duty::Duty,
        event::{Event, IncidentFact, Recorded},
        id::{ApprovalId, IncidentId, OperatorId, RunId},
        incident::{IncidentState, Severity},
        labels::Labels,
        note::NoteTag,
        operator::{Actor, Operator, Role, Via},
        run::{RunFact, Settled},
        step::ActionKind,
        taking_back::{Undo, Undoable},
    },
    incident::corrections::Corrected,
    store::{
        alerts::MemberAlert, approvals::Approval, duties::Holder, incidents::Incident, services::Other,
        timelines::KindCount,
    },
    web::view::{
        alert_rate::Scale,
        correction::CorrectionPage,
        incident::{IncidentPage, IncidentRecord, Sections, UndoLine},
        layout::Place,
        lens::{Asked, Lens},
        timeline::{AwayLine, Hits, TimelineRecord},
    },
};

const LONG: &str = "Checkout <script>alert(1)</script> \u{202e}gnp cannot be reached from any of the regions that it is \
                    served from, says the probe-with-a-very-long-name-without-a-single-space-in-it-anywhere-at-all";

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let specimen = |state, html| Specimen {
        page: "incident",
        state,
        html,
    };
    vec![
        specimen("triggered", || page(triggered(), "")),
        specimen("full", || page(full(), "")),
        specimen("away", away),
        specimen("undo", undo),
        specimen("recovering", || page(recovering(), "")),
        specimen("resolved", || page(resolved(), "")),
        specimen("merged", || page(merged(), "")),
        specimen("empty", || page(empty(), "")),
        specimen("filtered-empty", || page(nothing_found(), "no such words")),
        specimen("long", || page(long(), "")),
        specimen("fault", || page(faulty(), "")),
        specimen("correct", || correct(false)),
        specimen("correct-again", || correct(true)),
        specimen("viewer", || look(full(), &viewer(), "", None, None)),
    ]
}

fn viewer() -> Operator {
    Operator {
        id: OperatorId(9),
        name: "Vic".to_owned(),
        role: Role::Viewer,
        teams: Vec::new(),
        via: Via::Session,
    }
}

fn page(record: IncidentRecord, find: &str) -> askama::Result<String> {
    look(record, &operator(), find, None, None)
}

fn correct(again: bool) -> askama::Result<String> {
    let story = story();
    let Some(note) = story.iter().find(|recorded| recorded.seq == 7).cloned() else {
        return Ok(String::new());
    };
    let corrected = Corrected {
        note,
        corrections: again.then(correction).into_iter().collect(),
    };
    let frame = frame("Correct a note · INC-204", Place::Incidents);
    let incident = incident(IncidentState::Acknowledged, LONG);
    CorrectionPage::of(frame, &incident, &corrected, now()).render()
}

fn away() -> askama::Result<String> {
    let record = full();
    let since = minutes(7);
    let counts = counts(record.timeline.as_ref().map_or(&[], |read| &read.events));
    let away = AwayLine::of(record.incident.id, 6, since, &counts, now());
    look(record, &operator(), "", away, None)
}

fn undo() -> askama::Result<String> {
    let undo = Undoable {
        seq: 4,
        at: now(),
        undo: Undo::Acknowledgement,
    };
    look(full(), &operator(), "", None, Some(undo.into()))
}

fn look(
    record: IncidentRecord,
    me: &Operator,
    find: &str,
    away: Option<AwayLine>,
    undo: Option<UndoLine>,
) -> askama::Result<String> {
    let lens = Lens::read(&Asked {
        find: find.to_owned(),
        ..Asked::default()
    });
    let mut frame = frame("SEV1 acknowledged · Checkout is down · INC-204", Place::Incidents);
    frame.operator = Some(me.clone());
    IncidentPage {
        frame,
        id: record.incident.id.0,
        seen: record.incident.last_seq,
        sections: Sections::of(&record, &lens, me, now()),
        away,
        undo,
        note_at: String::new(),
    }
    .render()
}

/// So many minutes before the pages are made.
fn minutes(minutes: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(minutes)
}

fn incident(state: IncidentState, title: &str) -> Incident {
    let is_over = matches!(state, IncidentState::Resolved | IncidentState::Closed);
    let is_taken = state != IncidentState::Triggered;
    Incident {
        id: IncidentId(204),
        title: title.to_owned(),
        severity: Severity::Sev1,
        state,
        source: "prometheus-eu".to_owned(),
        receiver: "pager".to_owned(),
        context: json!({}),
        opened_at: minutes(12),
        detected_at: minutes(13),
        acknowledged_at: is_taken.then(|| minutes(10)),
        acknowledged_by: is_taken.then(|| "Ana".to_owned()),
        mitigated_at: is_over.then(|| minutes(4)),
        resolved_at: is_over.then(|| minutes(1)),
        closed_at: None,
        recover_due: None,
        recovered_at: None,
        truncated_alerts: 0,
        reopened: 0,
        came_back: Vec::new(),
        flapping_since: None,
        calm_due: None,
        recurrence_of: Some(198),
        merged_into: None,
        lives_in: None,
        folded_under: None,
        drill: None,
        last_seq: 12,
    }
}

fn member(number: i64, title: &str, ended: Option<i64>) -> MemberAlert {
    let labels = [
        ("alertname", title.to_owned()),
        ("service", "checkout".to_owned()),
        ("instance", format!("checkout-db-{number}:9187")),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value));
    MemberAlert {
        alert_id: number,
        fingerprint: format!("{number:016x}"),
        title: title.to_owned(),
        labels: Labels(labels.into_iter().collect()),
        annotations: Labels(
            [(
                "summary".to_owned(),
                "The database answers no more queries.".to_owned(),
            )]
            .into_iter()
            .collect(),
        ),
        generator_url: "https://prometheus.example/graph?g0.expr=up".to_owned(),
        starts_at: minutes(13),
        ends_at: ended.map(minutes),
        refire_due: None,
        last_received_at: minutes(1),
        heard_at: minutes(1),
        is_stale: false,
        reason: "same group".to_owned(),
        incident: IncidentId(204),
        came_from: None,
    }
}

fn by(name: &str) -> Actor {
    Actor::Person {
        id: OperatorId(1),
        name: name.to_owned(),
        via: Via::Session,
    }
}

fn recorded(seq: i64, ago: i64, actor: Actor, event: impl Into<Event>) -> Recorded {
    Recorded {
        seq,
        event: event.into(),
        actor,
        occurred_at: minutes(ago),
        recorded_at: minutes(ago),
        hash: Digest::ZERO,
    }
}

/// Counts as the store makes them.
fn counts(events: &[Recorded]) -> Vec<KindCount> {
    let mut counts: Vec<KindCount> = Vec::new();
    for recorded in events {
        let kind = recorded.event.kind();
        match counts.iter_mut().find(|count| count.kind == kind) {
            Some(count) => count.count += 1,
            None => counts.push(KindCount {
                kind,
                count: 1,
                example: recorded.event.clone(),
            }),
        }
    }
    counts
}

fn timeline(mut events: Vec<Recorded>) -> TimelineRecord {
    events.reverse();
    TimelineRecord {
        counts: counts(&events),
        pinned: events
            .iter()
            .filter(|recorded| recorded.seq == 7)
            .cloned()
            .collect(),
        events,
        ..TimelineRecord::default()
    }
}

fn opened(title: &str) -> IncidentFact {
    IncidentFact::Opened {
        title: title.to_owned(),
        severity: Severity::Sev1,
        reason: "first alert of its group".to_owned(),
    }
}

fn update() -> IncidentFact {
    IncidentFact::UpdatePosted {
        condition: "No order goes through in eu-west.".to_owned(),
        action: "Failing over to checkout-db-2.".to_owned(),
        need: "Ben to watch the replica lag.".to_owned(),
        next_due: Some(minutes(-18)),
    }
}

fn story() -> Vec<Recorded> {
    let fired = || IncidentFact::AlertsFired {
        count: 1,
        names: vec!["CheckoutDown".to_owned()],
        reason: "same group".to_owned(),
    };
    let mut late = recorded(
        7,
        8,
        by("Ben"),
        IncidentFact::Note {
            text: "Replica lag was **0.4 s** before the primary went away:\n\n- `checkout-db-2` is whole\n- \
                   `checkout-db-3` is 2 min behind"
                .to_owned(),
            tag: Some(NoteTag::Observation),
        },
    );
    late.occurred_at = minutes(11);
    vec![
        recorded(1, 40, Actor::Automation, opened("Checkout is down")),
        recorded(2, 12, Actor::Automation, fired()),
        recorded(3, 11, Actor::Automation, fired()),
        recorded(4, 10, by("Ana"), IncidentFact::Acknowledged),
        recorded(
            5,
            10,
            by("Ana"),
            IncidentFact::DutyTaken {
                duty: Duty::Commander,
                to: OperatorId(1),
                name: "Ana".to_owned(),
                from: None,
                summary: String::new(),
            },
        ),
        recorded(
            6,
            9,
            Actor::Automation,
            Event::Run(
                RunId(31),
                RunFact::StepSucceeded {
                    step: "look".into(),
                    attempt: 1,
                    summary: "the primary does not answer".to_owned(),
                    settled: Settled::Answer,
                },
            ),
        ),
        late,
        recorded(12, 2, by("Ana"), update()),
    ]
}

/// What the note of the story reads since Ana looked again.
fn correction() -> Recorded {
    let fact = IncidentFact::NoteCorrected {
        note: 7,
        text: "Replica lag was **4 s**, not 0.4 s: `checkout-db-2` lacks the last orders.".to_owned(),
    };
    recorded(11, 3, by("Ana"), fact)
}

fn other(id: i64, title: &str, severity: Severity, owner: Option<&str>) -> Other {
    Other {
        service: "checkout".to_owned(),
        id: IncidentId(id),
        title: title.to_owned(),
        severity,
        state: match owner {
            Some(_) => IncidentState::Acknowledged,
            None => IncidentState::Triggered,
        },
        opened_at: minutes(id - 150),
        owner: owner.map(str::to_owned),
    }
}

/// What else is wrong with the services of an incident.
fn others(record: &mut IncidentRecord) {
    let mut payments = member(4, "PaymentsSlow", None);
    payments
        .labels
        .0
        .insert("service".to_owned(), "payments".to_owned());
    record.members.push(payments);
    record.others = vec![
        other(201, "Checkout answers slowly", Severity::Sev2, Some("Ben")),
        other(196, LONG, Severity::Sev3, None),
        other(180, "Certificate of checkout ends soon", Severity::Sev4, None),
        other(178, "Checkout logs too much", Severity::Sev4, None),
    ];
}

fn triggered() -> IncidentRecord {
    let mut record = IncidentRecord::of(incident(IncidentState::Triggered, "Checkout is down"));
    record.members = vec![member(1, "CheckoutDown", None)];
    record.timeline = Some(timeline(story().into_iter().take(2).collect()));
    record
}

fn full() -> IncidentRecord {
    let mut record = IncidentRecord::of(incident(IncidentState::Acknowledged, "Checkout is down"));
    record.members = vec![
        member(1, "CheckoutDown", None),
        member(2, "ReplicaLagHigh", None),
        member(3, "CheckoutSlow", Some(3)),
    ];
    record.duties = vec![Holder {
        duty: Duty::Commander,
        operator: OperatorId(1),
        name: "Ana".to_owned(),
        since: minutes(10),
    }];
    record.people = vec![Operator {
        id: OperatorId(2),
        name: "Ben".to_owned(),
        ..viewer()
    }];
    record.brief.impact = "Nobody in Europe can pay: about 40 orders a minute are lost.".to_owned();
    record.brief.update = Some(recorded(12, 2, by("Ana"), update()));
    record.brief.update_due = Some(minutes(-18));
    let scale = Scale::of(&record.incident, now());
    record.rate = Some((scale, vec![(0, 2), (1, 14), (2, 6), (5, 1), (9, 3)]));
    let mut events = story();
    events.insert(7, correction());
    let mut read = timeline(events);
    read.corrections.push(correction());
    record.timeline = Some(read);
    record.approvals = gate(&record).into_iter().collect();
    others(&mut record);
    record
}

/// A runbook with a gate; what stands in it is fixed, so it always reads.
const RUNBOOK: &str = r#"
runbook: checkout-failover
title: Fail over the checkout database
summary: Makes the standby the primary. Use it when the primary does not come back by itself.
steps:
  - id: ask
    gate: { approvals: 2, requester_may_approve: false, decide_within: 10m }
    title: Make checkout-db-2 primary?
    impact: Writes stop for about 40 s.
  - { id: promote, call: http, with: { target: checkout-db-2, method: POST, path: /promote } }
"#;

/// A gate that waits for a second approval.
fn gate(record: &IncidentRecord) -> Option<(Approval, i64)> {
    let runbook = catalog::parse_runbook(RUNBOOK).ok()?.runbook;
    let (step, rule) = runbook.gates().next()?;
    let bound = Bound {
        version: Digest::ZERO,
        gate: step.clone(),
        steps: vec![BoundStep {
            step: "promote".into(),
            title: "Promote".to_owned(),
            request: Rendered {
                action: ActionKind::Http,
                target: "checkout-db-2".to_owned(),
                with: json!({}),
            },
            command: "POST /promote".to_owned(),
            target: Digest::ZERO,
            undo: None,
            changes: true,
            irreversible: false,
        }],
        evidence: Vec::new(),
    };
    let approval = Approval {
        id: ApprovalId(77),
        run: RunId(31),
        incident: record.incident.id,
        step: step.clone(),
        state: ApprovalState::Pending,
        title: "Make checkout-db-2 primary?".to_owned(),
        impact: "Writes stop for about 40 s.".to_owned(),
        digest: bound.digest(),
        bound,
        rule: rule.clone(),
        requester: Some(OperatorId(2)),
        opened_at: minutes(3),
        decide_by: minutes(-7),
        use_by: None,
    };
    Some((approval, 1))
}

fn recovering() -> IncidentRecord {
    let mut record = full();
    record.incident.recover_due = Some(minutes(-3));
    for member in &mut record.members {
        member.ends_at = Some(minutes(2));
    }
    record.brief.update_due = Some(minutes(4));
    record
}

fn resolved() -> IncidentRecord {
    let mut record = full();
    record.incident = incident(IncidentState::Resolved, "Checkout is down");
    for member in &mut record.members {
        member.ends_at = Some(minutes(2));
    }
    record
}

fn merged() -> IncidentRecord {
    let mut record = IncidentRecord::of(incident(IncidentState::Merged, "Checkout is slow"));
    record.incident.merged_into = Some(203);
    record.incident.lives_in = Some(201);
    record.timeline = Some(timeline(story()));
    record
}

fn empty() -> IncidentRecord {
    let mut record = IncidentRecord::of(incident(IncidentState::Triggered, "Checkout is down"));
    record.timeline = Some(timeline(story().into_iter().take(1).collect()));
    record
}

fn nothing_found() -> IncidentRecord {
    let mut record = full();
    if let Some(read) = &mut record.timeline {
        read.events.clear();
        read.hits = Some(Hits {
            shown: 0,
            hidden: 3,
            looked_through: None,
        });
    }
    record
}

fn long() -> IncidentRecord {
    let mut record = full();
    record.incident.title = LONG.to_owned();
    record.brief.impact = LONG.to_owned();
    record.members = (1..30).map(|number| member(number, LONG, None)).collect();
    for member in &mut record.members {
        let service = format!("{LONG}-{}", member.alert_id % 15);
        member.labels.0.insert("service".to_owned(), service);
    }
    record.incident.truncated_alerts = 1_200;
    let repeated = (20..60).map(|seq| {
        let fact = IncidentFact::AlertsFired {
            count: 1,
            names: vec![LONG.to_owned()],
            reason: "same group".to_owned(),
        };
        recorded(seq, 1, Actor::Automation, fact)
    });
    let mut events = story();
    events.extend(repeated);
    events.push(recorded(
        60,
        0,
        by("Ana"),
        IncidentFact::Note {
            text: LONG.to_owned(),
            tag: None,
        },
    ));
    record.timeline = Some(timeline(events));
    record
}

fn faulty() -> IncidentRecord {
    let mut record = IncidentRecord::of(incident(IncidentState::Acknowledged, "Checkout is down"));
    record.failed = [
        "head",
        "decisions",
        "runs",
        "services",
        "team",
        "alerts",
        "silences",
    ]
    .into_iter()
    .collect();
    record
}
