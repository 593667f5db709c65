//! Gates: what an approval is asked for, and whether one that was given still covers what is about to be sent.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    aim::{Aimed, aim},
    view::View,
};
use crate::{
    actions,
    domain::{
        approval::{Bound, BoundStep, Evidence},
        context::with_item,
        id::StepId,
        plan,
        state::StepState,
        step::{Act, Effect, Step, StepKind},
        target::Targets,
    },
    store::approvals::Approval,
};

/// What a gate says to an effect below it.
pub(super) enum Ruling {
    /// The approval covers exactly this.
    Allowed,
    /// The approval has lapsed unused.
    Lapsed,
    /// What would be done is not what was approved, and why.
    Changed(String),
}

/// Everything a decision at this gate is about, as of now.
pub(super) fn bound(targets: &Targets, view: &View, gate: &StepId) -> Result<Bound, String> {
    let runbook = &view.version.runbook;
    let mut steps = Vec::new();
    match gate.undone() {
        Some(gate) => {
            let under: BTreeSet<&str> = runbook
                .steps_under(&gate)
                .map(|step| step.id.0.as_str())
                .collect();
            let done = view.state.done.iter().rev();
            for id in done.filter(|id| id.undone().is_none() && under.contains(id.base())) {
                steps.extend(undone(targets, view, id)?);
            }
        }
        None => {
            for step in runbook.steps_under(gate) {
                // A check may read what the steps above it will find; only what changes something must be known now.
                if let StepKind::Act(act) = &step.kind
                    && act.effect != Effect::Safe
                {
                    to_be_done(targets, view, step, act, &mut steps)?;
                }
            }
        }
    }
    let before = runbook.before(&StepId::from(gate.base()));
    let evidence = runbook
        .steps
        .iter()
        .filter(|step| before.contains(&step.id))
        .filter_map(|step| {
            let found = view.findings.get(&step.id)?;
            Some(Evidence {
                step: step.id.clone(),
                title: view.title(step, &view.context(&step.id)),
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

/// One step below a gate, or all its items.
fn to_be_done(
    targets: &Targets,
    view: &View,
    step: &Step,
    act: &Act,
    steps: &mut Vec<BoundStep>,
) -> Result<(), String> {
    let Some(each) = &step.for_each else {
        steps.push(one(
            targets,
            view,
            step,
            act,
            step.id.clone(),
            &view.context(&step.id),
        )?);
        return Ok(());
    };
    let context = view.context(&step.id);
    let items = match view.state.step(&step.id) {
        StepState::Listed { items } => items.clone(),
        _ => {
            let list = each
                .items
                .evaluate(&context)
                .map_err(|error| format!("{}: for_each: {error}", step.id))?;
            plan::items(list, each.max).map_err(|problem| format!("{}: {problem}", step.id))?
        }
    };
    for (index, item) in items.iter().enumerate() {
        let context = with_item(&context, item, index);
        steps.push(one(targets, view, step, act, step.id.item(index), &context)?);
    }
    Ok(())
}

fn one(
    targets: &Targets,
    view: &View,
    step: &Step,
    act: &Act,
    id: StepId,
    context: &Value,
) -> Result<BoundStep, String> {
    let at = |problem: String| format!("{id}: {problem}");
    let aimed = aim(targets, &act.request, context).map_err(at)?;
    let undo = match &act.undo {
        Some(undo) => {
            let aimed = aim(targets, &undo.request, context).map_err(at)?;
            Some(actions::describe(&aimed.target, &aimed.request))
        }
        None => None,
    };
    Ok(BoundStep {
        title: view.title(step, context),
        command: actions::describe(&aimed.target, &aimed.request),
        target: aimed.target.digest(),
        request: aimed.request,
        undo,
        changes: act.effect != Effect::Safe,
        step: id,
    })
}

/// What takes one done step back, if anything does.
fn undone(targets: &Targets, view: &View, id: &StepId) -> Result<Option<BoundStep>, String> {
    let undo = id.undo();
    let Some(found) = view.version.runbook.find(&undo) else {
        return Ok(None);
    };
    let Some(act) = found.act else { return Ok(None) };
    let context = view.context(id);
    let mut bound = one(targets, view, found.step, act, undo, &context)?;
    bound.title = format!("Take back: {}", bound.title);
    Ok(Some(bound))
}

/// Whether the approval of a gate still covers what this step would do now, looked at just before it starts: the same
/// hash, and in time. The worker's write that follows fails when a person has acted since.
pub(super) fn rule(
    targets: &Targets,
    view: &View,
    gate: &StepId,
    approval: &Approval,
    use_by: DateTime<Utc>,
    (step, aimed): (&StepId, &Aimed),
    now: DateTime<Utc>,
) -> Ruling {
    if use_by <= now {
        return Ruling::Lapsed;
    }
    match bound(targets, view, gate) {
        Ok(bound) if bound.digest() == approval.digest => {
            let same = bound.steps.iter().any(|bound| {
                bound.step == *step && bound.request == aimed.request && bound.target == aimed.target.digest()
            });
            match same {
                true => Ruling::Allowed,
                false => Ruling::Changed(format!("{step} is not among what was approved")),
            }
        }
        Ok(now) => Ruling::Changed(difference(&approval.bound, &now)),
        Err(problem) => Ruling::Changed(problem),
    }
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
    match approved.steps.len() == now.steps.len() {
        true => "the evidence has changed since".to_owned(),
        false => format!(
            "{} actions were approved, and now there are {}",
            approved.steps.len(),
            now.steps.len()
        ),
    }
}
