//! Settings of a source: what its sender speaks, how its alerts are grouped, and the limits that hold for it.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    id::is_slug,
    span::{Span, SpanError},
    target::SecretRef,
};

/// The most labels a source may group by.
pub const CORRELATE_LABELS_MAX: usize = 10;
/// The longest name of such a label, in characters.
pub const LABEL_CHARS_MAX: usize = 200;
/// The longest mapping, in bytes of its JSON.
pub const MAPPING_BYTES_MAX: usize = 16 * 1024;
/// The longest reference to a secret, in bytes.
pub const SIGN_WITH_BYTES_MAX: usize = 1000;
/// The most automatic starts a storm limit may allow.
pub const STORM_STARTS_MAX: u32 = 10_000;

/// Twice Alertmanager's usual repeat interval and a little: an alert nobody repeated for so long is stale.
const STALE_AFTER: Span = Span::from_secs(8 * 3600 + 600);
/// Below this every alert would be stale between two repeats.
const STALE_AFTER_MIN: Span = Span::from_secs(60);
/// Below this a heartbeat would be late between two beats.
const HEARTBEAT_MIN: Span = Span::from_secs(1);
/// The most incidents that a rule may let stand side by side before it folds them.
pub const FOLD_OVER_MAX: u32 = 10_000;
/// The window of a storm limit.
const STORM_WITHIN: (Span, Span) = (Span::from_secs(1), Span::from_secs(24 * 3600));
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
    /// Name of the target that is this source's Alertmanager: asked about its alerts, and given silences.
    pub alertmanager: Option<String>,
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
            alertmanager: None,
        }
    }
}

impl SourceSettings {
    /// What changes from these settings to `next`, one line each, for the record of who changed them.
    pub fn changes(&self, next: &Self) -> Vec<String> {
        let (old, new) = (AskedSettings::from(self), AskedSettings::from(next));
        let mut lines = Vec::new();
        let mut compare = |what: &str, old: &str, new: &str| {
            if old != new {
                let shown = |text: &str| {
                    if text.is_empty() {
                        "none".to_owned()
                    } else {
                        text.to_owned()
                    }
                };
                lines.push(format!("{what} {} → {}", shown(old), shown(new)));
            }
        };
        compare("format", &old.format, &new.format);
        compare(
            "correlate_by",
            &old.correlate_by.join(", "),
            &new.correlate_by.join(", "),
        );
        compare("stale_after", &old.stale_after, &new.stale_after);
        compare("heartbeat_within", &old.heartbeat_within, &new.heartbeat_within);
        let storm = |storm: Storm| format!("{} in {}", storm.starts, storm.within);
        compare("storm", &storm(self.storm), &storm(next.storm));
        compare("storm_fold", &old.storm_fold, &new.storm_fold);
        compare("sign_with", &old.sign_with, &new.sign_with);
        compare("alertmanager", &old.alertmanager, &new.alertmanager);
        if old.mapping != new.mapping {
            lines.push("mapping changed".to_owned());
        }
        lines
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

/// Settings as people write them. An empty text is a setting that is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedSettings {
    /// Name of a [`SourceKind`].
    pub format: String,
    /// Label names.
    pub correlate_by: Vec<String>,
    /// A length of time.
    pub stale_after: String,
    /// A length of time.
    pub heartbeat_within: String,
    /// A number.
    pub storm_starts: String,
    /// A length of time.
    pub storm_within: String,
    /// A number of incidents and a length of time, like `20 in 5m`.
    pub storm_fold: String,
    /// `env:NAME` or `file:/path`.
    pub sign_with: String,
    /// A JSON object.
    pub mapping: String,
    /// Name of a target.
    pub alertmanager: String,
}

impl Default for AskedSettings {
    fn default() -> Self {
        Self::from(&SourceSettings::default())
    }
}

impl From<&SourceSettings> for AskedSettings {
    fn from(settings: &SourceSettings) -> Self {
        let length = |span: Option<Span>| span.map_or_else(String::new, |span| span.to_string());
        let mapping = settings.mapping.as_ref();
        Self {
            format: settings.format.name().to_owned(),
            correlate_by: settings.correlate_by.clone(),
            stale_after: length(settings.stale_after),
            heartbeat_within: length(settings.heartbeat_within),
            storm_starts: settings.storm.starts.to_string(),
            storm_within: settings.storm.within.to_string(),
            storm_fold: settings
                .storm_fold
                .map_or_else(String::new, |rule| rule.to_string()),
            sign_with: settings.sign_with.clone().map_or_else(String::new, String::from),
            mapping: mapping.map_or_else(String::new, |mapping| format!("{mapping:#}")),
            alertmanager: settings.alertmanager.clone().unwrap_or_default(),
        }
    }
}

impl AskedSettings {
    /// The settings, or every fault in them.
    pub fn check(&self) -> Result<SourceSettings, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut keep = |fault: Fault| faults.push(fault);
        let format = SourceKind::named(self.format.trim());
        if format.is_none() {
            let names: Vec<&str> = SourceKind::ALL.into_iter().map(SourceKind::name).collect();
            keep(Fault::new(
                "format",
                format!("choose one of {}", names.join(", ")),
            ));
        }
        let correlate_by = self.labels().map_err(&mut keep).ok();
        let stale_after = length("stale_after", &self.stale_after, STALE_AFTER_MIN, None)
            .map_err(&mut keep)
            .ok();
        let heartbeat_within = length("heartbeat_within", &self.heartbeat_within, HEARTBEAT_MIN, None)
            .map_err(&mut keep)
            .ok();
        let starts = self.storm_starts.trim().parse::<u32>().ok();
        let starts = starts.filter(|starts| (1..=STORM_STARTS_MAX).contains(starts));
        if starts.is_none() {
            let message = format!(
                "write a number from 1 to {STORM_STARTS_MAX}; to let nothing start by itself, make a freeze"
            );
            keep(Fault::new("storm_starts", message));
        }
        let (shortest, longest) = STORM_WITHIN;
        let within = length("storm_within", &self.storm_within, shortest, Some(longest))
            .and_then(|within| {
                within.ok_or_else(|| Fault::new("storm_within", "write a length of time like 10m"))
            })
            .map_err(&mut keep)
            .ok();
        let storm_fold = self.fold_rule().map_err(&mut keep).ok();
        let sign_with = self.secret(format).map_err(&mut keep).ok();
        let mapping = self.map(format).map_err(&mut keep).ok();
        let alertmanager = self.target(format).map_err(&mut keep).ok();
        match (
            format,
            correlate_by,
            stale_after,
            heartbeat_within,
            starts,
            within,
            storm_fold,
            sign_with,
            mapping,
            alertmanager,
        ) {
            (
                Some(format),
                Some(correlate_by),
                Some(stale_after),
                Some(heartbeat_within),
                Some(starts),
                Some(within),
                Some(storm_fold),
                Some(sign_with),
                Some(mapping),
                Some(alertmanager),
            ) => Ok(SourceSettings {
                format,
                correlate_by,
                stale_after,
                heartbeat_within,
                storm: Storm { starts, within },
                storm_fold,
                sign_with,
                mapping,
                alertmanager,
            }),
            _ => Err(faults),
        }
    }

    fn fold_rule(&self) -> Result<Option<FoldRule>, Fault> {
        let text = self.storm_fold.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let fault = || {
            let message = format!("write a number from 2 to {FOLD_OVER_MAX} and a time, like 20 in 5m");
            Fault::new("storm_fold", message)
        };
        let (over, within) = text.split_once(" in ").ok_or_else(fault)?;
        let over = over.trim().parse::<u32>().map_err(|_| fault())?;
        if !(2..=FOLD_OVER_MAX).contains(&over) {
            return Err(fault());
        }
        let (shortest, longest) = STORM_WITHIN;
        let within = length("storm_fold", within, shortest, Some(longest))?.ok_or_else(fault)?;
        Ok(Some(FoldRule { over, within }))
    }

    fn labels(&self) -> Result<Vec<String>, Fault> {
        let fault = |message: String| Err(Fault::new("correlate_by", message));
        let names: Vec<&str> = self.correlate_by.iter().map(|name| name.trim()).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        if names.len() > CORRELATE_LABELS_MAX {
            return fault(format!(
                "at most {CORRELATE_LABELS_MAX} labels; name only those that stay the same"
            ));
        }
        let is_bad = |name: &&&str| {
            name.chars().count() > LABEL_CHARS_MAX
                || name.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control())
        };
        if names.iter().find(is_bad).is_some() {
            return fault(format!(
                "a label's name has no spaces, commas or control characters and at most {LABEL_CHARS_MAX} characters"
            ));
        }
        let mut seen = BTreeSet::new();
        match names.iter().find(|name| !seen.insert(**name)) {
            Some(twice) => fault(format!("{twice} is named twice; name it once")),
            None => Ok(names.into_iter().map(str::to_owned).collect()),
        }
    }

    fn secret(&self, format: Option<SourceKind>) -> Result<Option<SecretRef>, Fault> {
        let text = self.sign_with.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let fault = |message: String| Fault::new("sign_with", message);
        if text.len() > SIGN_WITH_BYTES_MAX || text.contains(char::is_control) {
            return Err(fault(format!(
                "a reference is one line of at most {SIGN_WITH_BYTES_MAX} bytes"
            )));
        }
        let reference = SecretRef::try_from(text.to_owned()).map_err(fault)?;
        match format.filter(|format| !format.may_sign()) {
            Some(format) => Err(fault(format!(
                "{} signs nothing with a shared secret; leave it empty",
                format.title()
            ))),
            None => Ok(Some(reference)),
        }
    }

    fn target(&self, format: Option<SourceKind>) -> Result<Option<String>, Fault> {
        let text = self.alertmanager.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let fault = |message: &str| Err(Fault::new("alertmanager", message));
        if format.is_some_and(|format| format != SourceKind::Alertmanager) {
            return fault(
                "only the format alertmanager has an Alertmanager that can be asked; leave it empty",
            );
        }
        match is_slug(text) {
            true => Ok(Some(text.to_owned())),
            false => fault("write the name of a target of the kind alertmanager in the targets file"),
        }
    }

    fn map(&self, format: Option<SourceKind>) -> Result<Option<Value>, Fault> {
        let text = self.mapping.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let fault = |message: String| Fault::new("mapping", message);
        if format.is_some_and(|format| format != SourceKind::Generic) {
            return Err(fault(
                "only the format generic is read by a mapping; leave it empty".to_owned(),
            ));
        }
        if text.len() > MAPPING_BYTES_MAX {
            return Err(fault(format!("it is longer than {MAPPING_BYTES_MAX} bytes")));
        }
        let mapping: Value =
            serde_json::from_str(text).map_err(|error| fault(format!("it is not JSON: {error}")))?;
        // Postgres keeps no U+0000 in JSON, and no field of a body needs one in its name.
        match mapping.is_object() && !mapping.to_string().contains("\\u0000") {
            true => Ok(Some(mapping)),
            false => Err(fault(
                "write a JSON object, without U+0000, like {\"title\": \"summary\"}".to_owned(),
            )),
        }
    }
}

/// A length of time of a field; `None` when it was left empty.
fn length(
    field: &'static str,
    text: &str,
    shortest: Span,
    longest: Option<Span>,
) -> Result<Option<Span>, Fault> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let span: Span = text.parse().map_err(|error| {
        Fault::new(
            field,
            match error {
                // What was typed stands in the field beside it.
                SpanError::Unreadable(_) => "write a length of time like 90s, 15m or 8h10m".to_owned(),
                SpanError::TooLong(_) => "at most 30d".to_owned(),
            },
        )
    })?;
    match longest {
        _ if span < shortest => Err(Fault::new(field, format!("at least {shortest}"))),
        Some(longest) if span > longest => Err(Fault::new(field, format!("at most {longest}"))),
        _ => Ok(Some(span)),
    }
}

#[cfg(test)]
mod tests;
