//! A person says that a real fault is over which nobody can see end: an experiment that left no journal, a machine that will
//! not come back. It is the last word of a fault that Muster has tried in vain to take back; the clean-up of its drill is
//! not proven by it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{DrillError, acts};
use crate::{
    domain::{
        drill::{DrillFact, name},
        fault::FaultState,
        id::{DrillId, OperatorId},
    },
    store::{
        drills,
        faults::{self, Standing},
    },
};

/// The longest reason, in characters.
pub const WHY_CHARS_MAX: usize = 2000;
/// Faults of one drill that are looked at; a scenario has far fewer.
pub const FAULTS_MAX: i64 = 200;
/// How long after its time a fault is in nobody's hand: longer than seeing to one ever takes.
const OVERDUE: TimeDelta = TimeDelta::seconds(300);

/// Whether a person may say that it is over: it was tried in vain to take it back, or its machine does not see to it.
pub fn may_be_declared(fault: &Standing, now: DateTime<Utc>) -> bool {
    let was_in_vain = fault.state == FaultState::Undoing && !fault.error.is_empty();
    was_in_vain || fault.due < now - OVERDUE
}

/// Says that the fault of a surprise is over, and why that is known.
pub async fn declare_over(
    conn: &mut PgConnection,
    (id, inject): (DrillId, &str),
    why: &str,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<Standing, DrillError> {
    let why = why.trim();
    if why.is_empty() || why.chars().count() > WHY_CHARS_MAX {
        return Err(DrillError::Refused(format!(
            "say how it is known that the fault is over, in {WHY_CHARS_MAX} characters at most"
        )));
    }
    let drill = drills::lock(conn, id)
        .await?
        .ok_or(DrillError::NotFound("drill"))?;
    let standing = faults::standing(conn, id, FAULTS_MAX).await?;
    let Some(fault) = standing.into_iter().find(|fault| fault.inject == inject) else {
        return Err(DrillError::Moved(format!("this fault of {} is over", name(id))));
    };
    let place = (id, inject);
    if !faults::declare_over(conn, place, (by, why), now - OVERDUE, now).await? {
        return Err(DrillError::Refused(format!(
            "{} of {} is in Muster's hand, which takes it back; only a fault that could not be taken back, or that \
             nobody has seen to for {} s, is declared over",
            fault.cause,
            fault.target,
            OVERDUE.num_seconds()
        )));
    }
    let fact = DrillFact::Fault {
        inject: fault.inject.clone(),
        target: fault.target.clone(),
        cause: fault.cause.clone(),
        state: FaultState::Declared,
        error: why.to_owned(),
    };
    drills::append(conn, id, acts::age(&drill, now), Some(by), &[fact], now).await?;
    Ok(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_nobodys_hand_is_declared_over() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let fault = |state, error: &str, late_s| Standing {
            drill: DrillId(1),
            inject: "kill".to_owned(),
            target: "db".to_owned(),
            cause: "kill".to_owned(),
            target_name: "drill-db".to_owned(),
            state,
            host: None,
            acts_on: None,
            order: None,
            planned_at: now,
            caused_at: None,
            due: now - TimeDelta::seconds(late_s),
            tries: 0,
            error: error.to_owned(),
        };
        let cases = [
            (fault(FaultState::Caused, "", 0), false),
            (fault(FaultState::Undoing, "", 0), false),
            (fault(FaultState::Undoing, "no journal", -60), true),
            (fault(FaultState::Caused, "", 301), true),
            (fault(FaultState::Planned, "", 299), false),
            (fault(FaultState::Planned, "", 301), true),
        ];
        for (fault, may) in cases {
            assert_eq!(may_be_declared(&fault, now), may, "{fault:?}");
        }
    }
}
