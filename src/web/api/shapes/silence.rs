//! Silences of an incident's alerts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::silences::Silence;

/// A silence that somebody asked for.
#[derive(Serialize, ToSchema)]
pub struct SilenceBody {
    /// Its number.
    pub id: i64,
    /// Name of the Alertmanager.
    pub target: String,
    /// One line in Alertmanager's syntax.
    pub matchers: String,
    /// What stands in Alertmanager, but for the mark it is found by.
    pub comment: String,
    /// `asked`, `holds`, `failed`, `ending`, `over`
    pub state: String,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// Who wants it.
    pub asked_by: String,
    /// Until when.
    pub until: DateTime<Utc>,
    /// What Alertmanager calls it, once that is known.
    pub silence: Option<String>,
    /// Why the last try came to nothing; empty when it did not.
    pub problem: String,
    /// When it was over, or given up.
    pub ended_at: Option<DateTime<Utc>>,
}

impl From<Silence> for SilenceBody {
    fn from(silence: Silence) -> Self {
        Self {
            id: silence.id.0,
            target: silence.target,
            matchers: silence.matchers,
            comment: silence.comment,
            state: silence.state.name().to_owned(),
            asked_at: silence.asked_at,
            asked_by: silence.asked_by,
            until: silence.until,
            silence: silence.remote_id,
            problem: silence.problem,
            ended_at: silence.ended_at,
        }
    }
}

/// What is to be silenced.
#[derive(Deserialize, ToSchema)]
pub struct NewSilenceBody {
    /// Matchers in Alertmanager's syntax, one a line or in one list.
    pub matchers: String,
    /// For how long, like `2h`; from 1m to 30d.
    pub duration: String,
    /// Why; at most 500 characters.
    pub comment: String,
    /// Names this wish: sent again with the same key it makes no second silence. Without one, each request is its own.
    #[serde(default)]
    pub key: Option<uuid::Uuid>,
}
