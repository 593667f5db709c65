//! The door to Postgres: every statement Muster runs, one file a family of tables.
//!
//! A function is one statement or one guarded move; the caller owns the transaction. Moves say in the statement
//! what must be true and check how many rows they touched.

pub mod embedded;
pub mod migrate;
pub mod pool;

pub mod action_items;
pub mod aftermath;
pub mod alerts;
pub mod anchors;
pub mod apart;
pub mod api_tokens;
pub mod approval_links;
pub mod approvals;
pub mod attempts;
pub mod audit;
pub mod audit_checks;
pub mod boots;
pub mod breakers;
pub mod briefs;
pub mod bulk_acts;
pub mod calls;
pub mod corrections;
pub mod coverage;
pub mod cursors;
pub mod decisions;
pub mod deliveries;
pub mod delivery_sizes;
pub mod desk;
pub mod drafts;
pub mod drills;
pub mod duties;
pub mod events;
pub mod faults;
pub mod flaps;
pub mod folds;
pub mod freezes;
pub mod game_days;
pub mod health;
pub mod heartbeats;
pub mod held;
pub mod identities;
pub mod incident_list;
pub mod incidents;
pub mod locks;
pub mod matches;
pub mod merges;
pub mod openings;
pub mod operators;
pub mod outputs;
pub mod overdue;
pub mod own_heartbeats;
pub mod passkeys;
pub mod past_alerts;
pub mod pauses;
pub mod people;
pub mod pins;
pub mod playing;
pub mod precedents;
pub mod preferences;
pub mod preflights;
pub mod proposals;
pub mod publications;
pub mod queue;
pub mod recovery_codes;
pub mod reenact;
pub mod replicas;
pub mod reviews;
pub mod routing;
pub mod runbooks;
pub mod runs;
pub mod saved_views;
pub mod scenarios;
pub mod services;
pub mod sessions;
pub mod silences;
pub mod sources;
pub mod spool_marks;
pub mod staleness;
pub mod teams;
pub mod timelines;
pub mod timers;
pub mod timings;
pub mod titles;
pub mod tokens;
pub mod tracks;
pub mod tries;
pub mod troubles;
pub mod turns;
pub mod versions;
pub mod visits;
pub mod wake;

use sqlx::{PgPool, Postgres, Transaction};

use crate::domain::id::RunId;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the database did not answer as expected")]
    Database(#[from] sqlx::Error),
    /// A row holds what the program can never have written.
    #[error("table {table}, column {column} holds an impossible value: {detail}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
        /// What it holds, or why it cannot be read.
        detail: String,
    },
    /// Others were in the way time and again; the whole may be tried again.
    #[error("others were in the way")]
    Contended,
    /// The worker's claim on this run is over; nothing of what it wanted to write was written.
    #[error("the claim on run {0} has passed to another worker")]
    Fenced(RunId),
}

impl StoreError {
    /// A row that cannot be read back.
    pub fn corrupt(table: &'static str, column: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            table,
            column,
            detail: detail.to_string(),
        }
    }

    /// The same trouble, for another one whom it befell as well.
    pub fn again(&self) -> Self {
        let text = match self {
            Self::Database(error) => error.to_string(),
            other => other.to_string(),
        };
        match self.is_conflict() {
            true => Self::Contended,
            false => Self::Database(sqlx::Error::Io(std::io::Error::other(text))),
        }
    }

    /// Whether the database is away or overloaded, so that the same call may work soon.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                ["08", "53", "57", "25"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }),
            Self::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
            ),
            _ => false,
        }
    }

    /// Whether a rule of this name, held by the database, refused it.
    pub fn breaks(&self, rule: &str) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.constraint() == Some(rule),
            _ => false,
        }
    }

    /// Whether two transactions got in each other's way and the whole transaction may simply be run again.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                matches!(
                    error.code().as_deref(),
                    Some("40001" | "40P01" | "23505" | "55P03")
                )
            }
            Self::Contended => true,
            _ => false,
        }
    }
}

/// Begins a transaction in which every read sees the same moment, and none writes: a page and its cursor agree.
pub async fn begin_reading(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    Ok(pool
        .begin_with("begin isolation level repeatable read read only")
        .await?)
}
