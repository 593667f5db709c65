//! The story of one schedule, for whoever has to understand a failing seed.

use muster::domain::run::RunFact;

use crate::schedule::Schedule;

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
        RunFact::StepStarted { attempt, fence, effect, .. } => format!(" #{attempt} fence {fence} {effect:?}"),
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
        RunFact::StepSkipped { reason, .. } | RunFact::OutcomeUnknown { reason, .. } => format!(" ({reason})"),
        RunFact::ItemsListed { items, .. } => format!(" {} items", items.len()),
        RunFact::GateExpired { unused: true, .. } => " unused".to_owned(),
        RunFact::UnknownDecided { choice, .. } => format!(" {choice:?}"),
        RunFact::RunEnding { result, reason, undo } => format!(" {result:?} ({reason}) undo {undo}"),
        RunFact::RunFinished { result, reason } => format!(" {result:?} ({reason})"),
        _ => String::new(),
    };
    format!("{kind}{step}{more}")
}
