//! What changes a person's ways in, and ends the sessions that were opened by the old ones.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{IdentityError, code, note};
use crate::{
    domain::{audit::ActKind, id::OperatorId},
    store::{StoreError, operators, sessions},
};

/// How long an invitation is good: over a weekend.
pub const INVITATION: TimeDelta = TimeDelta::days(3);

/// Makes the link by which a person chooses a password, and with it the only one that is good; returns its code, which
/// stands in no table. The address is `/enter/{code}`. For a new person and for one who forgot theirs.
pub async fn invite(
    conn: &mut PgConnection,
    person: OperatorId,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<String, IdentityError> {
    let made = code::new_token()?;
    operators::replace_invitation(conn, code::token_digest(&made), person, now + INVITATION).await?;
    let name = operators::find_name(conn, person).await?.unwrap_or_default();
    note(conn, ActKind::PersonInvited, &name, "", by, now).await?;
    Ok(made)
}

/// Gives a person a new password by its hash, and ends all their sessions; the caller begins a new one for the browser
/// that did it.
pub async fn set_password(
    conn: &mut PgConnection,
    person: OperatorId,
    hash: &str,
    how: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    operators::set_password(conn, person, hash, None).await?;
    sessions::end_all(conn, person).await?;
    let name = operators::find_name(conn, person).await?.unwrap_or_default();
    note(conn, ActKind::PasswordChanged, &name, how, Some(person), now).await
}

/// Ends all sessions of a person: whenever what they may do changes, they are disabled, or an admin says so. An open
/// page of theirs hears of it within [`crate::domain::sign_in::NOTICED_WITHIN`]. Returns how many ended.
pub async fn end_sessions(
    conn: &mut PgConnection,
    person: OperatorId,
    why: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let ended = sessions::end_all(conn, person).await?;
    let name = operators::find_name(conn, person).await?.unwrap_or_default();
    note(conn, ActKind::SessionsRevoked, &name, why, by, now).await?;
    Ok(ended)
}
