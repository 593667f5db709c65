//! One look at a drill: what its world, its log and its clock lead to now.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    DrillError, INCIDENTS_MAX, acts,
    conductor::Went,
    happen::{self, Stage},
    report, unworkable,
};
use crate::{
    domain::{
        drill::{Depth, DrillFact, EndKind, Logged, has_begun_steady},
        incident::IncidentState,
        labels::Labels,
        scenario::{Happening, Inject},
        simulation::{Rules, Simulation, Told},
        span::Span,
        template::{Scene, Template},
    },
    store::{
        drills::{self, Drill},
        incidents,
    },
};

/// How long a drill goes on once its incidents are over: the last words are part of it.
const AFTER_END: Span = Span::from_secs(10);
/// How soon somebody must play a game day that has begun.
const TAKEN_WITHIN: Span = Span::from_secs(60);

/// One look at one drill.
pub(super) struct Look<'a> {
    pub stage: Stage<'a>,
    pub rules: Arc<Rules>,
    pub age: Span,
    pub log: Vec<Logged>,
    pub told: Told,
    pub drill: Drill,
    pub world: Simulation,
    pub now: DateTime<Utc>,
}

impl Look<'_> {
    /// Lets happen what is to happen now.
    pub async fn look(mut self, conn: &mut PgConnection) -> Result<Went, DrillError> {
        for logged in &self.log {
            if let DrillFact::InjectSent { inject, .. } = &logged.fact {
                self.told.injects.insert(inject.clone(), true);
            }
        }
        if self.drill.depth == Depth::GameDay && !has_begun_steady(&self.log) {
            return self.before_the_first_fault(conn).await;
        }
        let finished = self.finished_at(conn).await?;
        if let Some((why, reason)) = self.end(conn, finished).await? {
            acts::end(conn, self.drill.id, why, &reason, None, self.now).await?;
            return Ok(Went::Over);
        }
        let scene = self.world.scene_with(&self.told);
        let has_happened = self.harm(conn).await?
            | self.alarms(conn).await?
            | self.surprises(conn, &scene).await?
            | self.ends_of_surprises(conn).await?;
        Ok(match has_happened {
            true => Went::Happened,
            false => Went::Quiet {
                until: finished.into_iter().chain(self.next_by_clock()).min(),
            },
        })
    }

    /// When the clock alone lets something happen next.
    fn next_by_clock(&self) -> Option<DateTime<Utc>> {
        let clock = self.drill.clock.as_ref()?;
        let scenario = &self.rules.scenario;
        let injects = scenario.injects.iter().filter_map(|inject| inject.after);
        let ends = self.lasting().map(|(_, _, _, ends)| ends);
        let all = injects.chain(ends).chain([scenario.longest()]);
        all.filter(|age| *age > self.age).min().map(|age| clock.when(age))
    }

    /// In a game day nothing happens before it was seen to be steady.
    async fn before_the_first_fault(&self, conn: &mut PgConnection) -> Result<Went, DrillError> {
        if self.age < TAKEN_WITHIN {
            return Ok(Went::Quiet { until: None });
        }
        let reason = "no Muster has measured anything: game days are played where --game-day-host is set";
        acts::end(conn, self.drill.id, EndKind::NotSteady, reason, None, self.now).await?;
        Ok(Went::Over)
    }

    /// Why it is over, if it is.
    async fn end(
        &self,
        conn: &mut PgConnection,
        finished: Option<DateTime<Utc>>,
    ) -> Result<Option<(EndKind, String)>, DrillError> {
        if let Some((incident, title)) = incidents::find_open_sev1(conn).await? {
            return Ok(Some((
                EndKind::RealIncident,
                format!("INC-{incident} ({title}) is real and SEV1"),
            )));
        }
        let scene = self.world.scene_with(&self.told);
        match self.rules.stop(&scene) {
            Ok(Some(index)) => {
                let because = self
                    .rules
                    .scenario
                    .stops
                    .get(index)
                    .map(|stop| stop.because.clone());
                return Ok(Some((EndKind::Rule, because.unwrap_or_default())));
            }
            Ok(None) => {}
            Err(error) => {
                return Ok(Some((
                    EndKind::Fault,
                    format!("a stop rule cannot be worked out: {error}"),
                )));
            }
        }
        if self.age >= self.rules.scenario.longest() {
            let longest = self.rules.scenario.longest();
            return Ok(Some((EndKind::TooLong, format!("it went on for {longest}"))));
        }
        let is_finished = finished.is_some_and(|at| at <= self.now);
        Ok(is_finished.then(|| (EndKind::Finished, String::new())))
    }

    /// When it is finished, if nothing is left to happen: every incident is over, no alert fires, no harm is done, and no
    /// surprise is still to come by the clock.
    async fn finished_at(&self, conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, DrillError> {
        let of_drill = drills::incidents(conn, self.drill.id, INCIDENTS_MAX).await?;
        if of_drill.is_empty() || self.world.firing().contains(&true) {
            return Ok(None);
        }
        if self.rules.is_mitigated(self.world.scene()).map_err(unworkable)? == Some(false) {
            return Ok(None);
        }
        let is_pending = |inject: &Inject| {
            inject
                .after
                .is_some_and(|after| after <= self.rules.scenario.length)
                && !self.is_used(&inject.id)
        };
        if self.rules.scenario.injects.iter().any(is_pending) {
            return Ok(None);
        }
        let mut last = None;
        for id in of_drill {
            let Some(incident) = incidents::find(conn, id).await? else {
                continue;
            };
            let is_over = matches!(
                incident.state,
                IncidentState::Resolved | IncidentState::Closed | IncidentState::Merged
            );
            let since = incident.resolved_at.unwrap_or(incident.opened_at);
            if !is_over {
                return Ok(None);
            }
            last = last.max(Some(since));
        }
        Ok(last.map(|last| last + AFTER_END.as_delta()))
    }

    fn is_used(&self, inject: &str) -> bool {
        self.log.iter().any(|logged| {
            matches!(&logged.fact,
                DrillFact::InjectSent { inject: used, .. } | DrillFact::InjectSkipped { inject: used } if used == inject)
        })
    }

    async fn note(&self, conn: &mut PgConnection, facts: &[DrillFact]) -> Result<(), DrillError> {
        Ok(drills::append(conn, self.drill.id, self.age, None, facts, self.now).await?)
    }

    /// Whether the harm began or ended.
    async fn harm(&self, conn: &mut PgConnection) -> Result<bool, DrillError> {
        let Some(works) = self.rules.is_mitigated(self.world.scene()).map_err(unworkable)? else {
            return Ok(false);
        };
        let before = self.log.iter().rev().find_map(|logged| match logged.fact {
            DrillFact::Harm { works } => Some(works),
            _ => None,
        });
        if works == before.unwrap_or(true) {
            return Ok(false);
        }
        self.note(conn, &[DrillFact::Harm { works }]).await?;
        Ok(true)
    }

    /// Alerts that begin or end.
    async fn alarms(&self, conn: &mut PgConnection) -> Result<bool, DrillError> {
        let alarms = &self.rules.scenario.alarms;
        let mut began: BTreeMap<usize, Option<DateTime<Utc>>> = BTreeMap::new();
        for logged in &self.log {
            match logged.fact {
                DrillFact::AlertFired { alarm } => _ = began.insert(alarm, Some(logged.at)),
                DrillFact::AlertResolved { alarm } => _ = began.insert(alarm, None),
                _ => {}
            }
        }
        let mut facts = Vec::new();
        let mut reported = Vec::new();
        for (alarm, fires) in self.world.firing().into_iter().enumerate() {
            let since = began.get(&alarm).copied().flatten();
            match (since, fires) {
                (None, true) => facts.push(DrillFact::AlertFired { alarm }),
                (Some(_), false) => facts.push(DrillFact::AlertResolved { alarm }),
                _ => {}
            }
            if since.is_some() || fires {
                let Some(known) = alarms.get(alarm) else { continue };
                reported.push(report::Alert {
                    labels: known.labels.clone(),
                    annotations: self.annotations(&known.annotations)?,
                    began: since.unwrap_or(self.now),
                    is_over: !fires,
                });
            }
        }
        if facts.is_empty() {
            return Ok(false);
        }
        self.note(conn, &facts).await?;
        report::send(conn, &self.stage, &self.drill, "alerts", &reported, self.now).await?;
        Ok(true)
    }

    fn annotations(&self, written: &[(String, Template)]) -> Result<Labels, DrillError> {
        let state = serde_json::Value::Object(self.world.state().clone());
        let filled = written
            .iter()
            .map(|(name, text)| Ok((name.clone(), text.render(&state).map_err(unworkable)?)));
        Ok(Labels(filled.collect::<Result<_, DrillError>>()?))
    }

    /// Surprises whose time or condition has come.
    async fn surprises(&self, conn: &mut PgConnection, scene: &Scene) -> Result<bool, DrillError> {
        let mut has_happened = false;
        for (index, inject) in self.rules.scenario.injects.iter().enumerate() {
            let by_clock = inject.after.is_some_and(|after| after <= self.age);
            let by_condition = match inject.after {
                // A clock that is not due yet is not overtaken by a condition.
                Some(after) if after > self.age => false,
                _ => self.rules.inject_is_due(index, scene).map_err(unworkable)?,
            };
            if (by_clock || by_condition) && !self.is_used(&inject.id) {
                happen::inject(
                    conn,
                    &self.stage,
                    &self.drill,
                    &self.world,
                    &inject.id,
                    None,
                    self.now,
                )
                .await?;
                has_happened = true;
            }
        }
        Ok(has_happened)
    }

    /// What surprises began for a time and has not ended: which, what of it, and when that ends.
    fn lasting(&self) -> impl Iterator<Item = (&Logged, &Inject, &Happening, Span)> {
        let sent = self.log.iter().filter_map(|logged| match &logged.fact {
            DrillFact::InjectSent { inject, .. } => Some((logged, self.rules.scenario.inject(inject)?)),
            _ => None,
        });
        sent.flat_map(move |(logged, inject)| {
            inject.then.iter().filter_map(move |happening| {
                let (lasting, is_told) = match happening {
                    Happening::Connector { target, lasting, .. } => (*lasting, self.is_back(logged, target)),
                    Happening::Alert { lasting, .. } => (*lasting, self.is_resolved(&inject.id)),
                    _ => return None,
                };
                let ends = Span::from_millis(logged.age.as_millis() + lasting.as_millis());
                (!is_told).then_some((logged, inject, happening, ends))
            })
        })
    }

    async fn ends_of_surprises(&self, conn: &mut PgConnection) -> Result<bool, DrillError> {
        let mut has_happened = false;
        for (sent, inject, happening, ends) in self.lasting() {
            if ends <= self.age {
                let (drill, stage) = (&self.drill, &self.stage);
                happen::inject_over(conn, stage, drill, sent, happening, &inject.id, self.now).await?;
                has_happened = true;
            }
        }
        Ok(has_happened)
    }

    fn is_back(&self, sent: &Logged, target: &str) -> bool {
        let later = self.log.iter().filter(|logged| logged.seq > sent.seq);
        later.into_iter().any(
            |logged| matches!(&logged.fact, DrillFact::ConnectorBack { target: back, .. } if back == target),
        )
    }

    fn is_resolved(&self, inject: &str) -> bool {
        self.log
            .iter()
            .any(|logged| matches!(&logged.fact, DrillFact::InjectResolved { of } if of == inject))
    }
}
