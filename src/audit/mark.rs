//! Marks: where the timelines stood, noted in the audit.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        audit::{Act, ActKind, Fields, Object, digest_of},
        id::IncidentId,
        operator::Actor,
        span::Span,
    },
    store::{StoreError, anchors, audit},
};

/// Timelines that are marked at once because they moved; more go into the next mark.
pub const MOVED_MAX: i64 = 10_000;
/// Timelines that are looked at in one turn of the walk over all of them.
const WALKED_MAX: i64 = 2_000;
/// Marks of one act at most.
pub const MARKS_MAX: i64 = MOVED_MAX + WALKED_MAX;
/// An event may be committed so long after the time it names; what takes longer is found by the walk.
const LATE: Span = Span::from_secs(60);

/// Marks the timelines that have moved since they were marked last; returns how many. Does nothing while another replica
/// does.
pub async fn mark(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let Some(mut anchoring) = anchors::take_turn(conn).await? else {
        return Ok(0);
    };
    let moved = match anchoring.marked_to {
        Some(since) => anchors::moved_since(conn, since - LATE.as_delta(), MOVED_MAX).await?,
        None => Vec::new(),
    };
    if (moved.len() as i64) < MOVED_MAX {
        anchoring.marked_to = Some(now);
    }
    let walked = anchors::list_after(conn, anchoring.walked_to, WALKED_MAX).await?;
    anchoring.walked_to = match walked.last() {
        Some(last) if walked.len() as i64 == WALKED_MAX => last.mark.incident,
        _ => IncidentId(0),
    };
    let both = moved.into_iter().chain(walked).filter(|moved| moved.events > 0);
    let due: BTreeMap<IncidentId, _> = both.map(|moved| (moved.mark.incident, moved)).collect();
    if !due.is_empty() {
        let marks: Vec<_> = due.values().map(|moved| moved.mark).collect();
        let events: i64 = due.values().map(|moved| moved.events).sum();
        let after = Fields::of([
            ("timelines", marks.len().to_string()),
            ("events", events.to_string()),
            ("digest", digest_of(&marks).to_string()),
        ]);
        let act = Act::new(
            Actor::Automation,
            ActKind::TimelinesMarked,
            Object::timelines(),
            "",
        );
        let seq = audit::insert(conn, &act.changing(Fields::default(), after), now).await?;
        anchors::insert(conn, seq, &marks).await?;
    }
    anchors::set(conn, anchoring).await?;
    Ok(due.len())
}
