//! The fields of the forms of a source, as a browser sends them.

use serde::Deserialize;
use uuid::Uuid;

use crate::domain::source::AskedSettings;

/// The fields of the forms of a source; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct SourceForm {
    pub(super) op: Uuid,
    pub(super) seen: Option<i64>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) token_name: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    format: String,
    /// One a line; a comma separates as well.
    #[serde(default)]
    correlate_by: String,
    #[serde(default)]
    stale_after: String,
    #[serde(default)]
    heartbeat_within: String,
    #[serde(default)]
    storm_starts: String,
    #[serde(default)]
    storm_within: String,
    #[serde(default)]
    storm_fold: String,
    #[serde(default)]
    sign_with: String,
    #[serde(default)]
    mapping: String,
    #[serde(default)]
    topic_arn: String,
    #[serde(default)]
    alertmanager: String,
}

impl SourceForm {
    /// The settings it asks for.
    pub(super) fn asked(&self) -> AskedSettings {
        let labels = self.correlate_by.split(['\n', ',']);
        AskedSettings {
            format: self.format.clone(),
            correlate_by: labels
                .map(|label| label.trim().to_owned())
                .filter(|label| !label.is_empty())
                .collect(),
            stale_after: self.stale_after.clone(),
            heartbeat_within: self.heartbeat_within.clone(),
            storm_starts: self.storm_starts.clone(),
            storm_within: self.storm_within.clone(),
            storm_fold: self.storm_fold.clone(),
            sign_with: self.sign_with.clone(),
            mapping: self.mapping.clone(),
            topic_arn: self.topic_arn.clone(),
            alertmanager: self.alertmanager.clone(),
        }
    }
}
