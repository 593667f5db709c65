//! Runs: what each is pinned to and how it ended.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{DrillId, IncidentId, OperatorId, RunId, SourceId, VersionId},
    run::RunResult,
    runbook::StartMode,
    source::Storm,
    span::Span,
};

/// A run to be started.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// Of which incident.
    pub incident: IncidentId,
    /// The runbook's row.
    pub runbook_id: i64,
    /// The version it is pinned to.
    pub version: VersionId,
    /// The person who started it; `None` when Muster does.
    pub requested_by: Option<OperatorId>,
    /// Its inputs, resolved.
    pub inputs: &'a BTreeMap<String, String>,
    /// Labels and annotations of the alert it is about.
    pub context: &'a Value,
    /// The run it goes on from.
    pub continues: Option<RunId>,
}

/// A run as it is kept.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// The version it is pinned to.
    pub version: VersionId,
    /// Who started it.
    pub requested_by: Option<OperatorId>,
    /// Its inputs.
    pub inputs: BTreeMap<String, String>,
    /// Labels and annotations of the alert it is about.
    pub context: Value,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub result: Option<RunResult>,
    /// The run it goes on from.
    pub continues: Option<RunId>,
}

fn mode_name(mode: StartMode) -> &'static str {
    match mode {
        StartMode::Automatic => "automatic",
        StartMode::Suggest => "suggest",
        StartMode::Manual => "manual",
    }
}

/// Starts a run and queues it; `None` when this incident has started this runbook by itself before, or another run
/// goes on from there already.
pub async fn insert(
    conn: &mut PgConnection,
    run: &NewRun<'_>,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, StoreError> {
    let mode = if run.requested_by.is_some() {
        StartMode::Manual
    } else {
        StartMode::Automatic
    };
    let inputs =
        serde_json::to_value(run.inputs).map_err(|error| StoreError::corrupt("runs", "inputs", error))?;
    let id = sqlx::query_scalar!(
        r#"with started as (
               insert into runs (incident_id, runbook_id, version_id, mode, requested_by, inputs, context,
                                 started_at, continues, root_id)
               values ($1, $2, $3, $4, $5, $6, $8, $7, $9,
                       (select coalesce(root_id, id) from runs where id = $9))
               on conflict do nothing
               returning id, incident_id)
           insert into run_queue (run_id, incident_id, state, due) select id, incident_id, 0, $7 from started
           returning run_id"#,
        run.incident.0,
        run.runbook_id,
        run.version.0,
        mode_name(mode),
        run.requested_by.map(|by| by.0),
        inputs,
        now,
        run.context,
        run.continues.map(|run| run.0)
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(RunId))
}

/// Lets one transaction at a time count and start runs of a runbook by itself.
pub async fn lock_budget(conn: &mut PgConnection, runbook_id: i64) -> Result<(), StoreError> {
    sqlx::query!(
        "select 1 as one from runbooks where id = $1 for no key update",
        runbook_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// How many runs of a runbook Muster has started by itself since then, for real, or in the drill of the incident.
pub async fn count_automatic_since(
    conn: &mut PgConnection,
    incident: IncidentId,
    runbook_id: i64,
    since: DateTime<Utc>,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from runs r join incidents i on i.id = r.incident_id
           where r.runbook_id = $1 and r.started_at > $2 and r.mode = 'automatic'
             and i.drill_id is not distinct from (select o.drill_id from incidents o where o.id = $3)"#,
        runbook_id,
        since,
        incident.0
    )
    .fetch_one(conn)
    .await?)
}

/// Lets one transaction at a time count and start runs for the source of an incident; returns that source with its
/// storm limit.
pub async fn lock_storm(
    conn: &mut PgConnection,
    incident: IncidentId,
) -> Result<Option<(SourceId, Storm)>, StoreError> {
    Ok(sqlx::query!(
        "select s.id, s.storm_starts, s.storm_within_ms from incidents i join sources s on s.id = i.source_id
         where i.id = $1 for no key update of s",
        incident.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        let storm = Storm {
            starts: row.storm_starts.unsigned_abs(),
            within: Span::from_millis(row.storm_within_ms.unsigned_abs()),
        };
        (SourceId(row.id), storm)
    }))
}

/// How many runs Muster has started by itself since then on incidents of a source; counted no further than `limit`.
pub async fn count_automatic_of_source(
    conn: &mut PgConnection,
    source: SourceId,
    since: DateTime<Utc>,
    limit: u32,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from (
               select from runs r join incidents i on i.id = r.incident_id
               where r.mode = 'automatic' and r.started_at > $2 and i.source_id = $1 limit $3) as started"#,
        source.0,
        since,
        i64::from(limit)
    )
    .fetch_one(conn)
    .await?)
}

struct Row {
    id: i64,
    incident_id: i64,
    version_id: i64,
    requested_by: Option<i64>,
    inputs: Value,
    context: Value,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    result: Option<String>,
    continues: Option<i64>,
}

impl TryFrom<Row> for Run {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: RunId(row.id),
            incident: IncidentId(row.incident_id),
            version: VersionId(row.version_id),
            requested_by: row.requested_by.map(OperatorId),
            inputs: serde_json::from_value(row.inputs)
                .map_err(|error| StoreError::corrupt("runs", "inputs", error))?,
            context: row.context,
            started_at: row.started_at,
            finished_at: row.finished_at,
            result: row
                .result
                .map(|text| {
                    RunResult::named(&text).ok_or_else(|| StoreError::corrupt("runs", "result", text))
                })
                .transpose()?,
            continues: row.continues.map(RunId),
        })
    }
}

/// One run.
pub async fn find(conn: &mut PgConnection, id: RunId) -> Result<Option<Run>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, incident_id, version_id, requested_by, inputs, context, started_at, finished_at, result,
                continues
         from runs where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Run::try_from)
    .transpose()
}

/// The run that goes on where this one ended.
pub async fn find_continuation(conn: &mut PgConnection, id: RunId) -> Result<Option<RunId>, StoreError> {
    Ok(
        sqlx::query_scalar!("select id from runs where continues = $1", id.0)
            .fetch_optional(conn)
            .await?
            .map(RunId),
    )
}

/// Writes how a run ended.
pub async fn finish(
    conn: &mut PgConnection,
    id: RunId,
    result: RunResult,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update runs set finished_at = $3, result = $2 where id = $1 and finished_at is null",
        id.0,
        result.name(),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Figures of a runbook's past; runs of drills are not counted.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Record {
    /// Runs that have ended.
    pub finished: i64,
    /// Those that worked.
    pub succeeded: i64,
    /// When the newest began.
    pub last_started_at: Option<DateTime<Utc>>,
}

/// How the runs of a runbook went.
pub async fn record(conn: &mut PgConnection, runbook_id: i64) -> Result<Record, StoreError> {
    Ok(sqlx::query_as!(
        Record,
        r#"select count(*) filter (where result is not null) as "finished!",
                  count(*) filter (where result = 'succeeded') as "succeeded!",
                  max(started_at) as last_started_at
           from runs r join incidents i on i.id = r.incident_id where r.runbook_id = $1 and i.drill_id is null"#,
        runbook_id
    )
    .fetch_one(conn)
    .await?)
}

/// One line of a list of runs.
#[derive(Clone, Debug)]
pub struct RunLine {
    /// The run.
    pub id: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// What that is called.
    pub incident_title: String,
    /// The runbook's slug.
    pub slug: String,
    /// What the runbook is called.
    pub title: String,
    /// Number of the version it is pinned to.
    pub number: i32,
    /// The person who started it; `None` when Muster did.
    pub requested_by: Option<String>,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub result: Option<RunResult>,
}

struct LineRow {
    id: i64,
    incident_id: i64,
    incident_title: String,
    slug: String,
    title: String,
    number: i32,
    requested_by: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    result: Option<String>,
}

impl TryFrom<LineRow> for RunLine {
    type Error = StoreError;

    fn try_from(row: LineRow) -> Result<Self, StoreError> {
        let result = row
            .result
            .map(|text| RunResult::named(&text).ok_or_else(|| StoreError::corrupt("runs", "result", text)));
        Ok(Self {
            id: RunId(row.id),
            incident: IncidentId(row.incident_id),
            incident_title: row.incident_title,
            slug: row.slug,
            title: row.title,
            number: row.number,
            requested_by: row.requested_by,
            started_at: row.started_at,
            finished_at: row.finished_at,
            result: result.transpose()?,
        })
    }
}

/// Runs of an incident and of those merged into it, the newest first, at most `limit`.
pub async fn list_of_incident(
    conn: &mut PgConnection,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<RunLine>, StoreError> {
    sqlx::query_as!(
        LineRow,
        r#"select r.id, r.incident_id, i.title as incident_title, b.slug, v.definition ->> 'title' as "title!",
                  v.number, o.name as "requested_by?", r.started_at, r.finished_at, r.result
           from runs r join incidents i on i.id = r.incident_id
           join runbook_versions v on v.id = r.version_id join runbooks b on b.id = r.runbook_id
           left join operators o on o.id = r.requested_by
           where r.incident_id = any (array(select $1::bigint union all select id from incidents where lives_in = $1))
           order by r.id desc limit $2"#,
        incident.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(RunLine::try_from)
    .collect()
}

/// Runs of an incident that go on, the newest first, at most `limit`; of one runbook or of all.
pub async fn list_live(
    conn: &mut PgConnection,
    incident: IncidentId,
    runbook: Option<&str>,
    limit: i64,
) -> Result<Vec<RunId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select r.id from run_queue q join runs r on r.id = q.run_id join runbooks b on b.id = r.runbook_id
         where q.incident_id = $1 and ($2::text is null or b.slug = $2) order by r.id desc limit $3",
        incident.0,
        runbook,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RunId).collect())
}

/// Real runs of a runbook, the newest first, at most `limit`.
pub async fn list_of_runbook(
    conn: &mut PgConnection,
    runbook_id: i64,
    limit: i64,
) -> Result<Vec<RunLine>, StoreError> {
    sqlx::query_as!(
        LineRow,
        r#"select r.id, r.incident_id, i.title as incident_title, b.slug, v.definition ->> 'title' as "title!",
                  v.number, o.name as "requested_by?", r.started_at, r.finished_at, r.result
           from runs r join incidents i on i.id = r.incident_id
           join runbook_versions v on v.id = r.version_id join runbooks b on b.id = r.runbook_id
           left join operators o on o.id = r.requested_by
           where r.runbook_id = $1 and i.drill_id is null order by r.started_at desc, r.id desc limit $2"#,
        runbook_id,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(RunLine::try_from)
    .collect()
}

/// A live run that waits for a person at something other than a gate.
#[derive(Clone, Debug)]
pub struct Awaiting {
    /// The run.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// What that is called.
    pub incident_title: String,
    /// The drill it is part of.
    pub drill: Option<DrillId>,
    /// At which step.
    pub step: String,
    /// Whether its outcome is unknown; otherwise somebody is to do something by hand.
    pub unknown: bool,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Live runs whose last fact asks a person to do something by hand or to settle an unknown outcome, the longest wait
/// first, at most `limit`.
pub async fn list_awaiting(conn: &mut PgConnection, limit: i64) -> Result<Vec<Awaiting>, StoreError> {
    Ok(sqlx::query!(
        r#"select q.run_id, q.incident_id, i.title, i.drill_id, e.body ->> 'step' as "step!",
                  (e.kind <> 'manual_asked') as "unknown!", e.recorded_at
           from run_queue q join incidents i on i.id = q.incident_id
           join lateral (select kind, body, recorded_at from events where run_id = q.run_id
                         order by seq desc limit 1) e
                on e.kind in ('manual_asked', 'outcome_unknown', 'probe_inconclusive')
           order by e.recorded_at limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Awaiting {
        run: RunId(row.run_id),
        incident: IncidentId(row.incident_id),
        incident_title: row.title,
        drill: row.drill_id.map(DrillId),
        step: row.step,
        unknown: row.unknown,
        since: row.recorded_at,
    })
    .collect())
}

/// How the runs of every runbook went, by the runbook's row.
pub async fn records(conn: &mut PgConnection) -> Result<BTreeMap<i64, Record>, StoreError> {
    Ok(sqlx::query!(
        r#"select runbook_id, count(*) filter (where result is not null) as "finished!",
                  count(*) filter (where result = 'succeeded') as "succeeded!",
                  max(started_at) as last_started_at
           from runs r join incidents i on i.id = r.incident_id where i.drill_id is null group by runbook_id"#
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let record = Record {
            finished: row.finished,
            succeeded: row.succeeded,
            last_started_at: row.last_started_at,
        };
        (row.runbook_id, record)
    })
    .collect())
}
