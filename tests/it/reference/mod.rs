//! Any interleaving of firing, resolved, repeated and stale bodies of five alerts from two senders, with the clock moving
//! and timers firing between them, ends in the state that the rules give. The rules are written twice: in the program,
//! and in [`model`].

mod bodies;
mod model;
mod pure;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    pipeline::{self, Post},
    store::{
        deliveries::{Headers, NewDelivery},
        sources::{self, Source},
    },
};
use sqlx::{PgConnection, Row};

use self::{
    bodies::{Body, Senders},
    model::Model,
};
use crate::support::intake::{Intake, unflapping};

/// How many cases share a database and a clock: so few that what is due at a time fits into one turn of the timers, as in
/// life, where they turn every second.
const CASES_A_WORLD: u64 = 20;
const WORLDS: u64 = 10;
const STEPS: usize = 20;
/// How far the clock may move between two bodies, in seconds: within and beyond every limit there is.
const MOVES_S: [u64; 9] = [0, 1, 3, 10, 40, 61, 130, 310, 700];

/// How many cases the normal run has, or `MUSTER_REFERENCE_CASES`.
fn cases(normally: u64) -> u64 {
    let told = std::env::var("MUSTER_REFERENCE_CASES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(normally)
}

fn seconds(at: Option<DateTime<Utc>>) -> String {
    at.map_or("-".to_owned(), |at| at.timestamp().to_string())
}

#[allow(clippy::too_many_arguments, reason = "a line is made of all there is")]
fn incident_line(
    group: &str,
    state: &str,
    recover_at: Option<DateTime<Utc>>,
    last_end: Option<DateTime<Utc>>,
    came_back: i64,
    hidden: i32,
    seen_from: DateTime<Utc>,
    mut members: Vec<String>,
) -> String {
    members.sort();
    format!(
        "incident {group} {state} recovers {} ended {} back {came_back} hidden {hidden} from {} [{}]",
        seconds(recover_at),
        seconds(last_end),
        seen_from.timestamp(),
        members.join(", ")
    )
}

fn period_line(
    alert: &str,
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    doubted_until: Option<DateTime<Utc>>,
    old_until: Option<DateTime<Utc>>,
    lease: Option<DateTime<Utc>>,
    is_latest: bool,
) -> String {
    format!(
        "{alert} {}..{} doubted {} old {} lease {}{}",
        start.timestamp(),
        seconds(end),
        seconds(doubted_until),
        seconds(old_until),
        seconds(lease),
        if is_latest { " latest" } else { "" }
    )
}

/// What is stored, by source, in the words of the model.
async fn stored(conn: &mut PgConnection) -> BTreeMap<i64, Vec<String>> {
    let mut members: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let episodes = sqlx::query(
        "select e.incident_id, a.title, e.starts_at, e.ends_at, e.refire_due, e.last_start, e.lease_until,
                a.latest_episode_id = e.id
         from episodes e join alerts a on a.id = e.alert_id",
    );
    for row in episodes.fetch_all(&mut *conn).await.unwrap() {
        let line = period_line(
            row.get(1),
            row.get(2),
            row.get(3),
            row.get(4),
            row.get(5),
            row.get(6),
            row.get(7),
        );
        members.entry(row.get(0)).or_default().push(line);
    }
    let mut sources: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let incidents = sqlx::query(
        "select source_id, id, group_key, state, recover_due, recovered_at, reopened::bigint, truncated_alerts, detected_at
         from incidents",
    );
    for row in incidents.fetch_all(&mut *conn).await.unwrap() {
        let line = incident_line(
            row.get(2),
            row.get(3),
            row.get(4),
            row.get(5),
            row.get(6),
            row.get(7),
            row.get(8),
            members.remove(&row.get(1)).unwrap_or_default(),
        );
        sources.entry(row.get(0)).or_default().push(line);
    }
    let alerts = sqlx::query("select source_id, title, last_received_at from alerts");
    for row in alerts.fetch_all(conn).await.unwrap() {
        let (source, title, at): (i64, String, DateTime<Utc>) = (row.get(0), row.get(1), row.get(2));
        let line = format!("heard {title} {}", at.timestamp());
        sources.entry(source).or_default().push(line);
    }
    for lines in sources.values_mut() {
        lines.sort();
    }
    sources
}

/// A source, those who speak through it, and what the rules make of that.
struct Case {
    seed: u64,
    source: Source,
    senders: Senders,
    model: Model,
    story: Vec<String>,
}

/// Two sources of one seed in every fourth case: the same alerts by other senders are other alerts.
async fn begin(conn: &mut PgConnection, seeds: std::ops::Range<u64>, now: DateTime<Utc>) -> Vec<Case> {
    let mut cases = Vec::new();
    for seed in seeds {
        for part in 0..if seed % 4 == 0 { 2 } else { 1 } {
            let name = format!("case-{seed}-{part}");
            sources::upsert(conn, &name, None, now).await.unwrap();
            cases.push(Case {
                seed,
                source: sources::find_by_name(conn, &name).await.unwrap().unwrap(),
                senders: Senders::new(seed * 2 + part),
                model: Model::default(),
                story: Vec::new(),
            });
        }
    }
    cases
}

async fn receive(conn: &mut PgConnection, bodies: &[(&Source, Body)], now: DateTime<Utc>) {
    let headers = Headers::new();
    let posts: Vec<Post<'_>> = bodies
        .iter()
        .map(|(source, body)| Post {
            source,
            raw: NewDelivery {
                format: "alertmanager",
                remote: "192.0.2.1",
                user_agent: "a test",
                headers: &headers,
                body: b"{}",
                received_at: body.received_at,
                replay_of: None,
                is_test: false,
            },
            groups: std::slice::from_ref(&body.group),
            remark: "",
        })
        .collect();
    pipeline::receive(conn, &posts, &[], &unflapping(), now)
        .await
        .unwrap();
}

async fn run(world: u64) {
    let mut intake = Intake::new().await;
    // Senders have had their time to report again.
    intake.upkeep.patience = unflapping();
    intake.upkeep.listening_since = intake.clock.now() - TimeDelta::hours(1);
    let mut rng = fastrand::Rng::with_seed(world);
    let mut conn = intake.database.pools.background.acquire().await.unwrap();
    let first = world * CASES_A_WORLD;
    let mut cases = begin(&mut conn, first..first + CASES_A_WORLD, intake.clock.now()).await;
    for step in 0..STEPS {
        let move_s = *rng.choice(&MOVES_S).unwrap();
        let is_tick = rng.u8(0..4) > 0;
        intake.clock.advance(Duration::from_secs(move_s));
        let now = intake.clock.now();
        if is_tick {
            intake.pass(Duration::ZERO).await;
        }
        let mut bodies = Vec::new();
        for case in &mut cases {
            if is_tick {
                case.model.tick(now);
                case.story.push(format!("{} the timers", now.timestamp()));
            }
            if let Some(body) = case.senders.next(now) {
                case.model.hear(&body.group, body.received_at, now);
                case.story.push(format!("{} {body:?}", now.timestamp()));
                bodies.push((&case.source, body));
            }
        }
        receive(&mut conn, &bodies, now).await;
        let mut stored = stored(&mut conn).await;
        for case in &cases {
            assert_eq!(
                stored.remove(&case.source.id.0).unwrap_or_default(),
                case.model.lines(),
                "stored, and by the rules; seed {} after step {step}:\n{}",
                case.seed,
                case.story.join("\n")
            );
        }
    }
}

#[tokio::test]
async fn whatever_senders_say_ends_as_the_rules_have_it() {
    for world in 0..cases(WORLDS * CASES_A_WORLD).div_ceil(CASES_A_WORLD) {
        run(world).await;
    }
}
