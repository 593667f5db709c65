//! A made-up run: a runbook, what happened to it, and everything a page knows of that.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::now;
use crate::{
    catalog::parse_runbook,
    domain::{
        digest::Digest,
        event::{Event, Recorded},
        id::{IncidentId, OperatorId, RunId, StepId, VersionId},
        incident::{IncidentState, Severity},
        operator::{Actor, Via},
        run::{RunFact, RunResult, Settled},
        runbook::{Runbook, StartMode},
        state::RunState,
        step::Effect,
    },
    execute::standing::Standing,
    store::{attempts::AttemptRow, incidents::Incident, runbooks::Version, runs::Run, wake::Wake},
    web::view::record::RunRecord,
};

/// The run's number.
pub const RUN: RunId = RunId(88);
/// Its incident's.
pub const INCIDENT: IncidentId = IncidentId(204);

/// The runbook of every specimen but the long one.
pub const FAILOVER: &str = r#"
runbook: checkout-failover
title: Fail over the checkout database
summary: The primary does not answer. Makes the standby primary and sends traffic there.
services: [checkout, payments]
steps:
  - { id: lag, title: Replica lag of checkout-db-2, check: http, with: { target: checkout-db-2, path: /lag } }
  - id: ask
    gate: { approvals: 2, roles: [approver], decide_within: 15m, use_within: 10m }
    title: Fail over to checkout-db-2?
    impact: Make checkout-db-2 primary. Writes stop for about 40 s.
  - id: promote
    title: Promote checkout-db-2
    call: http
    with: { target: checkout-db-2, method: POST, path: /promote }
    effect: once
    verify: { check: http, with: { target: checkout-db-2, path: /role } }
  - id: point
    title: Send traffic to checkout-db-2
    call: http
    with: { target: checkout-proxy, method: PUT, path: "/primary?to={{ inputs.replica }}" }
    effect: idempotent
    undo: { call: http, with: { target: checkout-proxy, method: PUT, path: "/primary?to=checkout-db-1" } }
  - { id: look, title: Do orders go through?, manual: Place a test order in the shop. }
inputs:
  replica: { default: checkout-db-2 }
"#;

/// So many seconds before now.
pub fn ago(s: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(s)
}

/// Somebody.
pub fn person(id: i64, name: &str) -> Actor {
    Actor::Person {
        id: OperatorId(id),
        name: name.to_owned(),
        via: Via::Session,
    }
}

/// A runbook that was written here.
pub fn runbook(source: &str) -> askama::Result<Runbook> {
    let parsed = parse_runbook(source).map_err(|_| askama::Error::Fmt)?;
    Ok(parsed.runbook)
}

/// What happened, and how many seconds ago.
pub type Told = Vec<(i64, RunFact)>;

/// A step that is on its way.
pub fn started(step: &str, effect: Effect, command: &str) -> RunFact {
    RunFact::StepStarted {
        step: step.into(),
        attempt: 1,
        key: "m4qz7kd2vnxwtbhr6ypc5sgj3e".to_owned(),
        fence: 12,
        effect,
        command: command.to_owned(),
    }
}

/// The same step, done.
pub fn succeeded(step: &str, summary: &str) -> RunFact {
    RunFact::StepSucceeded {
        step: step.into(),
        attempt: 1,
        summary: summary.to_owned(),
        settled: Settled::Answer,
    }
}

/// How every run begins: it exists, and has read the lag.
pub fn beginning() -> Told {
    vec![
        (
            120,
            RunFact::RunStarted {
                runbook: "checkout-failover".to_owned(),
                version: 14,
                digest: Digest::ZERO,
                mode: StartMode::Automatic,
                inputs: BTreeMap::new(),
                continues: None,
            },
        ),
        (110, started("lag", Effect::Safe, "GET http://checkout-db-2/lag")),
        (109, succeeded("lag", "0.4 s behind")),
    ]
}

/// An incident that is open.
pub fn incident() -> Incident {
    Incident {
        id: INCIDENT,
        title: "Checkout database does not answer".to_owned(),
        severity: Severity::Sev1,
        state: IncidentState::Acknowledged,
        source: "prom-eu".to_owned(),
        receiver: "checkout".to_owned(),
        context: json!({}),
        opened_at: ago(240),
        detected_at: ago(250),
        acknowledged_at: Some(ago(200)),
        acknowledged_by: Some("Ana".to_owned()),
        mitigated_at: None,
        resolved_at: None,
        closed_at: None,
        recover_due: None,
        recovered_at: None,
        truncated_alerts: 0,
        reopened: 0,
        came_back: Vec::new(),
        flapping_since: None,
        calm_due: None,
        recurrence_of: None,
        merged_into: None,
        lives_in: None,
        folded_under: None,
        drill: None,
        last_seq: 31,
    }
}

/// The run after this has happened.
pub fn run(source: &str, told: Told) -> askama::Result<RunRecord> {
    let runbook = runbook(source)?;
    let facts: Vec<(DateTime<Utc>, RunFact)> = told.into_iter().map(|(s, fact)| (ago(s), fact)).collect();
    let state = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact))).map_err(|_| askama::Error::Fmt)?;
    let end = facts.iter().find_map(|(at, fact)| match fact {
        RunFact::RunFinished { result, .. } => Some((*at, *result)),
        _ => None,
    });
    Ok(RunRecord {
        tails: Vec::new(),
        run: Run {
            id: RUN,
            incident: INCIDENT,
            version: VersionId(14),
            requested_by: None,
            inputs: BTreeMap::from([("replica".to_owned(), "checkout-db-2".to_owned())]),
            context: json!({}),
            started_at: ago(120),
            finished_at: end.map(|(at, _)| at),
            result: end.map(|(_, result): (_, RunResult)| result),
            continues: None,
        },
        version: Version {
            id: VersionId(14),
            runbook_id: 3,
            number: 14,
            digest: Digest::ZERO,
            runbook,
            created_at: ago(900_000),
        },
        incident: incident(),
        requested_by: None,
        acts: recorded(&facts)
            .into_iter()
            .filter(|recorded| matches!(recorded.actor, Actor::Person { .. }))
            .rev()
            .collect(),
        attempts: attempts(&facts),
        facts,
        state,
        promised: BTreeMap::new(),
        holder: None,
        fault: None,
        continued_by: None,
        standing: Standing::new(Wake::default()),
    })
}

/// The facts as the timeline has them.
pub fn recorded(facts: &[(DateTime<Utc>, RunFact)]) -> Vec<Recorded> {
    let by = |fact: &RunFact| match fact {
        RunFact::GateApproval { .. } | RunFact::GateRejected { .. } | RunFact::StopRequested { .. } => {
            person(2, "Ben")
        }
        _ => Actor::Automation,
    };
    let lines = facts.iter().zip(8..);
    lines
        .map(|((at, fact), seq)| Recorded {
            seq,
            event: Event::Run(RUN, fact.clone()),
            actor: by(fact),
            occurred_at: *at,
            recorded_at: *at,
            hash: Digest::ZERO,
        })
        .collect()
}

/// The attempts that the facts tell of.
fn attempts(facts: &[(DateTime<Utc>, RunFact)]) -> Vec<AttemptRow> {
    let mut rows: Vec<AttemptRow> = Vec::new();
    for (at, fact) in facts {
        if let RunFact::StepStarted {
            step,
            attempt,
            key,
            command,
            ..
        } = fact
        {
            rows.push(AttemptRow {
                step: step.0.clone(),
                attempt: attempt.cast_signed(),
                state: "started".to_owned(),
                command: command.clone(),
                idempotency_key: key.clone(),
                result: None,
                summary: None,
                started_at: *at,
                finished_at: None,
            });
        }
        let end: Option<(&StepId, &str, &str)> = match fact {
            RunFact::StepSucceeded { step, summary, .. } => Some((step, "succeeded", summary)),
            RunFact::StepFailed { step, message, .. } => Some((step, "failed", message)),
            RunFact::OutcomeUnknown { step, reason, .. } => Some((step, "unknown", reason)),
            _ => None,
        };
        if let Some((step, state, summary)) = end
            && let Some(row) = rows.iter_mut().rev().find(|row| row.step == step.0)
        {
            row.state = state.to_owned();
            row.summary = Some(summary.to_owned());
            row.finished_at = Some(*at);
        }
    }
    rows
}

/// A request as it was sent.
pub fn request(target: &str, method: &str, path: &str) -> Value {
    json!({"action": "http", "target": target, "with": {"method": method, "path": path, "headers": {"Authorization": "[redacted]"}}})
}
