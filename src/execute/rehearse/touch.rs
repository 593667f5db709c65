//! Asking one target whether it can be reached now, with nothing that could change it.

use serde_json::json;
use uuid::Uuid;

use super::{
    Rehearser, carry,
    door::knock,
    part::{Ask, Came},
};
use crate::domain::{
    action::Rendered,
    span::Span,
    step::ActionKind,
    target::{Connection, Target},
};

/// How long the question may take.
const TOUCH_MAX: Span = Span::from_secs(10);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// How it went.
    pub found: Found,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The target answered; in words.
    Answers(String),
    /// Its credentials are there, and there is no question to it that surely changes nothing.
    NoQuestion,
    /// A credential cannot be read; which.
    NoCredential(String),
    /// It did not answer, or refused; how.
    Silent(String),
}

impl Rehearser {
    /// Reads the credentials of a target and asks it the smallest thing; `None` when there is no such target. Its circuit
    /// neither stops this nor hears of it: only what runs send counts there.
    pub async fn touch(&self, name: &str) -> Option<Touch> {
        let target = self.targets.borrow().0.get(name)?.clone();
        let question = match &target.connection {
            Connection::File { .. } => Some(read_file(&target)),
            _ => knock(&target, None),
        };
        let has_question = question.is_some();
        let ask = Ask {
            id: 0,
            secrets: target
                .secrets()
                .into_iter()
                .chain(target.certificates())
                .cloned()
                .collect(),
            question,
            timeout: TOUCH_MAX,
        };
        let answer = carry(self.world.clone(), ask, format!("touch-{}", Uuid::new_v4())).await;
        let found = match answer.came {
            Came::NoSecret(missing) => Found::NoCredential(missing),
            Came::Said(Ok(_)) if !has_question => Found::NoQuestion,
            Came::Said(Ok(outcome)) => Found::Answers(outcome.summary),
            Came::Said(Err(failure)) => Found::Silent(failure.message),
            Came::Unasked(why) => Found::Silent(why),
        };
        Some(Touch {
            found,
            took_ms: answer.took_ms,
        })
    }
}

/// The last line of a log file.
fn read_file(target: &Target) -> (Target, Rendered) {
    let request = Rendered {
        action: ActionKind::File,
        target: target.name.clone(),
        with: json!({"limit": 1}),
    };
    (target.clone(), request)
}
