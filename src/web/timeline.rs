//! Reading the part of a timeline that a person asked for.

use sqlx::PgConnection;

use super::view::{
    lens::Lens,
    timeline::{Hits, ROWS_MAX, TimelineRecord},
};
use crate::{
    domain::{
        event::{Event, IncidentFact, Recorded},
        id::IncidentId,
        sentence,
        titles::Titles,
    },
    incident::pins::PINS_MAX,
    store::{
        StoreError, corrections, pins,
        timelines::{self, Window},
        titles,
    },
};

/// Events read for one page: more than its rows, since those that say the same share one.
const EVENTS_MAX: usize = 2 * ROWS_MAX;
/// Corrections read for one page, the newest; of a note with older ones only these are shown.
pub const CORRECTIONS_MAX: i64 = 500;
/// Runs whose steps are told by their titles, the newest; the steps of older ones are told by their names.
pub const RUNS_MAX: i64 = 50;
/// How many events beside the one that somebody pointed at are looked at before it in the list.
const ROWS_BESIDE: i64 = 20;
/// Events a search looks through, the newest first, and how many it reads at once.
const FIND_MAX: usize = 20_000;
const FIND_CHUNK: i64 = 1_000;

/// What stands around the rows: how many events there are of each kind, and the pinned ones.
pub async fn around(conn: &mut PgConnection, incident: IncidentId) -> Result<TimelineRecord, StoreError> {
    let mut record = counted(conn, incident).await?;
    correct(conn, incident, &mut record).await?;
    Ok(record)
}

/// What is seen through that lens.
pub async fn load(
    conn: &mut PgConnection,
    incident: IncidentId,
    lens: &Lens,
) -> Result<TimelineRecord, StoreError> {
    let mut record = counted(conn, incident).await?;
    rows(conn, incident, lens, &mut record).await?;
    correct(conn, incident, &mut record).await?;
    Ok(record)
}

async fn counted(conn: &mut PgConnection, incident: IncidentId) -> Result<TimelineRecord, StoreError> {
    Ok(TimelineRecord {
        counts: timelines::counts(conn, incident, 0).await?,
        pinned: pins::list(conn, incident, PINS_MAX).await?,
        ..TimelineRecord::default()
    })
}

/// Reads what became of the notes that are shown.
async fn correct(
    conn: &mut PgConnection,
    incident: IncidentId,
    record: &mut TimelineRecord,
) -> Result<(), StoreError> {
    let is_note = |recorded: &&Recorded| matches!(recorded.event, Event::Incident(IncidentFact::Note { .. }));
    let shown = record.events.iter().chain(&record.pinned).filter(is_note);
    let notes: Vec<i64> = shown.map(|recorded| recorded.seq).collect();
    record.corrections = corrections::list(conn, incident, &notes, CORRECTIONS_MAX).await?;
    Ok(())
}

/// Corrections among new events, with the older notes that read otherwise since.
#[derive(Debug, Default)]
pub struct Corrected {
    /// All corrections of the notes that are named, the newest first.
    pub corrections: Vec<Recorded>,
    /// Those of the notes that are not themselves new.
    pub notes: Vec<Recorded>,
}

/// The note that an event corrects.
pub fn corrects(recorded: &Recorded) -> Option<i64> {
    match recorded.event {
        Event::Incident(IncidentFact::NoteCorrected { note, .. }) => Some(note),
        _ => None,
    }
}

/// What new events say of notes.
pub async fn corrected(
    conn: &mut PgConnection,
    incident: IncidentId,
    news: &[Recorded],
) -> Result<Corrected, StoreError> {
    let mut named: Vec<i64> = news.iter().filter_map(corrects).collect();
    named.sort_unstable();
    named.dedup();
    let mut corrected = Corrected {
        corrections: corrections::list(conn, incident, &named, CORRECTIONS_MAX).await?,
        notes: Vec::new(),
    };
    for note in named {
        if !news.iter().any(|recorded| recorded.seq == note) {
            corrected
                .notes
                .extend(corrections::find_event(conn, incident, note).await?);
        }
    }
    Ok(corrected)
}

async fn rows(
    conn: &mut PgConnection,
    incident: IncidentId,
    lens: &Lens,
    record: &mut TimelineRecord,
) -> Result<(), StoreError> {
    record.titles = titles::list(conn, incident, RUNS_MAX).await?;
    if !lens.find.is_empty() {
        return find(conn, incident, lens, record).await;
    }
    let kinds = lens.filter.kinds(&record.counts);
    let (from, to) = match (lens.row, lens.is_oldest_first) {
        (Some(row), true) => (row.saturating_sub(ROWS_BESIDE + 1), i64::MAX),
        (Some(row), false) => (0, row.saturating_add(ROWS_BESIDE + 1)),
        (None, _) => (lens.after.unwrap_or(0), lens.before.unwrap_or(i64::MAX)),
    };
    let window = Window {
        kinds: Some(&kinds),
        also: lens.row,
        after: lens.since.max(from),
        before: to,
        limit: EVENTS_MAX as i64 + 1,
    };
    record.events = match lens.is_oldest_first {
        true => timelines::oldest(conn, incident, &window).await?,
        false => timelines::newest(conn, incident, &window).await?,
    };
    record.has_more = record.events.len() > EVENTS_MAX;
    record.events.truncate(EVENTS_MAX);
    Ok(())
}

/// Looks for words in what people read, which no row holds as such: each event is told and compared. What was found stands
/// with the newest first, whatever order was asked for.
async fn find(
    conn: &mut PgConnection,
    incident: IncidentId,
    lens: &Lens,
    record: &mut TimelineRecord,
) -> Result<(), StoreError> {
    let pinned: Vec<i64> = record.pinned.iter().map(|recorded| recorded.seq).collect();
    let (mut hits, mut looked, mut before) = (Hits::default(), 0, i64::MAX);
    loop {
        let window = Window {
            kinds: None,
            also: None,
            after: lens.since,
            before,
            limit: FIND_CHUNK,
        };
        let chunk = timelines::newest(conn, incident, &window).await?;
        let is_last = (chunk.len() as i64) < FIND_CHUNK;
        before = chunk.last().map_or(before, |last| last.seq);
        looked += chunk.len();
        for recorded in chunk {
            if !has_words(&recorded, lens, &record.titles) {
                continue;
            }
            if !lens.filter.shows(&recorded.event) && !pinned.contains(&recorded.seq) {
                hits.hidden += 1;
                continue;
            }
            hits.shown += 1;
            if lens.before.is_some_and(|before| recorded.seq >= before) {
                continue;
            }
            match record.events.len() < ROWS_MAX {
                true => record.events.push(recorded),
                false => record.has_more = true,
            }
        }
        if is_last {
            break;
        }
        if looked >= FIND_MAX {
            hits.looked_through = Some(looked);
            break;
        }
    }
    record.hits = Some(hits);
    Ok(())
}

fn has_words(recorded: &Recorded, lens: &Lens, titles: &Titles) -> bool {
    lens.finds(
        &sentence::told(&recorded.event, titles),
        &recorded.actor.to_string(),
    )
}
