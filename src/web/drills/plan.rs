//! `POST /drills`: plans a drill, and begins it unless it is for later.

use axum::{Form, extract::State, response::Redirect};
use uuid::Uuid;

use super::current;
use crate::{
    domain::{
        audit::{self, ActKind, Object},
        drill::Depth,
        id::{DrillId, OperatorId},
    },
    drill::{self, NewPlan},
    store,
    web::{
        act::{Act, see},
        caller::Runs,
        error::WebError,
        state::AppState,
        view::drill::scenario::{NO_PART, PLAYERS_MAX},
        words::moment,
    },
};

/// The fields of the form; a field `player.<number>` for each person.
#[derive(Debug, Default)]
struct PlanForm {
    op: Option<Uuid>,
    scenario: String,
    depth: String,
    start: String,
    at: String,
    seed: String,
    players: Vec<(OperatorId, String)>,
}

impl PlanForm {
    fn read(fields: Vec<(String, String)>) -> Self {
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "op" => form.op = value.parse().ok(),
                "scenario" => form.scenario = value,
                "depth" => form.depth = value,
                "start" => form.start = value,
                "at" => form.at = value,
                "seed" => form.seed = value,
                _ => form.players.extend(player(&name, value)),
            }
        }
        form
    }
}

/// Somebody who plays, with their part; empty for none in particular.
fn player(name: &str, part: String) -> Option<(OperatorId, String)> {
    let person = name.strip_prefix("player.")?.parse().ok()?;
    match part.as_str() {
        "" => None,
        NO_PART => Some((OperatorId(person), String::new())),
        _ => Some((OperatorId(person), part)),
    }
}

/// `POST /drills`
pub async fn plan(
    State(app): State<AppState>,
    Runs(me): Runs,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Redirect, WebError> {
    let form = PlanForm::read(fields);
    let op = form
        .op
        .ok_or_else(|| WebError::unreadable("The form has no operation id; reload the page."))?;
    let back = format!("/drills/scenarios/{}", form.scenario);
    let refused = |message: &str| WebError::refused(message).with_next(back.clone(), "Back to the scenario");
    let depth = Depth::named(&form.depth).ok_or_else(|| WebError::unreadable("The form says no depth."))?;
    if form.players.len() > PLAYERS_MAX {
        return Err(refused(&format!(
            "at most {PLAYERS_MAX} people play in one drill"
        )));
    }
    let is_later = form.start == "later";
    let planned_for = match is_later {
        true => Some(moment(&form.at)?.ok_or_else(|| refused("say when it begins, in UTC"))?),
        false => None,
    };
    let seed = match form.seed.trim() {
        // The operation's id is as good as any.
        "" => op.as_u64_pair().1,
        text => text.parse().map_err(|_| refused("the seed is a whole number"))?,
    };
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see("/drills"));
    };
    let now = act.now;
    if planned_for.is_some_and(|planned| planned <= now) {
        return Err(refused("the drill cannot begin in the past"));
    }
    if depth == Depth::GameDay && app.conductor.simulator.host().is_none() {
        return Err(refused(
            "this Muster plays no game days: start it with --game-day-host",
        ));
    }
    let version = current(act.conn(), &form.scenario).await?;
    let new = NewPlan {
        version: version.id,
        depth,
        seed,
        trainer: Some(me.id),
        players: &form.players,
        planned_for,
    };
    let planned = async {
        let id: DrillId = drill::plan(act.conn(), &new, now).await?;
        let kind = match is_later {
            true => ActKind::DrillPlanned,
            false => {
                drill::start(act.conn(), id, Some(me.id), now).await?;
                ActKind::DrillBegun
            }
        };
        let decided = audit::Act::new(me.actor(), kind, Object::drill(id, &version.scenario.title), "");
        store::audit::insert(act.conn(), &decided, now).await?;
        Ok::<_, drill::DrillError>(id)
    };
    let id = planned
        .await
        .map_err(|error| WebError::from(error).with_next(back.clone(), "Back to the scenario"))?;
    act.commit().await?;
    Ok(see(format!("/drills/{id}")))
}
