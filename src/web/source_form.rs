//! The fields of the forms of a source, as a browser sends them, and what cannot be asked of this Muster.

use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::state::AppState;
use crate::{
    domain::source::{AskedSettings, Fault},
    sources::{self as acts, SourceError},
};

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
    #[serde(default)]
    client_name: String,
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
            client_name: self.client_name.clone(),
        }
    }
}

/// Refuses a client certificate that is newly asked for while this Muster asks no client for one: the sender would be shut
/// out that moment, and nobody would notice before the next alert is missed. A name that the source has already may stay,
/// so that its other settings can be changed; faults of other fields are left to the act itself.
pub async fn check_client_name(
    app: &AppState,
    conn: &mut PgConnection,
    source: &str,
    asked: &AskedSettings,
) -> Result<(), SourceError> {
    let wanted = asked.check().ok().and_then(|settings| settings.client_name);
    if app.asks_clients || wanted.is_none() {
        return Ok(());
    }
    let stands = match acts::find(conn, source).await {
        Ok(found) => found.settings.client_name,
        Err(SourceError::NotFound(_)) => None,
        Err(error) => return Err(error),
    };
    if stands == wanted {
        return Ok(());
    }
    let message = "this Muster asks no client for a certificate, so nothing of this source would be taken; start it with \
                   --tls-cert, --tls-key and --tls-client-ca first, or leave it empty";
    Err(SourceError::Faulty(vec![Fault {
        field: "client_name",
        message: message.to_owned(),
    }]))
}
