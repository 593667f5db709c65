//! Timings: how long each step took in the newest runs of a runbook.

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{RunId, StepId},
    timing::Took,
};

/// Runs that are looked at, the newest first.
pub const RUNS_MAX: i64 = 20;
/// Steps of runs that are read at most.
const ROWS_MAX: i64 = 2000;

/// Each step that is over in the newest real runs, with all its attempts and items together, and how long people took at each
/// gate. What takes a step back is left out, and what a person vouched for: nobody timed it.
pub async fn list(conn: &mut PgConnection, runbook_id: i64) -> Result<Vec<Took>, StoreError> {
    Ok(sqlx::query!(
        r#"with newest as (
               select r.id from runs r join incidents i on i.id = r.incident_id
               where r.runbook_id = $1 and i.drill_id is null order by r.started_at desc limit $2),
           acts as (
               select a.run_id, split_part(a.step, '[', 1) as step, max(a.finished_at) - min(a.started_at) as length,
                      count(distinct a.step) filter (where a.state = 'succeeded') = count(distinct a.step) as worked
               from attempts a where a.run_id in (select id from newest)
                 and a.step not like 'undo:%' and a.idempotency_key <> ''
               group by 1, 2 having bool_and(a.finished_at is not null)),
           gates as (
               select a.run_id, a.step, a.decided_at - a.opened_at as length, a.state = 'approved' as worked
               from approvals a where a.run_id in (select id from newest) and a.decided_at is not null
                 and a.step not like 'undo:%' and a.state in ('approved', 'rejected', 'expired'))
           select run_id as "run!", step as "step!", worked as "worked!",
                  (extract(epoch from length) * 1000)::bigint as "ms!"
           from (select * from acts union all select * from gates) seen order by run_id desc, step limit $3"#,
        runbook_id,
        RUNS_MAX,
        ROWS_MAX
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Took {
        run: RunId(row.run),
        step: StepId(row.step),
        length: TimeDelta::milliseconds(row.ms),
        worked: row.worked,
    })
    .collect())
}
