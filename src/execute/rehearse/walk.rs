//! The way through a runbook in a rehearsal: which step can be looked at when, and what its answers mean for the
//! others. Pure: it hands out questions and takes in answers; who carries them is not its concern.
//!
//! Nothing changes while it goes on, so a step waits only for those whose results it reads, and a check for the
//! effects before it, since its answer now is not the one a run will get.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    known::{Known, Unreadable, of_expression, of_template, of_tree, steps_of},
    part::{Answer, Ask, Came, Desk, Part, blank, broken, cut},
    verdict::{Circumstances, Worth, conclude},
};
use crate::domain::{
    context::with_item,
    names::Chain,
    plan,
    rehearsal::{Fault, Rehearsed, Verdict},
    runbook::Runbook,
    step::{Act, Effect, ForEach, GateRule, Step, StepKind},
    target::Targets,
    template::TemplateError,
};

/// Items of one list that are looked at.
const ITEMS_MAX: usize = 20;
/// Steps and items of one rehearsal.
const PARTS_MAX: usize = 300;

/// What a rehearsal goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage<'a> {
    /// The runbook.
    pub runbook: &'a Runbook,
    /// The targets as the file says now.
    pub targets: &'a Targets,
    /// Why nothing may be sent to a target now, by target.
    pub held: &'a BTreeMap<String, String>,
    /// Whether anything may be asked.
    pub asks: bool,
    /// When it began.
    pub at: DateTime<Utc>,
}

/// A rehearsal under way.
pub(super) struct Walk<'a> {
    stage: Stage<'a>,
    known: Known,
    nodes: Vec<Node<'a>>,
    asked: Vec<Ask>,
    handed_out: usize,
    answers: BTreeMap<usize, Answer>,
    parts: usize,
    /// Why nothing more is asked.
    over: Option<String>,
}

/// One step of the file.
struct Node<'a> {
    step: &'a Step,
    finally: bool,
    /// Steps that must be looked at first.
    needs: BTreeSet<usize>,
    /// Steps surely before it that may change something, in the order of the file.
    changers: Vec<usize>,
    progress: Progress<'a>,
}

enum Progress<'a> {
    Waiting,
    Open(Vec<Part<'a>>),
    Over { steps: Vec<Rehearsed>, may_change: bool },
}

impl<'a> Walk<'a> {
    /// Before the first step.
    pub fn new(stage: Stage<'a>, known: Known) -> Self {
        let steps: Vec<(&Step, bool)> = stage
            .runbook
            .steps
            .iter()
            .map(|step| (step, false))
            .chain(stage.runbook.finally.iter().map(|step| (step, true)))
            .collect();
        let nodes = (0..steps.len())
            .map(|at| node(stage.runbook, &steps, at))
            .collect();
        Self {
            stage,
            known,
            nodes,
            asked: Vec::new(),
            handed_out: 0,
            answers: BTreeMap::new(),
            parts: 0,
            over: None,
        }
    }

    /// Goes on as far as it can; what has to be asked now.
    pub fn advance(&mut self) -> Vec<Ask> {
        loop {
            let mut has_moved = false;
            for at in 0..self.nodes.len() {
                has_moved |= self.open_if_free(at) | self.settle_if_answered(at);
            }
            if has_moved {
                continue;
            }
            let is_asking = self.asked.len() > self.answers.len();
            let stuck = self
                .nodes
                .iter()
                .position(|node| matches!(node.progress, Progress::Waiting));
            match stuck.filter(|_| !is_asking) {
                // Steps that read each other: the first of them reads what nobody can know.
                Some(at) => {
                    for need in std::mem::take(&mut self.nodes[at].needs) {
                        let step = &self.nodes[need].step.id;
                        if matches!(self.nodes[need].progress, Progress::Waiting) {
                            self.known.later(step, format!("after {step} was asked"));
                        }
                    }
                }
                None => break,
            }
        }
        let fresh = self.asked[self.handed_out..].to_vec();
        self.handed_out = self.asked.len();
        fresh
    }

    /// Takes in what became of a question.
    pub fn answer(&mut self, id: usize, answer: Answer) {
        self.answers.entry(id).or_insert(answer);
    }

    /// Asks nothing more and waits for nothing more.
    pub fn give_up(&mut self, reason: &str) {
        self.over = Some(reason.to_owned());
        self.answer_the_rest();
    }

    /// Everything that was found out, in the order of the file.
    pub fn finish(mut self) -> Vec<Rehearsed> {
        self.advance();
        // Nobody is left to answer what is still open.
        if self.over.is_none() {
            self.give_up("it was not asked");
        }
        self.advance();
        let mut steps: Vec<Rehearsed> = Vec::new();
        for node in self.nodes {
            if let Progress::Over { steps: found, .. } = node.progress {
                steps.extend(found);
            }
        }
        hold_gates(self.stage.runbook, &mut steps);
        steps
    }

    fn answer_the_rest(&mut self) {
        let Some(reason) = self.over.clone() else { return };
        for ask in &self.asked {
            self.answers.entry(ask.id).or_insert_with(|| Answer {
                came: Came::Unasked(reason.clone()),
                took_ms: 0,
            });
        }
    }

    fn open_if_free(&mut self, at: usize) -> bool {
        let node = &self.nodes[at];
        let is_over = |need: &usize| matches!(self.nodes[*need].progress, Progress::Over { .. });
        if !matches!(node.progress, Progress::Waiting) || !node.needs.iter().all(is_over) {
            return false;
        }
        let step = node.step;
        let parts = self.open(step, node.finally);
        self.parts += parts.len();
        self.nodes[at].progress = Progress::Open(parts);
        self.answer_the_rest();
        true
    }

    fn settle_if_answered(&mut self, at: usize) -> bool {
        let Progress::Open(parts) = &self.nodes[at].progress else {
            return false;
        };
        let answered = |(_, id): &(_, usize)| self.answers.contains_key(id);
        if !parts.iter().flat_map(|part| &part.questions).all(answered) {
            return false;
        }
        let Progress::Open(parts) = std::mem::replace(&mut self.nodes[at].progress, Progress::Waiting) else {
            return false;
        };
        let step = self.nodes[at].step;
        let about = Circumstances {
            step,
            known: &self.known,
            held: self.stage.held,
            after: self.changed_before(at, &parts),
            at: self.stage.at,
        };
        let concluded: Vec<(Rehearsed, Worth)> = parts
            .into_iter()
            .map(|part| conclude(part, &self.answers, &about))
            .collect();
        self.learn(step, &concluded);
        let steps: Vec<Rehearsed> = concluded.into_iter().map(|(rehearsed, _)| rehearsed).collect();
        let may_change = may_change(step)
            && steps.iter().any(|step| {
                !matches!(
                    step.verdict,
                    Verdict::Skipped { .. } | Verdict::DoneAlready { .. }
                )
            });
        self.nodes[at].progress = Progress::Over { steps, may_change };
        true
    }

    /// When a run asks this step, if that is after something that changes the answer. A step of which nobody knows
    /// whether it is carried out at all belongs to later as well.
    fn changed_before(&self, at: usize, parts: &[Part<'_>]) -> Option<String> {
        let changes = |changer: &&usize| {
            matches!(
                self.nodes[**changer].progress,
                Progress::Over { may_change: true, .. }
            )
        };
        let Some(changer) = self.nodes[at].changers.iter().rev().find(changes) else {
            return parts.iter().find_map(|part| part.when.clone());
        };
        let step = self.nodes[*changer].step;
        let done = match step.kind {
            StepKind::Manual { .. } => "was done",
            _ => "was sent",
        };
        Some(format!("after {} {done}", step.id))
    }

    /// What the results of a step mean for those that read them.
    fn learn(&mut self, step: &Step, concluded: &[(Rehearsed, Worth)]) {
        let is_found = |(_, worth): &(_, Worth)| matches!(worth, Worth::Found(_));
        if !concluded.is_empty() && concluded.iter().all(is_found) {
            for (rehearsed, worth) in concluded {
                if let Worth::Found(found) = worth {
                    self.known.learn(&rehearsed.step, found);
                }
            }
            return;
        }
        // Of a list whose answers are not all in nothing is known.
        for (_, worth) in concluded {
            match worth {
                Worth::Later(when) => return self.known.later(&step.id, when.clone()),
                Worth::Nothing(why) => self.known.without(&step.id, why.clone()),
                Worth::Found(_) => {}
            }
        }
    }

    fn open(&mut self, step: &'a Step, finally: bool) -> Vec<Part<'a>> {
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
        let who = match rule.people.is_empty() {
            true => rule.roles.iter().map(|role| role.name().to_owned()).collect(),
            false => rule.people.clone(),
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
        let (n, who) = (rule.approvals, who.join(" or "));
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

/// What has to be known of a step before the first is looked at.
fn node<'a>(runbook: &Runbook, steps: &[(&'a Step, bool)], at: usize) -> Node<'a> {
    let (step, finally) = steps[at];
    let changers: Vec<usize> = match finally {
        true => (0..at).filter(|other| may_change(steps[*other].0)).collect(),
        false => {
            let before = runbook.before(&step.id);
            (0..runbook.steps.len())
                .filter(|other| before.contains(&steps[*other].0.id) && may_change(steps[*other].0))
                .collect()
        }
    };
    let mut needs: BTreeSet<usize> = match steps_of(&reads(step)) {
        Some(read) => (0..steps.len())
            .filter(|other| *other != at && read.contains(&steps[*other].0.id))
            .collect(),
        None => (0..at).collect(),
    };
    if let StepKind::Act(Act {
        effect: Effect::Safe, ..
    }) = &step.kind
    {
        needs.extend(&changers);
    }
    Node {
        step,
        finally,
        needs,
        changers,
        progress: Progress::Waiting,
    }
}

/// Whether a run changes something here: Muster, or the person it asks.
fn may_change(step: &Step) -> bool {
    step.effect() != Effect::Safe || matches!(step.kind, StepKind::Manual { .. })
}

/// Everything a step's expressions read.
fn reads(step: &Step) -> Vec<Chain> {
    let mut chains = Vec::new();
    chains.extend(step.title.iter().flat_map(of_template));
    chains.extend(step.when.iter().flat_map(of_expression));
    chains.extend(step.for_each.iter().flat_map(|each| of_expression(&each.items)));
    match &step.kind {
        StepKind::Act(act) => {
            chains.extend(of_tree(&act.request.with));
            chains.extend(act.expect.iter().flat_map(of_expression));
            if let Some(probe) = &act.verify {
                chains.extend(of_tree(&probe.request.with));
                chains.extend(probe.expect.iter().flat_map(of_expression));
            }
            if let Some(undo) = &act.undo {
                chains.extend(of_tree(&undo.request.with));
            }
        }
        StepKind::Gate(rule) => chains.extend(rule.impact.iter().flat_map(of_template)),
        StepKind::Manual { instruction, .. } => chains.extend(of_template(instruction)),
        StepKind::Wait { .. } => {}
    }
    chains
}

/// A gate asks for everything below it at once; what cannot be shown keeps it from asking.
fn hold_gates(runbook: &Runbook, steps: &mut [Rehearsed]) {
    let is_hidden = |step: &Rehearsed| {
        matches!(
            step.verdict,
            Verdict::Broken {
                fault: Fault::Template | Fault::Target,
                ..
            }
        )
    };
    for gate in runbook
        .steps
        .iter()
        .filter(|step| matches!(step.kind, StepKind::Gate(_)))
    {
        let hidden = steps
            .iter()
            .find(|step| step.gate.as_ref() == Some(&gate.id) && is_hidden(step))
            .map(|step| step.step.clone());
        let own = steps
            .iter_mut()
            .find(|step| step.step == gate.id && step.verdict == Verdict::WouldAsk);
        if let (Some(hidden), Some(own)) = (hidden, own) {
            own.verdict = broken(
                Fault::Gate,
                format!("{hidden} below it cannot be shown to those who decide"),
            );
        }
    }
}
