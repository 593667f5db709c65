//! What goes wrong: processes that die, stand still or are cut off, clocks that jump, targets that are edited. Every
//! schedule is rough in its own way.

use crate::{
    agenda::{Event, Ms},
    dice::Dice,
    people::PEOPLE,
    reach::Seen,
    runbooks::TARGETS,
    schedule::Schedule,
    turn::Turn,
};

/// How rough a schedule is.
#[derive(Clone, Debug)]
pub struct Mood {
    /// Of a hundred requests and probes, how many do not go well.
    pub losses: u32,
    /// Of a hundred messages between workers and database, how many are lost or late.
    pub cuts: u32,
    /// Of a hundred turns, after how many the worker gets no time for a while.
    pub stalls: u32,
    /// Of a hundred looks, how many make people do something that nobody asked for.
    pub meddling: u32,
    /// The longest a person does not look.
    pub people_rest: Ms,
    /// The longest time without a fault.
    pub fault_rest: Ms,
    /// How likely each fault is.
    faults: [u32; 9],
    /// How long anything may happen.
    pub rough_for: Ms,
}

impl Schedule {
    /// Something breaks.
    pub fn fault(&mut self) {
        if self.is_calm {
            return;
        }
        let worker = self.dice.below(self.workers.len());
        let length = self.dice.between(500, 30_000);
        let fault = self.dice.weighted(&self.mood.faults);
        match fault {
            0 => self.crash(worker, length),
            1 | 2 => {
                let with_clock = fault == 2;
                self.reach(if with_clock { Seen::Frozen } else { Seen::Paused });
                self.stand_still(worker, length, with_clock);
            }
            3 => {
                self.reach(Seen::CutOff);
                self.says(|| format!("worker {worker} is cut off from the database for {length} ms"));
                let until = self.now + length;
                self.workers[worker].cut_until = until;
                self.workers[worker].loses_renewals(until);
                self.sweep_soon();
            }
            4 => {
                self.reach(Seen::RenewalsLost);
                self.says(|| format!("worker {worker} cannot renew its lease for {length} ms"));
                let until = self.now + length;
                self.workers[worker].loses_renewals(until);
                self.sweep_soon();
            }
            5 | 6 => self.jump(fault == 5),
            7 => {
                self.reach(Seen::DuplicateWake);
                self.ring(0);
                for run in 0..self.db.runs.len() {
                    self.tell_worker(run);
                }
            }
            _ => self.change_target(),
        }
        let after = self.dice.between(1, self.mood.fault_rest);
        self.agenda.add(self.now + after, Event::Fault);
    }

    /// A worker is not given any time; `with_clock` when even its clock stands still.
    pub fn stand_still(&mut self, worker: usize, length: Ms, with_clock: bool) {
        self.says(|| format!("worker {worker} stands still for {length} ms, with its clock: {with_clock}"));
        if with_clock {
            self.lie();
        }
        self.workers[worker].stands(self.now, length, with_clock);
        self.sweep_soon();
    }

    fn crash(&mut self, worker: usize, length: Ms) {
        if !self.workers[worker].is_alive {
            return;
        }
        self.reach(Seen::Crashed);
        self.says(|| format!("worker {worker} dies"));
        let dead = &mut self.workers[worker];
        dead.is_alive = false;
        dead.drives.clear();
        dead.paused_until = 0;
        // What it had sent to the database is done or not, whatever becomes of its sender.
        for at in 0..self.turns.len() {
            let is_its = |turn: &Turn| turn.claim.process.worker == worker;
            if self.turns[at].as_ref().is_some_and(is_its) {
                match self.dice.chance(50) {
                    true => self.turns[at] = None,
                    false => self.turns[at].as_mut().unwrap().is_given_up = true,
                }
            }
        }
        self.agenda.add(self.now + length, Event::Restart(worker));
        self.sweep_soon();
    }

    /// The database's clock jumps.
    fn jump(&mut self, forward: bool) {
        let length = match (forward, self.dice.chance(60)) {
            (_, true) => self.dice.between(1000, 15_000),
            (true, false) => self.dice.between(15_000, 600_000),
            // Timers wait for the clock to come back, however far it went.
            (false, false) => self.dice.between(15_000, 100_000),
        };
        self.reach(if forward {
            Seen::ClockForward
        } else {
            Seen::ClockBack
        });
        self.says(|| format!("the database's clock jumps by {length} ms, forward: {forward}"));
        self.lie();
        self.db.offset += if forward { length } else { -length };
        self.set_back += if forward { 0 } else { length };
        self.ring_all();
        for run in 0..self.db.runs.len() {
            self.tell_worker(run);
        }
        self.sweep_soon();
    }

    fn lie(&mut self) {
        self.first_lie.get_or_insert(self.now);
    }

    /// Somebody edits a target; the workers read it anew, each when it gets to it.
    fn change_target(&mut self) {
        let target = self.dice.below(TARGETS);
        self.reach(Seen::TargetChanged);
        self.says(|| format!("target {target} is changed"));
        self.config[target] += 1;
        for worker in 0..self.workers.len() {
            let process = self.workers[worker].process;
            let after = self.dice.delay(10_000);
            self.agenda
                .add(self.now + after, Event::Reread { process, target });
        }
    }

    /// From now on nothing breaks.
    pub fn calm(&mut self) {
        self.says(|| "from now on nothing breaks".to_owned());
        self.is_calm = true;
        self.mood.losses = 0;
        self.mood.cuts = 0;
        self.mood.stalls = 0;
        for worker in 0..self.workers.len() {
            self.workers[worker].cut_until = 0;
            if !self.workers[worker].is_alive {
                self.start(worker);
            }
        }
        self.ring_all();
        for person in 0..PEOPLE {
            self.agenda.add(self.now + 1, Event::Look { person });
        }
        self.sweep_soon();
    }
}

impl Mood {
    pub fn random(dice: &mut Dice) -> Self {
        let mut faults = [0; 9];
        for fault in &mut faults {
            *fault = dice.one_of(&[0, 0, 1, 4]);
        }
        faults[7] += 1;
        Self {
            losses: dice.one_of(&[0, 10, 30, 60]),
            cuts: dice.one_of(&[0, 0, 3, 15]),
            stalls: dice.one_of(&[0, 0, 0, 0, 4, 40]),
            meddling: dice.one_of(&[0, 10, 40, 90]),
            people_rest: dice.one_of(&[8000, 25_000, 60_000]),
            fault_rest: dice.one_of(&[6000, 20_000, 100_000]),
            faults,
            rough_for: dice.one_of(&[30_000, 90_000, 240_000]),
        }
    }
}
