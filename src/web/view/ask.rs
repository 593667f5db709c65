//! Steps that wait for a person, gates apart: something to do by hand, an outcome that nobody knows.

use super::{
    parts::{At, Hidden, Said, at, hidden, said},
    record::RunLog,
    step::{self, title},
};
use crate::domain::{
    id::StepId,
    run::RunFact,
    state::StepState,
    step::{Effect, StepKind},
};

/// Cards of one run; a list of a thousand items may fail in a thousand ways.
const CARDS_MAX: usize = 20;

/// A step that waits for a person.
#[derive(Clone, Debug)]
pub struct AskCard {
    /// The run.
    pub run: i64,
    /// What the runbook is called.
    pub title: Said,
    /// Which step.
    pub step: String,
    /// Its page.
    pub href: String,
    /// What is asked.
    pub ask: Ask,
    /// Hidden fields.
    pub hidden: Hidden,
    /// Where the answer leads: `run` to the run's page, `step:` with a name to that step's, otherwise to the incident's.
    pub back: String,
}

/// What is asked of a person.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Do something and say so.
    Manual {
        /// What to do.
        instruction: Said,
    },
    /// Nobody knows whether it was done.
    Unknown(Unknown),
}

/// What is known of an outcome that nobody knows.
#[derive(Clone, Debug)]
pub struct Unknown {
    /// When it was sent, as far as it is known.
    pub sent: Option<At>,
    /// What was sent.
    pub command: Said,
    /// What is known.
    pub reason: Said,
    /// Whether there is a probe to ask.
    pub has_probe: bool,
    /// Whether the target is asked to do it at most once for one key.
    pub is_idempotent: bool,
    /// The gate that stands above it.
    pub gate: Option<Said>,
}

impl AskCard {
    /// What a run asks of people, in the order of its steps.
    pub fn of(log: &RunLog<'_>, back: &str) -> Vec<Self> {
        let record = log.record;
        if !record.is_live() {
            return Vec::new();
        }
        let place = |id: &StepId| {
            let at = record
                .version
                .runbook
                .all_steps()
                .position(|step| step.id.0 == id.base());
            (at, id.undone().is_some(), id.index())
        };
        let mut open: Vec<&StepId> = record
            .state
            .steps
            .iter()
            .filter(|(_, state)| matches!(state, StepState::ManualOpen { .. } | StepState::Unknown { .. }))
            .map(|(id, _)| id)
            .filter(|id| !log.is_left(id))
            .collect();
        open.sort_by_key(|id| place(id));
        open.into_iter()
            .take(CARDS_MAX)
            .map(|id| Self {
                run: record.run.id.0,
                title: said(&record.version.runbook.title),
                step: id.0.clone(),
                href: step::href(record.run.id, id),
                ask: ask(id, log),
                hidden: hidden(Some(record.incident.last_seq)),
                back: back.to_owned(),
            })
            .collect()
    }
}

fn ask(id: &StepId, log: &RunLog<'_>) -> Ask {
    let runbook = &log.record.version.runbook;
    match log.state(id) {
        StepState::Unknown { reason, .. } => {
            let act = runbook.find(id).and_then(|found| found.act);
            let gate = runbook.gate_over(id);
            let sent = log.attempts(id).last();
            Ask::Unknown(Unknown {
                sent: sent.map(|sent| at(sent.started_at, log.now)),
                command: said(log.command(id).unwrap_or_default()),
                reason: said(reason),
                has_probe: act.is_some_and(|act| act.verify.is_some()),
                is_idempotent: act.is_some_and(|act| act.effect == Effect::Idempotent),
                gate: gate.map(|gate| said(&title(gate, &log.record.context()))),
            })
        }
        _ => {
            let asked = match log.last(id) {
                Some(RunFact::ManualAsked { instruction, .. }) => instruction.as_str(),
                _ => match runbook.find(id).map(|found| &found.step.kind) {
                    Some(StepKind::Manual { instruction, .. }) => instruction.source(),
                    _ => "",
                },
            };
            Ask::Manual {
                instruction: said(asked),
            }
        }
    }
}
