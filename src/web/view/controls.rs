//! What a person can do to a live run as a whole: pause it, stop it, take back what it did, let a step be.

use super::{
    format,
    parts::{Hidden, Said, hidden, said},
    record::RunLog,
    rules,
    step::title,
    text,
};
use crate::{
    domain::{
        id::StepId,
        runbook::Runbook,
        state::StepState,
        step::{Effect, Step, StepKind},
    },
    execute::people::may_be_skipped,
};

/// Steps listed of what would be taken back.
const LINES_MAX: usize = 50;
/// Characters of an item in a line.
const ITEM_CHARS_MAX: usize = 60;

/// The forms of a live run.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Whether it may be paused.
    pub may_pause: bool,
    /// Whether it may still be asked to stop.
    pub may_stop: bool,
    /// Whether it may still be asked to take back what it did.
    pub may_undo: bool,
    /// What would be taken back, in this order.
    pub undo: Vec<UndoLine>,
    /// How much more would be.
    pub undo_more: usize,
    /// What was done and cannot be taken back.
    pub stays: Vec<Said>,
    /// Steps that may be let be.
    pub skips: Vec<SkipChoice>,
    seen: i64,
}

/// One effect that would be taken back.
#[derive(Clone, Debug)]
pub struct UndoLine {
    /// What people read of the step.
    pub title: Said,
    /// What would be sent.
    pub command: Said,
    /// The gate that is asked first.
    pub gate: Option<Said>,
}

/// A step that may be let be.
#[derive(Clone, Debug)]
pub struct SkipChoice {
    /// Its name.
    pub step: String,
    /// `drain (read by verify and tell)`
    pub words: String,
}

impl Controls {
    /// What can be done to a run that still goes on.
    pub fn of(log: &RunLog<'_>) -> Option<Self> {
        let record = log.record;
        if !record.is_live() {
            return None;
        }
        let (undo, stays) = taken_back(log);
        Some(Self {
            may_pause: record.state.paused.is_none(),
            may_stop: record.state.stop_requested.is_none() && record.state.ending.is_none(),
            may_undo: !record.state.undo_requested && record.state.ending.is_none(),
            undo_more: undo.len().saturating_sub(LINES_MAX),
            undo: undo.into_iter().take(LINES_MAX).collect(),
            stays,
            skips: skips(log),
            seen: record.incident.last_seq,
        })
    }

    /// The hidden fields of one form.
    pub fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }
}

/// What would be taken back, the last one first, and what would stay as it is.
fn taken_back(log: &RunLog<'_>) -> (Vec<UndoLine>, Vec<Said>) {
    let record = log.record;
    let runbook = &record.version.runbook;
    let is_closing = |id: &StepId| runbook.finally.iter().any(|step| step.id.0 == id.base());
    let (mut lines, mut stays) = (Vec::new(), Vec::new());
    for id in record.state.done.iter().rev() {
        if id.undone().is_some() || is_closing(id) || log.state(&id.undo()).is_behind() {
            continue;
        }
        let Some((step, Some(act))) = runbook.find(id).map(|found| (found.step, found.act)) else {
            continue;
        };
        let context = record.context_of(id);
        let words = match log.item(id) {
            Some(item) => format!("{}, {}", title(step, &context), text::cut(&item, ITEM_CHARS_MAX)),
            None => title(step, &context),
        };
        match &act.undo {
            Some(undo) => {
                let promised = record.promised.get(id).and_then(|promise| promise.undo.clone());
                let gate = runbook.gate_over(id);
                lines.push(UndoLine {
                    title: said(&words),
                    command: said(&promised.unwrap_or_else(|| rules::request(&undo.request))),
                    gate: gate.map(|gate| said(&title(gate, &context))),
                });
            }
            None if act.effect != Effect::Safe => stays.push(said(&words)),
            None => {}
        }
    }
    stays.truncate(LINES_MAX);
    (lines, stays)
}

/// Steps that may be let be: what the run still has before it, with what reads what they would have found.
fn skips(log: &RunLog<'_>) -> Vec<SkipChoice> {
    let record = log.record;
    let runbook = &record.version.runbook;
    let steps: Vec<&Step> = match (&record.state.ending, &record.state.stop_requested) {
        (None, None) => runbook.all_steps().collect(),
        _ => runbook.finally.iter().collect(),
    };
    let undoing = record.state.ending.as_ref().is_some_and(|ending| ending.undo);
    let undos = record
        .state
        .done
        .iter()
        .rev()
        .filter(|id| undoing && id.undone().is_none());
    let undos = undos
        .map(StepId::undo)
        .filter(|id| runbook.find(id).is_some_and(|found| found.act.is_some()))
        .filter(|id| may_be_skipped(log.state(id)))
        .map(|id| SkipChoice {
            words: id.0.clone(),
            step: id.0,
        });
    let own = steps
        .into_iter()
        .filter(|step| !matches!(step.kind, StepKind::Gate(_)))
        .filter_map(|step| {
            let id = &step.id;
            let words = match log.state(id) {
                StepState::Listed { items } => {
                    let open = (0..items.len()).filter(|index| may_be_skipped(log.state(&id.item(*index))));
                    let open = open.count();
                    (open > 0).then(|| format!("{id}, the {open} items that have not begun"))?
                }
                state => may_be_skipped(state).then(|| id.0.clone())?,
            };
            let readers = readers(runbook, id);
            Some(SkipChoice {
                step: id.0.clone(),
                words: match readers.is_empty() {
                    true => words,
                    false => format!("{words} (read by {})", format::listed(&readers)),
                },
            })
        });
    undos.chain(own).collect()
}

/// The steps whose expressions name what this one finds.
pub fn readers(runbook: &Runbook, id: &StepId) -> Vec<String> {
    let marks = [
        format!("steps['{id}']"),
        format!("steps[\\\"{id}\\\"]"),
        format!("steps.{id}."),
    ];
    let reads = |step: &&Step| {
        let written = serde_json::to_string(step).unwrap_or_default();
        step.id != *id && marks.iter().any(|mark| written.contains(mark))
    };
    runbook
        .all_steps()
        .filter(reads)
        .map(|step| step.id.0.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse_runbook;

    #[test]
    fn a_step_knows_who_reads_what_it_finds() {
        let source = r#"
runbook: x
title: X
steps:
  - id: look
    check: tcp
    with: { target: a }
  - id: tell
    manual: "It was {{ steps['look'].result.ok }}"
  - id: again
    check: tcp
    with: { target: a }
    when: 'steps["look"].result.ok'
  - id: look-twice
    check: tcp
    with: { target: a }
"#;
        let runbook = parse_runbook(source).unwrap().runbook;
        assert_eq!(readers(&runbook, &"look".into()), ["tell", "again"]);
        assert!(readers(&runbook, &"tell".into()).is_empty());
    }
}
