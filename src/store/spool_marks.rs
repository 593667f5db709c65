//! How far the spool of a process start has been applied.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// A place in a spool: everything before it is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The last batch that is wholly applied; 0 before the first.
    pub seq: i64,
    /// Deliveries of the batch after it that are applied.
    pub part: i32,
}

impl Mark {
    /// Whether what stands at that place is applied: batch `seq`, delivery `part` of it, from 0.
    pub fn covers(self, place: Mark) -> bool {
        place.seq <= self.seq || place.seq == self.seq + 1 && place.part < self.part
    }
}

/// A mark that was moved.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Where it stood before.
    pub before: Mark,
    /// The number of the server's process that holds its lock.
    pub backend: i32,
}

/// Locks the mark of a spool and moves it on; one that stands farther already stays where it is. It holds when what the
/// transaction writes does.
pub async fn advance(
    conn: &mut PgConnection,
    epoch: Uuid,
    to: Mark,
    now: DateTime<Utc>,
) -> Result<Moved, StoreError> {
    let row = sqlx::query!(
        r#"with held as materialized (select seq, part from spool_marks where epoch = $1 for update),
           moved as (
               insert into spool_marks (epoch, seq, part, moved_at)
               select $1, $2, $3, $4 where not exists (select from held where (seq, part) >= ($2, $3))
               on conflict (epoch) do update
               set seq = excluded.seq, part = excluded.part, moved_at = excluded.moved_at)
           select pg_backend_pid() as "backend!", (select seq from held) as seq, (select part from held) as part"#,
        epoch,
        to.seq,
        to.part,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(Moved {
        before: Mark {
            seq: row.seq.unwrap_or_default(),
            part: row.part.unwrap_or_default(),
        },
        backend: row.backend,
    })
}

/// The marks of these spools; none for one of which nothing is applied.
pub async fn list(conn: &mut PgConnection, epochs: &[Uuid]) -> Result<Vec<(Uuid, Mark)>, StoreError> {
    let rows = sqlx::query!(
        "select epoch, seq, part from spool_marks where epoch = any($1)",
        epochs
    )
    .fetch_all(conn)
    .await?;
    let mark = |seq, part| Mark { seq, part };
    Ok(rows
        .into_iter()
        .map(|row| (row.epoch, mark(row.seq, row.part)))
        .collect())
}

/// Whether a process of the server has nothing more to say to whoever waits for it: it is gone, or it has waited for a
/// word itself for a second, in which case it is ended, so that it holds no lock. `false` while it works.
pub async fn end_silent(conn: &mut PgConnection, backend: i32) -> Result<bool, StoreError> {
    let ended = sqlx::query_scalar!(
        r#"select (case when state = 'active' or state_change > clock_timestamp() - interval '1 second' then false
                        else pg_terminate_backend(pid) end) as "ended!"
           from pg_stat_activity
           where pid = $1 and datname = current_database() and usename = current_user"#,
        backend
    )
    .fetch_optional(conn)
    .await?;
    Ok(ended.unwrap_or(true))
}
