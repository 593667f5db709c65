//! The page that corrects a note.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    incident::key,
    layout::Frame,
    parts::{At, Hidden, Said, at, hidden, said},
};
use crate::{incident::corrections::Corrected, store::incidents::Incident};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/correct.html")]
pub struct CorrectionPage {
    frame: Frame,
    /// Number of the incident.
    id: i64,
    key: String,
    title: Said,
    /// Number of the note.
    note: i64,
    by: Said,
    at: At,
    /// Who corrected it last, and when.
    corrected: Option<(Said, At)>,
    /// What it says.
    text: String,
    /// The event that holds this text.
    over: i64,
    seen: i64,
}

impl CorrectionPage {
    /// The page over a note.
    pub fn of(frame: Frame, incident: &Incident, note: &Corrected, now: DateTime<Utc>) -> Self {
        Self {
            frame,
            id: incident.id.0,
            key: key(incident.id.0),
            title: said(&incident.title),
            note: note.note.seq,
            by: said(&note.note.actor.to_string()),
            at: at(note.note.recorded_at, now),
            corrected: note
                .corrections
                .first()
                .map(|newest| (said(&newest.actor.to_string()), at(newest.recorded_at, now))),
            text: note.text().to_owned(),
            over: note.stands_in(),
            seen: incident.last_seq,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }
}
