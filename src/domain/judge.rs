//! What an answer means for a step: pure rules over effect class, error class and the author's expectation.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    action::{Failure, FailureClass, Outcome},
    span::Span,
    step::{Act, ActWord, Effect, Probe},
    template::Expression,
};

/// Stands between what the target said and what the probe saw.
pub const VERIFIED: &str = "; verified: ";
/// Stands before what the probe saw when it does not show what the target said.
pub const NOT_VERIFIED: &str = "not verified: ";

/// What one attempt led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// It worked.
    Done(Outcome),
    /// It failed and nothing is in doubt.
    Failed {
        /// How.
        failure: Failure,
        /// What expressions see of it.
        result: Value,
        /// Whether another attempt may follow, by effect and error class.
        may_retry: bool,
    },
    /// Nobody knows whether it was done.
    Unknown {
        /// What is known.
        reason: String,
    },
    /// Nothing was sent, for a reason of our own: it costs no attempt.
    NotBegun {
        /// Which.
        reason: String,
    },
}

/// Judges the answer to one attempt.
pub fn judge(act: &Act, context: &Value, answer: Result<Outcome, Failure>) -> Judgement {
    let outcome = match answer {
        Ok(outcome) => outcome,
        // A check whose target is down has found something out; only one that cannot be asked has failed.
        Err(failure) if act.word == ActWord::Check && failure.class != FailureClass::Invalid => Outcome {
            result: failure.as_result(),
            summary: failure.message,
        },
        Err(failure) if act.effect == Effect::Once && failure.class == FailureClass::Lost => {
            return Judgement::Unknown {
                reason: failure.message,
            };
        }
        Err(failure) => {
            let may_retry = match failure.class {
                FailureClass::Invalid => false,
                FailureClass::NotSent => true,
                FailureClass::Lost | FailureClass::Refused => act.effect != Effect::Once,
            };
            return Judgement::Failed {
                result: failure.as_result(),
                failure,
                may_retry,
            };
        }
    };
    match expectation(act.expect.as_ref(), context, &outcome.result) {
        Ok(()) => Judgement::Done(outcome),
        // The target took it and did not say what was expected: it may have been done.
        Err(problem) if act.effect == Effect::Once => Judgement::Unknown {
            reason: format!("{problem}; {}", outcome.summary),
        },
        Err(problem) => Judgement::Failed {
            failure: Failure::new(FailureClass::Refused, format!("{problem}; {}", outcome.summary)),
            result: outcome.result,
            may_retry: act.effect != Effect::Once,
        },
    }
}

/// Whether an answer is the expected one: `result.ok` when the author says nothing.
pub fn expectation(expect: Option<&Expression>, context: &Value, result: &Value) -> Result<(), String> {
    let Some(expect) = expect else {
        return match result.get("ok") {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err("the answer is not ok".to_owned()),
        };
    };
    match expect.holds(&with_result(context, result)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("expected {}", expect.source())),
        Err(error) => Err(format!("{} cannot be judged: {error}", expect.source())),
    }
}

/// How long to wait before a step with `until` asks again after this judgement; `None` when it is the last word.
/// `give_up` is when its time is over.
pub fn asks_again(
    act: &Act,
    judgement: &Judgement,
    give_up: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<Span> {
    let (until, give_up) = (act.until?, give_up?);
    let is_open = matches!(judgement, Judgement::Failed { may_retry: true, .. });
    (is_open && act.effect == Effect::Safe && now + until.every.as_delta() < give_up).then_some(until.every)
}

/// The probe that must confirm this judgement: an effect with a verify probe is done when the probe says so, not when
/// the target says so.
pub fn confirming<'a>(act: &'a Act, judgement: &Judgement) -> Option<&'a Probe> {
    let is_done = matches!(judgement, Judgement::Done(_));
    act.verify
        .as_ref()
        .filter(|_| is_done && act.effect != Effect::Safe)
}

/// What a target's good answer is worth once the verify probe was asked.
pub fn confirmed(effect: Effect, outcome: Outcome, told: Told) -> Judgement {
    match told {
        Told::Done { summary } => Judgement::Done(Outcome {
            summary: format!("{}{VERIFIED}{summary}", outcome.summary),
            result: outcome.result,
        }),
        Told::NotShown { finding } if effect == Effect::Once => Judgement::Unknown {
            reason: format!(
                "the target said \"{}\", but the verify probe does not: {finding}",
                outcome.summary
            ),
        },
        Told::NotShown { finding } => Judgement::Failed {
            failure: Failure::new(FailureClass::Lost, format!("{NOT_VERIFIED}{finding}")),
            result: outcome.result,
            may_retry: true,
        },
    }
}

/// What a probe's answer tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The effect is there.
    Done {
        /// What the probe saw.
        summary: String,
    },
    /// It is not, or it cannot be told.
    NotShown {
        /// What the probe saw.
        finding: String,
    },
}

/// Reads a probe's answer.
pub fn told(expect: Option<&Expression>, context: &Value, answer: Result<Outcome, Failure>) -> Told {
    match answer {
        Ok(outcome) => match expectation(expect, context, &outcome.result) {
            Ok(()) => Told::Done {
                summary: outcome.summary,
            },
            Err(problem) => Told::NotShown {
                finding: format!("{problem}; {}", outcome.summary),
            },
        },
        Err(failure) => match expectation(expect, context, &failure.as_result()) {
            // "The old primary must not answer" is told by its silence.
            Ok(()) if expect.is_some() && failure.class != FailureClass::Invalid => Told::Done {
                summary: failure.message,
            },
            _ => Told::NotShown {
                finding: failure.message,
            },
        },
    }
}

/// The context with the answer under judgement in it.
pub fn with_result(context: &Value, result: &Value) -> Value {
    let mut context = context.clone();
    if let Value::Object(names) = &mut context {
        names.insert("result".to_owned(), result.clone());
    }
    context
}

/// A person's or the verify probe's word, in the shape later steps read.
pub fn settled_result(summary: &str) -> Value {
    json!({"ok": true, "settled": summary})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::step::{ActionKind, Request};

    fn act(word: ActWord, effect: Effect, expect: Option<&str>) -> Act {
        Act {
            word,
            request: Request {
                action: ActionKind::Http,
                with: json!({"target": "t"}),
            },
            expect: expect.map(|source| Expression::parse(source).unwrap()),
            until: None,
            effect,
            verify: None,
            undo: None,
            irreversible: false,
        }
    }

    fn outcome(result: Value) -> Outcome {
        Outcome {
            result,
            summary: "s".to_owned(),
        }
    }

    #[test]
    fn only_a_lost_answer_to_a_once_effect_is_unknown() {
        use FailureClass::*;
        for (effect, class, wanted) in [
            (Effect::Once, Lost, "unknown"),
            (Effect::Once, NotSent, "retry"),
            (Effect::Once, Refused, "final"),
            (Effect::Once, Invalid, "final"),
            (Effect::Idempotent, Lost, "retry"),
            (Effect::Idempotent, Refused, "retry"),
            (Effect::Idempotent, NotSent, "retry"),
            (Effect::Idempotent, Invalid, "final"),
        ] {
            let judged = judge(
                &act(ActWord::Call, effect, None),
                &json!({}),
                Err(Failure::new(class, "x")),
            );
            let told = match judged {
                Judgement::Unknown { .. } => "unknown",
                Judgement::Failed { may_retry: true, .. } => "retry",
                Judgement::Failed { may_retry: false, .. } => "final",
                Judgement::Done(_) | Judgement::NotBegun { .. } => "other",
            };
            assert_eq!(told, wanted, "{effect:?} {class:?}");
        }
    }

    #[test]
    fn a_check_may_find_its_target_down() {
        let check = act(ActWord::Check, Effect::Safe, Some("not result.ok"));
        let down = Err(Failure::new(FailureClass::NotSent, "connection refused"));
        assert!(matches!(judge(&check, &json!({}), down), Judgement::Done(_)));
        let up = Ok(outcome(json!({"ok": true})));
        assert!(matches!(
            judge(&check, &json!({}), up),
            Judgement::Failed { may_retry: true, .. }
        ));
        let wrong = Err(Failure::new(FailureClass::Invalid, "no target"));
        assert!(matches!(
            judge(&check, &json!({}), wrong),
            Judgement::Failed { may_retry: false, .. }
        ));
    }

    #[test]
    fn a_probe_that_is_not_answered_settles_nothing_by_default() {
        let down = || Err(Failure::new(FailureClass::NotSent, "refused"));
        assert!(matches!(told(None, &json!({}), down()), Told::NotShown { .. }));
        let expect = Expression::parse("result.rows[0].standby == false").unwrap();
        assert!(matches!(
            told(Some(&expect), &json!({}), down()),
            Told::NotShown { .. }
        ));
        let done = Ok(outcome(json!({"ok": true, "rows": [{"standby": false}]})));
        assert!(matches!(told(Some(&expect), &json!({}), done), Told::Done { .. }));
    }
}
