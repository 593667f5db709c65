//! Gates: what an approval is asked for, and whether one that was given still covers what is about to be sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    action::Rendered,
    aim::Aimed,
    approval::{Bound, BoundStep, Evidence},
    context::{self, Finding, put_item},
    digest::Digest,
    id::StepId,
    plan,
    runbook::Runbook,
    state::{RunState, StepState},
    step::{Act, Effect, Request, Step, StepKind},
    target::Target,
};

/// A run as it is looked at from a gate, and the two things only the outside knows: what a request is aimed at, and how
/// people read it.
pub struct Sight<'a> {
    /// What the run is pinned to.
    pub runbook: &'a Runbook,
    /// Content of that version.
    pub version: Digest,
    /// Where it stands.
    pub state: &'a RunState,
    /// What its steps found.
    pub findings: &'a BTreeMap<StepId, Finding>,
    /// What its expressions can read.
    pub context: &'a Arc<Value>,
    /// Renders a request and finds its target.
    pub aim: &'a dyn Fn(&Request, &Value) -> Result<Aimed, String>,
    /// A request as a person can check it.
    pub describe: &'a dyn Fn(&Target, &Rendered) -> String,
}

/// What a gate says to an effect below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The approval covers exactly this.
    Allowed,
    /// The approval has lapsed unused.
    Lapsed,
    /// What would be done is not what was approved, and why.
    Changed(String),
}

/// Everything a decision at this gate is about, as of now.
pub fn bound(sight: &Sight<'_>, gate: &StepId) -> Result<Bound, String> {
    let runbook = sight.runbook;
    let mut steps = Vec::new();
    match gate.undone() {
        Some(gate) => {
            let under: BTreeSet<&str> = runbook
                .steps_under(&gate)
                .map(|step| step.id.0.as_str())
                .collect();
            let done = sight.state.done.iter().rev();
            for id in done.filter(|id| id.undone().is_none() && under.contains(id.base())) {
                steps.extend(sight.undone(id)?);
            }
        }
        None => {
            for step in runbook.steps_under(gate) {
                // A check may read what the steps above it will find; only what changes something must be known now.
                if let StepKind::Act(act) = &step.kind
                    && act.effect != Effect::Safe
                {
                    sight.to_be_done(step, act, &mut steps)?;
                }
            }
        }
    }
    let before = runbook.before(&StepId::from(gate.base()));
    let evidence = runbook
        .steps
        .iter()
        .filter(|step| before.contains(&step.id))
        .flat_map(|step| {
            let items = match sight.state.step(&step.id) {
                StepState::Listed { items } => items.len(),
                _ => 0,
            };
            let parts = (0..items).map(|index| step.id.item(index));
            std::iter::once(step.id.clone())
                .chain(parts)
                .map(move |id| (step, id))
        })
        .filter_map(|(step, id)| {
            let found = sight.findings.get(&id)?;
            Some(Evidence {
                title: step.title_in(&sight.read_by(&id)),
                step: id,
                summary: found.summary.clone(),
                at: found.at,
            })
        })
        .collect();
    Ok(Bound {
        version: sight.version,
        gate: gate.clone(),
        steps,
        evidence,
    })
}

/// Whether an approval, by its digest and what it was bound to, still covers what this step would do now, looked at
/// just before it starts: the same hash, and in time.
pub fn rule(
    sight: &Sight<'_>,
    gate: &StepId,
    (digest, approved): (Digest, &Bound),
    use_by: DateTime<Utc>,
    (step, aimed): (&StepId, &Aimed),
    now: DateTime<Utc>,
) -> Ruling {
    if use_by <= now {
        return Ruling::Lapsed;
    }
    match bound(sight, gate) {
        Ok(bound) if bound.digest() == digest => {
            let same = bound.steps.iter().any(|bound| {
                bound.step == *step && bound.request == aimed.request && bound.target == aimed.target.digest()
            });
            match same {
                true => Ruling::Allowed,
                false => Ruling::Changed(format!("{step} is not among what was approved")),
            }
        }
        Ok(now) => Ruling::Changed(difference(approved, &now)),
        Err(problem) => Ruling::Changed(problem),
    }
}

impl Sight<'_> {
    fn read_by(&self, step: &StepId) -> Arc<Value> {
        context::read_by(self.context, self.state, step)
    }

    /// One step below a gate, or all its items.
    fn to_be_done(&self, step: &Step, act: &Act, steps: &mut Vec<BoundStep>) -> Result<(), String> {
        let context = self.read_by(&step.id);
        let Some(each) = &step.for_each else {
            steps.push(self.one(step, act, step.id.clone(), &context)?);
            return Ok(());
        };
        let items = match self.state.step(&step.id) {
            StepState::Listed { items } => items.clone(),
            _ => {
                let list = each
                    .items
                    .evaluate(&context)
                    .map_err(|error| format!("{}: for_each: {error}", step.id))?;
                plan::items(list, each.max).map_err(|problem| format!("{}: {problem}", step.id))?
            }
        };
        // One copy for all items: what a run has found can be large, and there are up to a thousand of them.
        let mut context = Value::clone(&context);
        for (index, item) in items.iter().enumerate() {
            put_item(&mut context, item, index);
            steps.push(self.one(step, act, step.id.item(index), &context)?);
        }
        Ok(())
    }

    fn one(&self, step: &Step, act: &Act, id: StepId, context: &Value) -> Result<BoundStep, String> {
        let at = |problem: String| format!("{id}: {problem}");
        let aimed = (self.aim)(&act.request, context).map_err(at)?;
        let undo = match &act.undo {
            Some(undo) => {
                let aimed = (self.aim)(&undo.request, context).map_err(at)?;
                Some((self.describe)(&aimed.target, &aimed.request))
            }
            None => None,
        };
        Ok(BoundStep {
            title: step.title_in(context),
            command: (self.describe)(&aimed.target, &aimed.request),
            target: aimed.target.digest(),
            request: aimed.request,
            undo,
            changes: act.effect != Effect::Safe,
            irreversible: act.irreversible,
            step: id,
        })
    }

    /// What takes one done step back, if anything does.
    fn undone(&self, id: &StepId) -> Result<Option<BoundStep>, String> {
        let undo = id.undo();
        let Some(found) = self.runbook.find(&undo) else {
            return Ok(None);
        };
        let Some(act) = found.act else { return Ok(None) };
        let context = self.read_by(id);
        let mut bound = self.one(found.step, act, undo, &context)?;
        bound.title = format!("Take back: {}", bound.title);
        Ok(Some(bound))
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
