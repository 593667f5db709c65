//! A runbook: when it applies, how it starts, and its steps in order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    access::Access,
    id::StepId,
    labels::Labels,
    matcher::Matcher,
    span::Span,
    step::{Act, Effect, GateRule, Step, StepKind},
    template::{Expression, Template},
};

/// One parsed runbook. Its YAML form is read by `catalog`; this form is what the engine runs and the database keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// Its name in addresses and files.
    pub slug: String,
    /// What people call it.
    pub title: String,
    /// One or two sentences: when to use it and what it does.
    pub summary: String,
    /// The team that keeps it, if named.
    pub owner: Option<String>,
    /// Services it restores.
    pub services: Vec<String>,
    /// Any line may apply; inside a line every matcher must hold.
    pub triggers: Vec<Vec<Matcher>>,
    /// What happens when it matches.
    pub start: StartMode,
    /// More automatic starts than this become suggestions.
    pub budget: Option<Budget>,
    /// Whom it names, besides what their role lets them do. Left out where it names nobody, so that older versions read
    /// and write as they did.
    #[serde(default, skip_serializing_if = "Access::is_open")]
    pub access: Access,
    /// How many people other than its author must look at a version before it counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub review: u32,
    /// Values a run needs, by name.
    pub inputs: BTreeMap<String, Input>,
    /// Names of the target locks a run holds from start to end.
    pub locks: Vec<Template>,
    /// The steps, in the order they run.
    pub steps: Vec<Step>,
    /// Steps that run at the end whatever came before; none of them is a gate.
    #[serde(default)]
    pub finally: Vec<Step>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A step of a run, found by its name.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The step as the runbook has it.
    pub step: &'a Step,
    /// What it does to a target: the step's own act, or the one that takes it back.
    pub act: Option<&'a Act>,
}

/// What happens when a runbook matches an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartMode {
    /// A run starts by itself.
    Automatic,
    /// It is offered on the incident page.
    Suggest,
    /// It is only found by looking for it.
    Manual,
}

/// At most `runs` automatic starts in any stretch of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How many.
    pub runs: u32,
    /// In what time.
    pub per: Span,
}

/// One value a run needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Where it comes from, like `labels.cluster`; a person types it when absent.
    pub from: Option<Expression>,
    /// Whether a run may start without it.
    pub required: bool,
    /// Used when `from` gives nothing.
    pub default: Option<String>,
}

/// Why a run cannot start with what is known: the inputs without a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no value for the required input{} {}", if self.0.len() == 1 { "" } else { "s" }, self.0.join(", "))]
pub struct MissingInputs(pub Vec<String>);

impl Runbook {
    /// The step of that name; items and undos are found by the step they belong to.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        let base = id.base();
        self.steps
            .iter()
            .chain(&self.finally)
            .find(|step| step.id.0 == base)
    }

    /// The step of that name with what it does.
    pub fn find(&self, id: &StepId) -> Option<Found<'_>> {
        let step = self.step(id)?;
        let own = match &step.kind {
            StepKind::Act(act) => Some(act),
            _ => None,
        };
        let act = match id.undone() {
            None => own,
            Some(_) => own.and_then(|act| act.undo.as_deref()),
        };
        Some(Found { step, act })
    }

    /// Every step in the order of the file, those of `finally` last.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().chain(&self.finally)
    }

    /// Its gates with their rules, in order.
    pub fn gates(&self) -> impl Iterator<Item = (&StepId, &GateRule)> {
        self.all_steps().filter_map(|step| match &step.kind {
            StepKind::Gate(rule) => Some((&step.id, rule)),
            _ => None,
        })
    }

    /// The gate a step runs under: the nearest gate above it, if any. Steps of `finally` run under none.
    pub fn gate_over(&self, id: &StepId) -> Option<&Step> {
        let at = self.steps.iter().position(|step| step.id.0 == id.base())?;
        self.steps[..at]
            .iter()
            .rev()
            .find(|step| matches!(step.kind, StepKind::Gate(_)))
    }

    /// The steps a gate lets through: those below it up to the next gate.
    pub fn steps_under(&self, gate: &StepId) -> impl Iterator<Item = &Step> {
        let start = self
            .steps
            .iter()
            .position(|step| step.id.0 == gate.base())
            .map_or(self.steps.len(), |at| at + 1);
        self.steps[start..]
            .iter()
            .take_while(|step| !matches!(step.kind, StepKind::Gate(_)))
    }

    /// The steps that are surely behind when this one begins: everything above it, or what it needs and what that needs.
    pub fn before(&self, id: &StepId) -> BTreeSet<StepId> {
        let mut before = BTreeSet::new();
        let mut open = vec![id.clone()];
        while let Some(id) = open.pop() {
            let Some(at) = self.steps.iter().position(|step| step.id == id) else {
                continue;
            };
            let direct = match &self.steps[at].needs {
                Some(needs) => needs.clone(),
                None => self.steps[..at].iter().map(|step| step.id.clone()).collect(),
            };
            for need in direct {
                if before.insert(need.clone()) {
                    open.push(need);
                }
            }
        }
        before
    }

    /// Which line of the trigger holds for these labels, and why each line does or does not.
    pub fn match_labels(&self, labels: &Labels) -> TriggerReport {
        let lines: Vec<TriggerLine> = self
            .triggers
            .iter()
            .map(|line| TriggerLine {
                matchers: line
                    .iter()
                    .map(|matcher| MatcherReport {
                        matcher: matcher.to_string(),
                        actual: labels.get(&matcher.name).to_owned(),
                        holds: matcher.holds(labels),
                    })
                    .collect(),
            })
            .collect();
        TriggerReport {
            matched_line: lines.iter().position(TriggerLine::holds),
            lines,
        }
    }

    /// The names of the locks a run holds, sorted, or which one has none.
    pub fn lock_names(&self, context: &serde_json::Value) -> Result<Vec<String>, String> {
        let name = |lock: &Template| {
            lock.render(context)
                .map_err(|error| format!("the lock {} has no name: {error}", lock.source()))
        };
        let mut names = self.locks.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Whether any step has an effect that may not be repeated at will.
    pub fn has_effects(&self) -> bool {
        self.all_steps().any(|step| step.effect() != Effect::Safe)
    }

    /// The inputs of a run: what a person gave first, then `from` in `context`, then the default.
    pub fn resolve_inputs(
        &self,
        given: &BTreeMap<String, String>,
        context: &serde_json::Value,
    ) -> Result<BTreeMap<String, String>, MissingInputs> {
        let mut resolved = BTreeMap::new();
        let mut missing = Vec::new();
        for (name, input) in &self.inputs {
            let from_context = || {
                let value = input.from.as_ref()?.evaluate(context).ok()?;
                Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            let value = given
                .get(name)
                .cloned()
                .or_else(from_context)
                .or_else(|| input.default.clone());
            match value.filter(|value| !value.is_empty()) {
                Some(value) => _ = resolved.insert(name.clone(), value),
                None if input.required => missing.push(name.clone()),
                None => _ = resolved.insert(name.clone(), String::new()),
            }
        }
        match missing.is_empty() {
            true => Ok(resolved),
            false => Err(MissingInputs(missing)),
        }
    }
}

/// How a runbook's trigger compares with one alert's labels, kept with each match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerReport {
    /// Index of the first line that holds.
    pub matched_line: Option<usize>,
    /// Every line, compared.
    pub lines: Vec<TriggerLine>,
}

/// One line of a trigger, compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerLine {
    /// Its matchers, compared.
    pub matchers: Vec<MatcherReport>,
}

/// One matcher and the value it met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatcherReport {
    /// As written.
    pub matcher: String,
    /// The label's value; empty when absent.
    pub actual: String,
    /// Whether it holds.
    pub holds: bool,
}

impl TriggerLine {
    /// Whether every matcher holds.
    pub fn holds(&self) -> bool {
        self.matchers.iter().all(|matcher| matcher.holds)
    }
}
