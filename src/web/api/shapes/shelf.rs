//! A runbook, and a delivery.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::access::Circle,
    store::{deliveries::DeliveryRow, runbooks::Version, runs::Record},
};

/// A runbook.
#[derive(Serialize, ToSchema)]
pub struct RunbookBody {
    /// Its slug.
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// When to use it and what it does.
    pub summary: String,
    /// The version's number.
    pub version: i32,
    /// SHA-256 of its source.
    pub digest: String,
    /// Runs that have ended.
    pub finished_runs: i64,
    /// Those that worked.
    pub succeeded_runs: i64,
    /// Who may start and steer its runs besides what their role lets them do, in words; absent when the role alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// Who may publish versions of it, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_by: Option<String>,
    /// How many others must approve a new version.
    pub review: u32,
    /// The source as written; only when one runbook is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl RunbookBody {
    /// The version with its record.
    pub fn of(version: Version, record: Option<&Record>, source: Option<String>) -> Self {
        let named = |circle: &Circle| (!circle.is_open()).then(|| circle.words());
        let access = &version.runbook.access;
        Self {
            started_by: named(&access.start),
            published_by: named(&access.publish),
            review: version.runbook.review,
            slug: version.runbook.slug,
            title: version.runbook.title,
            summary: version.runbook.summary,
            version: version.number,
            digest: version.digest.to_string(),
            finished_runs: record.map_or(0, |record| record.finished),
            succeeded_runs: record.map_or(0, |record| record.succeeded),
            source,
        }
    }
}

/// A delivery, without its body.
#[derive(Serialize, ToSchema)]
pub struct DeliveryBody {
    /// Its number.
    pub id: i64,
    /// The source's name.
    pub source: Option<String>,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// `applied` or `rejected`
    pub outcome: String,
    /// Why it was rejected, and where in the body.
    pub reason: String,
    /// Alerts in it.
    pub alerts: i32,
    /// How often the same refusal came within its minute.
    pub repeats: i32,
    /// Size of the kept body in bytes.
    pub body_bytes: i32,
    /// The delivery that was sent again with it.
    pub replay_of: Option<i64>,
    /// Whether Muster made it to show the way of an alert.
    pub is_test: bool,
}

impl From<DeliveryRow> for DeliveryBody {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            source: row.source,
            received_at: row.received_at,
            outcome: row.outcome,
            reason: row.reason,
            alerts: row.alerts,
            repeats: row.repeats,
            body_bytes: row.body_bytes,
            replay_of: row.replay_of,
            is_test: row.is_test,
        }
    }
}
