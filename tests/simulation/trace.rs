//! The story of one schedule, for whoever has to understand a failing seed.

use muster::domain::{id::StepId, run::RunFact, step::StepKind};

use crate::{runbooks::Made, schedule::Schedule};

impl Schedule {
    /// Adds a line to the story, if one is told.
    pub fn says(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let (seconds, ms) = (self.now / 1000, self.now % 1000);
            story.push(format!("{seconds:>5}.{ms:03}  {}", line()));
        }
    }
}

/// A fact in a few words.
pub fn brief(fact: &RunFact) -> String {
    let whole = format!("{fact:?}");
    let kind = whole.split([' ', '{']).next().unwrap_or_default().to_owned();
    let step = fact.step().map_or(String::new(), |step| format!(" {step}"));
    let more = match fact {
        RunFact::StepStarted {
            attempt,
            fence,
            effect,
            ..
        } => format!(" #{attempt} fence {fence} {effect:?}"),
        RunFact::StepSucceeded { attempt, settled, .. } => format!(" #{attempt} by {settled:?}"),
        RunFact::StepFailed {
            attempt,
            class,
            message,
            retry_at,
            ..
        } => {
            let again = if retry_at.is_some() { ", again later" } else { "" };
            format!(" #{attempt} {class:?} ({message}){again}")
        }
        RunFact::StepSkipped { reason, .. } | RunFact::OutcomeUnknown { reason, .. } => {
            format!(" ({reason})")
        }
        RunFact::ItemsListed { items, .. } => format!(" {} items", items.len()),
        RunFact::GateExpired { unused: true, .. } => " unused".to_owned(),
        RunFact::UnknownDecided { choice, .. } => format!(" {choice:?}"),
        RunFact::RunEnding { result, reason, undo } => format!(" {result:?} ({reason}) undo {undo}"),
        RunFact::RunFinished { result, reason } => format!(" {result:?} ({reason})"),
        _ => String::new(),
    };
    format!("{kind}{step}{more}")
}

/// A runbook in a few lines.
pub fn describe(made: &Made) -> String {
    let mut text = format!("        locks {:?}, sound {}", made.locks, made.is_sound);
    for step in made.runbook.all_steps() {
        let kind = match &step.kind {
            StepKind::Act(act) => {
                let undo = act.undo.as_ref().map(|undo| undo.effect);
                format!(
                    "act {:?} verify {} undo {undo:?}",
                    act.effect,
                    act.verify.is_some()
                )
            }
            StepKind::Gate(rule) => format!(
                "gate of {} use within {} on expiry {:?}",
                rule.approvals,
                rule.use_within,
                rule.on_expiry.as_ref().map(|to| &to.0)
            ),
            StepKind::Manual { within, .. } => {
                format!("manual within {:?}", within.map(|within| within.to_string()))
            }
            StepKind::Wait { length } => format!("wait {length}"),
        };
        let nature = made.nature(&step.id);
        let needs = step
            .needs
            .as_ref()
            .map(|needs| needs.iter().map(|id: &StepId| id.0.as_str()).collect::<Vec<_>>());
        text += &format!(
            "\n        {}: {kind}; needs {needs:?} each {:?} tries {} on failure {:?} timeout {}{}{}",
            step.id,
            step.for_each.as_ref().map(|each| each.at_once),
            step.retry.attempts,
            step.on_failure,
            step.timeout,
            if nature.applies { "" } else { " does not apply" },
            if nature.renders { "" } else { " does not render" },
        );
    }
    text
}
