//! Who took over from whom, and how soon: read from the instruments and the diary afterwards.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    instruments::{Lease, QueueMove},
    replicas::{Deed, Line},
};

/// A lease of 10 s, a second of grace, and a sweep every 2 s: the longest a run may wait for another worker.
pub const TAKE_OVER_MAX: Duration = Duration::from_secs(13);
/// What a machine that runs all tests at once may add.
pub const BUSY: Duration = Duration::from_millis(500);
/// The end of a lease that was renewed just before its process was killed comes so long after it, less a bit.
const LEASE_ENDS: TimeDelta = TimeDelta::seconds(9);

/// A run that lost its worker and got another.
#[derive(Clone, Copy, Debug)]
pub struct TakeOver {
    pub after: Duration,
    /// From the earliest end of the lease to the end of the bar one other process was up all the time.
    pub attended: bool,
}

/// What became of the runs whose worker was hit.
#[derive(Default)]
pub struct Succession {
    /// After a kill.
    pub killed: Vec<TakeOver>,
    /// After a stop, while the process stood still or later.
    pub stopped: Vec<TakeOver>,
}

/// One life of a process: from its first lease to its kill, with the times it stood still.
#[derive(Debug)]
struct Life {
    who: String,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    stops: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Life {
    fn is_up(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        self.from <= from
            && to <= self.to
            && self
                .stops
                .iter()
                .all(|(began, ended)| to < *began || *ended < from)
    }
}

/// A claim whose process was stopped at some time.
#[derive(Clone, Copy, Debug)]
pub struct Standstill {
    pub fence: i64,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// The claims of each run whose process was stopped, each with every stop of that process.
pub fn standstills(
    diary: &[Line],
    leases: &[Lease],
    moves: &BTreeMap<i64, Vec<QueueMove>>,
) -> BTreeMap<i64, Vec<Standstill>> {
    let lives = lives(diary, leases);
    let stops_of = |owner: Option<i64>| {
        let lease = leases.iter().find(|lease| Some(lease.replica) == owner);
        let life = lease.and_then(|lease| lives.iter().find(|life| life.who == lease.who));
        life.map(|life| life.stops.clone()).unwrap_or_default()
    };
    let of_run = |moves: &Vec<QueueMove>| {
        let claims = moves.iter().filter(|moved| moved.is_claim());
        let stops = claims.flat_map(|claim| {
            let stops = stops_of(claim.owner).into_iter();
            stops.map(|(from, to)| Standstill {
                fence: claim.fence,
                from,
                to,
            })
        });
        stops.collect()
    };
    moves.iter().map(|(run, moves)| (*run, of_run(moves))).collect()
}

/// Follows every run from each of its workers that was hit to the next.
pub fn follow(diary: &[Line], leases: &[Lease], moves: &BTreeMap<i64, Vec<QueueMove>>) -> Succession {
    let lives = lives(diary, leases);
    let mut succession = Succession::default();
    for line in diary {
        let into = match line.deed {
            Deed::Killed => &mut succession.killed,
            Deed::Stopped => &mut succession.stopped,
            Deed::Started | Deed::Continued => continue,
        };
        for moves in moves.values() {
            let Some((orphaned, next)) = orphaned(moves, line.at, |owner| {
                leases
                    .iter()
                    .any(|lease| lease.replica == owner && lease.who == line.who)
            }) else {
                continue;
            };
            let Some(claim) = moves[next..].iter().find(|moved| moved.is_claim()) else {
                continue;
            };
            let bar = line.at + TimeDelta::from_std(TAKE_OVER_MAX).unwrap_or_default();
            let attended = |life: &Life| life.who != line.who && life.is_up(line.at + LEASE_ENDS, bar);
            into.push(TakeOver {
                after: (claim.at - orphaned).to_std().unwrap_or_default(),
                attended: lives.iter().any(attended),
            });
        }
    }
    succession
}

/// The moment the run lost its worker and the place of the first move after it, when it was such a worker's run then
/// and that worker never moved it again.
fn orphaned(
    moves: &[QueueMove],
    at: DateTime<Utc>,
    is_hit: impl Fn(i64) -> bool,
) -> Option<(DateTime<Utc>, usize)> {
    let next = moves.partition_point(|moved| moved.at <= at);
    let last = moves[..next].last()?;
    let was_its = last.is_claim() && last.owner.is_some_and(is_hit);
    // A commit that was on its way at the kill still counts as the worker's.
    let moved_on = moves.get(next).is_some_and(|moved| moved.fence == last.fence);
    (was_its && !moved_on).then_some((at, next))
}

fn lives(diary: &[Line], leases: &[Lease]) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for lease in leases {
        if lives.iter().all(|life| life.who != lease.who) {
            lives.push(Life {
                who: lease.who.clone(),
                from: lease.started_at,
                to: DateTime::<Utc>::MAX_UTC,
                stops: Vec::new(),
            });
        }
    }
    for line in diary {
        let Some(life) = lives.iter_mut().find(|life| life.who == line.who) else {
            continue;
        };
        match line.deed {
            Deed::Started => {}
            Deed::Killed => life.to = line.at,
            Deed::Stopped => life.stops.push((line.at, DateTime::<Utc>::MAX_UTC)),
            Deed::Continued => {
                if let Some((_, ended)) = life.stops.last_mut() {
                    *ended = line.at;
                }
            }
        }
    }
    lives
}

/// The value below which this share of the sorted times lies.
pub fn quantile(times: &[Duration], share: f64) -> Duration {
    let at = (times.len() as f64 * share) as usize;
    times
        .get(at.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
