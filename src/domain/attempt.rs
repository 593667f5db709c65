//! Attempts: the key they carry, and the fact each of them ends with.

use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    action::FailureClass,
    backoff,
    id::{RunId, StepId},
    judge::{Judgement, Told, settled_result},
    plan::INTERRUPTIONS_MAX,
    run::{RunFact, Settled},
    state::Try,
    step::{Effect, Retry},
};

/// How much of the digest a key keeps: 130 bits.
const KEY_CHARS: usize = 26;

/// The key of a step of a run on a target: the same for every attempt, on every replica, and no other. No attempt
/// number, no fence, no time; a person who wants a new one raises `generation`.
pub fn idempotency_key(
    installation: Uuid,
    run: RunId,
    step: &StepId,
    target: &str,
    generation: u32,
) -> String {
    let mut hasher = Sha256::new();
    for part in [
        installation.as_bytes().as_slice(),
        &run.0.to_be_bytes(),
        step.0.as_bytes(),
        target.as_bytes(),
    ] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    if generation > 0 {
        hasher.update(generation.to_be_bytes());
    }
    let mut key = BASE32_NOPAD.encode(&hasher.finalize()).to_lowercase();
    key.truncate(KEY_CHARS);
    key
}

/// Why nobody knows the outcome of an attempt whose worker died.
pub const CUT_OFF: &str = "Muster stopped after the attempt began and before its answer was stored";

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It worked.
    Succeeded,
    /// It failed, and nothing is in doubt.
    Failed,
    /// Muster stopped in the middle; it may be repeated.
    Interrupted,
    /// Nobody knows.
    Unknown,
}

impl AttemptEnd {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Unknown => "unknown",
        }
    }
}

/// What an attempt led to: what is kept of it, and the fact for the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Conclusion {
    /// How it ended.
    pub end: AttemptEnd,
    /// What came back, as expressions see it.
    pub result: Option<Value>,
    /// The same in one line.
    pub summary: String,
    /// What the timeline says.
    pub fact: RunFact,
}

/// How an attempt ends after its answer was judged. `jitter` in 0..=1 picks the pause before another one.
pub fn conclude(
    step: &StepId,
    made: Try,
    retry: &Retry,
    judgement: Judgement,
    now: DateTime<Utc>,
    jitter: f64,
) -> Conclusion {
    let (step, attempt) = (step.clone(), made.attempt);
    match judgement {
        Judgement::Done(outcome) => Conclusion {
            end: AttemptEnd::Succeeded,
            result: Some(outcome.result),
            summary: outcome.summary.clone(),
            fact: RunFact::StepSucceeded {
                step,
                attempt,
                summary: outcome.summary,
                settled: Settled::Answer,
            },
        },
        Judgement::Unknown { reason } => Conclusion {
            end: AttemptEnd::Unknown,
            result: None,
            summary: reason.clone(),
            fact: RunFact::OutcomeUnknown {
                step,
                attempt,
                reason,
            },
        },
        Judgement::NotBegun { reason } => Conclusion {
            end: AttemptEnd::Failed,
            result: None,
            summary: reason.clone(),
            fact: RunFact::StepHeld {
                step,
                attempt,
                reason,
                retry_at: now,
            },
        },
        Judgement::Failed {
            failure,
            result,
            may_retry,
        } => Conclusion {
            end: AttemptEnd::Failed,
            result: Some(result),
            summary: failure.message.clone(),
            fact: failed(
                step,
                made,
                retry,
                failure.class,
                failure.message,
                may_retry,
                now,
                jitter,
            ),
        },
    }
}

/// The fact of a failure, with the time of the next attempt if one may follow.
#[expect(clippy::too_many_arguments, reason = "what a failure is, said once")]
pub fn failed(
    step: StepId,
    made: Try,
    retry: &Retry,
    class: FailureClass,
    message: String,
    may_retry: bool,
    now: DateTime<Utc>,
    jitter: f64,
) -> RunFact {
    let spent = made.spent + 1;
    let retry_at =
        (may_retry && spent < retry.attempts).then(|| now + backoff::pause(retry, spent, jitter).as_delta());
    RunFact::StepFailed {
        step,
        attempt: made.attempt,
        class,
        message,
        retry_at,
    }
}

/// The fact that a step cannot be carried out as written.
pub fn unusable(step: StepId, next: Try, message: String) -> RunFact {
    RunFact::StepFailed {
        step,
        attempt: next.attempt,
        class: FailureClass::Invalid,
        message,
        retry_at: None,
    }
}

/// How an attempt ends that began and whose worker is gone. An effect that may not be repeated, or a step that has cut
/// its worker off too often, is left to its probe and then to a person.
pub fn interrupted(step: &StepId, made: Try, effect: Effect, cut_off: u32) -> Conclusion {
    let (step, attempt) = (step.clone(), made.attempt);
    let (end, fact) = match effect == Effect::Once || cut_off >= INTERRUPTIONS_MAX {
        true => {
            let reason = CUT_OFF.to_owned();
            (
                AttemptEnd::Unknown,
                RunFact::OutcomeUnknown {
                    step,
                    attempt,
                    reason,
                },
            )
        }
        false => (
            AttemptEnd::Interrupted,
            RunFact::StepInterrupted { step, attempt },
        ),
    };
    Conclusion {
        end,
        result: None,
        summary: "cut off by a stop of Muster".to_owned(),
        fact,
    }
}

/// What a probe settles of a step whose outcome is unknown; what it cannot settle is left to a person.
pub fn settled(step: &StepId, made: Try, told: Told) -> Conclusion {
    let (step, attempt) = (step.clone(), made.attempt);
    match told {
        Told::Done { summary } => Conclusion {
            end: AttemptEnd::Succeeded,
            result: Some(settled_result(&summary)),
            summary: summary.clone(),
            fact: RunFact::StepSucceeded {
                step,
                attempt,
                summary,
                settled: Settled::Probe,
            },
        },
        Told::NotShown { finding } => Conclusion {
            end: AttemptEnd::Unknown,
            result: None,
            summary: finding.clone(),
            fact: RunFact::ProbeInconclusive { step, finding },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_installation_run_step_and_target_only() {
        let key = |run, step: &str, target| idempotency_key(Uuid::nil(), RunId(run), &step.into(), target, 0);
        assert_eq!(key(1, "promote", "a"), key(1, "promote", "a"));
        assert_eq!(key(1, "promote", "a").len(), KEY_CHARS);
        let others = [
            key(2, "promote", "a"),
            key(1, "promot", "ea"),
            key(1, "promote", "b"),
            idempotency_key(Uuid::nil(), RunId(1), &"promote".into(), "a", 1),
        ];
        assert!(others.iter().all(|other| *other != key(1, "promote", "a")));
    }
}
