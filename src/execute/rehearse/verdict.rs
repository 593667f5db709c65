//! What the answers mean for one step of a rehearsal. Pure.

use std::collections::BTreeMap;

use super::{
    known::Known,
    part::{Answer, Came, Part, Role, broken, may_judge},
};
use crate::domain::{
    action::{FailureClass, Outcome},
    context::Finding,
    judge::{Judgement, Told, judge, told},
    rehearsal::{Fault, Rehearsed, Says, Verdict},
    step::{Act, Effect, OnFailure, Step},
};

/// What a step's result is worth to the steps that read it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Worth {
    /// This is it.
    Found(Finding),
    /// It will be known then.
    Later(String),
    /// There will be none, and why.
    Nothing(String),
}

/// What is known besides the answers.
pub(super) struct Circumstances<'b> {
    /// The step.
    pub step: &'b Step,
    /// What can be read.
    pub known: &'b Known,
    /// Why nothing may be sent to a target, by target.
    pub held: &'b BTreeMap<String, String>,
    /// When a run asks it, if something that changes the answer comes before it: `after promote was sent`.
    pub after: Option<String>,
    /// When the rehearsal began.
    pub at: chrono::DateTime<chrono::Utc>,
}

/// The verdict on one part whose questions are all answered, and what its result is worth.
pub(super) fn conclude(
    part: Part<'_>,
    answers: &BTreeMap<usize, Answer>,
    about: &Circumstances<'_>,
) -> (Rehearsed, Worth) {
    let answer = |role: Role| {
        let (_, id) = part.questions.iter().find(|(asked, _)| *asked == role)?;
        answers.get(id)
    };
    let mut rehearsed = part.rehearsed.clone();
    let Some(act) = part.act else {
        let worth = worth_of(&rehearsed, part.when);
        return (rehearsed, worth);
    };
    if let Some(answer) = answer(Role::Check) {
        rehearsed.took_ms = Some(answer.took_ms);
        let (verdict, found) = check(act, &part, answer, about);
        rehearsed.verdict = verdict;
        let worth = match (found, &about.after) {
            (Some(_), Some(when)) => Worth::Later(when.clone()),
            (Some(found), None) => Worth::Found(found),
            (None, _) => worth_of(&rehearsed, None),
        };
        return (rehearsed, worth);
    }
    effect(act, &part, &mut rehearsed, answer, about);
    let worth = worth_of(&rehearsed, part.when);
    (rehearsed, worth)
}

/// A check's verdict, and what it found.
fn check(
    act: &Act,
    part: &Part<'_>,
    answer: &Answer,
    about: &Circumstances<'_>,
) -> (Verdict, Option<Finding>) {
    let said = match &answer.came {
        Came::NoSecret(problem) => return (broken(Fault::Secret, problem), None),
        Came::Unasked(reason) => {
            let reason = reason.clone();
            return (Verdict::NotLooked { reason }, None);
        }
        Came::Said(said) => said,
    };
    if let Err(failure) = said
        && failure.class == FailureClass::Invalid
    {
        return (broken(Fault::Request, &failure.message), None);
    }
    let found = |outcome: Outcome| Finding {
        result: outcome.result,
        summary: outcome.summary,
        at: about.at,
    };
    if let Err(reason) = may_judge(about.known, act.expect.as_ref()) {
        let finding = match said {
            Ok(outcome) => outcome.summary.clone(),
            Err(failure) => failure.message.clone(),
        };
        let says = Says::Unjudged { reason };
        return (Verdict::Checked { finding, says }, said.clone().ok().map(found));
    }
    let (failure, result) = match judge(act, &part.context, said.clone()) {
        Judgement::Done(outcome) => {
            let verdict = Verdict::Checked {
                finding: outcome.summary.clone(),
                says: Says::Holds,
            };
            return (verdict, Some(found(outcome)));
        }
        Judgement::Failed { failure, result, .. } => (failure, result),
        Judgement::Unknown { reason } | Judgement::NotBegun { reason } => {
            return (Verdict::NotLooked { reason }, None);
        }
    };
    // Of a target that did not answer, that alone is what people want to hear.
    let finding = said.as_ref().err().unwrap_or(&failure).message.clone();
    let learnt = Finding {
        result,
        summary: failure.message.clone(),
        at: about.at,
    };
    if let Some(when) = &about.after {
        let says = Says::Early { when: when.clone() };
        return (Verdict::Checked { finding, says }, Some(learnt));
    }
    match said {
        Ok(_) => {
            let (ends, then) = then(about.step);
            let says = Says::Fails { ends, then };
            (Verdict::Checked { finding, says }, Some(learnt))
        }
        Err(failure) => {
            // A run that goes on reads the failure.
            let learnt = (about.step.on_failure == OnFailure::Continue).then_some(learnt);
            (broken(fault(failure.class), &finding), learnt)
        }
    }
}

/// What the run would do after this step failed.
fn then(step: &Step) -> (bool, String) {
    match &step.on_failure {
        OnFailure::Stop => (true, "the run would end here".to_owned()),
        OnFailure::Undo => (
            true,
            "the run would take back what it did and end here".to_owned(),
        ),
        OnFailure::Continue => (false, "the run would go on".to_owned()),
        OnFailure::GoTo(to) => (false, format!("the run would go on at {to}")),
    }
}

/// An effect's verdict: what is there already is passed over before anything else is asked of its target.
fn effect<'x>(
    act: &Act,
    part: &Part<'_>,
    rehearsed: &mut Rehearsed,
    answer: impl Fn(Role) -> Option<&'x Answer>,
    about: &Circumstances<'_>,
) {
    let mut probe = match &rehearsed.verdict {
        Verdict::WouldSend { probe, .. } => probe.clone(),
        Verdict::CannotKnow { .. } => None,
        _ => return,
    };
    let expect = act.verify.as_ref().and_then(|verify| verify.expect.as_ref());
    if let Some(asked) = answer(Role::Probe) {
        rehearsed.took_ms = Some(asked.took_ms);
        match &asked.came {
            Came::NoSecret(problem) => {
                let reason = format!("its verify probe cannot be asked: {problem}");
                rehearsed.verdict = broken(Fault::Secret, reason);
                return;
            }
            Came::Said(Err(failure)) if failure.class == FailureClass::Invalid => {
                let reason = format!("its verify probe cannot be asked: {}", failure.message);
                rehearsed.verdict = broken(Fault::Probe, reason);
                return;
            }
            Came::Said(said) => match may_judge(about.known, expect) {
                Err(reason) => probe = Some(format!("cannot be judged yet: it {reason}")),
                Ok(()) => match told(expect, &part.context, said.clone()) {
                    Told::Done { summary } => {
                        rehearsed.verdict = Verdict::DoneAlready { finding: summary };
                        return;
                    }
                    Told::NotShown { finding } => probe = Some(finding),
                },
            },
            Came::Unasked(reason) => probe = Some(reason.clone()),
        }
    }
    let changes = act.effect != Effect::Safe;
    let held = rehearsed
        .target
        .as_ref()
        .and_then(|target| about.held.get(target));
    if let Some(reason) = held.filter(|_| changes) {
        rehearsed.verdict = broken(Fault::Circuit, reason);
        return;
    }
    let mut unseen = None;
    for (role, words) in [(Role::Door, ""), (Role::UndoDoor, "what takes it back: ")] {
        let Some(asked) = answer(role) else { continue };
        match &asked.came {
            Came::NoSecret(problem) => {
                rehearsed.verdict = broken(Fault::Secret, format!("{words}{problem}"));
                return;
            }
            // What only reads, and later, may find its target up by then.
            Came::Said(Err(failure)) if changes || fault(failure.class) != Fault::Unreachable => {
                rehearsed.verdict = broken(fault(failure.class), format!("{words}{}", failure.message));
                return;
            }
            Came::Said(_) => {}
            Came::Unasked(reason) => unseen = unseen.or_else(|| Some(reason.clone())),
        }
    }
    if let Verdict::WouldSend { .. } = rehearsed.verdict {
        rehearsed.verdict = Verdict::WouldSend { probe, unseen };
    }
}

fn fault(class: FailureClass) -> Fault {
    match class {
        FailureClass::Invalid => Fault::Request,
        FailureClass::NotSent | FailureClass::Lost => Fault::Unreachable,
        FailureClass::Refused => Fault::Refused,
    }
}

/// What a step without a finding means for those that read its result.
fn worth_of(rehearsed: &Rehearsed, when: Option<String>) -> Worth {
    let step = rehearsed.step.base();
    match &rehearsed.verdict {
        Verdict::Skipped { .. } => Worth::Nothing("would be skipped".to_owned()),
        Verdict::DoneAlready { .. } => Worth::Nothing("is done already and would be passed over".to_owned()),
        Verdict::WouldAsk | Verdict::WouldWait => Worth::Nothing("asks nothing of a target".to_owned()),
        Verdict::CannotKnow { .. } => Worth::Later(when.unwrap_or_else(|| format!("after {step} was sent"))),
        Verdict::WouldSend { .. } => Worth::Later(format!("after {step} was sent")),
        Verdict::Checked { .. } | Verdict::NotLooked { .. } | Verdict::Broken { .. } => {
            Worth::Later(match rehearsed.word.as_str() {
                "call" => format!("after {step} was sent"),
                _ => format!("after {step} was asked"),
            })
        }
    }
}
