//! An action item.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::action_items::{ActionItem, Origin};

/// Something that is to be done after an incident or a drill.
#[derive(Serialize, ToSchema)]
pub struct ActionItemBody {
    /// Its number.
    pub id: i64,
    /// The incident it comes from.
    pub incident: Option<i64>,
    /// The drill it comes from.
    pub drill: Option<i64>,
    /// What is to be done.
    pub text: String,
    /// Who does it.
    pub owner: String,
    /// Until when.
    pub due: Option<NaiveDate>,
    /// The incident that must pass when it is played again as a drill.
    pub proof: Option<i64>,
    /// `open`, `done`, `dropped`
    pub state: String,
    /// The drill that proved it.
    pub proven_by: Option<i64>,
    /// What was said when it was closed; may be empty.
    pub remark: String,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made_at: DateTime<Utc>,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// When.
    pub closed_at: Option<DateTime<Utc>>,
}

impl From<ActionItem> for ActionItemBody {
    fn from(item: ActionItem) -> Self {
        let (incident, drill) = match item.origin {
            Origin::Incident(id) => (Some(id.0), None),
            Origin::Drill(id) => (None, Some(id.0)),
        };
        Self {
            id: item.id.0,
            incident,
            drill,
            text: item.text,
            owner: item.owner_name,
            due: item.due,
            proof: item.proof.map(|id| id.0),
            state: item.state.name().to_owned(),
            proven_by: item.proven_by.map(|id| id.0),
            remark: item.remark,
            made_by: item.made_by,
            made_at: item.made_at,
            closed_by: item.closed_by,
            closed_at: item.closed_at,
        }
    }
}

/// A new action item.
#[derive(Deserialize, ToSchema)]
pub struct NewItemBody {
    /// The incident it comes from; or name a drill.
    pub incident: Option<i64>,
    /// The drill it comes from.
    pub drill: Option<i64>,
    /// What is to be done, one line of at most 500 characters.
    pub text: String,
    /// Who does it; yourself when absent.
    pub owner: Option<i64>,
    /// Until when.
    pub due: Option<NaiveDate>,
    /// The incident that must pass when it is played again as a drill, before this counts as done.
    pub proof: Option<i64>,
}

/// The item that was made.
#[derive(Serialize, ToSchema)]
pub struct MadeItemBody {
    /// Its number.
    pub id: i64,
}

/// How an item is closed.
#[derive(Deserialize, ToSchema)]
pub struct CloseItemBody {
    /// `done` or `dropped`
    pub state: String,
    /// What was done; needed for one that is dropped.
    #[serde(default)]
    pub remark: String,
}
