//! What arrives together ends as if it had come one by one: the same bodies, in one transaction or in one each, leave the
//! same alerts, episodes and incidents behind, also when a maintenance window or a threshold holds some of them.

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    domain::{
        alert::{AlertReport, AlertStatus},
        labels::Labels,
        operator::{Operator, Role},
        routing::AskedRule,
    },
    execute::routing,
    intake::Delivery,
    pipeline::{self, Post},
    store::{
        deliveries::{Headers, NewDelivery},
        operators,
        sources::{self, Source},
    },
};
use sqlx::{Connection, PgConnection, Row};

use crate::support::intake::{Intake, unflapping};

const CASES: u64 = 80;
const BODIES: usize = 14;
const ALERTS: usize = 5;
const GROUPS: usize = 2;
/// What holds alerts of a case, by their label `held_by`.
const MODES: [&str; 4] = ["nothing", "window", "threshold", "both"];

/// One body, and when it arrived.
#[derive(Clone, Debug)]
struct Body {
    received_at: DateTime<Utc>,
    group: Delivery,
}

/// Alerts of a few that fire, fire again, moved their start, are over, were over long ago; now and then late or cut.
fn bodies(rng: &mut fastrand::Rng, mode: &str, epoch: DateTime<Utc>) -> Vec<Body> {
    let at = |second: u64| epoch + TimeDelta::seconds(second as i64);
    (0..BODIES)
        .map(|n| {
            let named: Vec<usize> = (0..ALERTS).filter(|_| rng.bool()).collect();
            let mut alerts: Vec<AlertReport> = named
                .into_iter()
                .map(|alert| {
                    let name = format!("A{alert}");
                    let labels = Labels::from([("alertname", name.as_str()), ("held_by", mode)]);
                    let start = rng.u64(0..12);
                    let is_over = rng.bool();
                    AlertReport {
                        fingerprint: labels.fingerprint(),
                        status: match is_over {
                            true => AlertStatus::Resolved,
                            false => AlertStatus::Firing,
                        },
                        annotations: Labels::from([("summary", n.to_string().as_str())]),
                        labels,
                        starts_at: at(start),
                        ends_at: is_over.then(|| at(start + rng.u64(0..8))),
                        lease_until: None,
                        generator_url: String::new(),
                    }
                })
                .collect();
            alerts.sort_by_key(|alert| alert.fingerprint);
            let late = if rng.u8(0..8) == 0 { 3 } else { 0 };
            Body {
                received_at: at((20 + n as u64).saturating_sub(late)),
                group: Delivery {
                    receiver: "r".to_owned(),
                    group_key: format!("g{}", rng.usize(0..GROUPS)),
                    truncated: if rng.u8(0..20) == 0 { 2 } else { 0 },
                    alerts,
                },
            }
        })
        .collect()
}

async fn source(conn: &mut PgConnection, name: &str, now: DateTime<Utc>) -> Source {
    sources::upsert(conn, name, None, now).await.unwrap();
    sources::find_by_name(conn, name).await.unwrap().unwrap()
}

/// A window for two alerts and a threshold for all, each for the cases that are held by it.
async fn rules(conn: &mut PgConnection, now: DateTime<Utc>) {
    let id = operators::insert(conn, "ana", "hash", Role::Approver, now)
        .await
        .unwrap()
        .unwrap();
    let ana = Operator {
        teams: Vec::new(),
        via: muster::domain::operator::Via::Session,
        id,
        name: "ana".to_owned(),
        role: Role::Approver,
    };
    let window = AskedRule {
        kind: "maintenance".to_owned(),
        title: "Window".to_owned(),
        matchers: "held_by=~\"window|both\", alertname=~\"A0|A1\"".to_owned(),
        ends_at: Some(now + TimeDelta::minutes(30)),
        ..AskedRule::default()
    };
    let threshold = AskedRule {
        kind: "threshold".to_owned(),
        title: "Threshold".to_owned(),
        matchers: "held_by=~\"threshold|both\"".to_owned(),
        count: Some(3),
        within: "10m".to_owned(),
        ..AskedRule::default()
    };
    let mut tx = conn.begin().await.unwrap();
    for rule in [window, threshold] {
        routing::make(&mut tx, &rule, "", "a test", &ana, now)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

async fn receive(conn: &mut PgConnection, source: &Source, bodies: &[Body], now: DateTime<Utc>) {
    let headers = Headers::new();
    let posts: Vec<Post<'_>> = bodies
        .iter()
        .map(|body| Post {
            source,
            raw: NewDelivery {
                remote: "192.0.2.1",
                user_agent: "a test",
                format: "alertmanager",
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

/// Everything that is left behind for a source, without numbers that others share.
async fn left(conn: &mut PgConnection, source: &Source) -> (Vec<String>, Vec<String>) {
    let texts = |rows: Vec<sqlx::postgres::PgRow>| rows.iter().map(|row| row.get::<String, _>(0)).collect();
    let alerts = sqlx::query(
        "select concat_ws(' ', a.title, a.annotations, a.last_received_at, e.starts_at, e.ends_at, e.last_start,
                          e.refire_due is not null, a.latest_episode_id = e.id, dense_rank() over (order by e.incident_id),
                          e.incident_id is null, h.counts, h.due, h.truncated)
         from alerts a left join episodes e on e.alert_id = a.id
         left join held h on h.episode_id = e.id
         where a.source_id = $1 order by a.title, e.id",
    )
    .bind(source.id.0)
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let incidents = sqlx::query(
        "select concat_ws(' ', i.group_key, i.state, i.recover_due, i.recovered_at, i.truncated_alerts, i.detected_at,
                          (select count(*) = i.next_seq - 1 from events e where e.incident_id = i.id))
         from incidents i where i.source_id = $1 order by i.id",
    )
    .bind(source.id.0)
    .fetch_all(conn)
    .await
    .unwrap();
    (texts(alerts), texts(incidents))
}

async fn count(conn: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn together_or_one_by_one_the_end_is_the_same() {
    let intake = Intake::new().await;
    let now = intake.clock.now();
    let mut conn = intake.database.pools.background.acquire().await.unwrap();
    rules(&mut conn, now).await;
    let (mut held, mut routed) = (0, 0);
    for seed in 0..CASES {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mode = MODES[seed as usize % MODES.len()];
        let bodies = bodies(&mut rng, mode, now - TimeDelta::minutes(1));
        let (alone, together, parts) = (
            source(&mut conn, &format!("alone-{seed}"), now).await,
            source(&mut conn, &format!("together-{seed}"), now).await,
            source(&mut conn, &format!("parts-{seed}"), now).await,
        );
        for body in &bodies {
            receive(&mut conn, &alone, std::slice::from_ref(body), now).await;
        }
        receive(&mut conn, &together, &bodies, now).await;
        for part in bodies.chunks(rng.usize(2..6)) {
            receive(&mut conn, &parts, part, now).await;
        }
        let expected = left(&mut conn, &alone).await;
        assert_eq!(
            left(&mut conn, &together).await,
            expected,
            "seed {seed}: {bodies:#?}"
        );
        assert_eq!(
            left(&mut conn, &parts).await,
            expected,
            "seed {seed} in parts: {bodies:#?}"
        );

        // What is held is let go the same way: by the window, and then by the threshold.
        held += count(&mut conn, "select count(*) from held where due is not null").await;
        for hours in [1, 2] {
            let later = now + TimeDelta::hours(hours);
            while pipeline::let_held_go(&mut conn, &[], &unflapping(), 100, later)
                .await
                .unwrap()
                > 0
            {}
        }
        routed += count(
            &mut conn,
            "select count(*) from episodes where held_by is not null and incident_id is not null",
        )
        .await;
        assert_eq!(
            count(&mut conn, "select count(*) from held where due is not null").await,
            0
        );
        let expected = left(&mut conn, &alone).await;
        for other in [&together, &parts] {
            assert_eq!(
                left(&mut conn, other).await,
                expected,
                "seed {seed}, let go: {bodies:#?}"
            );
        }

        // All of it once more changes nothing but the time of arrival.
        receive(&mut conn, &alone, &bodies, now).await;
        let again = left(&mut conn, &alone).await;
        // An alert that was held and is over may fire again in an older body, and then be counted.
        if mode == MODES[0] {
            assert_eq!(again.1.len(), expected.1.len(), "seed {seed}: no new incident");
        }
    }
    assert!(held > 0 && routed > 0, "{held} held, {routed} let go");
}
