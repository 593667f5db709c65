//! What a schedule has come past: a fault that never fired proves nothing, a move that was never made is untested.

use muster::domain::{plan::Move, run::RunFact};

use crate::schedule::Schedule;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $names:ident: $($word:ident),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($word),* }
        const $names: &[&str] = &[$(stringify!($word)),*];
    };
}

/// One arm for each variant that lives in the core: a new one does not compile until it is counted here.
macro_rules! counted {
    ($index:ident, $names:ident, $of:ident: $($word:ident),* $(,)?) => {
        const $names: &[&str] = &[$(stringify!($word)),*];
        fn $index(of: &$of) -> usize {
            let name = match of { $($of::$word { .. } => stringify!($word)),* };
            $names.iter().position(|other| std::ptr::eq(*other, name) || *other == name).unwrap_or(0)
        }
    };
}

named! {
    /// Faults, races and last defences, each counted where it happens.
    Seen, SEEN:
    Crashed, Restarted, Paused, Stalled, Frozen, CutOff, RenewalsLost, LeaseLost, ClockForward, ClockBack,
    TakenOver, StrayGivenBack, TwoOwners, ClaimAnswerLost, DuplicateWake, TargetChanged,
    TurnLost, TurnAnswerLost, TurnLate, CommitUnknown, CommittedUnseen, PutOff,
    TurnFenced, TurnStale, TurnUntimely, OutcomeWithIntent, OutcomeKept, OutcomeDropped, SideBySide,
    LockHeld, NotBegun, CutOffTooOften, Confirmed, NotConfirmed,
    TargetDid, TargetRefused, TargetDown, AnswerLost, RequestLost, EffectLate, AnswerAfterALease,
    ProbeDown, ProbeLags, StaleFenceAtTarget,
    Approved, Rejected, Withdrawn, SentBack, BrokenOpen, PausedByPerson, LetGoOn, Stopped, StoppedWithUndo,
    SkippedByPerson, ManualDone, RunCheck, MarkedDone, MarkedNotDone, RetriedSameKey, RetriedNewKey,
    PersonTooLate, DigestChanged, Continued, BadRunbook, Deadlock,
    EndedSucceeded, EndedFailed, EndedRejected, EndedStopped,
}

counted! {
    move_index, MOVES, Move:
    Act, ListItems, Refuse, PassOver, Interrupted, Settle, OpenGate, ExpireGate, AskManual, ManualOverdue, BeginWait,
    EndWait, End, Finish,
}

counted! {
    fact_index, FACTS, RunFact:
    RunStarted, StepCarried, LockAwaited, ItemsListed, StepSatisfied, StepStarted, StepSucceeded, StepFailed, StepHeld,
    StepInterrupted, OutcomeUnknown, ProbeInconclusive, StepSkipped, StepReopened, GateOpened, GateApproval, GateApproved, GateBroken,
    GateRejected, GateWithdrawn, GateSentBack, GateExpired, GateVoided, ManualAsked, ManualDone, ManualOverdue, WaitBegan,
    WaitOver, UnknownDecided, PauseRequested, PauseEnded, StopRequested, UndoRequested, RunEnding, RunFinished,
}

/// How often each of them happened.
#[derive(Clone)]
pub struct Reach {
    seen: [u64; SEEN.len()],
    moves: [u64; MOVES.len()],
    facts: [u64; FACTS.len()],
    /// Things that happened in all.
    pub events: u64,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            seen: [0; SEEN.len()],
            moves: [0; MOVES.len()],
            facts: [0; FACTS.len()],
            events: 0,
        }
    }
}

impl Reach {
    fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = |names: &'static [&'static str], counts: &[u64]| {
            names.iter().copied().zip(counts.to_vec()).collect::<Vec<_>>()
        };
        let all = [
            named(SEEN, &self.seen),
            named(MOVES, &self.moves),
            named(FACTS, &self.facts),
        ];
        all.into_iter().flatten()
    }

    /// Adds what another schedule came past.
    pub fn add(&mut self, other: &Self) {
        let pairs = (self.seen.iter_mut().zip(&other.seen))
            .chain(self.moves.iter_mut().zip(&other.moves))
            .chain(self.facts.iter_mut().zip(&other.facts));
        for (sum, more) in pairs {
            *sum += more;
        }
        self.events += other.events;
    }

    /// What never happened.
    pub fn missed(&self) -> Vec<&'static str> {
        self.rows()
            .filter(|(_, count)| *count == 0)
            .map(|(name, _)| name)
            .collect()
    }

    /// Everything with its count, a few to a line.
    pub fn table(&self) -> String {
        let cells: Vec<String> = self
            .rows()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let lines: Vec<String> = cells
            .chunks(4)
            .map(|line| {
                line.iter()
                    .map(|cell| format!("{cell:<29}"))
                    .collect::<String>()
                    .trim_end()
                    .to_owned()
            })
            .collect();
        lines.join("\n")
    }
}

impl Schedule {
    pub fn reach(&mut self, seen: Seen) {
        self.reached.seen[seen as usize] += 1;
    }

    pub fn reach_move(&mut self, one: &Move) {
        self.reached.moves[move_index(one)] += 1;
    }

    pub fn reach_fact(&mut self, fact: &RunFact) {
        self.reached.facts[fact_index(fact)] += 1;
    }
}
