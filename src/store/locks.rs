//! Target locks: one run holds a named thing outside from its start to its end; others wait in line.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{IncidentId, RunId};

/// Who holds a lock, or stands in line for it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The lock.
    pub lock: String,
    /// The run that holds it.
    pub run: RunId,
    /// That run's incident.
    pub incident: IncidentId,
    /// It does not hold it yet, but came before.
    pub is_in_line: bool,
}

/// Takes all the locks or none: returns a holder when any is taken by another run. The names must be sorted, so that
/// two runs cannot wait for each other. The caller rolls back when somebody else holds one.
pub async fn take_all(
    conn: &mut PgConnection,
    run: RunId,
    names: &[String],
    now: DateTime<Utc>,
) -> Result<Option<Holder>, StoreError> {
    // Who came first is served first; who holds it already need not stand in line.
    let before = sqlx::query!(
        "select w.name, w.run_id, q.incident_id
         from lock_waits w join run_queue q on q.run_id = w.run_id
         where w.name = any($2) and w.run_id <> $1
           and not exists (select from target_locks l where l.name = w.name and l.run_id = $1)
           and (w.since, w.run_id) < (coalesce((select min(since) from lock_waits where run_id = $1), $3), $1)
         order by w.since, w.run_id limit 1",
        run.0,
        names,
        now
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(row) = before {
        return Ok(Some(Holder {
            lock: row.name,
            run: RunId(row.run_id),
            incident: IncidentId(row.incident_id),
            is_in_line: true,
        }));
    }
    sqlx::query!(
        "insert into target_locks (name, run_id, acquired_at)
         select n.name, $1, $3 from unnest($2::text[]) as n (name) order by n.name
         on conflict (name) do nothing",
        run.0,
        names,
        now
    )
    .execute(&mut *conn)
    .await?;
    let holder = sqlx::query!(
        "select l.name, l.run_id, r.incident_id from target_locks l join runs r on r.id = l.run_id
         where l.name = any($2) and l.run_id <> $1 order by l.name limit 1",
        run.0,
        names
    )
    .fetch_optional(&mut *conn)
    .await?
    .map(|row| Holder {
        lock: row.name,
        run: RunId(row.run_id),
        incident: IncidentId(row.incident_id),
        is_in_line: false,
    });
    if holder.is_none() {
        sqlx::query!("delete from lock_waits where run_id = $1", run.0)
            .execute(conn)
            .await?;
    }
    Ok(holder)
}

/// The run that holds a lock now.
pub async fn find_holder(conn: &mut PgConnection, lock: &str) -> Result<Option<Holder>, StoreError> {
    Ok(sqlx::query!(
        "select l.name, l.run_id, r.incident_id from target_locks l join runs r on r.id = l.run_id where l.name = $1",
        lock
    )
    .fetch_optional(conn)
    .await?
    .map(|row| Holder {
        lock: row.name,
        run: RunId(row.run_id),
        incident: IncidentId(row.incident_id),
        is_in_line: false,
    }))
}

/// Puts a run in line for a lock; its place stays the one it took first.
pub async fn wait_for(
    conn: &mut PgConnection,
    run: RunId,
    lock: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into lock_waits (run_id, name, since) values ($1, $2, $3) on conflict do nothing",
        run.0,
        lock,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Frees every lock of a run and makes those due that wait for one of them.
pub async fn free(conn: &mut PgConnection, run: RunId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "with freed as (delete from target_locks where run_id = $1 returning name),
              left_line as (delete from lock_waits where run_id = $1)
         update run_queue q set state = 0, due = least(q.due, $2)
         from lock_waits w join freed f on f.name = w.name
         where q.run_id = w.run_id and w.run_id <> $1 and q.state = 2",
        run.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A lock that is held, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// The lock.
    pub lock: String,
    /// The run that holds it.
    pub run: RunId,
    /// What that run carries out.
    pub runbook: String,
    /// That run's incident.
    pub incident: IncidentId,
    /// What that is called.
    pub incident_title: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Locks that are held, the longest held first, at most `limit`.
pub async fn list(conn: &mut PgConnection, limit: i64) -> Result<Vec<HeldLock>, StoreError> {
    Ok(sqlx::query!(
        r#"select l.name, l.run_id, b.slug, r.incident_id, i.title as incident_title, l.acquired_at
           from target_locks l join runs r on r.id = l.run_id join runbooks b on b.id = r.runbook_id
           join incidents i on i.id = r.incident_id
           order by l.acquired_at, l.name limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| HeldLock {
        lock: row.name,
        run: RunId(row.run_id),
        runbook: row.slug,
        incident: IncidentId(row.incident_id),
        incident_title: row.incident_title,
        since: row.acquired_at,
    })
    .collect())
}
