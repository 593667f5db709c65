//! The pages that ask before something is done to many incidents: resolving them, giving them to somebody, merging them.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    bulk::Ticked as Chosen,
    caller::Responds,
    error::WebError,
    page,
    state::AppState,
    view::{
        bulk::{AssignPage, MergeManyPage, ResolvePage, Ticked},
        incidents::BULK_MAX,
        layout::Place,
        parts::said,
    },
};
use crate::{
    domain::{access::may, operator::Operator, permission::Permission, search::Filter},
    store::{
        self, StoreError,
        incident_list::{self, Line, Names, Wanted},
        operators,
    },
};

/// What was ticked, with the lines it is made from.
async fn ticked(
    conn: &mut PgConnection,
    me: &Operator,
    fields: Vec<(String, String)>,
    now: DateTime<Utc>,
) -> Result<(Ticked, Vec<Line>), StoreError> {
    let chosen = Chosen::of(fields);
    let ids = chosen.incidents(conn, me).await?;
    let filter = Filter {
        incidents: ids.iter().map(|(id, _)| *id).collect(),
        ..Filter::default()
    };
    let wanted = Wanted::of(&filter, me.id, &Names::default());
    let lines = match ids.is_empty() {
        true => Vec::new(),
        false => incident_list::page(conn, &wanted, i64::MAX, BULK_MAX).await?,
    };
    let back = chosen.asked().address();
    let ticked = Ticked::of(&lines, chosen.place(), back, now);
    Ok((ticked, lines))
}

/// `GET /incidents/resolve`
pub async fn resolve(
    State(app): State<AppState>,
    Responds(me): Responds,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (ticked, _) = ticked(&mut tx, &me, fields, now).await?;
    let frame = page::frame(&app, &mut tx, &me, "Resolve many", Place::Incidents, now).await?;
    Ok(Html(ResolvePage { frame, ticked }.render()?))
}

/// `GET /incidents/assign`
pub async fn assign(
    State(app): State<AppState>,
    Responds(me): Responds,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (ticked, _) = ticked(&mut tx, &me, fields, now).await?;
    let people = operators::list(&mut tx).await?;
    let people = people
        .iter()
        .filter(|person| may(person, Permission::Respond).is_ok())
        .map(|person| (person.id.0, said(&person.name), person.id == me.id))
        .collect();
    let frame = page::frame(&app, &mut tx, &me, "Assign many", Place::Incidents, now).await?;
    let page = AssignPage {
        frame,
        ticked,
        people,
    };
    Ok(Html(page.render()?))
}

/// `GET /incidents/merge`
pub async fn merge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (ticked, lines) = ticked(&mut tx, &me, fields, now).await?;
    let frame = page::frame(&app, &mut tx, &me, "Merge many", Place::Incidents, now).await?;
    Ok(Html(MergeManyPage::of(frame, ticked, &lines).render()?))
}
