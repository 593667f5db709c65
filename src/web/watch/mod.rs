//! What an open page has not seen yet: one look at the database after each wake-up, and the parts that changed.

mod approval;
mod drill;
mod incident;
mod list;
mod step;

use std::borrow::Cow;

use askama::Template;
use serde::Serialize;

pub(super) use list::Counted;

use super::{
    audience::Asked,
    error::WebError,
    live::{Scope, Watcher},
    page,
    view::standing::PausedPart,
};
use crate::{
    domain::id::IncidentId,
    store::{StoreError, approvals, cursors::Cursor, events},
};

/// One part of a page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Patch {
    pub(super) target: Cow<'static, str>,
    pub(super) mode: Mode,
    pub(super) html: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// The part becomes this.
    Morph,
    /// These rows come on top.
    Prepend,
    /// The part's text becomes this; it is hidden at "0".
    Count,
}

/// What a look found.
pub(super) enum Found {
    Nothing,
    Patches { patches: Vec<Patch>, cursor: String },
    TooMuch,
    NotThere,
}

impl Watcher {
    /// Whether there is news, and which.
    pub(super) async fn look(&mut self, asked: Asked) -> Result<Found, WebError> {
        let only_prints = std::mem::take(&mut self.only_prints);
        let found = match &self.scope.clone() {
            Scope::Incident { audience, .. } if only_prints => {
                self.look_at_tails(audience.incident, None).await
            }
            Scope::Run(id) if only_prints => self.look_at_tails_of(*id).await,
            Scope::Step(run, step, query) if only_prints => self.look_at_output(*run, step, query).await,
            Scope::Incident { audience, lens, rows } => {
                self.look_at_incident(audience, lens, *rows, asked).await
            }
            Scope::Drill(id) => self.look_at_drill(*id).await,
            Scope::Approval(id) => self.look_at_approval(*id).await,
            Scope::Run(id) => self.look_at_run(*id).await,
            Scope::Step(run, step, query) => self.look_at_step(*run, step, query).await,
            Scope::List(query) => self.look_at_list(Some(query)).await,
            Scope::Inbox => self.look_at_list(None).await,
        }?;
        self.with_banner(found)
    }

    /// Adds the banner of a pause, or takes it away: it stands on every page, whatever else is new there.
    fn with_banner(&mut self, found: Found) -> Result<Found, WebError> {
        let pause = self.app.standing.pause();
        if pause.is_none() && !self.shows_pause {
            return Ok(found);
        }
        self.shows_pause = true;
        let now = self.app.clock.now();
        let html = match &pause {
            Some(pause) => PausedPart::of(pause, now).render()?,
            None => String::new(),
        };
        let banner = morph("paused", html);
        Ok(match found {
            Found::Nothing => Found::Patches {
                patches: vec![banner],
                cursor: self.cursor.clone(),
            },
            Found::Patches { mut patches, cursor } => {
                patches.insert(0, banner);
                Found::Patches { patches, cursor }
            }
            other => other,
        })
    }

    /// Whether an incident has an event this browser has not seen: one cheap question a wake-up.
    async fn has_news(&self, incident: IncidentId) -> Result<bool, WebError> {
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        let seen = Cursor::read(&self.cursor).seq;
        let news = events::list_after(&mut conn, incident, seen, 1).await?;
        Ok(!news.is_empty())
    }

    fn waiting(&self, pending: &[approvals::ApprovalLine]) -> Patch {
        Patch {
            target: "waiting".into(),
            mode: Mode::Count,
            html: page::waiting(pending, &self.me).to_string(),
        }
    }
}

fn morph(target: impl Into<Cow<'static, str>>, html: String) -> Patch {
    Patch {
        target: target.into(),
        mode: Mode::Morph,
        html,
    }
}
