//! What stands over every run: the pause of all automation, circuits, freezes, locks, and who changed them.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    parts::{Ago, At, Badge, Hidden, Icon, Said, ago, at, hidden, icon, said},
};
use crate::{
    domain::{
        audit::RecordedAct,
        breaker::{BreakerState, OPEN_AFTER},
        freeze::Freeze,
        id::{FreezeId, IncidentId, RunId},
        operator::{Operator, Role},
        pause::Pause,
    },
    store::{breakers::Breaker, locks::HeldLock},
};

/// Who may pause: it is the safe direction.
pub const MAY_PAUSE: Role = Role::Responder;
/// Who may let automation act where it was held: resume, freeze, end a freeze, close a circuit.
pub const MAY_RELEASE: Role = Role::Approver;

/// The banner of a pause, on every page.
#[derive(Clone, Debug, Template)]
#[template(path = "system/_paused.html")]
pub struct PausedPart {
    icon: Icon,
    at: At,
    ago: Ago,
    by: Said,
    reason: Said,
}

impl HtmlSafe for PausedPart {}

impl PausedPart {
    /// The banner of this pause.
    pub fn of(pause: &Pause, now: DateTime<Utc>) -> Self {
        Self {
            icon: icon("triangle"),
            at: at(pause.at, now),
            ago: ago(pause.at, now),
            by: said(&pause.by),
            reason: said(&pause.reason),
        }
    }
}

/// The part of the page System that people act with.
#[derive(Clone, Debug, Template)]
#[template(path = "system/_standing.html")]
pub struct StandingPart {
    may_pause: bool,
    may_release: bool,
    is_paused: bool,
    circuits: Vec<Circuit>,
    more_circuits: bool,
    freezes: Vec<FreezeRow>,
    locks: Vec<LockRow>,
    more_locks: bool,
    acts: Vec<ActRow>,
}

impl HtmlSafe for StandingPart {}

/// What [`StandingPart`] is made of, as the store gives it. Each list holds one row more than `rows_max` when there
/// are more.
pub struct StandingFacts {
    /// The pause.
    pub pause: Option<Pause>,
    /// Circuits that are not as new.
    pub breakers: Vec<Breaker>,
    /// Freezes that are on or planned.
    pub freezes: Vec<Freeze>,
    /// Locks that are held.
    pub locks: Vec<HeldLock>,
    /// What people did last.
    pub acts: Vec<RecordedAct>,
    /// Rows that are shown of circuits and locks.
    pub rows_max: usize,
}

impl StandingPart {
    /// The part as this person may use it.
    pub fn of(facts: &StandingFacts, me: &Operator, now: DateTime<Utc>) -> Self {
        let (breakers, locks) = (&facts.breakers, &facts.locks);
        Self {
            may_pause: me.role >= MAY_PAUSE,
            may_release: me.role >= MAY_RELEASE,
            is_paused: facts.pause.is_some(),
            circuits: breakers
                .iter()
                .take(facts.rows_max)
                .map(|breaker| Circuit::of(breaker, now))
                .collect(),
            more_circuits: breakers.len() > facts.rows_max,
            freezes: facts
                .freezes
                .iter()
                .map(|freeze| FreezeRow::of(freeze, now))
                .collect(),
            locks: locks
                .iter()
                .take(facts.rows_max)
                .map(|lock| LockRow::of(lock, now))
                .collect(),
            more_locks: locks.len() > facts.rows_max,
            acts: facts.acts.iter().map(|act| ActRow::of(act, now)).collect(),
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

/// One circuit.
#[derive(Clone, Debug)]
struct Circuit {
    target: String,
    badge: Badge,
    /// When it opened; `None` while it is closed.
    since: Option<At>,
    /// What comes next.
    next: Next,
    reason: Said,
}

#[derive(Clone, Debug)]
enum Next {
    /// One try may go out then.
    At(At),
    /// Words.
    Words(String),
}

impl Circuit {
    fn of(breaker: &Breaker, now: DateTime<Utc>) -> Self {
        let (badge, since, next, reason) = match &breaker.state {
            BreakerState::Closed { failures } => {
                let failures = format!(
                    "{} in a row, {OPEN_AFTER} open it",
                    format::count(i64::from(*failures), "failure", "failures")
                );
                let badge = Badge::new("quiet", "circle-open", "Closed");
                (badge, None, Next::Words(failures), "")
            }
            BreakerState::Open {
                since,
                reason,
                retry_at,
            } => {
                let next = match *retry_at > now {
                    true => Next::At(at(*retry_at, now)),
                    false => Next::Words("the next step that needs it tries it".to_owned()),
                };
                (
                    Badge::new("sev1", "barred", "Open"),
                    Some(*since),
                    next,
                    reason.as_str(),
                )
            }
            BreakerState::HalfOpen { since, reason, .. } => {
                let next = Next::Words("one try is under way".to_owned());
                let badge = Badge::new("sev3", "clock", "Half-open");
                (badge, Some(*since), next, reason.as_str())
            }
            BreakerState::ByHand { since, reason } => {
                let next = Next::Words("somebody has to close it".to_owned());
                let badge = Badge::new("sev1", "barred", "Held open");
                (badge, Some(*since), next, reason.as_str())
            }
        };
        Self {
            target: breaker.target.clone(),
            badge,
            since: since.map(|since| at(since, now)),
            next,
            reason: said(reason),
        }
    }
}

/// One freeze.
#[derive(Clone, Debug)]
struct FreezeRow {
    id: FreezeId,
    title: Said,
    badge: Badge,
    matchers: Vec<Said>,
    starts: At,
    ends: At,
    by: Said,
    reason: Said,
}

impl FreezeRow {
    fn of(freeze: &Freeze, now: DateTime<Utc>) -> Self {
        Self {
            id: freeze.id,
            title: said(&freeze.title),
            badge: match freeze.is_on(now) {
                true => Badge::new("running", "lock", "On"),
                false => Badge::new("quiet", "clock", "Planned"),
            },
            matchers: freeze
                .matchers
                .iter()
                .map(|matcher| said(&matcher.to_string()))
                .collect(),
            starts: at(freeze.starts_at, now),
            ends: at(freeze.ends_at, now),
            by: said(&freeze.created_by),
            reason: said(&freeze.reason),
        }
    }
}

/// One lock and who holds it.
#[derive(Clone, Debug)]
struct LockRow {
    lock: Said,
    run: RunId,
    runbook: String,
    incident: IncidentId,
    title: Said,
    since: At,
}

impl LockRow {
    fn of(lock: &HeldLock, now: DateTime<Utc>) -> Self {
        Self {
            lock: said(&lock.lock),
            run: lock.run,
            runbook: lock.runbook.clone(),
            incident: lock.incident,
            title: said(&lock.incident_title),
            since: at(lock.since, now),
        }
    }
}

/// One thing that a person did.
#[derive(Clone, Debug)]
struct ActRow {
    at: At,
    by: Said,
    words: String,
    subject: Said,
    reason: Said,
}

impl ActRow {
    fn of(row: &RecordedAct, now: DateTime<Utc>) -> Self {
        let act = &row.act;
        Self {
            at: at(row.at, now),
            by: said(&act.actor.to_string()),
            words: act.kind_words().to_owned(),
            subject: said(&act.subject()),
            reason: said(&act.reason),
        }
    }
}
