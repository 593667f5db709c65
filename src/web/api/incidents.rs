//! Incidents as JSON.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use sqlx::{PgConnection, Postgres, Transaction};
use utoipa::IntoParams;

use super::{
    PageQuery,
    shapes::{
        ErrorAnswer, Rows,
        incident::{EventBody, IncidentBody, IncidentFull, IncidentRow, NoteBody, ReasonBody, SeverityBody},
        words::{ServiceBody, UpdateStands},
    },
};
use crate::{
    domain::{id::IncidentId, incident::Severity, note::NoteTag, operator::Operator},
    incident::{
        pins::PINS_MAX,
        respond,
        words::{self, NewNote},
    },
    store::{
        self, StoreError, alerts, alerts::MemberAlert, approvals, briefs, duties, events, incident_list,
        incidents, incidents::Incident, matches, matches::Match, merges, pins, runbooks, runs, services,
        silences,
    },
    web::{
        caller::{Reads, Responds},
        error::WebError,
        extract::{Body, Path},
        incidents::{READING_MAX, wanted},
        state::AppState,
        view::{
            search::Asked,
            services::{OTHERS_MAX, SERVICES_MAX, named},
        },
    },
};

/// Alerts and runs of one answer.
const PARTS_MAX: i64 = 500;

/// Which incidents.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// `open`, the default, or `all`.
    pub state: Option<String>,
    /// Only those folded under this one, which are left out otherwise.
    pub under: Option<i64>,
    /// What the list of incidents is searched for, instead of a state: `sev:1 state:open service:checkout database`.
    pub q: Option<String>,
}

/// Incidents, the newest first.
#[utoipa::path(get, path = "/incidents", tag = "incidents", params(StateQuery, PageQuery),
    responses((status = 200, body = Rows<IncidentRow>), (status = 401, body = ErrorAnswer),
              (status = 422, body = ErrorAnswer, description = "A term of the query is wrong; the message names its column")))]
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<StateQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Rows<IncidentRow>>, WebError> {
    let all = match (query.state.as_deref(), &query.q) {
        (Some(_), Some(_)) => return Err(WebError::unreadable("give state or q, not both")),
        (None | Some("" | "open"), _) => false,
        (Some("all"), _) => true,
        (Some(_), _) => return Err(WebError::unreadable("state is open or all")),
    };
    let mut tx = store::begin_reading(&app.db).await?;
    let (before, limit) = (page.before(), page.limit() + 1);
    let under = query.under.map(IncidentId);
    let found = match &query.q {
        Some(text) => {
            let mut asked = Asked {
                under,
                ..Asked::typed(text)
            };
            let (ids, is_all) = find(&mut tx, &me, &mut asked, (before, limit)).await?;
            incidents::list_these(&mut tx, &ids, is_all).await?
        }
        None => incidents::list(&mut tx, all, under, before, limit).await?,
    };
    Ok(Json(Rows::of(
        found,
        page.limit(),
        |line| line.incident.id.0,
        IncidentRow::from,
    )))
}

/// What a query finds, and whether incidents that are over count below others. A page shows what the right terms find; a
/// program is told of a wrong one instead.
async fn find(
    conn: &mut PgConnection,
    me: &Operator,
    asked: &mut Asked,
    (before, limit): (i64, i64),
) -> Result<(Vec<IncidentId>, bool), WebError> {
    incident_list::hurry(conn, READING_MAX).await?;
    let mut wanted = wanted(conn, me, asked).await?;
    if let Some(fault) = asked.faults.first() {
        let instead = fault.instead.as_ref();
        let instead = instead.map_or_else(String::new, |instead| format!("; did you mean {instead}?"));
        return Err(WebError::refused(format!(
            "q, column {}: {}: {}{instead}",
            fault.column, fault.term, fault.message
        )));
    }
    incident_list::look_up_words(conn, &mut wanted, before).await?;
    let ids = incident_list::page_ids(conn, &wanted, before, limit).await?;
    Ok((ids, wanted.counts_all()))
}

/// One incident with its alerts, matches, runs and pending approvals.
#[utoipa::path(get, path = "/incidents/{id}", tag = "incidents", params(("id" = i64, Path)),
    responses((status = 200, body = IncidentFull), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<IncidentId>,
) -> Result<Json<IncidentFull>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let alerts = alerts::list_members(&mut tx, id, PARTS_MAX).await?;
    let silences = silences::list(&mut tx, id, PARTS_MAX).await?;
    let matches = matches::list(&mut tx, id).await?;
    let merged = merges::list_in(&mut tx, id, PARTS_MAX).await?;
    let runs = runs::list_of_incident(&mut tx, id, PARTS_MAX).await?;
    let pending = approvals::list_pending(&mut tx, Some(id), PARTS_MAX).await?;
    let brief = briefs::find(&mut tx, id).await?;
    let duties = duties::list(&mut tx, id).await?;
    let pins = pins::list(&mut tx, id, PINS_MAX).await?;
    let services = services_of(&mut tx, &incident, &alerts, &matches).await?;
    Ok(Json(IncidentFull {
        update: UpdateStands::of(&brief),
        impact: brief.impact,
        duties: duties.into_iter().map(Into::into).collect(),
        pins: pins.iter().map(|pinned| pinned.seq).collect(),
        services,
        incident: incident.into(),
        alerts: alerts.into_iter().map(Into::into).collect(),
        silences: silences.into_iter().map(Into::into).collect(),
        matches: matches.into_iter().map(Into::into).collect(),
        merged: merged.iter().map(|line| line.id.0).collect(),
        runs: runs.iter().map(|run| run.id.0).collect(),
        pending_approvals: pending.iter().map(|approval| approval.id.0).collect(),
    }))
}

/// The services it is about, with other open incidents of each.
async fn services_of(
    conn: &mut PgConnection,
    incident: &Incident,
    alerts: &[MemberAlert],
    matches: &[Match],
) -> Result<Vec<ServiceBody>, StoreError> {
    let mut versions = Vec::new();
    for found in matches {
        versions.extend(runbooks::find_version(conn, found.version_id).await?);
    }
    let mut named = named(&incident.context, alerts, versions.iter());
    named.truncate(SERVICES_MAX);
    let names: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
    let others = services::list_open(conn, &names, incident.id, OTHERS_MAX as i64).await?;
    Ok(named
        .into_iter()
        .map(|found| ServiceBody::of(found, &others))
        .collect())
}

/// Where in a timeline to read from.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// Events after this number; 0, the default, begins at the first.
    pub after: Option<i64>,
    /// How many events, 1 to 100.
    pub limit: Option<i64>,
}

/// The events of an incident in the order of their commit.
#[utoipa::path(get, path = "/incidents/{id}/timeline", tag = "incidents", params(("id" = i64, Path), AfterQuery),
    responses((status = 200, body = Vec<EventBody>), (status = 404, body = ErrorAnswer)))]
pub async fn timeline(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<IncidentId>,
    Query(query): Query<AfterQuery>,
) -> Result<Json<Vec<EventBody>>, WebError> {
    let limit = query.limit.unwrap_or(super::ROWS_MAX).clamp(1, super::ROWS_MAX);
    let mut tx = store::begin_reading(&app.db).await?;
    if incidents::find(&mut tx, id).await?.is_none() {
        return Err(WebError::not_found("incident"));
    }
    let events = events::list_after(&mut tx, id, query.after.unwrap_or(0), limit).await?;
    Ok(Json(events.into_iter().map(EventBody::from).collect()))
}

/// Takes an incident.
#[utoipa::path(post, path = "/incidents/{id}/acknowledge", tag = "incidents", params(("id" = i64, Path)),
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn acknowledge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    respond::acknowledge(&mut tx, id, &me, now).await?;
    commit(&app, tx, id).await
}

/// Says that an incident is over.
#[utoipa::path(post, path = "/incidents/{id}/resolve", tag = "incidents", params(("id" = i64, Path)),
    request_body = ReasonBody,
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn resolve(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    respond::resolve(&mut tx, id, &me, &body.reason, now).await?;
    commit(&app, tx, id).await
}

/// Says that the harm has stopped.
#[utoipa::path(post, path = "/incidents/{id}/mitigate", tag = "incidents", params(("id" = i64, Path)),
    request_body = ReasonBody,
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn mitigate(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    respond::mitigate(&mut tx, id, &me, &body.reason, now).await?;
    commit(&app, tx, id).await
}

/// Says that an incident is written up.
#[utoipa::path(post, path = "/incidents/{id}/close", tag = "incidents", params(("id" = i64, Path)),
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn close(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    respond::close(&mut tx, id, &me, now).await?;
    commit(&app, tx, id).await
}

/// Says how bad an incident is.
#[utoipa::path(put, path = "/incidents/{id}/severity", tag = "incidents", params(("id" = i64, Path)),
    request_body = SeverityBody,
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn set_severity(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<SeverityBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let to = Severity::numbered(body.severity)
        .ok_or_else(|| WebError::unreadable("The severity must be 1, 2, 3 or 4."))?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    respond::set_severity(&mut tx, id, &me, to, &body.reason, now).await?;
    commit(&app, tx, id).await
}

/// Writes a note.
#[utoipa::path(post, path = "/incidents/{id}/notes", tag = "incidents", params(("id" = i64, Path)),
    request_body = NoteBody,
    responses((status = 201, body = IncidentBody), (status = 422, body = ErrorAnswer)))]
pub async fn note(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<NoteBody>,
) -> Result<(StatusCode, Json<IncidentBody>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let tag = match &body.tag {
        Some(name) => Some(
            NoteTag::named(name)
                .ok_or_else(|| WebError::unreadable("The tag is observation, hypothesis or decision."))?,
        ),
        None => None,
    };
    let note = NewNote {
        text: body.text,
        tag,
        happened_at: body.happened_at,
    };
    words::note(&mut tx, id, &me, &note, now).await?;
    Ok((StatusCode::CREATED, commit(&app, tx, id).await?))
}

/// Makes an act true, tells of it, and answers with the incident as it is then.
pub(super) async fn commit(
    app: &AppState,
    mut tx: Transaction<'static, Postgres>,
    id: IncidentId,
) -> Result<Json<IncidentBody>, WebError> {
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(Json(incident.into()))
}
