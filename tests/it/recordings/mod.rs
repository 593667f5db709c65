//! Recorded traffic of real senders, replayed: in order, each request twice, to two processes at once, and in another
//! order where none is promised. Every recording ends in its stated counts, and once more changes nothing.
//!
//! `MUSTER_RECORDINGS=folder cargo test --test it recordings` replays others of the same form.

mod recording;

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use muster::{
    clock::Clock,
    domain::{digest::Digest, span::Span},
    store::sources,
};

use self::recording::{Counts, Recording, Request};
use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{
        database::Database,
        intake::{Intake, TOKEN, upkeep},
        muster::{Muster, Setup, client},
    },
};

/// A timer is seldom later than this.
const TIMERS_EVERY: Duration = Duration::from_secs(5);
/// After it, everything that hangs on the last word has happened.
const SETTLED_AFTER: Duration = Duration::from_secs(130);
/// Between two requests whose times do not matter.
const MOMENT: Duration = Duration::from_millis(1);
const SHUFFLES: u64 = 5;
/// How long a sender of heartbeats may be silent.
const SILENCE: Span = Span::from_secs(600);

/// What the sources whose names begin so have led to.
async fn counts(database: &Database, sources: &str) -> Counts {
    let (opened, open, reopened, firing, resolved) = sqlx::query_as(
        "with mine as (select id from sources where starts_with(name, $1)),
              incident as (select * from incidents where source_id in (select id from mine)),
              period as (select e.* from alerts a join episodes e on e.id = a.latest_episode_id
                         where a.source_id in (select id from mine))
         select (select count(*) from incident),
                (select count(*) from incident where state in ('triggered', 'acknowledged', 'mitigated')),
                (select coalesce(sum(reopened), 0)::bigint from incident),
                (select count(*) from period where ends_at is null),
                (select count(*) from period where ends_at is not null)",
    )
    .bind(sources)
    .fetch_one(&database.pools.web)
    .await
    .unwrap();
    Counts {
        opened,
        open,
        reopened,
        firing,
        resolved,
    }
}

/// Everything that is stored but for the deliveries themselves and when they last came.
async fn digest(database: &Database) -> Vec<String> {
    sqlx::query_scalar(
        "select 'alert ' || (to_jsonb(a) - 'last_received_at')::text from alerts a
         union all select 'episode ' || to_jsonb(e)::text from episodes e
         union all select 'incident ' || to_jsonb(i)::text from incidents i
         union all select 'event ' || to_jsonb(v)::text from events v
         union all select 'run ' || to_jsonb(r)::text from runs r
         order by 1",
    )
    .fetch_all(&database.pools.web)
    .await
    .unwrap()
}

async fn begin(recording: &Recording) -> Intake {
    let start = recording
        .requests
        .iter()
        .map(|request| request.received_at)
        .min()
        .unwrap();
    let intake = Intake::starting_at(start).await;
    for source in recording.sources() {
        intake
            .source(source, recording.is_heartbeat.then_some(SILENCE))
            .await;
    }
    intake
}

/// Lets time pass until then, with timers firing on the way.
async fn go_on(intake: &Intake, until: DateTime<Utc>) {
    while let Ok(left) = (until - intake.clock.now()).to_std()
        && !left.is_zero()
    {
        intake.pass(left.min(TIMERS_EVERY)).await;
    }
}

async fn settle(intake: &Intake) {
    go_on(intake, intake.clock.now() + SETTLED_AFTER).await;
}

async fn post(intake: &Intake, request: &Request) {
    let (status, answer) = intake
        .post_as(&request.source, request.format, request.body.clone())
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// What is said in order, at the times it was said.
async fn replay(intake: &Intake, requests: &[Request], times: usize) {
    for request in requests {
        go_on(intake, request.received_at).await;
        for _ in 0..times {
            post(intake, request).await;
            intake.clock.advance(MOMENT);
        }
    }
    settle(intake).await;
}

/// Its counts are among those stated, if any are.
fn judge(recording: &Recording, how: &str, counts: Counts) {
    println!("{} {how}: {counts:?}", recording.name);
    let is_right = recording.stated.is_empty() || recording.stated.iter().any(|stated| counts.is(*stated));
    assert!(
        is_right,
        "{} {how}: {counts:?}, stated {:?}",
        recording.name, recording.stated
    );
}

#[tokio::test]
async fn in_order_each_ends_as_stated_and_once_more_changes_nothing() {
    for recording in Recording::all() {
        let intake = begin(&recording).await;
        replay(&intake, &recording.requests, 1).await;
        judge(&recording, "in order", counts(&intake.database, "").await);
        let before = digest(&intake.database).await;
        for request in &recording.requests {
            post(&intake, request).await;
            intake.clock.advance(MOMENT);
        }
        settle(&intake).await;
        let after = digest(&intake.database).await;
        let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        assert!(
            before == after,
            "{}: the second pass changed {changed:#?}",
            recording.name
        );
    }
}

#[tokio::test]
async fn every_request_twice_ends_as_every_request_once() {
    for recording in Recording::all() {
        let intake = begin(&recording).await;
        replay(&intake, &recording.requests, 2).await;
        judge(&recording, "doubled", counts(&intake.database, "").await);
    }
}

#[tokio::test]
async fn in_any_order_that_groups_may_arrive_in_each_ends_as_stated() {
    for recording in Recording::all() {
        let seeds = if recording.requests.len() > 2 { SHUFFLES } else { 1 };
        for seed in 0..seeds {
            let intake = begin(&recording).await;
            let last = recording.requests.last().unwrap().received_at;
            for request in recording.shuffled(seed) {
                if recording.has_leases() {
                    go_on(&intake, request.received_at).await;
                }
                post(&intake, &request).await;
                intake.clock.advance(MOMENT);
            }
            go_on(&intake, last).await;
            settle(&intake).await;
            judge(
                &recording,
                &format!("shuffled by {seed}"),
                counts(&intake.database, "").await,
            );
        }
    }
}

/// Two real processes on one database; each request goes to both at the same moment.
#[tokio::test]
async fn two_processes_that_hear_everything_at_once_store_it_once() {
    let (scratch, database, client) = (Scratch::new(), Database::new().await, client());
    // By the clock of the wall, by which leases of back then are over: senders that need none.
    let recordings: Vec<Recording> = Recording::all()
        .into_iter()
        .filter(|recording| !recording.has_leases())
        .collect();
    let named = |recording: &Recording, source: &str| format!("{}-{source}", recording.name);
    let mut conn = database.pools.web.acquire().await.unwrap();
    for recording in &recordings {
        for source in recording.sources() {
            let (source, now) = (named(recording, source), Clock::real().now());
            let silence = recording.is_heartbeat.then_some(SILENCE);
            let id = sources::upsert(&mut conn, &source, silence, now).await.unwrap();
            let token = Digest::of_bytes(format!("{TOKEN}-{source}").as_bytes());
            sources::insert_token(&mut conn, id, token, now).await.unwrap();
        }
    }
    let setups = ["one", "two"].map(|name| {
        let folder = scratch.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        Setup::new(database.url(), &folder)
    });
    let processes = setups.each_ref().map(|setup| setup.start(None));
    for process in &processes {
        wait::until("Muster is ready", Duration::from_secs(60), async || {
            client
                .get(process.url("/readyz"))
                .send()
                .await?
                .error_for_status()?;
            Ok(())
        })
        .await
        .unwrap();
    }
    let mut sent = 0;
    for recording in &recordings {
        for request in &recording.requests {
            let source = named(recording, &request.source);
            let post = async |process: &Muster| {
                let path = format!("/api/v1/sources/{source}/{}", request.format);
                let answer = client
                    .post(process.url(&path))
                    .bearer_auth(format!("{TOKEN}-{source}"))
                    .body(request.body.clone())
                    .send()
                    .await
                    .unwrap();
                // A slow machine may answer that it has it on its disk.
                assert!(
                    answer.status().is_success(),
                    "{}: {}",
                    recording.name,
                    answer.status()
                );
            };
            tokio::join!(post(&processes[0]), post(&processes[1]));
            sent += 2;
            wait::until("both are stored", Duration::from_secs(60), async || {
                let stored = database.count("select count(*) from deliveries").await;
                anyhow::ensure!(stored == sent, "{stored} of {sent}");
                Ok(())
            })
            .await
            .unwrap();
        }
    }
    drop(processes);
    // What their timers would have done in the next minutes.
    let clock = Clock::test(Clock::real().now());
    let upkeep = upkeep(&database, clock.clone());
    for _ in 0..SETTLED_AFTER.as_secs() / 10 {
        clock.advance(Duration::from_secs(10));
        while upkeep.pass().await.unwrap() > 0 {}
    }
    for recording in &recordings {
        let counts = counts(&database, &named(recording, "")).await;
        judge(recording, "to two processes", counts);
    }
}
