//! A drill and its scorecard.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::coverage::GainBody;
use crate::{
    domain::{drill::name, id::IncidentId, night::Compared, score::Score},
    store::drills::{Drill, Player},
    web::view::drill::card::ScoreRecord,
};

/// A drill.
#[derive(Serialize, ToSchema)]
pub struct DrillBody {
    /// Its number.
    pub id: i64,
    /// `DRILL-17`
    pub key: String,
    /// The scenario that is played.
    pub scenario: String,
    /// What people call it.
    pub title: String,
    /// `tabletop`, `simulated`
    pub depth: String,
    /// `planned`, `running`, `paused`, `ended`
    pub state: String,
    /// Its chance, as a text of digits: the same seed and the same acts give the same drill.
    pub seed: String,
    /// When it shall begin.
    pub planned_for: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// `finished`, `stopped`, `rule`, `real_incident`, `fault`, `too_long`, `cancelled`
    pub end_kind: Option<String>,
    /// Why it was over, in words; may be empty.
    pub end_reason: Option<String>,
}

impl From<Drill> for DrillBody {
    fn from(drill: Drill) -> Self {
        let end = drill.ended.as_ref();
        Self {
            id: drill.id.0,
            key: name(drill.id),
            depth: drill.depth.name().to_owned(),
            state: drill.state.name().to_owned(),
            seed: drill.seed.to_string(),
            planned_for: drill.planned_for,
            started_at: drill.clock.map(|clock| clock.started_at),
            ended_at: end.map(|(at, _, _)| *at),
            end_kind: end.map(|(_, kind, _)| kind.name().to_owned()),
            end_reason: end.map(|(_, _, reason)| reason.clone()),
            scenario: drill.slug,
            title: drill.title,
        }
    }
}

/// A drill with who plays and what they play in.
#[derive(Serialize, ToSchema)]
pub struct DrillFull {
    /// The drill.
    #[serde(flatten)]
    pub drill: DrillBody,
    /// Who leads it.
    pub trainer: Option<String>,
    /// Who plays.
    pub players: Vec<PlayerBody>,
    /// Its incidents, the oldest first; at most 50.
    pub incidents: Vec<i64>,
}

/// Somebody who plays.
#[derive(Serialize, ToSchema)]
pub struct PlayerBody {
    /// Who.
    pub name: String,
    /// Their part; empty for none in particular.
    pub part: String,
    /// Whether they come; null until they said so.
    pub comes: Option<bool>,
    /// When their part dropped out; null while they play.
    pub left_at: Option<DateTime<Utc>>,
}

impl DrillFull {
    /// The drill with these.
    pub fn of(
        drill: Drill,
        trainer: Option<String>,
        players: Vec<Player>,
        incidents: Vec<IncidentId>,
    ) -> Self {
        let body = |player: Player| PlayerBody {
            name: player.name,
            part: player.role,
            comes: player.comes,
            left_at: player.left_at,
        };
        Self {
            drill: drill.into(),
            trainer,
            players: players.into_iter().map(body).collect(),
            incidents: incidents.into_iter().map(|id| id.0).collect(),
        }
    }
}

/// A scorecard. It scores the drill as a whole, and nobody in it.
#[derive(Serialize, ToSchema)]
pub struct ScoreBody {
    /// The drill.
    pub drill: DrillBody,
    /// Whether it is the last word: the drill is over.
    pub is_final: bool,
    /// Whether all went as expected.
    pub passes: bool,
    /// What it falls short of, one line each.
    pub shortfalls: Vec<String>,
    /// `figures` with `took` and `objective`, `expected` with `due` and `done`, `wrong`, `injects`, `updates`, `unknowns`,
    /// `hints`, `notes`. Times are lengths such as `1m20s` by the clock of the drill; null is what was not reached.
    #[schema(value_type = Object)]
    pub score: Score,
    /// The runbooks it trains.
    pub runbooks: Vec<String>,
    /// What it has added to the coverage of these and of what else ran in it.
    pub coverage: Vec<GainBody>,
    /// The drill of the same scenario before it.
    pub before: Option<i64>,
    /// The real incident that it plays again.
    pub reenacts: Option<i64>,
    /// How it compares with that: `times` and `gates` with `real` and `drill`, `differs` in words, `not_recorded` with
    /// target and question.
    #[schema(value_type = Option<Object>)]
    pub compared: Option<Compared>,
}

/// Which incident is to be played again.
#[derive(Deserialize, ToSchema)]
pub struct ReenactBody {
    /// Its number.
    pub incident: i64,
}

/// The scenario that plays it again.
#[derive(Serialize, ToSchema)]
pub struct ReenactedBody {
    /// Its name.
    pub scenario: String,
    /// What of the night it leaves out, and what today asks that nobody asked then.
    pub gaps: Vec<String>,
    /// Its text, as a file of drills would hold it.
    pub text: String,
}

impl From<ScoreRecord> for ScoreBody {
    fn from(record: ScoreRecord) -> Self {
        Self {
            is_final: record.drill.ended.is_some(),
            passes: record.score.passes(),
            shortfalls: record.score.shortfalls(),
            coverage: record.gains.iter().map(GainBody::from).collect(),
            reenacts: record.night.as_ref().map(|(incident, _)| incident.0),
            compared: record.night.map(|(_, compared)| compared),
            before: record.before.map(|(drill, _)| drill.id.0),
            drill: record.drill.into(),
            score: record.score,
            runbooks: record.runbooks,
        }
    }
}
