//! Tracks: what the past of runbooks says of them, read for a whole list at once.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::DrillId,
    run::RunResult,
    track::{Check, LastDrill, LastRun, Track},
};

/// Runs of each runbook that are counted, the newest first: what worked long ago says little.
pub const COUNTED_MAX: i64 = 50;

/// The tracks of the runbooks of these names; one that does not exist has none. The check is of the version in use. What was
/// a drill is told as the last drill, and is no part of anything else. Coverage is read by [`super::coverage`].
pub async fn list(conn: &mut PgConnection, slugs: &[String]) -> Result<BTreeMap<String, Track>, StoreError> {
    sqlx::query!(
        r#"select b.slug, counted.ended as "ended!", counted.worked as "worked!", counted.median_ms,
                  last.number as "last_number?", last.started_at as "last_at?", last.result as last_result,
                  drilled.drill_id as "drill?", drilled.number as "drill_number?", drilled.started_at as "drill_at?",
                  drilled.result as drill_result, drilled.is_over as "drill_is_over?", drilled.is_whole as "drill_is_whole?",
                  checked.at as "checked_at?", checked.missing, checked.broken,
                  exists (select from runbook_versions v join matches m on m.version_id = v.id
                          join incidents i on i.id = m.incident_id
                          where v.runbook_id = b.id and i.drill_id is null) as "has_matched!"
           from runbooks b
           cross join lateral (
               select count(r.result) as ended, count(*) filter (where r.result = 'succeeded') as worked,
                      percentile_disc(0.5) within group (
                          order by (extract(epoch from r.finished_at - r.started_at) * 1000)::bigint)
                          filter (where r.result = 'succeeded') as median_ms
               from (select r.result, r.started_at, r.finished_at from runs r join incidents i on i.id = r.incident_id
                     where r.runbook_id = b.id and i.drill_id is null
                     order by r.started_at desc limit $2) r) counted
           left join lateral (
               select v.number, r.started_at, r.result from runs r join runbook_versions v on v.id = r.version_id
               join incidents i on i.id = r.incident_id
               where r.runbook_id = b.id and i.drill_id is null order by r.started_at desc limit 1) last on true
           left join lateral (
               select d.id as drill_id, v.number, r.started_at, r.result, d.state = 'ended' as is_over,
                      d.end_kind is not distinct from 'finished' as is_whole
               from runs r join runbook_versions v on v.id = r.version_id join incidents i on i.id = r.incident_id
               join drills d on d.id = i.drill_id
               where r.runbook_id = b.id order by r.started_at desc limit 1) drilled on true
           left join lateral (
               select p.finished_at as at,
                      jsonb_path_query_first(p.report, '$.steps[*].verdict ? (@.fault == "secret").reason') #>> '{}'
                          as missing,
                      jsonb_path_query_first(p.report, '$.steps[*].verdict ? (@.verdict == "broken").reason') #>> '{}'
                          as broken
               from preflights p join incidents i on i.id = p.incident_id
               where p.version_id = b.current_version_id and p.state = 'done' and i.drill_id is null
               order by p.finished_at desc limit 1) checked on true
           where b.slug = any($1)"#,
        slugs,
        COUNTED_MAX
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let result = |text: String| {
            RunResult::named(&text).ok_or_else(|| StoreError::corrupt("runs", "result", text))
        };
        let last = match (row.last_number, row.last_at) {
            (Some(number), Some(at)) => Some(LastRun {
                number,
                at,
                result: row.last_result.map(result).transpose()?,
            }),
            _ => None,
        };
        let drill = match (row.drill, row.drill_number, row.drill_at) {
            (Some(drill), Some(number), Some(at)) => Some(LastDrill {
                drill: DrillId(drill),
                number,
                at,
                result: row.drill_result.map(result).transpose()?,
                is_over: row.drill_is_over.unwrap_or_default(),
                is_whole: row.drill_is_whole.unwrap_or_default(),
            }),
            _ => None,
        };
        let (missing, broken) = (row.missing, row.broken);
        let track = Track {
            last,
            drill,
            coverage: None,
            is_due: false,
            ended: row.ended,
            worked: row.worked,
            median: row.median_ms.map(TimeDelta::milliseconds),
            check: row.checked_at.map(|at| Check { at, missing, broken }),
            has_matched: row.has_matched,
        };
        Ok((row.slug, track))
    })
    .collect()
}
