//! The pause, a circuit, a freeze, a lock, and what people did to them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{audit::RecordedAct, breaker::BreakerState, freeze::Freeze, pause::Pause},
    store::{breakers::Breaker, locks::HeldLock},
};

/// Whether all automation is paused.
#[derive(Serialize, ToSchema)]
pub struct PauseBody {
    /// While it is, nothing starts by itself and no step that changes anything begins.
    pub paused: bool,
    /// Since when.
    pub at: Option<DateTime<Utc>>,
    /// Who paused.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl From<Option<Pause>> for PauseBody {
    fn from(pause: Option<Pause>) -> Self {
        let paused = pause.is_some();
        let (at, by, reason) = pause
            .map(|pause| (pause.at, pause.by, pause.reason))
            .map_or((None, None, None), |(at, by, reason)| {
                (Some(at), Some(by), Some(reason))
            });
        Self {
            paused,
            at,
            by,
            reason,
        }
    }
}

/// The circuit of a target that failed lately. One that is not listed is closed.
#[derive(Serialize, ToSchema)]
pub struct BreakerBody {
    /// Of which target.
    pub target: String,
    /// `closed`, `open`, `half_open`, or `by_hand`: a person holds it open
    pub state: String,
    /// Failures in a row, while it is closed.
    pub failures: Option<u32>,
    /// When it opened.
    pub since: Option<DateTime<Utc>>,
    /// How the target failed last, or why a person holds it open.
    pub reason: Option<String>,
    /// When the next try may go out, at the latest.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it moved last.
    pub changed_at: DateTime<Utc>,
}

impl From<Breaker> for BreakerBody {
    fn from(breaker: Breaker) -> Self {
        let (state, failures, open) = match breaker.state {
            BreakerState::Closed { failures } => ("closed", Some(failures), None),
            BreakerState::Open {
                since,
                reason,
                retry_at,
            } => ("open", None, Some((since, reason, Some(retry_at)))),
            BreakerState::ByHand { since, reason } => ("by_hand", None, Some((since, reason, None))),
            BreakerState::HalfOpen {
                since,
                reason,
                probe_until,
            } => ("half_open", None, Some((since, reason, Some(probe_until)))),
        };
        Self {
            target: breaker.target,
            state: state.to_owned(),
            failures,
            since: open.as_ref().map(|(since, _, _)| *since),
            next_try_at: open.as_ref().and_then(|(_, _, due)| *due),
            reason: open.map(|(_, reason, _)| reason),
            changed_at: breaker.changed_at,
        }
    }
}

/// A time in which nothing starts by itself on alerts with certain labels.
#[derive(Serialize, ToSchema)]
pub struct FreezeBody {
    /// Its number.
    pub id: i64,
    /// What people call it.
    pub title: String,
    /// Which alerts: all of these hold.
    pub matchers: Vec<String>,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Whether its time is now; otherwise it is planned.
    pub on: bool,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl FreezeBody {
    /// The freeze as seen from `now`.
    pub fn of(freeze: Freeze, now: DateTime<Utc>) -> Self {
        Self {
            on: freeze.is_on(now),
            id: freeze.id.0,
            title: freeze.title,
            matchers: freeze.matchers.iter().map(ToString::to_string).collect(),
            starts_at: freeze.starts_at,
            ends_at: freeze.ends_at,
            reason: freeze.reason,
            created_by: freeze.created_by,
            created_at: freeze.created_at,
        }
    }
}

/// A freeze to be made.
#[derive(Deserialize, ToSchema)]
pub struct NewFreezeBody {
    /// What people call it.
    pub title: String,
    /// Which alerts, one line in Alertmanager's syntax, like `env="prod", team=~"shop|search"`.
    pub matchers: String,
    /// From when; from now when absent.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// The number of a freeze.
#[derive(Serialize, ToSchema)]
pub struct FreezeMade {
    /// It.
    pub id: i64,
}

/// A lock that a run holds.
#[derive(Serialize, ToSchema)]
pub struct LockBody {
    /// The lock.
    pub lock: String,
    /// The run that holds it.
    pub run: i64,
    /// The runbook's slug.
    pub runbook: String,
    /// The run's incident.
    pub incident: i64,
    /// What that is called; text from outside.
    pub incident_title: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl From<HeldLock> for LockBody {
    fn from(lock: HeldLock) -> Self {
        Self {
            lock: lock.lock,
            run: lock.run.0,
            runbook: lock.runbook,
            incident: lock.incident.0,
            incident_title: lock.incident_title,
            since: lock.since,
        }
    }
}

/// What a person did to automation as a whole.
#[derive(Serialize, ToSchema)]
pub struct ActBody {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// `paused`, `resumed`, `circuit_opened`, `circuit_closed`, `freeze_made`, `freeze_ended`, `source_made`, `source_changed`,
    /// `source_disabled`, `source_enabled`, `source_token_issued`, `source_token_revoked`, `routing_rule_made`,
    /// `routing_rule_ended`
    pub act: String,
    /// Which target, freeze or source; empty for a pause.
    pub subject: String,
    /// Why.
    pub reason: String,
}

impl From<RecordedAct> for ActBody {
    fn from(row: RecordedAct) -> Self {
        Self {
            id: row.seq,
            at: row.at,
            by: row.act.actor.to_string(),
            subject: row.act.subject(),
            act: row.act.kind,
            reason: row.act.reason,
        }
    }
}

/// Why something is done; needed.
#[derive(Default, Deserialize, ToSchema)]
pub struct WhyBody {
    /// In words.
    #[serde(default)]
    pub reason: String,
}
