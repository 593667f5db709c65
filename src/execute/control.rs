//! What people do to everything at once: pause all automation and resume it, freeze by label, close a circuit by hand.
//! Each act needs a reason and leaves a record of who did it, in the same transaction.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::people::PeopleError;
use crate::{
    domain::{
        breaker::{BreakerInput, BreakerState},
        freeze::{AskedFreeze, line},
        id::FreezeId,
        operator::Operator,
    },
    store::{
        StoreError,
        acts::{self, ActKind},
        breakers, freezes, pauses,
    },
};

/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 2000;
/// How often a circuit that moves is read again before the person is asked to try once more.
const TRIES_MAX: usize = 5;

pub(super) fn moved(message: impl Into<String>) -> PeopleError {
    PeopleError::Moved {
        message: message.into(),
    }
}

pub(super) fn refused(message: impl Into<String>) -> PeopleError {
    PeopleError::Refused {
        message: message.into(),
    }
}

/// The reason a person gave: some words, in one line.
pub(super) fn because(reason: &str) -> Result<String, PeopleError> {
    let reason = reason.trim().replace(char::is_control, " ");
    if reason.is_empty() {
        return Err(refused("say in a few words why"));
    }
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(refused(format!(
            "the reason is longer than {REASON_CHARS_MAX} characters"
        )));
    }
    Ok(reason)
}

/// A person pauses all automation.
pub async fn pause(
    conn: &mut PgConnection,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let reason = because(reason)?;
    if !pauses::insert(conn, by.id, &reason, now).await? {
        return Err(moved(match pauses::find(conn).await? {
            Some(pause) => format!("nothing was done: {}", pause.why()),
            None => "somebody resumed at the same moment; nothing was done".to_owned(),
        }));
    }
    acts::insert(conn, ActKind::Paused, "", &reason, by.id, now).await?;
    Ok(())
}

/// A person lets automation go on. What was only suggested meanwhile stays a suggestion.
pub async fn resume(
    conn: &mut PgConnection,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let reason = because(reason)?;
    if !pauses::remove(conn).await? {
        return Err(moved("automation is not paused; nothing was done"));
    }
    acts::insert(conn, ActKind::Resumed, "", &reason, by.id, now).await?;
    Ok(())
}

/// A person makes a freeze.
pub async fn freeze(
    conn: &mut PgConnection,
    asked: &AskedFreeze,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<FreezeId, PeopleError> {
    let reason = because(reason)?;
    let new = asked.check(now).map_err(|fault| refused(fault.to_string()))?;
    let Some(id) = freezes::insert(conn, &new, &reason, by.id, now).await? else {
        return Err(refused(format!(
            "{} freezes are on or planned; end one first",
            freezes::FREEZES_MAX
        )));
    };
    let until = new.ends_at.format("%-d %b %Y %H:%M:%S UTC");
    let subject = format!("{} ({}, until {until})", new.title, line(&new.matchers));
    acts::insert(conn, ActKind::FreezeMade, &subject, &reason, by.id, now).await?;
    Ok(id)
}

/// A person ends a freeze before its time.
pub async fn end_freeze(
    conn: &mut PgConnection,
    id: FreezeId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let reason = because(reason)?;
    let Some(title) = freezes::end(conn, id, by.id, now).await? else {
        return Err(match freezes::exists(conn, id).await? {
            true => moved("this freeze is over; nothing was done"),
            false => PeopleError::NotFound("freeze"),
        });
    };
    acts::insert(conn, ActKind::FreezeEnded, &title, &reason, by.id, now).await?;
    Ok(())
}

/// A person closes the circuit of a target, which they know to work again.
pub async fn close_breaker(
    conn: &mut PgConnection,
    target: &str,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let reason = because(reason)?;
    for _ in 0..TRIES_MAX {
        let breaker = breakers::find(conn, target).await?;
        let Some(breaker) = breaker.filter(|breaker| !matches!(breaker.state, BreakerState::Closed { .. }))
        else {
            return Err(moved(format!(
                "the circuit of {target} is closed already; nothing was done"
            )));
        };
        let next = breaker.state.after(BreakerInput::ClosedByHand, now);
        if breakers::swap(conn, target, Some(breaker.revision), &next, now).await? {
            acts::insert(conn, ActKind::CircuitClosed, target, &reason, by.id, now).await?;
            return Ok(());
        }
    }
    Err(StoreError::Contended.into())
}
