//! The checker at the end: the ledger's account, the timelines, the people's notebook and the senders' lists held
//! against each other. It asks the engine nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use muster::{
    domain::{
        digest::Digest,
        event::{Event, Recorded, first_broken_link},
        id::IncidentId,
        run::RunFact,
    },
    store::events,
};
use sqlx::Row;

use super::{
    World,
    alerts::{Group, marks},
    instruments::{self, Holding},
    quick,
    replicas::Line,
    shapes::{self, Place},
    story::RunStory,
    succession,
};
use crate::support::ledger::Entry;

/// The longest timeline a campaign can make.
const TIMELINE_MAX: i64 = 10_000;

/// Everything at the end.
pub struct Evidence {
    pub runs: Vec<RunStory>,
    timelines: BTreeMap<i64, Vec<Recorded>>,
    entries: Vec<Entry>,
}

/// Gathers the evidence.
pub async fn gather(world: &World, diary: &[Line]) -> Evidence {
    let pool = &world.database.pools.background;
    let (leases, moves) = (
        instruments::leases(pool).await,
        instruments::queue_moves(pool).await,
    );
    let mut standstills = succession::standstills(diary, &leases, &moves);
    let mut conn = pool.acquire().await.unwrap();
    let incidents: Vec<i64> = sqlx::query_scalar("select id from incidents order by id")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    let mut timelines = BTreeMap::new();
    let mut facts: BTreeMap<i64, Vec<(DateTime<Utc>, RunFact)>> = BTreeMap::new();
    for incident in incidents {
        let timeline = events::list_after(&mut conn, IncidentId(incident), 0, TIMELINE_MAX)
            .await
            .unwrap();
        for recorded in &timeline {
            if let Event::Run(run, fact) = &recorded.event {
                let of_run = facts.entry(run.0).or_default();
                of_run.push((recorded.recorded_at, fact.clone()));
            }
        }
        timelines.insert(incident, timeline);
    }
    let entries = world.ledger.entries();
    let mut sent: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
    for entry in &entries {
        if let Some(place) = Place::read(&entry.path) {
            sent.entry(place.run).or_default().push(entry.clone());
        }
    }
    let runs = sqlx::query(
        "select r.id, r.result, v.digest, substring(v.source from '/v([0-9]+)\"') as version
         from runs r join runbook_versions v on v.id = r.version_id order by r.id",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap()
    .into_iter()
    .map(|row| {
        let run: i64 = row.get("id");
        RunStory {
            run,
            result: row.get("result"),
            version: row.get::<String, _>("version").parse().unwrap(),
            digest: Digest::from_slice(row.get("digest")).unwrap(),
            facts: facts.remove(&run).unwrap_or_default(),
            sent: sent.remove(&run).unwrap_or_default(),
            standstills: standstills.remove(&run).unwrap_or_default(),
        }
    })
    .collect();
    Evidence {
        runs,
        timelines,
        entries,
    }
}

/// Looks at everything; returns what is wrong.
pub async fn check(world: &World, evidence: &Evidence) -> Vec<String> {
    let mut wrong = quick::too_often(world, &evidence.entries);
    wrong.extend(leftovers(world).await);
    wrong.extend(deliveries(world).await);
    for (incident, timeline) in &evidence.timelines {
        if let Some(seq) = first_broken_link(IncidentId(*incident), timeline) {
            wrong.push(format!("P7: the chain of incident {incident} breaks at {seq}"));
        }
    }
    wrong.extend(keys(evidence));
    for run in &evidence.runs {
        wrong.extend(
            run.check(world)
                .into_iter()
                .map(|what| format!("{what} (run {})", run.run)),
        );
    }
    wrong.extend(locks(world, evidence).await);
    wrong
}

/// What must not be left when everything is over.
async fn leftovers(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for (what, sql) in [
        ("runs are in the queue", "select count(*) from run_queue"),
        ("P6: locks are held", "select count(*) from target_locks"),
        (
            "P3: attempts are open",
            "select count(*) from attempts where state = 'started'",
        ),
        (
            "runs have no result",
            "select count(*) from runs where result is null",
        ),
        (
            "gates still ask",
            "select count(*) from approvals where state = 'pending'",
        ),
        (
            "P2: incidents have not one automatic run",
            "select count(*) from (select i.id from incidents i left join runs r on r.incident_id = i.id
             group by i.id having count(r.id) <> 1) as odd",
        ),
        (
            "P3: attempts and their start in the timeline do not match",
            "select count(*) from attempts a full join
                 (select run_id, body ->> 'step' as step, (body ->> 'attempt')::int as attempt
                  from events where kind = 'step_started') e
             on e.run_id = a.run_id and e.step = a.step and e.attempt = a.attempt
             where a.run_id is null or e.run_id is null",
        ),
    ] {
        let left = world.database.count(sql).await;
        if left > 0 {
            wrong.push(format!("{what}: {left}"));
        }
    }
    wrong
}

/// P1 and P2: what was answered 2xx is there, and each group has the one incident it should have.
async fn deliveries(world: &World) -> Vec<String> {
    let pool = &world.database.pools.background;
    let bodies: Vec<Vec<u8>> = sqlx::query_scalar("select body from deliveries")
        .fetch_all(pool)
        .await
        .unwrap();
    let kept = marks(&bodies);
    let acknowledged: BTreeSet<String> = world.acknowledged.lock().unwrap().iter().cloned().collect();
    let mut wrong: Vec<String> = acknowledged
        .difference(&kept)
        .map(|mark| format!("P1: {mark} was answered 2xx and is not there"))
        .collect();
    let keys: Vec<String> = sqlx::query_scalar("select group_key from incidents order by group_key")
        .fetch_all(pool)
        .await
        .unwrap();
    let mut wanted: Vec<String> = (0..world.scale.runs)
        .map(|number| Group::of(world.scale.seed, number, world.scale.hosts).key())
        .collect();
    wanted.sort();
    if keys != wanted {
        wrong.push(format!(
            "P2: {} incidents for {} groups",
            keys.len(),
            wanted.len()
        ));
    }
    wrong
}

/// A key belongs to one step of one run.
fn keys(evidence: &Evidence) -> Vec<String> {
    let mut owners: BTreeMap<&str, BTreeSet<Place>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in &evidence.entries {
        match Place::read(&entry.path) {
            Some(place) => _ = owners.entry(&entry.key).or_default().insert(place),
            None => wrong.push(format!("the ledger was asked for {}", entry.path)),
        }
    }
    let shared = owners.iter().filter(|(_, places)| places.len() > 1);
    wrong.extend(shared.map(|(key, places)| format!("P4: {key} was used for {places:?}")));
    wrong
}

/// P6, as the outside world sees it: while a run holds a lock no other one touches the thing.
async fn locks(world: &World, evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut of_run: BTreeMap<i64, Holding> = BTreeMap::new();
    for (name, holdings) in instruments::lock_holdings(&world.database.pools.background).await {
        for pair in holdings.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.freed.is_none_or(|freed| freed > second.taken) {
                let (run, holder) = (second.run, first.run);
                wrong.push(format!(
                    "P6: {name} was taken by run {run} while run {holder} held it"
                ));
            }
        }
        of_run.extend(holdings.into_iter().map(|holding| (holding.run, holding)));
    }
    for run in &evidence.runs {
        let needs_lock = run.slug().is_some_and(shapes::locks);
        let has_it = |entry: &Entry| {
            let held = of_run.get(&run.run);
            held.is_some_and(|held| {
                held.taken <= entry.at && held.freed.is_none_or(|freed| entry.at <= freed)
            })
        };
        for entry in run
            .sent
            .iter()
            .filter(|entry| needs_lock && !has_it(entry) && !run.is_late(entry))
        {
            let (run, path) = (run.run, &entry.path);
            wrong.push(format!("P6: run {run} asked for {path} without its lock"));
        }
    }
    wrong
}
