//! One step of the file as a rehearsal meets it: whether it applies, what it asks of people, and its parts. Pure.

use serde_json::Value;

use super::{
    known::{Unreadable, of_expression, of_template},
    part::{Desk, Part, blank, cut},
    walk::Walk,
};
use crate::domain::{
    approval::named,
    context::with_item,
    plan,
    rehearsal::{Rehearsed, Verdict},
    step::{Act, Effect, ForEach, GateRule, Step, StepKind},
    template::TemplateError,
};

/// Items of one list that are looked at.
const ITEMS_MAX: usize = 20;
/// Steps and items of one rehearsal.
const PARTS_MAX: usize = 300;

impl<'a> Walk<'a> {
    /// The parts of a step whose turn it is.
    pub(super) fn open(&mut self, step: &'a Step, finally: bool) -> Vec<Part<'a>> {
        let context = self.known.context.clone();
        let mut rehearsed = blank(step.id.clone(), step, self.title(step, &context));
        rehearsed.finally = finally;
        rehearsed.gate = self
            .stage
            .runbook
            .gate_over(&step.id)
            .filter(|_| step.effect() != Effect::Safe)
            .map(|gate| gate.id.clone());
        let mut undecided = None;
        if let Some(when) = &step.when {
            match self.known.read(&of_expression(when), || when.holds(&context)) {
                Ok(true) => {}
                Ok(false) => {
                    let reason = format!("{} does not hold", when.source());
                    return vec![Part::settled(rehearsed, Verdict::Skipped { reason })];
                }
                Err(Unreadable::Later { reason, when: known }) => {
                    rehearsed.condition = Some(format!("{}; it {reason}", when.source()));
                    undecided = Some(known);
                }
                Err(wrong) => return vec![Part::unreadable(rehearsed, "when: ", wrong)],
            }
        }
        let mut parts = match &step.kind {
            StepKind::Act(act) => match &step.for_each {
                None => vec![self.act(step, act, rehearsed, context)],
                Some(each) => self.items(step, act, each, rehearsed, &context),
            },
            StepKind::Gate(rule) => vec![self.gate(step, rule, rehearsed, &context)],
            StepKind::Manual { instruction, .. } => {
                let read = || instruction.render(&context);
                vec![match self.known.read(&of_template(instruction), read) {
                    Ok(text) => {
                        rehearsed.request = Some(cut(&text));
                        Part::settled(rehearsed, Verdict::WouldAsk)
                    }
                    Err(why) => Part::unreadable(rehearsed, "", why),
                }]
            }
            StepKind::Wait { length } => {
                rehearsed.request = Some(length.to_string());
                vec![Part::settled(rehearsed, Verdict::WouldWait)]
            }
        };
        for part in &mut parts {
            part.when = part.when.take().or_else(|| undecided.clone());
        }
        parts
    }

    fn items(
        &mut self,
        step: &'a Step,
        act: &'a Act,
        each: &ForEach,
        rehearsed: Rehearsed,
        context: &Value,
    ) -> Vec<Part<'a>> {
        let list = self.known.read(&of_expression(&each.items), || {
            let list = each.items.evaluate(context)?;
            plan::items(list, each.max).map_err(TemplateError)
        });
        let items = match list {
            Ok(items) => items,
            Err(why) => return vec![Part::unreadable(rehearsed, "for_each: ", why)],
        };
        if items.is_empty() {
            let reason = format!("the list {} is empty", each.items.source());
            return vec![Part::settled(rehearsed, Verdict::Skipped { reason })];
        }
        let mut parts = Vec::new();
        let shown = ITEMS_MAX
            .min(PARTS_MAX.saturating_sub(self.parts))
            .min(items.len());
        for (index, item) in items.iter().take(shown).enumerate() {
            let context = with_item(context, item, index);
            let mut part = rehearsed.clone();
            part.step = step.id.item(index);
            part.title = self.title(step, &context);
            parts.push(self.act(step, act, part, context));
        }
        if shown < items.len() {
            let reason = format!("{} more items of {}", items.len() - shown, items.len());
            let mut rest = Part::settled(rehearsed, Verdict::NotLooked { reason });
            rest.rehearsed.step = step.id.item(shown);
            parts.push(rest);
        }
        parts
    }

    fn act(&mut self, step: &Step, act: &'a Act, rehearsed: Rehearsed, context: Value) -> Part<'a> {
        let mut desk = Desk {
            targets: self.stage.targets,
            known: &self.known,
            asks: self.stage.asks,
            asked: &mut self.asked,
        };
        desk.act(step, act, rehearsed, context)
    }

    fn gate(&self, step: &Step, rule: &GateRule, mut rehearsed: Rehearsed, context: &Value) -> Part<'a> {
        let impact = match &rule.impact {
            None => String::new(),
            Some(impact) => match self.known.read(&of_template(impact), || impact.render(context)) {
                Ok(impact) => format!("\n{impact}"),
                Err(why) => return Part::unreadable(rehearsed, "impact: ", why),
            },
        };
        let named = named(rule);
        let who = match named.is_open() {
            true => {
                let roles: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
                roles.join(" or ")
            }
            false => named.words(),
        };
        let covers: Vec<&str> = self
            .stage
            .runbook
            .steps_under(&step.id)
            .filter(|step| step.effect() != Effect::Safe)
            .map(|step| step.id.0.as_str())
            .collect();
        let covers = match covers.is_empty() {
            true => "nothing".to_owned(),
            false => covers.join(", "),
        };
        let n = rule.approvals;
        let approvals = if n == 1 { "approval" } else { "approvals" };
        rehearsed.request = Some(cut(&format!("{n} {approvals} by {who}, for {covers}{impact}")));
        Part::settled(rehearsed, Verdict::WouldAsk)
    }

    /// The title, as written when it reads what is not known.
    fn title(&self, step: &Step, context: &Value) -> String {
        let Some(title) = &step.title else {
            return step.id.0.replace('-', " ");
        };
        self.known
            .read(&of_template(title), || title.render(context))
            .map_or_else(|_| title.source().to_owned(), |title| cut(&title))
    }
}
