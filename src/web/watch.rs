//! What an open page has not seen yet: one look at the database after each wake-up, and the parts that changed.

use std::time::Duration;

use askama::Template;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    approvals as approval_pages,
    error::WebError,
    incident as incident_page, incidents as list_page,
    live::{Scope, Watcher},
    page, runs as run_pages,
    steps::{self as step_pages, StepQuery},
    timeline as timeline_page,
    view::{
        decision::{DecisionForm, Others},
        event_row::Reader,
        gate::ApprovalFacts,
        incident::Part,
        lens::Lens,
        run::RunPart,
        search::Filters,
        standing::PausedPart,
        step_page::StepPart,
        timeline::{ChipsPart, PinsPart},
    },
};
use crate::{
    domain::{
        access::may,
        event::{Event, Recorded},
        id::{ApprovalId, IncidentId, RunId, StepId},
        permission::Permission,
        titles::Titles,
    },
    store::{self, StoreError, approvals, events, incident_list::Facets, preflights, runs, titles},
};

/// Events that are sent as rows; after more the page is read anew.
const ROWS_MAX: i64 = 200;

/// How long the counts around the list stand while its rows go on changing.
const COUNTED_FOR: Duration = Duration::from_secs(2);

/// The counts around an open list.
pub(super) struct Counted {
    at: Instant,
    facets: Facets,
    /// Whether rows have changed since.
    is_old: bool,
}

/// One part of a page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Patch {
    pub(super) target: &'static str,
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
    pub(super) async fn look(&mut self) -> Result<Found, WebError> {
        let found = match &self.scope.clone() {
            Scope::Incident { id, lens, rows } => self.look_at_incident(*id, lens, *rows).await,
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

    /// The newest event this browser has; on an incident's page also what else it shows has come to.
    pub(super) fn place(&self) -> (i64, i64) {
        let (seq, beside) = self.cursor.split_once('.').unwrap_or((&self.cursor, ""));
        (seq.parse().unwrap_or(0), beside.parse().unwrap_or(0))
    }

    /// Whether an incident has an event this browser has not seen: one cheap question a wake-up.
    async fn has_news(&self, incident: IncidentId) -> Result<bool, WebError> {
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        let news = events::list_after(&mut conn, incident, self.place().0, 1).await?;
        Ok(!news.is_empty())
    }

    async fn look_at_incident(&self, id: IncidentId, lens: &Lens, rows: bool) -> Result<Found, WebError> {
        let (seen, seen_beside) = self.place();
        if !self.has_news(id).await? {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            // A report is no event, and a run of a merged incident has its events there; people wait for both.
            if preflights::count_beside(&mut conn, id).await? == seen_beside {
                return Ok(Found::Nothing);
            }
        }
        let now = self.app.clock.now();
        let mut tx = store::begin_reading(&self.app.db).await?;
        let news = events::list_after(&mut tx, id, seen, ROWS_MAX).await?;
        if news.len() as i64 >= ROWS_MAX {
            return Ok(Found::TooMuch);
        }
        let standing = &self.app.standing;
        let found = incident_page::sections(&mut tx, standing, id, &self.me, lens, now).await?;
        let Some((sections, seq)) = found else {
            return Ok(Found::NotThere);
        };
        let pending = page::pending(&mut tx).await?;
        let beside = preflights::count_beside(&mut tx, id).await?;
        let titles = match news
            .iter()
            .any(|recorded| matches!(recorded.event, Event::Run(..)))
        {
            true => titles::list(&mut tx, id, timeline_page::RUNS_MAX).await?,
            false => Titles::default(),
        };
        drop(tx);
        let mut patches: Vec<Patch> = sections
            .rendered()?
            .into_iter()
            .map(|(target, html)| morph(target, html))
            .collect();
        if rows {
            let reader = Reader {
                incident: id,
                pinned: &[],
                titles: &titles,
                may_act: may(&self.me, Permission::Respond).is_ok(),
                now,
            };
            let mut html = String::new();
            let shown = |recorded: &&Recorded| lens.filter.shows(&recorded.event);
            for recorded in news.iter().rev().filter(shown) {
                html.push_str(&reader.row(recorded).render()?);
            }
            if !html.is_empty() {
                patches.push(Patch {
                    target: "events",
                    mode: Mode::Prepend,
                    html,
                });
            }
        }
        if let Part::Here(section) = sections.timeline {
            let timeline = section.timeline;
            let pins = PinsPart {
                timeline: timeline.clone(),
            };
            patches.push(morph("pins", pins.render()?));
            patches.push(morph("chips", ChipsPart { timeline }.render()?));
        }
        patches.push(self.waiting(&pending));
        Ok(Found::Patches {
            patches,
            cursor: incident_page::cursor(seq, beside),
        })
    }

    async fn look_at_approval(&self, id: ApprovalId) -> Result<Found, WebError> {
        let incident = {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            approvals::find(&mut conn, id)
                .await?
                .map(|approval| approval.incident)
        };
        let Some(incident) = incident else {
            return Ok(Found::NotThere);
        };
        if !self.has_news(incident).await? {
            return Ok(Found::Nothing);
        }
        let now = self.app.clock.now();
        let mut tx = store::begin_reading(&self.app.db).await?;
        let Some(record) = approval_pages::load(&mut tx, &self.app, id).await? else {
            return Ok(Found::NotThere);
        };
        let seq = record.run.incident.last_seq;
        let pending = page::pending(&mut tx).await?;
        drop(tx);
        let mut patches = vec![
            morph("facts", ApprovalFacts::of(&record, &self.me, now).render()?),
            morph("others", Others::of(&record, &self.me, seq, now).render()?),
            self.waiting(&pending),
        ];
        if DecisionForm::of(&record, &self.me, seq, now).is_none() {
            // Nothing can be decided any more: the form goes, even from under a finger.
            patches.push(morph("decision", String::new()));
        }
        Ok(Found::Patches {
            patches,
            cursor: seq.to_string(),
        })
    }

    async fn look_at_run(&self, id: RunId) -> Result<Found, WebError> {
        let incident = {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            runs::find(&mut conn, id).await?.map(|run| run.incident)
        };
        let Some(incident) = incident else {
            return Ok(Found::NotThere);
        };
        if !self.has_news(incident).await? {
            return Ok(Found::Nothing);
        }
        let now = self.app.clock.now();
        let mut tx = store::begin_reading(&self.app.db).await?;
        let Some(record) = run_pages::load(&mut tx, &self.app.standing, id).await? else {
            return Ok(Found::NotThere);
        };
        let part = RunPart::of(&record, &self.me, now);
        Ok(Found::Patches {
            patches: vec![morph("run", part.render()?)],
            cursor: record.incident.last_seq.to_string(),
        })
    }

    async fn look_at_step(&self, run: RunId, step: &StepId, query: &StepQuery) -> Result<Found, WebError> {
        let incident = {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            runs::find(&mut conn, run).await?.map(|run| run.incident)
        };
        let Some(incident) = incident else {
            return Ok(Found::NotThere);
        };
        if !self.has_news(incident).await? {
            return Ok(Found::Nothing);
        }
        let now = self.app.clock.now();
        let mut tx = store::begin_reading(&self.app.db).await?;
        let found = step_pages::load(&mut tx, &self.app.standing, run, step, query).await?;
        let Some((part, seq)) = found.and_then(|record| {
            let part = StepPart::of(&record, &self.me, now)?;
            Some((part, record.run.incident.last_seq))
        }) else {
            return Ok(Found::NotThere);
        };
        Ok(Found::Patches {
            patches: vec![morph("step", part.render()?)],
            cursor: seq.to_string(),
        })
    }

    async fn look_at_list(&mut self, query: Option<&list_page::ListQuery>) -> Result<Found, WebError> {
        let now = self.app.clock.now();
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        let is_owed = |counted: &Counted| counted.is_old && counted.at.elapsed() >= COUNTED_FOR;
        if list_page::cursor(&mut conn).await? == self.cursor && !self.counted.as_ref().is_some_and(is_owed) {
            return Ok(Found::Nothing);
        }
        drop(conn);
        let mut tx = store::begin_reading(&self.app.db).await?;
        let cursor = list_page::cursor(&mut tx).await?;
        let pending = page::pending(&mut tx).await?;
        let mut patches = vec![self.waiting(&pending)];
        match query {
            Some(query) => {
                let needs = list_page::needs(&mut tx, &self.me, now).await?;
                patches.push(morph("needs", needs.render()?));
                let mut asked = query.asked(&[]);
                let counted = self
                    .counted
                    .take()
                    .filter(|counted| counted.at.elapsed() < COUNTED_FOR);
                let (at, known) = counted.map_or((Instant::now(), None), |counted| {
                    (counted.at, Some(counted.facets))
                });
                let is_old = known.is_some();
                let listed = list_page::listed(&mut tx, &self.me, &mut asked, (&[], known), now).await?;
                patches.push(morph(
                    "filters",
                    Filters::of(&asked, listed.facets.as_ref()).render()?,
                ));
                patches.push(morph("list", listed.list.render()?));
                self.counted = listed.facets.map(|facets| Counted { at, facets, is_old });
            }
            None => {
                let inbox = approval_pages::read_inbox(&mut tx, &self.me, now).await?;
                patches.push(morph("inbox", inbox.render()?));
            }
        }
        Ok(Found::Patches { patches, cursor })
    }

    fn waiting(&self, pending: &[approvals::ApprovalLine]) -> Patch {
        Patch {
            target: "waiting",
            mode: Mode::Count,
            html: page::waiting(pending, &self.me).to_string(),
        }
    }
}

fn morph(target: &'static str, html: String) -> Patch {
    Patch {
        target,
        mode: Mode::Morph,
        html,
    }
}
