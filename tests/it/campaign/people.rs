//! The people on call: they approve most of what is asked, do what is to be done by hand, stop a run now and then, and
//! decide what nobody knows, by chance. A notebook keeps what they allowed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use muster::{
    clock::Clock,
    domain::{
        approval::Verdict,
        id::{RunId, StepId},
        operator::{Operator, Role},
        run::UnknownChoice,
        state::{RunState, StepState},
    },
    execute::people::{self, PeopleError},
    store::{
        approvals::{self, Approval},
        events, operators,
    },
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::{World, chance::Chance};
use crate::support::{database::Database, word::word};

/// How often they look.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Approvals they look at in one go.
const PENDING_MAX: i64 = 100;

/// What people did, written down before it is committed and struck out when it was not.
#[derive(Default)]
pub struct Notebook {
    /// How often each step of a run may be sent again.
    pub repeats: BTreeMap<(i64, String), usize>,
    /// When the first approval of each run was given, at the earliest.
    pub approved: BTreeMap<i64, DateTime<Utc>>,
    pub stopped: BTreeSet<i64>,
    pub approvals: usize,
    pub rejections: usize,
    pub marked_done: usize,
    pub marked_not_done: usize,
    pub checked_again: usize,
    pub by_hand: usize,
}

impl Notebook {
    pub fn repeats_of(&self, run: i64, step: &str) -> usize {
        self.repeats
            .get(&(run, step.to_owned()))
            .copied()
            .unwrap_or_default()
    }
}

/// Adds a person who may decide.
pub async fn approver(database: &Database) -> Operator {
    let mut conn = database.pools.background.acquire().await.unwrap();
    let now = Clock::real().now();
    let id = operators::insert(&mut conn, "ana", "none", Role::Approver, now)
        .await
        .unwrap()
        .unwrap();
    Operator {
        teams: Vec::new(),
        via: muster::domain::operator::Via::Session,
        id,
        name: "ana".to_owned(),
        role: Role::Approver,
    }
}

/// Looks and decides until `stop`. What cannot be decided now, because a worker was faster or a dead one's lock is
/// still there, is met again.
pub async fn play(world: Arc<World>, ana: Operator, stop: CancellationToken) {
    let mut person = Person {
        chance: Chance::of(world.scale.seed, "people"),
        clock: Clock::real(),
        world,
        ana,
    };
    while !stop.is_cancelled() {
        let _: Result<(), PeopleError> = person.look().await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct Person {
    world: Arc<World>,
    ana: Operator,
    chance: Chance,
    clock: Clock,
}

impl Person {
    async fn look(&mut self) -> Result<(), PeopleError> {
        let world = self.world.clone();
        let pool = &world.database.pools.web;
        let mut conn = pool.acquire().await.map_err(muster::store::StoreError::from)?;
        for approval in approvals::list_pending(&mut conn, None, PENDING_MAX).await? {
            let _ = self.decide(&approval).await;
        }
        let asking: Vec<i64> = sqlx::query_scalar(
            "select distinct e.run_id from events e join run_queue q on q.run_id = e.run_id
             where e.kind in ('outcome_unknown', 'manual_asked')",
        )
        .fetch_all(&mut *conn)
        .await
        .map_err(muster::store::StoreError::from)?;
        for run in asking.into_iter().map(RunId) {
            self.help(&mut conn, run).await?;
        }
        let live: Vec<i64> = sqlx::query_scalar("select run_id from run_queue order by run_id")
            .fetch_all(&mut *conn)
            .await
            .map_err(muster::store::StoreError::from)?;
        for run in live {
            let is_unwanted = Chance::of(self.world.scale.seed, ("unwanted", run)).percent(3);
            let is_stopped = self.world.notebook.lock().unwrap().stopped.contains(&run);
            if is_unwanted && !is_stopped && self.chance.percent(4) {
                let _ = self.stop(run).await;
            }
        }
        Ok(())
    }

    async fn decide(&mut self, approval: &Approval) -> Result<(), PeopleError> {
        let verdict = match self.chance.percent(94) {
            true => Verdict::Approve,
            false => Verdict::Reject,
        };
        let now = self.clock.now();
        let mut tx = self.begin().await?;
        let (id, digest) = (approval.id, approval.digest);
        people::decide(&mut tx, id, &word(verdict, digest, "because"), &self.ana, now).await?;
        // Noted before the commit: what follows from it cannot come before the note.
        {
            let mut notes = self.world.notebook.lock().unwrap();
            match verdict {
                Verdict::Approve => {
                    notes.approvals += 1;
                    notes.approved.entry(approval.run.0).or_insert(now);
                }
                Verdict::Reject => notes.rejections += 1,
            }
        }
        commit(tx).await
    }

    /// Does what a run waits for a person to do.
    async fn help(&mut self, conn: &mut PgConnection, run: RunId) -> Result<(), PeopleError> {
        let facts = events::run_log(conn, run).await?;
        let Ok(state) = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact))) else {
            // The checker says so; here it would only end the people's work.
            return Ok(());
        };
        for (step, state) in &state.steps {
            let _ = match state {
                StepState::ManualOpen { .. } => self.do_by_hand(run, step).await,
                // Mostly they let the probe speak first.
                StepState::Unknown { probed, .. } if *probed || self.chance.percent(10) => {
                    self.settle(run, step).await
                }
                _ => continue,
            };
        }
        Ok(())
    }

    async fn do_by_hand(&mut self, run: RunId, step: &StepId) -> Result<(), PeopleError> {
        let mut tx = self.begin().await?;
        people::manual_done(&mut tx, run, step, "done", &self.ana, self.clock.now()).await?;
        commit(tx).await?;
        self.world.notebook.lock().unwrap().by_hand += 1;
        Ok(())
    }

    async fn settle(&mut self, run: RunId, step: &StepId) -> Result<(), PeopleError> {
        let choice = self.chance.weighted(&[
            (50, UnknownChoice::RetrySameKey),
            (22, UnknownChoice::MarkDone),
            (16, UnknownChoice::MarkNotDone),
            (12, UnknownChoice::RunCheck),
        ]);
        let mut tx = self.begin().await?;
        let now = self.clock.now();
        people::decide_unknown(&mut tx, run, step, choice, "looked at it", &self.ana, now).await?;
        let place = (run.0, step.0.clone());
        if choice == UnknownChoice::RetrySameKey {
            let mut notes = self.world.notebook.lock().unwrap();
            *notes.repeats.entry(place.clone()).or_default() += 1;
        }
        let committed = commit(tx).await;
        let mut notes = self.world.notebook.lock().unwrap();
        match (choice, &committed) {
            (UnknownChoice::RetrySameKey, Err(_)) => {
                if let Some(allowed) = notes.repeats.get_mut(&place) {
                    *allowed -= 1;
                }
            }
            (UnknownChoice::MarkDone, Ok(())) => notes.marked_done += 1,
            (UnknownChoice::MarkNotDone, Ok(())) => notes.marked_not_done += 1,
            (UnknownChoice::RunCheck, Ok(())) => notes.checked_again += 1,
            _ => {}
        }
        committed
    }

    async fn stop(&mut self, run: i64) -> Result<(), PeopleError> {
        let mut tx = self.begin().await?;
        people::stop(&mut tx, RunId(run), "not wanted", &self.ana, self.clock.now()).await?;
        commit(tx).await?;
        self.world.notebook.lock().unwrap().stopped.insert(run);
        Ok(())
    }

    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, PeopleError> {
        let begun = self.world.database.pools.web.begin().await;
        Ok(begun.map_err(muster::store::StoreError::from)?)
    }
}

async fn commit(tx: sqlx::Transaction<'static, sqlx::Postgres>) -> Result<(), PeopleError> {
    Ok(tx.commit().await.map_err(muster::store::StoreError::from)?)
}
