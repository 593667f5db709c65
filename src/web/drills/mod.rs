//! `/drills`: the catalogue, scenarios, drills and their scorecards. Planning stands in `plan`, what a trainer does in
//! `acts`, that a real fault is over in `faults`, when it is and who comes in `appointment`, which runbooks should be
//! practised in `due`.

pub mod acts;
pub mod appointment;
pub mod due;
pub mod faults;
pub mod plan;
pub mod reenact;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::{Deserialize, Deserializer, de};
use sqlx::PgConnection;

use super::{
    action_items as items,
    caller::Reads,
    error::WebError,
    extract::Path,
    page, runs as run_page,
    state::AppState,
    view::{
        drill::{
            card::{ScorePage, ScoreRecord},
            catalogue::{CataloguePage, Found, Part},
            faults::is_open,
            play::Played,
            scenario::{Breaks, LaunchForm, ScenarioPage, Shelf},
            show::{DrillPage, DrillRecord},
        },
        layout::Place,
        text,
    },
};
use crate::{
    domain::{
        access::may,
        drill::{Depth, DrillState, name},
        id::{DrillId, IncidentId},
        operator::{Operator, Role},
        permission::Permission,
        scenario::Scenario,
        score::Score,
    },
    drill,
    store::{
        self, StoreError,
        action_items::Origin,
        approvals, drills,
        drills::Drill,
        faults as real_faults, incidents, operators, playing, reenact as past, runs, scenarios,
        scenarios::ScenarioVersion,
        timelines::{self, Window},
        titles,
    },
};

/// Scenarios on one page of the catalogue.
const SCENARIOS_MAX: usize = 50;
/// Scenarios that are offered for one runbook on its page.
const TRAINING_MAX: i64 = 50;
/// Drills in a list.
const DRILLS_MAX: usize = 30;
/// Incidents of one drill on its page.
const INCIDENTS_MAX: i64 = 10;
/// Runs of one incident there.
const RUNS_MAX: i64 = 20;
/// Open gates of one incident there.
const GATES_MAX: i64 = 10;
/// Events of one incident there, the newest.
const EVENTS_MAX: i64 = 8;
/// Incidents that are offered to be played again, and among how many of the newest they are looked for.
const PAST_MAX: i64 = 5;
const PAST_AMONG: i64 = 100;
/// How far back a drill of the same scenario is looked for.
const BEFORE_MAX: i64 = 10;

/// A drill as an address names it: `17` or `DRILL-17`.
#[derive(Clone, Copy, Debug)]
pub struct DrillKey(pub DrillId);

impl<'de> Deserialize<'de> for DrillKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = match text.get(..6) {
            Some(mark) if mark.eq_ignore_ascii_case("drill-") => &text[6..],
            _ => text.as_str(),
        };
        let id = number
            .parse()
            .map_err(|_| de::Error::custom("no number of a drill"))?;
        Ok(Self(DrillId(id)))
    }
}

/// Which drills of the catalogue, or which scenarios.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CatalogueQuery {
    before: Option<i64>,
    after: Option<String>,
    #[serde(default)]
    shelf: String,
}

impl CatalogueQuery {
    fn part(&self) -> Part {
        match (self.shelf.as_str(), &self.after, self.before) {
            ("retired", ..) => Part::Retired,
            (_, Some(_), _) => Part::Scenarios,
            (_, None, Some(_)) => Part::Older,
            _ => Part::Front,
        }
    }
}

/// Whether somebody has the console of a drill: who leads it, and admins.
pub fn leads(me: &Operator, drill: &Drill) -> bool {
    may(me, Permission::Run).is_ok() && (drill.trainer == Some(me.id) || me.role == Role::Admin)
}

/// `GET /drills`
pub async fn catalogue(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<CatalogueQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let before = query.before.map(DrillId);
    let (part, after) = (query.part(), query.after.as_deref());
    let most = SCENARIOS_MAX as i64 + 1;
    let is_front = part == Part::Front;
    let found = Found {
        due: match is_front {
            true => due::list(&mut tx, app.drill_due, now).await?,
            false => Vec::new(),
        },
        counts: app.drill_due,
        scenarios: match part {
            Part::Retired => scenarios::list_retired(&mut tx, after, most).await?,
            Part::Front | Part::Scenarios => scenarios::list_current(&mut tx, after, most).await?,
            Part::Older => Vec::new(),
        },
        scenarios_max: SCENARIOS_MAX,
        has_retired: is_front && !scenarios::list_retired(&mut tx, None, 1).await?.is_empty(),
        last: playing::last(&mut tx).await?,
        live: drills::list_live(&mut tx, DRILLS_MAX as i64).await?,
        past: drills::list(&mut tx, None, before, DRILLS_MAX as i64 + 1).await?,
        incidents: match may(&me, Permission::Run) {
            Ok(_) if is_front => past::list(&mut tx, PAST_AMONG, PAST_MAX).await?,
            _ => Vec::new(),
        },
        rows_max: DRILLS_MAX,
        part,
    };
    let frame = page::frame(&app, &mut tx, &me, "Drills", Place::Drills, now).await?;
    Ok(Html(CataloguePage::of(frame, &found, now).render()?))
}

/// The version of a scenario that is in use.
pub async fn current(conn: &mut PgConnection, slug: &str) -> Result<ScenarioVersion, WebError> {
    scenarios::find_current(conn, slug)
        .await?
        .ok_or_else(|| WebError::not_found("scenario").with_next("/drills", "All scenarios"))
}

/// The version of a scenario that can be read, and whether it is out of use: no drill of such a one begins.
pub async fn readable(conn: &mut PgConnection, slug: &str) -> Result<(ScenarioVersion, bool), WebError> {
    match scenarios::find_retired(conn, slug).await? {
        Some(version) => Ok((version, true)),
        None => Ok((current(conn, slug).await?, false)),
    }
}

/// The scenarios in use that train a runbook.
pub async fn training(conn: &mut PgConnection, runbook: &str) -> Result<Vec<ScenarioVersion>, StoreError> {
    scenarios::list_training(conn, runbook, TRAINING_MAX).await
}

/// `GET /drills/scenarios/{slug}`
pub async fn scenario(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(slug): Path<String>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (version, is_retired) = readable(&mut tx, &slug).await?;
    let past = drills::list(&mut tx, Some(&slug), None, DRILLS_MAX as i64).await?;
    let form = match may(&me, Permission::Run) {
        Ok(_) if !is_retired => {
            let people = operators::list(&mut tx).await?;
            let real = incidents::find_open_sev1(&mut tx).await?;
            let depths = version.scenario.depths();
            let breaks = breaks(&app, &version.scenario);
            Some(LaunchForm::of(&people, me.id, real.as_ref(), (depths, breaks)))
        }
        _ => None,
    };
    let shelf = Shelf::of(
        is_retired,
        reenact::shelves(&me) && version.scenario.reenacts.is_some(),
    );
    let title = text::visible(&version.scenario.title);
    let frame = page::frame(&app, &mut tx, &me, title, Place::Drills, now).await?;
    Ok(Html(
        ScenarioPage::of(frame, &version, &past, (form, shelf), now).render()?,
    ))
}

/// What a game day would really break, and where; nothing is known of it where none is played.
fn breaks(app: &AppState, scenario: &Scenario) -> Option<Breaks> {
    let simulator = &app.conductor.simulator;
    simulator.host().map(|host| Breaks {
        host: host.to_owned(),
        faults: simulator.faults(scenario),
    })
}

/// `GET /drills/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(DrillKey(id)): Path<DrillKey>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, &app, &me, id)
        .await?
        .ok_or_else(|| WebError::not_found("drill"))?;
    let pulse = playing::pulse(&mut tx, id).await?.unwrap_or_default();
    let title = format!("{} · {}", text::visible(&record.drill.title), name(id));
    let mut frame = page::frame(&app, &mut tx, &me, title, Place::Drills, now)
        .await?
        .of_drill(Some(id));
    if record.drill.state != DrillState::Ended || is_open(&record.log, record.drill.state) {
        let parameters = [("scope", &*format!("drill:{id}")), ("after", &*pulse)];
        frame = frame.live(text::with_query("/live", &parameters));
    }
    let leads = leads(&me, &record.drill);
    Ok(Html(DrillPage::of(frame, &record, &me, leads, now).render()?))
}

/// Everything known of a drill, as much of it as this person may see.
pub async fn load(
    conn: &mut PgConnection,
    app: &AppState,
    me: &Operator,
    id: DrillId,
) -> Result<Option<DrillRecord>, WebError> {
    let Some(drill) = drills::find(conn, id).await? else {
        return Ok(None);
    };
    let version = scenarios::find(conn, drill.version)
        .await?
        .ok_or_else(|| StoreError::corrupt("drills", "version_id", drill.version))?;
    let trainer = match drill.trainer {
        Some(person) => operators::find_name(conn, person).await?,
        None => None,
    };
    let mut played = Vec::new();
    for incident in drills::incidents(conn, id, INCIDENTS_MAX).await? {
        played.extend(over_the_shoulder(conn, app, incident).await?);
    }
    let leads = leads(me, &drill);
    // A world that cannot go on is told by the end of its drill, a moment later.
    let world = match leads && drill.state.is_live() {
        true => drill::acts::world(conn, &app.conductor.simulator, id).await.ok(),
        false => None,
    };
    Ok(Some(DrillRecord {
        players: drills::players(conn, id).await?,
        log: match leads {
            true => drill::log(conn, id).await?,
            false => Vec::new(),
        },
        faults: match leads && drill.depth == Depth::GameDay {
            true => real_faults::standing(conn, id, drill::declare::FAULTS_MAX).await?,
            false => Vec::new(),
        },
        world: world.map(|world| world.state().clone()),
        real: incidents::find_open_sev1(conn).await?,
        incidents: played,
        scenario: version.scenario,
        trainer,
        drill,
    }))
}

/// What is seen of an incident from the page of its drill.
async fn over_the_shoulder(
    conn: &mut PgConnection,
    app: &AppState,
    id: IncidentId,
) -> Result<Option<Played>, StoreError> {
    let Some(incident) = incidents::find(conn, id).await? else {
        return Ok(None);
    };
    let newest = Window {
        kinds: None,
        also: None,
        after: 0,
        before: i64::MAX,
        limit: EVENTS_MAX,
    };
    let mut going = Vec::new();
    for line in runs::list_of_incident(conn, id, RUNS_MAX).await? {
        if line.finished_at.is_none() {
            going.extend(run_page::load(conn, &app.standing, line.id).await?);
        }
    }
    Ok(Some(Played {
        incident,
        gates: approvals::list_pending(conn, Some(id), GATES_MAX).await?,
        events: timelines::newest(conn, id, &newest).await?,
        titles: titles::list(conn, id, RUNS_MAX).await?,
        runs: going,
    }))
}

/// `GET /drills/{id}/score`
pub async fn score(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(DrillKey(id)): Path<DrillKey>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = scored(&mut tx, &app, &me, id).await?;
    let title = format!("Scorecard · {}", name(id));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Drills, now)
        .await?
        .of_drill(Some(id));
    Ok(Html(ScorePage::of(frame, &record, me.id, now).render()?))
}

/// A drill with its scorecard. Before it is over only who leads it may see that: it says what is expected.
pub async fn scored(
    conn: &mut PgConnection,
    app: &AppState,
    me: &Operator,
    id: DrillId,
) -> Result<ScoreRecord, WebError> {
    let drill = drills::find(conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("drill"))?;
    let here = (format!("/drills/{id}"), name(id));
    if drill.state != DrillState::Ended && !leads(me, &drill) {
        return Err(
            WebError::forbidden("The scorecard is shown when the drill is over.").with_next(here.0, here.1),
        );
    }
    if drill.clock.is_none() {
        return Err(
            WebError::refused("the drill has not begun, so there is nothing to score")
                .with_next(here.0, here.1),
        );
    }
    let next = |error: drill::DrillError| WebError::from(error).with_next(here.0.clone(), here.1.clone());
    let card = drill::score(conn, &app.conductor.simulator, id)
        .await
        .map_err(next)?;
    let scenario = &card.rules.scenario;
    let night = drill::reenact::compared(conn, id, scenario).await.map_err(next)?;
    Ok(ScoreRecord {
        items: items::of(conn, Origin::Drill(id), night.as_ref().map(|(real, _)| *real), me).await?,
        night,
        before: before(conn, app, &card.drill).await?,
        runbooks: card.rules.scenario.runbooks.clone(),
        gains: card.gains,
        incidents: drills::incidents(conn, id, INCIDENTS_MAX).await?,
        drill: card.drill,
        score: card.score,
    })
}

/// The drill of the same scenario before, if one was played to an end and its scorecard can be worked out.
async fn before(
    conn: &mut PgConnection,
    app: &AppState,
    drill: &Drill,
) -> Result<Option<(Drill, Score)>, WebError> {
    let earlier = drills::list(conn, Some(&drill.slug), Some(drill.id), BEFORE_MAX).await?;
    let played = |one: &Drill| one.clock.is_some() && one.state == DrillState::Ended;
    let Some(found) = earlier.into_iter().find(played) else {
        return Ok(None);
    };
    match drill::score(conn, &app.conductor.simulator, found.id).await {
        Ok(card) => Ok(Some((card.drill, card.score))),
        Err(drill::DrillError::Store(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_drill_as_people_do() {
        let key = |text: &str| {
            let text = de::IntoDeserializer::<de::value::Error>::into_deserializer(text);
            DrillKey::deserialize(text).ok().map(|key| key.0)
        };
        for text in ["17", "DRILL-17", "drill-17"] {
            assert_eq!(key(text), Some(DrillId(17)), "{text}");
        }
        for text in ["", "DRILL-", "drill17", "new", "ÄÖÜ-17"] {
            assert_eq!(key(text), None, "{text}");
        }
    }
}
