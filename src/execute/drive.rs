//! One claimed run, driven until it has to wait, is over, or its claim is.
//!
//! The worker keeps the run's state in memory. In each turn it takes in what came back, asks the planner what is next,
//! and writes the outcomes together with the attempts that follow from them; only then are these sent. A write that a
//! person's act has overtaken is dropped, except for outcomes: the run is read anew and planned anew.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    attempt::{Back, Question, Sending, jitter},
    closing,
    draft::Draft,
    engine::{Engine, in_time},
    gate::{self, Ruling},
    locks, requests,
    standing::AdmitError,
    view::View,
};
use crate::{
    actions::{self, Ground, Hold},
    clock::{Clock, Work},
    domain::{
        action::FailureClass,
        aim::{Aimed, aim},
        attempt::{self, conclude, idempotency_key, unusable},
        consequence::{self, not_applying},
        id::{ApprovalId, StepId},
        judge::Told,
        plan::{self, Move, Plan},
        run::{RunFact, RunResult},
        span::Span,
        state::{StepState, Try},
        step::{Act, Effect, Step},
    },
    store::{
        StoreError, approvals,
        attempts::NewAttempt,
        queue,
        turns::{Then, Verdict},
    },
};

/// A run that waits for a person without a deadline is looked at this often, in case a wake-up was lost.
const PERSON_POLL: Span = Span::from_secs(3600);
/// While automation is paused as a whole, its runs look this often.
const PAUSED_POLL: Span = Span::from_secs(30);
/// How often a worker that waits for an answer looks whether a person has acted.
const ACTS_POLL: Span = Span::from_secs(1);
/// Conflicts in a row after which a write is not just unlucky: the run is put off, and its page says why.
const CONFLICTS_MAX: u32 = 10;
/// The pause before a failed write is looked into, while the lease lasts.
const WRITE_AGAIN: Duration = Duration::from_millis(200);

/// Whether the worker is through with a run for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It was let go or is over.
    Through,
    /// There may be more to do at once.
    Again,
    /// Something is on its way.
    Listen,
}

pub(super) struct Driver {
    pub engine: Arc<Engine>,
    pub view: View,
    /// Where it acts, as of this turn.
    pub ground: Ground,
    /// Steps that something is on its way for.
    busy: BTreeSet<StepId>,
    /// What is on its way; whoever brings it works until it is taken in.
    out: JoinSet<(Back, Work)>,
    /// This worker's own work, from which it rests while it listens.
    work: Work,
    /// The steps these are for.
    away: BTreeSet<StepId>,
    /// When there may be more to do although nothing came back.
    due: Option<DateTime<Utc>>,
    /// What came back and is not written yet.
    landed: Vec<Back>,
    /// Effects that their probe has just said are not there.
    absent: BTreeSet<StepId>,
    /// Cuts off what changes nothing once nobody wants it.
    cut: CancellationToken,
}

/// Something a worker sets out for.
enum Errand {
    Send(Box<Sending>),
    AskBefore(Question),
    Settle(Question, Try),
}

/// A move that takes a transaction of its own.
enum Special {
    OpenGate(StepId),
    CloseGate { approval: ApprovalId, fact: RunFact },
    Finish(RunResult, String),
}

/// Drives the run of a claim. Returns when the run waits, is over, or the process stops.
pub(super) async fn drive(engine: Arc<Engine>, view: View, work: Work) -> Result<(), StoreError> {
    let ground = engine.ground(view.claim).await?;
    let mut driver = Driver {
        engine,
        view,
        ground,
        busy: BTreeSet::new(),
        out: JoinSet::new(),
        work,
        away: BTreeSet::new(),
        due: None,
        landed: Vec::new(),
        absent: BTreeSet::new(),
        cut: CancellationToken::new(),
    };
    if locks::take(&mut driver).await? == Flow::Through {
        return Ok(());
    }
    let mut conflicts = 0;
    loop {
        let went = match driver.turn().await {
            Ok(Flow::Listen) => driver.listen().await.map(|()| Flow::Again),
            other => other,
        };
        match went {
            Ok(Flow::Through) => return Ok(()),
            Ok(Flow::Again | Flow::Listen) => conflicts = 0,
            Err(error) if error.is_unavailable() => driver.look_again(&error).await?,
            Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => {
                conflicts += 1;
                driver.look_again(&error).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Driver {
    /// Takes in what came back, plans, and writes.
    async fn turn(&mut self) -> Result<Flow, StoreError> {
        let now = self.engine.clock.now();
        self.ground = self.engine.ground(self.view.claim).await?;
        if self.view.state.ending.is_some() && self.cut.is_cancelled() {
            // The stop cut off what nobody wanted any more; the last steps are wanted.
            self.cut = CancellationToken::new();
        }
        let mut draft = Draft::default();
        self.take_in(&mut draft, now)?;
        if let Some(Hold::Over(reason)) = self.ground.held.clone()
            && self.out.is_empty()
            && draft.is_empty()
        {
            return closing::finish(self, RunResult::Stopped, reason, now).await;
        }
        let may_begin = self.engine.may_begin(self.view.claim);
        let mut special = None;
        let plan = loop {
            let plan = match may_begin {
                true => self.plan(now),
                false => Plan::default(),
            };
            let mut has_moved = false;
            for one in &plan.moves {
                match self.make(one, &mut draft, now).await? {
                    Made::Moved => has_moved = true,
                    Made::Special(found) => special = special.or(Some(found)),
                    Made::Later => {}
                }
            }
            if !has_moved {
                break plan;
            }
        };
        self.due = match self.is_held() {
            true => Some(
                plan.due
                    .unwrap_or(now + PAUSED_POLL.as_delta())
                    .min(now + PAUSED_POLL.as_delta()),
            ),
            false => plan.due,
        };
        if let Some(special) = special {
            return match draft.is_empty() {
                true => self.special(special, now).await,
                false => self.write(draft, Then::Hold, now).await,
            };
        }
        if !self.out.is_empty() || !draft.sends.is_empty() {
            return match draft.is_empty() {
                true => Ok(Flow::Listen),
                false => self.write(draft, Then::Hold, now).await,
            };
        }
        let until = match (may_begin, self.is_held()) {
            (false, _) => now,
            (true, true) => now + PAUSED_POLL.as_delta(),
            (true, false) => plan.due.unwrap_or(now + PERSON_POLL.as_delta()),
        };
        // One whose end is written already is over, whatever it still waited for.
        let then = match draft.finish.take().or(self.view.state.finished) {
            Some(result) => Then::Finish(result),
            None => Then::LetGo(until),
        };
        self.write(draft, then, now).await
    }

    fn plan(&self, now: DateTime<Utc>) -> Plan {
        let mut plan = plan::next(&self.view.version.runbook, &self.view.state, &self.busy, now);
        if self.is_held() {
            plan.hold();
        }
        plan
    }

    /// Whether all automation is paused, or the drill it belongs to.
    fn is_held(&self) -> bool {
        self.engine.standing.pause().is_some() || self.ground.held.is_some()
    }

    /// Drafts what came back. After a reload, what is recorded already is passed over.
    fn take_in(&mut self, draft: &mut Draft, now: DateTime<Utc>) -> Result<(), StoreError> {
        for back in &self.landed {
            let (step, conclusion) = match back {
                Back::Answered {
                    step,
                    made,
                    judgement,
                } => {
                    self.busy.remove(step);
                    if !matches!(self.view.state.step(step), StepState::Started { made: now, .. } if now == made)
                    {
                        continue;
                    }
                    let retry = self.view.find(step)?.step.retry;
                    (
                        step,
                        conclude(
                            step,
                            *made,
                            &retry,
                            judgement.clone(),
                            now,
                            jitter(self.view.claim, step, *made),
                        ),
                    )
                }
                Back::Settled { step, made, told } => {
                    self.busy.remove(step);
                    if !matches!(self.view.state.step(step), StepState::Unknown { made: now, probed: false, .. } if now == made)
                    {
                        continue;
                    }
                    (step, attempt::settled(step, *made, told.clone()))
                }
                Back::Asked { step, told } => {
                    self.busy.remove(step);
                    let is_next = matches!(
                        self.view.state.step(step),
                        StepState::Ready { .. } | StepState::RetryAt { .. }
                    );
                    match told {
                        Told::Done { summary } if is_next => {
                            let fact = RunFact::StepSatisfied {
                                step: step.clone(),
                                summary: summary.clone(),
                            };
                            draft.fact(&mut self.view, fact, now)?;
                        }
                        _ => _ = self.absent.insert(step.clone()),
                    }
                    continue;
                }
                Back::Cut { step } => {
                    self.busy.remove(step);
                    continue;
                }
            };
            draft.conclude(&mut self.view, step, conclusion, now)?;
        }
        if draft.is_empty() {
            self.landed.clear();
        }
        Ok(())
    }

    /// Drafts one move, or sets something on its way.
    async fn make(&mut self, one: &Move, draft: &mut Draft, now: DateTime<Utc>) -> Result<Made, StoreError> {
        let fact = match one {
            Move::Act { step, next, gate } => {
                return self.act(step, *next, gate.clone(), draft, now).await;
            }
            Move::Interrupted { step, made, effect } => {
                let cut_off = self
                    .view
                    .state
                    .interruptions
                    .get(step)
                    .copied()
                    .unwrap_or_default();
                let conclusion = attempt::interrupted(step, *made, *effect, cut_off);
                draft.conclude(&mut self.view, step, conclusion, now)?;
                return Ok(Made::Moved);
            }
            Move::Settle { step, made } => {
                self.settle(step, *made)?;
                return Ok(Made::Moved);
            }
            Move::OpenGate { step } => return Ok(Made::Special(Special::OpenGate(step.clone()))),
            Move::ExpireGate {
                step,
                approval,
                unused,
            } => {
                return Ok(Made::Special(Special::CloseGate {
                    approval: *approval,
                    fact: RunFact::GateExpired {
                        step: step.clone(),
                        approval: *approval,
                        unused: *unused,
                    },
                }));
            }
            Move::Finish { result, reason } if !closing::is_plain(&self.view, *result) => {
                return Ok(Made::Special(Special::Finish(*result, reason.clone())));
            }
            // The end and the claim go together, and the claim is kept while something is out.
            Move::Finish { .. } if !self.out.is_empty() || !draft.sends.is_empty() => {
                return Ok(Made::Later);
            }
            plain => {
                if let Move::Finish { result, .. } = plain {
                    draft.finish = Some(*result);
                }
                let (view, runbook) = (&self.view, &self.view.version.runbook);
                consequence::of(plain, runbook, |step| view.context(step), now)
                    .ok_or_else(|| StoreError::corrupt("events", "step", format!("{plain:?}")))?
            }
        };
        draft.fact(&mut self.view, fact, now)?;
        Ok(Made::Moved)
    }

    /// Makes one attempt of an acting step, up to what is sent once the turn is written.
    async fn act(
        &mut self,
        id: &StepId,
        next: Try,
        gate: Option<(StepId, ApprovalId)>,
        draft: &mut Draft,
        now: DateTime<Utc>,
    ) -> Result<Made, StoreError> {
        let version = self.view.version.clone();
        let found = version.runbook.find(id);
        let Some((step, act)) = found.and_then(|found| Some((found.step, found.act?))) else {
            return Err(StoreError::corrupt("events", "step", id));
        };
        let is_plain = id.undone().is_none() && id.index().is_none();
        if is_plain && let Some(fact) = not_applying(id, step, next, &self.view.context(id)) {
            draft.fact(&mut self.view, fact, now)?;
            return Ok(Made::Moved);
        }
        let context = self.view.context(id);
        let targets = self.ground.targets.clone();
        let aimed = match aim(&targets, &act.request, &context) {
            Ok(aimed) => aimed,
            Err(problem) => {
                draft.fact(&mut self.view, unusable(id.clone(), next, problem), now)?;
                return Ok(Made::Moved);
            }
        };
        let mut lapses = None;
        if act.effect != Effect::Safe {
            if let Some(probe) = &act.verify
                && !self.absent.contains(id)
            {
                let question = Question {
                    claim: self.view.claim,
                    step: id.clone(),
                    probe: probe.clone(),
                    context,
                    ground: self.ground.clone(),
                };
                self.set_out(id, Errand::AskBefore(question));
                return Ok(Made::Moved);
            }
            if let Some((gate, approval)) = gate {
                let kept = self.approval(approval).await?;
                let use_by = match self.view.state.step(&gate) {
                    StepState::Approved { use_by, .. } => *use_by,
                    _ => now,
                };
                lapses = Some(use_by);
                let fact = match gate::rule(&targets, &self.view, &gate, &kept, use_by, (id, &aimed), now) {
                    Ruling::Allowed => {
                        let mut conn = self.engine.pool.acquire().await?;
                        let start = &version.runbook.access.start;
                        let why = gate::fallen(&mut conn, &kept, start).await?;
                        why.map(|why| RunFact::GateVoided {
                            step: gate,
                            approval,
                            why,
                        })
                    }
                    Ruling::Lapsed => Some(RunFact::GateExpired {
                        step: gate,
                        approval,
                        unused: true,
                    }),
                    Ruling::Changed(why) => Some(RunFact::GateVoided {
                        step: gate,
                        approval,
                        why,
                    }),
                };
                if let Some(fact) = fact {
                    return Ok(Made::Special(Special::CloseGate { approval, fact }));
                }
            }
        }
        // What only reads is always asked: its answer is evidence, and closes the circuit when the target is back.
        if act.effect != Effect::Safe
            && let Some(reason) = self.held_by_circuit(&aimed.target.name, now).await?
        {
            let class = FailureClass::NotSent;
            let share = jitter(self.view.claim, id, next);
            let fact = attempt::failed(id.clone(), next, &step.retry, class, reason, true, now, share);
            draft.fact(&mut self.view, fact, now)?;
            return Ok(Made::Moved);
        }
        self.absent.remove(id);
        let sending = self.sending(id, (step, act), next, aimed, lapses, now);
        draft.begin(&mut self.view, sending, now)?;
        self.busy.insert(id.clone());
        Ok(Made::Moved)
    }

    fn sending(
        &self,
        id: &StepId,
        (step, act): (&Step, &Act),
        made: Try,
        aimed: Aimed,
        use_by: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Sending {
        let claim = self.view.claim;
        let began = self.view.state.first_started.get(id).copied().unwrap_or(now);
        // What may be repeated is the same effect in a run that goes on where another one ended.
        let run = match act.effect {
            Effect::Idempotent => self.view.root,
            _ => claim.run,
        };
        Sending {
            claim,
            step: id.clone(),
            act: act.clone(),
            key: idempotency_key(
                self.engine.installation,
                run,
                id,
                &aimed.request.target,
                made.generation,
            ),
            aimed,
            made,
            timeout: step.timeout,
            context: self.view.context(id),
            use_by,
            give_up: act.until.map(|until| began + until.within.as_delta()),
            cut: self.cut.clone(),
            ground: self.ground.clone(),
        }
    }

    /// Why nothing may be sent to a target now. While one try is let through, the others are refused.
    async fn held_by_circuit(&self, target: &str, now: DateTime<Utc>) -> Result<Option<String>, StoreError> {
        match self.engine.standing.admit(&self.engine.pool, target, now).await {
            Ok(()) => Ok(None),
            Err(AdmitError::Held(held)) => Ok(Some(held.to_string())),
            Err(AdmitError::Store(error)) => Err(error),
        }
    }

    /// An approval, read once: what it is bound to never changes.
    async fn approval(&mut self, id: ApprovalId) -> Result<Arc<approvals::Approval>, StoreError> {
        if let Some(kept) = self.view.approvals.get(&id) {
            return Ok(kept.clone());
        }
        let mut conn = self.engine.pool.acquire().await?;
        let found = approvals::find(&mut conn, id)
            .await?
            .map(Arc::new)
            .ok_or_else(|| StoreError::corrupt("approvals", "id", id))?;
        self.view.approvals.insert(id, found.clone());
        Ok(found)
    }

    fn settle(&mut self, id: &StepId, made: Try) -> Result<(), StoreError> {
        let version = self.view.version.clone();
        let act = version.runbook.find(id).and_then(|found| found.act);
        let Some(probe) = act.and_then(|act| act.verify.as_ref()) else {
            return Err(StoreError::corrupt("events", "step", "no verify probe"));
        };
        let question = Question {
            claim: self.view.claim,
            step: id.clone(),
            probe: probe.clone(),
            context: self.view.context(id),
            ground: self.ground.clone(),
        };
        self.set_out(id, Errand::Settle(question, made));
        Ok(())
    }

    fn set_out(&mut self, id: &StepId, errand: Errand) {
        self.busy.insert(id.clone());
        self.away.insert(id.clone());
        self.run_errand(errand);
    }

    fn run_errand(&mut self, errand: Errand) {
        let (engine, work) = (self.engine.clone(), self.engine.clock.work());
        let coming = async move {
            let back = match errand {
                Errand::Send(sending) => sending.send(engine, &work).await,
                Errand::AskBefore(question) => question.before(engine).await,
                Errand::Settle(question, made) => question.settle(engine, made, &work).await,
            };
            (back, work)
        };
        self.out.spawn(coming.in_current_span());
    }

    async fn special(&mut self, special: Special, now: DateTime<Utc>) -> Result<Flow, StoreError> {
        match special {
            Special::OpenGate(step) => requests::open(self, &step, now).await,
            Special::CloseGate { approval, fact } => requests::close(self, approval, fact, now).await,
            Special::Finish(result, reason) => closing::finish(self, result, reason, now).await,
        }
    }

    /// Writes a turn; what it begins is sent once it is committed.
    pub(super) async fn write(
        &mut self,
        mut draft: Draft,
        then: Then,
        now: DateTime<Utc>,
    ) -> Result<Flow, StoreError> {
        let sends = std::mem::take(&mut draft.sends);
        let turn = draft.turn(&self.view, then, now);
        match self.engine.writer.write(turn).await {
            Ok(Verdict::Written) => {
                self.landed.clear();
                for sending in sends {
                    self.away.insert(sending.step.clone());
                    self.run_errand(Errand::Send(Box::new(sending)));
                }
                Ok(match then {
                    Then::Hold => Flow::Again,
                    Then::LetGo(_) | Then::Finish(_) => Flow::Through,
                })
            }
            Ok(Verdict::Fenced) => Err(StoreError::Fenced(self.view.claim.run)),
            Ok(Verdict::Moved) => {
                for sending in &sends {
                    self.give_try_back(&sending.aimed.target.name, now).await;
                }
                self.reload().await?;
                Ok(Flow::Again)
            }
            Err(error) => Err(error),
        }
    }

    /// A target's circuit let one try through, and nothing was sent: the next one need not wait for it.
    async fn give_try_back(&self, target: &str, now: DateTime<Utc>) {
        let nothing = Some((FailureClass::Invalid, "nothing was sent"));
        if let Err(error) = self
            .engine
            .standing
            .report(&self.engine.pool, target, nothing, now)
            .await
        {
            tracing::debug!(%error, target, "the circuit did not hear that nothing was sent");
        }
    }

    /// Reads the run until the database answers or another worker has it: an outcome that is known here must not become
    /// unknown because the database was away. What is out stays out meanwhile.
    async fn look_again(&mut self, error: &StoreError) -> Result<(), StoreError> {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the database did not do it; looking what is stored"
        );
        loop {
            tokio::time::sleep(WRITE_AGAIN).await;
            match self.view.reload_behind_barrier(&self.engine).await {
                Err(again) if again.is_unavailable() || again.is_conflict() => {}
                Err(again) => return Err(again),
                Ok(()) => {
                    self.planned_anew();
                    return Ok(());
                }
            }
        }
    }

    /// Reads the run anew: a person acted.
    pub(super) async fn reload(&mut self) -> Result<(), StoreError> {
        self.view.reload(&self.engine).await?;
        self.planned_anew();
        Ok(())
    }

    /// Nothing that was only planned is in the world; what came back still has to be written.
    fn planned_anew(&mut self) {
        self.busy = self.away.clone();
        if self.view.state.stop_requested.is_some() && self.view.state.ending.is_none() {
            self.cut.cancel();
        }
    }

    /// Takes in what came back. A task that broke off leaves its attempt open; recovery says what that means.
    fn land(&mut self, back: Result<(Back, Work), tokio::task::JoinError>) -> Result<(), StoreError> {
        let (back, _work) = back.map_err(|error| {
            StoreError::corrupt("attempts", "state", format!("an attempt broke off: {error}"))
        })?;
        self.away.remove(back.step());
        self.landed.push(back);
        Ok(())
    }

    /// Waits for something to come back or to be due, and looks now and then whether a person has acted.
    async fn listen(&mut self) -> Result<(), StoreError> {
        loop {
            let look = self.engine.clock.now() + ACTS_POLL.as_delta();
            let rest = self.work.rest_about(look, self.due);
            tokio::select! {
                back = self.out.join_next() => {
                    drop(rest);
                    let Some(back) = back else { return Ok(()) };
                    self.land(back)?;
                    while let Some(back) = self.out.try_join_next() {
                        self.land(back)?;
                    }
                    return Ok(());
                }
                () = due(&self.engine.clock, self.due) => return Ok(()),
                () = self.engine.clock.sleep(ACTS_POLL.as_duration()) => {
                    drop(rest);
                    let claim = self.view.claim;
                    let looked = in_time(async {
                        let mut conn = self.engine.pool.acquire().await?;
                        queue::acts(&mut conn, claim).await
                    });
                    match looked.await {
                        Ok(acts) if acts != self.view.acts => return self.reload().await,
                        Err(StoreError::Fenced(run)) => return Err(StoreError::Fenced(run)),
                        // Whoever acted is found by the next write.
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        }
    }
}

/// Ends at that time; never when there is none.
async fn due(clock: &Clock, at: Option<DateTime<Utc>>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What became of one move.
enum Made {
    /// It is drafted, or something is on its way: plan again.
    Moved,
    /// It takes a transaction of its own.
    Special(Special),
    /// Nothing yet: it is planned again once what is out is back.
    Later,
}

/// What is kept of an attempt before it is sent.
pub(super) fn record(sending: &Sending) -> NewAttempt {
    NewAttempt {
        step: sending.step.clone(),
        number: sending.made.attempt,
        effect: sending.act.effect,
        permit: sending.made.permit,
        key: sending.key.clone(),
        request: sending.aimed.request.clone(),
        command: actions::describe(&sending.aimed.target, &sending.aimed.request),
    }
}
