//! The rules of the engine that a schedule is played by, and those rules broken one at a time.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use muster::domain::{
    action::{Failure, FailureClass, Outcome},
    attempt::{self, Conclusion},
    id::StepId,
    judge::{self, Judgement},
    plan::{self, Plan},
    runbook::Runbook,
    state::{RunState, StepState, Try},
    step::{Act, Effect},
};
use serde_json::Value;

/// Every rule that can be broken. The functions are the core's own; the rest is what the hands and the statements of
/// the database must do.
#[derive(Clone, Copy)]
pub struct Rules {
    pub next: fn(&Runbook, &RunState, &BTreeSet<StepId>, DateTime<Utc>) -> Plan,
    pub interrupted: fn(&StepId, Try, Effect, u32) -> Conclusion,
    pub judge: fn(&Act, &Value, Result<Outcome, Failure>) -> Judgement,
    /// A write with a stale fence is refused.
    pub guards_fence: bool,
    /// A turn that has not seen every act of a person is refused.
    pub guards_acts: bool,
    /// A turn is refused when something it stands on is not due yet, or has lapsed, by the database's clock.
    pub guards_time: bool,
    /// An approval that has lapsed lets nothing start.
    pub checks_use_by: bool,
    /// What will be sent is compared with what was approved.
    pub compares_digest: bool,
    /// Nothing is sent before its intent is committed.
    pub commits_first: bool,
    /// Nothing is sent on a lease that may be over.
    pub trusts_lease_only: bool,
    /// A worker whose commit may or may not have happened reads the run again only once that is certain.
    pub waits_for_lost_turn: bool,
    /// A run is carried out by the version it began with.
    pub pins_version: bool,
    /// A run begins nothing before it holds all its locks.
    pub takes_locks: bool,
}

impl Rules {
    /// The rules as they are.
    pub const REAL: Self = Self {
        next: plan::next,
        interrupted: attempt::interrupted,
        judge: judge::judge,
        guards_fence: true,
        guards_acts: true,
        guards_time: true,
        checks_use_by: true,
        compares_digest: true,
        commits_first: true,
        trusts_lease_only: true,
        waits_for_lost_turn: true,
        pins_version: true,
        takes_locks: true,
    };
}

/// One broken rule.
pub struct Mutant {
    pub name: &'static str,
    pub rules: Rules,
}

/// The rules broken one at a time; the table in `main.rs` says what each of them breaks.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "recovery repeats an effect that may not be repeated",
        rules: Rules {
            interrupted: repeats,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a write with a stale fence is accepted",
        rules: Rules {
            guards_fence: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "an approval that has lapsed is used",
        rules: Rules {
            next: never_lapsed,
            checks_use_by: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "what is sent is not compared with what was approved",
        rules: Rules {
            compares_digest: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "it is sent before its intent is committed",
        rules: Rules {
            commits_first: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a person's act does not refuse a worker's stale turn",
        rules: Rules {
            guards_acts: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "what was done is taken back in forward order",
        rules: Rules {
            next: forward_undo,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "timers follow the worker's clock",
        rules: Rules {
            guards_time: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "it is sent on a lease that is over",
        rules: Rules {
            trusts_lease_only: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a turn lands after its worker gave it up and read the run again",
        rules: Rules {
            waits_for_lost_turn: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a run follows the newest version",
        rules: Rules {
            pins_version: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a run begins without its locks",
        rules: Rules {
            takes_locks: false,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a step does not wait for what it needs",
        rules: Rules {
            next: needs_nothing,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "what is out is forgotten",
        rules: Rules {
            next: nothing_is_out,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a lost answer counts as a refusal",
        rules: Rules {
            judge: lost_is_refused,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a pause holds nothing back",
        rules: Rules {
            next: never_paused,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "finally is left out",
        rules: Rules {
            next: without_finally,
            ..Rules::REAL
        },
    },
    Mutant {
        name: "a run that waits has no timer",
        rules: Rules {
            next: without_timers,
            ..Rules::REAL
        },
    },
];

fn repeats(step: &StepId, made: Try, _: Effect, cut_off: u32) -> Conclusion {
    attempt::interrupted(step, made, Effect::Idempotent, cut_off)
}

fn forward_undo(runbook: &Runbook, run: &RunState, busy: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    let mut run = run.clone();
    run.done.reverse();
    plan::next(runbook, &run, busy, now)
}

fn needs_nothing(runbook: &Runbook, run: &RunState, busy: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    let mut runbook = runbook.clone();
    for step in runbook.steps.iter_mut().filter(|step| step.needs.is_some()) {
        step.needs = Some(Vec::new());
    }
    plan::next(&runbook, run, busy, now)
}

fn nothing_is_out(runbook: &Runbook, run: &RunState, _: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    plan::next(runbook, run, &BTreeSet::new(), now)
}

fn never_lapsed(runbook: &Runbook, run: &RunState, busy: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    let mut run = run.clone();
    for state in run.steps.values_mut() {
        if let StepState::Approved { use_by, .. } = state {
            *use_by = DateTime::<Utc>::MAX_UTC;
        }
    }
    plan::next(runbook, &run, busy, now)
}

fn never_paused(runbook: &Runbook, run: &RunState, busy: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    let mut run = run.clone();
    run.paused = None;
    plan::next(runbook, &run, busy, now)
}

fn without_finally(runbook: &Runbook, run: &RunState, busy: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    let mut runbook = runbook.clone();
    runbook.finally.clear();
    plan::next(&runbook, run, busy, now)
}

fn without_timers(runbook: &Runbook, run: &RunState, busy: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    let mut plan = plan::next(runbook, run, busy, now);
    plan.due = None;
    plan
}

fn lost_is_refused(act: &Act, context: &Value, answer: Result<Outcome, Failure>) -> Judgement {
    let answer = answer.map_err(|failure| match failure.class {
        FailureClass::Lost => Failure::new(FailureClass::NotSent, failure.message),
        _ => failure,
    });
    judge::judge(act, context, answer)
}
