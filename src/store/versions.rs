//! The versions of one runbook as a list that goes back to the first one, each with what became of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{id::RunId, run::RunResult};

/// One version in the list.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// Its number.
    pub number: i32,
    /// Where it came from.
    pub origin: String,
    /// Whether matching uses it.
    pub current: bool,
    /// Who published it last; nobody, for the folder and the terminal.
    pub by: Option<String>,
    /// What they said with it.
    pub note: String,
    /// When they did.
    pub published_at: DateTime<Utc>,
    /// Its newest run: which, when it began, and how it ended.
    pub last: Option<(RunId, DateTime<Utc>, Option<RunResult>)>,
}

/// Versions with a lower number than `before`, the newest first, at most `limit`. First page with `i32::MAX`.
pub async fn list(
    conn: &mut PgConnection,
    runbook_id: i64,
    before: i32,
    limit: i64,
) -> Result<Vec<Numbered>, StoreError> {
    sqlx::query!(
        r#"select v.number, coalesce(p.origin, v.origin) as "origin!",
                  (b.current_version_id is not distinct from v.id) as "current!", o.name as "by?",
                  coalesce(p.note, '') as "note!", coalesce(p.published_at, v.created_at) as "published_at!",
                  last.id as "run?", last.started_at as "run_at?", last.result as run_result
           from runbook_versions v join runbooks b on b.id = v.runbook_id
           left join lateral (select * from publications p where p.version_id = v.id order by p.id desc limit 1) p on true
           left join operators o on o.id = p.published_by
           left join lateral (select r.id, r.started_at, r.result from runs r where r.version_id = v.id
                              order by r.started_at desc limit 1) last on true
           where v.runbook_id = $1 and v.number < $2 order by v.number desc limit $3"#,
        runbook_id,
        before,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let result = |text: String| {
            RunResult::named(&text).ok_or_else(|| StoreError::corrupt("runs", "result", text))
        };
        let last = match (row.run, row.run_at) {
            (Some(id), Some(at)) => Some((RunId(id), at, row.run_result.map(result).transpose()?)),
            _ => None,
        };
        Ok(Numbered {
            number: row.number,
            origin: row.origin,
            current: row.current,
            by: row.by,
            note: row.note,
            published_at: row.published_at,
            last,
        })
    })
    .collect()
}
