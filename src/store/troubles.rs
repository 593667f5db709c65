//! What is wrong with Muster itself, for the banner of every page: one statement, a few rows.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{audit::Broken, id::IncidentId, span::Span};

/// Sources and circuits that are named, of each; the pages of both list all.
const NAMED_MAX: i64 = 3;
/// How long a run may be due before nobody is thought to work.
const DUE_MAX: Span = Span::from_secs(30);

/// One thing that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The record of who decided what does not hold.
    Broken(Broken),
    /// No worker takes the runs that are due.
    Idle {
        /// Since when the first of them is due.
        since: DateTime<Utc>,
    },
    /// A heartbeat is silent.
    Silent {
        /// Name of its source.
        source: String,
        /// Its last sign of life.
        since: DateTime<Utc>,
        /// The incident that was raised for it.
        incident: IncidentId,
    },
    /// Nothing is sent to a target.
    Circuit {
        /// Its name.
        target: String,
        /// Since when.
        since: DateTime<Utc>,
        /// How it failed at last.
        reason: String,
    },
}

/// Everything of it, the worst first. What drills do to themselves is none of it.
pub async fn list(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<Trouble>, StoreError> {
    let rows = sqlx::query!(
        r#"(select 1 as "rank!", broken, '' as "name!", '' as "reason!", null::timestamptz as since,
                   null::bigint as incident_id
            from audit_checks where broken is not null order by chain limit 1)
           union all
           (select 2, null, '', '', q.due, null from run_queue q join incidents i on i.id = q.incident_id
            where q.state in (0, 2) and q.due < $1 and i.drill_id is null order by q.due, q.run_id limit 1)
           union all
           (select 3, null, s.name, '', h.last_seen_at, h.incident_id
            from heartbeats h join sources s on s.id = h.source_id
            where h.incident_id is not null and s.disabled_at is null order by h.last_seen_at limit $2)
           union all
           (select 4, null, target, reason, since, null from breakers
            where since is not null and target !~ '^DRILL-[0-9]+ ' order by since, target limit $2)
           order by 1, 5"#,
        now - DUE_MAX.as_delta(),
        NAMED_MAX
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let corrupt = || StoreError::corrupt("troubles", "rank", row.rank);
            Ok(match (row.rank, row.broken, row.since, row.incident_id) {
                (1, Some(broken), ..) => Trouble::Broken(
                    serde_json::from_value(broken)
                        .map_err(|error| StoreError::corrupt("audit_checks", "broken", error))?,
                ),
                (2, _, Some(since), _) => Trouble::Idle { since },
                (3, _, Some(since), Some(incident)) => Trouble::Silent {
                    source: row.name,
                    since,
                    incident: IncidentId(incident),
                },
                (4, _, Some(since), _) => Trouble::Circuit {
                    target: row.name,
                    since,
                    reason: row.reason,
                },
                _ => return Err(corrupt()),
            })
        })
        .collect()
}
