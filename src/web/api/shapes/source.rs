//! Sources, their settings and their tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    domain::source::{AskedSettings, SourceSettings},
    sources::Issued,
    store::{
        sources::{Pulse, Source},
        tokens::Token,
    },
};

/// At most so many runs start by themselves within a time.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct StormBody {
    /// Starts, 1 to 10000.
    pub starts: u32,
    /// Within this time, like `10m`; 1s to 1d.
    pub within: String,
}

/// When the incidents of a source are folded under the first of them.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct FoldRuleBody {
    /// When there are more than so many, 2 to 10000.
    pub over: u32,
    /// Within this time, like `5m`; 1s to 1d.
    pub within: String,
}

/// How a source is read and treated. Lengths of time are written like `90s`, `15m`, `8h10m`. A setting that is absent
/// has its default.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsBody {
    /// `alertmanager`, `prometheus`, `grafana`, `pagerduty`, `sns`, `pubsub`, `generic`
    pub format: String,
    /// Labels that place a new episode; none for the sender's own grouping.
    pub correlate_by: Vec<String>,
    /// A firing alert without a body for so long is stale; null for never.
    pub stale_after: Option<String>,
    /// Silence for this long raises an incident; null for no heartbeat.
    pub heartbeat_within: Option<String>,
    /// How many runs its alerts may start by themselves.
    pub storm: StormBody,
    /// When its incidents are folded under the first of them; null for never.
    pub storm_fold: Option<FoldRuleBody>,
    /// Where the secret is that bodies are signed with: `env:NAME` or `file:/path`; null when they are not signed.
    pub sign_with: Option<String>,
    /// How `generic` reads a body.
    #[schema(value_type = Option<Object>)]
    pub mapping: Option<Value>,
    /// The only topic of which `sns` takes messages; null for any that Amazon signed.
    pub topic_arn: Option<String>,
    /// Name of the target that is its Alertmanager; null when nobody can be asked.
    pub alertmanager: Option<String>,
    /// DNS name or address that the client certificate of every delivery must bear, beside the token; null when the token
    /// is enough. It can be set only while Muster itself serves TLS with `--tls-client-ca`.
    pub client_name: Option<String>,
}

impl Default for SettingsBody {
    fn default() -> Self {
        Self::from(&SourceSettings::default())
    }
}

impl From<&SourceSettings> for SettingsBody {
    fn from(settings: &SourceSettings) -> Self {
        Self {
            format: settings.format.name().to_owned(),
            correlate_by: settings.correlate_by.clone(),
            stale_after: settings.stale_after.map(String::from),
            heartbeat_within: settings.heartbeat_within.map(String::from),
            storm: StormBody {
                starts: settings.storm.starts,
                within: settings.storm.within.to_string(),
            },
            storm_fold: settings.storm_fold.map(|rule| FoldRuleBody {
                over: rule.over,
                within: rule.within.to_string(),
            }),
            sign_with: settings.sign_with.clone().map(String::from),
            mapping: settings.mapping.clone(),
            topic_arn: settings.topic_arn.clone(),
            alertmanager: settings.alertmanager.clone(),
            client_name: settings.client_name.clone(),
        }
    }
}

impl From<SettingsBody> for AskedSettings {
    fn from(body: SettingsBody) -> Self {
        Self {
            format: body.format,
            correlate_by: body.correlate_by,
            stale_after: body.stale_after.unwrap_or_default(),
            heartbeat_within: body.heartbeat_within.unwrap_or_default(),
            storm_starts: body.storm.starts.to_string(),
            storm_within: body.storm.within,
            storm_fold: body
                .storm_fold
                .map_or_else(String::new, |rule| format!("{} in {}", rule.over, rule.within)),
            sign_with: body.sign_with.unwrap_or_default(),
            mapping: body
                .mapping
                .map_or_else(String::new, |mapping| mapping.to_string()),
            topic_arn: body.topic_arn.unwrap_or_default(),
            alertmanager: body.alertmanager.unwrap_or_default(),
            client_name: body.client_name.unwrap_or_default(),
        }
    }
}

/// One configured sender and how it does.
#[derive(Serialize, ToSchema)]
pub struct SourceBody {
    /// Its name in the webhook's address.
    pub name: String,
    /// How it is read and treated.
    pub settings: SettingsBody,
    /// Name this to change it; it rises with every change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when its tokens open nothing.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When the newest of its deliveries that are kept arrived.
    pub last_delivery_at: Option<DateTime<Utc>>,
    /// Deliveries in the last 24 hours; 10001 or more when there were more than 10000.
    pub deliveries_24h: i64,
    /// Those of them that were rejected.
    pub rejected_24h: i64,
    /// When the heartbeat that was silent longest was last heard.
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    /// When that one is due.
    pub heartbeat_due_at: Option<DateTime<Utc>>,
    /// The incident of a silence that goes on.
    pub silence_incident: Option<i64>,
    /// Live tokens.
    pub tokens: i64,
    /// When one of them was last used, to the minute.
    pub token_used_at: Option<DateTime<Utc>>,
}

impl SourceBody {
    /// The source as it is and does.
    pub fn of(source: &Source, pulse: &Pulse) -> Self {
        Self {
            name: source.name.clone(),
            settings: (&source.settings).into(),
            revision: source.revision,
            created_at: source.created_at,
            disabled_at: source.disabled_at,
            last_delivery_at: pulse.last_delivery_at,
            deliveries_24h: pulse.deliveries,
            rejected_24h: pulse.rejected,
            last_heartbeat_at: pulse.last_beat_at,
            heartbeat_due_at: pulse.beat_due,
            silence_incident: pulse.silence.map(|incident| incident.0),
            tokens: pulse.tokens,
            token_used_at: pulse.token_used_at,
        }
    }
}

/// A source to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSourceBody {
    /// Lower-case letters, digits and inner dashes, at most 63.
    pub name: String,
    /// How it is read and treated.
    #[serde(default)]
    pub settings: SettingsBody,
}

/// A source that was made, and its first token.
#[derive(Serialize, ToSchema)]
pub struct SourceMade {
    /// Its name.
    pub name: String,
    /// Its token. It is shown this once.
    pub token: TokenIssued,
}

/// New settings of a source, all of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSourceBody {
    /// The revision that was read.
    pub revision: i64,
    /// How it is read and treated from now on.
    pub settings: SettingsBody,
    /// Why; needed.
    #[serde(default)]
    pub reason: String,
}

/// A token to be issued.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTokenBody {
    /// Who will use it, at most 100 characters.
    #[serde(default)]
    pub name: String,
}

/// A token that was just issued.
#[derive(Serialize, ToSchema)]
pub struct TokenIssued {
    /// Its number.
    pub id: i64,
    /// What the sender must send. It is shown this once.
    pub token: String,
}

impl From<Issued> for TokenIssued {
    fn from(issued: Issued) -> Self {
        Self {
            id: issued.id,
            token: issued.token,
        }
    }
}

/// A live token, without its text.
#[derive(Serialize, ToSchema)]
pub struct TokenBody {
    /// Its number.
    pub id: i64,
    /// Who uses it.
    pub name: String,
    /// How it begins; empty when that is not known.
    pub prefix: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            prefix: token.prefix,
            created_at: token.created_at,
            last_used_at: token.last_used_at,
        }
    }
}
