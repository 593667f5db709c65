//! A run as its worker sees it: what it is pinned to, where every step stands, what earlier steps found.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::engine::Engine;
use crate::{
    domain::{
        id::{OperatorId, StepId},
        run::RunFact,
        state::RunState,
        step::Step,
    },
    store::{
        StoreError,
        attempts::{self, Finding},
        events, incidents,
        queue::Claim,
        runbooks::Version,
        runs,
    },
};

/// What a worker plans from.
pub(super) struct View {
    pub version: Arc<Version>,
    pub inputs: BTreeMap<String, String>,
    pub requester: Option<OperatorId>,
    pub state: RunState,
    pub findings: BTreeMap<StepId, Finding>,
    /// Number of the newest event of the run: what this view has seen.
    pub seen: i64,
    pub last_fact: Option<RunFact>,
    /// Labels and annotations of the alert the run is about.
    alert: Value,
    incident: Value,
}

impl View {
    /// Reads everything anew: a person may have acted since.
    pub async fn load(engine: &Engine, claim: Claim) -> Result<Self, StoreError> {
        let mut conn = engine.pool.acquire().await?;
        let run = runs::find(&mut conn, claim.run)
            .await?
            .ok_or_else(|| StoreError::corrupt("run_queue", "run_id", claim.run))?;
        let version = engine.version(&mut conn, run.version).await?;
        let (seen, facts) = events::run_log(&mut conn, claim.run).await?;
        let state = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact)))
            .map_err(|error| StoreError::corrupt("events", "body", error))?;
        let findings = attempts::findings(&mut conn, claim.run).await?;
        let incident = incidents::head(&mut conn, claim.incident).await?;
        Ok(Self {
            version,
            inputs: run.inputs,
            alert: run.context,
            requester: run.requested_by,
            state,
            findings,
            seen,
            last_fact: facts.into_iter().next_back().map(|(_, fact)| fact),
            incident,
        })
    }

    /// What expressions can read: the run's inputs, the incident, and what earlier steps found.
    pub fn context(&self, claim: Claim) -> Value {
        let steps: serde_json::Map<String, Value> = self
            .findings
            .iter()
            .map(|(step, found)| {
                (
                    step.0.clone(),
                    json!({"result": found.result, "summary": found.summary}),
                )
            })
            .collect();
        json!({
            "inputs": self.inputs,
            "labels": self.alert["labels"],
            "annotations": self.alert["annotations"],
            "incident": {
                "id": claim.incident,
                "title": self.incident["title"],
                "severity": self.incident["severity"],
            },
            "run": {"id": claim.run},
            "steps": steps,
        })
    }

    /// The step of that name in the pinned version.
    pub fn step(&self, id: &StepId) -> Result<&Step, StoreError> {
        self.version
            .runbook
            .step(id)
            .ok_or_else(|| StoreError::corrupt("events", "step", id))
    }

    /// What a person reads above a step.
    pub fn title(&self, step: &Step, context: &Value) -> String {
        step.title
            .as_ref()
            .and_then(|title| title.render(context).ok())
            .unwrap_or_else(|| step.id.0.replace('-', " "))
    }
}
