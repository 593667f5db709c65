//! Recovery codes: ten ways in that work once each, for when password, passkey and provider are out of reach.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{IdentityError, code, note};
use crate::{
    domain::{audit::ActKind, id::OperatorId, operator::Operator, sign_in::Arrival},
    store::{StoreError, operators, recovery_codes},
};

/// Codes made at a time.
pub const CODES: usize = 10;
/// The longest text that is looked at as a code, in bytes.
const TYPED_BYTES_MAX: usize = 100;

/// Makes a person's codes anew; those made before open nothing any more. They are shown once: only their hashes are
/// kept.
pub async fn make(
    conn: &mut PgConnection,
    person: OperatorId,
    now: DateTime<Utc>,
) -> Result<Vec<String>, IdentityError> {
    let codes = (0..CODES)
        .map(|_| code::new_recovery_code())
        .collect::<Result<Vec<_>, _>>()?;
    let hashes: Vec<_> = codes.iter().map(|made| code::recovery_digest(made)).collect();
    recovery_codes::replace(conn, person, &hashes, now).await?;
    note(conn, ActKind::RecoveryCodesMade, "", "", Some(person), now).await?;
    Ok(codes)
}

/// Uses a code of the person of that name up; `None` when there is no such person or code. The caller writes it down by
/// [`note_use`] once it holds every other lock.
pub async fn use_up(
    conn: &mut PgConnection,
    name: &str,
    typed: &str,
    from: &Arrival,
    now: DateTime<Utc>,
) -> Result<Option<Operator>, StoreError> {
    if typed.len() > TYPED_BYTES_MAX {
        return Ok(None);
    }
    let digest = code::recovery_digest(typed);
    let known = operators::find_by_name(conn, name)
        .await?
        .map(|(person, _)| person);
    // For a name that nobody has the same is asked about nobody, so that both answers take the same time.
    let id = known.as_ref().map_or(OperatorId(0), |person| person.id);
    if !recovery_codes::use_up(conn, id, digest, &from.address, now).await? {
        return Ok(None);
    }
    let Some(person) = known else {
        return Ok(None);
    };
    Ok(Some(person))
}

/// Writes down that a person used a code.
pub async fn note_use(
    conn: &mut PgConnection,
    person: OperatorId,
    from: &Arrival,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    note(
        conn,
        ActKind::RecoveryCodeUsed,
        "",
        &from.address,
        Some(person),
        now,
    )
    .await
}
