//! The timeline of an incident: filter chips, rows, the way to older ones.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    parts::{At, Icon, Said, ago, at, category, icon, said},
    text,
};
use crate::{
    domain::{
        event::{Event, IncidentFact, Recorded},
        id::IncidentId,
        sentence::{self, Category},
    },
    store::events::KindCount,
};

/// Rows on a page.
pub const ROWS_MAX: usize = 100;
/// A difference between "happened" and "written down" that is worth showing, in seconds.
const LATE_S: i64 = 5;

/// Which groups of events are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The groups.
    pub shown: Vec<Category>,
    /// As the address has it; empty for the usual choice.
    pub parameter: String,
}

impl Filter {
    /// Reads the address's `show`: names with commas, `all`, or nothing for everything but Muster's bookkeeping.
    pub fn read(parameter: &str) -> Self {
        let shown: Vec<Category> = match parameter {
            "all" => Category::ALL.to_vec(),
            "" => Vec::new(),
            names => Category::ALL
                .into_iter()
                .filter(|category| names.split(',').any(|name| name == category.name()))
                .collect(),
        };
        match shown.is_empty() {
            true => Self {
                shown: Category::ALL
                    .into_iter()
                    .filter(|category| *category != Category::System)
                    .collect(),
                parameter: String::new(),
            },
            false => Self {
                parameter: parameter_of(&shown),
                shown,
            },
        }
    }

    /// Whether these events are shown.
    pub fn shows(&self, event: &Event) -> bool {
        self.shown.contains(&sentence::category(event))
    }

    /// The names of the shown kinds among those a timeline holds.
    pub fn kinds(&self, kinds: &[KindCount]) -> Vec<String> {
        kinds
            .iter()
            .filter(|kind| self.shows(&kind.example))
            .map(|kind| kind.kind.clone())
            .collect()
    }

    /// The same with one group switched.
    fn toggled(&self, category: Category) -> String {
        let shown: Vec<Category> = Category::ALL
            .into_iter()
            .filter(|other| self.shown.contains(other) != (*other == category))
            .collect();
        parameter_of(&shown)
    }
}

fn parameter_of(shown: &[Category]) -> String {
    if shown.len() == Category::ALL.len() {
        return "all".to_owned();
    }
    let names: Vec<&str> = shown.iter().map(|category| category.name()).collect();
    names.join(",")
}

/// One group that can be switched on and off.
#[derive(Clone, Debug)]
pub struct Chip {
    /// Its word.
    pub word: &'static str,
    /// Its shape.
    pub icon: Icon,
    /// How many events it has.
    pub count: i64,
    /// Whether it is shown.
    pub on: bool,
    /// The address that switches it.
    pub href: String,
}

/// One event.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_event.html")]
pub struct EventRow {
    /// Its number.
    pub seq: i64,
    /// The style of its group.
    pub group: &'static str,
    /// Shape of its group.
    pub icon: Icon,
    /// Word of its group.
    pub word: &'static str,
    /// Who or what caused it.
    pub actor: Said,
    /// When it was written down.
    pub recorded: At,
    /// When it happened, if that was clearly earlier.
    pub occurred: Option<At>,
    /// What happened, a person's note in full.
    pub text: Said,
    /// Whether the text may have several lines.
    pub is_note: bool,
}

impl HtmlSafe for EventRow {}

impl EventRow {
    /// The row of an event.
    pub fn of(recorded: &Recorded, now: DateTime<Utc>) -> Self {
        let group = sentence::category(&recorded.event);
        let (shape, word) = category(group);
        let late = (recorded.recorded_at - recorded.occurred_at).num_seconds() >= LATE_S;
        Self {
            seq: recorded.seq,
            group: group.name(),
            icon: icon(shape),
            word,
            actor: said(&recorded.actor.to_string()),
            recorded: at(recorded.recorded_at, now),
            occurred: late.then(|| at(recorded.occurred_at, now)),
            text: said(&sentence::sentence(&recorded.event)),
            is_note: matches!(recorded.event, Event::Incident(IncidentFact::Note { .. })),
        }
    }
}

/// The timeline section.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The groups.
    pub chips: Vec<Chip>,
    /// Events that the filter hides.
    pub hidden: i64,
    /// Address without a filter.
    pub all_href: String,
    /// The rows, the newest first.
    pub rows: Vec<EventRow>,
    /// Address of older rows.
    pub older: Option<String>,
    /// Address of the newest rows, when these are older ones.
    pub newest: Option<String>,
}

/// The chips alone, for a live patch.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_chips.html")]
pub struct ChipsPart {
    /// What they belong to.
    pub timeline: Timeline,
}

impl Timeline {
    /// The section from one more row than is shown, and the counts.
    pub fn of(
        incident: IncidentId,
        filter: &Filter,
        before: Option<i64>,
        kinds: &[KindCount],
        recorded: &[Recorded],
        now: DateTime<Utc>,
    ) -> Self {
        let page = format!("/incidents/{incident}");
        let address = |show: &str, before: &str| {
            let address = text::with_query(&page, &[("show", show), ("before", before)]);
            format!("{address}#timeline")
        };
        let chips: Vec<Chip> = Category::ALL
            .into_iter()
            .map(|group| Chip {
                word: group.name(),
                icon: icon(category(group).0),
                count: kinds
                    .iter()
                    .filter(|kind| sentence::category(&kind.example) == group)
                    .map(|kind| kind.count)
                    .sum(),
                on: filter.shown.contains(&group),
                href: address(&filter.toggled(group), ""),
            })
            .collect();
        let rows: Vec<EventRow> = recorded
            .iter()
            .take(ROWS_MAX)
            .map(|recorded| EventRow::of(recorded, now))
            .collect();
        let oldest = rows.last().map_or(0, |row| row.seq);
        Self {
            hidden: chips.iter().filter(|chip| !chip.on).map(|chip| chip.count).sum(),
            chips,
            all_href: address("all", ""),
            older: (recorded.len() > ROWS_MAX).then(|| address(&filter.parameter, &oldest.to_string())),
            newest: before.map(|_| address(&filter.parameter, "")),
            rows,
        }
    }
}

/// A line that names one moment of the past: `Acknowledged by Ana 4 min ago`.
pub fn moment(words: &str, who: Option<&str>, at: DateTime<Utc>, now: DateTime<Utc>) -> Moment {
    Moment {
        words: words.to_owned(),
        who: who.map(said),
        at: ago(at, now),
    }
}

/// See [`moment`].
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = "{{ words }}{% if let Some(who) = who %} by {{ who }}{% endif %} {{ at }}"
)]
pub struct Moment {
    words: String,
    who: Option<Said>,
    at: super::parts::Ago,
}

impl HtmlSafe for Moment {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_reads_back_what_it_writes() {
        let usual = Filter::read("");
        assert!(!usual.shown.contains(&Category::System));
        assert_eq!(usual.parameter, "");
        let notes = Filter::read("notes,nonsense");
        assert_eq!(notes.shown, [Category::Note]);
        assert_eq!(notes.parameter, "notes");
        assert_eq!(Filter::read("all").parameter, "all");
        assert_eq!(Filter::read("nonsense"), usual);
        assert_eq!(usual.toggled(Category::System), "all");
        assert_eq!(notes.toggled(Category::Step), "steps,notes");
    }
}
