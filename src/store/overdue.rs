//! What is overdue at a start, before anything of it is handled: exact counts, and the first items of each kind. Reads
//! only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{ApprovalId, IncidentId, ReplicaId, RunId, SourceId, StepId},
    overdue::{CutOff, ITEMS_MAX, Lapsed, LateIncident, LateRun, Part, Report, Silence, Taken, Timer},
    step::Effect,
};

const LIMIT: i64 = ITEMS_MAX as i64;

/// Everything that is overdue at `now` for a process that began at `born`. A run that one of `gone` or a replica without
/// a lease is said to hold has no worker.
pub async fn report(
    conn: &mut PgConnection,
    gone: &[ReplicaId],
    born: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Report, StoreError> {
    let gone: Vec<i64> = gone.iter().map(|replica| replica.0).collect();
    Ok(Report {
        open_incidents: count_open(conn).await?,
        unknown: cut_off(conn, &gone, true).await?,
        repeated: cut_off(conn, &gone, false).await?,
        taken: taken(conn, &gone).await?,
        approvals: approvals(conn, now).await?,
        heartbeats: heartbeats(conn, now).await?,
        timers: timers(conn, born, now).await?,
        recoveries: recoveries(conn, now).await?,
        refires: refires(conn, now).await?,
    })
}

/// Rows that each carry the count of all of them.
fn part<R, T>(rows: Vec<R>, count: impl Fn(&R) -> i64, item: impl Fn(R) -> T) -> Part<T> {
    Part {
        count: rows.first().map_or(0, count),
        items: rows.into_iter().map(item).collect(),
    }
}

async fn count_open(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from incidents where state in ('triggered', 'acknowledged', 'mitigated')"#
    )
    .fetch_one(conn)
    .await?)
}

/// Attempts that began and that nobody works on; those of an effect `once`, or all others. Recovery leaves the former
/// to their probe and to people, and repeats the latter.
async fn cut_off(conn: &mut PgConnection, gone: &[i64], once: bool) -> Result<Part<CutOff>, StoreError> {
    let rows = sqlx::query!(
        r#"select a.run_id, q.incident_id, a.step, a.attempt, a.effect, a.started_at, count(*) over () as "total!"
           from run_queue q join attempts a on a.run_id = q.run_id and a.state = 'started'
           left join replicas p on p.id = q.owner and p.lease_until > clock_timestamp() and p.id <> all($1)
           where p.id is null and (a.effect = 'once') = $2
           order by a.started_at, a.run_id, a.step limit $3"#,
        gone,
        once,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    let count = rows.first().map_or(0, |row| row.total);
    let items = rows.into_iter().map(|row| {
        Ok(CutOff {
            run: RunId(row.run_id),
            incident: IncidentId(row.incident_id),
            step: StepId(row.step),
            attempt: row.attempt,
            effect: effect(&row.effect)?,
            started_at: row.started_at,
        })
    });
    let items = items.collect::<Result<_, StoreError>>()?;
    Ok(Part { count, items })
}

fn effect(name: &str) -> Result<Effect, StoreError> {
    match name {
        "safe" => Ok(Effect::Safe),
        "idempotent" => Ok(Effect::Idempotent),
        "once" => Ok(Effect::Once),
        _ => Err(StoreError::corrupt("attempts", "effect", name)),
    }
}

/// Runs that a worker held who is gone.
async fn taken(conn: &mut PgConnection, gone: &[i64]) -> Result<Part<Taken>, StoreError> {
    let rows = sqlx::query!(
        r#"select q.run_id, q.incident_id, count(*) over () as "total!"
           from run_queue q
           left join replicas p on p.id = q.owner and p.lease_until > clock_timestamp() and p.id <> all($1)
           where q.state = 1 and p.id is null
           order by q.run_id limit $2"#,
        gone,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    let item = |run, incident| Taken {
        run: RunId(run),
        incident: IncidentId(incident),
    };
    Ok(part(
        rows,
        |row| row.total,
        |row| item(row.run_id, row.incident_id),
    ))
}

/// Requests for a decision that nobody decided in time, and approvals that lapsed before every step below them had
/// started. One whose steps have all started is behind its run, and its clock means nothing any more.
async fn approvals(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Part<Lapsed>, StoreError> {
    let rows = sqlx::query!(
        r#"with live as (
               select id, run_id, incident_id, bound, state = 'approved' as approved,
                      case state when 'approved' then use_by else decide_by end as due
               from approvals where state in ('pending', 'approved'))
           select id, run_id, incident_id, approved as "approved!", due as "due!", count(*) over () as "total!"
           from live l
           where due <= $1 and (not approved or exists (
               select from jsonb_array_elements(bound -> 'steps') s
               left join lateral (select e.kind, e.body from events e
                                  where e.run_id = l.run_id and e.body ->> 'step' = s ->> 'step'
                                  order by e.seq desc limit 1) e on true
               where (s ->> 'changes')::boolean
                 and (e.kind is null or e.kind = 'step_interrupted' or e.body ->> 'retry_at' is not null)))
           order by due, id limit $2"#,
        now,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    Ok(part(
        rows,
        |row| row.total,
        |row| Lapsed {
            approval: ApprovalId(row.id),
            run: RunId(row.run_id),
            incident: IncidentId(row.incident_id),
            unused: row.approved,
            due: row.due,
        },
    ))
}

/// Heartbeats whose silence has not become an incident yet.
async fn heartbeats(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Part<Silence>, StoreError> {
    let rows = sqlx::query!(
        r#"select source_id, fingerprint, due, count(*) over () as "total!"
           from heartbeats where due <= $1 and incident_id is null
           order by due, source_id, fingerprint limit $2"#,
        now,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    Ok(part(
        rows,
        |row| row.total,
        |row| Silence {
            source: SourceId(row.source_id),
            fingerprint: row.fingerprint,
            due: row.due,
        },
    ))
}

/// Runs that are due. Which timer it was tells the newest fact that set this very time. A run that is younger than this
/// process came in while it started: it is not late.
async fn timers(
    conn: &mut PgConnection,
    born: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Part<LateRun>, StoreError> {
    let rows = sqlx::query!(
        r#"select q.run_id, q.incident_id, q.state, q.due, f.kind as "kind?", f.step as "step?",
                  count(*) over () as "total!"
           from run_queue q join runs r on r.id = q.run_id
           left join lateral (
               select e.kind, e.body ->> 'step' as step from events e
               where q.state = 2 and e.run_id = q.run_id and e.kind in ('step_failed', 'wait_began', 'gate_opened')
                 and coalesce(e.body ->> 'retry_at', e.body ->> 'until', e.body ->> 'decide_by')::timestamptz = q.due
               order by e.seq desc limit 1) f on true
           where q.state in (0, 2) and q.due <= $1 and r.started_at < $2
           order by q.due, q.run_id limit $3"#,
        now,
        born,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    Ok(part(
        rows,
        |row| row.total,
        |row| LateRun {
            run: RunId(row.run_id),
            incident: IncidentId(row.incident_id),
            timer: match (row.state, row.kind.as_deref()) {
                (0, _) => Timer::Ready,
                (_, Some("step_failed")) => Timer::Retry,
                (_, Some("wait_began")) => Timer::Wait,
                (_, Some("gate_opened")) => Timer::Gate,
                _ => Timer::Look,
            },
            step: row.step.map(StepId),
            due: row.due,
        },
    ))
}

/// Incidents whose hold-down is over.
async fn recoveries(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Part<LateIncident>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, recover_due as "due!", count(*) over () as "total!"
           from incidents where recover_due <= $1 order by recover_due, id limit $2"#,
        now,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    Ok(part(
        rows,
        |row| row.total,
        |row| LateIncident {
            incident: IncidentId(row.id),
            due: row.due,
        },
    ))
}

/// Alerts that have been said to fire again for long enough to be believed.
async fn refires(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Part<LateIncident>, StoreError> {
    let rows = sqlx::query!(
        r#"select incident_id as "incident_id!", refire_due as "due!", count(*) over () as "total!"
           from episodes where refire_due <= $1 and incident_id is not null order by refire_due, id limit $2"#,
        now,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    Ok(part(
        rows,
        |row| row.total,
        |row| LateIncident {
            incident: IncidentId(row.incident_id),
            due: row.due,
        },
    ))
}
