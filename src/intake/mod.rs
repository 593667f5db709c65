//! Reading what senders post: bytes in, alerts out, or a fault that names its place. Pure; one file a format.

pub mod alertmanager;

use crate::domain::alert::AlertReport;

/// A webhook body, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The sender's receiver, raw (Alertmanager escapes it as a regular expression).
    pub receiver: String,
    /// The sender's grouping, opaque.
    pub group_key: String,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// What it reports, sorted by fingerprint, each alert once.
    pub alerts: Vec<AlertReport>,
}

/// Why a body cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if place.is_empty() { String::new() } else { format!("{place}: ") })]
pub struct Fault {
    /// A field path like `alerts[3].startsAt`, or line and column in JSON that cannot be read; may be empty.
    pub place: String,
    /// What is wrong and what was expected.
    pub problem: String,
}
