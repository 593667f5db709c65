//! Things happen: a surprise comes, an alert fires, somebody says something. All in the caller's transaction, which holds
//! the drill.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{DrillError, INCIDENTS_MAX, acts::age, report, unworkable};
use crate::{
    domain::{
        drill::{DrillFact, Logged, name},
        event::{IncidentFact, NewEvent},
        fault::FaultState,
        id::{DrillId, IncidentId, OperatorId},
        scenario::Happening,
        simulation::{Change, Simulation},
        span::Span,
    },
    pipeline::Patience,
    simulate::Simulator,
    store::{
        StoreError,
        drills::{self, Drill},
        events,
        faults::{self, Way},
        game_days::{self, NewFault},
        runbooks::Version,
    },
};

/// Facts of a drill; far more than one can have in its time.
const LOG_MAX: i64 = 20_000;

/// What happening takes.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The worlds.
    pub simulator: &'a Simulator,
    /// The runbooks that matching uses.
    pub shelf: &'a [Version],
    /// How long Muster waits before it believes.
    pub patience: &'a Patience,
}

/// Everything a drill's log holds.
pub async fn log(conn: &mut PgConnection, id: DrillId) -> Result<Vec<Logged>, StoreError> {
    log_after(conn, id, 0).await
}

/// What a drill's log holds after one of its facts.
pub(super) async fn log_after(
    conn: &mut PgConnection,
    id: DrillId,
    after: i64,
) -> Result<Vec<Logged>, StoreError> {
    drills::log_after(conn, id, after, LOG_MAX).await
}

/// The incident that things are said in: the newest that is open.
async fn place(conn: &mut PgConnection, id: DrillId) -> Result<Option<IncidentId>, StoreError> {
    Ok(drills::incidents(conn, id, INCIDENTS_MAX).await?.first().copied())
}

/// Somebody says something to the players. Before there is an incident nobody hears it.
pub(super) async fn say(
    conn: &mut PgConnection,
    id: DrillId,
    who: &str,
    text: &str,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let fact = IncidentFact::SaidInDrill {
        who: who.to_owned(),
        text: text.to_owned(),
    };
    tell(conn, id, fact, now).await
}

async fn tell(
    conn: &mut PgConnection,
    id: DrillId,
    fact: IncidentFact,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    if let Some(incident) = place(conn, id).await? {
        events::append(conn, incident, &[NewEvent::automatic(fact, now)], now).await?;
    }
    Ok(())
}

/// A surprise comes.
pub(super) async fn inject(
    conn: &mut PgConnection,
    stage: &Stage<'_>,
    drill: &Drill,
    world: &Simulation,
    inject: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let Some(known) = world.scenario().inject(inject).cloned() else {
        return Err(DrillError::NotFound("inject"));
    };
    let mut set: Vec<Change> = Vec::new();
    let mut faults = Vec::new();
    for happening in &known.then {
        match happening {
            Happening::Set(assignments) => set.extend(world.changes(assignments).map_err(unworkable)?),
            Happening::Connector { target, fails, .. } => set.push(Change::connector(target, Some(*fails))),
            Happening::Says { who, text } => say(conn, drill.id, who, text, now).await?,
            Happening::Leaves { role } => {
                drills::leave(conn, drill.id, role, now).await?;
                let fact = IncidentFact::LeftInDrill { role: role.clone() };
                tell(conn, drill.id, fact, now).await?;
            }
            Happening::Fault {
                target,
                cause,
                lasting,
            } => faults.push((target, cause, *lasting)),
            Happening::Alert { .. } => {}
        }
    }
    let fact = DrillFact::InjectSent {
        inject: inject.to_owned(),
        set,
    };
    drills::append(conn, drill.id, age(drill, now), by, &[fact], now).await?;
    for (target, cause, lasting) in faults {
        plan_fault(conn, drill, world, (inject, target, cause), lasting, now).await?;
    }
    for happening in &known.then {
        if let Happening::Alert {
            labels, annotations, ..
        } = happening
        {
            let alert = report::Alert {
                labels: labels.clone(),
                annotations: annotations.clone(),
                began: now,
                is_over: false,
            };
            report::send(conn, stage, drill, &format!("inject {inject}"), &[alert], now).await?;
        }
    }
    drills::set_due(conn, drill.id, now).await?;
    Ok(())
}

/// Writes down that something real is to be broken; the machine that plays the drill does it.
async fn plan_fault(
    conn: &mut PgConnection,
    drill: &Drill,
    world: &Simulation,
    (inject, target, cause): (&str, &str, &str),
    lasting: Span,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let day = world.scenario().game_day.as_ref();
    let Some(target_name) = day.and_then(|day| day.targets.get(target)) else {
        return Err(DrillError::Refused(format!(
            "{target} is not a target of this drill"
        )));
    };
    let new = NewFault {
        drill: drill.id,
        inject,
        target,
        cause,
        target_name,
        lasting,
    };
    let is_planned = game_days::plan(conn, &new, now).await?;
    let error = match is_planned {
        true => String::new(),
        false => in_the_way(conn, Way::Same { target_name, cause })
            .await?
            .unwrap_or_else(|| "the same fault stood until just now".to_owned()),
    };
    let fact = DrillFact::Fault {
        inject: inject.to_owned(),
        target: target.to_owned(),
        cause: cause.to_owned(),
        state: if is_planned {
            FaultState::Planned
        } else {
            FaultState::Failed
        },
        error,
    };
    Ok(drills::append(conn, drill.id, age(drill, now), None, &[fact], now).await?)
}

/// Why a fault cannot be caused while another one may stand, if one does.
pub(super) async fn in_the_way(conn: &mut PgConnection, way: Way<'_>) -> Result<Option<String>, StoreError> {
    let first = faults::in_the_way(conn, way).await?;
    Ok(first.map(|first| {
        let named = format!(
            "{} of {} in {}",
            first.cause,
            first.target_name,
            name(first.drill)
        );
        match way {
            Way::Same { .. } => format!("it may stand already: {named}"),
            Way::Thing { acts_on, .. } => {
                format!("{acts_on} is under another fault until that is over: {named}")
            }
        }
    }))
}

/// What an inject began for a time is over.
pub(super) async fn inject_over(
    conn: &mut PgConnection,
    stage: &Stage<'_>,
    drill: &Drill,
    sent: &Logged,
    happening: &Happening,
    inject: &str,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let fact = match happening {
        Happening::Connector { target, .. } => DrillFact::ConnectorBack {
            target: target.clone(),
            set: vec![Change::connector(target, None)],
        },
        Happening::Alert {
            labels, annotations, ..
        } => {
            let alert = report::Alert {
                labels: labels.clone(),
                annotations: annotations.clone(),
                began: sent.at,
                is_over: true,
            };
            report::send(conn, stage, drill, &format!("inject {inject}"), &[alert], now).await?;
            DrillFact::InjectResolved {
                of: inject.to_owned(),
            }
        }
        _ => return Ok(()),
    };
    drills::append(conn, drill.id, age(drill, now), None, &[fact], now).await?;
    Ok(())
}
