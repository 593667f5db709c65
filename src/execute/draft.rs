//! What one turn of a worker will write, folded into its view while it is drafted.

use chrono::{DateTime, Utc};

use super::{attempt::Sending, drive::record, view::View};
use crate::{
    domain::{
        attempt::Conclusion,
        context::Finding,
        event::NewEvent,
        id::StepId,
        run::{RunFact, RunResult},
    },
    store::{
        StoreError,
        attempts::{EndedAttempt, NewAttempt},
        turns::{Then, Turn},
    },
};

/// What one turn will write, and what follows once it is written.
#[derive(Default)]
pub(super) struct Draft {
    events: Vec<NewEvent>,
    started: Vec<NewAttempt>,
    ended: Vec<EndedAttempt>,
    /// Sent once this is committed.
    pub sends: Vec<Sending>,
    /// The run is over with it.
    pub finish: Option<RunResult>,
}

impl Draft {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds a fact.
    pub fn fact(&mut self, view: &mut View, fact: RunFact, now: DateTime<Utc>) -> Result<(), StoreError> {
        view.apply(now, &fact)
            .map_err(|error| StoreError::corrupt("events", "body", error))?;
        self.events.push(NewEvent::of_run(view.claim.run, fact, now));
        Ok(())
    }

    /// Adds the end of an attempt.
    pub fn conclude(
        &mut self,
        view: &mut View,
        step: &StepId,
        conclusion: Conclusion,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let attempt = match view.state.step(step) {
            crate::domain::state::StepState::Started { made, .. }
            | crate::domain::state::StepState::Unknown { made, .. } => made.attempt,
            state => {
                return Err(StoreError::corrupt(
                    "events",
                    "body",
                    format!("{step} is {state:?}"),
                ));
            }
        };
        self.fact(view, conclusion.fact, now)?;
        if let Some(result) = &conclusion.result {
            let found = Finding {
                result: result.clone(),
                summary: conclusion.summary.clone(),
                at: now,
            };
            view.learn(step, found);
        }
        self.ended.push(EndedAttempt {
            step: step.clone(),
            attempt,
            end: conclusion.end,
            result: conclusion.result,
            summary: conclusion.summary,
        });
        Ok(())
    }

    /// Adds an attempt that is sent once this is committed.
    pub fn begin(&mut self, view: &mut View, sending: Sending, now: DateTime<Utc>) -> Result<(), StoreError> {
        let attempt = record(&sending);
        let fact = RunFact::StepStarted {
            step: sending.step.clone(),
            attempt: attempt.number,
            key: attempt.key.clone(),
            fence: view.claim.fence,
            effect: attempt.effect,
            command: attempt.command.clone(),
        };
        self.fact(view, fact, now)?;
        self.started.push(attempt);
        self.sends.push(sending);
        Ok(())
    }

    /// The turn to be written.
    pub fn turn(self, view: &View, then: Then, at: DateTime<Utc>) -> Turn {
        Turn {
            claim: view.claim,
            acts: view.acts,
            at,
            events: self.events,
            started: self.started,
            ended: self.ended,
            then,
        }
    }
}
