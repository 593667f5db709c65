//! The database: rows, and the guards that the real statements have. Every transaction is atomic; time is the
//! database's own clock, which may jump.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use muster::domain::{
    approval::ApprovalState, attempt::AttemptEnd, digest::Digest, id::StepId, run::RunFact, state::RunState,
    step::Effect,
};

use crate::{agenda::Ms, runbooks::LOCKS};

/// How long a lease lasts without renewal.
pub const LEASE: Ms = 10_000;
/// How long after its end a lease is still respected by others.
const GRACE: Ms = 1000;

/// Where a live run stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    Ready,
    Running,
    Waiting,
}

/// A live run in the queue.
#[derive(Clone, Debug)]
pub struct QueueRow {
    pub stand: Turned,
    pub due: Ms,
    pub owner: Option<usize>,
    /// Rises with every claim and every take-over.
    pub fence: i64,
    /// Rises with every act of a person.
    pub acts: i64,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct AttemptRow {
    pub step: StepId,
    pub attempt: u32,
    pub effect: Effect,
    pub permit: u32,
    pub key: String,
    pub fence: i64,
    /// `None` while it is out.
    pub end: Option<AttemptEnd>,
    pub started: Ms,
}

/// One request for a decision.
#[derive(Clone, Debug)]
pub struct ApprovalRow {
    pub run: usize,
    pub step: StepId,
    pub state: ApprovalState,
    pub digest: Digest,
    pub needed: u32,
    pub decide_by: Ms,
    pub use_by: Ms,
    /// When enough people had approved.
    pub approved: Ms,
    /// Who has voted.
    pub votes: Vec<usize>,
}

/// One run: its log, what it is pinned to, and the tables beside the log.
#[derive(Clone, Debug)]
pub struct RunRow {
    pub version: usize,
    pub log: Vec<(DateTime<Utc>, RunFact)>,
    /// The log, folded.
    pub state: RunState,
    pub queue: Option<QueueRow>,
    pub attempts: Vec<AttemptRow>,
    /// The newest finding of every step.
    pub findings: BTreeMap<StepId, u64>,
    /// Whether it has ever held all its locks.
    pub has_held: bool,
}

/// Why a transaction did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another claim has this run.
    Fenced,
    /// A person acted since the worker looked.
    Stale,
    /// It is not due by the database's clock, or what it stands on has lapsed by it.
    Untimely,
    /// Another run holds a lock.
    Held { lock: usize, holder: usize },
}

/// All rows.
#[derive(Default)]
pub struct Database {
    /// How far its clock is off true time.
    pub offset: Ms,
    pub runs: Vec<RunRow>,
    pub approvals: Vec<ApprovalRow>,
    /// When the lease of each replica ends, by this clock.
    pub leases: Vec<Ms>,
    pub locks: [Option<usize>; LOCKS],
}

impl Database {
    /// What its clock shows at a true time.
    pub fn clock(&self, now: Ms) -> Ms {
        now + self.offset
    }

    /// A new process start.
    pub fn register(&mut self, now: Ms) -> usize {
        self.leases.push(self.clock(now) + LEASE);
        self.leases.len() - 1
    }

    /// Renews a lease that has not ended.
    pub fn renew(&mut self, replica: usize, now: Ms) -> bool {
        let clock = self.clock(now);
        let holds = self.leases[replica] > clock;
        if holds {
            self.leases[replica] = clock + LEASE;
        }
        holds
    }

    /// Claims due runs, the longest due first.
    pub fn claim(&mut self, replica: usize, now: Ms, limit: usize) -> Vec<(usize, i64)> {
        let clock = self.clock(now);
        let mut due: Vec<(Ms, usize)> = Vec::new();
        for (run, row) in self.runs.iter().enumerate() {
            if let Some(queue) = &row.queue
                && queue.stand != Turned::Running
                && queue.due <= clock
            {
                due.push((queue.due, run));
            }
        }
        due.sort_unstable();
        due.truncate(limit);
        let mut claims = Vec::new();
        for (_, run) in due {
            if let Some(queue) = &mut self.runs[run].queue {
                queue.stand = Turned::Running;
                queue.owner = Some(replica);
                queue.fence += 1;
                claims.push((run, queue.fence));
            }
        }
        claims
    }

    /// Whether a run is due and nobody has it.
    pub fn has_due(&self, now: Ms) -> bool {
        let clock = self.clock(now);
        let queues = self.runs.iter().filter_map(|row| row.queue.as_ref());
        queues
            .into_iter()
            .any(|queue| queue.stand != Turned::Running && queue.due <= clock)
    }

    /// Takes runs back from replicas whose lease ended.
    pub fn take_back_expired(&mut self, now: Ms) -> Vec<usize> {
        let clock = self.clock(now);
        let mut taken = Vec::new();
        for (run, row) in self.runs.iter_mut().enumerate() {
            if let Some(queue) = &mut row.queue
                && let Some(owner) = queue.owner
                && self.leases[owner] < clock - GRACE
            {
                queue.give_back();
                taken.push(run);
            }
        }
        taken
    }

    /// Gives one claim back.
    pub fn give_back(&mut self, run: usize, fence: i64) {
        if let Some(queue) = &mut self.runs[run].queue
            && queue.stand == Turned::Running
            && queue.fence == fence
        {
            queue.give_back();
        }
    }
}

impl QueueRow {
    /// Due at once, at nobody's hands; the fence rises already, so nothing of the old worker lands before the next
    /// claim.
    fn give_back(&mut self) {
        self.stand = Turned::Ready;
        self.owner = None;
        self.fence += 1;
    }

    /// Whether this claim still holds the run.
    pub fn is_held(&self, fence: i64) -> bool {
        self.stand == Turned::Running && self.fence == fence
    }
}
