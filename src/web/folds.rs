//! Folding a storm of incidents under one of them, and unfolding it, by form.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Redirect},
};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::Act,
    caller::Responds,
    candidates::{self, SearchQuery},
    error::WebError,
    extract::Path,
    page,
    respond::{back, end},
    state::AppState,
    view::{
        fold::{FoldPage, LINES_MAX},
        incident::key,
        layout::Place,
    },
};
use crate::{
    domain::{id::IncidentId, span::Span},
    incident::fold::{self, Chosen},
    store::{self, sources},
};

/// How far back a whole source is folded at most.
const WITHIN_MAX: Span = Span::from_secs(7 * 24 * 3600);

/// `GET /incidents/{id}/fold`
pub async fn form(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Query(query): Query<SearchQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (incident, text, lines) = candidates::find(&mut tx, id, &query, LINES_MAX, now).await?;
    let names: Vec<String> = sources::list(&mut tx)
        .await?
        .into_iter()
        .map(|source| source.name)
        .collect();
    let title = format!("Fold under {}", key(id.0));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(incident.drill);
    Ok(Html(
        FoldPage::of(frame, &incident, &text, &lines, names, now).render()?,
    ))
}

/// The fields of the form that folds.
#[derive(Debug, Default)]
struct FoldForm {
    op: Option<Uuid>,
    seen: Option<i64>,
    chosen: Vec<IncidentId>,
    source: String,
    within: String,
    reason: String,
}

impl FoldForm {
    /// A field may come many times: one for each box that is ticked.
    fn read(fields: Vec<(String, String)>) -> Result<Self, WebError> {
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "op" => form.op = value.parse().ok(),
                "seen" => form.seen = value.parse().ok(),
                "child" => {
                    let child = value
                        .parse()
                        .map_err(|_| WebError::unreadable("A chosen incident has no number."))?;
                    form.chosen.push(IncidentId(child));
                }
                "source" => form.source = value,
                "within" => form.within = value,
                "reason" => form.reason = value,
                _ => {}
            }
        }
        Ok(form)
    }
}

/// What a form or a program names: incidents, or a source and how far back.
pub async fn chosen(
    conn: &mut PgConnection,
    incidents: Vec<IncidentId>,
    source: &str,
    within: &str,
) -> Result<Chosen, WebError> {
    if source.is_empty() {
        return Ok(Chosen::These(incidents));
    }
    let within: Span = within
        .parse()
        .ok()
        .filter(|within| *within <= WITHIN_MAX)
        .ok_or_else(|| WebError::refused("Write how far back, like 15m, at most 7d."))?;
    let source = sources::find_by_name(conn, source)
        .await?
        .ok_or_else(|| WebError::not_found("source"))?;
    Ok(Chosen::Storm {
        source: source.id,
        within,
    })
}

/// `POST /incidents/{id}/fold`
pub async fn fold(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Redirect, WebError> {
    let form = FoldForm::read(fields)?;
    let with_way = |error: WebError| error.with_next(format!("/incidents/{id}/fold"), "Choose again");
    if form.chosen.is_empty() && form.source.is_empty() {
        return Err(with_way(WebError::refused("Tick at least one incident.")));
    }
    let op = form
        .op
        .ok_or_else(|| WebError::unreadable("The form has no operation."))?;
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let chosen = chosen(act.conn(), form.chosen, &form.source, &form.within)
        .await
        .map_err(with_way)?;
    let done = fold::fold(act.conn(), id, &chosen, &form.reason, &me, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// The fields of the form that unfolds.
#[derive(Debug, Deserialize)]
pub struct UnfoldForm {
    op: Uuid,
    seen: Option<i64>,
}

/// `POST /incidents/{id}/unfold`
pub async fn unfold(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<UnfoldForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = fold::unfold(act.conn(), id, &me, now).await;
    end(&app, act, done, &me, id, form.seen).await
}
