//! What is still to happen, in the order of true time. Nobody in the simulation sees true time: the database, the
//! workers and the people each have a clock of their own.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use chrono::{DateTime, Utc};
use muster::domain::action::{Failure, Outcome};

use crate::{database::Refused, people::Deed, turn::Committed};

/// Milliseconds: of true time since the schedule began, or of somebody's clock.
pub type Ms = i64;

/// What every clock shows when a schedule begins, in seconds since 1970.
const BEGAN: i64 = 1_800_000_000;

/// A time of the simulation as the core knows times.
pub fn time(ms: Ms) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(BEGAN * 1000 + ms).unwrap()
}

/// The other way round.
pub fn ms(time: DateTime<Utc>) -> Ms {
    time.timestamp_millis() - BEGAN * 1000
}

/// One process start of a worker: what was meant for an earlier one does not reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub worker: usize,
    pub life: u32,
}

/// One claim of a run by one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub process: Process,
    pub run: usize,
    pub fence: i64,
    /// The replica whose lease it stands on.
    pub owner: usize,
}

/// Something that will happen.
#[derive(Debug)]
pub enum Event {
    /// A worker looks for due runs.
    Poll(Process),
    /// The answer to a successful claim reaches its worker.
    Claimed(Claim),
    /// Something woke the worker of a run: a timer, a notification, a duplicate of one.
    Nudge { claim: Claim, has_news: bool },
    /// A turn reaches the database.
    Turn(usize),
    /// A worker's question for a run reaches the database.
    Load(Claim),
    /// The database's answer reaches the worker.
    Answered { claim: Claim, reply: Reply },
    /// A request reaches its target.
    Arrive { sending: usize },
    /// What a target or a probe says reaches the worker that asked.
    Heard { claim: Claim, out: u32, heard: Heard },
    /// Somebody looks for runs whose worker is gone.
    Sweep,
    /// A person looks at the runs.
    Look { person: usize },
    /// A person has made up their mind.
    Act { person: usize, deed: Deed },
    /// Something breaks.
    Fault,
    /// A dead worker is started again.
    Restart(usize),
    /// A worker has read the targets anew.
    Reread { process: Process, target: usize },
    /// From now on nothing breaks and people are kind.
    Calm,
}

/// What the database says.
#[derive(Debug)]
pub enum Reply {
    Loaded(Result<crate::drive::Memory, Refused>),
    Turned(Result<Committed, Refused>),
    /// The connection broke: nobody knows.
    Broken,
}

/// What a target or a probe says.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A target.
    Target {
        answer: Result<Outcome, Failure>,
        value: u64,
    },
    /// A probe that shows how things stood so long ago; `None`: it cannot be asked.
    Probe { lag: Option<Ms> },
}

struct Entry {
    at: Ms,
    /// Ties happen in the order they were planned.
    order: u64,
    event: Box<Event>,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        Reverse((self.at, self.order)).cmp(&Reverse((other.at, other.order)))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// Everything that is still to happen.
#[derive(Default)]
pub struct Agenda {
    entries: BinaryHeap<Entry>,
    count: u64,
}

impl Agenda {
    /// Something will happen at this true time.
    pub fn add(&mut self, at: Ms, event: Event) {
        self.count += 1;
        self.entries.push(Entry {
            at,
            order: self.count,
            event: Box::new(event),
        });
    }

    /// What happens next, and when.
    pub fn next(&mut self) -> Option<(Ms, Event)> {
        self.entries.pop().map(|entry| (entry.at, *entry.event))
    }
}

impl Event {
    /// The process that it happens to, if it happens to one.
    pub fn process(&self) -> Option<Process> {
        match self {
            Self::Poll(process) | Self::Reread { process, .. } => Some(*process),
            Self::Claimed(claim)
            | Self::Nudge { claim, .. }
            | Self::Answered { claim, .. }
            | Self::Heard { claim, .. } => Some(claim.process),
            _ => None,
        }
    }
}
