//! Reading the part of a timeline that a person asked for.

use sqlx::PgConnection;

use super::view::{
    lens::Lens,
    timeline::{Hits, ROWS_MAX, TimelineRecord},
};
use crate::{
    domain::{event::Recorded, id::IncidentId, sentence, titles::Titles},
    incident::pins::PINS_MAX,
    store::{
        StoreError, pins,
        timelines::{self, Window},
        titles,
    },
};

/// Events read for one page: more than its rows, since those that say the same share one.
const EVENTS_MAX: usize = 2 * ROWS_MAX;
/// Runs whose steps are told by their titles, the newest; the steps of older ones are told by their names.
pub const RUNS_MAX: i64 = 50;
/// How many events beside the one that somebody pointed at are looked at before it in the list.
const ROWS_BESIDE: i64 = 20;
/// Events a search looks through, the newest first, and how many it reads at once.
const FIND_MAX: usize = 20_000;
const FIND_CHUNK: i64 = 1_000;

/// What stands around the rows: how many events there are of each kind, and the pinned ones.
pub async fn around(conn: &mut PgConnection, incident: IncidentId) -> Result<TimelineRecord, StoreError> {
    Ok(TimelineRecord {
        counts: timelines::counts(conn, incident, 0).await?,
        pinned: pins::list(conn, incident, PINS_MAX).await?,
        ..TimelineRecord::default()
    })
}

/// What is seen through that lens.
pub async fn load(
    conn: &mut PgConnection,
    incident: IncidentId,
    lens: &Lens,
) -> Result<TimelineRecord, StoreError> {
    let mut record = around(conn, incident).await?;
    record.titles = titles::list(conn, incident, RUNS_MAX).await?;
    if !lens.find.is_empty() {
        find(conn, incident, lens, &mut record).await?;
        return Ok(record);
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
    Ok(record)
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
