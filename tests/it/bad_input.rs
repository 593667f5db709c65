//! What the intake says to bodies it cannot use, to senders it does not know and while its database is away; and that
//! each of them is seen afterwards.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use data_encoding::BASE64;
use futures_util::{future::join_all, stream};
use muster::{
    clock::Clock,
    domain::{digest::Digest, id::DeliveryId},
    store::{
        deliveries::{self, DeliveryRow},
        pool::{PoolSizes, Pools},
        sources,
    },
    web::hooks::HookLimits,
};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;

use crate::{
    fleet::ports,
    support::intake::{self, Intake, TOKEN},
};

const PATH: &str = "/api/v1/sources/team/alertmanager";

async fn team() -> Intake {
    let intake = Intake::new().await;
    intake.source("team", None).await;
    intake
}

fn body(status: &str, labels: Value) -> String {
    json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
        "status": status, "labels": labels, "startsAt": "2026-11-21T02:00:00Z",
        "endsAt": if status == "resolved" { "2026-11-21T02:30:00Z" } else { "0001-01-01T00:00:00Z" },
    }]})
    .to_string()
}

fn firing() -> String {
    body("firing", json!({"alertname": "Broken"}))
}

/// The rejected deliveries, the newest first.
async fn rejected(intake: &Intake) -> Vec<DeliveryRow> {
    let mut conn = intake.database.pools.web.acquire().await.unwrap();
    deliveries::list(&mut conn, true, i64::MAX, 100).await.unwrap()
}

async fn kept_body(intake: &Intake, row: &DeliveryRow) -> Vec<u8> {
    let mut conn = intake.database.pools.web.acquire().await.unwrap();
    let body = deliveries::find_body(&mut conn, DeliveryId(row.id)).await;
    body.unwrap().unwrap()
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap()
}

/// A body that tells whether anybody looked at it.
fn watched() -> (Body, Arc<AtomicBool>) {
    let was_read = Arc::new(AtomicBool::new(false));
    let told = was_read.clone();
    let pieces = stream::poll_fn(move |_| {
        told.store(true, Ordering::SeqCst);
        std::task::Poll::Ready(None::<Result<Vec<u8>, Infallible>>)
    });
    (Body::from_stream(pieces), was_read)
}

fn to(path: &str, auth: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("authorization", auth)
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_line_and_column_and_kept() {
    let intake = team().await;
    let sent = "{\"alerts\": [\n  {,}\n]}";
    let (status, answer) = intake.post("team", sent).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(message(&answer).contains("line 2, column 4"), "{answer}");

    let rows = rejected(&intake).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].reason, message(&answer));
    assert_eq!(rows[0].source.as_deref(), Some("team"));
    assert_eq!(kept_body(&intake, &rows[0]).await, sent.as_bytes());
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_refused_whole_with_the_path_of_the_field() {
    let intake = team().await;
    let mut sent: Value = serde_json::from_str(&firing()).unwrap();
    let mut second = sent["alerts"][0].clone();
    second["labels"]["level"] = json!(7);
    sent["alerts"].as_array_mut().unwrap().push(second);
    let (status, answer) = intake.post("team", sent.to_string()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(message(&answer).contains("alerts[1].labels.level"), "{answer}");
    assert_eq!(intake.database.count("select count(*) from alerts").await, 0);

    let rows = rejected(&intake).await;
    assert_eq!(rows[0].reason, message(&answer));
    assert_eq!(kept_body(&intake, &rows[0]).await, sent.to_string().as_bytes());
}

#[tokio::test]
async fn a_fault_at_a_name_that_postgres_refuses_is_still_kept() {
    let intake = team().await;
    let (status, answer) = intake.post("team", body("firing", json!({"a\0b": 7}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert!(message(&answer).contains("alerts[0].labels.a␀b"), "{answer}");
    assert_eq!(rejected(&intake).await[0].reason, message(&answer));
}

#[tokio::test]
async fn a_wrong_token_and_an_unknown_source_get_the_same_answer_and_are_counted_by_the_minute() {
    let intake = team().await;
    intake.source("other", None).await;
    let mut answers = Vec::new();
    for (source, auth) in [
        ("team", "Bearer wrong".to_owned()),
        ("team", format!("Bearer {TOKEN}-other")),
        ("team", "Bearer".to_owned()),
        ("team", "Basic not-base64".to_owned()),
        ("nobody", format!("Bearer {TOKEN}-team")),
        ("no%00body", format!("Bearer {TOKEN}-team")),
    ] {
        let (body, was_read) = watched();
        let path = format!("/api/v1/sources/{source}/alertmanager");
        let answer = intake.send(to(&path, &auth, body)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{source} {auth}");
        assert!(
            !was_read.load(Ordering::SeqCst),
            "the body was read: {source} {auth}"
        );
        assert!(answer.headers.contains_key("www-authenticate"));
        answers.push(answer.body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    intake.clock.advance(Duration::from_secs(60));
    intake.post_with("team", "Bearer wrong", "").await;

    let counted = |row: &DeliveryRow| (row.source.clone(), row.repeats, row.body_bytes);
    let rows: Vec<_> = rejected(&intake).await.iter().map(counted).collect();
    let team = Some("team".to_owned());
    assert_eq!(rows, [(team.clone(), 1, 0), (None, 2, 0), (team, 4, 0)]);
}

#[tokio::test]
async fn basic_auth_takes_any_user_and_a_password_of_any_letters() {
    let intake = team().await;
    let password = "pässwörd:mit:Doppelpunkten-🔑";
    let mut conn = intake.database.pools.web.acquire().await.unwrap();
    let team = sources::find_by_name(&mut conn, "team").await.unwrap().unwrap();
    let token = Digest::of_bytes(password.as_bytes());
    sources::insert_token(&mut conn, team.id, token, intake.clock.now())
        .await
        .unwrap();
    drop(conn);
    let auth = |password: &str| format!("bAsIc {}", BASE64.encode(format!("any:{password}").as_bytes()));
    let (status, answer) = intake.post_with("team", &auth(password), firing()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (status, _) = intake.post_with("team", &auth("passwort"), firing()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_body_one_byte_too_long_is_refused_and_seen() {
    let intake = Intake::with_limits(HookLimits {
        body_bytes_max: 1000,
        ..HookLimits::default()
    })
    .await;
    intake.source("team", None).await;
    let longest = format!("{:<1000}", firing());
    let (status, answer) = intake.post("team", longest.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let pieces: Vec<Result<String, Infallible>> = vec![Ok(longest), Ok(" ".to_owned())];
    // Twice: with its length told, and in pieces without.
    for sent in [
        Body::from(format!("{:<1001}", firing())),
        Body::from_stream(stream::iter(pieces)),
    ] {
        let (status, answer) = intake.post("team", sent).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(message(&answer).contains("longer than 1000 bytes"), "{answer}");
    }
    let rows = rejected(&intake).await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].reason.contains("longer than 1000 bytes"));
    assert_eq!((rows[0].source.as_deref(), rows[0].repeats), (Some("team"), 2));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_asked_for_again() {
    let intake = Intake::with_limits(HookLimits {
        body_timeout: Duration::from_millis(50),
        ..HookLimits::default()
    })
    .await;
    intake.source("team", None).await;
    let never = Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>());
    let answer = intake
        .send(to(PATH, &format!("Bearer {TOKEN}-team"), never))
        .await;
    // A sender takes every 4xx as final and would drop the alert.
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(message(&answer.body).contains("did not arrive in time"));
}

#[tokio::test]
async fn a_final_slash_makes_no_difference_and_only_post_is_taken() {
    let intake = team().await;
    let auth = format!("Bearer {TOKEN}-team");
    let answer = intake.send(to(&format!("{PATH}/"), &auth, firing())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(intake.database.count("select count(*) from incidents").await, 1);
    let mut asked = to(PATH, &auth, "");
    *asked.method_mut() = Method::GET;
    let answer = intake.send(asked).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "POST");
}

#[tokio::test]
async fn a_dead_database_is_told_soon_and_the_sender_asked_to_come_again() {
    let nowhere = PgConnectOptions::new()
        .host("127.0.0.1")
        .port(ports::free().unwrap())
        .username("postgres")
        .database("postgres");
    let pools = Pools::new(&nowhere, &PoolSizes::default());
    let router = intake::routes(pools.intake, Clock::real(), HookLimits::default());
    let began = Instant::now();
    let answer = intake::send(&router, to(PATH, "Bearer any", firing())).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "5");
    assert!(message(&answer.body).contains("send it again"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_label_that_postgres_refuses_is_stored_visibly_and_the_body_as_it_came() {
    let intake = team().await;
    let sent = body("firing", json!({"alertname": "Bro\0ken", "na\0me": "x"}));
    let (status, answer) = intake.post("team", sent.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let labels: Value = sqlx::query_scalar("select labels from alerts")
        .fetch_one(&intake.database.pools.web)
        .await
        .unwrap();
    assert_eq!(labels, json!({"alertname": "Bro␀ken", "na␀me": "x"}));
    let raw: Vec<u8> = sqlx::query_scalar("select body from deliveries")
        .fetch_one(&intake.database.pools.web)
        .await
        .unwrap();
    assert_eq!(raw, sent.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_body_on_eight_connections_at_once_is_one_incident() {
    let intake = team().await;
    let answers = join_all((0..8).map(|_| intake.post("team", firing()))).await;
    for (status, answer) in answers {
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    for (table, wanted) in [
        ("select count(*) from deliveries", 8),
        ("select count(*) from incidents", 1),
        ("select count(*) from alerts", 1),
        ("select count(*) from episodes", 1),
    ] {
        assert_eq!(intake.database.count(table).await, wanted, "{table}");
    }
}

/// All orders of two firing and two resolving bodies; true means firing.
fn orders() -> Vec<Vec<bool>> {
    (0u8..16)
        .filter(|bits| bits.count_ones() == 2)
        .map(|bits| (0..4).map(|at| bits & (1 << at) != 0).collect())
        .collect()
}

#[tokio::test]
async fn an_alert_whose_bodies_come_in_any_order_ends_the_same_once_its_last_word_is_in() {
    let orders = orders();
    assert_eq!(orders.len(), 6);
    for order in orders {
        let intake = team().await;
        let last = [false];
        for is_firing in order.iter().chain(&last) {
            let status = if *is_firing { "firing" } else { "resolved" };
            let (answered, answer) = intake
                .post("team", body(status, json!({"alertname": "Broken"})))
                .await;
            assert_eq!(answered, StatusCode::OK, "{order:?} {answer}");
            intake.clock.advance(Duration::from_millis(1));
        }
        intake.pass(Duration::from_secs(600)).await;
        for (sql, wanted) in [
            ("select count(*) from incidents", 1),
            (
                "select count(*) from incidents where recovered_at = '2026-11-21T02:30:00Z'",
                1,
            ),
            ("select count(*) from episodes", 1),
            (
                "select count(*) from episodes where ends_at = '2026-11-21T02:30:00Z'",
                1,
            ),
        ] {
            assert_eq!(intake.database.count(sql).await, wanted, "{order:?}: {sql}");
        }
    }
}
