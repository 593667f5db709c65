//! Drills, who plays in them, and their logs.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    drill::{self, Depth, DrillClock, DrillFact, DrillState, EndKind, Logged},
    id::{DrillId, IncidentId, OperatorId, ScenarioVersionId, SourceId},
    span::Span,
};

/// One drill.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    /// Its number.
    pub id: DrillId,
    /// What is played.
    pub version: ScenarioVersionId,
    /// The scenario's name.
    pub slug: String,
    /// What people call it.
    pub title: String,
    /// How deep it goes.
    pub depth: Depth,
    /// Its chance.
    pub seed: u64,
    /// How it stands.
    pub state: DrillState,
    /// Who leads it.
    pub trainer: Option<OperatorId>,
    /// When it shall begin.
    pub planned_for: Option<DateTime<Utc>>,
    /// Its clock, once it has begun.
    pub clock: Option<DrillClock>,
    /// When it was over, and why.
    pub ended: Option<(DateTime<Utc>, EndKind, String)>,
    /// Its own sender, once it has begun.
    pub source: Option<SourceId>,
    /// When who leads it was last seen at a page, if they ever were.
    pub leader_seen_at: Option<DateTime<Utc>>,
}

struct Row {
    id: i64,
    version_id: i64,
    slug: String,
    title: String,
    depth: String,
    seed: i64,
    state: String,
    trainer: Option<i64>,
    planned_for: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    paused_ms: i64,
    ended_at: Option<DateTime<Utc>>,
    end_kind: Option<String>,
    end_reason: Option<String>,
    source_id: Option<i64>,
    leader_seen_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Drill {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let state = DrillState::named(&row.state)
            .ok_or_else(|| StoreError::corrupt("drills", "state", &row.state))?;
        let clock = row.started_at.map(|started_at| DrillClock {
            started_at,
            stands_since: row.paused_at.or(row.ended_at),
            paused: TimeDelta::milliseconds(row.paused_ms),
        });
        let ended = match (row.ended_at, row.end_kind) {
            (Some(at), Some(kind)) => {
                let kind =
                    EndKind::named(&kind).ok_or_else(|| StoreError::corrupt("drills", "end_kind", &kind))?;
                Some((at, kind, row.end_reason.unwrap_or_default()))
            }
            _ => None,
        };
        Ok(Self {
            id: DrillId(row.id),
            version: ScenarioVersionId(row.version_id),
            slug: row.slug,
            title: row.title,
            depth: Depth::named(&row.depth)
                .ok_or_else(|| StoreError::corrupt("drills", "depth", row.depth))?,
            seed: row.seed.cast_unsigned(),
            state,
            trainer: row.trainer.map(OperatorId),
            planned_for: row.planned_for,
            clock,
            ended,
            source: row.source_id.map(SourceId),
            leader_seen_at: row.leader_seen_at,
        })
    }
}

/// A drill to be planned.
#[derive(Clone, Copy, Debug)]
pub struct NewDrill {
    /// What is played.
    pub version: ScenarioVersionId,
    /// How deep.
    pub depth: Depth,
    /// Its chance.
    pub seed: u64,
    /// Who leads it.
    pub trainer: Option<OperatorId>,
    /// When it shall begin.
    pub planned_for: Option<DateTime<Utc>>,
}

/// Plans a drill.
pub async fn insert(
    conn: &mut PgConnection,
    new: &NewDrill,
    now: DateTime<Utc>,
) -> Result<DrillId, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into drills (version_id, depth, seed, state, trainer, planned_for, due, created_at)
         values ($1, $2, $3, 'planned', $4, $5, $5, $6) returning id",
        new.version.0,
        new.depth.name(),
        new.seed.cast_signed(),
        new.trainer.map(|person| person.0),
        new.planned_for,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(DrillId(id))
}

/// The drill with that number.
pub async fn find(conn: &mut PgConnection, id: DrillId) -> Result<Option<Drill>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select d.id, d.version_id, s.slug, v.definition ->> 'title' as "title!", d.depth, d.seed, d.state, d.trainer, d.planned_for,
                  d.started_at, d.paused_at, d.paused_ms, d.ended_at, d.end_kind, d.end_reason,
                  (select o.id from sources o where o.drill_id = d.id) as "source_id?", d.leader_seen_at
           from drills d join scenario_versions v on v.id = d.version_id join scenarios s on s.id = v.scenario_id
           where d.id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(Drill::try_from).transpose()
}

/// The same, locked: whoever changes a drill or adds to its log does so one after the other.
pub async fn lock(conn: &mut PgConnection, id: DrillId) -> Result<Option<Drill>, StoreError> {
    sqlx::query_scalar!("select id from drills where id = $1 for no key update", id.0)
        .fetch_optional(&mut *conn)
        .await?;
    find(conn, id).await
}

/// Locks one drill that is due to begin or to be looked at, which nobody else has; the one that waits longest.
pub async fn lock_due(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<DrillId>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select id from drills where due <= $1 order by due limit 1 for no key update skip locked",
        now
    )
    .fetch_optional(conn)
    .await?
    .map(DrillId))
}

/// When the next drill is due.
pub async fn next_due(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(
        sqlx::query_scalar!("select min(due) from drills where due is not null")
            .fetch_one(conn)
            .await?,
    )
}

/// Says when a drill that runs, or has not begun at its time, is looked at again.
pub async fn set_due(conn: &mut PgConnection, id: DrillId, due: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "update drills set due = $2
         where id = $1 and (state = 'running' or state = 'planned' and planned_for is not null)",
        id.0,
        due
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Begins a planned drill with a sender of its own; `None` when it is not planned any more.
pub async fn start(
    conn: &mut PgConnection,
    id: DrillId,
    now: DateTime<Utc>,
) -> Result<Option<SourceId>, StoreError> {
    let begun = sqlx::query!(
        "update drills set state = 'running', started_at = $2, due = $2 where id = $1 and state = 'planned'",
        id.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    if begun.rows_affected() == 0 {
        return Ok(None);
    }
    let source = sqlx::query_scalar!(
        "insert into sources (name, created_at, drill_id) values ('drill-' || $1::bigint, $2, $1) returning id",
        id.0,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(SourceId(source)))
}

/// Stops the clock of a running drill; false when it does not run.
pub async fn pause(conn: &mut PgConnection, id: DrillId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update drills set state = 'paused', paused_at = $2, due = null where id = $1 and state = 'running'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lets a paused drill go on; false when it is not paused.
pub async fn resume(conn: &mut PgConnection, id: DrillId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update drills set state = 'running', due = $2, paused_at = null,
                leader_seen_at = case when leader_seen_at is not null then $2::timestamptz end,
                paused_ms = paused_ms + greatest(0, (extract(epoch from $2 - paused_at) * 1000)::bigint)
         where id = $1 and state = 'paused'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a drill that is not over; false when it is. The circuits of its twins end with it: they say nothing of what is real.
pub async fn end(
    conn: &mut PgConnection,
    id: DrillId,
    kind: EndKind,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update drills set state = 'ended', ended_at = $2, end_kind = $3, end_reason = left($4, 2000), due = null,
                paused_ms = paused_ms + coalesce(greatest(0, (extract(epoch from $2 - paused_at) * 1000)::bigint), 0),
                paused_at = null
         where id = $1 and state <> 'ended'",
        id.0,
        now,
        kind.name(),
        reason
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "update sources set disabled_at = $2 where drill_id = $1",
        id.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    let twins = drill::twin_mark(id);
    sqlx::query!("delete from breakers where starts_with(target, $1)", twins)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "delete from breaker_openings where starts_with(target, $1)",
        twins
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Adds facts to the log of a drill that the caller has locked.
pub async fn append(
    conn: &mut PgConnection,
    id: DrillId,
    age: Span,
    actor: Option<OperatorId>,
    facts: &[DrillFact],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let bodies: Vec<Value> = facts
        .iter()
        .map(|fact| {
            serde_json::to_value(fact).map_err(|error| StoreError::corrupt("drill_log", "body", error))
        })
        .collect::<Result<_, _>>()?;
    sqlx::query!(
        "with counted as (
             update drills set next_seq = next_seq + $5 where id = $1 returning next_seq - $5 as first)
         insert into drill_log (drill_id, seq, age_ms, at, actor, body)
         select $1, c.first + n.ord - 1, $2, $3, $4, n.body
         from counted c, unnest($6::jsonb[]) with ordinality as n (body, ord)",
        id.0,
        age.as_millis() as i64,
        now,
        actor.map(|person| person.0),
        facts.len() as i64,
        &bodies
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Facts of a drill after one of them, the oldest first, at most `limit`.
pub async fn log_after(
    conn: &mut PgConnection,
    id: DrillId,
    after: i64,
    limit: i64,
) -> Result<Vec<Logged>, StoreError> {
    sqlx::query!(
        "select seq, age_ms, at, body from drill_log where drill_id = $1 and seq > $2 order by seq limit $3",
        id.0,
        after,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Logged {
            seq: row.seq,
            age: Span::from_millis(row.age_ms.unsigned_abs()),
            at: row.at,
            fact: serde_json::from_value(row.body)
                .map_err(|error| StoreError::corrupt("drill_log", "body", error))?,
        })
    })
    .collect()
}

/// The incidents of a drill, the oldest first, at most `limit`.
pub async fn incidents(
    conn: &mut PgConnection,
    id: DrillId,
    limit: i64,
) -> Result<Vec<IncidentId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select id from incidents where drill_id = $1 order by id limit $2",
        id.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(IncidentId).collect())
}

/// Whether a run of a drill has not ended.
pub async fn has_live_run(conn: &mut PgConnection, id: DrillId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from run_queue q join incidents i on i.id = q.incident_id where i.drill_id = $1)
           as "live!""#,
        id.0
    )
    .fetch_one(conn)
    .await?)
}

/// Which of these incidents are drills', and whose.
pub async fn of_incidents(
    conn: &mut PgConnection,
    incidents: &[IncidentId],
) -> Result<BTreeMap<IncidentId, DrillId>, StoreError> {
    let ids: Vec<i64> = incidents.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select id, drill_id as "drill_id!" from incidents where id = any($1) and drill_id is not null"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (IncidentId(row.id), DrillId(row.drill_id)))
        .collect())
}

/// The drill whose sender a source is.
pub async fn of_source(conn: &mut PgConnection, source: SourceId) -> Result<Option<DrillId>, StoreError> {
    let drill = sqlx::query_scalar!("select drill_id from sources where id = $1", source.0)
        .fetch_optional(conn)
        .await?;
    Ok(drill.flatten().map(DrillId))
}

/// The drill that an incident belongs to.
pub async fn of_incident(
    conn: &mut PgConnection,
    incident: IncidentId,
) -> Result<Option<DrillId>, StoreError> {
    let drill = sqlx::query_scalar!("select drill_id from incidents where id = $1", incident.0)
        .fetch_optional(conn)
        .await?;
    Ok(drill.flatten().map(DrillId))
}

/// Somebody who plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Who.
    pub id: OperatorId,
    /// Their name.
    pub name: String,
    /// The part they take; empty for none.
    pub role: String,
    /// Whether they come; `None` until they say so.
    pub comes: Option<bool>,
    /// When their part dropped out; they act on the drill's incidents no more.
    pub left_at: Option<DateTime<Utc>>,
}

/// Lets somebody play, or gives them another part.
pub async fn put_player(
    conn: &mut PgConnection,
    id: DrillId,
    person: OperatorId,
    role: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into drill_players (drill_id, operator_id, role) values ($1, $2, $3)
         on conflict (drill_id, operator_id) do update set role = excluded.role",
        id.0,
        person.0,
        role
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The database's rule that whose part has dropped out acts on the incidents of a drill no more.
pub const WHO_LEFT_RESTS: &str = "drill_players_who_left_rest";

/// Whoever plays this part drops out, if others play who are left.
pub async fn leave(
    conn: &mut PgConnection,
    id: DrillId,
    role: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update drill_players set left_at = $3
         where drill_id = $1 and role = $2 and left_at is null
         and exists (select from drill_players o where o.drill_id = $1 and o.role <> $2 and o.left_at is null)",
        id.0,
        role,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Who plays, by name.
pub async fn players(conn: &mut PgConnection, id: DrillId) -> Result<Vec<Player>, StoreError> {
    let rows = sqlx::query!(
        "select p.operator_id, o.name, p.role, p.comes, p.left_at from drill_players p join operators o on o.id = p.operator_id
         where p.drill_id = $1 order by o.name",
        id.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Player {
            id: OperatorId(row.operator_id),
            name: row.name,
            role: row.role,
            comes: row.comes,
            left_at: row.left_at,
        })
        .collect())
}

/// A player says whether they come; false when they were not asked, or the drill is over.
pub async fn answer(
    conn: &mut PgConnection,
    id: DrillId,
    person: OperatorId,
    comes: bool,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update drill_players p set comes = $3, answered_at = $4 from drills d
         where d.id = p.drill_id and d.state <> 'ended' and p.drill_id = $1 and p.operator_id = $2",
        id.0,
        person.0,
        comes,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps it that somebody is at a page: they lead the drills that are theirs, and `also`, if it is given.
pub async fn leader_seen(
    conn: &mut PgConnection,
    person: OperatorId,
    also: Option<DrillId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update drills set leader_seen_at = $3
         where state <> 'ended' and started_at is not null and (trainer = $1 or id = $2)",
        person.0,
        also.map(|drill| drill.0),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Drills, the newest first, below a number, at most `limit`; all scenarios or one.
pub async fn list(
    conn: &mut PgConnection,
    slug: Option<&str>,
    below: Option<DrillId>,
    limit: i64,
) -> Result<Vec<Drill>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select d.id, d.version_id, s.slug, v.definition ->> 'title' as "title!", d.depth, d.seed, d.state, d.trainer, d.planned_for,
                  d.started_at, d.paused_at, d.paused_ms, d.ended_at, d.end_kind, d.end_reason,
                  (select o.id from sources o where o.drill_id = d.id) as "source_id?", d.leader_seen_at
           from drills d join scenario_versions v on v.id = d.version_id join scenarios s on s.id = v.scenario_id
           where ($1::text is null or s.slug = $1) and ($2::bigint is null or d.id < $2)
           order by d.id desc limit $3"#,
        slug,
        below.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Drill::try_from)
    .collect()
}

/// Drills that are not over, the oldest first, at most `limit`.
pub async fn list_live(conn: &mut PgConnection, limit: i64) -> Result<Vec<Drill>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select d.id, d.version_id, s.slug, v.definition ->> 'title' as "title!", d.depth, d.seed, d.state, d.trainer, d.planned_for,
                  d.started_at, d.paused_at, d.paused_ms, d.ended_at, d.end_kind, d.end_reason,
                  (select o.id from sources o where o.drill_id = d.id) as "source_id?", d.leader_seen_at
           from drills d join scenario_versions v on v.id = d.version_id join scenarios s on s.id = v.scenario_id
           where d.state <> 'ended' order by d.id limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Drill::try_from)
    .collect()
}
