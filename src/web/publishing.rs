//! Writing a runbook in the browser and publishing it. A text that is not accepted is shown again with what is wrong.

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Publishes,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{layout::Place, publishing::EditPage, resume::DifferenceView},
};
use crate::{
    catalog::{
        FILE_BYTES_MAX, parse_runbook,
        publish::{self, Outcome, PublishError, Text},
    },
    domain::{access::may_publish, difference::Difference, operator::Operator, permission::Permission},
    store::{
        self,
        publications::{self, Standing},
        runbooks,
    },
};

/// The longest body of a form with a runbook in it: every byte may be sent as three, and the other fields are short.
pub const TEXT_BYTES_MAX: usize = 3 * FILE_BYTES_MAX + 64 * 1024;

/// What a new runbook begins as.
const BEGINNING: &str = "runbook: name-in-addresses
title: What people call it
summary: When to use it and what it does.
start: suggest
steps:
  - id: look
    manual: Look at it, and say here what you found.
";

/// The fields of the form.
#[derive(Debug, Deserialize)]
pub struct TextForm {
    op: Uuid,
    #[serde(default)]
    yaml: String,
    #[serde(default)]
    note: String,
    base: Option<i32>,
}

/// `GET /runbooks/new`
pub async fn new_form(State(app): State<AppState>, Publishes(me): Publishes) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let page = edit_page(&app, &mut tx, &me, None, None).await?;
    Ok(Html(page.render()?).into_response())
}

/// `GET /runbooks/{slug}/edit`
pub async fn edit_form(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path(slug): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let standing = standing(&mut tx, &slug)
        .await?
        .ok_or_else(|| WebError::not_found("runbook"))?;
    let access = &standing.version.runbook.access;
    may_publish(&me, Some(access), access)
        .map_err(|denial| WebError::denied(Permission::Publish, &denial))?;
    let page = edit_page(&app, &mut tx, &me, Some(&slug), Some(&standing)).await?;
    Ok(Html(page.render()?).into_response())
}

/// What stands of the runbook of that name.
async fn standing(conn: &mut PgConnection, slug: &str) -> Result<Option<Standing>, WebError> {
    match runbooks::find_newest(conn, slug).await? {
        Some((version, _)) => Ok(publications::find_standing(conn, version.runbook_id).await?),
        None => Ok(None),
    }
}

/// The page as it is before anybody typed.
async fn edit_page(
    app: &AppState,
    conn: &mut PgConnection,
    me: &Operator,
    slug: Option<&str>,
    standing: Option<&Standing>,
) -> Result<EditPage, WebError> {
    let title = slug.map_or_else(|| "New runbook".to_owned(), |slug| format!("Change {slug}"));
    let frame = page::frame(app, conn, me, title, Place::Runbooks, app.clock.now()).await?;
    Ok(EditPage {
        frame,
        action: slug.map_or_else(
            || "/runbooks/new".to_owned(),
            |slug| format!("/runbooks/{slug}/edit"),
        ),
        slug: slug.map(str::to_owned),
        source: standing.map_or_else(|| BEGINNING.to_owned(), |standing| standing.source.clone()),
        note: String::new(),
        base: standing.map_or(0, |standing| standing.version.number),
        has_file: match slug {
            Some(slug) => publications::has_file(conn, slug).await?,
            None => false,
        },
        needed: standing.map_or(0, |standing| standing.version.runbook.review),
        faults: Vec::new(),
        refusal: None,
        difference: None,
    })
}

/// `POST /runbooks/new`
pub async fn make(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Form(form): Form<TextForm>,
) -> Result<Response, WebError> {
    publish(&app, &me, None, form).await
}

/// `POST /runbooks/{slug}/edit`
pub async fn change(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path(slug): Path<String>,
    Form(form): Form<TextForm>,
) -> Result<Response, WebError> {
    publish(&app, &me, Some(&slug), form).await
}

async fn publish(
    app: &AppState,
    me: &Operator,
    slug: Option<&str>,
    form: TextForm,
) -> Result<Response, WebError> {
    // A browser sends every line with a carriage return; what is kept is the text as a file has it.
    let source = form.yaml.replace("\r\n", "\n");
    let Some(mut act) = Act::begin(app, form.op, me).await? else {
        let slug = slug
            .map(str::to_owned)
            .or_else(|| Some(parse_runbook(&source).ok()?.runbook.slug));
        return Ok(
            see(slug.map_or_else(|| "/runbooks".to_owned(), |slug| format!("/runbooks/{slug}")))
                .into_response(),
        );
    };
    let text = Text {
        slug,
        source: &source,
        note: &form.note,
        base: form.base,
    };
    let now = act.now;
    let fault = match publish::publish(act.conn(), &text, me, now).await {
        Ok(Outcome::Published(version)) => {
            act.commit().await?;
            return Ok(see(format!("/runbooks/{}", version.runbook.slug)).into_response());
        }
        Ok(Outcome::Proposed(id)) => {
            act.commit().await?;
            let slug = parse_runbook(&source).map(|parsed| parsed.runbook.slug);
            let slug = slug.map_err(PublishError::Faulty)?;
            return Ok(see(format!("/runbooks/{slug}/proposals/{id}")).into_response());
        }
        Ok(Outcome::Unchanged(version)) => PublishError::Refused(format!(
            "version {} says exactly this already; nothing was published",
            version.number
        )),
        Err(PublishError::Store(error)) => return Err(error.into()),
        Err(fault) => fault,
    };
    drop(act);
    again(app, me, slug, &source, form, fault).await
}

/// The page once more, with what was typed and why it was not published.
async fn again(
    app: &AppState,
    me: &Operator,
    slug: Option<&str>,
    source: &str,
    form: TextForm,
    fault: PublishError,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let typed = parse_runbook(source).ok().map(|parsed| parsed.runbook);
    let named = slug.or_else(|| typed.as_ref().map(|runbook| runbook.slug.as_str()));
    let standing = match named {
        Some(slug) => standing(&mut tx, slug).await?,
        None => None,
    };
    let base = form.base.unwrap_or_default();
    let mut page = edit_page(app, &mut tx, me, slug, standing.as_ref()).await?;
    page.source = source.to_owned();
    page.note = form.note;
    let status = match &fault {
        PublishError::Moved(_) => StatusCode::CONFLICT,
        PublishError::Denied(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = match &fault {
        PublishError::Faulty(faults) => EditPage { base, ..page }.with_faults(faults),
        PublishError::Moved(message) => {
            page.difference = standing.zip(typed).map(|(standing, typed)| {
                let difference = Difference::between(&standing.version.runbook, &typed);
                DifferenceView::whole(&difference, &standing.source, source)
            });
            page.with_refusal(message)
        }
        PublishError::Denied(denial) => {
            let denied = WebError::denied(Permission::Publish, denial);
            EditPage { base, ..page }.with_refusal(&denied.to_string())
        }
        other => EditPage { base, ..page }.with_refusal(&other.to_string()),
    };
    Ok((status, Html(page.render()?)).into_response())
}
