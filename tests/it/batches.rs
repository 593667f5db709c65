//! What arrives together ends as if it had come one by one: the same bodies, in one transaction or in one each, leave the
//! same alerts, episodes and incidents behind.

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    domain::{
        alert::{AlertReport, AlertStatus},
        labels::Labels,
    },
    intake::Delivery,
    pipeline::{self, Patience, Post},
    store::{
        deliveries::{Headers, NewDelivery},
        sources::{self, Source},
    },
};
use sqlx::{PgConnection, Row};

use crate::support::intake::Intake;

const CASES: u64 = 40;
const BODIES: usize = 14;
const ALERTS: usize = 5;
const GROUPS: usize = 2;

/// One body, and when it arrived.
#[derive(Clone, Debug)]
struct Body {
    received_at: DateTime<Utc>,
    group: Delivery,
}

/// Alerts of a few that fire, fire again, moved their start, are over, were over long ago; now and then late or cut.
fn bodies(rng: &mut fastrand::Rng, epoch: DateTime<Utc>) -> Vec<Body> {
    let at = |second: u64| epoch + TimeDelta::seconds(second as i64);
    (0..BODIES)
        .map(|n| {
            let named: Vec<usize> = (0..ALERTS).filter(|_| rng.bool()).collect();
            let mut alerts: Vec<AlertReport> = named
                .into_iter()
                .map(|alert| {
                    let labels = Labels::from([("alertname", format!("A{alert}").as_str())]);
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
    pipeline::receive(conn, &posts, &[], &Patience::default(), now)
        .await
        .unwrap();
}

/// Everything that is left behind for a source, without numbers that others share.
async fn left(conn: &mut PgConnection, source: &Source) -> (Vec<String>, Vec<String>) {
    let texts = |rows: Vec<sqlx::postgres::PgRow>| rows.iter().map(|row| row.get::<String, _>(0)).collect();
    let alerts = sqlx::query(
        "select concat_ws(' ', a.title, a.annotations, a.last_received_at, e.starts_at, e.ends_at, e.last_start,
                          e.refire_due is not null, a.latest_episode_id = e.id, dense_rank() over (order by e.incident_id))
         from alerts a left join episodes e on e.alert_id = a.id
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

#[tokio::test]
async fn together_or_one_by_one_the_end_is_the_same() {
    let intake = Intake::new().await;
    let now = intake.clock.now();
    let mut conn = intake.database.pools.background.acquire().await.unwrap();
    for seed in 0..CASES {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bodies = bodies(&mut rng, now - TimeDelta::minutes(1));
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

        // All of it once more changes nothing but the time of arrival.
        receive(&mut conn, &alone, &bodies, now).await;
        let again = left(&mut conn, &alone).await;
        assert_eq!(again.1.len(), expected.1.len(), "seed {seed}: no new incident");
    }
}
