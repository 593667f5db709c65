//! What people do to everything at once: pause all automation and resume it, freeze by label, close a circuit by hand.
//! Each act needs a reason and leaves a record of who did it, in the same transaction.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgConnection;

use super::people::PeopleError;
use crate::{
    domain::{
        act::{Act, ActKind, Object},
        breaker::{BreakerInput, BreakerState},
        fields::Fields,
        freeze::{AskedFreeze, line},
        id::FreezeId,
        operator::Operator,
    },
    store::{StoreError, audit, breakers, freezes, pauses},
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

fn one(field: &str, value: impl Into<String>) -> Fields {
    Fields::of([(field, value.into())])
}

/// A time as the audit keeps it.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A circuit as the audit keeps it.
fn circuit(state: &BreakerState) -> Fields {
    let (name, since, reason) = match state {
        BreakerState::Closed { .. } => return one("state", "closed"),
        BreakerState::Open { since, reason, .. } => ("open", since, reason),
        BreakerState::HalfOpen { since, reason, .. } => ("half-open", since, reason),
        BreakerState::ByHand { since, reason } => ("open by hand", since, reason),
    };
    Fields::of([
        ("state", name.to_owned()),
        ("since", instant(*since)),
        ("failure", reason.clone()),
    ])
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
    let act = Act::new(by.actor(), ActKind::Paused, Object::automation(), &reason);
    audit::insert(
        conn,
        &act.changing(one("state", "on"), one("state", "paused")),
        now,
    )
    .await?;
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
    let stood = pauses::find(conn).await?;
    if !pauses::remove(conn).await? {
        return Err(moved("automation is not paused; nothing was done"));
    }
    let before = stood.map_or_else(Fields::default, |pause| {
        Fields::of([
            ("state", "paused".to_owned()),
            ("since", instant(pause.at)),
            ("by", pause.by),
            ("reason", pause.reason),
        ])
    });
    let act = Act::new(by.actor(), ActKind::Resumed, Object::automation(), &reason);
    audit::insert(conn, &act.changing(before, one("state", "on")), now).await?;
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
    let after = Fields::of([
        ("title", new.title),
        ("matchers", line(&new.matchers)),
        ("starts_at", instant(new.starts_at)),
        ("ends_at", instant(new.ends_at)),
    ]);
    let act = Act::new(
        by.actor(),
        ActKind::FreezeMade,
        Object::freeze(id, &subject),
        &reason,
    );
    audit::insert(conn, &act.changing(Fields::default(), after), now).await?;
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
    let stood = freezes::list(conn, now).await?;
    let Some(title) = freezes::end(conn, id, by.id, now).await? else {
        return Err(match freezes::exists(conn, id).await? {
            true => moved("this freeze is over; nothing was done"),
            false => PeopleError::NotFound("freeze"),
        });
    };
    let stood = stood.iter().find(|freeze| freeze.id == id);
    let before = stood.map_or_else(Fields::default, |freeze| one("ends_at", instant(freeze.ends_at)));
    let act = Act::new(
        by.actor(),
        ActKind::FreezeEnded,
        Object::freeze(id, &title),
        &reason,
    );
    audit::insert(conn, &act.changing(before, one("ends_at", instant(now))), now).await?;
    Ok(())
}

/// A person holds the circuit of a target open: nothing that changes it is sent, on any replica, until a person closes it.
pub async fn open_breaker(
    conn: &mut PgConnection,
    target: &str,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let reason = because(reason)?;
    for _ in 0..TRIES_MAX {
        let found = breakers::find(conn, target).await?;
        let (state, revision) = match found {
            Some(breaker) => (breaker.state, Some(breaker.revision)),
            None => (BreakerState::default(), None),
        };
        if matches!(state, BreakerState::ByHand { .. }) {
            return Err(moved(format!(
                "the circuit of {target} is held open by hand already; nothing was done"
            )));
        }
        let before = circuit(&state);
        let next = state.after(BreakerInput::OpenedByHand(&reason), now);
        if breakers::swap(conn, target, revision, &next, now).await? {
            let kind = ActKind::CircuitOpened;
            let act = Act::new(by.actor(), kind, Object::target(target), &reason);
            audit::insert(conn, &act.changing(before, one("state", "open by hand")), now).await?;
            return Ok(());
        }
    }
    Err(StoreError::Contended.into())
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
        let circuit = circuit(&breaker.state);
        let next = breaker.state.after(BreakerInput::ClosedByHand, now);
        if breakers::swap(conn, target, Some(breaker.revision), &next, now).await? {
            let act = Act::new(
                by.actor(),
                ActKind::CircuitClosed,
                Object::target(target),
                &reason,
            );
            audit::insert(conn, &act.changing(circuit, one("state", "closed")), now).await?;
            return Ok(());
        }
    }
    Err(StoreError::Contended.into())
}
