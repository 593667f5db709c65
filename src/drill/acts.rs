//! What a trainer does: plan a drill, begin it, let it stand still, end it, send a surprise, tell a hint, note something.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{DrillError, INCIDENTS_MAX, coverage, happen, is_over};
use crate::{
    domain::{
        drill::{Depth, DrillFact, DrillState, EndKind, ObserverTag, has_begun_steady, name},
        event::{IncidentFact, NewEvent},
        id::{DrillId, OperatorId, ScenarioVersionId},
        simulation::Simulation,
        span::Span,
    },
    simulate::Simulator,
    store::{
        drills::{self, Drill, NewDrill},
        events, game_days, incidents, queue, scenarios,
    },
};

/// The longest note, in characters.
const NOTE_CHARS_MAX: usize = 2000;

/// A drill to be planned.
#[derive(Clone, Debug)]
pub struct NewPlan<'a> {
    /// What is played.
    pub version: ScenarioVersionId,
    /// How deep.
    pub depth: Depth,
    /// Its chance.
    pub seed: u64,
    /// Who leads it.
    pub trainer: Option<OperatorId>,
    /// Who plays which part.
    pub players: &'a [(OperatorId, String)],
    /// When it shall begin, if not at once.
    pub planned_for: Option<DateTime<Utc>>,
}

/// Plans a drill.
pub async fn plan(
    conn: &mut PgConnection,
    new: &NewPlan<'_>,
    now: DateTime<Utc>,
) -> Result<DrillId, DrillError> {
    let version = scenarios::find(conn, new.version)
        .await?
        .ok_or(DrillError::NotFound("scenario"))?;
    let depths = version.scenario.depths();
    if !depths.contains(&new.depth) {
        let names: Vec<&str> = depths.iter().map(|depth| depth.name()).collect();
        return Err(DrillError::Refused(format!(
            "this scenario is not played as {}; it is played as {}",
            new.depth.name(),
            names.join(" or ")
        )));
    }
    let roles = &version.scenario.roles;
    if let Some((_, role)) = new
        .players
        .iter()
        .find(|(_, role)| !role.is_empty() && !roles.contains(role))
    {
        return Err(DrillError::Refused(format!(
            "{role} is no part of this scenario; its parts are {}",
            roles.join(", ")
        )));
    }
    let row = NewDrill {
        version: new.version,
        depth: new.depth,
        seed: new.seed,
        trainer: new.trainer,
        planned_for: new.planned_for,
    };
    let id = drills::insert(conn, &row, now).await?;
    for (person, role) in new.players {
        drills::put_player(conn, id, *person, role).await?;
    }
    Ok(id)
}

/// Begins a planned drill. Refused while something real is as bad as it gets: people are needed there.
pub async fn start(
    conn: &mut PgConnection,
    id: DrillId,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = locked(conn, id).await?;
    if drill.state != DrillState::Planned {
        return Err(not_now(&drill));
    }
    if let Some((incident, title)) = incidents::find_open_sev1(conn).await? {
        return Err(DrillError::Refused(format!(
            "INC-{incident} ({title}) is real and SEV1: drills begin when it is over"
        )));
    }
    drills::start(conn, id, now).await?;
    write(conn, &drill, DrillFact::Began, by, now).await
}

/// Lets a drill stand still: its clock, its world, its runs.
pub async fn pause(
    conn: &mut PgConnection,
    id: DrillId,
    why: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = locked(conn, id).await?;
    if !drills::pause(conn, id, now).await? {
        return Err(not_now(&drill));
    }
    let fact = DrillFact::Paused { why: why.to_owned() };
    write(conn, &drill, fact, by, now).await
}

/// Lets it go on.
pub async fn resume(
    conn: &mut PgConnection,
    id: DrillId,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = locked(conn, id).await?;
    if !drills::resume(conn, id, now).await? {
        return Err(not_now(&drill));
    }
    write(conn, &drill, DrillFact::Resumed, by, now).await?;
    for incident in drills::incidents(conn, id, INCIDENTS_MAX).await? {
        queue::wake_incident(conn, incident, now).await?;
    }
    Ok(())
}

/// Ends it: runs that go on stop, its incidents say so, and what it has exercised is kept.
pub async fn end(
    conn: &mut PgConnection,
    id: DrillId,
    why: EndKind,
    reason: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = locked(conn, id).await?;
    if drill.state == DrillState::Ended {
        return Err(is_over(id));
    }
    let fact = DrillFact::Ended {
        why,
        reason: reason.to_owned(),
    };
    write(conn, &drill, fact, by, now).await?;
    drills::end(conn, id, why, reason, now).await?;
    coverage::record(conn, &drill).await?;
    // Whoever has caused something takes it back.
    game_days::release(conn, id, now).await?;
    let told = match reason.is_empty() {
        true => why.to_string(),
        false => format!("{why}: {reason}"),
    };
    for incident in drills::incidents(conn, id, INCIDENTS_MAX).await? {
        let fact = IncidentFact::DrillEnded { reason: told.clone() };
        events::append(conn, incident, &[NewEvent::automatic(fact, now)], now).await?;
        // What still runs finds that its drill is over.
        queue::wake_incident(conn, incident, now).await?;
    }
    Ok(())
}

/// Sends a surprise now, whatever it waits for.
pub async fn send_inject(
    conn: &mut PgConnection,
    stage: &happen::Stage<'_>,
    id: DrillId,
    inject: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = running(conn, id).await?;
    open_inject(conn, stage.simulator, id, inject).await?;
    if drill.depth == Depth::GameDay && !has_begun_steady(&happen::log(conn, id).await?) {
        return Err(DrillError::Moved(
            "nothing is sent before the steady state was seen; wait a moment".to_owned(),
        ));
    }
    let world = stage.simulator.world(conn, id).await?;
    happen::inject(conn, stage, &drill, &world, inject, by, now).await
}

/// Passes a surprise over.
pub async fn skip_inject(
    conn: &mut PgConnection,
    simulator: &Simulator,
    id: DrillId,
    inject: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = running(conn, id).await?;
    open_inject(conn, simulator, id, inject).await?;
    let fact = DrillFact::InjectSkipped {
        inject: inject.to_owned(),
    };
    write(conn, &drill, fact, by, now).await
}

/// Tells the players a hint, at its price.
pub async fn tell_hint(
    conn: &mut PgConnection,
    simulator: &Simulator,
    id: DrillId,
    hint: usize,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = running(conn, id).await?;
    let rules = simulator.rules(conn, id).await?;
    let text = match rules.scenario.hints.get(hint) {
        Some(hint) => hint.text.clone(),
        None => return Err(DrillError::NotFound("hint")),
    };
    let told = DrillFact::HintTold { hint };
    if happen::log(conn, id)
        .await?
        .iter()
        .any(|logged| logged.fact == told)
    {
        return Err(DrillError::Moved("this hint has been told already".to_owned()));
    }
    write(conn, &drill, told, by, now).await?;
    happen::say(conn, id, "Trainer", &text, now).await
}

/// Notes something for the scorecard; players do not see it before.
pub async fn note(
    conn: &mut PgConnection,
    id: DrillId,
    tag: Option<ObserverTag>,
    text: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let drill = locked(conn, id).await?;
    let text = text.trim();
    if text.is_empty() && tag.is_none() {
        return Err(DrillError::Refused("the note is empty".to_owned()));
    }
    if text.chars().count() > NOTE_CHARS_MAX {
        return Err(DrillError::Refused(format!(
            "the note is longer than {NOTE_CHARS_MAX} characters"
        )));
    }
    if drill.clock.is_none() {
        return Err(DrillError::Refused(format!("{} has not begun", name(id))));
    }
    let fact = DrillFact::Noted {
        tag,
        text: text.to_owned(),
    };
    write(conn, &drill, fact, by, now).await
}

async fn locked(conn: &mut PgConnection, id: DrillId) -> Result<Drill, DrillError> {
    drills::lock(conn, id).await?.ok_or(DrillError::NotFound("drill"))
}

fn not_now(drill: &Drill) -> DrillError {
    DrillError::Moved(format!("{} is {}", name(drill.id), drill.state.name()))
}

async fn write(
    conn: &mut PgConnection,
    drill: &Drill,
    fact: DrillFact,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    Ok(drills::append(conn, drill.id, age(drill, now), by, &[fact], now).await?)
}

async fn running(conn: &mut PgConnection, id: DrillId) -> Result<Drill, DrillError> {
    let drill = locked(conn, id).await?;
    match drill.state {
        DrillState::Running => Ok(drill),
        DrillState::Ended => Err(is_over(id)),
        _ => Err(not_now(&drill)),
    }
}

async fn open_inject(
    conn: &mut PgConnection,
    simulator: &Simulator,
    id: DrillId,
    inject: &str,
) -> Result<(), DrillError> {
    let rules = simulator.rules(conn, id).await?;
    if rules.scenario.inject(inject).is_none() {
        return Err(DrillError::NotFound("inject"));
    }
    let is_used = happen::log(conn, id).await?.iter().any(|logged| {
        matches!(&logged.fact, DrillFact::InjectSent { inject: used, .. } | DrillFact::InjectSkipped { inject: used }
            if used == inject)
    });
    match is_used {
        true => Err(DrillError::Moved(format!(
            "{inject} has been sent or passed over already"
        ))),
        false => Ok(()),
    }
}

/// How old a drill is; nothing before it begins.
pub(super) fn age(drill: &Drill, now: DateTime<Utc>) -> Span {
    drill.clock.map_or(Span::from_secs(0), |clock| clock.age(now))
}

/// The world of a drill, for those who only look.
pub async fn world(
    conn: &mut PgConnection,
    simulator: &Simulator,
    id: DrillId,
) -> Result<Simulation, DrillError> {
    Ok(simulator.world(conn, id).await?)
}
