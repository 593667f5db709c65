//! When the timers that belong to no run go off, asked in one question: nearly always nothing is due, and to find that out
//! must cost next to nothing.
//!
//! What is said here may be too early and is never too late: whoever then claims what is due asks the exact question under
//! its lock.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;

/// The earliest timer of each kind; `None` when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    /// A lease of a firing alert ends.
    pub lease_over: Option<DateTime<Utc>>,
    /// A re-fire has lasted.
    pub refire: Option<DateTime<Utc>>,
    /// A held alert is let go.
    pub held: Option<DateTime<Utc>>,
    /// An incident has stopped flapping.
    pub calm: Option<DateTime<Utc>>,
    /// An incident has been quiet for its hold-down. A live run may keep it open beyond that.
    pub recovery: Option<DateTime<Utc>>,
    /// A heartbeat is overdue.
    pub silence: Option<DateTime<Utc>>,
    /// Whether a source folds its storms.
    pub has_fold_rules: bool,
    /// Whether a start is still to be settled or told of.
    pub has_open_boots: bool,
}

impl Timers {
    /// The earliest of them.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        let all = [
            self.lease_over,
            self.refire,
            self.held,
            self.calm,
            self.recovery,
            self.silence,
        ];
        all.into_iter().flatten().min()
    }
}

/// The timers as they are now: each time is the first entry of an index, and sources and starts are few.
pub async fn find(conn: &mut PgConnection) -> Result<Timers, StoreError> {
    Ok(sqlx::query_as!(
        Timers,
        r#"select
             (select min(lease_until) from episodes where lease_until is not null and ends_at is null) as lease_over,
             (select min(refire_due) from episodes where refire_due is not null) as refire,
             (select min(due) from held where due is not null) as held,
             (select min(calm_due) from incidents where calm_due is not null) as calm,
             (select min(recover_due) from incidents where recover_due is not null) as recovery,
             (select min(due) from heartbeats where incident_id is null) as silence,
             exists (select from sources where fold_over is not null) as "has_fold_rules!",
             exists (select from boots where tell_through is not null or company = 'unsettled') as "has_open_boots!""#
    )
    .fetch_one(conn)
    .await?)
}
