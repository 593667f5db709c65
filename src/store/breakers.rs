//! Circuits of targets. A row moves only from the revision that was read, in one statement: of any number of replicas
//! that move it at once, one does, and the others read again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, openings};
use crate::domain::breaker::BreakerState;

/// A circuit as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Of which target.
    pub target: String,
    /// Where it stands.
    pub state: BreakerState,
    /// When it moved last.
    pub changed_at: DateTime<Utc>,
    /// What a move from here must name.
    pub revision: i64,
}

struct Row {
    target: String,
    state: String,
    failures: Option<i32>,
    since: Option<DateTime<Utc>>,
    reason: Option<String>,
    due: Option<DateTime<Utc>>,
    changed_at: DateTime<Utc>,
    revision: i64,
}

impl TryFrom<Row> for Breaker {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let state = match (row.state.as_str(), row.failures, row.since, row.reason, row.due) {
            ("closed", Some(failures), None, None, None) => BreakerState::Closed {
                failures: failures.unsigned_abs(),
            },
            ("open", None, Some(since), Some(reason), Some(retry_at)) => BreakerState::Open {
                since,
                reason,
                retry_at,
            },
            ("half_open", None, Some(since), Some(reason), Some(probe_until)) => BreakerState::HalfOpen {
                since,
                reason,
                probe_until,
            },
            ("by_hand", None, Some(since), Some(reason), None) => BreakerState::ByHand { since, reason },
            (state, ..) => return Err(StoreError::corrupt("breakers", "state", state)),
        };
        Ok(Self {
            target: row.target,
            state,
            changed_at: row.changed_at,
            revision: row.revision,
        })
    }
}

/// The circuit of a target; `None` when it is closed and nothing failed lately.
pub async fn find(conn: &mut PgConnection, target: &str) -> Result<Option<Breaker>, StoreError> {
    sqlx::query_as!(
        Row,
        "select target, state, failures, since, reason, due, changed_at, revision from breakers
         where target = $1",
        target
    )
    .fetch_optional(conn)
    .await?
    .map(Breaker::try_from)
    .transpose()
}

/// Circuits that are not as new, those that are open longest first, at most `limit`.
pub async fn list(conn: &mut PgConnection, limit: i64) -> Result<Vec<Breaker>, StoreError> {
    sqlx::query_as!(
        Row,
        "select target, state, failures, since, reason, due, changed_at, revision from breakers
         order by since nulls last, target limit $1",
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Breaker::try_from)
    .collect()
}

/// The same of real targets, without the twins of drills.
pub async fn list_real(conn: &mut PgConnection, limit: i64) -> Result<Vec<Breaker>, StoreError> {
    sqlx::query_as!(
        Row,
        "select target, state, failures, since, reason, due, changed_at, revision from breakers
         where target !~ '^DRILL-[0-9]+ ' order by since nulls last, target limit $1",
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Breaker::try_from)
    .collect()
}

/// Moves a circuit from what was read (`None`: it had no row) to `next`; `false` when somebody moved it meanwhile.
pub async fn swap(
    conn: &mut PgConnection,
    target: &str,
    read: Option<i64>,
    next: &BreakerState,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let (state, failures, since, reason, due) = match next {
        BreakerState::Closed { failures } => ("closed", Some(*failures as i32), None, None, None),
        BreakerState::Open {
            since,
            reason,
            retry_at,
        } => ("open", None, Some(*since), Some(reason), Some(*retry_at)),
        BreakerState::HalfOpen {
            since,
            reason,
            probe_until,
        } => ("half_open", None, Some(*since), Some(reason), Some(*probe_until)),
        BreakerState::ByHand { since, reason } => ("by_hand", None, Some(*since), Some(reason), None),
    };
    let done = match (read, next) {
        (None, _) => {
            sqlx::query!(
                "insert into breakers (target, state, failures, since, reason, due, changed_at)
                 values ($1, $2, $3, $4, $5, $6, $7) on conflict (target) do nothing",
                target,
                state,
                failures,
                since,
                reason,
                due,
                now
            )
            .execute(&mut *conn)
            .await?
        }
        (Some(revision), BreakerState::Closed { failures: 0 }) => {
            sqlx::query!(
                "delete from breakers where target = $1 and revision = $2",
                target,
                revision
            )
            .execute(&mut *conn)
            .await?
        }
        (Some(revision), _) => {
            sqlx::query!(
                "update breakers set state = $3, failures = $4, since = $5, reason = $6, due = $7, changed_at = $8,
                                     revision = nextval('breaker_revisions')
                 where target = $1 and revision = $2",
                target,
                revision,
                state,
                failures,
                since,
                reason,
                due,
                now
            )
            .execute(&mut *conn)
            .await?
        }
    };
    let is_moved = done.rows_affected() == 1;
    if is_moved {
        openings::note(conn, target, next, now).await?;
    }
    Ok(is_moved)
}
