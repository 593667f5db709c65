//! Which scenario asks for an item: its people are expected to do just that.

use super::{Item, What, branch::Branch};
use crate::domain::{
    approval::Verdict,
    run::UnknownChoice,
    scenario::{Deed, Scenario},
};

/// Whether what a scenario expects exercises this item of a runbook it trains. What targets answer is up to its world and
/// its surprises, so of other items nobody can tell before it is played.
pub fn asks_for(scenario: &Scenario, item: &Item) -> bool {
    let is_here = |step: &str| step == item.step.0;
    let exercises = |deed: &Deed| match (deed, &item.what) {
        (Deed::Decide { gate, .. }, What::DecidedBy(_)) => is_here(gate),
        (Deed::Decide { gate, verdict }, What::Branch(branch)) => {
            let wanted = match branch {
                Branch::Approved => Verdict::Approve,
                Branch::Rejected => Verdict::Reject,
                _ => return false,
            };
            is_here(gate) && *verdict == wanted
        }
        (Deed::Manual { step }, What::Branch(Branch::Done)) => is_here(step),
        (Deed::Settle { step, choice }, What::Branch(Branch::Decided)) => {
            is_here(step) && *choice != UnknownChoice::RunCheck
        }
        _ => false,
    };
    scenario.expected.iter().any(|expected| exercises(&expected.deed))
}
