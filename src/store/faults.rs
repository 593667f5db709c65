//! Faults of game days that are planned or may stand: what is known of them, which one is in the way of another, and a
//! person's word that one is over. Their machine's hand on them is in [`super::game_days`].

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    fault::{FaultState, Order},
    id::{DrillId, OperatorId},
};

/// A fault that is planned or may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Of which drill.
    pub drill: DrillId,
    /// Of which surprise.
    pub inject: String,
    /// On which target, as the scenario names it.
    pub target: String,
    /// Which of the faults it allows.
    pub cause: String,
    /// The real target.
    pub target_name: String,
    /// How it stands.
    pub state: FaultState,
    /// The machine on which it may stand, once it is about to be caused.
    pub host: Option<String>,
    /// What it acts on there.
    pub acts_on: Option<String>,
    /// What it does and where it keeps its files; there once it may have been caused.
    pub order: Option<Order>,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// When it was seen to stand.
    pub caused_at: Option<DateTime<Utc>>,
    /// When its machine has to do something about it, or should have.
    pub due: DateTime<Utc>,
    /// How often it was tried to take it back.
    pub tries: u32,
    /// What did not work the last time.
    pub error: String,
}

struct StandingRow {
    drill_id: i64,
    inject: String,
    target: String,
    cause: String,
    target_name: String,
    state: String,
    host: Option<String>,
    acts_on: Option<String>,
    what: Option<Value>,
    planned_at: DateTime<Utc>,
    caused_at: Option<DateTime<Utc>>,
    due: DateTime<Utc>,
    tries: i32,
    error: String,
}

impl TryFrom<StandingRow> for Standing {
    type Error = StoreError;

    fn try_from(row: StandingRow) -> Result<Self, StoreError> {
        let state = FaultState::named(&row.state);
        let order = row.what.map(serde_json::from_value).transpose();
        Ok(Self {
            drill: DrillId(row.drill_id),
            inject: row.inject,
            target: row.target,
            cause: row.cause,
            target_name: row.target_name,
            state: state.ok_or_else(|| StoreError::corrupt("drill_faults", "state", row.state))?,
            host: row.host,
            acts_on: row.acts_on,
            order: order.map_err(|error| StoreError::corrupt("drill_faults", "what", error))?,
            planned_at: row.planned_at,
            caused_at: row.caused_at,
            due: row.due,
            tries: row.tries.unsigned_abs(),
            error: row.error,
        })
    }
}

/// The faults of a drill that are planned or may stand, the oldest first.
pub async fn standing(conn: &mut PgConnection, id: DrillId, limit: i64) -> Result<Vec<Standing>, StoreError> {
    let rows = sqlx::query_as!(
        StandingRow,
        r#"select f.drill_id, f.inject, f.target, f.cause, f.target_name, f.state, coalesce(f.host, d.host) as host,
                  f.acts_on, f.what, f.planned_at, f.caused_at, f.due as "due!", f.tries, f.error
           from drill_faults f join drills d on d.id = f.drill_id
           where f.drill_id = $1 and f.over_at is null order by f.planned_at, f.inject limit $2"#,
        id.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Standing::try_from).collect()
}

/// Where a fault may stand that is in the way of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// The same fault of the same target.
    Same {
        /// The real target.
        target_name: &'a str,
        /// Which of the faults it allows.
        cause: &'a str,
    },
    /// One that acts on the same thing of a machine.
    Thing {
        /// The machine.
        host: &'a str,
        /// What it acts on.
        acts_on: &'a str,
    },
}

/// The fault that is planned or may stand in the way of another.
pub async fn in_the_way(conn: &mut PgConnection, way: Way<'_>) -> Result<Option<Standing>, StoreError> {
    let (same, thing) = match way {
        Way::Same { target_name, cause } => (Some((target_name, cause)), None),
        Way::Thing { host, acts_on } => (None, Some((host, acts_on))),
    };
    let row = sqlx::query_as!(
        StandingRow,
        r#"select f.drill_id, f.inject, f.target, f.cause, f.target_name, f.state, coalesce(f.host, d.host) as host,
                  f.acts_on, f.what, f.planned_at, f.caused_at, f.due as "due!", f.tries, f.error
           from drill_faults f join drills d on d.id = f.drill_id
           where f.over_at is null and (f.target_name = $1 and f.cause = $2 or f.host = $3 and f.acts_on = $4)
           limit 1"#,
        same.map(|(target_name, _)| target_name),
        same.map(|(_, cause)| cause),
        thing.map(|(host, _)| host),
        thing.map(|(_, acts_on)| acts_on)
    )
    .fetch_optional(conn)
    .await?;
    row.map(Standing::try_from).transpose()
}

/// Somebody says that a fault is over which nobody saw end. False when it is over already, or its machine has it in hand:
/// it was never tried in vain to take it back, and is not overdue since `overdue`.
pub async fn declare_over(
    conn: &mut PgConnection,
    (drill, inject): (DrillId, &str),
    (by, why): (OperatorId, &str),
    overdue: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update drill_faults set state = 'declared', declared_by = $3, note = left($4, 2000), over_at = $6, due = null
         where drill_id = $1 and inject = $2 and over_at is null
               and (state = 'undoing' and error <> '' or due < $5)",
        drill.0,
        inject,
        by.0,
        why,
        overdue,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
