//! What people write about an incident, who does what in it, and which services it is about.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::event::{Event, IncidentFact, Recorded},
    store::{briefs::Brief, duties::Holder, services::Other},
    web::view::services::Named,
};

/// What a note is to say.
#[derive(Deserialize, ToSchema)]
pub struct CorrectionBody {
    /// The whole text.
    pub text: String,
    /// Number of the event that held the text you saw, the note itself or its last correction; with it, somebody else's
    /// newer correction is not lost under yours.
    pub over: Option<i64>,
}

/// What an incident does to people.
#[derive(Deserialize, ToSchema)]
pub struct ImpactBody {
    /// One sentence; empty takes back what was said.
    #[serde(default)]
    pub impact: String,
}

/// A status update for the team.
#[derive(Deserialize, ToSchema)]
pub struct UpdateBody {
    /// How it is.
    pub condition: String,
    /// What is done about it.
    #[serde(default)]
    pub action: String,
    /// What is needed, and of whom.
    #[serde(default)]
    pub need: String,
    /// Minutes until the next one; absent for no promise.
    pub next_in_minutes: Option<u16>,
}

/// An event to be pinned.
#[derive(Deserialize, ToSchema)]
pub struct PinBody {
    /// Its number.
    pub seq: i64,
}

/// A duty.
#[derive(Deserialize, ToSchema)]
pub struct DutyBody {
    /// `commander`, `communications` or `scribe`
    pub duty: String,
}

/// A duty and who is to have it.
#[derive(Deserialize, ToSchema)]
pub struct GiveBody {
    /// `commander`, `communications` or `scribe`
    pub duty: String,
    /// Number of the person; absent for yourself.
    pub to: Option<i64>,
    /// What they should know.
    #[serde(default)]
    pub summary: String,
}

/// Who has a duty.
#[derive(Serialize, ToSchema)]
pub struct HolderBody {
    /// `commander`, `communications` or `scribe`
    pub duty: String,
    /// Number of the person.
    pub person: i64,
    /// What they are called.
    pub name: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl From<Holder> for HolderBody {
    fn from(holder: Holder) -> Self {
        Self {
            duty: holder.duty.name().to_owned(),
            person: holder.operator.0,
            name: holder.name,
            since: holder.since,
        }
    }
}

/// The newest status update.
#[derive(Serialize, ToSchema)]
pub struct UpdateStands {
    /// Who posted it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How it is.
    pub condition: String,
    /// What is done about it.
    pub action: String,
    /// What is needed, and of whom.
    pub need: String,
    /// When the next one is promised.
    pub next_due: Option<DateTime<Utc>>,
}

impl UpdateStands {
    /// What stands, when somebody posted one.
    pub fn of(brief: &Brief) -> Option<Self> {
        let Recorded {
            event:
                Event::Incident(IncidentFact::UpdatePosted {
                    condition,
                    action,
                    need,
                    ..
                }),
            actor,
            recorded_at,
            ..
        } = brief.update.as_ref()?
        else {
            return None;
        };
        Some(Self {
            by: actor.to_string(),
            at: *recorded_at,
            condition: condition.clone(),
            action: action.clone(),
            need: need.clone(),
            next_due: brief.update_due,
        })
    }
}

/// A service that an incident is about.
#[derive(Serialize, ToSchema)]
pub struct ServiceBody {
    /// What it is called.
    pub name: String,
    /// Alerts of it that fire here.
    pub firing: usize,
    /// Alerts of it here that have ended.
    pub ended: usize,
    /// Titles of the runbooks that serve it, of those that matched or run here.
    pub runbooks: Vec<String>,
    /// Numbers of other open incidents of it, the worst first; a few of them.
    pub others: Vec<i64>,
}

impl ServiceBody {
    /// A service with what else is wrong with it.
    pub fn of((name, named): (String, Named), others: &[Other]) -> Self {
        Self {
            firing: named.firing,
            ended: named.ended,
            runbooks: named.runbooks,
            others: others
                .iter()
                .filter(|other| other.service == name)
                .map(|other| other.id.0)
                .collect(),
            name,
        }
    }
}
