//! Gates as the engine sees them: [`crate::domain::gate`] over a worker's view and the targets known now.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::view::View;
pub(super) use crate::domain::gate::Ruling;
use crate::{
    actions,
    domain::{
        access::Circle,
        aim::{Aimed, aim},
        approval::{Bound, may_break},
        gate::{self, Sight},
        id::StepId,
        target::Targets,
    },
    store::{
        StoreError,
        approvals::{self, Approval, Giver},
    },
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

/// Why an approval counts no longer although nothing it was given for has changed: who gave it may no longer decide. Asked
/// of the database before each effect; whoever changes it between this and the turn that starts the effect raises the
/// run's count of acts, so that the turn is refused.
pub(super) async fn fallen(
    conn: &mut PgConnection,
    approval: &Approval,
    start: &Circle,
) -> Result<Option<String>, StoreError> {
    let givers = approvals::givers(conn, approval.id).await?;
    let (broken, given): (Vec<&Giver>, Vec<&Giver>) = givers.iter().partition(|giver| giver.has_broken);
    let opens = |giver: &&Giver| giver.is_enabled && may_break(&approval.rule, start, &giver.person).is_ok();
    if let Some(alone) = broken.first() {
        let name = &alone.person.name;
        return Ok((!opens(alone)).then(|| format!("{name} may no longer open a gate alone")));
    }
    let lost: Vec<&str> = given
        .iter()
        .filter(|giver| !giver.may(approval))
        .map(|giver| giver.person.name.as_str())
        .collect();
    if given.len() - lost.len() >= approval.rule.approvals as usize {
        return Ok(None);
    }
    Ok(Some(match lost.is_empty() {
        true => format!(
            "{} of {} approvals were given",
            given.len(),
            approval.rule.approvals
        ),
        false => format!("{} may no longer decide", lost.join(" and ")),
    }))
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
