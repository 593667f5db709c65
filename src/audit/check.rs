//! Going through the chains again, a bounded piece at a time, for upkeep and for `muster audit verify`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::mark::MARKS_MAX;
use crate::{
    domain::{
        audit::{ActKind, Broken, RecordedAct, digest_of, follow},
        event::{EventRow, Tail},
        id::IncidentId,
    },
    store::{
        StoreError, anchors, audit,
        audit_checks::{self, Chain, Check},
        decisions,
    },
};

/// Rows that are read at once.
pub const BATCH: i64 = 1000;
/// Batches of each chain in one pass of upkeep.
const BATCHES_PER_PASS: usize = 5;

/// Where a walk along a chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The incident whose timeline it is in; 0 in the audit, and before the first.
    pub incident: IncidentId,
    /// The end of what it has seen there.
    pub tail: Tail,
    /// Links it has seen in all.
    pub walked: i64,
}

impl Walk {
    /// Before the first link.
    pub const START: Self = Self {
        incident: IncidentId(0),
        tail: Tail::START,
        walked: 0,
    };
}

/// How a batch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// That was the end, and everything holds.
    End,
    /// Something does not hold.
    Broken(Broken),
}

/// Goes on along a chain by one batch. The caller's transaction sees one moment.
pub async fn step(conn: &mut PgConnection, chain: Chain, walk: &mut Walk) -> Result<Step, StoreError> {
    match chain {
        Chain::Acts => acts(conn, walk).await,
        Chain::Timelines => timelines(conn, walk).await,
    }
}

/// Goes on along a chain where the last pass stopped, and writes down what was found. Does nothing while another replica
/// does. The caller's transaction sees one moment.
pub async fn pass(conn: &mut PgConnection, chain: Chain, now: DateTime<Utc>) -> Result<(), StoreError> {
    let Some(check) = audit_checks::find(conn, chain, true).await? else {
        return Ok(());
    };
    let mut walk = Walk {
        incident: check.incident,
        tail: check.tail,
        walked: check.walked,
    };
    let (mut whole, mut broken) = (check.whole, check.broken);
    for _ in 0..BATCHES_PER_PASS {
        match step(conn, chain, &mut walk).await? {
            Step::More => continue,
            Step::End => (whole, broken) = (Some((walk.walked, now)), None),
            Step::Broken(found) => {
                if broken.as_ref() != Some(&found) {
                    tracing::error!("{found}");
                }
                broken = Some(found);
            }
        }
        walk = Walk::START;
        break;
    }
    let check = Check {
        incident: walk.incident,
        tail: walk.tail,
        walked: walk.walked,
        whole,
        broken,
    };
    audit_checks::set(conn, chain, &check).await
}

async fn acts(conn: &mut PgConnection, walk: &mut Walk) -> Result<Step, StoreError> {
    let rows = match audit::list_from(conn, walk.tail.next, BATCH).await {
        Err(StoreError::Corrupt { .. }) => return unreadable(conn, walk).await,
        rows => rows?,
    };
    for row in &rows {
        walk.tail = match follow(walk.tail, row) {
            Ok(tail) => tail,
            Err(broken) => return Ok(Step::Broken(broken)),
        };
        walk.walked += 1;
        if let Some(broken) = false_marks(conn, row).await? {
            return Ok(Step::Broken(broken));
        }
    }
    if rows.len() as i64 == BATCH {
        return Ok(Step::More);
    }
    let head = audit::tail(conn).await?;
    if head == walk.tail {
        return Ok(Step::End);
    }
    Ok(Step::Broken(Broken {
        incident: None,
        seq: walk.tail.next,
        at: None,
        why: match head.next > walk.tail.next {
            true => format!("rows up to #{} are missing at the end", head.next - 1),
            false => "the head names another end than the rows have".to_owned(),
        },
    }))
}

/// Names the row of a batch that cannot be read at all.
async fn unreadable(conn: &mut PgConnection, walk: &mut Walk) -> Result<Step, StoreError> {
    for _ in 0..BATCH {
        match audit::list_from(conn, walk.tail.next, 1).await {
            Ok(rows) => match rows.first().map(|row| follow(walk.tail, row)) {
                Some(Ok(tail)) => walk.tail = tail,
                Some(Err(broken)) => return Ok(Step::Broken(broken)),
                None => break,
            },
            Err(StoreError::Corrupt { column, detail, .. }) => {
                return Ok(Step::Broken(Broken {
                    incident: None,
                    seq: walk.tail.next,
                    at: None,
                    why: format!("its column {column} holds what was never written there: {detail}"),
                }));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Step::More)
}

/// What is wrong with the marks of an act, if it has any.
async fn false_marks(conn: &mut PgConnection, row: &RecordedAct) -> Result<Option<Broken>, StoreError> {
    if row.act.kind != ActKind::TimelinesMarked.name() {
        return Ok(None);
    }
    let marks = anchors::of_act(conn, row.seq, MARKS_MAX + 1).await?;
    let digest = digest_of(&marks).to_string();
    Ok((row.act.after.get("digest") != Some(&digest)).then(|| Broken {
        incident: None,
        seq: row.seq,
        at: Some(row.at),
        why: "the marks that were made with it are not those it names".to_owned(),
    }))
}

/// What the walk along timelines compares with: where they end by the rows of their incidents.
struct Ends {
    ends: std::vec::IntoIter<(IncidentId, Tail)>,
}

impl Ends {
    /// Passes on to this incident; what is wrong with those that were passed over.
    fn pass_to(&mut self, incident: IncidentId) -> Result<Option<Tail>, Broken> {
        while let Some((id, end)) = self.ends.as_slice().first().copied() {
            if id > incident {
                return Ok(None);
            }
            self.ends.next();
            if id == incident {
                return Ok(Some(end));
            }
            if end != Tail::START {
                return Err(lost(id, Tail::START, Some(end)));
            }
        }
        Ok(None)
    }
}

/// A timeline that ends elsewhere than its incident says.
fn lost(incident: IncidentId, seen: Tail, end: Option<Tail>) -> Broken {
    Broken {
        incident: Some(incident),
        seq: seen.next,
        at: None,
        why: match end {
            None => "its incident is gone".to_owned(),
            Some(end) if end.next > seen.next => {
                format!("events up to #{} are missing at the end", end.next - 1)
            }
            Some(_) => "its incident names another end than the events have".to_owned(),
        },
    }
}

async fn timelines(conn: &mut PgConnection, walk: &mut Walk) -> Result<Step, StoreError> {
    let from = walk.incident;
    let rows = decisions::list_from(conn, from, walk.tail.next, BATCH).await?;
    let is_end = (rows.len() as i64) < BATCH;
    let last = rows.last().map_or(from, |(row, _)| row.incident);
    let to = if is_end { IncidentId(i64::MAX) } else { last };
    // Every incident has an event, so there are no more of them than rows, but where rows were taken away.
    let ends = decisions::tails(conn, from, to).await?.into_iter();
    if let Err(broken) = along(walk, rows, Ends { ends }, is_end) {
        return Ok(Step::Broken(broken));
    }
    if let Some(missed) = anchors::first_missed(conn, from, to).await? {
        let marked = missed.marked_at.format("%-d %b %Y %H:%M:%S UTC");
        let what = match missed.is_replaced {
            true => "another event stands here than the one that was marked",
            false => "there is no such event any more, and there was when it was marked",
        };
        return Ok(Step::Broken(Broken {
            incident: Some(missed.incident),
            seq: missed.seq,
            at: None,
            why: format!("{what} at {marked}"),
        }));
    }
    Ok(if is_end { Step::End } else { Step::More })
}

/// Follows the chains of these rows, each timeline to the end that its incident names.
fn along(
    walk: &mut Walk,
    rows: Vec<(EventRow, crate::domain::digest::Digest)>,
    mut ends: Ends,
    is_end: bool,
) -> Result<(), Broken> {
    let closed =
        |incident: IncidentId, seen: Tail, end: Option<Tail>| match end == Some(seen) || incident.0 == 0 {
            true => Ok(()),
            false => Err(lost(incident, seen, end)),
        };
    let mut end = ends.pass_to(walk.incident)?;
    for (row, link) in rows {
        if row.incident != walk.incident {
            closed(walk.incident, walk.tail, end)?;
            end = ends.pass_to(row.incident)?;
            (walk.incident, walk.tail) = (row.incident, Tail::START);
        }
        let broken = |why: String| Broken {
            incident: Some(row.incident),
            seq: row.seq,
            at: Some(row.recorded_at),
            why,
        };
        if row.seq != walk.tail.next {
            return Err(broken(format!("#{} should stand here", walk.tail.next)));
        }
        if row.link(walk.tail.link) != link {
            return Err(broken(
                "its hash does not follow from it and the event before".to_owned(),
            ));
        }
        walk.tail = Tail {
            next: row.seq + 1,
            link,
        };
        walk.walked += 1;
    }
    if is_end {
        closed(walk.incident, walk.tail, end)?;
        ends.pass_to(IncidentId(i64::MAX))?;
    }
    Ok(())
}
