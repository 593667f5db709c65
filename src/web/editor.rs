//! The page on which somebody writes a runbook: with the text that stands, with their draft, or with what they typed and
//! why it was not taken.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    checking::{check, publisher, standing},
    error::WebError,
    page,
    state::AppState,
    view::{
        diff::DiffView,
        layout::Place,
        parts::said,
        publishing::{Conflict, DraftNote, EditPage},
    },
};
use crate::{
    catalog::{parse_runbook, publish::PublishError},
    domain::{operator::Operator, permission::Permission, runbook::Runbook},
    store::{
        self, drafts,
        publications::{self, Standing},
        runbooks,
    },
};

/// What the person wants of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wish {
    /// That it comes into use.
    #[default]
    Publish,
    /// To look at what changes before.
    Review,
    /// To go on writing.
    Edit,
    /// To know what is wrong with it.
    Check,
    /// To find it here again.
    Save,
    /// To be rid of what was saved.
    Discard,
}

/// The fields of the form.
#[derive(Debug, Deserialize)]
pub struct TextForm {
    pub(super) op: Uuid,
    #[serde(default)]
    pub(super) yaml: String,
    #[serde(default)]
    pub(super) note: String,
    pub(super) base: Option<i32>,
    #[serde(default, rename = "do")]
    pub(super) wish: Wish,
}

/// Where somebody writes: which runbook, if it is one that exists.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) app: &'a AppState,
    pub(super) me: &'a Operator,
    pub(super) slug: Option<&'a str>,
}

impl Desk<'_> {
    pub(super) fn address(&self) -> String {
        self.slug.map_or_else(
            || "/runbooks/new".to_owned(),
            |slug| format!("/runbooks/{slug}/edit"),
        )
    }

    /// The name under which drafts are kept.
    pub(super) fn drawer(&self) -> &str {
        self.slug.unwrap_or_default()
    }

    /// The page before anybody typed, with a text or with the draft that was left.
    pub(super) async fn open(
        &self,
        conn: &mut PgConnection,
        source: &str,
        standing: Option<&Standing>,
        wants_draft: bool,
    ) -> Result<Response, WebError> {
        let draft = drafts::find(conn, self.me.id, self.drawer()).await?;
        let shown = draft.filter(|_| wants_draft);
        let source = shown.as_ref().map_or(source, |draft| &draft.source);
        let mut page = self.page(conn, source, standing, shown.is_some()).await?;
        if let Some(draft) = &shown {
            page.note.clone_from(&draft.note);
            page.base = draft.base;
        }
        Ok(Html(page.render()?).into_response())
    }

    /// The page with a text.
    async fn page(
        &self,
        conn: &mut PgConnection,
        source: &str,
        standing: Option<&Standing>,
        shows_draft: bool,
    ) -> Result<EditPage, WebError> {
        let (app, me) = (self.app, self.me);
        let now = app.clock.now();
        let title = self
            .slug
            .map_or_else(|| "New runbook".to_owned(), |slug| format!("Change {slug}"));
        let frame = page::frame(app, conn, me, title, Place::Runbooks, now).await?;
        let draft = drafts::find(conn, me.id, self.drawer()).await?;
        Ok(EditPage {
            frame,
            action: self.address(),
            slug: self.slug.map(str::to_owned),
            source: source.to_owned(),
            note: String::new(),
            base: number(standing),
            has_file: match self.slug {
                Some(slug) => publications::has_file(conn, slug).await?,
                None => false,
            },
            needed: standing.map_or(0, |standing| standing.version.runbook.review),
            checked: check(app, conn, source, &parse_runbook(source), standing).await?,
            refusal: None,
            conflict: None,
            draft: draft.map_or(DraftNote::None, |draft| {
                DraftNote::of(draft.saved_at, shows_draft, now)
            }),
            is_saved: true,
        })
    }

    /// The page once more, with what was typed, what is said of it, and why it was not published.
    pub(super) async fn again(
        &self,
        source: &str,
        form: TextForm,
        fault: Option<PublishError>,
    ) -> Result<Response, WebError> {
        let mut tx = store::begin_reading(&self.app.db).await?;
        let typed = parse_runbook(source).ok().map(|parsed| parsed.runbook);
        let named = self
            .slug
            .or_else(|| typed.as_ref().map(|runbook| runbook.slug.as_str()));
        let standing = match named {
            Some(slug) => standing(&mut tx, slug).await?,
            None => None,
        };
        let base = form.base.unwrap_or_default();
        let mut page = self.page(&mut tx, source, standing.as_ref(), false).await?;
        page.note = form.note;
        page.is_saved = false;
        if !matches!(fault, Some(PublishError::Moved(_))) {
            page.base = base;
        }
        let (status, page) = match fault {
            None => (StatusCode::OK, page),
            Some(PublishError::Moved(message)) => {
                if let Some(standing) = &standing {
                    let typed = (typed.as_ref(), source);
                    page.conflict = Some(conflict(&mut tx, standing, base, typed).await?);
                }
                (StatusCode::CONFLICT, page.with_refusal(&message))
            }
            Some(PublishError::Faulty(_)) => {
                let message = "nothing was published: errors have to be put right first";
                (StatusCode::UNPROCESSABLE_ENTITY, page.with_refusal(message))
            }
            Some(PublishError::Denied(denial)) => {
                let denied = WebError::denied(Permission::Publish, &denial).to_string();
                (StatusCode::FORBIDDEN, page.with_refusal(&denied))
            }
            Some(other) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                page.with_refusal(&other.to_string()),
            ),
        };
        Ok((status, Html(page.render()?)).into_response())
    }
}

/// Number of the version that stands, 0 for none.
pub(super) fn number(standing: Option<&Standing>) -> i32 {
    standing.map_or(0, |standing| standing.version.number)
}

/// What both did with the version they began from.
async fn conflict(
    conn: &mut PgConnection,
    standing: &Standing,
    base: i32,
    typed: (Option<&Runbook>, &str),
) -> Result<Conflict, WebError> {
    let theirs = (Some(&standing.version.runbook), standing.source.as_str());
    let found = runbooks::find_numbered(conn, &standing.version.runbook.slug, base).await?;
    let before = found.as_ref().map_or((None, ""), |(version, source)| {
        (Some(&version.runbook), source.as_str())
    });
    Ok(Conflict {
        who: said(&publisher(conn, standing).await?),
        number: standing.version.number,
        base: found.as_ref().map_or(0, |(version, _)| version.number),
        theirs: DiffView::between(before, theirs),
        yours: DiffView::between(before, typed),
        over: DiffView::between(theirs, typed),
    })
}
