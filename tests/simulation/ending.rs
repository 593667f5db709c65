//! The promises about the end of a run: it comes, it says what is true, and nothing that must come before it is
//! missing.

use muster::domain::{
    run::{RunFact, RunResult},
    state::{RunState, StepState},
    step::OnFailure,
};

use crate::{
    order::{done_in_order, ends_the_run, is_behind, is_past, parts, undo_is_over},
    reach::Seen,
    schedule::Schedule,
};

/// What the planner says of steps that wait for each other.
const DEADLOCK: &str = "wait for each other";

impl Schedule {
    /// Looks at the last fact of a run.
    pub fn judge_end(
        &self,
        run: usize,
        result: RunResult,
        reason: &str,
    ) -> Result<(), (&'static str, String)> {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        let state = &row.state;
        let must = |holds: bool, promise, what: &str| match holds {
            true => Ok(()),
            false => Err((promise, what.to_owned())),
        };
        let stands = |wanted: fn(&StepState) -> bool| state.steps.iter().any(|(_, stand)| wanted(stand));
        must(
            !stands(|stand| matches!(stand, StepState::Started { .. })),
            "P3",
            "while something is out",
        )?;
        for (step, stand) in &state.steps {
            let is_unknown = matches!(stand, StepState::Unknown { .. });
            must(
                !is_unknown || reason.contains(&step.0),
                "P4",
                "and hides what nobody knows",
            )?;
        }
        if row.has_held || made.locks.is_empty() {
            let runs_finally = made.runbook.finally.iter().all(|step| is_past(state, step));
            must(runs_finally, "finally", "before all of finally has run")?;
            must(
                state.ending.is_some() || made.runbook.finally.is_empty(),
                "finally",
                "without ending first",
            )?;
            let undo = state.ending.as_ref().is_some_and(|ending| ending.undo);
            must(
                !undo || undo_is_over(made, state),
                "undo",
                "before everything is taken back",
            )?;
            must(
                undo || !state.undo_requested || state.ending.is_some(),
                "undo",
                "and nothing was taken back",
            )?;
        }
        let all_behind = made.runbook.steps.iter().all(|step| is_behind(made, state, step));
        let finally_failed = made.runbook.finally.iter().any(|step| {
            step.on_failure != OnFailure::Continue
                && parts(state, step)
                    .iter()
                    .any(|id| matches!(state.step(id), StepState::Failed { .. }))
        });
        let some_end = made
            .runbook
            .steps
            .iter()
            .any(|step| ends_the_run(made, state, step));
        let is_deadlock = reason.contains(DEADLOCK);
        must(
            !is_deadlock || !made.is_sound,
            "core",
            "in a runbook whose steps do not",
        )?;
        match result {
            RunResult::Succeeded => must(all_behind && !finally_failed, "I14", "and something was not done"),
            RunResult::Stopped => must(state.stop_requested.is_some(), "I14", "and nobody asked for it"),
            RunResult::Rejected => must(
                stands(|stand| matches!(stand, StepState::Rejected { .. })),
                "I14",
                "by nobody",
            ),
            RunResult::Failed => must(
                some_end || finally_failed || is_deadlock,
                "I14",
                "and nothing has failed",
            ),
        }
    }

    /// After everything: every run came to its end, and its log, folded once more, is what was known all along.
    pub fn judge_all(&mut self) {
        for run in 0..self.db.runs.len() {
            let row = &self.db.runs[run];
            let Some(result) = row.state.finished else {
                let text = format!("run {run} never ends: {:?} {:?}", row.queue, row.state);
                return self.broken("P9", text);
            };
            let folded = RunState::fold(row.log.iter().map(|(at, fact)| (*at, fact)));
            match folded {
                Ok(state)
                    if state == row.state && done_in_order(row) == state.done.iter().collect::<Vec<_>>() => {}
                _ => return self.broken("P7", format!("the log of run {run} does not fold to what it was")),
            }
            self.reach(match result {
                RunResult::Succeeded => Seen::EndedSucceeded,
                RunResult::Failed => Seen::EndedFailed,
                RunResult::Rejected => Seen::EndedRejected,
                RunResult::Stopped => Seen::EndedStopped,
            });
            let row = &self.db.runs[run];
            let is_deadlock = row.log.iter().any(
                |(_, fact)| matches!(fact, RunFact::RunFinished { reason, .. } if reason.contains(DEADLOCK)),
            );
            let is_bad = !self.shelf[row.version].is_sound;
            if is_deadlock {
                self.reach(Seen::Deadlock);
            }
            if is_bad {
                self.reach(Seen::BadRunbook);
            }
        }
    }
}
