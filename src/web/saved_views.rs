//! Views of the list of incidents that people keep, by form.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Reads,
    error::WebError,
    extract::Path,
    state::AppState,
    view::search::Asked,
};
use crate::{domain::search::QUERY_CHARS_MAX, store::saved_views};

/// The longest name of a view, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The fields of these forms; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct ViewForm {
    op: Uuid,
    #[serde(default)]
    name: String,
    #[serde(default)]
    q: String,
    /// `yes` when everybody is to see it.
    #[serde(default)]
    shared: String,
    /// `yes` when the list is to open with it.
    #[serde(default)]
    opening: String,
}

/// `POST /incidents/views`: keeps what is searched for under a name.
pub async fn keep(
    State(app): State<AppState>,
    Reads(me): Reads,
    Form(form): Form<ViewForm>,
) -> Result<Redirect, WebError> {
    let asked = Asked::typed(&form.q);
    let back = asked.address();
    let refuse = |message: &str| Err(WebError::refused(message).with_next(&back, "Back to the list"));
    let name = form.name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return refuse("A view needs a name of at most 60 characters.");
    }
    if !asked.faults.is_empty() || form.q.chars().count() > QUERY_CHARS_MAX {
        return refuse("A term of the search cannot be read; mend it first, then keep the view.");
    }
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    let query = if asked.text.is_empty() {
        "state:all"
    } else {
        &asked.text
    };
    let kept = saved_views::put(act.conn(), me.id, name, query, form.shared == "yes", now).await?;
    let Some(id) = kept else {
        return refuse("You keep as many views as one person can; remove one first.");
    };
    if form.opening == "yes" {
        saved_views::set_default(act.conn(), me.id, id).await?;
    }
    act.commit().await?;
    Ok(see(back))
}

/// `POST /incidents/views/{id}/remove`
pub async fn remove(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<i64>,
    Form(form): Form<ViewForm>,
) -> Result<Redirect, WebError> {
    if let Some(mut act) = Act::begin(&app, form.op, &me).await? {
        if !saved_views::remove(act.conn(), me.id, id).await? {
            return Err(WebError::not_found("view of yours"));
        }
        act.commit().await?;
    }
    Ok(see("/incidents"))
}

/// `POST /incidents/views/{id}/open-with`: the list opens with it from now on.
pub async fn open_with(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<i64>,
    Form(form): Form<ViewForm>,
) -> Result<Redirect, WebError> {
    if let Some(mut act) = Act::begin(&app, form.op, &me).await? {
        if !saved_views::set_default(act.conn(), me.id, id).await? {
            return Err(WebError::not_found("view"));
        }
        act.commit().await?;
    }
    Ok(see("/incidents"))
}

/// `POST /incidents/views/open-with-open`: the list opens with what is open.
pub async fn open_with_open(
    State(app): State<AppState>,
    Reads(me): Reads,
    Form(form): Form<ViewForm>,
) -> Result<Redirect, WebError> {
    if let Some(mut act) = Act::begin(&app, form.op, &me).await? {
        saved_views::clear_default(act.conn(), me.id).await?;
        act.commit().await?;
    }
    Ok(see("/incidents"))
}
