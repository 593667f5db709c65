//! Correcting a note. The timeline only grows: a correction is a fact of its own that names the note, and whoever reads
//! the note reads the newest of them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    respond::{RespondError, lock},
    words,
};
use crate::{
    domain::{
        event::{Event, IncidentFact, NewEvent, Recorded},
        id::IncidentId,
        operator::Operator,
    },
    store::{StoreError, corrections, events},
};

/// Corrections of one note that are shown; with more of them the note is a document, and belongs elsewhere.
pub const CORRECTIONS_MAX: i64 = 50;

/// A note and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrected {
    /// The note.
    pub note: Recorded,
    /// Its corrections, the newest first.
    pub corrections: Vec<Recorded>,
}

impl Corrected {
    /// What it says now.
    pub fn text(&self) -> &str {
        let newest = self.corrections.first().unwrap_or(&self.note);
        text_of(newest).unwrap_or_default()
    }

    /// Number of the event that says so.
    pub fn stands_in(&self) -> i64 {
        self.corrections.first().unwrap_or(&self.note).seq
    }
}

/// What a note or a correction says; `None` for any other event.
pub fn text_of(recorded: &Recorded) -> Option<&str> {
    match &recorded.event {
        Event::Incident(IncidentFact::Note { text, .. } | IncidentFact::NoteCorrected { text, .. }) => {
            Some(text)
        }
        _ => None,
    }
}

/// The note of that number; `None` when there is none.
pub async fn find(
    conn: &mut PgConnection,
    id: IncidentId,
    note: i64,
) -> Result<Option<Corrected>, StoreError> {
    let Some(note) = corrections::find_event(conn, id, note).await? else {
        return Ok(None);
    };
    if !matches!(note.event, Event::Incident(IncidentFact::Note { .. })) {
        return Ok(None);
    }
    let corrections = corrections::list(conn, id, &[note.seq], CORRECTIONS_MAX).await?;
    Ok(Some(Corrected { note, corrections }))
}

/// A person corrects a note, of their own or of somebody else. `over` is the number of the event that held the text they
/// saw, when they saw one: somebody else's newer correction is not lost under theirs.
pub async fn correct(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    note: i64,
    text: &str,
    over: Option<i64>,
    now: DateTime<Utc>,
) -> Result<i64, RespondError> {
    let text = words::note_text(text)?;
    lock(conn, id).await?;
    let stands = find(conn, id, note).await?.ok_or(RespondError::NotFound)?;
    if let Some(newest) = stands.corrections.first()
        && over.is_some_and(|over| over != newest.seq)
    {
        return Err(RespondError::Moved {
            message: format!(
                "{} corrected it meanwhile: {}",
                newest.actor,
                text_of(newest).unwrap_or_default()
            ),
        });
    }
    if stands.text() == text {
        return Err(RespondError::Moved {
            message: "the note says that already".to_owned(),
        });
    }
    if stands.corrections.len() as i64 >= CORRECTIONS_MAX {
        return Err(RespondError::Refused {
            message: format!("it was corrected {CORRECTIONS_MAX} times; write a new note"),
        });
    }
    let fact = IncidentFact::NoteCorrected { note, text };
    Ok(events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?)
}
