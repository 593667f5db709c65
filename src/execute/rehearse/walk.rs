//! The way through a runbook in a rehearsal: which step can be looked at when, and what its answers mean for the
//! others. Pure: it hands out questions and takes in answers; who carries them is not its concern.
//!
//! Nothing changes while it goes on, so a step waits only for those whose results it reads, and a check for the
//! effects before it, since its answer now is not the one a run will get.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    known::{Known, of_expression, of_template, of_tree, steps_of},
    part::{Answer, Ask, Came, Part, broken},
    verdict::{Circumstances, Worth, conclude},
};
use crate::domain::{
    names::Chain,
    rehearsal::{Fault, Rehearsed, Verdict},
    runbook::Runbook,
    step::{Act, Effect, Step, StepKind},
    target::Targets,
};

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
    pub(super) stage: Stage<'a>,
    pub(super) known: Known,
    nodes: Vec<Node<'a>>,
    pub(super) asked: Vec<Ask>,
    handed_out: usize,
    answers: BTreeMap<usize, Answer>,
    /// Steps and items so far.
    pub(super) parts: usize,
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
