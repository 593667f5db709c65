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

/// Uses a code of the person of that name up; `None` when there is no such person or code.
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
    let Some((person, _)) = operators::find_by_name(conn, name).await? else {
        return Ok(None);
    };
    if !recovery_codes::use_up(conn, person.id, digest, &from.address, now).await? {
        return Ok(None);
    }
    note(
        conn,
        ActKind::RecoveryCodeUsed,
        "",
        &from.address,
        Some(person.id),
        now,
    )
    .await?;
    Ok(Some(person))
}
