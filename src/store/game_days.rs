//! Game days: which machine plays one, and the journal of the faults that are really caused in it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{
    fault::{FaultState, Order},
    id::DrillId,
    span::Span,
};

/// A fault that is to be caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFault<'a> {
    /// Of which drill.
    pub drill: DrillId,
    /// Of which surprise.
    pub inject: &'a str,
    /// On which target, as the scenario names it.
    pub target: &'a str,
    /// Which of the faults it allows.
    pub cause: &'a str,
    /// The real target.
    pub target_name: &'a str,
    /// For how long at most.
    pub lasting: Span,
}

/// A fault that somebody has to do something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Of which drill.
    pub drill: DrillId,
    /// Of which surprise.
    pub inject: String,
    /// On which target, as the scenario names it.
    pub target: String,
    /// Which of the faults it allows.
    pub cause: String,
    /// For how long at most.
    pub lasting: Span,
    /// Whether it is still to be caused; otherwise it may stand, and is to be taken back.
    pub is_planned: bool,
    /// How to take it back; there once it may have been caused.
    pub order: Option<Order>,
    /// How often something was tried before.
    pub tries: u32,
    /// What did not work the last time.
    pub error: String,
    /// Whether its drill is over.
    pub is_drill_over: bool,
}

/// Takes the game days that go on and that nobody plays yet, and lists all that this machine plays and that are not put
/// aside, the oldest first.
pub async fn take(conn: &mut PgConnection, host: &str, limit: i64) -> Result<Vec<DrillId>, StoreError> {
    sqlx::query!(
        "update drills set host = $1
         where host is null and depth = 'game_day' and state = 'running' and closed_at is null",
        host
    )
    .execute(&mut *conn)
    .await?;
    let ids = sqlx::query_scalar!(
        "select id from drills
         where depth = 'game_day' and started_at is not null and closed_at is null and host = $1 order by id limit $2",
        host,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(DrillId).collect())
}

/// Puts a game day aside that is over and of which nothing stands; false when something may.
pub async fn close(conn: &mut PgConnection, id: DrillId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update drills set closed_at = $2 where id = $1 and state = 'ended' and closed_at is null
         and not exists (select from drill_faults f where f.drill_id = $1 and f.over_at is null)",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// When the last fault of a drill was over; `None` while one may stand. A drill without faults has had its last one at
/// its end.
pub async fn clean_since(conn: &mut PgConnection, id: DrillId) -> Result<Option<DateTime<Utc>>, StoreError> {
    let since = sqlx::query_scalar!(
        "select greatest(d.ended_at, (select max(over_at) from drill_faults f where f.drill_id = d.id))
         from drills d where d.id = $1
         and not exists (select from drill_faults f where f.drill_id = d.id and f.over_at is null)",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(since.flatten())
}

/// Plans a fault; false when the same fault of that target is planned or may stand.
pub async fn plan(
    conn: &mut PgConnection,
    new: &NewFault<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into drill_faults (drill_id, inject, target, cause, target_name, lasting_ms, planned_at, due)
         values ($1, $2, $3, $4, $5, $6, $7, $7) on conflict (target_name, cause) where over_at is null do nothing",
        new.drill.0,
        new.inject,
        new.target,
        new.cause,
        new.target_name,
        new.lasting.as_millis() as i64,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes one fault in hand that is due on this machine, until `until`: the newest first, so that faults are taken back in
/// the reverse of the order in which they were caused.
pub async fn claim(
    conn: &mut PgConnection,
    host: &str,
    owner: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Due>, StoreError> {
    let row = sqlx::query!(
        r#"with due as (
               select f.drill_id, f.inject from drill_faults f join drills d on d.id = f.drill_id
               where f.over_at is null and d.host = $1
                     and (f.due <= $3 or f.state = 'caused' and d.state = 'ended')
               order by f.planned_at desc, f.inject limit 1 for update of f skip locked),
           taken as (
               update drill_faults f set owner = $2, due = $4, tries = f.tries + 1,
                      state = case when f.state = 'planned' then f.state else 'undoing' end
               from due
               where f.drill_id = due.drill_id and f.inject = due.inject
               returning f.drill_id, f.inject, f.target, f.cause, f.lasting_ms, f.state, f.what, f.tries, f.error)
           select t.drill_id, t.inject, t.target, t.cause, t.lasting_ms, t.state, t.what, t.tries, t.error,
                  d.state = 'ended' as "is_over!"
           from taken t join drills d on d.id = t.drill_id"#,
        host,
        owner,
        now,
        until
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let order = row.what.map(serde_json::from_value).transpose();
    Ok(Some(Due {
        drill: DrillId(row.drill_id),
        inject: row.inject,
        target: row.target,
        cause: row.cause,
        lasting: Span::from_millis(row.lasting_ms.unsigned_abs()),
        is_planned: row.state == FaultState::Planned.name(),
        order: order.map_err(|error| StoreError::corrupt("drill_faults", "what", error))?,
        tries: row.tries.unsigned_abs(),
        error: row.error,
        is_drill_over: row.is_over,
    }))
}

/// The rule that one thing of a machine is under one fault at a time.
const APART: &str = "drill_faults_apart";

/// What becomes of a fault that somebody has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// It is about to be caused.
    Begins(Beginning<'a>),
    /// It stands until then, and for so long its owner is believed to live.
    Stands {
        /// When it is taken back.
        ends_at: DateTime<Utc>,
        /// When somebody else takes it back if nothing is heard of its owner.
        held_until: DateTime<Utc>,
    },
    /// It is tried again then to take it back.
    Again(DateTime<Utc>),
    /// It is over.
    Over(FaultState),
}

impl Next<'_> {
    /// How the fault stands from then on.
    pub fn state(&self) -> FaultState {
        match self {
            Self::Begins(_) => FaultState::Causing,
            Self::Stands { .. } => FaultState::Caused,
            Self::Again(_) => FaultState::Undoing,
            Self::Over(state) => *state,
        }
    }
}

/// What is written down before a fault is caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning<'a> {
    /// All that it takes to take it back.
    pub order: &'a Order,
    /// The machine that causes it.
    pub host: &'a str,
    /// What it acts on there.
    pub acts_on: &'a str,
}

/// What came of writing it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is written.
    Done,
    /// Somebody else has the fault in hand, or it is over; nothing was written.
    Lost,
    /// Another fault may stand on what it acts on; nothing was written, and the transaction can do nothing more.
    Taken,
}

/// Writes down what became of a fault. `said` is what did not work, or what else is to be said of its end.
pub async fn settle(
    conn: &mut PgConnection,
    (drill, inject): (DrillId, &str),
    owner: Uuid,
    next: Next<'_>,
    said: &str,
    now: DateTime<Utc>,
) -> Result<Settled, StoreError> {
    let begins = match next {
        Next::Begins(beginning) => Some(beginning),
        _ => None,
    };
    let what: Option<Value> = begins
        .map(|begins| serde_json::to_value(begins.order))
        .transpose()
        .map_err(|error| StoreError::corrupt("drill_faults", "what", error))?;
    let (ends_at, due) = match next {
        Next::Begins(_) | Next::Over(_) => (None, None),
        Next::Stands { ends_at, held_until } => (Some(ends_at), Some(ends_at.min(held_until))),
        Next::Again(due) => (None, Some(due)),
    };
    let (error, note) = match next.state() {
        FaultState::Undone => ("", said),
        _ => (said, ""),
    };
    let done = sqlx::query!(
        "update drill_faults set state = $4, what = coalesce($5, what), host = coalesce($6, host),
                acts_on = coalesce($7, acts_on), error = left($8, 2000), note = left($9, 2000),
                caused_at = case when $4 = 'caused' then $10 else caused_at end,
                ends_at = coalesce($11, ends_at),
                over_at = case when $4 in ('undone', 'failed') then $10 end,
                due = case when $4 in ('undone', 'failed') then null else coalesce($12, due) end,
                tries = case when $4 = 'undoing' then tries else 0 end
         where drill_id = $1 and inject = $2 and owner = $3 and over_at is null",
        drill.0,
        inject,
        owner,
        next.state().name(),
        what,
        begins.map(|begins| begins.host),
        begins.map(|begins| begins.acts_on),
        error,
        note,
        now,
        ends_at,
        due
    )
    .execute(conn)
    .await
    .map_err(StoreError::from);
    match done {
        Ok(done) if done.rows_affected() == 1 => Ok(Settled::Done),
        Ok(_) => Ok(Settled::Lost),
        Err(error) if error.breaks(APART) => Ok(Settled::Taken),
        Err(error) => Err(error),
    }
}

/// Which of these faults are not over.
pub async fn standing(
    conn: &mut PgConnection,
    among: &[(DrillId, String)],
) -> Result<Vec<(DrillId, String)>, StoreError> {
    let drills: Vec<i64> = among.iter().map(|(drill, _)| drill.0).collect();
    let injects: Vec<String> = among.iter().map(|(_, inject)| inject.clone()).collect();
    let rows = sqlx::query!(
        "select f.drill_id, f.inject from unnest($1::bigint[], $2::text[]) as asked (drill_id, inject)
         join drill_faults f on f.drill_id = asked.drill_id and f.inject = asked.inject
         where f.over_at is null",
        &drills,
        &injects
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| (DrillId(row.drill_id), row.inject));
    Ok(keys.collect())
}

/// Says that this process lives: the faults that it has caused stand until their time is over.
pub async fn hold(conn: &mut PgConnection, owner: Uuid, until: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "update drill_faults set due = least(ends_at, $2) where owner = $1 and state = 'caused'",
        owner,
        until
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The drill is over: everything of it is taken back now.
pub async fn release(conn: &mut PgConnection, id: DrillId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "update drill_faults set due = $2, ends_at = least(ends_at, $2)
         where drill_id = $1 and state in ('planned', 'caused')",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
