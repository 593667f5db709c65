//! A run as its worker sees it: what it is pinned to, where every step stands, what earlier steps found.
//!
//! Read once at the claim, then kept up to date by the worker's own writes; read anew only when a person acted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::engine::Engine;
use crate::{
    domain::{
        context::{Finding, Setting, learn, learn_all, read_by},
        id::{ApprovalId, OperatorId, RunId, StepId},
        run::RunFact,
        runbook::Found,
        state::{IllegalMove, RunState},
        step::Step,
    },
    store::{
        StoreError,
        approvals::Approval,
        attempts, events,
        queue::{self, Claim, Claimed},
        runbooks::Version,
    },
};

/// What a worker plans from.
pub(super) struct View {
    pub claim: Claim,
    /// Acts of people this view has seen.
    pub acts: i64,
    pub version: Arc<Version>,
    pub requester: Option<OperatorId>,
    pub state: RunState,
    pub findings: BTreeMap<StepId, Finding>,
    /// The newest fact, to tell a wait that was told already.
    pub last_fact: Option<RunFact>,
    /// Approvals that were read; what they are bound to never changes.
    pub approvals: HashMap<ApprovalId, Arc<Approval>>,
    context: Arc<Value>,
    bare: Value,
}

impl View {
    /// Reads the logs of claimed runs, all together.
    pub async fn load(engine: &Engine, claimed: Vec<Claimed>) -> Result<Vec<Self>, StoreError> {
        let mut conn = engine.pool.acquire().await?;
        let runs: Vec<RunId> = claimed.iter().map(|run| run.claim.run).collect();
        let mut logs = events::run_logs(&mut conn, &runs).await?;
        let mut views = Vec::with_capacity(claimed.len());
        for run in claimed {
            let log = logs.remove(&run.claim.run).unwrap_or_default();
            let version = engine.version(&mut conn, run.version).await?;
            let setting = Setting {
                inputs: &run.inputs,
                alert: &run.context,
                run: run.claim.run,
                incident: run.claim.incident,
                title: &run.title,
                severity: run.severity,
            };
            let mut view = Self {
                claim: run.claim,
                acts: run.acts,
                version,
                requester: run.requested_by,
                state: RunState::default(),
                findings: BTreeMap::new(),
                last_fact: None,
                approvals: HashMap::new(),
                context: Arc::default(),
                bare: setting.context(),
            };
            view.read(&mut conn, log).await?;
            views.push(view);
        }
        Ok(views)
    }

    /// Reads everything anew: a person acted, or nobody knows whether the last write was stored.
    pub async fn reload(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let mut conn = engine.pool.acquire().await?;
        // Acts first: an act between the two reads is then found by the next write.
        self.acts = queue::acts(&mut conn, self.claim).await?;
        let log = events::run_log(&mut conn, self.claim.run).await?;
        self.read(&mut conn, log).await
    }

    async fn read(
        &mut self,
        conn: &mut PgConnection,
        log: Vec<(DateTime<Utc>, RunFact)>,
    ) -> Result<(), StoreError> {
        self.state = RunState::fold(log.iter().map(|(at, fact)| (*at, fact)))
            .map_err(|error| StoreError::corrupt("events", "body", error))?;
        let carried = log.iter().filter_map(|(_, fact)| match fact {
            RunFact::StepCarried { step, from } => Some((*from, step.clone())),
            _ => None,
        });
        let mut wanted: HashMap<RunId, Vec<StepId>> = HashMap::new();
        for (from, step) in carried {
            wanted.entry(from).or_default().push(step);
        }
        // A run that has sent nothing has found nothing.
        if !self.state.first_started.is_empty() {
            wanted.entry(self.claim.run).or_default();
        }
        self.findings.clear();
        if !wanted.is_empty() {
            let runs: Vec<RunId> = wanted.keys().copied().collect();
            for ((run, step), found) in attempts::findings(conn, &runs).await? {
                if run == self.claim.run || wanted.get(&run).is_some_and(|steps| steps.contains(&step)) {
                    self.findings.insert(step, found);
                }
            }
        }
        let mut context = self.bare.clone();
        learn_all(&mut context, &self.findings);
        self.context = Arc::new(context);
        self.last_fact = log.into_iter().next_back().map(|(_, fact)| fact);
        Ok(())
    }

    /// Folds in a fact that is about to be written.
    pub fn apply(&mut self, at: DateTime<Utc>, fact: &RunFact) -> Result<(), IllegalMove> {
        self.state.apply(at, fact)?;
        self.last_fact = Some(fact.clone());
        Ok(())
    }

    /// Takes in what a step found.
    pub fn learn(&mut self, step: &StepId, found: Finding) {
        learn(Arc::make_mut(&mut self.context), step, &found);
        self.findings.insert(step.clone(), found);
    }

    /// What expressions of this step can read.
    pub fn context(&self, step: &StepId) -> Arc<Value> {
        read_by(&self.context, &self.state, step)
    }

    /// What expressions of any step can read.
    pub fn known(&self) -> &Arc<Value> {
        &self.context
    }

    /// The step of that name in the pinned version, and what it does.
    pub fn find(&self, id: &StepId) -> Result<Found<'_>, StoreError> {
        self.version
            .runbook
            .find(id)
            .ok_or_else(|| StoreError::corrupt("events", "step", id))
    }

    /// What a person reads above a step.
    pub fn title(&self, step: &Step, context: &Value) -> String {
        step.title_in(context)
    }
}
