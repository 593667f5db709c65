//! The timeline of an incident: filter chips, pins, rows with their gaps and repeats, the way to older ones.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    event_row::{EventItem, EventRow, Reader, Repeats},
    format,
    lens::Lens,
    parts::{Ago, At, Icon, Said, ago, at, category, icon, said},
};
use crate::{
    domain::{
        event::Recorded,
        id::IncidentId,
        sentence::{self, Category},
        titles::Titles,
    },
    store::timelines::KindCount,
};

/// Rows on a page.
pub const ROWS_MAX: usize = 200;
/// A time without any event that is worth a row of its own.
const QUIET_MIN: TimeDelta = TimeDelta::minutes(10);

/// What was read of a timeline.
#[derive(Clone, Debug, Default)]
pub struct TimelineRecord {
    /// How many events of each kind there are.
    pub counts: Vec<KindCount>,
    /// The events of one window, in the order in which they are shown.
    pub events: Vec<Recorded>,
    /// Whether there are more behind them.
    pub has_more: bool,
    /// The pinned ones, the newest first.
    pub pinned: Vec<Recorded>,
    /// Corrections of the notes among them, the newest first.
    pub corrections: Vec<Recorded>,
    /// What a search found.
    pub hits: Option<Hits>,
    /// What the steps of its runs are called.
    pub titles: Titles,
}

/// What a search found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Events that have the words.
    pub shown: usize,
    /// Those that have them and are hidden by the filter.
    pub hidden: usize,
    /// How many events were looked through, when that was not all.
    pub looked_through: Option<usize>,
}

/// One group that can be switched on and off.
#[derive(Clone, Debug)]
pub struct Chip {
    /// Its word.
    pub word: &'static str,
    /// Its shape.
    pub icon: Icon,
    /// How many events it has.
    pub count: String,
    /// Whether it is shown.
    pub on: bool,
    /// The address that switches it; none for what is always shown.
    pub href: Option<String>,
}

/// What stands in the list.
#[derive(Clone, Debug)]
pub enum Line {
    /// An event, or several alike.
    Event(Box<EventItem>),
    /// A time in which nothing happened, or nothing that is shown.
    Gap(String),
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
    /// The pinned events.
    pub pinned: Vec<EventRow>,
    /// The rows.
    pub lines: Vec<Line>,
    /// The way to the rows behind them: address and words.
    pub more: Option<(String, &'static str)>,
    /// Address of the first rows, when these are not they.
    pub first: Option<String>,
    /// Words and address of the other order.
    pub turned: (&'static str, String),
    /// What is looked for.
    pub find: String,
    /// What the search found.
    pub hits: Option<String>,
    /// Address without the search.
    pub found_all_href: String,
    /// The parameters that the form of the search keeps.
    pub kept: Vec<(&'static str, String)>,
    /// Address without `since`, when only newer events are shown.
    pub whole_href: Option<String>,
}

/// The timeline with its chips.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_timeline.html")]
pub struct TimelineSection {
    /// What it shows.
    pub timeline: Timeline,
}

impl HtmlSafe for TimelineSection {}

/// The chips alone, for a live patch.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_chips.html")]
pub struct ChipsPart {
    /// What they belong to.
    pub timeline: Timeline,
}

/// The pinned events alone, for a live patch.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_pins.html")]
pub struct PinsPart {
    /// What they belong to.
    pub timeline: Timeline,
}

impl Timeline {
    /// The section of what was read.
    pub fn of(
        incident: IncidentId,
        lens: &Lens,
        record: &TimelineRecord,
        may_act: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let pinned: Vec<i64> = record.pinned.iter().map(|recorded| recorded.seq).collect();
        let reader = Reader {
            incident,
            pinned: &pinned,
            corrections: &record.corrections,
            titles: &record.titles,
            may_act,
            now,
        };
        let chips: Vec<(i64, Chip)> = Category::ALL
            .into_iter()
            .map(|group| chip(incident, lens, &record.counts, group))
            .collect();
        let (lines, last, is_cut) = lines(&record.events, &reader);
        let more = (record.has_more || is_cut).then(|| {
            let last = last.to_string();
            match lens.is_oldest_first && lens.find.is_empty() {
                true => (lens.address(incident, &[("after", &last)]), "Newer"),
                false => (lens.address(incident, &[("before", &last)]), "Older"),
            }
        });
        let is_first = lens.before.is_none() && lens.after.is_none() && lens.row.is_none();
        Self {
            hidden: chips
                .iter()
                .filter(|(_, chip)| !chip.on)
                .map(|(count, _)| count)
                .sum(),
            chips: chips.into_iter().map(|(_, chip)| chip).collect(),
            all_href: lens.address(incident, &[("show", "all")]),
            pinned: record
                .pinned
                .iter()
                .map(|recorded| reader.row(recorded))
                .collect(),
            lines,
            more,
            first: (!is_first).then(|| lens.address(incident, &[])),
            turned: match lens.is_oldest_first {
                true => ("Newest first", lens.address(incident, &[("order", "")])),
                false => ("Oldest first", lens.address(incident, &[("order", "oldest")])),
            },
            find: lens.find.clone(),
            hits: record.hits.as_ref().map(hits),
            found_all_href: lens.address(incident, &[("find", "")]),
            kept: lens
                .parameters()
                .into_iter()
                .filter(|(name, value)| *name != "find" && !value.is_empty())
                .collect(),
            whole_href: (lens.since > 0).then(|| lens.address(incident, &[("since", "")])),
        }
    }
}

fn chip(incident: IncidentId, lens: &Lens, counts: &[KindCount], group: Category) -> (i64, Chip) {
    let count = counts
        .iter()
        .filter(|kind| sentence::category(&kind.example) == group)
        .map(|kind| kind.count)
        .sum();
    let href = || lens.address(incident, &[("show", &lens.filter.toggled(group))]);
    let chip = Chip {
        word: group.name(),
        icon: icon(category(group).0),
        count: format::grouped(count),
        on: lens.filter.shown.contains(&group),
        href: (group != Category::Decision).then(href),
    };
    (count, chip)
}

/// `12 found, 3 more are hidden by the filter`
fn hits(hits: &Hits) -> String {
    let mut words = match hits.shown {
        0 => "Nothing found".to_owned(),
        n => format!("{} found", format::grouped(n as i64)),
    };
    if hits.hidden > 0 {
        words.push_str(&format!(
            ", {} more hidden by the filter",
            format::grouped(hits.hidden as i64)
        ));
    }
    if let Some(n) = hits.looked_through {
        words.push_str(&format!(" in the newest {} events", format::grouped(n as i64)));
    }
    words
}

/// Whether an event may stand in one row with its like: what somebody wrote or decided always stands alone.
fn may_repeat(recorded: &Recorded) -> bool {
    matches!(
        sentence::category(&recorded.event),
        Category::Alert | Category::Step | Category::System
    )
}

/// The rows, the number of the last event in them, and whether events were left over.
fn lines(events: &[Recorded], reader: &Reader<'_>) -> (Vec<Line>, i64, bool) {
    let mut lines = Vec::new();
    let (mut rows, mut next, mut last) = (0, 0, 0);
    let mut before: Option<&Recorded> = None;
    while let Some(first) = events.get(next).filter(|_| rows < ROWS_MAX) {
        if let Some(gap) = before.and_then(|before| gap(before, first)) {
            lines.push(Line::Gap(gap));
        }
        let words = sentence::sentence(&first.event);
        let is_like = |other: &&Recorded| {
            other.actor == first.actor && may_repeat(other) && sentence::sentence(&other.event) == words
        };
        let alike = match may_repeat(first) && !reader.pinned.contains(&first.seq) {
            true => events[next + 1..].iter().take_while(is_like).count(),
            false => 0,
        };
        let mut row = reader.row(first);
        if alike > 0 {
            row.repeats = Some(Repeats::of(&events[next..=next + alike], reader.now));
        }
        lines.push(Line::Event(Box::new(EventItem { row })));
        next += alike + 1;
        rows += 1;
        before = events.get(next - 1);
        last = before.map_or(last, |recorded| recorded.seq);
    }
    (lines, last, next < events.len())
}

/// `14 min quiet`, when nothing happened between two neighbours for so long. What the filter hides is told.
fn gap(one: &Recorded, other: &Recorded) -> Option<String> {
    let length = (one.recorded_at - other.recorded_at).abs();
    if length < QUIET_MIN {
        return None;
    }
    let length = format::rough(length);
    Some(match (one.seq - other.seq).abs() - 1 {
        0 => format!("{length} quiet"),
        hidden => format!("{length}, {} not shown here", format::grouped(hidden)),
    })
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
    at: Ago,
}

impl HtmlSafe for Moment {}

/// What happened while a person was away.
#[derive(Clone, Debug)]
pub struct AwayLine {
    /// Since when.
    pub since: At,
    /// `2 steps done, 1 gate opened`
    pub words: String,
    /// The address that shows just that.
    pub href: String,
}

/// What is worth a word to somebody who was away, by the kind of its events.
const TOLD: [(&str, &str, &str); 15] = [
    ("outcome_unknown", "outcome unknown", "outcomes unknown"),
    ("step_failed", "failed try", "failed tries"),
    ("gate_opened", "gate opened", "gates opened"),
    ("gate_approved", "gate approved", "gates approved"),
    ("gate_rejected", "gate rejected", "gates rejected"),
    ("step_succeeded", "step done", "steps done"),
    ("run_started", "run started", "runs started"),
    ("run_finished", "run over", "runs over"),
    ("alerts_fired", "report of new alerts", "reports of new alerts"),
    (
        "alerts_resolved",
        "report of resolved alerts",
        "reports of resolved alerts",
    ),
    ("update_posted", "status update", "status updates"),
    ("duty_taken", "change of roles", "changes of roles"),
    ("severity_changed", "change of severity", "changes of severity"),
    ("note", "note", "notes"),
    ("note_corrected", "note corrected", "notes corrected"),
];

impl AwayLine {
    /// The line about these events since then; `None` when there is nothing to tell.
    pub fn of(
        incident: IncidentId,
        seq: i64,
        since: DateTime<Utc>,
        counts: &[KindCount],
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let told: Vec<String> = TOLD
            .iter()
            .filter_map(|(name, one, many)| {
                let kind = counts.iter().find(|kind| kind.kind == *name)?;
                Some(format::count(kind.count, one, many))
            })
            .collect();
        (!told.is_empty()).then(|| Self {
            since: at(since, now),
            words: told.join(", "),
            href: format!("/incidents/{incident}?since={seq}#timeline"),
        })
    }
}
