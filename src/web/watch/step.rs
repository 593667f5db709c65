//! The pages of a run and of its steps, and what programs write while they run.

use askama::Template;

use super::{Found, Mode, Patch, morph};
use crate::{
    domain::id::{IncidentId, RunId, StepId},
    store::{self, StoreError, cursors::Cursor, outputs, runs},
    web::{
        error::WebError,
        live::Watcher,
        output, runs as run_pages,
        steps::{self as step_pages, StepQuery},
        view::{
            log::{Foot, LogFoot, LogLines, LogPane, LogTop},
            run::RunPart,
            step,
            step_page::{self, StepPart, StepRest},
            tail::TailPart,
        },
    },
};

impl Watcher {
    pub(super) async fn look_at_run(&mut self, id: RunId) -> Result<Found, WebError> {
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
        self.prints = true;
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

    /// The attempt this browser shows, and the last line it has of it.
    fn printed(&self) -> (i32, i64) {
        let mut parts = self.cursor.split('.').skip(1);
        let mut number = || {
            parts
                .next()
                .and_then(|part| part.parse::<i64>().ok())
                .unwrap_or(0)
        };
        (number() as i32, number())
    }

    pub(super) async fn look_at_step(
        &mut self,
        run: RunId,
        step: &StepId,
        query: &StepQuery,
    ) -> Result<Found, WebError> {
        let incident = {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            runs::find(&mut conn, run).await?.map(|run| run.incident)
        };
        let Some(incident) = incident else {
            return Ok(Found::NotThere);
        };
        if !self.has_news(incident).await? {
            return self.look_at_output(run, step, query).await;
        }
        let now = self.app.clock.now();
        let mut tx = store::begin_reading(&self.app.db).await?;
        let found = step_pages::load(&mut tx, &self.app.standing, run, step, query).await?;
        drop(tx);
        let Some((record, part)) = found.and_then(|record| {
            let part = StepPart::of(&record, &self.me, now)?;
            Some((record, part))
        }) else {
            return Ok(Found::NotThere);
        };
        let mut patches = vec![
            morph("rest", StepRest::of(&record, &part, now).render()?),
            morph("step", part.render()?),
        ];
        self.prints = StepPart::is_written(&record);
        if let Some(part) = step_page::log(&record, now) {
            let (attempt, line) = self.printed();
            match part.log.attempt == attempt && part.log.find.is_empty() {
                // The lines that are there stay: somebody reads them.
                true => {
                    patches.extend(around(&part.log)?);
                    patches.extend(after(line, part.log)?);
                }
                false => patches.push(morph("output", part.render()?)),
            }
        }
        Ok(Found::Patches {
            patches,
            cursor: step_pages::cursor(&record),
        })
    }

    pub(super) async fn look_at_tails_of(&mut self, run: RunId) -> Result<Found, WebError> {
        let found = {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            runs::find(&mut conn, run).await?
        };
        match found {
            Some(found) => self.look_at_tails(found.incident, Some(run)).await,
            None => Ok(Found::NotThere),
        }
    }

    /// What the steps that are at work have written last. Once none is, it is not asked again until something happens.
    pub(super) async fn look_at_tails(
        &mut self,
        incident: IncidentId,
        run: Option<RunId>,
    ) -> Result<Found, WebError> {
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        let tails = outputs::tails(&mut conn, incident, run).await?;
        drop(conn);
        self.prints = !tails.is_empty();
        let patches: Vec<Patch> = tails
            .iter()
            .map(|tail| Ok(morph(TailPart::target(tail), TailPart::of(tail).render()?)))
            .collect::<Result<_, WebError>>()?;
        Ok(match patches.is_empty() {
            true => Found::Nothing,
            false => Found::Patches {
                patches,
                cursor: self.cursor.clone(),
            },
        })
    }

    /// What an attempt has written since: one question of one row while it writes nothing.
    pub(super) async fn look_at_output(
        &mut self,
        run: RunId,
        step: &StepId,
        query: &StepQuery,
    ) -> Result<Found, WebError> {
        let (attempt, line) = self.printed();
        let asked = query.asked();
        if !asked.follows() || attempt == 0 {
            return Ok(Found::Nothing);
        }
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        let Some(window) = output::since(&mut conn, run, step, attempt, line).await? else {
            return Ok(Found::Nothing);
        };
        drop(conn);
        let log = LogPane::of(&window, Foot::Going, &asked, &step::href(run, step), attempt);
        let cursor = format!("{}.{attempt}.{}", Cursor::read(&self.cursor).seq, window.total);
        let mut patches = match line {
            // Until now it said that there is nothing.
            0 => around(&log)?,
            _ => Vec::new(),
        };
        patches.extend(after(line, log)?);
        Ok(Found::Patches { patches, cursor })
    }
}

/// What stands around the lines of an output.
fn around(log: &LogPane) -> Result<Vec<Patch>, WebError> {
    let log = || log.clone();
    Ok(vec![
        morph("log-top", LogTop { log: log() }.render()?),
        morph("log-foot", LogFoot { log: log() }.render()?),
    ])
}

/// The lines that came after that one, where the end is looked at; the page's script takes them from there.
fn after(line: i64, mut log: LogPane) -> Result<Option<Patch>, WebError> {
    log.lines.retain(|one| one.number as i64 > line);
    if log.lines.is_empty() || !log.follows {
        return Ok(None);
    }
    Ok(Some(Patch {
        target: "log-news".into(),
        mode: Mode::Prepend,
        html: LogLines { log }.render()?,
    }))
}
