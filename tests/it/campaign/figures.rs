//! The figures of a campaign: what was done to the processes, and how often it really hit something.

use std::collections::BTreeMap;

use muster::domain::run::{RunFact, Settled};

use super::{
    World, checker::Evidence, killer::Toll, quick::Past, shapes::Place, story::RunStory,
    succession::Succession,
};
use crate::support::ledger::Entry;

/// What a worker logs whose write the fence refused.
pub const FENCED: &str = "another worker has this run; nothing more was written";
/// What a process logs that finds its lease gone.
const LEASE_LOST: &str = "the lease had ended; going on as a new replica";

/// Whether a figure tells that a fault hit something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fires {
    /// It tells nothing of the kind.
    No,
    /// A full campaign in which it is 0 proves nothing about this fault.
    InFull,
    /// So does a short one.
    Always,
}

/// One figure.
pub struct Figure {
    pub name: &'static str,
    pub count: usize,
    pub fires: Fires,
}

/// All of them, in the order of the report.
pub fn all(
    world: &World,
    evidence: &Evidence,
    toll: &Toll,
    past: &Past,
    succession: &Succession,
    logs: &str,
) -> Vec<Figure> {
    let facts = |wanted: fn(&RunFact) -> bool| {
        let facts = evidence.runs.iter().flat_map(|run| &run.facts);
        facts.filter(|(_, fact)| wanted(fact)).count()
    };
    let logged = |line: &str| logs.matches(line).count();
    let everything = world.ledger.everything();
    let questions = everything.iter().filter(|entry| entry.reading).count();
    let notes = world.notebook.lock().unwrap();
    let always = |name, count| Figure {
        name,
        count,
        fires: Fires::Always,
    };
    let in_full = |name, count| Figure {
        name,
        count,
        fires: Fires::InFull,
    };
    let seen = |name, count| Figure {
        name,
        count,
        fires: Fires::No,
    };
    vec![
        always("kills (SIGKILL)", toll.kills),
        always("stops (SIGSTOP longer than the lease, then SIGCONT)", toll.stops),
        in_full("kills that left no process awake", toll.none_awake),
        in_full("new versions of runbooks", toll.versions),
        seen("looks of the cheap checker", past.looks),
        always("runs cut off by a kill", toll.runs_cut),
        always("attempts cut off by a kill", toll.attempts_cut.len()),
        in_full("  of them outcome unknown", unknown_by_kill(evidence, toll)),
        in_full("runs held by a process when it was stopped", toll.runs_frozen),
        always("take-overs from killed processes", succession.killed.len()),
        in_full("take-overs from stopped processes", succession.stopped.len()),
        in_full("leases lost by processes that came back", logged(LEASE_LOST)),
        in_full("writes refused by the fence", logged(FENCED)),
        in_full(
            "outcomes unknown, answers lost included",
            facts(|fact| matches!(fact, RunFact::OutcomeUnknown { .. })),
        ),
        in_full("  settled by the probe", facts(is_settled_by_probe)),
        in_full(
            "  sent again because a person allowed it",
            notes.repeats.values().sum(),
        ),
        in_full("  marked as done by a person", notes.marked_done),
        in_full("  marked as not done by a person", notes.marked_not_done),
        in_full(
            "attempts interrupted and repeated",
            facts(|fact| matches!(fact, RunFact::StepInterrupted { .. })),
        ),
        in_full(
            "effects found done before they were sent",
            facts(|fact| matches!(fact, RunFact::StepSatisfied { .. })),
        ),
        in_full(
            "items of steps done",
            facts(|fact| matches!(fact, RunFact::StepSucceeded { step, .. } if step.index().is_some())),
        ),
        in_full(
            "steps taken back",
            facts(|fact| matches!(fact, RunFact::StepSucceeded { step, .. } if step.undone().is_some())),
        ),
        in_full(
            "waits for a lock",
            facts(|fact| matches!(fact, RunFact::LockAwaited { .. })),
        ),
        in_full("approvals", notes.approvals),
        in_full(
            "  lapsed unused",
            facts(|fact| matches!(fact, RunFact::GateExpired { unused: true, .. })),
        ),
        in_full("rejections", notes.rejections),
        in_full("manual steps", notes.by_hand),
        in_full("runs stopped by a person", notes.stopped.len()),
        seen(
            "deliveries answered 2xx",
            world.acknowledged.lock().unwrap().len(),
        ),
        seen("changes that reached the ledger", everything.len() - questions),
        seen(
            "  from a worker stopped on its way to the wire",
            late_changes(evidence),
        ),
        seen("questions that reached the ledger", questions),
        seen(
            "  from a worker that had lost its run",
            late_questions(&everything),
        ),
    ]
}

fn is_settled_by_probe(fact: &RunFact) -> bool {
    matches!(
        fact,
        RunFact::StepSucceeded {
            settled: Settled::Probe,
            ..
        }
    )
}

/// Attempts that were out when their process was killed, and of which nobody knew afterwards whether they were done.
fn unknown_by_kill(evidence: &Evidence, toll: &Toll) -> usize {
    let is_unknown = |(run, step, attempt): &&(i64, String, i32)| {
        let of_run = evidence.runs.iter().filter(|story| story.run == *run);
        of_run.flat_map(|story| &story.facts).any(|(_, fact)| {
            matches!(fact, RunFact::OutcomeUnknown { step: of, attempt: number, .. }
                if of.0 == *step && *number as i32 == *attempt)
        })
    };
    toll.attempts_cut.iter().filter(is_unknown).count()
}

/// Changes that a stopped process was about to send, and sent when it went on.
fn late_changes(evidence: &Evidence) -> usize {
    let of_run = |story: &RunStory| story.sent.iter().filter(|entry| story.is_late(entry)).count();
    evidence.runs.iter().map(of_run).sum()
}

/// Questions that came under an older claim than something before them. They change nothing, so they are only counted.
fn late_questions(everything: &[Entry]) -> usize {
    let mut fences: BTreeMap<i64, i64> = BTreeMap::new();
    let is_late = |entry: &Entry| {
        let Some(place) = Place::read(&entry.path) else {
            return false;
        };
        let newest = fences.entry(place.run).or_default();
        *newest = entry.fence.max(*newest);
        entry.reading && entry.fence < *newest
    };
    everything.iter().map(is_late).filter(|late| *late).count()
}
