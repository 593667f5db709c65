//! Who has taken on what: taking a duty, handing it over, laying it down.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::respond::{RespondError, lock};
use crate::{
    domain::{
        access::may,
        duty::Duty,
        event::{IncidentFact, NewEvent},
        id::{IncidentId, OperatorId},
        operator::Operator,
        permission::Permission,
    },
    store::{duties, events, operators},
};

/// The longest summary for the next person, in characters.
pub const SUMMARY_CHARS_MAX: usize = 2000;

/// Gives a duty to a person: to oneself, from whoever had it, or to another one, with what they should know.
pub async fn give(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    duty: Duty,
    to: OperatorId,
    summary: &str,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let summary: String = summary.trim().replace('\0', "\u{2400}");
    if summary.chars().count() > SUMMARY_CHARS_MAX {
        return Err(RespondError::Refused {
            message: format!("the summary is longer than {SUMMARY_CHARS_MAX} characters; shorten it"),
        });
    }
    let person = match to == by.id {
        true => Some(by.clone()),
        false => operators::list(conn)
            .await?
            .into_iter()
            .find(|person| person.id == to),
    };
    // A token acts for its owner: what it may not do does not keep others from giving its owner a duty.
    let person = person
        .filter(|person| to == by.id || may(person, Permission::Respond).is_ok())
        .ok_or_else(|| RespondError::Refused {
            message: "choose somebody who may respond to incidents".to_owned(),
        })?;
    lock(conn, id).await?;
    let before = holder(conn, id, duty).await?;
    if before.as_ref().is_some_and(|holder| holder.operator == to) {
        return Err(RespondError::Moved {
            message: format!("{} has it already", person.name),
        });
    }
    duties::give(conn, id, duty, to, now).await?;
    let fact = IncidentFact::DutyTaken {
        duty,
        to,
        name: person.name,
        from: before.map(|holder| holder.name),
        summary,
    };
    events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}

/// A person lays down a duty of theirs.
pub async fn lay_down(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    duty: Duty,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    lock(conn, id).await?;
    let Some(holder) = holder(conn, id, duty)
        .await?
        .filter(|holder| holder.operator == by.id)
    else {
        return Err(RespondError::Moved {
            message: "it is not yours any more".to_owned(),
        });
    };
    duties::clear(conn, id, duty).await?;
    let fact = IncidentFact::DutyLaidDown {
        duty,
        name: holder.name,
    };
    events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}

async fn holder(
    conn: &mut PgConnection,
    id: IncidentId,
    duty: Duty,
) -> Result<Option<duties::Holder>, RespondError> {
    Ok(duties::list(conn, id)
        .await?
        .into_iter()
        .find(|holder| holder.duty == duty))
}
