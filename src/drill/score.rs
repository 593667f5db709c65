//! The scorecard of a drill, from what is stored of it.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{DrillError, INCIDENTS_MAX, coverage, happen, unworkable};
use crate::{
    domain::{
        coverage::Gain,
        drill::{DrillState, Logged},
        event::Recorded,
        id::DrillId,
        runbook::Runbook,
        score::{self, Observed, Score, nothing_told},
        simulation::{Rules, Told},
        step::StepKind,
    },
    simulate::Simulator,
    store::{
        StoreError,
        drills::{self, Drill},
        events, runbooks, scenarios,
    },
};

/// Events of one incident that count.
const EVENTS_MAX: i64 = 10_000;
/// Runbooks in use.
const RUNBOOKS_MAX: usize = 500;

/// A drill with its scorecard, and what it was made from.
#[derive(Clone, Debug)]
pub struct Card {
    /// The drill.
    pub drill: Drill,
    /// What was played.
    pub rules: Arc<Rules>,
    /// Its log.
    pub log: Vec<Logged>,
    /// How it went, so far or in all.
    pub score: Score,
    /// What it has added to the coverage of each runbook.
    pub gains: Vec<Gain>,
}

/// Works it out.
pub async fn score(conn: &mut PgConnection, simulator: &Simulator, id: DrillId) -> Result<Card, DrillError> {
    let drill = drills::find(conn, id)
        .await?
        .ok_or(DrillError::NotFound("drill"))?;
    let rules = rules(conn, simulator, &drill).await?;
    let log = happen::log(conn, id).await?;
    let observed = observed(conn, id).await?;
    let told = untold(conn, &rules).await?;
    let score = score::judge(rules.clone(), drill.seed, told, &log, &observed)?;
    Ok(Card {
        gains: coverage::gains(conn, &drill, &rules.scenario.runbooks).await?,
        drill,
        rules,
        log,
        score,
    })
}

/// What was played. Of a drill that is over they are read anew: looking at its scorecard opens no twin.
async fn rules(
    conn: &mut PgConnection,
    simulator: &Simulator,
    drill: &Drill,
) -> Result<Arc<Rules>, DrillError> {
    if drill.state != DrillState::Ended {
        return Ok(simulator.rules(conn, drill.id).await?);
    }
    let version = scenarios::find(conn, drill.version)
        .await?
        .ok_or(DrillError::NotFound("scenario"))?;
    Ok(Arc::new(Rules::of(version.scenario).map_err(unworkable)?))
}

/// What was seen of a drill's incidents, in the order of time.
pub(super) async fn observed(conn: &mut PgConnection, id: DrillId) -> Result<Vec<Observed>, StoreError> {
    Ok(score::observe(&recorded(conn, id).await?))
}

/// The timelines of a drill's incidents, in the order of time.
pub(super) async fn recorded(conn: &mut PgConnection, id: DrillId) -> Result<Vec<Recorded>, StoreError> {
    let mut all: Vec<Recorded> = Vec::new();
    for incident in drills::incidents(conn, id, INCIDENTS_MAX).await? {
        all.extend(events::list_after(conn, incident, 0, EVENTS_MAX).await?);
    }
    // Events of one incident stay in the order of their numbers.
    all.sort_by_key(|event| event.recorded_at);
    Ok(all)
}

/// What has been told before anything happens: the steps and gates of the scenario's runbooks.
pub(super) async fn untold(conn: &mut PgConnection, rules: &Rules) -> Result<Told, StoreError> {
    let versions = runbooks::list_current(conn).await?;
    let of_scenario: Vec<&Runbook> = versions
        .iter()
        .take(RUNBOOKS_MAX)
        .map(|version| &version.runbook)
        .filter(|runbook| rules.scenario.runbooks.contains(&runbook.slug))
        .collect();
    let steps = of_scenario
        .iter()
        .flat_map(|runbook| runbook.steps.iter().chain(&runbook.finally));
    let gates = steps
        .clone()
        .filter(|step| matches!(step.kind, StepKind::Gate(_)));
    Ok(nothing_told(
        &rules.scenario,
        steps.map(|step| step.id.0.as_str()),
        gates.map(|step| step.id.0.as_str()),
    ))
}
