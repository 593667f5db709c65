//! The conductor: lets things happen in the drills that go on. It takes no input but the database, on any replica; a drill is
//! held by one of them at a time, and everything a look leads to is written with the look.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    DrillError, acts,
    happen::{self, Stage},
    report, score, unworkable,
};
use crate::{
    clock::Clock,
    domain::{
        drill::{Depth, DrillFact, DrillState, EndKind, Logged, has_begun_steady},
        event::Recorded,
        id::{DrillId, IncidentId},
        incident::IncidentState,
        labels::Labels,
        scenario::Happening,
        score::{observe, take_in},
        simulation::{Rules, Simulation, Told},
        span::Span,
        template::Scene,
    },
    pipeline::Patience,
    simulate::{Simulator, WorldError},
    store::{
        drills::{self, Drill},
        events, incidents,
        runbooks::Version,
        wake::Wake,
    },
};

/// How often a drill that goes on is looked at.
const LOOK: Span = Span::from_secs(1);
/// Drills looked at in one pass.
const PASS_MAX: usize = 50;
/// How long a drill goes on while who leads it is gone and others play.
const LEADER_AWAY: Span = Span::from_secs(60);
/// How long after its time a drill may still begin; later nobody expects it any more.
const LATE_MAX: Span = Span::from_secs(30 * 60);
/// How long a drill goes on once its incidents are over: the last words are part of it.
const AFTER_END: Span = Span::from_secs(10);
/// Drills of which is kept what was heard; those that another replica has ended are forgotten by and by.
const HEARD_MAX: usize = 64;
/// How soon somebody must play a game day that has begun.
const TAKEN_WITHIN: Span = Span::from_secs(60);
/// Events read at once.
const PAGE: i64 = 1000;
/// Incidents of a drill.
const INCIDENTS_MAX: i64 = 50;

/// Lets things happen. Clones share what they remember.
#[derive(Clone)]
pub struct Conductor {
    /// Connections.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Tells others that something changed.
    pub wake: Wake,
    /// The worlds.
    pub simulator: Simulator,
    /// The runbooks that matching uses; `None` until they are known.
    pub shelf: watch::Receiver<Option<Arc<Vec<Version>>>>,
    /// How long Muster waits before it believes.
    pub patience: Patience,
    memory: Arc<Mutex<BTreeMap<DrillId, Heard>>>,
}

/// What has been heard of a drill, so that its log and the timelines of its incidents are read once.
#[derive(Clone, Debug)]
struct Heard {
    told: Told,
    seqs: BTreeMap<IncidentId, i64>,
    log: Vec<Logged>,
}

/// What one look at a drill led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// Something happened.
    Happened,
    /// Nothing did.
    Quiet,
    /// It is over.
    Over,
}

impl Conductor {
    /// One that remembers nothing yet.
    pub fn new(
        pool: PgPool,
        clock: Clock,
        wake: Wake,
        simulator: Simulator,
        shelf: watch::Receiver<Option<Arc<Vec<Version>>>>,
        patience: Patience,
    ) -> Self {
        Self {
            pool,
            clock,
            wake,
            simulator,
            shelf,
            patience,
            memory: Arc::default(),
        }
    }

    /// Looks again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            for _ in 0..PASS_MAX {
                match self.pass().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a drill could not be looked at; it will be again"
                        );
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep(LOOK.as_duration()) => {}
            }
        }
    }

    /// Looks at one drill that is due, if there is one; whether there was.
    pub async fn pass(&self) -> Result<bool, DrillError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let Some(id) = drills::lock_due(&mut tx, now).await? else {
            return Ok(false);
        };
        let went = self.look(&mut tx, id, now).await?;
        if went != Went::Over {
            drills::set_due(&mut tx, id, now + LOOK.as_delta()).await?;
        }
        tx.commit().await?;
        self.after(id, went);
        Ok(true)
    }

    /// Looks at this drill, whether it is due or not.
    pub async fn look_at(&self, id: DrillId) -> Result<Went, DrillError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        drills::lock(&mut tx, id).await?;
        let went = self.look(&mut tx, id, now).await?;
        tx.commit().await?;
        self.after(id, went);
        Ok(went)
    }

    /// Until when nothing happens by itself in a drill, looking no further ahead than that.
    pub async fn quiet_until(&self, id: DrillId, ahead: DateTime<Utc>) -> Result<DateTime<Utc>, DrillError> {
        let mut conn = self.pool.acquire().await?;
        let Some(drill) = drills::find(&mut conn, id).await? else {
            return Ok(ahead);
        };
        let Some(clock) = drill.clock else {
            return Ok(ahead);
        };
        let mut world = self.simulator.world(&mut conn, id).await?;
        let rules = self.simulator.rules(&mut conn, id).await?;
        drop(conn);
        let before = signs(&rules, &world)?;
        let (now, end) = (clock.age(self.clock.now()), clock.age(ahead));
        let clocked = rules.scenario.injects.iter().filter_map(|inject| inject.after);
        let next_inject = clocked.filter(|after| *after > now && *after <= end).min();
        let end = next_inject.unwrap_or(end);
        let mut second = now.as_millis() / 1000 + 1;
        while Span::from_secs(second) <= end {
            // One that cannot go on is found so by the look at that time.
            if world.advance(Span::from_secs(second)).is_err() || signs(&rules, &world)? != before {
                return Ok(clock.when(Span::from_secs(second)));
            }
            second += 1;
        }
        Ok(match next_inject {
            Some(after) => clock.when(after),
            None => ahead,
        })
    }

    fn after(&self, id: DrillId, went: Went) {
        match went {
            Went::Quiet => {}
            Went::Happened => self.wake.changed(),
            Went::Over => {
                self.simulator.close(id);
                self.memory().remove(&id);
                self.wake.changed();
            }
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, BTreeMap<DrillId, Heard>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(
        &self,
        conn: &mut PgConnection,
        id: DrillId,
        now: DateTime<Utc>,
    ) -> Result<Went, DrillError> {
        let Some(drill) = drills::find(conn, id).await? else {
            return Ok(Went::Over);
        };
        match drill.state {
            DrillState::Planned => return begin(conn, &drill, now).await,
            DrillState::Running => {}
            // Nothing happens in one that stands still.
            DrillState::Paused | DrillState::Ended => return Ok(Went::Over),
        }
        if is_left_alone(conn, &drill, now).await? {
            let why = format!("who leads it was at no page for {LEADER_AWAY}");
            acts::pause(conn, id, &why, None, now).await?;
            return Ok(Went::Happened);
        }
        let world = match self.simulator.world(conn, id).await {
            Ok(world) => world,
            Err(WorldError::Fault(fault)) => {
                acts::end(conn, id, EndKind::Fault, &fault.to_string(), None, now).await?;
                return Ok(Went::Over);
            }
            Err(WorldError::Store(error)) => return Err(error.into()),
        };
        let shelf = self.shelf.borrow().clone().unwrap_or_default();
        let heard = self.hear(conn, id).await?;
        let look = Look {
            stage: Stage {
                simulator: &self.simulator,
                shelf: &shelf,
                patience: &self.patience,
            },
            rules: self.simulator.rules(conn, id).await?,
            age: acts::age(&drill, now),
            log: heard.log,
            told: heard.told,
            drill,
            world,
            now,
        };
        look.look(conn).await
    }

    /// Takes in what is new in the log and in the timelines.
    async fn hear(&self, conn: &mut PgConnection, id: DrillId) -> Result<Heard, DrillError> {
        let kept = self.memory().get(&id).cloned();
        let mut heard = match kept {
            Some(heard) => heard,
            None => {
                let rules = self.simulator.rules(conn, id).await?;
                Heard {
                    told: score::untold(conn, &rules).await?,
                    seqs: BTreeMap::new(),
                    log: Vec::new(),
                }
            }
        };
        for incident in drills::incidents(conn, id, INCIDENTS_MAX).await? {
            loop {
                let after = heard.seqs.get(&incident).copied().unwrap_or_default();
                let new: Vec<Recorded> = events::list_after(conn, incident, after, PAGE).await?;
                let Some(last) = new.last() else { break };
                heard.seqs.insert(incident, last.seq);
                for one in observe(&new) {
                    take_in(&mut heard.told, &one.seen);
                }
            }
        }
        let last = heard.log.last().map_or(0, |logged| logged.seq);
        heard.log.extend(happen::log_after(conn, id, last).await?);
        let mut memory = self.memory();
        memory.insert(id, heard.clone());
        if memory.len() > HEARD_MAX {
            memory.pop_first();
        }
        drop(memory);
        Ok(heard)
    }
}

/// Begins a drill whose time has come. While something real is as bad as it gets it waits, and not for ever.
async fn begin(conn: &mut PgConnection, drill: &Drill, now: DateTime<Utc>) -> Result<Went, DrillError> {
    let late = drill.planned_for.map(|planned| now - planned).unwrap_or_default();
    if late >= LATE_MAX.as_delta() {
        let why = format!("it could not begin within {LATE_MAX} of its time");
        acts::end(conn, drill.id, EndKind::Cancelled, &why, None, now).await?;
        return Ok(Went::Over);
    }
    match acts::start(conn, drill.id, None, now).await {
        Ok(()) => Ok(Went::Happened),
        Err(DrillError::Refused(_)) => Ok(Went::Quiet),
        Err(error) => Err(error),
    }
}

/// Whether others play and who leads them has been at a page of Muster and is not any more.
async fn is_left_alone(
    conn: &mut PgConnection,
    drill: &Drill,
    now: DateTime<Utc>,
) -> Result<bool, DrillError> {
    match drill.leader_seen_at {
        Some(seen) if now - seen >= LEADER_AWAY.as_delta() => {
            let players = drills::players(conn, drill.id).await?;
            Ok(players.iter().any(|player| Some(player.id) != drill.trainer))
        }
        _ => Ok(false),
    }
}

/// What of a world makes things happen by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signs {
    firing: Vec<bool>,
    is_mitigated: Option<bool>,
    stop: Option<usize>,
}

fn signs(rules: &Rules, world: &Simulation) -> Result<Signs, DrillError> {
    Ok(Signs {
        firing: world.firing(),
        is_mitigated: rules.is_mitigated(world.scene()).map_err(unworkable)?,
        // Conditions that read more than the world are looked at whenever something else happens.
        stop: rules.stop(world.scene()).unwrap_or(None),
    })
}

/// One look at one drill.
struct Look<'a> {
    stage: Stage<'a>,
    rules: Arc<Rules>,
    age: Span,
    log: Vec<Logged>,
    told: Told,
    drill: Drill,
    world: Simulation,
    now: DateTime<Utc>,
}

impl Look<'_> {
    async fn look(mut self, conn: &mut PgConnection) -> Result<Went, DrillError> {
        for logged in &self.log {
            if let DrillFact::InjectSent { inject, .. } = &logged.fact {
                self.told.injects.insert(inject.clone(), true);
            }
        }
        if self.drill.depth == Depth::GameDay && !has_begun_steady(&self.log) {
            return self.before_the_first_fault(conn).await;
        }
        if let Some((why, reason)) = self.end(conn).await? {
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
            false => Went::Quiet,
        })
    }

    /// In a game day nothing happens before it was seen to be steady.
    async fn before_the_first_fault(&self, conn: &mut PgConnection) -> Result<Went, DrillError> {
        if self.age < TAKEN_WITHIN {
            return Ok(Went::Quiet);
        }
        let reason = "no Muster has measured anything: game days are played where --game-day-host is set";
        acts::end(conn, self.drill.id, EndKind::NotSteady, reason, None, self.now).await?;
        Ok(Went::Over)
    }

    /// Why it is over, if it is.
    async fn end(&self, conn: &mut PgConnection) -> Result<Option<(EndKind, String)>, DrillError> {
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
        match self.is_finished(conn).await? {
            true => Ok(Some((EndKind::Finished, String::new()))),
            false => Ok(None),
        }
    }

    /// Whether there is nothing left to happen: every incident is over, no alert fires, no harm is done, and no surprise
    /// is still to come by the clock.
    async fn is_finished(&self, conn: &mut PgConnection) -> Result<bool, DrillError> {
        let of_drill = drills::incidents(conn, self.drill.id, INCIDENTS_MAX).await?;
        if of_drill.is_empty() || self.world.firing().contains(&true) {
            return Ok(false);
        }
        if self.rules.is_mitigated(self.world.scene()).map_err(unworkable)? == Some(false) {
            return Ok(false);
        }
        let is_pending = |inject: &crate::domain::scenario::Inject| {
            inject
                .after
                .is_some_and(|after| after <= self.rules.scenario.length)
                && !self.is_used(&inject.id)
        };
        if self.rules.scenario.injects.iter().any(is_pending) {
            return Ok(false);
        }
        for id in of_drill {
            let Some(incident) = incidents::find(conn, id).await? else {
                continue;
            };
            let is_over = matches!(
                incident.state,
                IncidentState::Resolved | IncidentState::Closed | IncidentState::Merged
            );
            let since = incident.resolved_at.unwrap_or(incident.opened_at);
            if !is_over || self.now - since < AFTER_END.as_delta() {
                return Ok(false);
            }
        }
        Ok(true)
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

    fn annotations(
        &self,
        written: &[(String, crate::domain::template::Template)],
    ) -> Result<Labels, DrillError> {
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

    /// What surprises began for a time.
    async fn ends_of_surprises(&self, conn: &mut PgConnection) -> Result<bool, DrillError> {
        let mut has_happened = false;
        for sent in &self.log {
            let DrillFact::InjectSent { inject, .. } = &sent.fact else {
                continue;
            };
            let Some(known) = self.rules.scenario.inject(inject) else {
                continue;
            };
            for happening in &known.then {
                let (lasting, is_told): (Span, bool) = match happening {
                    Happening::Connector { target, lasting, .. } => (*lasting, self.is_back(sent, target)),
                    Happening::Alert { lasting, .. } => (*lasting, self.is_resolved(inject)),
                    _ => continue,
                };
                let due = Span::from_millis(sent.age.as_millis() + lasting.as_millis());
                if !is_told && due <= self.age {
                    let (drill, stage) = (&self.drill, &self.stage);
                    happen::inject_over(conn, stage, drill, sent, happening, inject, self.now).await?;
                    has_happened = true;
                }
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
