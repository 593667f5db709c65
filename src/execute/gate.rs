//! Gates: what an approval is asked for, and whether one that was given still covers what is about to be sent.

use serde_json::Value;

use super::{
    attempt::{Aimed, aim, unusable},
    drive::{append, record},
    engine::Engine,
    view::View,
};
use crate::{
    actions,
    domain::{
        approval::{ApprovalState, Bound, BoundStep, Evidence},
        id::{ApprovalId, StepId},
        run::RunFact,
        step::{Effect, StepKind},
    },
    store::{
        StoreError,
        approvals::{self, NewApproval},
        queue::Claim,
    },
};

/// Everything a decision at this gate is about, as of now.
fn bound(engine: &Engine, claim: Claim, view: &View, gate: &StepId) -> Result<Bound, String> {
    let context = view.context(claim);
    let runbook = &view.version.runbook;
    let mut steps = Vec::new();
    for step in runbook.steps_under(gate) {
        let StepKind::Act(act) = &step.kind else { continue };
        // A check may read what the steps above it will find; only what changes something must be known now.
        if act.effect == Effect::Safe {
            continue;
        }
        let at = |problem: String| format!("{}: {problem}", step.id);
        let aimed = aim(engine, &act.request, &context).map_err(at)?;
        let undo = match &act.undo {
            Some(undo) => {
                let aimed = aim(engine, &undo.request, &context).map_err(at)?;
                Some(actions::describe(&aimed.target, &aimed.request))
            }
            None => None,
        };
        steps.push(BoundStep {
            step: step.id.clone(),
            title: view.title(step, &context),
            command: actions::describe(&aimed.target, &aimed.request),
            target: aimed.target.digest(),
            request: aimed.request,
            undo,
            changes: true,
        });
    }
    let above = runbook.steps.iter().take_while(|step| step.id != *gate);
    let evidence = above
        .filter_map(|step| {
            let found = view.findings.get(&step.id)?;
            Some(Evidence {
                step: step.id.clone(),
                title: view.title(step, &context),
                summary: found.summary.clone(),
                at: found.at,
            })
        })
        .collect();
    Ok(Bound {
        version: view.version.digest,
        gate: gate.clone(),
        steps,
        evidence,
    })
}

/// Asks people.
pub(super) async fn open(engine: &Engine, claim: Claim, view: &View, id: &StepId) -> Result<(), StoreError> {
    let step = view.step(id)?;
    let StepKind::Gate(rule) = &step.kind else {
        return Err(StoreError::corrupt("events", "step", "not a gate"));
    };
    let context: Value = view.context(claim);
    let impact = rule
        .impact
        .as_ref()
        .map_or(Ok(String::new()), |impact| impact.render(&context));
    let (bound, impact) = match (bound(engine, claim, view, id), impact) {
        (Ok(bound), Ok(impact)) => (bound, impact),
        (Err(problem), _) => {
            return record(engine, claim, view, unusable(id.clone(), 1, problem), "unusable").await;
        }
        (_, Err(error)) => {
            return record(
                engine,
                claim,
                view,
                unusable(id.clone(), 1, error.to_string()),
                "unusable",
            )
            .await;
        }
    };
    let now = engine.clock.now();
    let decide_by = now + rule.decide_within.as_delta();
    let title = view.title(step, &context);
    let new = NewApproval {
        run: claim.run,
        incident: claim.incident,
        step: id,
        title: &title,
        impact: &impact,
        bound: &bound,
        rule,
        requester: view.requester,
        decide_by,
    };
    let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
        return Ok(());
    };
    let approval = approvals::insert(&mut tx, &new, now).await?;
    let fact = RunFact::GateOpened {
        step: id.clone(),
        approval,
        digest: bound.digest(),
        decide_by,
        needed: rule.approvals,
    };
    append(&mut tx, claim, fact, now).await?;
    engine.commit(tx, &format!("gate-opened/{id}")).await
}

/// A clock of the gate ran out.
pub(super) async fn expire(
    engine: &Engine,
    claim: Claim,
    view: &View,
    id: &StepId,
    approval: ApprovalId,
    unused: bool,
) -> Result<(), StoreError> {
    let fact = RunFact::GateExpired {
        step: id.clone(),
        approval,
        unused,
    };
    let from = if unused {
        ApprovalState::Approved
    } else {
        ApprovalState::Pending
    };
    close(engine, claim, view, approval, from, ApprovalState::Expired, fact).await
}

/// Whether the approval of a gate still covers what its steps would do now, looked at just before one starts: the
/// same hash, approved, unexpired. If not, it is voided, and the gate asks again. The worker's write that follows
/// repeats none of this: it fails when the run's log has moved since.
pub(super) async fn still_allows(
    engine: &Engine,
    claim: Claim,
    view: &View,
    gate: &StepId,
    approved: Option<(StepId, ApprovalId)>,
    (step, aimed): (&StepId, &Aimed),
) -> Result<bool, StoreError> {
    let Some((_, id)) = approved else {
        // The planner never offers an effect below a gate that is not open; a log that says so is damaged.
        return Err(StoreError::corrupt(
            "events",
            "step",
            format!("{gate} is not approved"),
        ));
    };
    let approval = {
        let mut conn = engine.pool.acquire().await?;
        approvals::find(&mut conn, id)
            .await?
            .ok_or_else(|| StoreError::corrupt("approvals", "id", id))?
    };
    if approval.state != ApprovalState::Approved
        || approval.use_by.is_none_or(|use_by| use_by <= engine.clock.now())
    {
        let fact = RunFact::GateExpired {
            step: gate.clone(),
            approval: id,
            unused: true,
        };
        close(
            engine,
            claim,
            view,
            id,
            ApprovalState::Approved,
            ApprovalState::Expired,
            fact,
        )
        .await?;
        return Ok(false);
    }
    let why = match bound(engine, claim, view, gate) {
        // The targets may have been read anew since the request was rendered: send only what was just compared.
        Ok(now) if now.digest() == approval.digest => {
            let bound = now.steps.iter().find(|bound| bound.step == *step);
            return Ok(bound.is_some_and(|bound| {
                bound.request == aimed.request && bound.target == aimed.target.digest()
            }));
        }
        Ok(now) => difference(&approval.bound, &now),
        Err(problem) => problem,
    };
    let fact = RunFact::GateVoided {
        step: gate.clone(),
        approval: id,
        why,
    };
    close(
        engine,
        claim,
        view,
        id,
        ApprovalState::Approved,
        ApprovalState::Void,
        fact,
    )
    .await?;
    Ok(false)
}

async fn close(
    engine: &Engine,
    claim: Claim,
    view: &View,
    id: ApprovalId,
    from: ApprovalState,
    to: ApprovalState,
    fact: RunFact,
) -> Result<(), StoreError> {
    let now = engine.clock.now();
    let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
        return Ok(());
    };
    approvals::set_state(&mut tx, id, from, to, None, now).await?;
    append(&mut tx, claim, fact, now).await?;
    engine.commit(tx, "gate-closed").await
}

/// What a person would notice first.
fn difference(approved: &Bound, now: &Bound) -> String {
    for (before, after) in approved.steps.iter().zip(&now.steps) {
        if before.target != after.target {
            return format!("the target {} has changed since", after.request.target);
        }
        if before != after {
            return format!("{} would now do something else: {}", after.step, after.command);
        }
    }
    "the evidence has changed since".to_owned()
}
