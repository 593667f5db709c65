//! A plan.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{domain::rehearsal::Rehearsal, store::runbooks::Version};

/// What to plan.
#[derive(Deserialize, ToSchema)]
pub struct NewPlanBody {
    /// The incident it is for; its alert gives labels and annotations.
    pub incident: Option<i64>,
    /// The version's number; the one in use when absent.
    pub version: Option<i32>,
    /// Inputs, by name; the others come from the alert or their default.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// Labels of an alert, when there is no incident.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `false`: only render, ask nothing.
    #[serde(default = "yes")]
    pub checks: bool,
}

fn yes() -> bool {
    true
}

/// What every step would do.
#[derive(Serialize, ToSchema)]
pub struct PlanBody {
    /// The runbook's slug.
    pub runbook: String,
    /// The version's number.
    pub version: i32,
    /// The whole in one line.
    pub headline: String,
    /// Whether something has to be put right.
    pub broken: bool,
    /// Why a run could not even begin.
    pub obstacles: Vec<String>,
    /// Whether anything was asked.
    pub asked: bool,
    /// When it was found out.
    pub at: DateTime<Utc>,
    /// How long that took.
    pub took_ms: u64,
    /// Every step in the order of the file, with its `verdict`: `would_send`, `done_already`, `checked`, `would_ask`,
    /// `would_wait`, `skipped`, `cannot_know`, `not_looked`, `broken`.
    #[schema(value_type = Vec<Object>)]
    pub steps: Vec<Value>,
}

impl PlanBody {
    /// The rehearsal of a version.
    pub fn of(version: &Version, found: &Rehearsal) -> Self {
        let steps = found.steps.iter();
        Self {
            runbook: version.runbook.slug.clone(),
            version: version.number,
            headline: found.headline(),
            broken: found.is_broken(),
            obstacles: found.obstacles.clone(),
            asked: found.asked,
            at: found.at,
            took_ms: found.took_ms,
            steps: steps
                .map(|step| serde_json::to_value(step).unwrap_or_default())
                .collect(),
        }
    }
}
