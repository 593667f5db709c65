//! The killer: a seeded random victim at a seeded random moment, killed or made to stand still, and started again.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use sqlx::Row;

use super::{
    World,
    chance::Chance,
    quick,
    replicas::{Replicas, Standing},
    shapes,
};

/// How closely the killer looks at its watch.
const TICK: Duration = Duration::from_millis(20);
/// The longest a process stands still: others have its runs after 13 s, if there are others.
const STANDS_MAX: Duration = Duration::from_secs(17);
/// From when on the lease of a process that stands still has run out.
const LEASE_OVER: Duration = Duration::from_millis(10_100);
/// At most so long after its runs were taken it goes on.
const LATER: Duration = Duration::from_millis(600);
/// After it was let go on, a process may do for this long what it would do.
const SPARED: Duration = Duration::from_secs(4);

/// After how many kills a long campaign says how far it is.
const TELL_EVERY: usize = 50;

/// What the killer did, and what it hit.
#[derive(Default)]
pub struct Toll {
    pub kills: usize,
    pub stops: usize,
    /// Moments from which on no process was awake.
    pub none_awake: usize,
    /// Runs that a killed process was working on.
    pub runs_cut: usize,
    /// Attempts of killed processes that were out, as run, step and number.
    pub attempts_cut: Vec<(i64, String, i32)>,
    /// Runs that a stopped process was working on.
    pub runs_frozen: usize,
    /// New versions of runbooks.
    pub versions: usize,
    pub violations: Vec<String>,
}

/// Kills until there are enough kills.
pub async fn rage(world: &World, replicas: &mut Replicas, past: &mut quick::Past) -> Toll {
    let mut killer = Killer {
        chance: Chance::of(world.scale.seed, "killer"),
        numbers: [1; shapes::SHAPES.len()],
        toll: Toll::default(),
        world,
        replicas,
    };
    let mut strike = Instant::now() + Duration::from_secs(2);
    let mut edit = strike;
    while killer.toll.kills < world.scale.kills {
        tokio::time::sleep(TICK).await;
        killer.keep_up().await;
        if Instant::now() >= edit {
            killer.edit();
            edit = Instant::now() + killer.chance.millis(2000..7000);
        }
        if Instant::now() >= strike {
            let before = killer.toll.kills;
            killer.strike().await;
            if killer.toll.kills > before {
                let found = past.look(world).await;
                killer.toll.violations.extend(found);
            }
            if killer.toll.kills / TELL_EVERY > before / TELL_EVERY {
                killer.tell().await;
            }
            strike = Instant::now() + killer.chance.millis(world.scale.every.clone());
        }
    }
    // Whoever stands still does so to the end.
    while killer.someone_stands() {
        tokio::time::sleep(TICK).await;
        killer.keep_up().await;
    }
    killer.toll
}

/// Starts everything that is dead.
pub fn revive(replicas: &mut Replicas) {
    for index in 0..replicas.all.len() {
        if replicas.all[index].is_dead() {
            replicas.start(index);
        }
    }
}

struct Killer<'a> {
    world: &'a World,
    replicas: &'a mut Replicas,
    chance: Chance,
    /// The newest number of each runbook.
    numbers: [usize; shapes::SHAPES.len()],
    toll: Toll,
}

impl Killer<'_> {
    /// Does what is due to the processes. One that stands still goes on soon after others have taken its runs: then it
    /// finds them in the middle of what it was doing itself.
    async fn keep_up(&mut self) {
        self.toll.violations.extend(self.replicas.ended_by_themselves());
        let now = Instant::now();
        for index in 0..self.replicas.all.len() {
            let replica = &self.replicas.all[index];
            if replica.is_dead() && replica.restart <= now {
                self.replicas.start(index);
                continue;
            }
            let Some(standing) = replica.standing else {
                continue;
            };
            if standing.until <= now {
                self.replicas.go_on(index, SPARED);
            } else if standing.since + LEASE_OVER <= now && standing.until > now + LATER {
                let held = self.held_by(&self.replicas.all[index].who()).await;
                if held == 0 {
                    let soon = Instant::now() + self.chance.millis(0..LATER.as_millis() as u64);
                    self.replicas.all[index].standing = Some(Standing {
                        until: soon,
                        ..standing
                    });
                }
            }
        }
    }

    fn someone_stands(&self) -> bool {
        let mut all = self.replicas.all.iter();
        all.any(|replica| replica.standing.is_some())
    }

    async fn tell(&self) {
        let ended = self
            .world
            .database
            .count("select count(*) from runs where result is not null")
            .await;
        let Toll {
            kills, violations, ..
        } = &self.toll;
        println!(
            "{kills} kills, {ended} runs have ended, {} violations",
            violations.len()
        );
    }

    /// Publishes a new version of some runbook.
    fn edit(&mut self) {
        let which = self.chance.below(shapes::SHAPES.len());
        self.numbers[which] += 1;
        self.toll.versions += 1;
        shapes::write(&self.world.runbooks, shapes::SHAPES[which].1, self.numbers[which]);
    }

    /// Strikes once: a stop when one is due, everything at once when that is due, else one process.
    async fn strike(&mut self) {
        let now = Instant::now();
        let running: Vec<usize> = (0..self.replicas.all.len())
            .filter(|index| {
                let replica = &self.replicas.all[*index];
                replica.is_running() && replica.spared_until <= now
            })
            .collect();
        if running.is_empty() {
            return;
        }
        let scale = &self.world.scale;
        // Each kind has its share of the strikes, beginning early.
        let due = |wanted: usize| 1 + self.toll.kills * wanted / scale.kills;
        if self.toll.kills > 0
            && self.toll.stops < due(scale.stops).min(scale.stops)
            && !self.someone_stands()
        {
            self.stop(&running).await;
        } else if self.toll.kills > 2 && self.toll.none_awake < due(scale.blackouts).min(scale.blackouts) {
            for index in running {
                self.kill(index).await;
            }
        } else {
            let victim = *self.chance.one_of(&running);
            self.kill(victim).await;
        }
    }

    async fn kill(&mut self, index: usize) {
        let who = self.replicas.all[index].who();
        let pause = self.chance.millis(self.world.scale.pauses.clone());
        self.replicas.kill(index, pause);
        self.toll.kills += 1;
        self.world.kills.store(self.toll.kills, Ordering::SeqCst);
        if !self.replicas.all.iter().any(|replica| replica.is_running()) {
            self.toll.none_awake += 1;
        }
        self.toll.runs_cut += self.held_by(&who).await;
        let out = sqlx::query(
            "select a.run_id, a.step, a.attempt from attempts a
             join run_queue q on q.run_id = a.run_id and q.fence = a.fence and q.state = 1
             join replicas p on p.id = q.owner
             where a.state = 'started' and p.who = $1",
        )
        .bind(&who)
        .fetch_all(&self.world.database.pools.background)
        .await
        .unwrap();
        self.toll.attempts_cut.extend(
            out.iter()
                .map(|row| (row.get("run_id"), row.get("step"), row.get("attempt"))),
        );
        if !self.world.scale.is_full {
            // A dead process renews nothing; what is left of its lease need not be waited for.
            sqlx::query("update replicas set lease_until = now() - interval '2 seconds' where who = $1")
                .bind(&who)
                .execute(&self.world.database.pools.background)
                .await
                .unwrap();
        }
    }

    /// Makes the busiest process stand still for longer than its lease, so that others take its runs.
    async fn stop(&mut self, running: &[usize]) {
        let mut busiest = (0, running[0]);
        for index in running {
            let held = self.held_by(&self.replicas.all[*index].who()).await;
            busiest = busiest.max((held, *index));
        }
        let (_, index) = busiest;
        self.replicas.stop(index, STANDS_MAX);
        self.toll.stops += 1;
        self.toll.runs_frozen += self.held_by(&self.replicas.all[index].who()).await;
    }

    async fn held_by(&self, who: &str) -> usize {
        let held: i64 = sqlx::query_scalar(
            "select count(*) from run_queue q join replicas p on p.id = q.owner where q.state = 1 and p.who = $1",
        )
        .bind(who)
        .fetch_one(&self.world.database.pools.background)
        .await
        .unwrap();
        held as usize
    }
}
