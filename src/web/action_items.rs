//! Action items: the list of all of them, and the forms that make and close one.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Redirect},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{Reads, Responds},
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        action_item::{ItemsPage, ItemsRecord, Which, day},
        layout::Place,
        text,
    },
};
use crate::{
    domain::{
        access::may,
        action_item::ItemState,
        id::{ActionItemId, DrillId, IncidentId, OperatorId},
        operator::Operator,
        permission::Permission,
    },
    drill::items::{self, Draft},
    store::{
        self, StoreError,
        action_items::{self, Origin, Wanted},
        operators,
    },
};

/// Items on one page.
const ROWS_MAX: usize = 50;

/// Which items.
#[derive(Debug, Default, Deserialize)]
pub struct ItemsQuery {
    #[serde(default)]
    which: String,
    before: Option<i64>,
}

/// What a list of these asks for.
pub fn wanted(which: Which, me: OperatorId, now: DateTime<Utc>) -> Wanted {
    Wanted {
        owner: (which == Which::Mine).then_some(me),
        is_open: which != Which::All,
        due_before: (which == Which::Overdue).then(|| now.date_naive()),
        ..Wanted::default()
    }
}

/// `GET /action-items`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<ItemsQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let which = Which::named(&query.which);
    let mut tx = store::begin_reading(&app.db).await?;
    let asked = Wanted {
        before: query.before.map(ActionItemId),
        ..wanted(which, me.id, now)
    };
    let found = action_items::list(&mut tx, &asked, ROWS_MAX as i64 + 1).await?;
    let frame = page::frame(&app, &mut tx, &me, "Action items", Place::Drills, now).await?;
    let may_close = may(&me, Permission::Respond).is_ok();
    let is_older = query.before.is_some();
    let page = ItemsPage::of(frame, &found, ROWS_MAX, which, is_older, may_close, now);
    Ok(Html(page.render()?))
}

/// The items of one incident or drill with what its form needs.
pub async fn of(
    conn: &mut PgConnection,
    origin: Origin,
    proof: Option<IncidentId>,
    me: &Operator,
) -> Result<ItemsRecord, StoreError> {
    let asked = match origin {
        Origin::Incident(id) => Wanted {
            incident: Some(id),
            ..Wanted::default()
        },
        Origin::Drill(id) => Wanted {
            drill: Some(id),
            ..Wanted::default()
        },
    };
    Ok(ItemsRecord {
        items: action_items::list(conn, &asked, ROWS_MAX as i64).await?,
        people: match may(me, Permission::Respond) {
            Ok(_) => operators::list(conn).await?,
            Err(_) => Vec::new(),
        },
        proof,
    })
}

/// The fields of a new item.
#[derive(Debug, Deserialize)]
pub struct NewItemForm {
    op: Uuid,
    incident: Option<i64>,
    drill: Option<i64>,
    text: String,
    owner: i64,
    #[serde(default)]
    due: String,
    proof: Option<i64>,
}

/// What an item comes from; exactly one of the two.
pub fn origin(incident: Option<i64>, drill: Option<i64>) -> Result<Origin, WebError> {
    match (incident, drill) {
        (Some(id), None) => Ok(Origin::Incident(IncidentId(id))),
        (None, Some(id)) => Ok(Origin::Drill(DrillId(id))),
        _ => Err(WebError::unreadable("Name an incident or a drill, and not both.")),
    }
}

fn page_of(origin: Origin) -> String {
    match origin {
        Origin::Incident(id) => format!("/incidents/{id}/postmortem"),
        Origin::Drill(id) => format!("/drills/{id}/score"),
    }
}

/// `POST /action-items`
pub async fn make(
    State(app): State<AppState>,
    Responds(me): Responds,
    Form(form): Form<NewItemForm>,
) -> Result<Redirect, WebError> {
    let origin = origin(form.incident, form.drill)?;
    let back = page_of(origin);
    let next = |error: WebError| error.with_next(back.clone(), "Back");
    let draft = Draft {
        origin,
        text: form.text,
        owner: OperatorId(form.owner),
        due: day(&form.due).map_err(|fault| next(WebError::refused(fault)))?,
        proof: form.proof.map(IncidentId),
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    items::make(act.conn(), &draft, &me, now)
        .await
        .map_err(|error| next(error.into()))?;
    act.commit().await?;
    Ok(see(back))
}

/// How an item is closed by form.
#[derive(Debug, Deserialize)]
pub struct CloseForm {
    op: Uuid,
    state: String,
    #[serde(default)]
    remark: String,
    #[serde(default)]
    back: String,
}

/// `POST /action-items/{id}/close`
pub async fn close(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<i64>,
    Form(form): Form<CloseForm>,
) -> Result<Redirect, WebError> {
    // Only a page of ours is led back to.
    let back = match text::local_path(&form.back) {
        front if front == "/" => "/action-items".to_owned(),
        back => back,
    };
    let state = ItemState::named(&form.state)
        .ok_or_else(|| WebError::unreadable("The form does not say how the item is closed."))?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    let simulator = &app.conductor.simulator;
    items::close(
        act.conn(),
        simulator,
        ActionItemId(id),
        state,
        &form.remark,
        &me,
        now,
    )
    .await
    .map_err(|error| WebError::from(error).with_next(back.clone(), "Back"))?;
    act.commit().await?;
    Ok(see(back))
}
