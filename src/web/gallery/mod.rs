//! Every page in every state it can be in, rendered from fixtures: for those who build Muster to look at, and for the
//! browser checks of `tests/it/bars` to walk through. Only development builds have it.
//!
//! Each room of pages keeps its specimens in a file of the same name here. A specimen needs no database.

mod drills;
mod editor;
mod gates;
mod incident;
mod incidents;
mod items;
mod people;
mod rooms;
mod runbooks;
mod runs;
mod sign_in;
mod story;

use askama::Template;
use axum::{extract::State, response::Html};
use chrono::{DateTime, Utc};

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    state::AppState,
    view::layout::{Frame, Place},
};
use crate::domain::{
    id::OperatorId,
    operator::{Operator, Role, Via},
};

/// One page in one state.
pub struct Specimen {
    /// The page, as its template's folder is called.
    pub page: &'static str,
    /// The state, in a word or two that may stand in an address: `full`, `empty`, `filtered`, `fault`, `degraded`, …
    pub state: &'static str,
    /// Renders it.
    pub html: fn() -> askama::Result<String>,
}

/// All of them, in the order of the navigation.
pub fn specimens() -> Vec<Specimen> {
    let mut all = Vec::new();
    all.extend(rooms::specimens());
    all.extend(people::specimens());
    all.extend(runbooks::specimens());
    all.extend(editor::specimens());
    all.extend(drills::specimens());
    all.extend(items::specimens());
    all.extend(incident::specimens());
    all.extend(sign_in::specimens());
    all.extend(gates::specimens());
    all.extend(runs::specimens());
    all.extend(incidents::specimens());
    all
}

/// When every specimen is made: 14 March 2026, 03:14:07 UTC.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_773_458_047, 0).unwrap_or_default()
}

/// Who looks at it: Ana, an approver.
pub fn operator() -> Operator {
    Operator {
        id: OperatorId(1),
        name: "Ana".to_owned(),
        role: Role::Approver,
        teams: Vec::new(),
        via: Via::Session,
    }
}

/// The frame of a page of hers.
pub fn frame(title: &str, place: Place) -> Frame {
    let mut frame = Frame::bare(title, Some(&operator()), now());
    frame.place = place;
    frame
}

#[derive(Template)]
#[template(path = "gallery/list.html")]
struct Gallery {
    frame: Frame,
    specimens: Vec<Specimen>,
}

/// `GET /dev/gallery`
pub async fn list(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let gallery = Gallery {
        frame: Frame::bare("Gallery", Some(&me), app.clock.now()),
        specimens: specimens(),
    };
    Ok(Html(gallery.render()?))
}

/// `GET /dev/gallery/{page}/{state}`
pub async fn show(
    State(_): State<AppState>,
    _: Reads,
    Path((page, state)): Path<(String, String)>,
) -> Result<Html<String>, WebError> {
    let specimen = specimens()
        .into_iter()
        .find(|specimen| specimen.page == page && specimen.state == state)
        .ok_or_else(|| WebError::not_found("specimen"))?;
    Ok(Html((specimen.html)()?))
}
