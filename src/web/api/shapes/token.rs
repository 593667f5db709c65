//! API tokens as JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{rights::tokens::DAYS_USUAL, store::api_tokens::ApiToken};

/// A live token, without its text.
#[derive(Serialize, ToSchema)]
pub struct ApiTokenBody {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// Names of the permissions it carries.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was shown last, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiToken> for ApiTokenBody {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            prefix: token.prefix,
            scopes: token.scopes,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiTokenBody {
    /// Which program will use it; two live ones of yours never share a name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Names of the permissions it is to carry: `read`, `respond`, `run`, `pause`, `oversee`, `publish`, `audit`, `sources`.
    #[schema(min_items = 1)]
    pub scopes: Vec<String>,
    /// For how many days it is good.
    #[serde(default = "days")]
    #[schema(minimum = 1, maximum = 366, default = 90)]
    pub days: i64,
}

fn days() -> i64 {
    DAYS_USUAL
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub struct ApiTokenMade {
    /// Its number.
    pub id: i64,
    /// The whole of it, shown this once.
    pub token: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}
