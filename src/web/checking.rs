//! Checking the text of a runbook without keeping it: for the editor's pages, and for its script while somebody types.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, IntoResponse, Response},
};
use chrono::TimeDelta;
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    caller::Publishes,
    error::WebError,
    extract::Path,
    state::AppState,
    view::checked::{CheckedPart, ReplayPart},
};
use crate::{
    catalog::{Fault, Parsed, parse_runbook},
    matching::replay::replay,
    store::{
        self, StoreError, past_alerts,
        publications::{self, Standing},
        runbooks,
    },
};

/// How far back alerts are tried on a new trigger, in days.
const REPLAY_DAYS: i64 = 90;
/// Alerts that it is tried on at most, the newest ones.
const REPLAY_ALERTS_MAX: i64 = 2000;

/// What stands of the runbook of that name.
pub async fn standing(conn: &mut PgConnection, slug: &str) -> Result<Option<Standing>, StoreError> {
    match runbooks::find_newest(conn, slug).await? {
        Some((version, _)) => publications::find_standing(conn, version.runbook_id).await,
        None => Ok(None),
    }
}

/// Who published what stands, in words.
pub async fn publisher(conn: &mut PgConnection, standing: &Standing) -> Result<String, StoreError> {
    let found = publications::find_publisher(conn, standing.version.id).await?;
    Ok(found.map_or_else(|| "The runbooks folder".to_owned(), |publisher| publisher.name))
}

/// What is said of a text that was read like this, compared with what stands.
pub async fn check(
    app: &AppState,
    conn: &mut PgConnection,
    source: &str,
    read: &Result<Parsed, Vec<Fault>>,
    standing: Option<&Standing>,
) -> Result<CheckedPart, StoreError> {
    let targets = Arc::clone(&app.rehearser.targets.borrow());
    let mut part = CheckedPart::of(source, read, &targets);
    let Ok(parsed) = read else { return Ok(part) };
    let new = &parsed.runbook;
    let old = standing.map(|standing| &standing.version.runbook);
    part.replay = Some(match standing {
        Some(standing) if standing.version.runbook.triggers == new.triggers => {
            ReplayPart::same(standing.version.number)
        }
        _ => {
            let now = app.clock.now();
            let since = now - TimeDelta::days(REPLAY_DAYS);
            let past = past_alerts::list(conn, since, REPLAY_ALERTS_MAX).await?;
            let is_cut = past.len() as i64 == REPLAY_ALERTS_MAX;
            ReplayPart::of(&replay(old, new, &past), REPLAY_DAYS, is_cut, now)
        }
    });
    Ok(part)
}

/// A text as its writer has it now.
#[derive(Debug, Deserialize)]
pub struct CheckForm {
    #[serde(default)]
    yaml: String,
    #[serde(default)]
    base: i32,
}

/// `POST /runbooks/new/check`: the part of the page that says what is wrong. Nothing is kept.
pub async fn of_new(
    State(app): State<AppState>,
    Publishes(_): Publishes,
    Form(form): Form<CheckForm>,
) -> Result<Response, WebError> {
    answer(&app, None, form).await
}

/// `POST /runbooks/{slug}/edit/check`: the same for a change.
pub async fn of_change(
    State(app): State<AppState>,
    Publishes(_): Publishes,
    Path(slug): Path<String>,
    Form(form): Form<CheckForm>,
) -> Result<Response, WebError> {
    answer(&app, Some(&slug), form).await
}

async fn answer(app: &AppState, slug: Option<&str>, form: CheckForm) -> Result<Response, WebError> {
    let source = form.yaml.replace("\r\n", "\n");
    let read = parse_runbook(&source);
    let mut tx = store::begin_reading(&app.db).await?;
    let standing = match slug {
        Some(slug) => standing(&mut tx, slug).await?,
        None => None,
    };
    let mut part = check(app, &mut tx, &source, &read, standing.as_ref()).await?;
    if let Some(standing) = standing.filter(|standing| standing.version.number != form.base) {
        let who = publisher(&mut tx, &standing).await?;
        part.overtaken = Some(format!(
            "{who} published v{} while you edit. Your text is as you left it; you will see both before you publish.",
            standing.version.number
        ));
    }
    Ok(Html(part.render()?).into_response())
}
