//! Deliveries one by one, their ways, and what a sample is read as.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::shelf::DeliveryBody;
use crate::{
    receive::counter::{Handed, Stage, Verdict, Went},
    store::deliveries::{Headers, Kept},
    web::{deliveries, view::trial::TriedAlert},
};

/// All that is kept of a delivery.
#[derive(Serialize, ToSchema)]
pub struct KeptBody {
    /// As in the list.
    #[serde(flatten)]
    pub delivery: DeliveryBody,
    /// How it was read; null for one that came before that was kept.
    pub format: Option<String>,
    /// What the sender calls itself.
    pub user_agent: String,
    /// What else its request said; never a header that may hold a secret.
    pub headers: BTreeMap<String, String>,
    /// Incidents it opened, moved or added to.
    pub incidents: Vec<i64>,
    /// The first 64 KiB of its body; null for who may not read it.
    pub body: Option<String>,
}

impl KeptBody {
    /// The delivery, with its body for those who may read it.
    pub fn of(kept: Kept, may_read: bool) -> Self {
        let headers: Headers = kept.headers.clone();
        Self {
            body: may_read.then(|| deliveries::shown(&kept)),
            format: kept.format,
            user_agent: kept.user_agent,
            headers,
            incidents: kept.incidents.iter().map(|id| id.0).collect(),
            delivery: kept.row.into(),
        }
    }
}

/// How to send a delivery again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgainBody {
    /// Read it in this format; null for the one it came in.
    pub format: Option<String>,
}

/// One stage of a delivery's way.
#[derive(Serialize, ToSchema)]
pub struct StageBody {
    /// Its name.
    pub stage: String,
    /// `ok`, `failed` or `left_out`
    pub outcome: String,
    /// How long it took, in microseconds; null for one that is not timed.
    pub took_us: Option<u64>,
    /// What came of it.
    pub message: String,
}

impl From<&Stage> for StageBody {
    fn from(stage: &Stage) -> Self {
        let outcome = match stage.went {
            Went::Well => "ok",
            Went::Badly => "failed",
            Went::LeftOut => "left_out",
        };
        Self {
            stage: stage.name.to_owned(),
            outcome: outcome.to_owned(),
            took_us: stage.took.map(|took| took.as_micros() as u64),
            message: stage.said.clone(),
        }
    }
}

/// What became of a delivery that was handed in.
#[derive(Serialize, ToSchema)]
pub struct WayBody {
    /// `stored`, `spooled`, `rejected` or `refused`
    pub status: String,
    /// What keeps it, when that is known already.
    pub delivery: Option<i64>,
    /// Incidents it opened, moved or added to.
    pub incidents: Vec<i64>,
    /// The stages of its way, in order.
    pub stages: Vec<StageBody>,
}

impl From<&Handed> for WayBody {
    fn from(handed: &Handed) -> Self {
        let status = match &handed.verdict {
            Verdict::Stored(..) | Verdict::Understood(..) => "stored",
            Verdict::Spooled => "spooled",
            Verdict::Unusable(..) => "rejected",
            Verdict::Unsigned(_) | Verdict::Refused(_) => "refused",
        };
        let incidents = match &handed.verdict {
            Verdict::Stored(outcome, _) => outcome.incidents.iter().map(|id| id.0).collect(),
            _ => Vec::new(),
        };
        Self {
            status: status.to_owned(),
            delivery: handed.delivery().map(|id| id.0),
            incidents,
            stages: handed.stages.iter().map(StageBody::from).collect(),
        }
    }
}

/// A test of a source and what became of it.
#[derive(Serialize, ToSchema)]
pub struct TrialBody {
    /// The label of its alert, in formats that have labels.
    pub label: String,
    /// The way of the firing body, then of the resolved one.
    pub ways: Vec<WayBody>,
}

/// A body to be read and not kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleBody {
    /// The body, as text.
    pub sample: String,
    /// A mapping instead of the source's.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub mapping: Option<Value>,
}

/// What a body is read as.
#[derive(Serialize, ToSchema)]
pub struct TriedBody {
    /// The alerts, the first 50.
    pub alerts: Vec<TriedAlertBody>,
    /// Alerts that cannot be used, and why.
    pub remark: String,
}

/// One alert that was read.
#[derive(Serialize, ToSchema)]
pub struct TriedAlertBody {
    /// Its fingerprint.
    pub fingerprint: String,
    /// `firing` or `resolved`
    pub status: String,
    /// The grouping it came in.
    pub group: String,
    /// What it is about.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub annotations: BTreeMap<String, String>,
    /// When it began.
    pub starts_at: DateTime<Utc>,
    /// When it ended.
    pub ends_at: Option<DateTime<Utc>>,
}

impl From<TriedAlert> for TriedAlertBody {
    fn from(alert: TriedAlert) -> Self {
        let report = alert.report;
        let status = match report.ends_at {
            None => "firing",
            Some(_) => "resolved",
        };
        Self {
            fingerprint: report.fingerprint.to_string(),
            status: status.to_owned(),
            group: alert.group,
            labels: report.labels.0,
            annotations: report.annotations.0,
            starts_at: report.starts_at,
            ends_at: report.ends_at,
        }
    }
}
