//! Settings of a source: what its sender speaks, how its alerts are grouped, and the limits that hold for it.

mod asked;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::asked::AskedSettings;
use super::{audit::Fields, id::is_slug, span::Span, target::SecretRef};

/// The most labels a source may group by.
pub const CORRELATE_LABELS_MAX: usize = 10;
/// The longest name of such a label, in characters.
pub const LABEL_CHARS_MAX: usize = 200;
/// The longest mapping, in bytes of its JSON.
pub const MAPPING_BYTES_MAX: usize = 16 * 1024;
/// The longest reference to a secret, in bytes.
pub const SIGN_WITH_BYTES_MAX: usize = 1000;
/// The longest name of a topic of Amazon's, in bytes.
pub const TOPIC_ARN_BYTES_MAX: usize = 400;
/// The longest name of a client certificate, in bytes; no DNS name is longer (RFC 1035, section 2.3.4).
pub const CLIENT_NAME_BYTES_MAX: usize = 253;
/// The most automatic starts a storm limit may allow.
pub const STORM_STARTS_MAX: u32 = 10_000;

/// Twice Alertmanager's usual repeat interval and a little: an alert nobody repeated for so long is stale.
const STALE_AFTER: Span = Span::from_secs(8 * 3600 + 600);
/// The most incidents that a rule may let stand side by side before it folds them.
pub const FOLD_OVER_MAX: u32 = 10_000;
/// A page has this name.
const RESERVED_NAME: &str = "new";

/// What a sender speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Alertmanager's webhook.
    Alertmanager,
    /// Prometheus itself, which takes Muster for an Alertmanager.
    Prometheus,
    /// A webhook contact point of Grafana.
    Grafana,
    /// Webhooks of PagerDuty, version 3.
    Pagerduty,
    /// Amazon SNS over HTTPS.
    Sns,
    /// A push subscription of Google Pub/Sub.
    Pubsub,
    /// Any JSON, read by a mapping.
    Generic,
}

impl SourceKind {
    /// All of them, the commonest first.
    pub const ALL: [Self; 7] = [
        Self::Alertmanager,
        Self::Prometheus,
        Self::Grafana,
        Self::Pagerduty,
        Self::Sns,
        Self::Pubsub,
        Self::Generic,
    ];

    /// Its name in addresses, settings and the database.
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

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Alertmanager => "Alertmanager",
            Self::Prometheus => "Prometheus",
            Self::Grafana => "Grafana",
            Self::Pagerduty => "PagerDuty",
            Self::Sns => "Amazon SNS",
            Self::Pubsub => "Google Pub/Sub",
            Self::Generic => "Any JSON",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether its sender can sign bodies with a shared secret.
    pub fn may_sign(self) -> bool {
        matches!(self, Self::Grafana | Self::Pagerduty | Self::Generic)
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// At most so many automatic starts of runs within a time; further ones become suggestions. Deliveries are taken all the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    /// Starts, 1 or more.
    pub starts: u32,
    /// Within this time.
    pub within: Span,
}

impl Default for Storm {
    fn default() -> Self {
        Self {
            starts: 20,
            within: Span::from_secs(600),
        }
    }
}

/// When a source opens more incidents than that within a time, they are folded under the first of them. Each stays an
/// incident of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldRule {
    /// Incidents, 2 or more.
    pub over: u32,
    /// Within this time.
    pub within: Span,
}

impl fmt::Display for FoldRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.over, self.within)
    }
}

/// How a source is read and treated. Made by [`AskedSettings::check`] or from the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// What its sender speaks.
    pub format: SourceKind,
    /// Labels whose values place a new episode in an incident; empty for the sender's own grouping.
    pub correlate_by: Vec<String>,
    /// A firing alert without a body for so long is shown as stale; never when absent.
    pub stale_after: Option<Span>,
    /// Set for a heartbeat source: silence for this long raises an incident.
    pub heartbeat_within: Option<Span>,
    /// How many runs its alerts may start by themselves.
    pub storm: Storm,
    /// When its incidents are folded; never when absent.
    pub storm_fold: Option<FoldRule>,
    /// Where the secret is that its bodies are signed with; unsigned when absent.
    pub sign_with: Option<SecretRef>,
    /// How [`SourceKind::Generic`] reads a body: a JSON object.
    pub mapping: Option<Value>,
    /// The only topic of which [`SourceKind::Sns`] takes messages; any that Amazon signed when absent.
    pub topic_arn: Option<String>,
    /// Name of the target that is this source's Alertmanager: asked about its alerts, and given silences.
    pub alertmanager: Option<String>,
    /// DNS name or address, in lower case, that the client certificate of every delivery must bear, beside the token; the
    /// token is enough when absent.
    pub client_name: Option<String>,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            format: SourceKind::Alertmanager,
            correlate_by: Vec::new(),
            stale_after: Some(STALE_AFTER),
            heartbeat_within: None,
            storm: Storm::default(),
            storm_fold: None,
            sign_with: None,
            mapping: None,
            topic_arn: None,
            alertmanager: None,
            client_name: None,
        }
    }
}

impl SourceSettings {
    /// Each setting as text, for the record of who changed it; one that is off is empty.
    pub fn fields(&self) -> Fields {
        let asked = AskedSettings::from(self);
        Fields::of([
            ("format", asked.format),
            ("correlate_by", asked.correlate_by.join(", ")),
            ("stale_after", asked.stale_after),
            ("heartbeat_within", asked.heartbeat_within),
            ("storm", format!("{} in {}", self.storm.starts, self.storm.within)),
            ("storm_fold", asked.storm_fold),
            ("sign_with", asked.sign_with),
            ("mapping", asked.mapping),
            ("topic_arn", asked.topic_arn),
            ("alertmanager", asked.alertmanager),
            ("client_name", asked.client_name),
        ])
    }
}

/// A field that cannot stay as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Fault {
    /// Which field.
    pub field: &'static str,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Fault {
    fn new(field: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { field, message }
    }
}

/// Whether a new source may have this name: it stands in the addresses of its page and of its webhook.
pub fn check_name(name: &str) -> Result<(), Fault> {
    if !is_slug(name) {
        return Err(Fault::new(
            "name",
            "a name has lower-case letters, digits and inner dashes, at most 63, like prometheus-eu",
        ));
    }
    if name == RESERVED_NAME {
        return Err(Fault::new(
            "name",
            "this name is taken by a page; choose another one",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
