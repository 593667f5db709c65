//! People and teams as JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::{people::Person, teams::Team};

/// A person.
#[derive(Serialize, ToSchema)]
pub struct PersonBody {
    /// Their number.
    pub id: i64,
    /// What they sign in with.
    pub name: String,
    /// `viewer`, `responder`, `approver` or `admin`.
    pub role: String,
    /// Their teams.
    pub teams: Vec<String>,
    /// Since when they are here.
    pub created_at: DateTime<Utc>,
    /// Since when they cannot sign in.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When one of their open sessions was last used, to the minute.
    pub seen_at: Option<DateTime<Utc>>,
    /// Their open sessions.
    pub sessions: i64,
    /// Their live API tokens.
    pub tokens: i64,
    /// False while they have not followed their invitation.
    pub has_way_in: bool,
}

impl From<Person> for PersonBody {
    fn from(person: Person) -> Self {
        Self {
            id: person.id.0,
            name: person.name,
            role: person.role.name().to_owned(),
            teams: person.teams,
            created_at: person.created_at,
            disabled_at: person.disabled_at,
            seen_at: person.seen_at,
            sessions: person.sessions,
            tokens: person.tokens,
            has_way_in: person.has_way_in,
        }
    }
}

/// Somebody to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPersonBody {
    /// What they will sign in with.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// `viewer`, `responder`, `approver` or `admin`.
    pub role: String,
    /// Names of teams.
    #[serde(default)]
    pub teams: Vec<String>,
}

/// Somebody who was invited.
#[derive(Serialize, ToSchema)]
pub struct InvitedBody {
    /// Their number.
    pub id: i64,
    /// What their link `/enter/{code}` ends with, shown this once.
    pub code: String,
}

/// Another role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// `viewer`, `responder`, `approver` or `admin`.
    pub role: String,
    /// Why.
    pub reason: String,
}

/// Other teams.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamsBody {
    /// Exactly these.
    pub teams: Vec<String>,
    /// Why.
    pub reason: String,
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// In a few words.
    pub reason: String,
}

/// A team to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamNameBody {
    /// Lower-case letters, digits and inner dashes, at most 63.
    pub name: String,
}

/// A team.
#[derive(Serialize, ToSchema)]
pub struct TeamBody {
    /// Its name.
    pub name: String,
    /// Names of the enabled people in it.
    pub members: Vec<String>,
}

impl From<Team> for TeamBody {
    fn from(team: Team) -> Self {
        Self {
            name: team.name,
            members: team.members,
        }
    }
}
