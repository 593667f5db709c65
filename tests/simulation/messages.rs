//! What goes between a worker and the database about one run: questions and turns, each of which may be lost, late, or
//! done with nobody told.

use crate::{
    agenda::{Claim, Event, Ms, Reply},
    database::Refused,
    drive::{Ended, Memory},
    reach::Seen,
    schedule::Schedule,
    turn::{Begin, Committed, Turn, Write},
};

/// How long a worker waits for the database.
const DATABASE_DEADLINE: Ms = 5000;

impl Schedule {
    /// Reads the run anew. What became of a turn that was given up must be certain first.
    pub fn ask(&mut self, claim: Claim) {
        let cut = self.workers[claim.process.worker].cut_until > self.now;
        self.drive(claim).is_asking = true;
        if cut || self.dice.chance(self.mood.cuts) {
            let after = self.dice.between(1, DATABASE_DEADLINE);
            let reply = Reply::Broken;
            return self
                .agenda
                .add(self.now + after, Event::Answered { claim, reply });
        }
        let after = self.dice.delay(50);
        self.agenda.add(self.now + after, Event::Load(claim));
    }

    /// A worker's question reaches the database.
    pub fn load(&mut self, claim: Claim) {
        if self.rules.waits_for_lost_turn
            && self.is_driven(claim)
            && let Some(turn) = self.drive(claim).lost_turn.take()
        {
            self.settle_lost_turn(turn);
        }
        let row = &self.db.runs[claim.run];
        let loaded = match &row.queue {
            Some(queue) if queue.is_held(claim.fence) => Ok(Memory {
                state: row.state.clone(),
                acts: queue.acts,
                findings: row.findings.clone(),
            }),
            _ => Err(Refused::Fenced),
        };
        let after = self.dice.delay(50);
        let reply = Reply::Loaded(loaded);
        self.agenda
            .add(self.now + after, Event::Answered { claim, reply });
    }

    /// A turn whose worker gave it up holds the run's row until it has happened or not.
    fn settle_lost_turn(&mut self, turn: usize) {
        if let Some(turn) = self.turns[turn].take()
            && self.dice.chance(50)
        {
            self.reach(Seen::CommittedUnseen);
            let _ = self.take_turn(turn);
        }
    }

    /// Sends a turn to the database.
    pub fn turn(
        &mut self,
        claim: Claim,
        acts: Option<i64>,
        writes: Vec<Write>,
        ended: Vec<Ended>,
        begins: Vec<Begin>,
    ) {
        let is_leaving = writes
            .iter()
            .any(|write| matches!(write, Write::LetGo { .. } | Write::Finish { .. }));
        if !self.rules.commits_first {
            for begin in &begins {
                self.start_attempt(claim, begin.clone());
            }
        }
        let drive = self.drive(claim);
        drive.is_asking = true;
        drive.is_leaving = is_leaving;
        drive.is_locking = matches!(writes[..], [Write::TakeLocks(_)]);
        drive.writing = (ended, begins);
        let at = self.turns.len();
        self.turns.push(Some(Turn {
            claim,
            acts,
            writes,
            is_given_up: false,
        }));
        let cut = self.workers[claim.process.worker].cut_until > self.now;
        let breaks = self.now + self.dice.between(1, DATABASE_DEADLINE);
        let broken = Event::Answered {
            claim,
            reply: Reply::Broken,
        };
        if cut || self.dice.chance(self.mood.cuts) {
            self.drive(claim).lost_turn = Some(at);
            if let Some(turn) = &mut self.turns[at] {
                turn.is_given_up = true;
            }
            let weights = if cut { [1, 0, 0] } else { [30, 40, 30] };
            match self.dice.weighted(&weights) {
                // It never gets there.
                0 => {
                    self.reach(Seen::TurnLost);
                    self.turns[at] = None;
                }
                // It is done, and the answer is lost.
                1 => {
                    self.reach(Seen::TurnAnswerLost);
                    let after = self.dice.delay(100);
                    self.agenda.add(self.now + after, Event::Turn(at));
                }
                // It gets there after the worker gave it up, unless that is settled before.
                _ => {
                    self.reach(Seen::TurnLate);
                    let after = self.dice.between(500, 2 * DATABASE_DEADLINE);
                    self.agenda.add(self.now + after, Event::Turn(at));
                }
            }
            return self.agenda.add(breaks, broken);
        }
        let after = self.dice.delay(100);
        self.agenda.add(self.now + after, Event::Turn(at));
    }

    /// A turn reaches the database.
    pub fn turn_arrives(&mut self, at: usize) {
        let Some(turn) = self.turns[at].take() else {
            return;
        };
        let (claim, is_given_up) = (turn.claim, turn.is_given_up);
        let result = self.take_turn(turn);
        if self.dice.chance(self.mood.stalls) && self.workers[claim.process.worker].process == claim.process {
            self.reach(Seen::Stalled);
            let length = self.dice.between(5000, 30_000);
            self.stand_still(claim.process.worker, length, false);
        }
        match is_given_up {
            false => {
                let after = self.dice.delay(100);
                let reply = Reply::Turned(result);
                self.agenda
                    .add(self.now + after, Event::Answered { claim, reply });
            }
            true if result.is_ok() => self.reach(Seen::CommittedUnseen),
            true => {}
        }
    }

    /// The database's answer reaches the worker.
    pub fn answered(&mut self, claim: Claim, reply: Reply) {
        if !self.is_driven(claim) {
            return;
        }
        let clock = self.db.clock(self.now);
        if !matches!(reply, Reply::Broken) {
            self.workers[claim.process.worker].hears_time(clock, self.now);
        }
        let drive = self.drive(claim);
        drive.is_asking = false;
        let (mut ended, begins) = std::mem::take(&mut drive.writing);
        match reply {
            Reply::Loaded(Err(_)) | Reply::Turned(Err(Refused::Fenced)) => return self.drop_drive(claim),
            Reply::Loaded(Ok(memory)) => drive.memory = Some(memory),
            Reply::Turned(Ok(committed)) => {
                if drive.is_leaving {
                    return self.drop_drive(claim);
                }
                self.took_turn(claim, committed, begins);
            }
            Reply::Turned(Err(Refused::Held { lock, holder })) => {
                return self.wait_for_lock(claim, lock, holder);
            }
            Reply::Turned(Err(refused)) => {
                drive.has_news = refused == Refused::Stale;
                if !ended.is_empty() {
                    drive.ended.append(&mut ended);
                    self.reach(Seen::OutcomeKept);
                }
                // What the plan now says, and not before the clock has moved.
                let after = if refused == Refused::Untimely { 800 } else { 20 };
                let again = self.now + self.dice.delay(after);
                return self.agenda.add(
                    again,
                    Event::Nudge {
                        claim,
                        has_news: false,
                    },
                );
            }
            Reply::Broken => {
                drive.ended.append(&mut ended);
                drive.has_news = true;
                self.reach(Seen::CommitUnknown);
                if self.dice.chance(25) {
                    return self.put_off(claim);
                }
            }
        }
        self.think(claim);
    }

    /// A worker that does not understand any more lets the run go, and whatever was out with it.
    fn put_off(&mut self, claim: Claim) {
        self.reach(Seen::PutOff);
        let lost = self.drive(claim).lost_turn;
        self.drop_drive(claim);
        if let Some(turn) = lost.filter(|_| self.rules.waits_for_lost_turn) {
            self.settle_lost_turn(turn);
        }
        let due = self.db.clock(self.now) + 5000;
        let turn = Turn {
            claim,
            acts: None,
            writes: vec![Write::LetGo { due }],
            is_given_up: true,
        };
        match self.dice.chance(70) {
            true => _ = self.take_turn(turn),
            false => self.sweep_soon(),
        }
    }

    fn took_turn(&mut self, claim: Claim, committed: Committed, begins: Vec<Begin>) {
        let drive = self.drive(claim);
        drive.needs_locks &= !drive.is_locking;
        let memory = drive.memory.as_mut().unwrap();
        for (at, fact) in &committed.facts {
            if let Err(illegal) = memory.state.apply(*at, fact) {
                return self.broken("P7", format!("a worker's memory is not the log: {illegal}"));
            }
        }
        memory.findings.extend(committed.findings);
        self.compare(claim);
        if self.rules.commits_first {
            for begin in begins {
                self.start_attempt(claim, begin);
            }
        }
    }

    /// While nobody else has written, what a worker knows is what is written.
    fn compare(&mut self, claim: Claim) {
        let drives = &self.workers[claim.process.worker].drives;
        let drive = drives.iter().find(|drive| drive.claim == claim).unwrap();
        let row = &self.db.runs[claim.run];
        if let (Some(memory), Some(queue)) = (&drive.memory, &row.queue)
            && queue.is_held(claim.fence)
            && queue.acts == memory.acts
            && (memory.state != row.state || memory.findings != row.findings)
        {
            self.broken(
                "P7",
                format!("{claim} remembers something else than the log says"),
            );
        }
    }
}
