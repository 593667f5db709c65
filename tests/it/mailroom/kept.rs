//! How much of deliveries is kept, and what is kept beside the bodies.

use axum::{body::Body, http::Request};
use muster::store::delivery_sizes;

use super::firing;
use crate::support::intake::{Intake, TOKEN};

const BYTES: &str = "select coalesce(sum(length(body)), 0)::bigint from deliveries";
const COUNTED: &str = "select sum(bytes)::bigint from delivery_sizes";

async fn filled(deliveries: usize) -> Intake {
    let intake = Intake::new().await;
    intake.source("team", None).await;
    for n in 0..deliveries {
        intake.clock.advance(std::time::Duration::from_secs(1));
        intake.post("team", firing(&format!("Alert{n:02}"))).await;
    }
    intake
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many_bytes_and_no_more_than_must() {
    let mut intake = filled(10).await;
    intake.post("team", "{").await;
    let all = intake.database.count(BYTES).await;
    assert_eq!(intake.database.count(COUNTED).await, all, "rejected ones count");
    let each = firing("Alert00").len() as i64;
    assert_eq!(all, 10 * each + 1);

    intake.upkeep.deliveries_bytes_max = all as u64;
    intake.upkeep.keep_within_size().await.unwrap();
    assert_eq!(
        intake.database.count("select count(*) from deliveries").await,
        11,
        "what fits stays"
    );
    assert_eq!(
        intake.database.count("select count(*) from delivery_sizes").await,
        1,
        "folded"
    );

    // One byte too many costs one delivery, and two and a half costs three.
    intake.upkeep.deliveries_bytes_max = (all - 1) as u64;
    intake.upkeep.keep_within_size().await.unwrap();
    assert_eq!(intake.database.count("select count(*) from deliveries").await, 10);
    intake.upkeep.deliveries_bytes_max = (all - each - each * 5 / 2) as u64;
    intake.upkeep.keep_within_size().await.unwrap();
    assert_eq!(intake.database.count("select count(*) from deliveries").await, 7);
    let oldest = "select count(*) from deliveries where convert_from(body, 'UTF8') ~ 'Alert0[0-3]'";
    assert_eq!(intake.database.count(oldest).await, 0, "the oldest went");
    assert_eq!(
        intake.database.count(COUNTED).await,
        intake.database.count(BYTES).await
    );
    intake.upkeep.keep_within_size().await.unwrap();
    assert_eq!(
        intake.database.count("select count(*) from deliveries").await,
        7,
        "it stops"
    );
}

#[tokio::test]
async fn age_is_counted_too_and_batches_add_up() {
    let intake = filled(6).await;
    let mut conn = intake.database.pools.web.acquire().await.unwrap();
    let forgotten = delivery_sizes::forget(&mut conn, i64::MAX, 2).await.unwrap();
    assert_eq!(forgotten.rows, 2, "a batch is a batch");
    assert_eq!(forgotten.bytes, 2 * firing("Alert00").len() as i64);
    intake.clock.advance(std::time::Duration::from_secs(7200));
    intake.upkeep.prune().await.unwrap();
    assert_eq!(intake.database.count("select count(*) from deliveries").await, 0);
    assert_eq!(delivery_sizes::fold(&mut conn).await.unwrap(), 0);
}

#[tokio::test]
async fn a_delivery_keeps_its_format_its_headers_and_what_it_led_to() {
    let intake = filled(0).await;
    let request = Request::post("/api/v1/sources/team/grafana")
        .header("authorization", format!("Bearer {TOKEN}-team"))
        .header("content-type", "application/json")
        .header("traceparent", "00-1")
        .body(Body::from(firing("A")))
        .unwrap();
    intake.send(request).await;
    let kept = "select count(*) from deliveries d join incidents i on d.incidents = array[i.id]
                where format = 'grafana'
                  and headers = '{\"content-type\": \"application/json\", \"traceparent\": \"00-1\"}'";
    assert_eq!(intake.database.count(kept).await, 1);
}
