//! Writing a runbook in the browser: the text, checked as often as one likes; a draft of it; the last look; and
//! publishing it. A text that is not accepted is shown again with what is wrong.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    act::{Act, see},
    caller::Publishes,
    checking::{check, standing},
    editor::{Desk, TextForm, Wish, number},
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    versions,
    view::{coverage::LossPart, diff::DiffView, layout::Place, parts::said, publishing::PublishPage},
};
use crate::{
    catalog::{
        FILE_BYTES_MAX, parse_runbook,
        publish::{self, NOTE_CHARS_MAX, Outcome, PublishError, Text},
    },
    domain::{access::may_publish, permission::Permission, proposal::reviewers},
    store::{
        self, StoreError,
        drafts::{self, Draft},
        publications, runbooks,
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
/// Name and text of the runbook that people may begin with instead.
const SAMPLE: (&str, &str) = (
    "web-service-down",
    include_str!("../../runbooks/web-service-down.yaml"),
);

/// What the page begins with.
#[derive(Debug, Default, Deserialize)]
pub struct EditQuery {
    /// The draft that was left, when given.
    draft: Option<String>,
    /// The sample of that name, for a new one.
    #[serde(default)]
    sample: String,
}

/// `GET /runbooks/new`
pub async fn new_form(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Query(query): Query<EditQuery>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let beginning = if query.sample == SAMPLE.0 {
        SAMPLE.1
    } else {
        BEGINNING
    };
    let desk = Desk {
        app: &app,
        me: &me,
        slug: None,
    };
    desk.open(&mut tx, beginning, None, query.draft.is_some()).await
}

/// `GET /runbooks/{slug}/edit`
pub async fn edit_form(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path(slug): Path<String>,
    Query(query): Query<EditQuery>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let standing = standing(&mut tx, &slug)
        .await?
        .ok_or_else(|| WebError::not_found("runbook"))?;
    let access = &standing.version.runbook.access;
    may_publish(&me, Some(access), access)
        .map_err(|denial| WebError::denied(Permission::Publish, &denial))?;
    let desk = Desk {
        app: &app,
        me: &me,
        slug: Some(&slug),
    };
    let source = &standing.source;
    desk.open(&mut tx, source, Some(&standing), query.draft.is_some())
        .await
}

/// `POST /runbooks/new`
pub async fn make(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Form(form): Form<TextForm>,
) -> Result<Response, WebError> {
    let desk = Desk {
        app: &app,
        me: &me,
        slug: None,
    };
    desk.answer(form).await
}

/// `POST /runbooks/{slug}/edit`
pub async fn change(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path(slug): Path<String>,
    Form(form): Form<TextForm>,
) -> Result<Response, WebError> {
    let desk = Desk {
        app: &app,
        me: &me,
        slug: Some(&slug),
    };
    desk.answer(form).await
}

impl Desk<'_> {
    async fn answer(&self, form: TextForm) -> Result<Response, WebError> {
        // A browser sends every line with a carriage return; what is kept is the text as a file has it.
        let source = form.yaml.replace("\r\n", "\n");
        match form.wish {
            Wish::Publish => self.publish(&source, form).await,
            Wish::Review => self.review(&source, form).await,
            Wish::Edit | Wish::Check => self.again(&source, form, None).await,
            Wish::Save => self.save(&source, form).await,
            Wish::Discard => {
                let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
                drafts::remove(&mut conn, self.me.id, self.drawer()).await?;
                Ok(see(self.address()).into_response())
            }
        }
    }

    /// Keeps a draft. Doing it twice comes to the same, so it asks for no operation of its own.
    async fn save(&self, source: &str, form: TextForm) -> Result<Response, WebError> {
        if source.len() > FILE_BYTES_MAX || form.note.chars().count() > NOTE_CHARS_MAX {
            let long = PublishError::Refused("this is too long to be kept".to_owned());
            return self.again(source, form, Some(long)).await;
        }
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        if let Some(slug) = self.slug {
            let found = runbooks::find_newest(&mut conn, slug).await?;
            found.ok_or_else(|| WebError::not_found("runbook"))?;
        }
        let draft = Draft {
            source: source.to_owned(),
            note: form.note,
            base: form.base.unwrap_or_default().max(0),
            saved_at: self.app.clock.now(),
        };
        drafts::save(&mut conn, self.me.id, self.drawer(), &draft).await?;
        Ok(see(format!("{}?draft=1", self.address())).into_response())
    }

    /// The last look: what changes, what it would match, what nobody has practised. Errors lead back to the text, and so
    /// does a version that somebody else published meanwhile.
    async fn review(&self, source: &str, form: TextForm) -> Result<Response, WebError> {
        let read = parse_runbook(source);
        let parsed = match &read {
            Err(faults) => {
                let fault = PublishError::Faulty(faults.clone());
                return self.again(source, form, Some(fault)).await;
            }
            Ok(parsed) => parsed,
        };
        let mut tx = store::begin_reading(&self.app.db).await?;
        let standing = standing(&mut tx, self.slug.unwrap_or(&parsed.runbook.slug)).await?;
        let stands = number(standing.as_ref());
        let fault = match &standing {
            _ if form.base.is_some_and(|base| base != stands) => {
                Some(PublishError::Moved(publish::overtaken(stands)))
            }
            Some(standing) if standing.is_current && standing.source == source => {
                Some(PublishError::Refused(unchanged(stands)))
            }
            _ => None,
        };
        if fault.is_some() {
            drop(tx);
            return self.again(source, form, fault).await;
        }
        let old = standing.as_ref().map(|standing| &standing.version.runbook);
        let before = standing.as_ref().map_or("", |standing| standing.source.as_str());
        let title = format!("Publish {}", parsed.runbook.slug);
        let now = self.app.clock.now();
        let old_version = standing.as_ref().map(|standing| &standing.version);
        let loss = versions::between(&mut tx, old_version, &parsed.runbook).await?;
        let page = PublishPage {
            frame: page::frame(self.app, &mut tx, self.me, title, Place::Runbooks, now).await?,
            slug: self.slug.map(str::to_owned),
            title: said(&parsed.runbook.title),
            action: self.address(),
            source: source.to_owned(),
            note: form.note,
            base: stands,
            has_file: publications::has_file(&mut tx, &parsed.runbook.slug).await?,
            needed: reviewers(old, &parsed.runbook),
            difference: DiffView::between((old, before), (Some(&parsed.runbook), source)),
            loss: LossPart::of(&loss, now),
            checked: check(self.app, &mut tx, source, &read, standing.as_ref()).await?,
        };
        Ok(Html(page.render()?).into_response())
    }

    async fn publish(&self, source: &str, form: TextForm) -> Result<Response, WebError> {
        let Some(mut act) = Act::begin(self.app, form.op, self.me).await? else {
            let slug = self
                .slug
                .map(str::to_owned)
                .or_else(|| Some(parse_runbook(source).ok()?.runbook.slug));
            let page = slug.map_or_else(|| "/runbooks".to_owned(), |slug| format!("/runbooks/{slug}"));
            return Ok(see(page).into_response());
        };
        let text = Text {
            slug: self.slug,
            source,
            note: &form.note,
            base: form.base,
        };
        let now = act.now;
        let fault = match publish::publish(act.conn(), &text, self.me, now).await {
            Ok(Outcome::Published(version)) => {
                drafts::remove(act.conn(), self.me.id, self.drawer()).await?;
                act.commit().await?;
                return Ok(see(format!("/runbooks/{}", version.runbook.slug)).into_response());
            }
            Ok(Outcome::Proposed(id)) => {
                drafts::remove(act.conn(), self.me.id, self.drawer()).await?;
                act.commit().await?;
                let slug = parse_runbook(source).map(|parsed| parsed.runbook.slug);
                let slug = slug.map_err(PublishError::Faulty)?;
                return Ok(see(format!("/runbooks/{slug}/proposals/{id}")).into_response());
            }
            Ok(Outcome::Unchanged(version)) => PublishError::Refused(unchanged(version.number)),
            Err(PublishError::Store(error)) => return Err(error.into()),
            Err(fault) => fault,
        };
        drop(act);
        self.again(source, form, Some(fault)).await
    }
}

fn unchanged(number: i32) -> String {
    format!("version {number} says exactly this already; nothing was published")
}
