//! What is on its way: one attempt sent and its answer judged, or a probe asked. Nothing here writes; the driver does.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{engine::Engine, keeper::Keeper};
use crate::{
    actions::{self, Ground},
    clock::Work,
    domain::{
        action::{Envelope, Failure, FailureClass, Rendered},
        aim::{Aimed, aim},
        attempt::idempotency_key,
        digest::Digest,
        id::StepId,
        judge::{Judgement, Told, asks_again, confirmed, confirming, judge, told},
        span::Span,
        state::Try,
        step::{Act, Effect, Probe},
    },
    store::{queue::Claim, reenact},
};

/// How long one question of a probe may take.
const PROBE_TIMEOUT: Span = Span::from_secs(10);

/// What came back of something that was on its way.
pub(super) enum Back {
    /// An attempt was answered, or given up.
    Answered {
        step: StepId,
        made: Try,
        judgement: Judgement,
    },
    /// Whether the effect was there before anything was sent.
    Asked { step: StepId, told: Told },
    /// What the probe says of an unknown outcome.
    Settled { step: StepId, made: Try, told: Told },
    /// A stop cut it short; the attempt stays open, and recovery goes on with it.
    Cut { step: StepId },
}

impl Back {
    /// Which step it is of.
    pub fn step(&self) -> &StepId {
        match self {
            Self::Answered { step, .. }
            | Self::Asked { step, .. }
            | Self::Settled { step, .. }
            | Self::Cut { step } => step,
        }
    }
}

/// One attempt that is committed as started.
pub(super) struct Sending {
    pub claim: Claim,
    pub step: StepId,
    pub act: Act,
    pub aimed: Aimed,
    pub made: Try,
    pub key: String,
    pub timeout: Span,
    pub context: Arc<Value>,
    /// When the approval it stands on lapses, if it needs one.
    pub use_by: Option<DateTime<Utc>>,
    /// When a step with `until` gives up asking.
    pub give_up: Option<DateTime<Utc>>,
    /// Set when nobody wants the answer of a step that changes nothing any more.
    pub cut: CancellationToken,
    /// Where it acts.
    pub ground: Ground,
}

impl Sending {
    /// Sends it and judges the answer; a step with `until` asks again until it likes the answer or the time is over.
    pub async fn send(self, engine: Arc<Engine>, work: &Work) -> Back {
        let keeper = Keeper::new(engine.clone(), self.claim, self.step.clone(), self.made.attempt);
        let judgement = tokio::select! {
            judgement = self.perform(&engine, &keeper, work) => judgement,
            () = self.cut.cancelled(), if self.act.effect == Effect::Safe => None,
            never = keeper.keep() => match never {},
        };
        // Whoever reads the answer finds all of the output there.
        keeper.finish().await;
        match judgement {
            Some(judgement) => Back::Answered {
                step: self.step,
                made: self.made,
                judgement,
            },
            None => Back::Cut { step: self.step },
        }
    }

    async fn perform(&self, engine: &Engine, keeper: &Keeper, work: &Work) -> Option<Judgement> {
        loop {
            let not_begun = || Judgement::NotBegun {
                reason: "Muster is stopping here; nothing was sent".to_owned(),
            };
            if !engine.may_begin(self.claim) {
                self.give_try_back(engine).await;
                return Some(not_begun());
            }
            if self.use_by.is_some_and(|use_by| use_by <= engine.clock.now()) {
                self.give_try_back(engine).await;
                return Some(Judgement::NotBegun {
                    reason: "the approval lapsed before it was sent; nothing was sent".to_owned(),
                });
            }
            let not_after = engine.sends_until(self.claim);
            let envelope = Envelope {
                key: self.key.clone(),
                fence: self.claim.fence,
                timeout: self.timeout,
                not_after: Some(not_after),
                read_only: self.act.effect == Effect::Safe,
            };
            let answer = self
                .ground
                .world
                .perform_heard(&self.aimed.target, &self.aimed.request, &envelope, keeper)
                .await;
            // The lease ended on the way to the target: that is our fault and costs no attempt.
            let is_not_sent = matches!(&answer, Err(failure) if failure.class == FailureClass::NotSent);
            if is_not_sent && (not_after <= Instant::now() || !engine.may_begin(self.claim)) {
                self.give_try_back(engine).await;
                return Some(not_begun());
            }
            self.report(engine, answer.as_ref().err()).await;
            let judgement = self
                .confirm(engine, judge(&self.act, &self.context, answer), work)
                .await?;
            let again = asks_again(&self.act, &judgement, self.give_up, engine.clock.now());
            match again {
                Some(_) if engine.stopping.is_cancelled() => return None,
                Some(every) => engine.clock.rest(work, every.as_duration()).await,
                None => return Some(judgement),
            }
        }
    }

    /// Nothing was sent, so the target's circuit has learnt nothing from a try it let through.
    async fn give_try_back(&self, engine: &Engine) {
        let nothing = Failure::new(FailureClass::Invalid, "nothing was sent");
        self.report(engine, Some(&nothing)).await;
    }

    /// Tells the target's circuit whether it could be reached.
    async fn report(&self, engine: &Engine, failure: Option<&Failure>) {
        let failure = failure.map(|failure| (failure.class, failure.message.as_str()));
        let (target, now) = (&self.aimed.target.name, engine.clock.now());
        if let Err(error) = engine.standing.report(&engine.pool, target, failure, now).await {
            tracing::debug!(%error, target, "the circuit did not hear of this answer");
        }
    }

    /// Asks the probe that must confirm a good answer, if there is one.
    async fn confirm(&self, engine: &Engine, judged: Judgement, work: &Work) -> Option<Judgement> {
        let Some(probe) = confirming(&self.act, &judged) else {
            return Some(judged);
        };
        let question = Question {
            claim: self.claim,
            step: self.step.clone(),
            probe: probe.clone(),
            context: self.context.clone(),
            ground: self.ground.clone(),
        };
        let told = question.ask_until_done(engine, work).await?;
        Some(match judged {
            Judgement::Done(outcome) => confirmed(self.act.effect, outcome, told),
            judged => judged,
        })
    }
}

/// What a verify probe was told.
struct Heard {
    request: Rendered,
    /// The same for people.
    command: String,
    result: Value,
}

/// A verify probe to be asked.
pub(super) struct Question {
    pub claim: Claim,
    pub step: StepId,
    pub probe: Probe,
    pub context: Arc<Value>,
    /// Where it is asked.
    pub ground: Ground,
}

impl Question {
    /// Whether the effect is there already.
    pub async fn before(self, engine: Arc<Engine>) -> Back {
        let (told, heard) = self.ask(&engine).await;
        self.keep(&engine, heard).await;
        Back::Asked {
            step: self.step,
            told,
        }
    }

    /// What became of an attempt whose outcome nobody knows.
    pub async fn settle(self, engine: Arc<Engine>, made: Try, work: &Work) -> Back {
        match self.ask_until_done(&engine, work).await {
            Some(told) => Back::Settled {
                step: self.step,
                made,
                told,
            },
            None => Back::Cut { step: self.step },
        }
    }

    /// Asks once: what that tells, and what was said.
    async fn ask(&self, engine: &Engine) -> (Told, Option<Heard>) {
        let aimed = match aim(&self.ground.targets, &self.probe.request, &self.context) {
            Ok(aimed) => aimed,
            Err(problem) => return (Told::NotShown { finding: problem }, None),
        };
        let envelope = Envelope {
            key: idempotency_key(
                engine.installation,
                self.claim.run,
                &self.step,
                &aimed.request.target,
                0,
            ),
            fence: self.claim.fence,
            timeout: PROBE_TIMEOUT,
            not_after: Some(engine.sends_until(self.claim)),
            read_only: true,
        };
        let answer = self
            .ground
            .world
            .perform(&aimed.target, &aimed.request, &envelope)
            .await;
        let heard = Heard {
            command: actions::describe(&aimed.target, &aimed.request),
            request: aimed.request,
            result: match &answer {
                Ok(outcome) => outcome.result.clone(),
                Err(failure) => failure.as_result(),
            },
        };
        let told = told(self.probe.expect.as_ref(), &self.context, answer);
        (told, Some(heard))
    }

    /// Keeps the last word of a real target, for whoever plays the night again. Nothing of the run rests on it.
    async fn keep(&self, engine: &Engine, heard: Option<Heard>) {
        let Some(heard) = heard.filter(|_| self.claim.drill.is_none()) else {
            return;
        };
        let kept = async {
            let mut conn = engine.pool.acquire().await?;
            let (claim, now) = (self.claim, engine.clock.now());
            let (asked, result) = ((&heard.request, heard.command.as_str()), &heard.result);
            reenact::insert_probe_answer(&mut conn, claim.run, claim.fence, &self.step, asked, result, now)
                .await
        };
        if let Err(error) = kept.await {
            tracing::debug!(%error, step = %self.step, "the answer of a probe is not kept");
        }
    }

    /// Asks until the probe says done or its time is over; `None` when a stop of Muster cut the asking short.
    async fn ask_until_done(&self, engine: &Engine, work: &Work) -> Option<Told> {
        let until = self.probe.until;
        let began = engine.clock.now();
        loop {
            let (told, heard) = self.ask(engine).await;
            let is_over = engine.clock.now() - began + until.every.as_delta() >= until.within.as_delta();
            if matches!(told, Told::Done { .. }) || is_over {
                self.keep(engine, heard).await;
                return Some(told);
            }
            if !engine.may_begin(self.claim) {
                return None;
            }
            engine.clock.rest(work, until.every.as_duration()).await;
        }
    }
}

/// A random share in 0..1 for the pause before a retry. In a drill it is drawn from the step and the try, so that the same
/// drill goes the same way.
pub(super) fn jitter(claim: Claim, step: &StepId, made: Try) -> f64 {
    if claim.drill.is_some() {
        let drawn = Digest::of_bytes(format!("{step} {} {}", made.attempt, made.generation).as_bytes());
        return f64::from(drawn.0[0]) / f64::from(u8::MAX);
    }
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        // Without randomness every pause is the longest one, which is still a correct pause.
        Err(_) => 1.0,
    }
}
