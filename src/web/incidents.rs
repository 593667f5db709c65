//! The list of incidents: what is open, and what of it needs this person.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Html, Redirect},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    boots,
    caller::{Anyone, Reads},
    error::WebError,
    page,
    state::AppState,
    view::{
        format,
        incident::key,
        incidents::{List, ListPage, Needs, ROWS_MAX},
        layout::Place,
        text,
    },
};
use crate::{
    domain::{id::IncidentId, operator::Operator},
    store::{self, StoreError, deliveries, incidents, runs},
};

/// Steps waiting for a person that are looked at.
const AWAITING_MAX: i64 = 50;

/// `GET /`
pub async fn home(State(_): State<AppState>, _: Anyone) -> Redirect {
    Redirect::to("/incidents")
}

/// The list's filter and place.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    state: String,
    /// Those folded under this one.
    under: Option<IncidentId>,
    before: Option<i64>,
}

impl ListQuery {
    /// The first page of that filter.
    pub fn of(state: &str) -> Self {
        Self {
            state: state.to_owned(),
            under: None,
            before: None,
        }
    }

    /// Whether incidents that are over are listed too.
    pub fn all(&self) -> bool {
        self.state == "all"
    }
}

/// `GET /incidents`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<ListQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let mut frame = page::frame(&app, &mut tx, &me, "Incidents", Place::Incidents, now).await?;
    let cursor = cursor(&mut tx).await?;
    let (needs, list) = load(&mut tx, &me, &query, now).await?;
    if query.before.is_none() && query.under.is_none() {
        let parameters = [
            ("scope", "incidents"),
            ("state", query.state.as_str()),
            ("after", cursor.as_str()),
        ];
        frame = frame.live(text::with_query("/live", &parameters));
    }
    let page = ListPage {
        frame,
        away: boots::banner(&mut tx, now).await?,
        needs,
        list,
        all: query.all(),
        under: query.under.map(|id| id.0),
    };
    Ok(Html(page.render()?))
}

/// What changes whenever the list may.
pub async fn cursor(conn: &mut PgConnection) -> Result<String, StoreError> {
    let pulse = incidents::pulse(conn).await?;
    Ok(format!("{}-{}-{}", pulse.open, pulse.events, pulse.newest))
}

/// What the list shows to this person.
pub async fn load(
    conn: &mut PgConnection,
    me: &Operator,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Needs, List), WebError> {
    let pending = page::pending(conn).await?;
    let awaiting = runs::list_awaiting(conn, AWAITING_MAX).await?;
    let before = query.before.unwrap_or(i64::MAX);
    let lines = incidents::list(conn, query.all(), query.under, before, ROWS_MAX as i64 + 1).await?;
    let empty = match lines.is_empty() {
        true if query.under.is_some() => vec!["None that is open is folded under it.".to_owned()],
        true => empty(conn, now).await?,
        false => Vec::new(),
    };
    let list = List::of(&lines, query.all(), query.under, query.before, empty, now);
    Ok((Needs::of(&pending, &awaiting, me, now), list))
}

/// Why there is nothing: what was last, and whether alerts arrive at all.
async fn empty(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    match incidents::find_last_resolved(conn).await? {
        Some((id, at)) => lines.push(format!("Last: {}, {} ago.", key(id.0), format::rough(now - at))),
        None => lines.push("There has been none.".to_owned()),
    }
    let alerts = deliveries::count_alerts_since(conn, now - TimeDelta::hours(24)).await?;
    lines.push(format!("Alerts received in 24 h: {alerts}."));
    if alerts == 0 {
        lines.push(
            "If alerts should have come, look at the deliveries: a wrong token shows there.".to_owned(),
        );
    }
    Ok(lines)
}
