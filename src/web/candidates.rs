//! The open incidents a person chooses from, when one of them goes into another or many are folded under one.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use super::error::WebError;
use crate::{
    domain::id::IncidentId,
    store::{
        incidents::{self, Incident},
        merges,
    },
};

/// How old the open incidents are at most that are offered without being named, in hours.
const OFFERED_HOURS: i64 = 24;

/// What a person looks for.
#[derive(Debug, Default, Deserialize)]
pub struct SearchQuery {
    /// Words of the title or the source, or a number.
    #[serde(default)]
    q: String,
}

/// The incident, the words that were looked for, and the other open ones that have them: one more than `shown`, so that
/// the page knows whether there are more.
pub async fn find(
    conn: &mut PgConnection,
    id: IncidentId,
    query: &SearchQuery,
    shown: usize,
    now: DateTime<Utc>,
) -> Result<(Incident, String, Vec<merges::Line>), WebError> {
    let incident = incidents::find(conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let since = now - TimeDelta::hours(OFFERED_HOURS);
    // U+0000 is in no title, and the database takes none.
    let text = query.q.trim().replace('\0', "");
    let lines = merges::find_open(conn, id, &text, since, shown as i64 + 1).await?;
    Ok((incident, text, lines))
}
