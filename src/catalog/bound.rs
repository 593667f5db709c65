//! What a gate binds. An approval is given for the requests as they will be sent, so everything they read must be
//! known when people are asked.

use super::{
    findings::{Findings, Path},
    names,
    order::{Order, gate_above},
    scope::texts,
};
use crate::domain::{
    id::StepId,
    runbook::Runbook,
    step::{Act, Effect},
    template::{Expression, Template},
};

/// Checks the acting step at `at`, whose fields are at `path`.
pub(super) fn check(
    runbook: &Runbook,
    order: &Order,
    at: usize,
    act: &Act,
    path: &Path,
    findings: &mut Findings<'_>,
) {
    let steps = runbook.steps.as_slice();
    let Some(gate) = gate_above(steps, at) else { return };
    let binding = Binding {
        runbook,
        order,
        gate,
        at,
    };
    if act.effect != Effect::Safe {
        if let Some(each) = &steps[at].for_each {
            let path = path.key("for_each");
            binding.judge([each.items.clone()], &list_path(&path, findings), findings);
        }
        texts(&act.request.with, &path.key("with"), &mut |text, path| {
            binding.judge(expressions(text), path, findings);
        });
    }
    if let Some(undo) = &act.undo {
        let path = path.key("undo").key("with");
        texts(&undo.request.with, &path, &mut |text, path| {
            binding.judge(expressions(text), path, findings);
        });
    }
}

/// Where the list of a `for_each` stands, in its short or its long form.
pub(super) fn list_path(path: &Path, findings: &Findings<'_>) -> Path {
    let long = path.key("in");
    match findings.has_value(&long) {
        true => long,
        false => path.clone(),
    }
}

fn expressions(text: &str) -> Vec<Expression> {
    Template::parse(text)
        .map(|template| template.expressions())
        .unwrap_or_default()
}

/// A step below a gate.
struct Binding<'a> {
    runbook: &'a Runbook,
    order: &'a Order,
    gate: usize,
    at: usize,
}

impl Binding<'_> {
    /// Tells the first result these expressions read too early, if any.
    fn judge(
        &self,
        expressions: impl IntoIterator<Item = Expression>,
        path: &Path,
        findings: &mut Findings<'_>,
    ) {
        let late = expressions
            .into_iter()
            .flat_map(|expression| names::read(expression.source()).chains)
            .filter(|chain| chain.root == "steps")
            .filter_map(|chain| chain.below.into_iter().next())
            .find_map(|id| self.problem(&StepId(id)));
        if let Some((message, hint)) = late {
            findings.fault_with_hint(path, message, hint);
        }
    }

    fn problem(&self, id: &StepId) -> Option<(String, String)> {
        let steps = self.runbook.steps.as_slice();
        let read = steps.iter().position(|step| step.id == *id)?;
        let gate = &steps[self.gate].id;
        if read == self.at {
            return Some((
                format!(
                    "the gate \"{gate}\" binds what takes this step back before the step has run, so its own result is \
                     not known"
                ),
                format!("read what is known above \"{gate}\""),
            ));
        }
        // What is not surely done when the step begins has been told already.
        if !self.order.is_behind(read, self.at) || self.order.is_behind(read, self.gate) {
            return None;
        }
        let hint = match read < self.gate {
            true => format!("add \"{id}\" to the needs of \"{gate}\""),
            false => "put another gate between the two steps".to_owned(),
        };
        Some((
            format!("reads the result of \"{id}\", which is not known yet when people decide at \"{gate}\""),
            hint,
        ))
    }
}
