//! What is sent to a target and what came back: the vocabulary between the engine and the outside world.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{span::Span, step::ActionKind};

/// One request, rendered and ready to send. Holds no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendered {
    /// The action kind.
    pub action: ActionKind,
    /// The target's name.
    pub target: String,
    /// The inputs without `target`.
    pub with: Value,
}

/// What a request carries besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The same for every attempt of a step in a run; sent outward as `Idempotency-Key`.
    pub key: String,
    /// The rising number of the worker's claim; a target that keeps it can refuse an older one.
    pub fence: i64,
    /// How long the action may take in all.
    pub timeout: Span,
    /// The end of the lease this is sent under, by this process's clock. Connecting takes a while, or the process stands
    /// still: afterwards nothing is sent, since another worker may have sent it already. `None` for no such end.
    pub not_after: Option<Instant>,
    /// Set for checks, probes and logs: nothing outside may change. SQL runs in a read-only transaction, HTTP is
    /// `GET` or `HEAD`, HAProxy only shows.
    pub read_only: bool,
}

/// What a target answered. Texts are redacted and capped before they leave the action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What expressions see as `result`: always an object with `ok`.
    pub result: Value,
    /// One line for the timeline.
    pub summary: String,
}

/// How far a failed request got: what decides whether it may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// It cannot work as written: missing secret, unknown target, wrong inputs. Never repeated.
    Invalid,
    /// Nothing was sent: refused, unresolved, not connected in time. Repeating is always allowed.
    NotSent,
    /// It was sent, or may have been, and no answer came back. For an effect `once` this is outcome unknown.
    Lost,
    /// The target answered that it did not do it.
    Refused,
}

/// Why an action gave no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How far it got.
    pub class: FailureClass,
    /// What happened, redacted, one line.
    pub message: String,
}

impl Failure {
    /// A failure of that class.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
        }
    }

    /// What a check sees as `result` when its target did not answer: being down is a finding, not a fault.
    pub fn as_result(&self) -> Value {
        json!({"ok": false, "error": self.message, "class": self.class})
    }
}
