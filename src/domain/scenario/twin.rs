//! Twins: what stands in for a target, and what it answers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Assignment, At, Pattern};
use crate::domain::{
    target::Target,
    template::{Expression, Template},
};

/// What stands in for one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// Where it stands.
    pub at: At,
    /// The target as runs of the drill see it, at an address that nothing real can have.
    pub target: Target,
    /// Whether it takes connections; it does when this is absent.
    pub up: Option<Expression>,
    /// Whether it takes them and never answers.
    pub hangs: Option<Expression>,
    /// What it answers: the first one that fits.
    pub answers: Vec<Answer>,
    /// The backends of a proxy, by name, with their servers.
    pub backends: BTreeMap<String, BTreeMap<String, Server>>,
}

/// One server of a proxy's backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Whether the proxy finds it well.
    pub up: Expression,
    /// The service and the variable that hold whether it is `ready`, `drain` or `maint`.
    pub admin: (String, String),
}

/// What a twin says to a question that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Where it stands.
    pub at: At,
    /// The statement, query, path or program with its arguments.
    pub asked: Pattern,
    /// The method of an HTTP request; any when absent.
    pub method: Option<String>,
    /// Only under this condition.
    pub when: Option<Expression>,
    /// What being asked this changes.
    pub set: Vec<Assignment>,
    /// What it says, texts with `{{ }}` filled in after the change: rows of a database, a number or samples of a
    /// metric, the body of an HTTP answer, lines of a log, what a program writes.
    pub says: Value,
    /// The status of an HTTP answer, or the exit code of a program.
    pub status: Option<Value>,
    /// It answers that it did not do it, in these words; nothing changes then.
    pub fails: Option<Template>,
    /// Under this condition it is done, and the answer is lost.
    pub lost: Option<Expression>,
}
