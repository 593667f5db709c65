//! The list of incidents: one filter, asked for a page of rows, for counts and for the incidents that an act on all of
//! them is about.
//!
//! The filter is one condition with a parameter for each of its parts, which Postgres must plan by the values it is given:
//! whoever asks calls [`plan_by_values`] first in the same transaction.

mod beside;
mod counts;
mod wanted;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};

use self::wanted::found;
use super::StoreError;
use crate::domain::{
    id::{IncidentId, RunId},
    incident::{IncidentState, Severity},
    search::Trait,
};

pub use beside::{NAMES_MAX, alerts_since, any, last_over, names};
pub use counts::{COUNTED_MAX, Counts, Facets, count, facets};
pub use wanted::{Folds, Names, Wanted, number};

/// Of this many of the newest incidents it is asked whether they have a word.
const SAMPLE: i64 = 1000;
/// A word that so many of them have is common.
const COMMON: i64 = 40;
/// Incidents that are looked up by a word that is not; more are not found.
const HITS_MAX: i64 = 5000;

/// One row of the list.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// Name of its source.
    pub source: String,
    /// The service that its first alert named.
    pub service: Option<String>,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Who took it.
    pub owner: Option<String>,
    /// Who commands it.
    pub commander: Option<String>,
    /// Alerts that fire.
    pub firing: i64,
    /// Those of them that began after somebody took the incident.
    pub fresh: i64,
    /// Those of them that nobody spoke of for too long.
    pub stale: i64,
    /// Its newest live run.
    pub run: Option<Glance>,
    /// Requests for a decision that are pending.
    pub pending: i64,
    /// Incidents it stands for, open ones only where only open ones are listed.
    pub below: i64,
    /// The one that stands for it.
    pub folded_under: Option<IncidentId>,
    /// Number of the newest event.
    pub last_seq: i64,
}

/// A live run in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Which.
    pub run: RunId,
    /// What its runbook is called.
    pub title: String,
    /// Which version of it.
    pub version: i32,
    /// The step that was last heard of, from 1, when there is one.
    pub step: Option<i64>,
    /// How many steps there are.
    pub steps: i32,
}

/// Has the statements of this transaction planned by the values they are given, not once for all values.
pub async fn plan_by_values(conn: &mut PgConnection) -> Result<(), StoreError> {
    conn.execute("set local plan_cache_mode = force_custom_plan")
        .await?;
    Ok(())
}

/// Looks up words that few incidents have before anything else is asked, in the incidents older than `before`; those that
/// many have are found soonest by going back from the newest. Postgres knows too little of beginnings of words to choose
/// between the two, and the wrong way reads the whole history.
pub async fn look_up_words(
    conn: &mut PgConnection,
    wanted: &mut Wanted,
    before: i64,
) -> Result<(), StoreError> {
    let Some(words) = wanted.words.clone() else {
        return Ok(());
    };
    let common = sqlx::query_scalar!(
        r#"select count(*) as "n!" from (select words from incidents where id < $2 order by id desc limit $3) i
           where i.words @@ to_tsquery('simple', $1)"#,
        words,
        before,
        SAMPLE
    )
    .fetch_one(&mut *conn)
    .await?;
    if common >= COMMON {
        conn.execute("set local enable_bitmapscan = off").await?;
        return Ok(());
    }
    let found = sqlx::query_scalar!(
        "select id from incidents where words @@ to_tsquery('simple', $1) and id < $2 order by id desc limit $3",
        words,
        before,
        HITS_MAX
    )
    .fetch_all(conn)
    .await?;
    wanted.words = None;
    wanted.incidents = Some(match wanted.incidents.take() {
        Some(some) => some.into_iter().filter(|id| found.contains(id)).collect(),
        None => found,
    });
    Ok(())
}

/// Wanted incidents older than `before`, the newest first, at most `limit`. First page with `i64::MAX`.
pub async fn page(
    conn: &mut PgConnection,
    wanted: &Wanted,
    before: i64,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let ids = page_ids(conn, wanted, before, limit).await?;
    let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
    lines(conn, &ids, wanted.counts_all()).await
}

/// The numbers of the same.
pub async fn page_ids(
    conn: &mut PgConnection,
    wanted: &Wanted,
    before: i64,
    limit: i64,
) -> Result<Vec<IncidentId>, StoreError> {
    Ok(found!(
        "select i.id ",
        " and i.id < $25 order by i.id desc limit $26",
        wanted,
        before,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| IncidentId(row.id))
    .collect())
}

/// The rows of these incidents; `is_all` when those below them count whether they are open or not.
async fn lines(conn: &mut PgConnection, ids: &[i64], is_all: bool) -> Result<Vec<Line>, StoreError> {
    // What is found by number is found the same way whichever the numbers are.
    conn.execute("set local plan_cache_mode = auto").await?;
    let rows = sqlx::query!(
        r#"select i.id, i.title, i.severity, i.state, s.name as source, i.service, i.opened_at, i.resolved_at,
                  o.name as "owner?", c.name as "commander?", i.folded_under, i.next_seq - 1 as "last_seq!",
                  e.firing as "firing!", e.fresh as "fresh!", e.stale as "stale!",
                  (select count(*) from approvals a where a.incident_id = i.id and a.state = 'pending') as "pending!",
                  (select count(*) from incidents c
                   where c.folded_under = i.id and ($2 or c.state in ('triggered', 'acknowledged', 'mitigated')))
                      as "below!"
           from incidents i
           join sources s on s.id = i.source_id
           left join operators o on o.id = i.acknowledged_by
           left join incident_duties d on d.incident_id = i.id and d.duty = 'commander'
           left join operators c on c.id = d.operator_id
           cross join lateral (
               select count(*) as firing, count(*) filter (where e.opened_at > i.acknowledged_at) as fresh,
                      count(*) filter (where e.stale_since > greatest(a.last_received_at, e.vouched_at)) as stale
               from episodes e join alerts a on a.id = e.alert_id
               where e.incident_id = i.id and e.ends_at is null) e
           where i.id = any($1) order by i.id desc"#,
        ids,
        is_all
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut lines = rows
        .into_iter()
        .map(|row| {
            Ok(Line {
                id: IncidentId(row.id),
                title: row.title,
                severity: Severity::numbered(row.severity)
                    .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
                state: state(&row.state)?,
                source: row.source,
                service: row.service,
                opened_at: row.opened_at,
                resolved_at: row.resolved_at,
                owner: row.owner,
                commander: row.commander,
                firing: row.firing,
                fresh: row.fresh,
                stale: row.stale,
                run: None,
                pending: row.pending,
                below: row.below,
                folded_under: row.folded_under.map(IncidentId),
                last_seq: row.last_seq,
            })
        })
        .collect::<Result<Vec<Line>, StoreError>>()?;
    glance(conn, &mut lines).await?;
    Ok(lines)
}

fn state(name: &str) -> Result<IncidentState, StoreError> {
    IncidentState::named(name).ok_or_else(|| StoreError::corrupt("incidents", "state", name))
}

/// Fills in where the newest live run of each incident stands.
async fn glance(conn: &mut PgConnection, lines: &mut [Line]) -> Result<(), StoreError> {
    let ids: Vec<i64> = lines.iter().map(|line| line.id.0).collect();
    let rows = sqlx::query!(
        r#"select distinct on (q.incident_id) q.incident_id, q.run_id, v.number,
                  v.definition ->> 'title' as "title!", jsonb_array_length(v.definition -> 'steps') as "steps!",
                  (select x.n from events e
                   join jsonb_array_elements(v.definition -> 'steps') with ordinality x (step, n)
                        on x.step ->> 'id' = e.body ->> 'step'
                   where e.run_id = q.run_id order by e.seq desc limit 1) as step
           from run_queue q join runs r on r.id = q.run_id join runbook_versions v on v.id = r.version_id
           where q.incident_id = any($1) order by q.incident_id, q.run_id desc"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let line = lines.iter_mut().find(|line| line.id.0 == row.incident_id);
        if let Some(line) = line {
            line.run = Some(Glance {
                run: RunId(row.run_id),
                title: row.title,
                version: row.number,
                step: row.step,
                steps: row.steps,
            });
        }
    }
    Ok(())
}

/// No statement of this transaction takes longer than that from here on.
pub async fn hurry(conn: &mut PgConnection, limit: Duration) -> Result<(), StoreError> {
    let limit = format!("set local statement_timeout = {}", limit.as_millis());
    conn.execute(sqlx::AssertSqlSafe(limit)).await?;
    Ok(())
}

/// The newest wanted incidents, at most `limit`: what an act on all of them is about.
pub async fn list_ids(
    conn: &mut PgConnection,
    wanted: &Wanted,
    limit: i64,
) -> Result<Vec<IncidentId>, StoreError> {
    Ok(
        found!("select i.id ", " order by i.id desc limit $25", wanted, limit)
            .fetch_all(conn)
            .await?
            .into_iter()
            .map(|row| IncidentId(row.id))
            .collect(),
    )
}

/// Begins a part of a transaction: when it fails and is dropped, the transaction goes on.
pub async fn begin_part(conn: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    Ok(conn.begin().await?)
}
