//! The page of one incident.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    page, runs as run_page,
    state::AppState,
    view::{
        alerts::ALERTS_MAX,
        incident::{IncidentPage, IncidentRecord, Sections, key},
        layout::Place,
        parts::hidden,
        text,
        timeline::{Filter, ROWS_MAX, Timeline},
    },
};
use crate::{
    domain::{
        id::{IncidentId, RunId},
        operator::Operator,
    },
    execute::standing::Standing,
    store::{
        self, StoreError, alerts, approvals, events, folds, incidents, matches, merges, preflights, reviews,
        runbooks, runs, silences,
    },
};

/// Runs shown on the page.
const RUNS_MAX: i64 = 20;
/// Requests for a decision shown on the page.
const APPROVALS_MAX: i64 = 20;
/// Merged incidents named on the page.
const MERGED_MAX: i64 = 20;
/// Silences shown on the page.
const SILENCES_MAX: i64 = 30;
/// Reviews shown on the page, the open ones first.
const REVIEWS_MAX: i64 = 20;

/// The timeline's filter and place.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ShowQuery {
    /// Which groups of events.
    #[serde(default)]
    pub show: String,
    /// Rows before this event.
    pub before: Option<i64>,
}

/// `GET /incidents/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<IncidentId>,
    Query(query): Query<ShowQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, &app.standing, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let incident = &record.incident;
    let title = format!(
        "{} {} · {} · {}",
        incident.severity,
        incident.state,
        text::visible(&incident.title),
        key(id.0)
    );
    let filter = Filter::read(&query.show);
    let timeline = timeline(&mut tx, id, &filter, query.before, now).await?;
    let beside = preflights::count_beside(&mut tx, id).await?;
    let mut frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now).await?;
    let parameters = [
        ("scope", format!("incident:{id}")),
        ("show", filter.parameter.clone()),
        ("rows", if query.before.is_some() { "no" } else { "" }.to_owned()),
        ("after", cursor(incident.last_seq, beside)),
    ];
    let parameters = parameters.each_ref().map(|(name, value)| (*name, value.as_str()));
    frame = frame.live(text::with_query("/live", &parameters));
    let page = IncidentPage {
        frame,
        id: id.0,
        sections: Sections::of(&record, timeline, &me, now),
        note: hidden(None),
    };
    Ok(Html(page.render()?))
}

/// Where an open page stands: its newest event, and what else it shows has come to.
pub fn cursor(seq: i64, beside: i64) -> String {
    format!("{seq}.{beside}")
}

/// Everything the page shows besides the timeline.
pub async fn load(
    conn: &mut PgConnection,
    standing: &Standing,
    id: IncidentId,
) -> Result<Option<IncidentRecord>, StoreError> {
    let Some(incident) = incidents::find(conn, id).await? else {
        return Ok(None);
    };
    let mut matches = Vec::new();
    for found in matches::list(conn, id).await? {
        let version = runbooks::find_version(conn, found.version_id).await?;
        matches.push((found, version));
    }
    let mut pending = Vec::new();
    for approval in approvals::list_pending(conn, Some(id), APPROVALS_MAX).await? {
        let votes = approvals::votes(conn, approval.id).await?;
        let given = votes.iter().filter(|vote| vote.verdict == "approve").count();
        pending.push((approval, given as i64));
    }
    let mut past_runs = runs::list_lines(conn, Some(id), None, RUNS_MAX).await?;
    let mut shown: Vec<RunId> = past_runs
        .iter()
        .filter(|line| line.finished_at.is_none())
        .map(|line| line.id)
        .collect();
    if shown.is_empty() {
        shown.extend(past_runs.first().map(|line| line.id));
    }
    past_runs.retain(|line| !shown.contains(&line.id));
    let mut runs = Vec::new();
    for run in shown {
        runs.extend(run_page::load(conn, standing, run).await?);
    }
    Ok(Some(IncidentRecord {
        below: folds::count_below(conn, id).await?,
        merged: merges::list_in(conn, id, MERGED_MAX).await?,
        members: alerts::list_members(conn, id, ALERTS_MAX).await?,
        alertmanager: silences::target_of(conn, id).await?,
        silences: silences::list(conn, id, SILENCES_MAX).await?,
        matches,
        preflights: preflights::list(conn, id).await?,
        approvals: pending,
        reviews: reviews::list(conn, Some(id), REVIEWS_MAX).await?,
        runs,
        past_runs,
        incident,
    }))
}

/// The timeline as filtered.
pub async fn timeline(
    conn: &mut PgConnection,
    id: IncidentId,
    filter: &Filter,
    before: Option<i64>,
    now: DateTime<Utc>,
) -> Result<Timeline, StoreError> {
    let kinds = events::kinds(conn, id).await?;
    let shown = filter.kinds(&kinds);
    let rows =
        events::list_kinds_before(conn, id, &shown, before.unwrap_or(i64::MAX), ROWS_MAX as i64 + 1).await?;
    Ok(Timeline::of(id, filter, before, &kinds, &rows, now))
}

/// What of the page changes, for somebody who looks at it.
pub async fn sections(
    conn: &mut PgConnection,
    standing: &Standing,
    id: IncidentId,
    me: &Operator,
    filter: &Filter,
    now: DateTime<Utc>,
) -> Result<Option<(Sections, i64)>, StoreError> {
    let Some(record) = load(conn, standing, id).await? else {
        return Ok(None);
    };
    let timeline = timeline(conn, id, filter, None, now).await?;
    let seq = record.incident.last_seq;
    Ok(Some((Sections::of(&record, timeline, me, now), seq)))
}
