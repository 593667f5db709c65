//! Why each runbook did or did not match an incident, value by value: compared anew with the runbooks of today.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{incident::key, layout::Place, reasons::ReasonsPage},
};
use crate::{
    domain::{id::IncidentId, labels::Labels},
    matching::miss::{Miss, misses},
    store::{
        self, StoreError,
        alerts::{self, MemberAlert},
        incidents,
        matches::{self, Match},
        runbooks::{self, Version},
    },
};

/// Alerts that each runbook is compared with, firing ones first.
pub const ALERTS_MAX: i64 = 50;
/// Runbooks compared on one page.
pub const RUNBOOKS_MAX: usize = 50;

/// Which runbooks.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ReasonsQuery {
    /// Those after this one, by name.
    #[serde(default)]
    pub after: String,
}

/// What is compared.
pub struct Reasons {
    /// The alerts.
    pub members: Vec<MemberAlert>,
    /// The runbooks that matched.
    pub matched: Vec<Match>,
    /// One page of those that did not, by name.
    shelf: Vec<Version>,
    /// Where the next page begins.
    pub next: Option<String>,
}

impl Reasons {
    /// Reads what is compared for one incident.
    pub async fn load(conn: &mut PgConnection, id: IncidentId, after: &str) -> Result<Self, StoreError> {
        let members = alerts::list_members(conn, id, ALERTS_MAX).await?;
        let matched = matches::list(conn, id).await?;
        let mut shelf = runbooks::list_current(conn).await?;
        shelf.retain(|version| {
            let slug = &version.runbook.slug;
            slug.as_str() > after && !matched.iter().any(|found| found.slug == *slug)
        });
        let has_more = shelf.len() > RUNBOOKS_MAX;
        shelf.truncate(RUNBOOKS_MAX);
        Ok(Self {
            next: shelf
                .last()
                .filter(|_| has_more)
                .map(|version| version.runbook.slug.clone()),
            members,
            matched,
            shelf,
        })
    }

    /// The runbooks that did not match, each with what came closest.
    pub fn misses(&self) -> Vec<Miss<'_>> {
        let labels: Vec<&Labels> = self.members.iter().map(|member| &member.labels).collect();
        misses(&self.shelf, &labels)
    }
}

/// `GET /incidents/{id}/runbooks`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<IncidentId>,
    Query(query): Query<ReasonsQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let reasons = Reasons::load(&mut tx, id, &query.after).await?;
    let title = format!("Runbooks of {}", key(id.0));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(incident.drill);
    Ok(Html(ReasonsPage::of(frame, &incident, &reasons, now).render()?))
}
