//! The steps of a run in the groups they run in; a long list is cut into parts that fold.

use super::{format, record::RunLog, stand::StepView, step::StepPlan};
use crate::domain::{id::StepId, step::Step};

/// Steps of the undo that are shown; what was done is no longer than the runbook and its lists.
const UNDO_SHOWN_MAX: usize = 200;
/// Steps that are shown as one list; a longer one is cut into parts.
const WHOLE_MAX: usize = 50;
/// Steps of one part.
const PART_STEPS: usize = 20;
/// What takes back is called this.
pub const UNDOING: &str = "Taking back, the last first";

/// Steps that belong together.
#[derive(Clone, Debug)]
pub struct StepGroup {
    /// What they are, apart from the usual ones.
    pub heading: Option<&'static str>,
    /// `Steps 1 to 20: 20 done`, for a part of a long list.
    pub fold: Option<String>,
    /// Whether that part is open: something in it failed, waits or is at work.
    pub is_open: bool,
    /// The steps.
    pub steps: Vec<StepView>,
}

impl StepGroup {
    fn whole(heading: Option<&'static str>, steps: Vec<StepView>) -> Self {
        Self {
            heading,
            fold: None,
            is_open: true,
            steps,
        }
    }

    /// The same list in parts, when it is long.
    fn in_parts(self) -> Vec<Self> {
        if self.steps.len() <= WHOLE_MAX {
            return vec![self];
        }
        let mut heading = self.heading;
        let mut parts = Vec::new();
        let mut steps = self.steps.into_iter().peekable();
        while steps.peek().is_some() {
            let steps: Vec<StepView> = steps.by_ref().take(PART_STEPS).collect();
            parts.push(Self {
                heading: heading.take(),
                fold: Some(counts(&steps)),
                is_open: steps.iter().any(|step| step.is_trouble || step.is_current),
                steps,
            });
        }
        parts
    }
}

/// `Steps 21 to 40: 3 done, 1 failed, 16 not started`
fn counts(steps: &[StepView]) -> String {
    let count = |holds: fn(&StepView) -> bool, word: &str| {
        let count = steps.iter().filter(|step| holds(step)).count();
        (count > 0).then(|| format!("{count} {word}"))
    };
    let parts = [
        count(|step| step.is_trouble, "in trouble"),
        count(|step| !step.is_trouble && step.is_active, "at work or waiting"),
        count(|step| !step.is_trouble && !step.is_active && step.is_over, "over"),
        count(
            |step| !step.is_trouble && !step.is_active && !step.is_over,
            "to come",
        ),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let number = |step: Option<&StepView>| step.map_or(0, |step| step.plan.number);
    match (number(steps.first()), number(steps.last())) {
        (0, _) => format!(
            "{}: {}",
            format::count(steps.len() as i64, "step", "steps"),
            parts.join(", ")
        ),
        (first, last) if first == last => format!("Step {first}: {}", parts.join(", ")),
        (first, last) => format!("Steps {first} to {last}: {}", parts.join(", ")),
    }
}

/// The steps of a run, in the groups they run in.
pub fn groups(log: &RunLog<'_>) -> Vec<StepGroup> {
    let record = log.record;
    let runbook = &record.version.runbook;
    let context = record.context();
    let plans = |first: usize, steps: &[Step]| -> Vec<StepView> {
        let numbered = steps.iter().enumerate();
        numbered
            .map(|(at, step)| StepView::of(StepPlan::of(first + at, step, &context), &step.id, step, log))
            .collect()
    };
    let mut groups = vec![StepGroup::whole(None, plans(1, &runbook.steps))];
    let undos = undos(log);
    if !undos.is_empty() {
        let steps = undos.iter().take(UNDO_SHOWN_MAX).filter_map(|id| {
            let step = runbook.step(id)?;
            let plan = StepPlan::undo(id, step, log.item(id), &record.context_of(id));
            Some(StepView::of(plan, id, step, log))
        });
        groups.push(StepGroup::whole(Some(UNDOING), steps.collect()));
    }
    if !runbook.finally.is_empty() {
        let last = plans(runbook.steps.len() + 1, &runbook.finally);
        groups.push(StepGroup::whole(Some("At the end, whatever came before"), last));
    }
    if record.is_live() {
        let steps = || groups.iter().flat_map(|group| &group.steps);
        let is_at_work = steps().any(|step| step.is_active);
        let is_ending = record.state.ending.is_some();
        let mut first = true;
        for (at, group) in groups.iter_mut().enumerate() {
            for step in &mut group.steps {
                let is_next = !is_at_work && !step.is_over && (at > 0) == is_ending && first;
                step.is_current = step.is_active || is_next;
                first &= !is_next;
            }
        }
        let mut steps = groups.iter_mut().flat_map(|group| &mut group.steps);
        if steps.by_ref().any(|step| step.is_current)
            && let Some(step) = steps.find(|step| !step.is_over && !step.is_current)
        {
            step.is_next = true;
        }
    }
    groups.into_iter().flat_map(StepGroup::in_parts).collect()
}

/// What takes back what was done, in the order it is sent, each first one under a gate after the gate itself.
fn undos(log: &RunLog<'_>) -> Vec<StepId> {
    let record = log.record;
    let runbook = &record.version.runbook;
    if !record.state.ending.as_ref().is_some_and(|ending| ending.undo) {
        return Vec::new();
    }
    let is_closing = |id: &StepId| runbook.finally.iter().any(|step| step.id.0 == id.base());
    let mut undos = Vec::new();
    for id in record.state.done.iter().rev() {
        let undo = id.undo();
        let is_there = runbook.find(&undo).is_some_and(|found| found.act.is_some());
        if id.undone().is_some() || is_closing(id) || !is_there {
            continue;
        }
        if let Some(gate) = runbook.gate_over(id).map(|gate| gate.id.undo())
            && !undos.contains(&gate)
        {
            undos.push(gate);
        }
        undos.push(undo);
    }
    undos
}
