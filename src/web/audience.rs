//! Everybody who has an incident's page open looks at the database together: however many they are, a change costs one
//! look, and each is shown what they may see of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::time::Instant;

use super::{
    error::WebError, incident as incident_page, page, state::AppState, timeline,
    view::incident::IncidentRecord,
};
use crate::{
    domain::{event::Recorded, id::IncidentId},
    store::{
        self, StoreError, approvals,
        cursors::{self, Cursor},
        events, titles,
    },
};

/// Events that are sent as rows; after more a page is read anew.
pub(super) const ROWS_MAX: i64 = 200;

/// The audiences of this process.
#[derive(Clone, Debug, Default)]
pub struct Audiences(Arc<Mutex<HashMap<IncidentId, Weak<Audience>>>>);

impl Audiences {
    /// Takes a seat. The audience is there as long as somebody holds one.
    pub(super) fn join(&self, incident: IncidentId) -> Arc<Audience> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(audience) = all.get(&incident).and_then(Weak::upgrade) {
            return audience;
        }
        all.retain(|_, audience| audience.strong_count() > 0);
        let audience = Arc::new(Audience {
            incident,
            latest: tokio::sync::Mutex::default(),
        });
        all.insert(incident, Arc::downgrade(&audience));
        audience
    }
}

/// Those who have one incident's page open.
#[derive(Debug)]
pub(super) struct Audience {
    pub(super) incident: IncidentId,
    latest: tokio::sync::Mutex<Option<Look>>,
}

/// Why somebody looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// They were told of that many changes.
    pub told: u64,
    /// An earlier look will not do, told or not.
    pub since: Instant,
}

impl Asked {
    /// Whether what that look saw is enough for one who stands there: a page that was read after it may know more.
    fn is_met_by(self, look: &Look, from: Option<Cursor>) -> bool {
        let is_behind = match (look.seen, from) {
            (Seen::At(there), Some(from)) => there.seq < from.seq,
            _ => false,
        };
        look.told >= self.told && look.begun >= self.since && !is_behind
    }
}

/// One look, as it ended.
#[derive(Clone, Debug)]
struct Look {
    /// How many changes had been told before it began.
    told: u64,
    begun: Instant,
    seen: Seen,
    /// The last scene that was read, maybe by an earlier look.
    scene: Option<Arc<Scene>>,
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    At(Cursor),
    /// There is no such incident.
    NotThere,
    /// The database did not answer.
    Failed,
}

/// What a look is for one who asked.
#[derive(Debug)]
pub(super) enum News {
    Nothing,
    Scene(Arc<Scene>),
    NotThere,
}

/// What an incident's page shows, whoever looks at it, all of one moment.
#[derive(Debug)]
pub(super) struct Scene {
    /// How far it has come.
    pub cursor: Cursor,
    /// All but the rows of its timeline.
    pub record: IncidentRecord,
    /// The newest events in order, at most [`ROWS_MAX`].
    pub recent: Vec<Recorded>,
    /// What the newest events say of notes.
    pub corrected: timeline::Corrected,
    /// Every decision that waits, of any incident.
    pub pending: Vec<approvals::ApprovalLine>,
}

impl Scene {
    /// The events after `seq`, in order; `None` when there are more than are kept.
    pub fn after(&self, seq: i64) -> Option<&[Recorded]> {
        let missing = usize::try_from(self.cursor.seq.saturating_sub(seq)).unwrap_or(0);
        let from = self.recent.len().checked_sub(missing)?;
        Some(&self.recent[from..])
    }

    /// The older notes that read otherwise since these newest events.
    pub fn corrected_by<'a>(&'a self, news: &'a [Recorded]) -> impl Iterator<Item = &'a Recorded> {
        let named = |note: &Recorded| {
            news.iter()
                .any(|event| timeline::corrects(event) == Some(note.seq))
        };
        let first = news.first().map_or(i64::MAX, |event| event.seq);
        let older = self.recent.iter().take_while(move |event| event.seq < first);
        self.corrected
            .notes
            .iter()
            .chain(older)
            .filter(move |note| named(note))
    }
}

impl Audience {
    /// What there is that was not there at `from`, or all there is. What could not be read is tried again. Whoever asks
    /// while another looks waits for that look, and takes what it found if that is enough.
    ///
    /// # Errors
    ///
    /// When the database does not answer; whoever waited for the same look is told the same, without asking again.
    pub async fn look(&self, app: &AppState, from: Option<Cursor>, asked: Asked) -> Result<News, WebError> {
        let mut latest = self.latest.lock().await;
        let mut is_whole = true;
        if !latest.as_ref().is_some_and(|look| asked.is_met_by(look, from)) {
            let (told, begun) = (app.wake.count(), Instant::now());
            let scene = latest.take().and_then(|look| look.scene);
            let (seen, error) = match self.place(app).await {
                Ok(Some(cursor)) => (Seen::At(cursor), None),
                Ok(None) => (Seen::NotThere, None),
                Err(error) => (Seen::Failed, Some(error)),
            };
            *latest = Some(Look {
                told,
                begun,
                seen,
                scene,
            });
            if let Some(error) = error {
                return Err(error.into());
            }
            let scene = latest.as_ref().and_then(|look| look.scene.as_ref());
            is_whole = scene.is_none_or(|scene| scene.record.failed.is_empty());
        }
        let Some(look) = latest.as_mut() else {
            return Ok(News::Nothing);
        };
        match look.seen {
            Seen::NotThere => Ok(News::NotThere),
            Seen::Failed => Err(WebError::unavailable("The database did not answer.")),
            Seen::At(there) if is_whole && from == Some(there) => Ok(News::Nothing),
            Seen::At(there) => {
                let stands = look.scene.as_ref().is_some_and(|scene| scene.cursor == there);
                if !(stands && is_whole) {
                    match self.read(app, look.scene.as_deref()).await {
                        Ok(Some(scene)) => {
                            // It may have come further since the cheap question.
                            look.seen = Seen::At(scene.cursor);
                            look.scene = Some(Arc::new(scene));
                        }
                        Ok(None) => {
                            look.seen = Seen::NotThere;
                            return Ok(News::NotThere);
                        }
                        Err(error) => {
                            look.seen = Seen::Failed;
                            return Err(error.into());
                        }
                    }
                }
                Ok(look.scene.clone().map_or(News::Nothing, News::Scene))
            }
        }
    }

    async fn place(&self, app: &AppState) -> Result<Option<Cursor>, StoreError> {
        let mut conn = app.db.acquire().await?;
        cursors::find(&mut conn, self.incident).await
    }

    /// Reads everything in one snapshot, but of the events only those that the last scene does not hold.
    async fn read(&self, app: &AppState, last: Option<&Scene>) -> Result<Option<Scene>, StoreError> {
        let id = self.incident;
        let mut tx = store::begin_reading(&app.db).await?;
        let Some(cursor) = cursors::find(&mut tx, id).await? else {
            return Ok(None);
        };
        let now = app.clock.now();
        let Some(mut record) = incident_page::load(&mut tx, &app.standing, id, None, now).await? else {
            return Ok(None);
        };
        if let Some(around) = &mut record.timeline {
            around.titles = titles::list(&mut tx, id, timeline::RUNS_MAX).await?;
        }
        let oldest = cursor.seq.saturating_sub(ROWS_MAX);
        let held = last.map_or(&[][..], |scene| &scene.recent);
        let mut recent: Vec<Recorded> = held.iter().filter(|event| event.seq > oldest).cloned().collect();
        let from = recent.last().map_or(oldest, |event| event.seq);
        recent.extend(events::list_after(&mut tx, id, from, ROWS_MAX).await?);
        let corrected = timeline::corrected(&mut tx, id, &recent).await?;
        let pending = page::pending(&mut tx).await?;
        Ok(Some(Scene {
            cursor,
            record,
            recent,
            corrected,
            pending,
        }))
    }
}
