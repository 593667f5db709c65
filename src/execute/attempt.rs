//! One attempt of a step: rendered, checked against its gate, recorded as started, sent, and its answer recorded.

use std::{sync::Arc, time::Instant};

use serde_json::Value;

use super::{
    drive::{append, record},
    engine::Engine,
    gate,
    view::View,
};
use crate::{
    actions,
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        attempt::{AttemptEnd, idempotency_key},
        backoff,
        id::{ApprovalId, StepId},
        judge::{Judgement, Told, judge, settled_result, told},
        run::{RunFact, Settled},
        span::Span,
        step::{Act, Effect, Probe, Request, Step, StepKind},
        target::Target,
        template::render_tree,
    },
    store::{
        StoreError,
        attempts::{self, Conclusion, NewAttempt},
        queue::Claim,
    },
};

/// How long one question of a probe may take.
const PROBE_TIMEOUT: Span = Span::from_secs(10);

/// One request, rendered, with the target it is aimed at.
pub(super) struct Aimed {
    pub request: Rendered,
    pub target: Target,
}

/// Renders a request and finds its target among those the file names now.
pub(super) fn aim(engine: &Engine, request: &Request, context: &Value) -> Result<Aimed, String> {
    let rendered = render_tree(&request.with, context).map_err(|error| error.to_string())?;
    let Value::Object(mut with) = rendered else {
        return Err("the inputs are not a map".to_owned());
    };
    let Some(Value::String(name)) = with.remove("target") else {
        return Err("no target is named".to_owned());
    };
    let targets = Arc::clone(&engine.targets.borrow());
    let target = targets.find(&name, request.action)?.clone();
    Ok(Aimed {
        request: Rendered {
            action: request.action,
            target: name,
            with: Value::Object(with),
        },
        target,
    })
}

/// The fact that a step cannot be carried out as written.
pub(super) fn unusable(step: StepId, attempt: u32, message: String) -> RunFact {
    RunFact::StepFailed {
        step,
        attempt,
        class: FailureClass::Invalid,
        message,
        retry_at: None,
    }
}

/// Whether a step's condition holds. `false`: it was skipped, or its condition cannot be read; that is recorded.
pub(super) async fn applies(
    engine: &Engine,
    claim: Claim,
    view: &View,
    step: &Step,
    attempt: u32,
    context: &Value,
) -> Result<bool, StoreError> {
    let Some(when) = &step.when else { return Ok(true) };
    let fact = match when.holds(context) {
        Ok(true) => return Ok(true),
        Ok(false) => {
            let reason = format!("{} does not hold", when.source());
            RunFact::StepSkipped {
                step: step.id.clone(),
                reason,
            }
        }
        Err(error) => unusable(step.id.clone(), attempt, format!("when: {error}")),
    };
    record(engine, claim, view, fact, "skipped").await?;
    Ok(false)
}

/// Makes one attempt of an acting step, from its condition to its recorded end.
pub(super) async fn make(
    engine: &Engine,
    claim: Claim,
    view: &View,
    id: &StepId,
    attempt: u32,
    permit: u32,
    approved_at: Option<(StepId, ApprovalId)>,
) -> Result<(), StoreError> {
    let step = view.step(id)?;
    let StepKind::Act(act) = &step.kind else {
        return Err(StoreError::corrupt("events", "step", "not an acting step"));
    };
    let context = view.context(claim);
    if !applies(engine, claim, view, step, attempt, &context).await? {
        return Ok(());
    }
    let aimed = match aim(engine, &act.request, &context) {
        Ok(aimed) => aimed,
        Err(problem) => {
            return record(
                engine,
                claim,
                view,
                unusable(id.clone(), attempt, problem),
                "unusable",
            )
            .await;
        }
    };
    if act.effect != Effect::Safe {
        if let Some(probe) = &act.verify
            && let Told::Done { summary } = ask(engine, claim, id, probe, &context).await
        {
            let fact = RunFact::StepSatisfied {
                step: id.clone(),
                summary,
            };
            return record(engine, claim, view, fact, "satisfied").await;
        }
        if let Some(gate) = view.version.runbook.gate_over(id) {
            let approved = approved_at.filter(|(approved, _)| *approved == gate.id);
            if !gate::still_allows(engine, claim, view, &gate.id, approved, (id, &aimed)).await? {
                return Ok(());
            }
        }
    }
    let key = idempotency_key(engine.installation, claim.run, id, &aimed.request.target, 0);
    let intent = Intent {
        step,
        act,
        aimed: &aimed,
        attempt,
        permit,
        key: &key,
    };
    if !intent.commit(engine, claim, view).await? {
        return Ok(());
    }
    match intent.send(engine, claim, &context).await {
        Some(judgement) => intent.conclude(engine, claim, judgement).await,
        None => Ok(()),
    }
}

struct Intent<'a> {
    step: &'a Step,
    act: &'a Act,
    aimed: &'a Aimed,
    attempt: u32,
    permit: u32,
    key: &'a str,
}

impl Intent<'_> {
    /// Records the attempt as started, before anything is sent. `false`: a person acted meanwhile, or the approval is
    /// not good any more; plan anew.
    async fn commit(&self, engine: &Engine, claim: Claim, view: &View) -> Result<bool, StoreError> {
        let now = engine.clock.now();
        let command = actions::describe(&self.aimed.target, &self.aimed.request);
        let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
            return Ok(false);
        };
        let new = NewAttempt {
            run: claim.run,
            step: &self.step.id,
            attempt: self.attempt,
            effect: self.act.effect,
            permit: self.permit,
            key: self.key,
            fence: claim.fence,
            request: &self.aimed.request,
            command: &command,
        };
        attempts::insert(&mut tx, &new, now).await?;
        let fact = RunFact::StepStarted {
            step: self.step.id.clone(),
            attempt: self.attempt,
            key: self.key.to_owned(),
            fence: claim.fence,
            effect: self.act.effect,
            command,
        };
        append(&mut tx, claim, fact, now).await?;
        engine.commit(tx, &format!("intent/{}", self.step.id)).await?;
        Ok(true)
    }

    /// Sends it and judges the answer; a step with `until` asks again until it likes the answer or the time is over.
    /// `None` when a stop of Muster cut the asking short: the attempt stays open, and recovery goes on with it.
    async fn send(&self, engine: &Engine, claim: Claim, context: &Value) -> Option<Judgement> {
        let envelope = Envelope {
            key: self.key.to_owned(),
            fence: claim.fence,
            timeout: self.step.timeout,
            read_only: self.act.effect == Effect::Safe,
        };
        let began = Instant::now();
        loop {
            if !engine.may_begin(claim) {
                return Some(Judgement::NotBegun {
                    reason: "Muster is stopping here; nothing was sent".to_owned(),
                });
            }
            let answer = engine
                .outside
                .perform(&self.aimed.target, &self.aimed.request, &envelope)
                .await;
            let judgement = self
                .confirm(engine, claim, context, judge(self.act, context, answer))
                .await?;
            let again = match (&judgement, self.act.until) {
                (Judgement::Failed { may_retry: true, .. }, Some(until))
                    if self.act.effect == Effect::Safe =>
                {
                    (began.elapsed() + until.every.as_duration() < until.within.as_duration())
                        .then_some(until.every)
                }
                _ => None,
            };
            match again {
                Some(_) if engine.stopping.is_cancelled() => return None,
                Some(every) => engine.clock.sleep(every.as_duration()).await,
                None => return Some(judgement),
            }
        }
    }

    /// An effect with a verify probe is done when the probe says so, not when the target says so.
    async fn confirm(
        &self,
        engine: &Engine,
        claim: Claim,
        context: &Value,
        judged: Judgement,
    ) -> Option<Judgement> {
        let (Judgement::Done(outcome), Some(probe)) = (&judged, &self.act.verify) else {
            return Some(judged);
        };
        if self.act.effect == Effect::Safe {
            return Some(judged);
        }
        Some(
            match ask_until_done(engine, claim, &self.step.id, probe, context).await? {
                Told::Done { summary } => Judgement::Done(Outcome {
                    result: outcome.result.clone(),
                    summary: format!("{}; verified: {summary}", outcome.summary),
                }),
                Told::NotShown { finding } if self.act.effect == Effect::Once => Judgement::Unknown {
                    reason: format!(
                        "the target said \"{}\", but the verify probe does not: {finding}",
                        outcome.summary
                    ),
                },
                Told::NotShown { finding } => Judgement::Failed {
                    failure: Failure::new(FailureClass::Lost, format!("not verified: {finding}")),
                    result: outcome.result.clone(),
                    may_retry: true,
                },
            },
        )
    }

    async fn conclude(&self, engine: &Engine, claim: Claim, judgement: Judgement) -> Result<(), StoreError> {
        let now = engine.clock.now();
        let (step, attempt) = (self.step.id.clone(), self.attempt);
        let (end, result, summary, fact) = match judgement {
            Judgement::Done(outcome) => {
                let summary = outcome.summary.clone();
                let fact = RunFact::StepSucceeded {
                    step,
                    attempt,
                    summary,
                    settled: Settled::Answer,
                };
                (AttemptEnd::Succeeded, Some(outcome.result), outcome.summary, fact)
            }
            Judgement::Unknown { reason } => {
                let fact = RunFact::OutcomeUnknown {
                    step,
                    attempt,
                    reason: reason.clone(),
                };
                (AttemptEnd::Unknown, None, reason, fact)
            }
            Judgement::NotBegun { reason } => {
                let fact = RunFact::StepFailed {
                    step,
                    attempt,
                    class: FailureClass::NotSent,
                    message: reason.clone(),
                    retry_at: Some(now),
                };
                (AttemptEnd::Failed, None, reason.clone(), fact)
            }
            Judgement::Failed {
                failure,
                result,
                may_retry,
            } => {
                let retry_at = (may_retry && attempt < self.step.retry.attempts)
                    .then(|| now + backoff::pause(&self.step.retry, attempt, jitter()).as_delta());
                let message = failure.message.clone();
                let fact = RunFact::StepFailed {
                    step,
                    attempt,
                    class: failure.class,
                    message,
                    retry_at,
                };
                (AttemptEnd::Failed, Some(result), failure.message, fact)
            }
        };
        let mut tx = engine.begin(claim).await?;
        let conclusion = Conclusion {
            end,
            result: result.as_ref(),
            summary: &summary,
        };
        attempts::finish(&mut tx, claim.run, &self.step.id, attempt, conclusion, now).await?;
        append(&mut tx, claim, fact, now).await?;
        engine.commit(tx, &format!("outcome/{}", self.step.id)).await
    }
}

/// Asks the probe of a step whose outcome is unknown; what it cannot settle is left to a person.
pub(super) async fn settle(
    engine: &Engine,
    claim: Claim,
    view: &View,
    id: &StepId,
    attempt: u32,
) -> Result<(), StoreError> {
    let StepKind::Act(Act {
        verify: Some(probe), ..
    }) = &view.step(id)?.kind
    else {
        return Err(StoreError::corrupt("events", "step", "no verify probe"));
    };
    let Some(told) = ask_until_done(engine, claim, id, probe, &view.context(claim)).await else {
        return Ok(());
    };
    let now = engine.clock.now();
    let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
        return Ok(());
    };
    let fact = match told {
        Told::Done { summary } => {
            let result = settled_result(&summary);
            let conclusion = Conclusion {
                end: AttemptEnd::Succeeded,
                result: Some(&result),
                summary: &summary,
            };
            attempts::finish(&mut tx, claim.run, id, attempt, conclusion, now).await?;
            RunFact::StepSucceeded {
                step: id.clone(),
                attempt,
                summary,
                settled: Settled::Probe,
            }
        }
        Told::NotShown { finding } => RunFact::ProbeInconclusive {
            step: id.clone(),
            finding,
        },
    };
    append(&mut tx, claim, fact, now).await?;
    engine.commit(tx, &format!("settle/{id}")).await
}

/// Asks a probe once.
async fn ask(engine: &Engine, claim: Claim, step: &StepId, probe: &Probe, context: &Value) -> Told {
    let aimed = match aim(engine, &probe.request, context) {
        Ok(aimed) => aimed,
        Err(problem) => return Told::NotShown { finding: problem },
    };
    let envelope = Envelope {
        key: idempotency_key(engine.installation, claim.run, step, &aimed.request.target, 0),
        fence: claim.fence,
        timeout: PROBE_TIMEOUT,
        read_only: true,
    };
    let answer = engine
        .outside
        .perform(&aimed.target, &aimed.request, &envelope)
        .await;
    told(probe.expect.as_ref(), context, answer)
}

/// Asks a probe until it says done or its time is over; `None` when a stop of Muster cut the asking short.
async fn ask_until_done(
    engine: &Engine,
    claim: Claim,
    step: &StepId,
    probe: &Probe,
    context: &Value,
) -> Option<Told> {
    let began = Instant::now();
    loop {
        let told = ask(engine, claim, step, probe, context).await;
        let is_over = began.elapsed() + probe.until.every.as_duration() >= probe.until.within.as_duration();
        if matches!(told, Told::Done { .. }) || is_over {
            return Some(told);
        }
        if engine.stopping.is_cancelled() {
            return None;
        }
        engine.clock.sleep(probe.until.every.as_duration()).await;
    }
}

/// A random share in 0..1.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        // Without randomness every pause is the longest one, which is still a correct pause.
        Err(_) => 1.0,
    }
}
