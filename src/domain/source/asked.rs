//! Settings of a source as people write them, and every fault in them.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Value;

use super::{
    CLIENT_NAME_BYTES_MAX, CORRELATE_LABELS_MAX, FOLD_OVER_MAX, Fault, FoldRule, LABEL_CHARS_MAX,
    MAPPING_BYTES_MAX, SIGN_WITH_BYTES_MAX, STORM_STARTS_MAX, SourceKind, SourceSettings, Storm,
    TOPIC_ARN_BYTES_MAX,
};
use crate::domain::{
    id::is_slug,
    span::{Span, SpanError},
    target::SecretRef,
};

/// The longest part of a DNS name, in bytes (RFC 1035, section 2.3.4).
const DNS_LABEL_BYTES_MAX: usize = 63;
/// Below this every alert would be stale between two repeats.
const STALE_AFTER_MIN: Span = Span::from_secs(60);
/// Below this a heartbeat would be late between two beats.
const HEARTBEAT_MIN: Span = Span::from_secs(1);
/// The window of a storm limit.
const STORM_WITHIN: (Span, Span) = (Span::from_secs(1), Span::from_secs(24 * 3600));

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
    /// The name of a topic of Amazon's.
    pub topic_arn: String,
    /// Name of a target.
    pub alertmanager: String,
    /// A DNS name or an address.
    pub client_name: String,
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
            topic_arn: settings.topic_arn.clone().unwrap_or_default(),
            alertmanager: settings.alertmanager.clone().unwrap_or_default(),
            client_name: settings.client_name.clone().unwrap_or_default(),
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
        let topic_arn = self.topic(format).map_err(&mut keep).ok();
        let alertmanager = self.target(format).map_err(&mut keep).ok();
        let client_name = self.client().map_err(&mut keep).ok();
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
            topic_arn,
            alertmanager,
            client_name,
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
                Some(topic_arn),
                Some(alertmanager),
                Some(client_name),
            ) => Ok(SourceSettings {
                format,
                correlate_by,
                stale_after,
                heartbeat_within,
                storm: Storm { starts, within },
                storm_fold,
                sign_with,
                mapping,
                topic_arn,
                alertmanager,
                client_name,
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

    fn topic(&self, format: Option<SourceKind>) -> Result<Option<String>, Fault> {
        let text = self.topic_arn.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let fault = |message: &str| Err(Fault::new("topic_arn", message));
        if format.is_some_and(|format| format != SourceKind::Sns) {
            return fault("only Amazon SNS has topics; leave it empty");
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        match text.starts_with("arn:") && is_plain && text.len() <= TOPIC_ARN_BYTES_MAX {
            true => Ok(Some(text.to_owned())),
            false => fault("write the topic's full name, like arn:aws:sns:eu-central-1:123456789012:alarms"),
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

    fn client(&self) -> Result<Option<String>, Fault> {
        let text = self.client_name.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Some(address.to_string()));
        }
        match is_dns_name(text) {
            // Names of hosts are the same in any case.
            true => Ok(Some(text.to_ascii_lowercase())),
            false => Err(Fault::new(
                "client_name",
                "write one DNS name or address, without a wildcard, that stands among the alternative names of the \
                 sender's certificate, like alertmanager.internal; its common name does not count",
            )),
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
                "write a JSON object, without U+0000, like {\"labels\": {\"from\": \"tags\"}}".to_owned(),
            )),
        }
    }
}

/// Whether it can be compared with the alternative names of a certificate: parts of letters, digits, underscores and inner
/// dashes. All digits at the end would be an address that is none.
fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let has_fine_bytes = label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let has_inner_dashes = !label.starts_with('-') && !label.ends_with('-');
        (1..=DNS_LABEL_BYTES_MAX).contains(&label.len()) && has_fine_bytes && has_inner_dashes
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= CLIENT_NAME_BYTES_MAX
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
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
