//! The branches of a step: everything it can come to, and which of it the facts of a run show. Tests of runbooks and
//! drills go by the same branches.

use std::{collections::BTreeSet, fmt};

use crate::domain::{
    consequence::not_holding,
    id::StepId,
    run::{RunFact, Settled},
    state::{RunState, StepState},
    step::{Effect, OnFailure, Step, StepKind},
};

/// One thing a step can come to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// It was done.
    Done,
    /// It failed for good, and the run went on as the author says.
    Failed(Follows),
    /// Its `when` held.
    Applies,
    /// Its `when` did not hold.
    DoesNotApply,
    /// Its probe said that it is done already.
    Satisfied,
    /// Its answer was lost, and its probe said that it is done.
    Settled,
    /// Its answer was lost, and a person said what became of it.
    Decided,
    /// It was done and taken back.
    TakenBack,
    /// Its list had no items.
    NoItems,
    /// Its list had one.
    OneItem,
    /// Its list had more.
    ManyItems,
    /// The gate was opened.
    Approved,
    /// The gate was rejected.
    Rejected,
    /// Nobody decided in time, and the run went on there, if anywhere.
    Expired(Option<StepId>),
}

/// What follows a failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Follows {
    /// The run goes on with the next step.
    NextStep,
    /// The run ends.
    End,
    /// What was done is taken back.
    Undo,
    /// The run goes on at that step.
    GoTo(StepId),
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(Follows::End) => f.write_str("failure path"),
            Self::Failed(Follows::NextStep) => f.write_str("failure path (continue)"),
            Self::Failed(Follows::Undo) => f.write_str("failure path (undo)"),
            Self::Failed(Follows::GoTo(to)) => write!(f, "failure path (go to {to})"),
            Self::Applies => f.write_str("when holds"),
            Self::DoesNotApply => f.write_str("when does not hold"),
            Self::Satisfied => f.write_str("done already"),
            Self::Settled => f.write_str("lost answer settled by verify"),
            Self::Decided => f.write_str("lost answer decided by a person"),
            Self::TakenBack => f.write_str("undo"),
            Self::NoItems => f.write_str("no items"),
            Self::OneItem => f.write_str("one item"),
            Self::ManyItems => f.write_str("several items"),
            Self::Approved => f.write_str("approved"),
            Self::Rejected => f.write_str("rejected"),
            Self::Expired(None) => f.write_str("expired"),
            Self::Expired(Some(to)) => write!(f, "expired (go to {to})"),
        }
    }
}

impl Branch {
    /// Its name in keys: the same however the runbook goes on from there.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Applies => "applies",
            Self::DoesNotApply => "passed-over",
            Self::Satisfied => "done-already",
            Self::Settled => "settled",
            Self::Decided => "decided",
            Self::TakenBack => "undone",
            Self::NoItems => "no-items",
            Self::OneItem => "one-item",
            Self::ManyItems => "many-items",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired(_) => "expired",
        }
    }
}

/// Everything a step can come to.
pub fn branches(step: &Step) -> Vec<Branch> {
    let mut branches = Vec::new();
    if step.when.is_some() {
        branches.extend([Branch::Applies, Branch::DoesNotApply]);
    }
    if step.for_each.is_some() {
        branches.extend([Branch::NoItems, Branch::OneItem, Branch::ManyItems]);
    }
    match &step.kind {
        StepKind::Gate(rule) => {
            let expired = Branch::Expired(rule.on_expiry.clone());
            branches.extend([Branch::Approved, Branch::Rejected, expired]);
        }
        StepKind::Wait { .. } => branches.push(Branch::Done),
        StepKind::Manual { within, .. } => {
            branches.push(Branch::Done);
            branches.extend(within.map(|_| failed(step)));
        }
        StepKind::Act(act) => {
            branches.extend([Branch::Done, failed(step)]);
            if act.verify.is_some() && act.effect != Effect::Safe {
                branches.push(Branch::Satisfied);
            }
            if act.effect == Effect::Once {
                branches.extend(act.verify.as_ref().map(|_| Branch::Settled));
                branches.push(Branch::Decided);
            }
            branches.extend(act.undo.as_ref().map(|_| Branch::TakenBack));
        }
    }
    branches
}

fn failed(step: &Step) -> Branch {
    Branch::Failed(match &step.on_failure {
        OnFailure::Stop => Follows::End,
        OnFailure::Continue => Follows::NextStep,
        OnFailure::Undo => Follows::Undo,
        OnFailure::GoTo(to) => Follows::GoTo(to.clone()),
    })
}

/// What a step has come to by the facts of a run, with its items and its undo; `state` is where those facts lead.
pub fn taken<'a>(
    step: &Step,
    facts: impl IntoIterator<Item = &'a RunFact>,
    state: &RunState,
) -> BTreeSet<Branch> {
    let of_step = |id: &StepId| id.base() == step.id.0;
    let mut taken = BTreeSet::new();
    for fact in facts {
        let Some(id) = fact.step().filter(|id| of_step(id)) else {
            continue;
        };
        let is_undo = id.undone().is_some();
        let came_to = match fact {
            RunFact::StepSucceeded { .. } | RunFact::StepSatisfied { .. } if is_undo => {
                Some(Branch::TakenBack)
            }
            _ if is_undo => None,
            RunFact::StepSucceeded { settled, .. } => {
                taken.extend((*settled == Settled::Probe).then_some(Branch::Settled));
                Some(Branch::Done)
            }
            RunFact::ManualDone { .. } | RunFact::WaitOver { .. } => Some(Branch::Done),
            RunFact::StepSatisfied { .. } => Some(Branch::Satisfied),
            RunFact::UnknownDecided { .. } => Some(Branch::Decided),
            RunFact::ItemsListed { items, .. } => Some(match items.len() {
                0 => Branch::NoItems,
                1 => Branch::OneItem,
                _ => Branch::ManyItems,
            }),
            RunFact::GateApproved { .. } | RunFact::GateBroken { .. } => Some(Branch::Approved),
            RunFact::GateRejected { .. } => Some(Branch::Rejected),
            RunFact::GateExpired { unused: false, .. } => match &step.kind {
                StepKind::Gate(rule) => Some(Branch::Expired(rule.on_expiry.clone())),
                _ => None,
            },
            RunFact::StepSkipped { reason, .. } => {
                let when = step.when.as_ref();
                when.filter(|when| not_holding(when.source()) == *reason)
                    .map(|_| Branch::DoesNotApply)
            }
            _ => None,
        };
        taken.extend(came_to);
        let has_begun = matches!(
            fact,
            RunFact::StepStarted { .. }
                | RunFact::StepSatisfied { .. }
                | RunFact::ItemsListed { .. }
                | RunFact::ManualAsked { .. }
                | RunFact::WaitBegan { .. }
        );
        taken.extend((has_begun && !is_undo).then_some(Branch::Applies));
    }
    let has_failed = state
        .steps
        .iter()
        .any(|(id, state)| of_step(id) && id.undone().is_none() && matches!(state, StepState::Failed { .. }));
    taken.extend(has_failed.then(|| failed(step)));
    taken
}
