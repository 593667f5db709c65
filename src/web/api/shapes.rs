//! What the JSON interface speaks in. Built from the same domain types as the pages; a change here is a change of the
//! interface.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    domain::{
        approval::ApprovalState,
        event::Recorded,
        sentence::{category, sentence},
    },
    store::{
        alerts::MemberAlert,
        approvals::{Approval, ApprovalLine, Vote},
        attempts::AttemptRow,
        deliveries::DeliveryRow,
        incidents::{Incident, IncidentLine, Match},
        runbooks::Version,
        runs::Record,
    },
    web::view::run::RunRecord,
};

/// What every refusal looks like.
#[derive(Serialize, ToSchema)]
pub struct ErrorAnswer {
    /// The refusal.
    pub error: ErrorBody,
}

/// Why something was not done.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// `unreadable`, `sign_in`, `forbidden`, `not_found`, `moved_on`, `too_large`, `refused`, `too_many`,
    /// `unavailable`, `bug`.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to name when asking for help.
    pub reference: String,
}

/// A page of rows.
#[derive(Serialize, ToSchema)]
pub struct Rows<T> {
    /// The rows, the newest first.
    pub rows: Vec<T>,
    /// Give this as `before` to get the rows after these; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

impl<T> Rows<T> {
    /// The page from one more row than was asked for; `id` is what the next page begins before.
    pub fn of<S>(mut found: Vec<S>, limit: i64, id: impl Fn(&S) -> i64, row: impl Fn(S) -> T) -> Self {
        let more = found.len() as i64 > limit;
        found.truncate(limit.max(0) as usize);
        let next = found.last().filter(|_| more).map(&id);
        Self {
            rows: found.into_iter().map(row).collect(),
            next,
        }
    }
}

/// An incident.
#[derive(Serialize, ToSchema)]
pub struct IncidentBody {
    /// Its number.
    pub id: i64,
    /// `INC-204`
    pub key: String,
    /// What people call it; text from outside.
    pub title: String,
    /// 1 is the worst, 4 the least.
    pub severity: i16,
    /// `triggered`, `acknowledged`, `mitigated`, `resolved`, `closed`, `merged`, `cancelled`
    pub state: String,
    /// Who reported it.
    pub source: String,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// Earliest start of its alerts, by the senders.
    pub detected_at: DateTime<Utc>,
    /// When a person took it.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who took it.
    pub acknowledged_by: Option<String>,
    /// When the harm had stopped.
    pub mitigated_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// The one before it.
    pub recurrence_of: Option<i64>,
    /// The newest event's number.
    pub last_seq: i64,
}

impl From<Incident> for IncidentBody {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id.0,
            key: format!("INC-{}", incident.id),
            title: incident.title,
            severity: incident.severity.number(),
            state: incident.state.name().to_owned(),
            source: incident.source,
            opened_at: incident.opened_at,
            detected_at: incident.detected_at,
            acknowledged_at: incident.acknowledged_at,
            acknowledged_by: incident.acknowledged_by,
            mitigated_at: incident.mitigated_at,
            resolved_at: incident.resolved_at,
            closed_at: incident.closed_at,
            recurrence_of: incident.recurrence_of,
            last_seq: incident.last_seq,
        }
    }
}

/// An incident in a list.
#[derive(Serialize, ToSchema)]
pub struct IncidentRow {
    /// The incident.
    #[serde(flatten)]
    pub incident: IncidentBody,
    /// Alerts that fire.
    pub firing: i64,
    /// Title of the runbook that runs.
    pub running: Option<String>,
    /// Decisions that wait.
    pub pending_approvals: i64,
}

impl From<IncidentLine> for IncidentRow {
    fn from(line: IncidentLine) -> Self {
        Self {
            incident: line.incident.into(),
            firing: line.firing,
            running: line.running,
            pending_approvals: line.pending_approvals,
        }
    }
}

/// An incident with what belongs to it.
#[derive(Serialize, ToSchema)]
pub struct IncidentFull {
    /// The incident.
    #[serde(flatten)]
    pub incident: IncidentBody,
    /// Its alerts.
    pub alerts: Vec<AlertBody>,
    /// The runbooks that matched, and why.
    pub matches: Vec<MatchBody>,
    /// Numbers of its runs, the newest first.
    pub runs: Vec<i64>,
    /// Numbers of the decisions that wait.
    pub pending_approvals: Vec<i64>,
}

/// An alert of an incident.
#[derive(Serialize, ToSchema)]
pub struct AlertBody {
    /// 16 hex digits.
    pub fingerprint: String,
    /// What people call it.
    pub title: String,
    /// Its labels; text from outside.
    pub labels: BTreeMap<String, String>,
    /// Its annotations; text from outside.
    pub annotations: BTreeMap<String, String>,
    /// When it began.
    pub starts_at: DateTime<Utc>,
    /// When it ended.
    pub ends_at: Option<DateTime<Utc>>,
    /// Why it is in this incident.
    pub reason: String,
}

impl From<MemberAlert> for AlertBody {
    fn from(alert: MemberAlert) -> Self {
        Self {
            fingerprint: alert.fingerprint,
            title: alert.title,
            labels: alert.labels.0,
            annotations: alert.annotations.0,
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            reason: alert.reason,
        }
    }
}

/// A runbook that matched.
#[derive(Serialize, ToSchema)]
pub struct MatchBody {
    /// The runbook's slug.
    pub runbook: String,
    /// The version's number.
    pub version: i32,
    /// What it is called.
    pub title: String,
    /// Each matcher of each line, the value it met, and whether it holds.
    #[schema(value_type = Object)]
    pub report: Value,
    /// When.
    pub at: DateTime<Utc>,
}

impl From<Match> for MatchBody {
    fn from(found: Match) -> Self {
        Self {
            runbook: found.slug,
            version: found.number,
            title: found.title,
            report: serde_json::to_value(found.report).unwrap_or_default(),
            at: found.at,
        }
    }
}

/// One event of a timeline.
#[derive(Serialize, ToSchema)]
pub struct EventBody {
    /// Its place: 1, 2, 3 … without gaps.
    pub seq: i64,
    /// `decisions`, `steps`, `alerts`, `notes`, `system`
    pub category: String,
    /// Who or what caused it.
    pub actor: String,
    /// What happened, in one sentence.
    pub text: String,
    /// The fact itself, with its `kind`.
    #[schema(value_type = Object)]
    pub fact: Value,
    /// The run it is about.
    pub run: Option<i64>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// The chain up to and including it.
    pub hash: String,
}

impl From<Recorded> for EventBody {
    fn from(recorded: Recorded) -> Self {
        Self {
            seq: recorded.seq,
            category: category(&recorded.event).name().to_owned(),
            actor: recorded.actor.to_string(),
            text: sentence(&recorded.event),
            fact: recorded.event.body(),
            run: match &recorded.event {
                crate::domain::event::Event::Run(run, _) => Some(run.0),
                crate::domain::event::Event::Incident(_) => None,
            },
            occurred_at: recorded.occurred_at,
            recorded_at: recorded.recorded_at,
            hash: recorded.hash.to_string(),
        }
    }
}

/// A run.
#[derive(Serialize, ToSchema)]
pub struct RunBody {
    /// Its number.
    pub id: i64,
    /// Of which incident.
    pub incident: i64,
    /// The runbook's slug.
    pub runbook: String,
    /// The version's number.
    pub version: i32,
    /// Who started it; absent when Muster did.
    pub requested_by: Option<String>,
    /// Its inputs.
    pub inputs: BTreeMap<String, String>,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// `succeeded`, `failed`, `rejected`, `stopped`; absent while it is live.
    pub result: Option<String>,
    /// Its steps in order.
    pub steps: Vec<StepBody>,
    /// Its attempts in order.
    pub attempts: Vec<AttemptBody>,
}

/// A step of a run.
#[derive(Serialize, ToSchema)]
pub struct StepBody {
    /// Its name in the runbook.
    pub id: String,
    /// Where it stands, with what belongs to that.
    #[schema(value_type = Object)]
    pub state: Value,
}

/// An attempt.
#[derive(Serialize, ToSchema)]
pub struct AttemptBody {
    /// Of which step.
    pub step: String,
    /// Its number.
    pub attempt: i32,
    /// `started`, `succeeded`, `failed`, `interrupted`, `unknown`
    pub state: String,
    /// What was sent.
    pub command: String,
    /// The key it was sent with.
    pub idempotency_key: String,
    /// What came back.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// The same in one line.
    pub summary: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<AttemptRow> for AttemptBody {
    fn from(row: AttemptRow) -> Self {
        Self {
            step: row.step,
            attempt: row.attempt,
            state: row.state,
            command: row.command,
            idempotency_key: row.idempotency_key,
            result: row.result,
            summary: row.summary,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

impl From<RunRecord> for RunBody {
    fn from(record: RunRecord) -> Self {
        let steps = record
            .version
            .runbook
            .steps
            .iter()
            .map(|step| StepBody {
                id: step.id.0.clone(),
                state: serde_json::to_value(record.state.step(&step.id)).unwrap_or_default(),
            })
            .collect();
        Self {
            id: record.run.id.0,
            incident: record.run.incident.0,
            runbook: record.version.runbook.slug.clone(),
            version: record.version.number,
            requested_by: record.requested_by,
            inputs: record.run.inputs,
            started_at: record.run.started_at,
            finished_at: record.run.finished_at,
            result: record.run.result.map(|result| result.name().to_owned()),
            steps,
            attempts: record.attempts.into_iter().map(AttemptBody::from).collect(),
        }
    }
}

/// A request for a decision in a list.
#[derive(Serialize, ToSchema)]
pub struct ApprovalRow {
    /// Its number.
    pub id: i64,
    /// Of which incident.
    pub incident: i64,
    /// What is asked.
    pub title: String,
    /// `pending`, `approved`, `rejected`, `expired`, `void`
    pub state: String,
    /// What it acts on.
    pub targets: Vec<String>,
    /// Approvals so far.
    pub given: i64,
    /// Approvals needed.
    pub needed: u32,
    /// Who started the run.
    pub requested_by: Option<String>,
    /// When it was asked.
    pub opened_at: DateTime<Utc>,
    /// When it lapses undecided.
    pub decide_by: DateTime<Utc>,
}

impl From<ApprovalLine> for ApprovalRow {
    fn from(line: ApprovalLine) -> Self {
        Self {
            id: line.id.0,
            incident: line.incident.0,
            title: line.title,
            state: line.state.name().to_owned(),
            targets: line.targets,
            given: line.given,
            needed: line.rule.approvals,
            requested_by: line.requester_name,
            opened_at: line.opened_at,
            decide_by: line.decide_by,
        }
    }
}

/// A request for a decision, whole.
#[derive(Serialize, ToSchema)]
pub struct ApprovalBody {
    /// Its number.
    pub id: i64,
    /// Of which incident.
    pub incident: i64,
    /// Of which run.
    pub run: i64,
    /// At which gate.
    pub step: String,
    /// `pending`, `approved`, `rejected`, `expired`, `void`
    pub state: String,
    /// What is asked.
    pub title: String,
    /// What the people affected will notice.
    pub impact: String,
    /// Everything a decision is given for.
    #[schema(value_type = Object)]
    pub bound: Value,
    /// The hash of it, which a decision must carry.
    pub digest: String,
    /// Approvals needed.
    pub needed: u32,
    /// The votes so far.
    pub votes: Vec<VoteBody>,
    /// When it was asked.
    pub opened_at: DateTime<Utc>,
    /// When it lapses undecided.
    pub decide_by: DateTime<Utc>,
    /// When it lapses unused.
    pub use_by: Option<DateTime<Utc>>,
}

/// One vote.
#[derive(Serialize, ToSchema)]
pub struct VoteBody {
    /// Who.
    pub name: String,
    /// `approve` or `reject`
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl ApprovalBody {
    /// The request with its votes.
    pub fn of(approval: Approval, votes: Vec<Vote>) -> Self {
        Self {
            id: approval.id.0,
            incident: approval.incident.0,
            run: approval.run.0,
            step: approval.step.0,
            state: approval.state.name().to_owned(),
            title: approval.title,
            impact: approval.impact,
            bound: serde_json::to_value(approval.bound).unwrap_or_default(),
            digest: approval.digest.to_string(),
            needed: approval.rule.approvals,
            votes: votes
                .into_iter()
                .map(|vote| VoteBody {
                    name: vote.name,
                    verdict: vote.verdict,
                    reason: vote.reason,
                    at: vote.at,
                })
                .collect(),
            opened_at: approval.opened_at,
            decide_by: approval.decide_by,
            use_by: approval.use_by,
        }
    }
}

/// A decision.
#[derive(Deserialize, ToSchema)]
pub struct DecisionBody {
    /// `approve` or `reject`
    #[schema(value_type = String)]
    pub verdict: crate::domain::approval::Verdict,
    /// The digest of what you saw; when it is not the present one, nothing is decided.
    pub digest: String,
    /// Why; needed to reject.
    #[serde(default)]
    pub reason: String,
}

/// Where a request stands after a decision.
#[derive(Serialize, ToSchema)]
pub struct DecidedBody {
    /// `pending` while more approvals are needed, `approved`, `rejected`
    pub state: String,
}

impl From<ApprovalState> for DecidedBody {
    fn from(state: ApprovalState) -> Self {
        Self {
            state: state.name().to_owned(),
        }
    }
}

/// Why an incident is over.
#[derive(Default, Deserialize, ToSchema)]
pub struct ReasonBody {
    /// In words.
    #[serde(default)]
    pub reason: String,
}

/// A note.
#[derive(Deserialize, ToSchema)]
pub struct NoteBody {
    /// The text.
    pub text: String,
}

/// A runbook.
#[derive(Serialize, ToSchema)]
pub struct RunbookBody {
    /// Its slug.
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// When to use it and what it does.
    pub summary: String,
    /// The version's number.
    pub version: i32,
    /// SHA-256 of its source.
    pub digest: String,
    /// Runs that have ended.
    pub finished_runs: i64,
    /// Those that worked.
    pub succeeded_runs: i64,
    /// The source as written; only when one runbook is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl RunbookBody {
    /// The version with its record.
    pub fn of(version: Version, record: Option<&Record>, source: Option<String>) -> Self {
        Self {
            slug: version.runbook.slug,
            title: version.runbook.title,
            summary: version.runbook.summary,
            version: version.number,
            digest: version.digest.to_string(),
            finished_runs: record.map_or(0, |record| record.finished),
            succeeded_runs: record.map_or(0, |record| record.succeeded),
            source,
        }
    }
}

/// A delivery, without its body.
#[derive(Serialize, ToSchema)]
pub struct DeliveryBody {
    /// Its number.
    pub id: i64,
    /// The source's name.
    pub source: Option<String>,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// `applied` or `rejected`
    pub outcome: String,
    /// Why it was rejected, and where in the body.
    pub reason: String,
    /// Alerts in it.
    pub alerts: i32,
    /// How often the same refusal came within its minute.
    pub repeats: i32,
    /// Size of the kept body in bytes.
    pub body_bytes: i32,
}

impl From<DeliveryRow> for DeliveryBody {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            source: row.source,
            received_at: row.received_at,
            outcome: row.outcome,
            reason: row.reason,
            alerts: row.alerts,
            repeats: row.repeats,
            body_bytes: row.body_bytes,
        }
    }
}
