//! Recovery codes: ways in that work once, for when everything else is lost.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{digest::Digest, id::OperatorId};

/// Makes these the only recovery codes of a person.
pub async fn replace(
    conn: &mut PgConnection,
    operator: OperatorId,
    codes: &[Digest],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!("delete from recovery_codes where operator_id = $1", operator.0)
        .execute(&mut *conn)
        .await?;
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| code.0.to_vec()).collect();
    sqlx::query!(
        "insert into recovery_codes (operator_id, code_hash, made_at) select $1, hash, $3 from unnest($2::bytea[]) hash",
        operator.0,
        &hashes,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses a code up; `false` when the person has no such code left.
pub async fn use_up(
    conn: &mut PgConnection,
    operator: OperatorId,
    code: Digest,
    from: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let used = sqlx::query!(
        "update recovery_codes set used_at = $3, used_from = $4
         where operator_id = $1 and code_hash = $2 and used_at is null",
        operator.0,
        &code.0[..],
        now,
        from
    )
    .execute(conn)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// What became of a person's codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// When they were made; `None` when there are none.
    pub made_at: Option<DateTime<Utc>>,
    /// How many are left.
    pub left: usize,
    /// When and from where one was used, the newest first.
    pub uses: Vec<(DateTime<Utc>, String)>,
}

/// The codes of a person.
pub async fn find(conn: &mut PgConnection, operator: OperatorId) -> Result<Codes, StoreError> {
    let rows = sqlx::query!(
        "select made_at, used_at, used_from from recovery_codes where operator_id = $1 order by used_at desc nulls last",
        operator.0
    )
    .fetch_all(conn)
    .await?;
    Ok(Codes {
        made_at: rows.first().map(|row| row.made_at),
        left: rows.iter().filter(|row| row.used_at.is_none()).count(),
        uses: rows
            .into_iter()
            .filter_map(|row| row.used_at.zip(row.used_from))
            .collect(),
    })
}
