//! Reading what senders post: bytes in, alerts out, or a fault that names its place. Pure; one file a format.
//!
//! A new format is one file and one line in each list of [`Format`] and in [`read`].

mod document;
mod groups;
mod path;

pub mod alertmanager;
pub mod grafana;
pub mod pagerduty;
pub mod prometheus;

mod cloudwatch;
pub mod sns;

mod monitoring;
pub mod pubsub;

pub mod generic;
pub mod mapping;
pub mod sample;

pub mod sign;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use url::Url;

use crate::domain::alert::AlertReport;
pub use groups::regroup;
use mapping::Mapping;

/// The labels whose values make a group, for senders that do not group: what a team would be called out for once.
pub const CORRELATE_BY: [&str; 4] = ["alertname", "cluster", "namespace", "service"];

/// A webhook body, read: one group of alerts.
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

/// A sender's way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Alertmanager's webhook.
    Alertmanager,
    /// What Prometheus pushes to Alertmanagers.
    Prometheus,
    /// Grafana's webhook contact point.
    Grafana,
    /// PagerDuty's webhooks, version 3.
    Pagerduty,
    /// CloudWatch alarms through Amazon SNS.
    Sns,
    /// Cloud Monitoring's notifications through Google Pub/Sub.
    Pubsub,
    /// Any other JSON, read by a mapping.
    Generic,
}

impl Format {
    /// All of them, in the order people are offered them.
    pub const ALL: [Self; 7] = [
        Self::Alertmanager,
        Self::Prometheus,
        Self::Grafana,
        Self::Pagerduty,
        Self::Sns,
        Self::Pubsub,
        Self::Generic,
    ];

    /// Its name in addresses and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Prometheus => "prometheus",
            Self::Grafana => "grafana",
            Self::Pagerduty => "pagerduty",
            Self::Sns => "sns",
            Self::Pubsub => "pubsub",
            Self::Generic => "generic",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Alertmanager => "Alertmanager",
            Self::Prometheus => "Prometheus",
            Self::Grafana => "Grafana",
            Self::Pagerduty => "PagerDuty",
            Self::Sns => "Amazon CloudWatch (SNS)",
            Self::Pubsub => "Google Cloud Monitoring (Pub/Sub)",
            Self::Generic => "Any JSON",
        }
    }
}

/// What a reader is told besides the body.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// When the body arrived.
    pub received_at: DateTime<Utc>,
    /// The names of the labels that make a group, for senders that do not group; [`CORRELATE_BY`] unless told.
    pub correlate_by: &'a [String],
    /// How to read JSON that is of no known shape; without it, it must have the plain shape of [`generic`].
    pub mapping: Option<&'a Mapping>,
}

/// What a body says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Alerts came or went.
    Alerts {
        /// The groups, sorted by their key; none when every alert was at fault.
        groups: Vec<Delivery>,
        /// The alerts of the body that cannot be used; the others can.
        faults: Vec<Fault>,
    },
    /// The sender asks to be confirmed: a GET of this address begins its deliveries.
    Confirm {
        /// The address, on a host of the sender's.
        url: Url,
    },
    /// Nothing to store, and why; the sender did nothing wrong.
    Nothing(&'static str),
}

/// Reads a body. A fault is one of the whole body: nothing of it can be used.
pub fn read(format: Format, body: &[u8], with: &Reader<'_>) -> Result<Content, Fault> {
    match format {
        Format::Alertmanager => alertmanager::parse(body).map(Content::from),
        Format::Prometheus => prometheus::read(body, with),
        Format::Grafana => grafana::parse(body).map(Content::from),
        Format::Pagerduty => pagerduty::read(body),
        Format::Sns => sns::read(body, with),
        Format::Pubsub => pubsub::read(body, with),
        Format::Generic => generic::read(body, with),
    }
}

impl From<Delivery> for Content {
    fn from(group: Delivery) -> Self {
        Self::Alerts {
            groups: vec![group],
            faults: Vec::new(),
        }
    }
}
