//! The coverage of a runbook: what of it people have practised in drills. [`items`] is all there is to practise,
//! [`exercised`] what one run has shown. An item has a key that stays and a fingerprint of what defines it, so that a new
//! version keeps the coverage of what it leaves as it was and loses the rest.

pub mod branch;

mod asks;
mod fingerprint;
mod gain;
mod standing;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};

use super::{
    digest::Digest,
    id::StepId,
    operator::Role,
    run::RunFact,
    runbook::Runbook,
    state::{IllegalMove, RunState},
    step::{Step, StepKind},
};
use branch::{Branch, Follows, branches, taken};

pub use asks::asks_for;
pub use gain::{Gain, gain};
pub use standing::{Coverage, DUE_AFTER_DAYS, Drilled, Due, Loss, Standing, Tally, days, loss};

/// One thing of a runbook that can be practised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Of which step.
    pub step: StepId,
    /// What of it.
    pub what: What,
    /// Of everything that defines it. Words that only people read are no part of it.
    pub fingerprint: Digest,
}

/// What of a step is practised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// One of the things it can come to.
    Branch(Branch),
    /// Somebody with this role decides at the gate.
    DecidedBy(Role),
}

impl Item {
    /// What it is called wherever it is kept: `ask/approved`. No step's name has a stroke.
    pub fn key(&self) -> String {
        key(&self.step, &self.what)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step)?;
        match &self.what {
            What::Branch(branch) => branch.fmt(f),
            What::DecidedBy(role) => write!(f, "decided by one of the {role}s"),
        }
    }
}

fn key(step: &StepId, what: &What) -> String {
    match what {
        What::Branch(branch) => format!("{step}/{}", branch.name()),
        What::DecidedBy(role) => format!("{step}/by-{role}"),
    }
}

/// Everything of a runbook that can be practised, in the order of its steps.
pub fn items(runbook: &Runbook) -> Vec<Item> {
    let of_step = |step: &Step| {
        let branches = branches(step).into_iter().filter(is_practised);
        let all = branches
            .map(What::Branch)
            .chain(deciders(step).iter().copied().map(What::DecidedBy));
        let items: Vec<Item> = all
            .map(|what| Item {
                step: step.id.clone(),
                fingerprint: fingerprint::of(runbook, step, &what),
                what,
            })
            .collect();
        items
    };
    runbook.all_steps().flat_map(of_step).collect()
}

/// A failure that simply ends the run leaves nothing of the runbook to practise, and whether a list has one item or more
/// makes no difference to people; tests of runbooks look at both.
fn is_practised(branch: &Branch) -> bool {
    !matches!(branch, Branch::Failed(Follows::End) | Branch::OneItem)
}

/// The roles that decide at a gate. Where it names people or teams, roles are not asked for.
fn deciders(step: &Step) -> &[Role] {
    match &step.kind {
        StepKind::Gate(rule) if rule.people.is_empty() && rule.teams.is_empty() => &rule.roles,
        _ => &[],
    }
}

/// A fact of a run, and the role of the person behind it, if a person was.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub fact: RunFact,
    /// Whose.
    pub role: Option<Role>,
}

/// The keys of what a run of this runbook has exercised, from all its facts in order.
pub fn exercised(runbook: &Runbook, shown: &[Shown]) -> Result<BTreeSet<String>, IllegalMove> {
    let state = RunState::fold(shown.iter().map(|one| (one.at, &one.fact)))?;
    let mut keys = BTreeSet::new();
    for step in runbook.all_steps() {
        let branches = taken(step, shown.iter().map(|one| &one.fact), &state);
        let deciders = shown.iter().filter_map(|one| {
            let (RunFact::GateApproval { step: gate, .. } | RunFact::GateRejected { step: gate, .. }) =
                &one.fact
            else {
                return None;
            };
            one.role
                .filter(|role| *gate == step.id && deciders(step).contains(role))
        });
        let all = branches
            .into_iter()
            .filter(is_practised)
            .map(What::Branch)
            .chain(deciders.map(What::DecidedBy));
        keys.extend(all.map(|what| key(&step.id, &what)));
    }
    Ok(keys)
}
