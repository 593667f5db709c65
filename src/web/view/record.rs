//! Everything a page knows of one run, and where to find in it what was said of one step.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::tail::TailPart;
use crate::{
    domain::{
        breaker::Held,
        context::with_item,
        event::{Event, Recorded},
        id::{RunId, StepId},
        run::RunFact,
        sentence::{Category, category},
        state::{RunState, StepState},
        step::{Act, Effect},
    },
    execute::standing::Standing,
    store::{
        attempts::AttemptRow, incidents::Incident, locks::Holder, outputs::Tail, queue::Fault,
        runbooks::Version, runs::Run,
    },
};

/// Everything known of a run.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// What it is pinned to.
    pub run: Run,
    /// That.
    pub version: Version,
    /// Its incident.
    pub incident: Incident,
    /// Who started it, when a person did.
    pub requested_by: Option<String>,
    /// Its facts.
    pub facts: Vec<(DateTime<Utc>, RunFact)>,
    /// Their fold.
    pub state: RunState,
    /// What people did to it, the newest first.
    pub acts: Vec<Recorded>,
    /// Its attempts.
    pub attempts: Vec<AttemptRow>,
    /// What a gate of it has shown, by step.
    pub promised: BTreeMap<StepId, Promise>,
    /// Who holds the lock it waits for.
    pub holder: Option<Holder>,
    /// What keeps the workers from going on with it.
    pub fault: Option<Fault>,
    /// The run that goes on where it ended.
    pub continued_by: Option<RunId>,
    /// What its attempts that are on their way have written last.
    pub tails: Vec<Tail>,
    /// What stands over every run.
    pub standing: Standing,
}

/// One action as a gate has shown it.
#[derive(Clone, Debug)]
pub struct Promise {
    /// What will be sent.
    pub command: String,
    /// What takes it back.
    pub undo: Option<String>,
    /// What it acts on.
    pub target: String,
}

impl RunRecord {
    /// Whether it still goes on.
    pub fn is_live(&self) -> bool {
        self.run.finished_at.is_none()
    }

    /// What the titles of its steps can read; findings are not among it.
    pub fn context(&self) -> Value {
        json!({
            "inputs": self.run.inputs,
            "labels": self.run.context.get("labels"),
            "annotations": self.run.context.get("annotations"),
        })
    }

    /// The same for one item of a step.
    pub fn context_of(&self, id: &StepId) -> Value {
        let context = self.context();
        match (id.index(), self.state.step(&id.base().into())) {
            (Some(index), StepState::Listed { items }) => match items.get(index) {
                Some(item) => with_item(&context, item, index),
                None => context,
            },
            _ => context,
        }
    }

    /// Why nothing may be sent now to what this act is aimed at. What only reads is always sent.
    pub fn held(&self, id: &StepId, act: &Act, now: DateTime<Utc>) -> Option<Held> {
        if act.effect == Effect::Safe || !self.is_live() {
            return None;
        }
        let rendered = || {
            let target = crate::domain::template::Template::parse(act.request.target_source()?).ok()?;
            target.render(&self.context_of(id)).ok()
        };
        let promised = self.promised.get(id).map(|promise| promise.target.clone());
        self.standing.held(&promised.or_else(rendered)?, now)
    }
}

/// A run's record with its facts by step, made once for a page.
pub struct RunLog<'a> {
    /// The record.
    pub record: &'a RunRecord,
    /// When the page is made.
    pub now: DateTime<Utc>,
    last: BTreeMap<&'a StepId, (DateTime<Utc>, &'a RunFact)>,
    attempts: BTreeMap<&'a str, Vec<&'a AttemptRow>>,
}

impl<'a> RunLog<'a> {
    /// The record, looked through.
    pub fn of(record: &'a RunRecord, now: DateTime<Utc>) -> Self {
        let mut attempts: BTreeMap<&str, Vec<&AttemptRow>> = BTreeMap::new();
        for attempt in &record.attempts {
            attempts.entry(&attempt.step).or_default().push(attempt);
        }
        let facts = record.facts.iter();
        Self {
            record,
            now,
            last: facts
                .filter_map(|(at, fact)| Some((fact.step()?, (*at, fact))))
                .collect(),
            attempts,
        }
    }

    /// Where a step stands.
    pub fn state(&self, id: &StepId) -> &'a StepState {
        self.record.state.step(id)
    }

    /// Whether the turn of a step will not come any more: the run is over, or its steps are and this is one of them.
    /// What nobody knows stays a question.
    pub fn is_left(&self, id: &StepId) -> bool {
        let run = &self.record.state;
        let is_usual = || {
            let steps = &self.record.version.runbook.steps;
            id.undone().is_none() && steps.iter().any(|step| step.id.0 == id.base())
        };
        let is_over = run.finished.is_some() || (run.ending.is_some() && is_usual());
        is_over && !matches!(self.state(id), StepState::Unknown { .. })
    }

    /// What an item is, in words.
    pub fn item(&self, id: &StepId) -> Option<String> {
        let index = id.index()?;
        match self.state(&id.base().into()) {
            StepState::Listed { items } => items
                .get(index)
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)),
            _ => None,
        }
    }

    /// The newest fact of a step.
    pub fn last(&self, id: &StepId) -> Option<&'a RunFact> {
        self.last.get(id).map(|(_, fact)| *fact)
    }

    /// When the newest fact of a step was written down.
    pub fn since(&self, id: &StepId) -> Option<DateTime<Utc>> {
        self.last.get(id).map(|(at, _)| *at)
    }

    /// The attempts of a step, in order.
    pub fn attempts(&self, id: &StepId) -> &[&'a AttemptRow] {
        self.attempts.get(id.0.as_str()).map_or(&[], Vec::as_slice)
    }

    /// What it has written last, while it is at work.
    pub fn tail(&self, id: &StepId) -> TailPart {
        let tail = self.record.tails.iter().find(|tail| tail.step == *id);
        tail.map(TailPart::of).unwrap_or_default()
    }

    /// What was sent last, or what a gate has shown.
    pub fn command(&self, id: &StepId) -> Option<&'a str> {
        let sent = self.attempts(id).last().map(|attempt| attempt.command.as_str());
        sent.or_else(|| Some(self.record.promised.get(id)?.command.as_str()))
    }

    /// What people decided about a step, the oldest first.
    pub fn decided(&self, id: &StepId) -> impl Iterator<Item = &'a Recorded> {
        let acts = self.record.acts.iter().rev();
        acts.filter(move |act| match &act.event {
            Event::Run(_, RunFact::GateApproved { .. }) => false,
            Event::Run(_, fact @ RunFact::StepSkipped { .. }) => fact.step() == Some(id),
            Event::Run(_, fact) => fact.step() == Some(id) && category(&act.event) == Category::Decision,
            Event::Incident(_) => false,
        })
    }
}
