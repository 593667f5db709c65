//! What a runbook says of one step, on its own page and in a run.

use serde_json::Value;

use super::{
    markdown::Markdown,
    parts::{Badge, Said, said},
    rules, text,
};
use crate::domain::{
    id::{RunId, StepId},
    step::{ActWord, Phase, Step, StepKind},
};

/// Characters of an item in a title.
const ITEM_CHARS_MAX: usize = 60;

/// What the runbook says of a step.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// Its place, from 1; 0 for what takes a step back, which has none.
    pub number: usize,
    /// Its name in the runbook.
    pub id: String,
    /// What people read.
    pub title: Said,
    /// check, call, logs, gate, manual, wait
    pub kind: &'static str,
    /// detect, isolate, restore, verify
    pub phase: Option<&'static str>,
    /// Background.
    pub doc: Option<Markdown>,
    /// What it sends or asks, as written.
    pub written: Said,
    /// Everything else, name by name.
    pub rules: Vec<(&'static str, String)>,
}

impl StepPlan {
    /// What kind of step it is; those that wait for people stand out.
    pub fn badge(&self) -> Badge {
        match self.kind {
            "gate" => Badge::new("gate", "lock", "gate"),
            "manual" => Badge::new("gate", "person", "manual"),
            "wait" => Badge::new("quiet", "clock", "wait"),
            kind => Badge::new("quiet", "play", kind),
        }
    }

    /// The step as the runbook has it; titles are rendered with `context`, or shown as written.
    pub fn of(number: usize, step: &Step, context: &Value) -> Self {
        Self {
            number,
            id: step.id.0.clone(),
            title: said(&title(step, context)),
            kind: kind(&step.kind),
            phase: step.phase.map(|phase| match phase {
                Phase::Detect => "detect",
                Phase::Isolate => "isolate",
                Phase::Restore => "restore",
                Phase::Verify => "verify",
            }),
            doc: step.doc.as_deref().map(Markdown::of),
            written: said(&rules::written(&step.kind)),
            rules: rules::of(step),
        }
    }

    /// What takes a step or one of its items back, or the gate that is asked before.
    pub fn undo(id: &StepId, step: &Step, item: Option<String>, context: &Value) -> Self {
        let undo = match &step.kind {
            StepKind::Act(act) => act.undo.as_ref().map(|undo| rules::request(&undo.request)),
            _ => None,
        };
        let own = title(step, context);
        let words = match (&step.kind, item) {
            (StepKind::Gate(_), _) => format!("Ask before it is taken back: {own}"),
            (_, None) => format!("Take back: {own}"),
            (_, Some(item)) => format!("Take back: {own}, {}", text::cut(&item, ITEM_CHARS_MAX)),
        };
        Self {
            number: 0,
            id: id.0.clone(),
            title: said(&words),
            kind: "undo",
            phase: None,
            doc: None,
            written: said(&undo.unwrap_or_default()),
            rules: Vec::new(),
        }
    }
}

/// The page of a step of a run.
pub fn href(run: RunId, step: &StepId) -> String {
    let step: String = url::form_urlencoded::byte_serialize(step.0.as_bytes()).collect();
    format!("/runs/{run}/steps/{step}")
}

/// What people read of a step: rendered with `context`, or as written.
pub fn title(step: &Step, context: &Value) -> String {
    match &step.title {
        Some(title) => title
            .render(context)
            .unwrap_or_else(|_| title.source().to_owned()),
        None => step.id.0.replace('-', " "),
    }
}

fn kind(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Act(act) => match act.word {
            ActWord::Check => "check",
            ActWord::Call => "call",
            ActWord::Logs => "logs",
        },
        StepKind::Gate(_) => "gate",
        StepKind::Manual { .. } => "manual",
        StepKind::Wait { .. } => "wait",
    }
}
