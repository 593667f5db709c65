//! The queue of live runs: claim, let go, wake, take over.
//!
//! A claim gives a rising number, the fence; every write of a worker names it, so a worker whose lease has passed to
//! another writes nothing. Every act of a person raises `acts`; a worker's write names the number it has seen as well,
//! so it never overtakes what a person did.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{DrillId, IncidentId, OperatorId, ReplicaId, RunId, VersionId};

/// The first pause after a fault of a worker; it doubles with each further one.
pub const FAULT_PAUSE_MIN: Duration = Duration::from_secs(5);
/// The longest one.
pub const FAULT_PAUSE_MAX: Duration = Duration::from_secs(600);
/// Characters kept of what was in the way.
const FAULT_TEXT_MAX: usize = 500;

/// What keeps the workers from going on with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How often in a row.
    pub times: i32,
    /// What was in the way, the last time.
    pub reason: String,
    /// When it is tried again.
    pub next: DateTime<Utc>,
}

/// A run this replica may work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which run.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// The number its writes carry.
    pub fence: i64,
    /// Whose lease it stands on.
    pub owner: ReplicaId,
    /// The drill it belongs to.
    pub drill: Option<DrillId>,
}

/// A claimed run with what does not change while it lives.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The claim.
    pub claim: Claim,
    /// Acts of people so far.
    pub acts: i64,
    /// When it was due.
    pub due: DateTime<Utc>,
    /// The version it is pinned to.
    pub version: VersionId,
    /// The person who started it.
    pub requested_by: Option<OperatorId>,
    /// Its inputs.
    pub inputs: Value,
    /// Labels and annotations of the alert it is about.
    pub context: Value,
    /// The first run of those it goes on from; itself when it goes on from none.
    pub root: RunId,
    /// Title of its incident.
    pub title: String,
    /// Severity of its incident, 1 to 4.
    pub severity: i16,
}

/// Whether a worker may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It may; the row is locked until the commit.
    Held,
    /// A person acted since: plan anew.
    Moved,
}

/// Claims up to `limit` runs that are ready or whose timer is due, the longest due first, of those due after `mark`.
/// Runs that another replica is claiming are passed over: losing is normal.
///
/// The mark steps over the dead index entries that claimed runs leave behind while some old snapshot is held open.
pub async fn claim(
    conn: &mut PgConnection,
    replica: ReplicaId,
    now: DateTime<Utc>,
    mark: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    Ok(sqlx::query!(
        "with due as (
             select run_id from run_queue where state in (0, 2) and due <= $2 and due > $4
             order by due, run_id limit $3 for no key update skip locked),
         mine as (
             update run_queue q set state = 1, owner = $1, fence = q.fence + 1
             from due where q.run_id = due.run_id
             returning q.run_id, q.incident_id, q.fence, q.acts, q.due)
         select m.run_id, m.incident_id, m.fence, m.acts, m.due, r.version_id, r.requested_by, r.inputs, r.context,
                r.root_id, i.title, i.severity, i.drill_id
         from mine m join runs r on r.id = m.run_id join incidents i on i.id = m.incident_id",
        replica.0,
        now,
        limit,
        mark
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Claimed {
        claim: Claim {
            run: RunId(row.run_id),
            incident: IncidentId(row.incident_id),
            fence: row.fence,
            owner: replica,
            drill: row.drill_id.map(DrillId),
        },
        acts: row.acts,
        due: row.due,
        version: VersionId(row.version_id),
        requested_by: row.requested_by.map(OperatorId),
        inputs: row.inputs,
        context: row.context,
        root: row.root_id.map_or(RunId(row.run_id), RunId),
        title: row.title,
        severity: row.severity,
    })
    .collect())
}

/// When the next queued run is due.
pub async fn next_due(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(
        sqlx::query_scalar!("select min(due) from run_queue where state in (0, 2)")
            .fetch_one(conn)
            .await?,
    )
}

/// Locks the run's row for a write of this claim's worker that has seen `acts`, or says why it may not write.
pub async fn hold(conn: &mut PgConnection, claim: Claim, acts: i64) -> Result<Hold, StoreError> {
    let found = sqlx::query_scalar!(
        "select acts from run_queue where run_id = $1 and fence = $2 and state = 1 for no key update",
        claim.run.0,
        claim.fence
    )
    .fetch_optional(conn)
    .await?
    .ok_or(StoreError::Fenced(claim.run))?;
    Ok(if found == acts { Hold::Held } else { Hold::Moved })
}

/// Acts of people on the run of a claim so far, without locking anything.
pub async fn acts(conn: &mut PgConnection, claim: Claim) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        "select acts from run_queue where run_id = $1 and fence = $2 and state = 1",
        claim.run.0,
        claim.fence
    )
    .fetch_optional(conn)
    .await?
    .ok_or(StoreError::Fenced(claim.run))
}

/// Raises the fence of a claim that goes on: whatever was written under the old one and is not committed yet never
/// will be, and what was committed can be read. Waits for a write that is under way.
pub async fn raise_fence(conn: &mut PgConnection, claim: Claim) -> Result<Claim, StoreError> {
    let fence = sqlx::query_scalar!(
        "update run_queue set fence = fence + 1 where run_id = $1 and fence = $2 and state = 1 returning fence",
        claim.run.0,
        claim.fence
    )
    .fetch_optional(conn)
    .await?
    .ok_or(StoreError::Fenced(claim.run))?;
    Ok(Claim { fence, ..claim })
}

/// Locks the row of a live run for a person's act. `false` when the run is over.
pub async fn lock_for_person(conn: &mut PgConnection, run: RunId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select 1 as "live!" from run_queue where run_id = $1 for no key update"#,
        run.0
    )
    .fetch_optional(conn)
    .await?
    .is_some())
}

/// Lets a claimed run go until `due`.
pub async fn release(conn: &mut PgConnection, claim: Claim, due: DateTime<Utc>) -> Result<(), StoreError> {
    let released = sqlx::query!(
        "update run_queue set state = 2, owner = null, due = $3 where run_id = $1 and fence = $2 and state = 1",
        claim.run.0,
        claim.fence,
        due
    )
    .execute(conn)
    .await?;
    match released.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Fenced(claim.run)),
    }
}

/// Lets a claimed run go after a fault of its worker, and keeps what was in the way. The pause doubles with each fault
/// in a row, from [`FAULT_PAUSE_MIN`] to [`FAULT_PAUSE_MAX`]; a person's act ends it.
pub async fn put_off(
    conn: &mut PgConnection,
    claim: Claim,
    fault: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let fault: String = fault.chars().take(FAULT_TEXT_MAX).collect();
    let put_off = sqlx::query!(
        "update run_queue set state = 2, owner = null, faults = faults + 1, fault = $3,
                              due = $4::timestamptz + make_interval(secs => least($5::float8 * 2 ^ least(faults, 30), $6::float8))
         where run_id = $1 and fence = $2 and state = 1",
        claim.run.0,
        claim.fence,
        fault,
        now,
        FAULT_PAUSE_MIN.as_secs_f64(),
        FAULT_PAUSE_MAX.as_secs_f64(),
    )
    .execute(conn)
    .await?;
    match put_off.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Fenced(claim.run)),
    }
}

/// What keeps the workers from going on with a live run, if anything does.
pub async fn find_fault(conn: &mut PgConnection, run: RunId) -> Result<Option<Fault>, StoreError> {
    Ok(sqlx::query_as!(
        Fault,
        r#"select faults as "times", fault as "reason", due as "next" from run_queue where run_id = $1 and faults > 0"#,
        run.0
    )
    .fetch_optional(conn)
    .await?)
}

/// Who holds a live run, and until when unless they renew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The worker.
    pub worker: ReplicaId,
    /// The number of its claim.
    pub fence: i64,
    /// When it ends unless it is renewed, by the database's clock.
    pub until: DateTime<Utc>,
}

/// The lease on a run, while a worker holds it.
pub async fn find_lease(conn: &mut PgConnection, run: RunId) -> Result<Option<Lease>, StoreError> {
    Ok(sqlx::query!(
        "select p.id, q.fence, p.lease_until from run_queue q join replicas p on p.id = q.owner
         where q.run_id = $1 and q.state = 1",
        run.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| Lease {
        worker: ReplicaId(row.id),
        fence: row.fence,
        until: row.lease_until,
    }))
}

/// Counts a person's act, and makes a waiting run due now. One that a worker holds finds the act before its next write.
pub async fn wake(conn: &mut PgConnection, run: RunId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "update run_queue set acts = acts + 1, state = case state when 2 then 0 else state end,
                              due = case state when 1 then due else least(due, $2) end
         where run_id = $1",
        run.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes all runs of an incident due that wait: what they wait for may be over.
pub async fn wake_incident(
    conn: &mut PgConnection,
    incident: IncidentId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update run_queue set due = least(due, $2) where incident_id = $1 and state in (0, 2)",
        incident.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a run is due now that no worker has taken yet.
pub async fn has_due(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from run_queue where state in (0, 2) and due <= $1) as "due!""#,
        now
    )
    .fetch_one(conn)
    .await?)
}

/// Takes a finished run out of the queue.
pub async fn delete(conn: &mut PgConnection, claim: Claim) -> Result<(), StoreError> {
    let deleted = sqlx::query!(
        "delete from run_queue where run_id = $1 and fence = $2",
        claim.run.0,
        claim.fence
    )
    .execute(conn)
    .await?;
    match deleted.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Fenced(claim.run)),
    }
}

/// Takes runs back from replicas whose lease ended, at most `limit`. The fence rises here already, so nothing of the
/// old worker lands between this and the next claim. By the database's clock alone.
pub async fn take_back_expired(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        "with gone as (
             select q.run_id from run_queue q join replicas p on p.id = q.owner
             where q.state = 1 and p.lease_until < now() - interval '1 second'
             limit $1 for no key update of q skip locked)
         update run_queue q set state = 0, owner = null, fence = q.fence + 1, due = $2
         from gone where q.run_id = gone.run_id",
        limit,
        now
    )
    .execute(conn)
    .await?
    .rows_affected())
}

/// What this replica is said to hold besides what it works on.
pub async fn strays(
    conn: &mut PgConnection,
    replica: ReplicaId,
    working_on: &[RunId],
) -> Result<Vec<Claim>, StoreError> {
    let working_on: Vec<i64> = working_on.iter().map(|run| run.0).collect();
    Ok(sqlx::query!(
        "select q.run_id, q.incident_id, q.fence, i.drill_id from run_queue q join incidents i on i.id = q.incident_id
         where q.owner = $1 and q.state = 1 and q.run_id <> all($2)",
        replica.0,
        &working_on
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Claim {
        run: RunId(row.run_id),
        incident: IncidentId(row.incident_id),
        fence: row.fence,
        owner: replica,
        drill: row.drill_id.map(DrillId),
    })
    .collect())
}

/// Gives a claim back whose worker ended without letting go.
pub async fn give_back(conn: &mut PgConnection, claim: Claim, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "update run_queue set state = 0, owner = null, fence = fence + 1, due = $3
         where run_id = $1 and fence = $2 and state = 1",
        claim.run.0,
        claim.fence,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a run of this incident, or of one merged into it, is live.
pub async fn has_live_run(conn: &mut PgConnection, incident: IncidentId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from run_queue
                          where incident_id = $1 or incident_id in (select id from incidents where lives_in = $1))
               as "live!""#,
        incident.0
    )
    .fetch_one(conn)
    .await?)
}

/// How many real runs are live, for the metrics.
pub async fn count(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from run_queue q join incidents i on i.id = q.incident_id where i.drill_id is null"#
    )
    .fetch_one(conn)
    .await?)
}
