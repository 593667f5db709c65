//! The gate page, breaking the glass, and the inbox.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use chrono::TimeDelta;

use super::{
    Specimen, frame, now, operator,
    story::{self, INCIDENT, RUN, ago, beginning, person, started, succeeded},
};
use crate::{
    domain::{
        action::Rendered,
        approval::{ApprovalState, Bound, BoundStep, Evidence},
        breaker::BreakerState,
        digest::Digest,
        event::{IncidentFact, Recorded},
        id::{ApprovalId, DrillId, OperatorId, RunId},
        incident::Severity,
        operator::{Operator, Role},
        proof::Presence,
        run::{RunFact, RunResult},
        step::{ActionKind, Effect, GateRule, StepKind},
    },
    execute::standing::Snapshot,
    store::{
        approvals::{Approval, ApprovalLine, Vote},
        precedents::Precedent,
        reviews::Review,
        runbooks::Version,
    },
    web::view::{
        approval::{ApprovalPage, ApprovalRecord},
        decision::{DecisionForm, Others},
        gate::ApprovalFacts,
        glass::GlassPage,
        inbox::{Inbox, InboxPage},
        layout::Place,
        link::LinkPage,
        parts::{at, said},
    },
};

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let gate = |state, html| Specimen {
        page: "approval",
        state,
        html,
    };
    let inbox = |state, html| Specimen {
        page: "approvals",
        state,
        html,
    };
    vec![
        gate("full", || page(|_| Ok(()))),
        gate("first-time", || page(first_time)),
        gate("degraded", || page(old_evidence)),
        gate("degraded-paused", || page(old_while_paused)),
        gate("irreversible", || page(irreversible)),
        gate("irreversible-held", held_page),
        gate("own-request", || page(own_request)),
        gate("one-of-two", || page(one_of_two)),
        gate("long", || page(long)),
        gate("expired", || page(expired)),
        gate("approved", || page(approved)),
        gate("decided-by-another", || page(decided)),
        gate("rejected", || page(rejected)),
        gate("asked-again", || page(asked_again)),
        gate("in-a-drill", in_a_drill),
        gate("opened-alone", || page(opened_alone)),
        Specimen {
            page: "break_glass",
            state: "full",
            html: || {
                GlassPage::of(
                    frame("Open alone", Place::Approvals),
                    &record()?,
                    &operator(),
                    present(),
                    now(),
                )
                .render()
            },
        },
        Specimen {
            page: "approval_link",
            state: "full",
            html: || link().render(),
        },
        inbox("full", || inbox_page(lines()?)),
        inbox("empty", || inbox_page(Vec::new())),
    ]
}

type Change = fn(&mut ApprovalRecord) -> askama::Result<()>;

fn page(change: Change) -> askama::Result<String> {
    let mut record = record()?;
    change(&mut record)?;
    let seq = record.run.incident.last_seq;
    let page = ApprovalPage {
        frame: frame("Fail over to checkout-db-2? · INC-204", Place::Approvals),
        facts: ApprovalFacts::of(&record, now()),
        form: DecisionForm::of(&record, &operator(), present(), None, seq, now()),
        others: Others::of(&record, &operator(), seq, now()),
    };
    page.render()
}

/// The gate of a drill: its targets are twins, whatever those of the same names are for real.
fn in_a_drill() -> askama::Result<String> {
    let (mut record, drill) = (record()?, DrillId(17));
    record.run.incident.drill = Some(drill);
    for word in record.environments.values_mut() {
        *word = "DRILL twin".to_owned();
    }
    let seq = record.run.incident.last_seq;
    let frame = frame("Fail over to checkout-db-2? · INC-204", Place::Approvals);
    let page = ApprovalPage {
        frame: frame.of_drill(Some(drill)),
        facts: ApprovalFacts::of(&record, now()),
        form: DecisionForm::of(&record, &operator(), present(), None, seq, now()),
        others: Others::of(&record, &operator(), seq, now()),
    };
    page.render()
}

/// Somebody who has signed in a minute ago.
fn present() -> Presence {
    Presence {
        since: Some(ago(60)),
        by_passkey: true,
        has_passkey: true,
    }
}

fn held_page() -> askama::Result<String> {
    let mut record = record()?;
    irreversible(&mut record)?;
    let long_ago = Presence {
        since: Some(ago(3600)),
        ..present()
    };
    let seq = record.run.incident.last_seq;
    let page = ApprovalPage {
        frame: frame("Wipe checkout-db-1? · INC-204", Place::Approvals),
        facts: ApprovalFacts::of(&record, now()),
        form: DecisionForm::of(&record, &operator(), long_ago, None, seq, now()),
        others: Others::of(&record, &operator(), seq, now()),
    };
    page.render()
}

fn rule() -> askama::Result<GateRule> {
    let runbook = story::runbook(story::FAILOVER)?;
    let rule = runbook.all_steps().find_map(|step| match &step.kind {
        StepKind::Gate(rule) => Some(GateRule::clone(rule)),
        _ => None,
    });
    rule.ok_or(askama::Error::Fmt)
}

fn bound() -> Bound {
    let step = |id: &str, title: &str, target: &str, command: &str, undo: Option<&str>| BoundStep {
        step: id.into(),
        title: title.to_owned(),
        request: Rendered {
            action: ActionKind::Http,
            target: target.to_owned(),
            with: serde_json::json!({}),
        },
        command: command.to_owned(),
        target: Digest::ZERO,
        undo: undo.map(str::to_owned),
        changes: true,
        irreversible: false,
    };
    Bound {
        version: Digest::ZERO,
        gate: "ask".into(),
        steps: vec![
            step(
                "promote",
                "Promote checkout-db-2",
                "checkout-db-2",
                "POST http://checkout-db-2/promote",
                None,
            ),
            step(
                "point",
                "Send traffic to checkout-db-2",
                "checkout-proxy",
                "PUT http://checkout-proxy/primary?to=checkout-db-2",
                Some("PUT http://checkout-proxy/primary?to=checkout-db-1"),
            ),
        ],
        evidence: vec![Evidence {
            step: "lag".into(),
            title: "Replica lag of checkout-db-2".to_owned(),
            summary: "0.4 s behind".to_owned(),
            at: ago(50),
        }],
    }
}

fn opened() -> RunFact {
    RunFact::GateOpened {
        step: "ask".into(),
        approval: ApprovalId(41),
        digest: Digest::ZERO,
        decide_by: ago(-710),
        needed: 2,
    }
}

fn approval() -> RunFact {
    RunFact::GateApproval {
        step: "ask".into(),
        approval: ApprovalId(41),
        reason: "Agreed with the team".to_owned(),
        given: 1,
        needed: 2,
    }
}

fn at_gate(more: Vec<(i64, RunFact)>) -> askama::Result<crate::web::view::record::RunRecord> {
    let mut told = beginning();
    told.push((45, opened()));
    told.extend(more);
    story::run(story::FAILOVER, told)
}

fn somebody(id: i64, name: &str, role: Role) -> Operator {
    Operator {
        id: OperatorId(id),
        name: name.to_owned(),
        role,
        ..operator()
    }
}

fn record() -> askama::Result<ApprovalRecord> {
    let bound = bound();
    Ok(ApprovalRecord {
        approval: Approval {
            id: ApprovalId(41),
            run: RUN,
            incident: INCIDENT,
            step: "ask".into(),
            state: ApprovalState::Pending,
            title: "Fail over to checkout-db-2?".to_owned(),
            impact: "Make checkout-db-2 primary. Writes stop for about 40 s.".to_owned(),
            digest: bound.digest(),
            bound,
            rule: rule()?,
            requester: None,
            opened_at: ago(45),
            decide_by: now() + TimeDelta::seconds(710),
            use_by: None,
        },
        votes: Vec::new(),
        run: at_gate(Vec::new())?,
        requester_name: None,
        review: None,
        people: vec![
            operator(),
            somebody(2, "Ben", Role::Approver),
            somebody(3, "Cleo", Role::Admin),
            somebody(4, "Rob", Role::Responder),
        ],
        environments: BTreeMap::from([
            ("checkout-db-2".to_owned(), "production".to_owned()),
            ("checkout-proxy".to_owned(), "production".to_owned()),
        ]),
        stood: Arc::default(),
        track: Some(super::runbooks::good()),
        precedent: Some(precedent()),
        undone: Some(Precedent {
            run: RunId(71),
            at: ago(1_036_800),
            ..precedent()
        }),
        questions: Vec::new(),
        successor: None,
    })
}

fn precedent() -> Precedent {
    Precedent {
        run: RunId(70),
        number: 13,
        inputs: BTreeMap::from([("replica".to_owned(), "checkout-db-2".to_owned())]),
        at: ago(1_037_000),
        commands: BTreeMap::from([
            (
                "promote".to_owned(),
                "POST http://checkout-db-2/promote".to_owned(),
            ),
            (
                "point".to_owned(),
                "PUT http://checkout-proxy/primary?to=checkout-db-2&drain=10s".to_owned(),
            ),
        ]),
    }
}

fn ben(verdict: &str) -> Vote {
    Vote {
        name: "Ben".to_owned(),
        verdict: verdict.to_owned(),
        reason: "Agreed with the team".to_owned(),
        at: ago(20),
    }
}

fn first_time(record: &mut ApprovalRecord) -> askama::Result<()> {
    (record.precedent, record.undone) = (None, None);
    record.approval.impact = String::new();
    Ok(())
}

fn old_evidence(record: &mut ApprovalRecord) -> askama::Result<()> {
    for found in &mut record.approval.bound.evidence {
        found.at = ago(400);
    }
    record.approval.decide_by = now() + TimeDelta::seconds(48);
    let open = BreakerState::Open {
        since: ago(95),
        reason: "connection refused".to_owned(),
        retry_at: ago(-6),
    };
    record.stood = Arc::new(Snapshot {
        breakers: BTreeMap::from([("checkout-proxy".to_owned(), open)]),
        ..Snapshot::default()
    });
    Ok(())
}

fn old_while_paused(record: &mut ApprovalRecord) -> askama::Result<()> {
    old_evidence(record)?;
    record.run.state.paused = Some("waiting for the network team".to_owned());
    Ok(())
}

fn irreversible(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.approval.title = "Wipe checkout-db-1?".to_owned();
    record.approval.impact = "Erases the disk of the old primary.".to_owned();
    record.approval.bound.steps.truncate(1);
    for step in &mut record.approval.bound.steps {
        step.title = "Wipe checkout-db-1".to_owned();
        step.request.target = "checkout-db-1".to_owned();
        step.command = "POST http://checkout-db-1/wipe".to_owned();
        step.irreversible = true;
    }
    Ok(())
}

fn own_request(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.approval.requester = Some(operator().id);
    record.requester_name = Some(operator().name);
    Ok(())
}

fn one_of_two(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.votes = vec![ben("approve")];
    record.run = at_gate(vec![(20, approval())])?;
    let question = IncidentFact::QuestionAsked {
        approval: ApprovalId(41),
        title: record.approval.title.clone(),
        question: "Is the old primary fenced?".to_owned(),
    };
    record.questions = vec![Recorded {
        seq: 30,
        event: question.into(),
        actor: person(4, "Rob"),
        occurred_at: ago(30),
        recorded_at: ago(30),
        hash: Digest::ZERO,
    }];
    Ok(())
}

fn long(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.approval.title = "Fail over the primary of the checkout database cluster in Frankfurt to its second replica, and send all traffic there?".to_owned();
    record.approval.impact = "Make checkout-db-2 primary. Writes stop for about 40 s, orders that are being paid are asked for again, and the nightly export has to be started by hand.".to_owned();
    let step = record.approval.bound.steps.remove(0);
    record.approval.bound.steps = (0..40)
        .map(|at| BoundStep {
            step: crate::domain::id::StepId::from("promote").item(at),
            command: format!(
                "POST http://checkout-db-{at}/promote-with-a-name-that-is-rather-long-for-a-phone"
            ),
            ..step.clone()
        })
        .collect();
    Ok(())
}

fn expired(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.approval.state = ApprovalState::Expired;
    record.approval.decide_by = ago(30);
    let over = RunFact::GateExpired {
        step: "ask".into(),
        approval: ApprovalId(41),
        unused: false,
    };
    let ended = RunFact::RunFinished {
        result: RunResult::Rejected,
        reason: "nobody decided in time".to_owned(),
    };
    record.run = at_gate(vec![(30, over), (29, ended)])?;
    Ok(())
}

fn given(record: &mut ApprovalRecord) {
    record.votes = vec![
        ben("approve"),
        Vote {
            name: "Cleo".to_owned(),
            at: ago(15),
            ..ben("approve")
        },
    ];
    record.approval.state = ApprovalState::Approved;
    record.approval.use_by = Some(now() + TimeDelta::seconds(585));
}

fn approved_facts() -> Vec<(i64, RunFact)> {
    let approved = RunFact::GateApproved {
        step: "ask".into(),
        approval: ApprovalId(41),
        use_by: ago(-585),
    };
    vec![(20, approval()), (15, approved)]
}

fn approved(record: &mut ApprovalRecord) -> askama::Result<()> {
    given(record);
    record.run = at_gate(approved_facts())?;
    Ok(())
}

fn decided(record: &mut ApprovalRecord) -> askama::Result<()> {
    given(record);
    let mut facts = approved_facts();
    facts.push((
        14,
        started("promote", Effect::Once, "POST http://checkout-db-2/promote"),
    ));
    facts.push((
        9,
        succeeded("promote", "POST /promote answered 200; verified: it is primary"),
    ));
    facts.push((
        8,
        started(
            "point",
            Effect::Idempotent,
            "PUT http://checkout-proxy/primary?to=checkout-db-2",
        ),
    ));
    record.run = at_gate(facts)?;
    Ok(())
}

fn rejected(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.votes = vec![Vote {
        reason: "The primary answers again".to_owned(),
        ..ben("reject")
    }];
    record.approval.state = ApprovalState::Rejected;
    let no = RunFact::GateRejected {
        step: "ask".into(),
        approval: ApprovalId(41),
        reason: "The primary answers again".to_owned(),
    };
    record.run = at_gate(vec![(20, no)])?;
    Ok(())
}

fn asked_again(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.approval.state = ApprovalState::Returned;
    record.successor = Some(ApprovalId(42));
    Ok(())
}

fn opened_alone(record: &mut ApprovalRecord) -> askama::Result<()> {
    record.approval.state = ApprovalState::Approved;
    record.approval.use_by = Some(now() + TimeDelta::seconds(540));
    record.review = Some(review());
    let broken = RunFact::GateBroken {
        step: "ask".into(),
        approval: ApprovalId(41),
        reason: review().reason,
        use_by: ago(-540),
    };
    record.run = at_gate(vec![(20, broken)])?;
    Ok(())
}

fn review() -> Review {
    Review {
        id: 5,
        approval: 41,
        incident: INCIDENT.0,
        title: "Fail over to checkout-db-2?".to_owned(),
        opened_by: 4,
        opened_by_name: "Rob".to_owned(),
        reason: "Nobody answers the phone and orders are lost each second".to_owned(),
        opened_at: ago(20),
        closed_by_name: None,
        closed_at: None,
        finding: String::new(),
    }
}

fn link() -> LinkPage {
    LinkPage {
        frame: frame("A link for one decision", Place::Approvals),
        approval: 41,
        name: said("Ben"),
        url: "https://muster.example/a/msa_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG".to_owned(),
        until: at(now() + TimeDelta::seconds(710), now()),
    }
}

fn line(id: i64, title: &str, state: ApprovalState) -> askama::Result<ApprovalLine> {
    let is_pending = state == ApprovalState::Pending;
    Ok(ApprovalLine {
        id: ApprovalId(id),
        incident: INCIDENT,
        incident_title: "Checkout database does not answer".to_owned(),
        drill: None,
        severity: Severity::Sev1,
        title: title.to_owned(),
        state,
        targets: vec!["checkout-db-2".to_owned(), "checkout-proxy".to_owned()],
        rule: rule()?,
        requester: None,
        requester_name: None,
        given: 1,
        opened_at: ago(45),
        decide_by: now() + TimeDelta::seconds(710),
        decided_at: (!is_pending).then(|| ago(3000)),
        broken: false,
    })
}

fn lines() -> askama::Result<Vec<ApprovalLine>> {
    let own = ApprovalLine {
        requester: Some(operator().id),
        requester_name: Some(operator().name),
        severity: Severity::Sev3,
        decide_by: now() + TimeDelta::seconds(5000),
        ..line(43, "Restart the shop?", ApprovalState::Pending)?
    };
    Ok(vec![
        line(41, "Fail over to checkout-db-2?", ApprovalState::Pending)?,
        own,
        line(40, "Drain pool blue?", ApprovalState::Rejected)?,
        line(39, "Clear the disk of web-3?", ApprovalState::Expired)?,
    ])
}

fn inbox_page(lines: Vec<ApprovalLine>) -> askama::Result<String> {
    let version = Version {
        id: crate::domain::id::VersionId(14),
        runbook_id: 3,
        number: 14,
        digest: Digest::ZERO,
        runbook: story::runbook(story::FAILOVER)?,
        created_at: ago(900_000),
    };
    let reviews = match lines.is_empty() {
        true => Vec::new(),
        false => vec![review()],
    };
    let page = InboxPage {
        frame: frame("Approvals", Place::Approvals),
        inbox: Inbox::of(&lines, &reviews, &[version], &operator(), now()),
    };
    page.render()
}
