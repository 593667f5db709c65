//! A worker process: its lease, its own monotonic clock, the runs it has claimed, and how it finds more.

use std::fmt;

use crate::{
    agenda::{Claim, Event, Ms, Process},
    bound::Config,
    database::{Database, LEASE, Turned},
    drive::Drive,
    reach::Seen,
    runbooks::TARGETS,
    schedule::Schedule,
};

/// A replica starts no effect in the last stretch of its lease.
const LEASE_MARGIN: Ms = 2000;
/// How often the lease is renewed.
const RENEW: Ms = 3000;
/// How often runs of dead replicas are looked for.
const SWEEP: Ms = 2000;
/// The longest a worker waits without looking.
pub const POLL: Ms = 1000;
/// Runs worked on at once.
const RUNS_AT_ONCE: usize = 3;

/// One worker process.
pub struct Worker {
    pub is_alive: bool,
    pub process: Process,
    /// Nothing of it runs until then.
    pub paused_until: Ms,
    /// The database does not hear it until then.
    pub cut_until: Ms,
    /// The replica it is registered as.
    pub replica: usize,
    /// When its lease surely holds until, by its own clock.
    lease_until: Ms,
    /// When it renews next, in true time.
    renews: Ms,
    /// How much faster its clock runs than true time, in millionths.
    drift: i64,
    /// How far it is off when it reads the database's clock.
    error: Ms,
    /// How long its clock has stood still.
    stood: Ms,
    /// What the database's clock showed when it last said so, and its own clock then.
    seen: (Ms, Ms),
    /// The targets as it knows them.
    pub config: Config,
    pub drives: Vec<Drive>,
    pub last_out: u32,
}

impl Worker {
    pub fn new(worker: usize, drift: i64, error: Ms) -> Self {
        Self {
            is_alive: false,
            process: Process { worker, life: 0 },
            paused_until: 0,
            cut_until: 0,
            replica: 0,
            lease_until: 0,
            renews: 0,
            drift,
            error,
            stood: 0,
            seen: (0, 0),
            config: [0; TARGETS],
            drives: Vec::new(),
            last_out: 0,
        }
    }

    /// Its monotonic clock.
    fn clock(&self, now: Ms) -> Ms {
        let ran = now - self.stood;
        ran + ran * self.drift / 1_000_000
    }

    /// What it takes the database's clock to show.
    pub fn estimate(&self, now: Ms) -> Ms {
        self.seen.0 + self.clock(now) - self.seen.1
    }

    /// The database said what its clock shows.
    pub fn hears_time(&mut self, database: Ms, now: Ms) {
        self.seen = (database + self.error, self.clock(now));
    }

    fn may_claim(&self, now: Ms) -> bool {
        self.clock(now) + LEASE_MARGIN < self.lease_until
    }

    /// Whether something may be begun under a claim that stands on the lease of `owner`.
    pub fn may_begin(&self, owner: usize, now: Ms) -> bool {
        self.replica == owner && self.may_claim(now)
    }

    fn start(&mut self, db: &mut Database, now: Ms) {
        self.is_alive = true;
        self.process.life += 1;
        self.register(db, now);
        self.renews = now + RENEW;
        self.hears_time(db.clock(now), now);
    }

    fn register(&mut self, db: &mut Database, now: Ms) {
        self.replica = db.register(now);
        self.lease_until = self.clock(now) + LEASE;
    }

    /// Renews the lease as often as it was due since; in between nothing changes, so the first and the last time tell
    /// everything. Returns whether the lease had ended.
    fn renew(&mut self, db: &mut Database, now: Ms) -> bool {
        if !self.is_alive || self.renews > now {
            return false;
        }
        let had_ended = self.renew_once(db, self.renews);
        let more = (now - self.renews) / RENEW;
        if more > 0 {
            self.renew_once(db, self.renews + more * RENEW);
        }
        self.renews += (more + 1) * RENEW;
        had_ended
    }

    fn renew_once(&mut self, db: &mut Database, at: Ms) -> bool {
        let holds = db.renew(self.replica, at);
        match holds {
            true => self.lease_until = self.clock(at) + LEASE,
            false => self.register(db, at),
        }
        !holds
    }

    /// Its renewals do not come through until then.
    pub fn loses_renewals(&mut self, until: Ms) {
        self.renews = self.renews.max(until);
    }

    /// It stands still; `with_clock` when even its clock does.
    pub fn stands(&mut self, now: Ms, length: Ms, with_clock: bool) {
        self.paused_until = self.paused_until.max(now + length);
        self.loses_renewals(now + length + 1);
        if with_clock {
            self.stood += length;
        }
    }
}

impl Schedule {
    /// Starts a process, or starts it again.
    pub fn start(&mut self, worker: usize) {
        self.workers[worker].start(&mut self.db, self.now);
        self.workers[worker].config = self.config;
        self.says(|| format!("worker {worker} starts"));
        self.ring_all();
    }

    /// Lets every lease be what it is by now. Before anything that reads leases or moves clocks.
    pub fn renew(&mut self) {
        for at in 0..self.workers.len() {
            if self.workers[at].renew(&mut self.db, self.now) {
                self.says(|| format!("worker {at} finds its lease ended and goes on as another replica"));
                self.reach(Seen::LeaseLost);
                self.sweep_soon();
            }
        }
    }

    /// A worker looks for due runs within so long.
    pub fn poll_soon(&mut self, worker: usize, within: Ms) {
        if self.workers[worker].is_alive {
            let process = self.workers[worker].process;
            let after = self.dice.delay(within);
            self.agenda.add(self.now + after, Event::Poll(process));
        }
    }

    /// Something in the queue is or will be due: everybody who lives will look.
    pub fn ring(&mut self, after: Ms) {
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_alive {
                let process = self.workers[worker].process;
                let at = self.now + after + self.dice.delay(POLL);
                self.agenda.add(at, Event::Poll(process));
            }
        }
    }

    /// Every run in the queue is looked for when it is due.
    pub fn ring_all(&mut self) {
        let clock = self.db.clock(self.now);
        for run in 0..self.db.runs.len() {
            if let Some(queue) = &self.db.runs[run].queue
                && queue.stand != Turned::Running
            {
                let after = (queue.due - clock).max(0);
                self.ring(after);
            }
        }
    }

    /// A worker looks for due runs and claims some.
    pub fn poll(&mut self, process: Process) {
        let at = process.worker;
        let worker = &self.workers[at];
        let free = RUNS_AT_ONCE.saturating_sub(worker.drives.len());
        if worker.cut_until > self.now {
            let wait = worker.cut_until - self.now;
            self.agenda.add(self.now + wait + 1, Event::Poll(process));
            return;
        }
        if free == 0 || !worker.may_claim(self.now) {
            if self.db.has_due(self.now) {
                self.agenda.add(self.now + POLL, Event::Poll(process));
            }
            return;
        }
        let owner = worker.replica;
        let claims = self.db.claim(owner, self.now, free);
        for (run, fence) in claims {
            let claim = Claim {
                process,
                run,
                fence,
                owner,
            };
            self.says(|| format!("{claim} is claimed"));
            self.claims_overlap(claim);
            self.claims.push((claim, self.now));
            if self.dice.chance(self.mood.cuts) {
                self.reach(Seen::ClaimAnswerLost);
                self.sweep_soon();
                continue;
            }
            let after = self.dice.delay(100);
            self.agenda.add(self.now + after, Event::Claimed(claim));
        }
    }

    /// Counts when another worker still believes that it has the run.
    fn claims_overlap(&mut self, claim: Claim) {
        let believes = |worker: &Worker| worker.drives.iter().any(|drive| drive.claim.run == claim.run);
        if self.workers.iter().any(believes) {
            self.reach(Seen::TwoOwners);
        }
    }

    /// The answer to a claim arrives: the worker begins to drive the run.
    pub fn claimed(&mut self, claim: Claim) {
        let clock = self.db.clock(self.now);
        let worker = &mut self.workers[claim.process.worker];
        worker.hears_time(clock, self.now);
        let needs_locks = !self.shelf[self.db.runs[claim.run].version].locks.is_empty();
        worker.drives.push(Drive::new(claim, needs_locks));
        self.think(claim);
    }

    /// Somebody will look for runs whose worker is gone, again and again until there are none.
    pub fn sweep_soon(&mut self) {
        if !self.is_sweeping {
            self.is_sweeping = true;
            let after = self.dice.between(1, SWEEP);
            self.agenda.add(self.now + after, Event::Sweep);
        }
    }

    /// Takes over from replicas whose lease ended, and back from workers that lost track of what they claimed.
    pub fn sweep(&mut self) {
        let now = self.now;
        let can_sweep =
            |worker: &Worker| worker.is_alive && worker.paused_until <= now && worker.cut_until <= now;
        let sweeper = self.workers.iter().position(can_sweep);
        if sweeper.is_some() {
            for run in self.db.take_back_expired(now) {
                self.says(|| format!("run {run} is taken back from a replica whose lease ended"));
                self.reach(Seen::TakenOver);
                self.ring_all();
            }
        }
        let mut strays = Vec::new();
        let mut is_left = false;
        for (run, row) in self.db.runs.iter().enumerate() {
            let Some(queue) = row.queue.as_ref().filter(|queue| queue.stand == Turned::Running) else {
                continue;
            };
            let drives = |worker: &Worker| {
                worker
                    .drives
                    .iter()
                    .any(|drive| drive.claim.run == run && drive.claim.fence == queue.fence)
            };
            let owner = self
                .workers
                .iter()
                .find(|worker| Some(worker.replica) == queue.owner);
            match owner {
                Some(worker) if worker.is_alive && drives(worker) => {}
                Some(worker) if can_sweep(worker) => strays.push((run, queue.fence)),
                _ => is_left = true,
            }
        }
        // A claim is a stray when two looks in a row find nobody working on it.
        for stray in &strays {
            match self.suspects.contains(stray) {
                true => {
                    self.db.give_back(stray.0, stray.1);
                    self.reach(Seen::StrayGivenBack);
                    self.ring_all();
                }
                false => is_left = true,
            }
        }
        self.suspects = strays;
        self.is_sweeping = false;
        // A dead process keeps nothing, but its lease must end first.
        let unsure = self
            .workers
            .iter()
            .any(|worker| !worker.is_alive || worker.paused_until > now);
        if is_left || unsure {
            self.is_sweeping = true;
            self.agenda.add(now + SWEEP, Event::Sweep);
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            process, run, fence, ..
        } = self;
        write!(
            f,
            "worker {}.{} run {run} fence {fence}",
            process.worker, process.life
        )
    }
}
