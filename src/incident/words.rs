//! What people write about an incident: notes, its impact in one sentence, status updates for the team.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::respond::{RespondError, lock};
use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        note::NoteTag,
        operator::Operator,
    },
    store::{briefs, events},
};

/// The longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 20_000;
/// The longest sentence about the impact, and the longest part of a status update, in characters.
pub const SENTENCE_CHARS_MAX: usize = 500;
/// How far ahead of ours the clock may be by which somebody says when something happened.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(2);
/// How far ahead the next update may be promised.
const PROMISE_MAX: TimeDelta = TimeDelta::hours(24);

/// A note to be written.
#[derive(Clone, Debug, Default)]
pub struct NewNote {
    /// Plain Markdown.
    pub text: String,
    /// What kind of thought it is.
    pub tag: Option<NoteTag>,
    /// When what it tells of happened, if that was earlier.
    pub happened_at: Option<DateTime<Utc>>,
}

/// A status update for the team.
#[derive(Clone, Debug, Default)]
pub struct NewUpdate {
    /// How it is.
    pub condition: String,
    /// What is done about it.
    pub action: String,
    /// What is needed, and of whom.
    pub need: String,
    /// How long until the next one.
    pub next_in: Option<TimeDelta>,
}

fn refused(message: impl Into<String>) -> RespondError {
    RespondError::Refused {
        message: message.into(),
    }
}

/// Trimmed, and without what jsonb does not hold: U+0000 becomes its picture.
fn clean(text: &str) -> String {
    text.trim().replace('\0', "\u{2400}")
}

fn sentence(what: &str, text: &str) -> Result<String, RespondError> {
    let text = clean(text);
    match text.chars().count() > SENTENCE_CHARS_MAX {
        true => Err(refused(format!(
            "{what} is longer than {SENTENCE_CHARS_MAX} characters; shorten it, or write a note"
        ))),
        false => Ok(text),
    }
}

/// What somebody wrote, as a note keeps it.
pub(super) fn note_text(text: &str) -> Result<String, RespondError> {
    let text = clean(text);
    if text.is_empty() {
        return Err(refused("the note is empty"));
    }
    match text.len() > NOTE_BYTES_MAX {
        true => Err(refused(format!(
            "the note is longer than {NOTE_BYTES_MAX} bytes; split it"
        ))),
        false => Ok(text),
    }
}

/// A person writes something down. Returns the number of its event.
pub async fn note(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    note: &NewNote,
    now: DateTime<Utc>,
) -> Result<i64, RespondError> {
    let text = note_text(&note.text)?;
    let occurred_at = note.happened_at.unwrap_or(now);
    if occurred_at > now + AHEAD_MAX {
        return Err(refused("it cannot have happened in the future; the time is UTC"));
    }
    lock(conn, id).await?;
    let event = NewEvent {
        event: IncidentFact::Note { text, tag: note.tag }.into(),
        actor: by.actor(),
        occurred_at: occurred_at.min(now),
    };
    Ok(events::append(conn, id, &[event], now).await?)
}

/// A person says in one sentence what the incident does to people; an empty one takes back what was said.
pub async fn state_impact(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    text: &str,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let text = sentence("the impact", text)?;
    lock(conn, id).await?;
    if briefs::find(conn, id).await?.impact == text {
        return Err(RespondError::Moved {
            message: "the impact says that already".to_owned(),
        });
    }
    briefs::set_impact(conn, id, &text).await?;
    let fact = IncidentFact::ImpactStated { text };
    events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}

/// A person tells the team how it stands, and when they will tell more.
pub async fn post_update(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    update: &NewUpdate,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let condition = sentence("the condition", &update.condition)?;
    if condition.is_empty() {
        return Err(refused("say how it is: the condition is empty"));
    }
    let next_due = match update.next_in {
        Some(span) if span <= TimeDelta::zero() || span > PROMISE_MAX => {
            return Err(refused("the next update can be promised for the next 24 hours"));
        }
        span => span.map(|span| now + span),
    };
    let fact = IncidentFact::UpdatePosted {
        condition,
        action: sentence("the action", &update.action)?,
        need: sentence("the need", &update.need)?,
        next_due,
    };
    lock(conn, id).await?;
    let seq = events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    briefs::set_update(conn, id, seq, next_due).await?;
    Ok(())
}
