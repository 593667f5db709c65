//! Gates as the engine sees them: [`crate::domain::gate`] over a worker's view and the targets known now.

use chrono::{DateTime, Utc};

use super::view::View;
pub(super) use crate::domain::gate::Ruling;
use crate::{
    actions,
    domain::{
        aim::{Aimed, aim},
        approval::Bound,
        gate::{self, Sight},
        id::StepId,
        target::Targets,
    },
    store::approvals::Approval,
};

/// Everything a decision at this gate is about, as of now.
pub(super) fn bound(targets: &Targets, view: &View, gate: &StepId) -> Result<Bound, String> {
    look(targets, view, |sight| gate::bound(sight, gate))
}

/// Whether the approval of a gate still covers what this step would do now. The worker's write that follows fails when
/// a person has acted since.
pub(super) fn rule(
    targets: &Targets,
    view: &View,
    gate: &StepId,
    approval: &Approval,
    use_by: DateTime<Utc>,
    step: (&StepId, &Aimed),
    now: DateTime<Utc>,
) -> Ruling {
    let given = (approval.digest, &approval.bound);
    look(targets, view, |sight| {
        gate::rule(sight, gate, given, use_by, step, now)
    })
}

fn look<T>(targets: &Targets, view: &View, see: impl FnOnce(&Sight<'_>) -> T) -> T {
    see(&Sight {
        runbook: &view.version.runbook,
        version: view.version.digest,
        state: &view.state,
        findings: &view.findings,
        context: view.known(),
        aim: &|request, context| aim(targets, request, context),
        describe: &actions::describe,
    })
}
