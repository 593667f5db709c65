//! The promise about runs that nothing is done about: their clocks are kept, and there is nothing that could be done.

use std::collections::BTreeSet;

use muster::domain::{
    id::StepId,
    plan::SIDE_BY_SIDE_MAX,
    state::StepState,
    step::{Effect, Step},
};

use crate::{
    agenda::{Ms, ms},
    order::{gate_above, parts},
    schedule::Schedule,
};

/// A worker may take the database's clock to be so much later than it is.
const ESTIMATE_OFF: Ms = 10_000;

impl Schedule {
    /// P9: a run that nothing is done about is looked at again when the first of its clocks runs out; `busy` is done
    /// something about.
    pub fn check_clocks(&mut self, run: usize, until: Ms, busy: &BTreeSet<StepId>) {
        let row = &self.db.runs[run];
        let state = &row.state;
        let made = &*self.shelf[row.version];
        if state.ending.is_some() || state.stop_requested.is_some() || self.has_failed(run) {
            return;
        }
        let is_paused = state.paused.is_some();
        let may_retry = !is_paused && busy.len() < SIDE_BY_SIDE_MAX;
        for (step, stand) in state.steps.iter().filter(|(step, _)| !busy.contains(*step)) {
            let clock = match stand {
                StepState::GateOpen { decide_by, .. } => Some(*decide_by),
                StepState::ManualOpen { due } => *due,
                StepState::Waiting { until } if !is_paused => Some(*until),
                StepState::RetryAt { due, .. } if may_retry && gate_above(made, step).is_none() => {
                    self.judge_turn_of(run, step).is_ok().then_some(*due)
                }
                _ => None,
            };
            if clock.is_some_and(|clock| ms(clock) < until) {
                let text = format!("run {run} is left alone past the clock of {step}");
                return self.broken("P9", text);
            }
        }
    }

    /// P9: a run is not let go while a step could begin.
    pub fn check_idle(&mut self, run: usize) {
        let row = &self.db.runs[run];
        let state = &row.state;
        let made = &*self.shelf[row.version];
        if state.ending.is_some() || state.stop_requested.is_some() || self.has_failed(run) {
            return;
        }
        let is_open = |id: &StepId| match gate_above(made, id).map(|gate| state.step(&gate)) {
            Some(StepState::Approved { use_by, .. }) => ms(*use_by) > self.db.clock(self.now) + ESTIMATE_OFF,
            Some(_) => false,
            None => true,
        };
        let is_stuck = |step: &&Step| {
            let parts = parts(state, step);
            // Its other items may have to wait for one that is not over.
            let is_going = parts.iter().any(|id| {
                let stand = state.step(id);
                !stand.is_behind() && !matches!(stand, StepState::Ready { .. } | StepState::Failed { .. })
            });
            let could_begin = |id: &StepId| {
                matches!(state.step(id), StepState::Ready { .. })
                    && (step.effect() == Effect::Safe || is_open(id))
                    && self.judge_turn_of(run, id).is_ok()
            };
            !is_going && parts.iter().any(could_begin)
        };
        if let Some(step) = made.runbook.steps.iter().find(is_stuck) {
            let text = format!("run {run} is let go although {} could begin", step.id);
            self.broken("P9", text);
        }
    }
}
