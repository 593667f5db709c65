//! What is due: runbooks in use that nobody has practised, that changes have un-drilled, or that were not practised for
//! long, each with the scenarios that train it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        coverage::{Due, Tally},
        span::Span,
    },
    store::{StoreError, coverage, runbooks, scenarios::ScenarioVersion},
};

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

/// All of them, the most urgent first. `scenarios` are those in use; what was practised counts for `counts`.
pub async fn list(
    conn: &mut PgConnection,
    scenarios: &[ScenarioVersion],
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
            let mut training: Vec<_> = scenarios
                .iter()
                .filter(|scenario| scenario.scenario.runbooks.contains(&runbook.slug))
                .collect();
            // What breaks nothing is played first.
            training.sort_by_key(|scenario| scenario.scenario.game_day.is_some());
            Some(DueRunbook {
                due: coverage.due(now, counts)?,
                tally: coverage.tally(),
                slug: runbook.slug.clone(),
                title: runbook.title.clone(),
                number: version.number,
                scenarios: training
                    .iter()
                    .map(|scenario| (scenario.slug.clone(), scenario.scenario.title.clone()))
                    .collect(),
            })
        })
        .collect();
    // The shelf is in the order of names, and what is equally urgent stays in it.
    due.sort_by_key(|one| one.due);
    Ok(due)
}
