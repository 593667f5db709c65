//! What the JSON interface speaks in. Built from the same domain types as the pages; a change here is a change of the
//! interface.

pub mod action_item;
pub mod approval;
pub mod audit;
pub mod boot;
pub mod coverage;
pub mod delivery;
pub mod drill;
pub mod incident;
pub mod person;
pub mod plan;
pub mod publishing;
pub mod routing;
pub mod run;
pub mod shelf;
pub mod silence;
pub mod source;
pub mod standing;
pub mod token;
pub mod words;

use serde::Serialize;
use utoipa::ToSchema;

/// What every refusal looks like.
#[derive(Serialize, ToSchema)]
pub struct ErrorAnswer {
    /// The refusal.
    pub error: ErrorBody,
}

/// Why something was not done.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// `unreadable`, `sign_in`, `forbidden`, `not_found`, `moved_on`, `too_large`, `refused`, `too_many`,
    /// `unavailable`, `bug`.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to name when asking for help.
    pub reference: String,
}

/// A page of rows.
#[derive(Serialize, ToSchema)]
pub struct Rows<T> {
    /// The rows, the newest first.
    pub rows: Vec<T>,
    /// Give this as `before` to get the rows after these; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

impl<T> Rows<T> {
    /// The page from one more row than was asked for; `id` is what the next page begins before.
    pub fn of<S>(mut found: Vec<S>, limit: i64, id: impl Fn(&S) -> i64, row: impl Fn(S) -> T) -> Self {
        let more = found.len() as i64 > limit;
        found.truncate(limit.max(0) as usize);
        let next = found.last().filter(|_| more).map(&id);
        Self {
            rows: found.into_iter().map(row).collect(),
            next,
        }
    }
}
