//! One row of a timeline.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    markdown::Markdown,
    parts::{At, Icon, Said, at, category, icon, said},
    step,
};
use crate::{
    domain::{
        event::{Event, IncidentFact, Recorded},
        id::IncidentId,
        sentence,
        titles::Titles,
    },
    incident::corrections::text_of,
};

/// A difference between "happened" and "written down" that is worth showing, in seconds.
const LATE_S: i64 = 5;
/// Moments that a row of repeats names.
const REPEATS_MAX: usize = 50;

/// Who reads, and what is the same for all rows.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The incident.
    pub incident: IncidentId,
    /// The numbers of the pinned events.
    pub pinned: &'a [i64],
    /// Corrections of the notes, the newest first.
    pub corrections: &'a [Recorded],
    /// What the steps of runs are called.
    pub titles: &'a Titles,
    /// Whether they may write.
    pub may_act: bool,
    /// When.
    pub now: DateTime<Utc>,
}

/// What a row says.
#[derive(Clone, Debug)]
pub enum Words {
    /// One sentence.
    Sentence(Said),
    /// What a person wrote, and what it said before somebody corrected it.
    Note(Markdown, Option<Corrected>),
    /// What the note of that number says since then.
    Correction(i64, Markdown),
    /// A status update, part by part: word and text.
    Update(Vec<(&'static str, Said)>, Option<At>),
}

/// Who corrected a note last, and how it read before.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// Who.
    pub by: Said,
    /// When.
    pub at: At,
    /// Who wrote what when, the newest first, the note as it was written last.
    pub before: Vec<(Said, At, Markdown)>,
}

/// One event as it stands in the list.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<li id="e{{ row.seq }}" class="event ev-{{ row.group }}">{{ row }}</li>"#
)]
pub struct EventItem {
    /// What it says.
    pub row: EventRow,
}

impl HtmlSafe for EventItem {}

/// One event.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_event.html")]
pub struct EventRow {
    /// Its number.
    pub seq: i64,
    /// Number of its incident.
    pub incident: i64,
    /// The page of the step it is about.
    pub step: Option<String>,
    /// The style of its group.
    pub group: &'static str,
    /// Shape of its group.
    pub icon: Icon,
    /// Word of its group, or what its author calls it.
    pub word: &'static str,
    /// Who or what caused it.
    pub actor: Said,
    /// When it was written down.
    pub recorded: At,
    /// When it happened, if that was clearly earlier.
    pub occurred: Option<At>,
    /// The same moment as a form takes it.
    pub occurred_field: String,
    /// What happened.
    pub words: Words,
    /// Others like it.
    pub repeats: Option<Repeats>,
    /// Whether it is pinned.
    pub is_pinned: bool,
    /// Whether the reader may write.
    pub may_act: bool,
}

impl HtmlSafe for EventRow {}

/// Events that say the same one after the other.
#[derive(Clone, Debug)]
pub struct Repeats {
    /// How many, the first one included.
    pub count: usize,
    /// When the others were written down, and their numbers.
    pub others: Vec<(i64, At)>,
    /// How many more there are.
    pub more: usize,
}

impl Repeats {
    /// Those of several events that say the same.
    pub fn of(alike: &[Recorded], now: DateTime<Utc>) -> Self {
        let others: Vec<(i64, At)> = alike
            .iter()
            .skip(1)
            .take(REPEATS_MAX)
            .map(|recorded| (recorded.seq, at(recorded.recorded_at, now)))
            .collect();
        Self {
            count: alike.len(),
            more: alike.len() - 1 - others.len(),
            others,
        }
    }
}

impl Reader<'_> {
    /// A note as it reads now.
    fn note(&self, note: &Recorded, text: &str) -> Words {
        let of_it = |recorded: &&Recorded| {
            matches!(
                recorded.event,
                Event::Incident(IncidentFact::NoteCorrected { note: of, .. }) if of == note.seq
            )
        };
        let mut corrections = self.corrections.iter().filter(of_it);
        let Some(newest) = corrections.next() else {
            return Words::Note(Markdown::of(text), None);
        };
        let wrote = |recorded: &Recorded| {
            (
                said(&recorded.actor.to_string()),
                at(recorded.recorded_at, self.now),
                Markdown::of(text_of(recorded).unwrap_or_default()),
            )
        };
        let corrected = Corrected {
            by: said(&newest.actor.to_string()),
            at: at(newest.recorded_at, self.now),
            before: corrections.chain([note]).map(wrote).collect(),
        };
        Words::Note(Markdown::of(text_of(newest).unwrap_or_default()), Some(corrected))
    }

    /// The row of an event.
    pub fn row(&self, recorded: &Recorded) -> EventRow {
        let group = sentence::category(&recorded.event);
        let (shape, mut word) = category(group);
        let now = self.now;
        let late = (recorded.recorded_at - recorded.occurred_at).num_seconds() >= LATE_S;
        let words = match &recorded.event {
            Event::Incident(IncidentFact::Note { text, tag }) => {
                word = tag.map_or(word, |tag| tag.word());
                self.note(recorded, text)
            }
            Event::Incident(IncidentFact::NoteCorrected { note, text }) => {
                Words::Correction(*note, Markdown::of(text))
            }
            Event::Incident(IncidentFact::UpdatePosted {
                condition,
                action,
                need,
                next_due,
            }) => {
                let parts = [("Condition", condition), ("Action", action), ("Need", need)];
                let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
                Words::Update(
                    parts.map(|(word, text)| (word, said(text))).collect(),
                    next_due.map(|due| at(due, now)),
                )
            }
            event => Words::Sentence(said(&sentence::told(event, self.titles))),
        };
        EventRow {
            seq: recorded.seq,
            incident: self.incident.0,
            step: match &recorded.event {
                Event::Run(run, fact) => fact.step().map(|step| step::href(*run, step)),
                Event::Incident(_) => None,
            },
            group: group.name(),
            icon: icon(shape),
            word,
            actor: said(&recorded.actor.to_string()),
            recorded: at(recorded.recorded_at, now),
            occurred: late.then(|| at(recorded.occurred_at, now)),
            occurred_field: field_of(recorded.occurred_at),
            words,
            repeats: None,
            is_pinned: self.pinned.contains(&recorded.seq),
            may_act: self.may_act,
        }
    }
}

/// A moment as a field for date and time takes it, in UTC.
pub fn field_of(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S").to_string()
}
