//! What is due: runbooks in use that nobody has practised, that changes have un-drilled, or that were not practised for
//! long, each with the scenarios that train it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        coverage::{Due, Tally},
        span::Span,
    },
    store::{StoreError, coverage, runbooks, scenarios},
};

/// Scenarios that are offered for one runbook.
const TRAINING_MAX: i64 = 20;

/// A runbook that is due for a drill.
#[derive(Clone, Debug)]
pub struct DueRunbook {
    /// Its name.
    pub slug: String,
    /// What people call it.
    pub title: String,
    /// Number of the version in use.
    pub number: i32,
    /// Why.
    pub due: Due,
    /// How much of it is covered.
    pub tally: Tally,
    /// Scenarios that train it: name and title.
    pub scenarios: Vec<(String, String)>,
}

/// All of them, the most urgent first; what was practised counts for `counts`.
pub async fn list(
    conn: &mut PgConnection,
    counts: Span,
    now: DateTime<Utc>,
) -> Result<Vec<DueRunbook>, StoreError> {
    let shelf = runbooks::list_current(conn).await?;
    let of: Vec<_> = shelf
        .iter()
        .map(|version| (version.runbook_id, &version.runbook))
        .collect();
    let found = coverage::list(conn, &of, None).await?;
    let mut due: Vec<DueRunbook> = shelf
        .iter()
        .zip(found)
        .filter_map(|(version, coverage)| {
            let runbook = &version.runbook;
            Some(DueRunbook {
                due: coverage.due(now, counts)?,
                tally: coverage.tally(),
                slug: runbook.slug.clone(),
                title: runbook.title.clone(),
                number: version.number,
                scenarios: Vec::new(),
            })
        })
        .collect();
    let slugs: Vec<String> = due.iter().map(|one| one.slug.clone()).collect();
    let mut training: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for one in scenarios::training(conn, &slugs, TRAINING_MAX).await? {
        let of_runbook = training.entry(one.runbook).or_default();
        of_runbook.push((one.slug, one.title));
    }
    for one in &mut due {
        one.scenarios = training.remove(&one.slug).unwrap_or_default();
    }
    // The shelf is in the order of names, and what is equally urgent stays in it.
    due.sort_by_key(|one| one.due);
    Ok(due)
}
