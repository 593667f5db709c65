//! What is kept of a real incident: its alerts, what targets were asked and answered, what people did.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::{
    action::{Failure, FailureClass, Rendered},
    id::IncidentId,
    labels::Labels,
    score::Observed,
    span::Span,
};

/// How long before the incident its harm may have begun, in seconds: nobody waits longer for the first alert of a drill.
const HARM_BEFORE_S: u64 = 300;

/// One incident that is over.
#[derive(Clone, Debug)]
pub struct Night {
    /// Its number.
    pub incident: IncidentId,
    /// What people called it.
    pub title: String,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// When the harm had stopped, if anybody or anything said so.
    pub mitigated_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub resolved_at: DateTime<Utc>,
    /// Every firing of its alerts, in the order they came.
    pub alerts: Vec<FiredAlert>,
    /// Everything its runs asked of targets, in the order of the answers.
    pub asked: Vec<Asking>,
    /// What people did and what was seen.
    pub observed: Vec<Observed>,
    /// The runbooks of its runs.
    pub runbooks: Vec<String>,
    /// What is kept of it and was not read, as there is too much of it; one line each.
    pub left_out: Vec<String>,
}

/// One firing of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct FiredAlert {
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// When it began, by its sender.
    pub starts_at: DateTime<Utc>,
    /// When Muster heard of it.
    pub fired_at: DateTime<Utc>,
    /// When Muster heard that it was over.
    pub ended_at: Option<DateTime<Utc>>,
}

/// One question to a target with its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking {
    /// What was asked.
    pub request: Rendered,
    /// The same for people.
    pub command: String,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// When the answer was in.
    pub answered_at: DateTime<Utc>,
    /// Whether it was to change something.
    pub is_effect: bool,
    /// Whether it did.
    pub is_done: bool,
    /// What came back.
    pub answer: Answered,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// This, as expressions saw it.
    Result(Value),
    /// No answer, for this reason.
    Failed(Failure),
    /// It was sent, and the answer was lost.
    Lost,
}

impl Answered {
    /// Reads what is kept of an attempt. A failure is kept as a result that only tells of it.
    pub fn of(result: Value) -> Self {
        let told = result.as_object().filter(|map| map.len() == 3).and_then(|map| {
            let class: FailureClass = serde_json::from_value(map.get("class")?.clone()).ok()?;
            let message = map.get("error")?.as_str()?;
            (map.get("ok") == Some(&Value::Bool(false))).then(|| Failure::new(class, message))
        });
        match told {
            Some(failure) if failure.class == FailureClass::Lost => Self::Lost,
            Some(failure) => Self::Failed(failure),
            None => Self::Result(result),
        }
    }
}

impl Night {
    /// When the harm began, by the senders of its alerts; at most so long before anybody could know.
    pub fn began_at(&self) -> DateTime<Utc> {
        let first = self.alerts.iter().map(|alert| alert.starts_at).min();
        let first = first.unwrap_or(self.opened_at).min(self.opened_at);
        first.max(self.opened_at - Span::from_secs(HARM_BEFORE_S).as_delta())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kept_failure_is_told_from_an_answer() {
        let failed = |class: FailureClass| Failure::new(class, "no route").as_result();
        assert_eq!(Answered::of(failed(FailureClass::Lost)), Answered::Lost);
        assert_eq!(
            Answered::of(failed(FailureClass::NotSent)),
            Answered::Failed(Failure::new(FailureClass::NotSent, "no route"))
        );
        let answer = json!({"ok": false, "value": null, "samples": []});
        assert_eq!(Answered::of(answer.clone()), Answered::Result(answer));
    }
}
