//! An incident, its alerts, its timeline.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    silence::SilenceBody,
    words::{HolderBody, ServiceBody, UpdateStands},
};
use crate::{
    domain::{
        event::{Event, Recorded},
        sentence::{category, sentence},
    },
    store::{
        alerts::MemberAlert,
        incidents::{Incident, IncidentLine},
        matches::Match,
    },
    web::reasons::Reasons,
};

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
    /// Since when it comes and goes too often; absent when it does not.
    pub flapping_since: Option<DateTime<Utc>>,
    /// The one before it.
    pub recurrence_of: Option<i64>,
    /// What it was merged into.
    pub merged_into: Option<i64>,
    /// Where its alerts are, when it was merged: the end of that chain.
    pub lives_in: Option<i64>,
    /// The one that stands for it in the list.
    pub folded_under: Option<i64>,
    /// The drill it is part of; absent when it is real.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<i64>,
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
            flapping_since: incident.flapping_since,
            recurrence_of: incident.recurrence_of,
            merged_into: incident.merged_into,
            lives_in: incident.lives_in,
            folded_under: incident.folded_under,
            drill: incident.drill.map(|drill| drill.0),
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
    /// Those of them that nobody spoke of for too long.
    pub stale: i64,
    /// Title of the runbook that runs.
    pub running: Option<String>,
    /// Decisions that wait.
    pub pending_approvals: i64,
    /// Incidents it stands for; open ones only unless all are listed.
    pub below: i64,
}

impl From<IncidentLine> for IncidentRow {
    fn from(line: IncidentLine) -> Self {
        Self {
            incident: line.incident.into(),
            firing: line.firing,
            stale: line.stale,
            running: line.running,
            pending_approvals: line.pending_approvals,
            below: line.below,
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
    /// Silences of its alerts that people asked for here, the newest first.
    pub silences: Vec<SilenceBody>,
    /// The runbooks that matched, and why.
    pub matches: Vec<MatchBody>,
    /// Numbers of the incidents that live in it.
    pub merged: Vec<i64>,
    /// Numbers of its runs, the newest first, also of those of the incidents that live in it.
    pub runs: Vec<i64>,
    /// Numbers of the decisions that wait.
    pub pending_approvals: Vec<i64>,
    /// What it does to people, in one sentence; empty when nobody said.
    pub impact: String,
    /// The newest status update.
    pub update: Option<UpdateStands>,
    /// Who has taken on what.
    pub duties: Vec<HolderBody>,
    /// Numbers of the pinned events, the newest first.
    pub pins: Vec<i64>,
    /// The services it is about, those with firing alerts first.
    pub services: Vec<ServiceBody>,
}

/// An alert of an incident.
#[derive(Serialize, ToSchema)]
pub struct AlertBody {
    /// Its number.
    pub id: i64,
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
    /// When it is taken to fire again, while it has ended and its sender says that it fires.
    pub refire_due: Option<DateTime<Utc>>,
    /// The last word of it, by a delivery, Alertmanager or a person.
    pub heard_at: DateTime<Utc>,
    /// Whether it fires as far as is known, but nobody spoke of it for too long.
    pub is_stale: bool,
    /// Why it is in this incident.
    pub reason: String,
    /// The incident it is in.
    pub incident: i64,
    /// The one it came with, when that was merged into the one it is in.
    pub came_from: Option<i64>,
}

impl From<MemberAlert> for AlertBody {
    fn from(alert: MemberAlert) -> Self {
        Self {
            id: alert.alert_id,
            is_stale: alert.is_stale,
            heard_at: alert.heard_at,
            fingerprint: alert.fingerprint,
            title: alert.title,
            labels: alert.labels.0,
            annotations: alert.annotations.0,
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            refire_due: alert.refire_due,
            reason: alert.reason,
            incident: alert.incident.0,
            came_from: alert.came_from.map(|id| id.0),
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

/// Why each runbook did or did not match.
#[derive(Serialize, ToSchema)]
pub struct ReasonsBody {
    /// How many alerts the runbooks are compared with.
    pub alerts: usize,
    /// The runbooks that matched.
    pub matched: Vec<MatchBody>,
    /// Those that did not, by name.
    pub missed: Vec<MissBody>,
    /// Where the next page of those begins.
    pub next: Option<String>,
}

/// A runbook that did not match.
#[derive(Serialize, ToSchema)]
pub struct MissBody {
    /// The runbook's slug.
    pub runbook: String,
    /// The version's number.
    pub version: i32,
    /// What it is called.
    pub title: String,
    /// The alert that came closest: 16 hex digits.
    pub alert: Option<String>,
    /// Place of the line of its trigger that came closest, from 0.
    pub closest_line: Option<usize>,
    /// Whether it would match if the alert fired now.
    pub applies_now: bool,
    /// Each matcher of each line, the value it met, and whether it holds.
    #[schema(value_type = Object)]
    pub report: Value,
}

impl From<&Reasons> for ReasonsBody {
    fn from(reasons: &Reasons) -> Self {
        let missed = reasons.misses();
        Self {
            alerts: reasons.members.len(),
            matched: reasons.matched.iter().cloned().map(Into::into).collect(),
            missed: missed
                .iter()
                .map(|miss| MissBody {
                    runbook: miss.version.runbook.slug.clone(),
                    version: miss.version.number,
                    title: miss.version.runbook.title.clone(),
                    alert: miss
                        .alert
                        .and_then(|alert| reasons.members.get(alert))
                        .map(|member| member.fingerprint.clone()),
                    closest_line: miss.line,
                    applies_now: miss.applies_now(),
                    report: serde_json::to_value(&miss.report).unwrap_or_default(),
                })
                .collect(),
            next: reasons.next.clone(),
        }
    }
}

/// One event of a timeline.
#[derive(Serialize, ToSchema)]
pub struct EventBody {
    /// Its place: 1, 2, 3 … without gaps.
    pub seq: i64,
    /// `decisions`, `steps`, `alerts`, `notes`, `updates`, `system`
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
                Event::Run(run, _) => Some(run.0),
                Event::Incident(_) => None,
            },
            occurred_at: recorded.occurred_at,
            recorded_at: recorded.recorded_at,
            hash: recorded.hash.to_string(),
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

/// What an incident is merged into, and why.
#[derive(Deserialize, ToSchema)]
pub struct MergeBody {
    /// Number of the other incident.
    pub into: i64,
    /// In words.
    #[serde(default)]
    pub reason: String,
}

/// What is folded under an incident: these, or every open one of a source that was opened lately and stands for itself.
#[derive(Default, Deserialize, ToSchema)]
pub struct FoldBody {
    /// Numbers of incidents.
    #[serde(default)]
    pub incidents: Vec<i64>,
    /// Name of a source, instead of these.
    pub source: Option<String>,
    /// How far back then, like `15m`.
    pub within: Option<String>,
    /// In words.
    #[serde(default)]
    pub reason: String,
}

/// Which incidents were folded, or stand for themselves again.
#[derive(Serialize, ToSchema)]
pub struct FoldedBody {
    /// Their numbers.
    pub incidents: Vec<i64>,
}

/// A note.
#[derive(Deserialize, ToSchema)]
pub struct NoteBody {
    /// The text.
    pub text: String,
    /// `observation`, `hypothesis` or `decision`; absent for a note of no kind.
    pub tag: Option<String>,
    /// When what it tells of happened, if that was earlier.
    pub happened_at: Option<DateTime<Utc>>,
}

/// How bad an incident is.
#[derive(Deserialize, ToSchema)]
pub struct SeverityBody {
    /// 1 is the worst, 4 the least.
    pub severity: i16,
    /// In words.
    #[serde(default)]
    pub reason: String,
}
