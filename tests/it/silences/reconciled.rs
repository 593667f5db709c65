//! What no body says is settled by asking: a resolve under a silence, an alert that fires on, a list that was cut.

use std::time::Duration;

use muster::{domain::span::Span, outward::Outward};
use serde_json::json;

use super::world::{Bench, LONG};
use crate::fleet::ports;

const FIRES: &str = "select count(*) from episodes where ends_at is null";
const CUT: &str = "select count(*) from incidents where truncated_alerts > 0";
const CUT_AND_OVER: &str = "select count(*) from incidents i where truncated_alerts > 0
    and not exists (select from episodes e where e.incident_id = i.id and e.ends_at is null)";

/// Believes a node that has just begun.
fn trusting(bench: &Bench) -> Outward {
    Outward {
        settled_after: Span::from_millis(0),
        ..bench.outward()
    }
}

#[tokio::test]
async fn a_resolve_under_a_silence_is_found_out_and_the_incident_recovers() {
    let bench = Bench::with_node(0).await;
    let outward = trusting(&bench);
    let labels = json!({"alertname": "Down", "cluster": "a", "instance": "db-1"});
    bench.post(labels.clone(), true).await;
    bench.counts(FIRES, 1).await;
    let body = json!({"matchers": "alertname=\"Down\"", "duration": "2h", "comment": "maintenance"});
    let path = "/api/v1/incidents/1/silences";
    bench.site.post_json(path, &bench.cookie, &body.to_string()).await;
    assert_eq!(outward.pass().await.unwrap(), 1);
    bench.post(labels, false).await;
    bench.lists(0).await;

    assert_eq!(
        outward.ask_all().await.unwrap(),
        0,
        "it was heard of a moment ago"
    );
    bench.clock().advance(LONG);
    // A node that began a moment ago knows nothing: people are told, once, and nothing is over.
    let careful = bench.outward_to(&[bench.nodes[0].port]);
    let careful = Outward {
        listening_since: outward.listening_since,
        ..careful
    };
    assert_eq!(careful.ask_all().await.unwrap(), 1);
    bench.clock().advance(Duration::from_secs(301));
    assert_eq!(careful.ask_all().await.unwrap(), 1);
    assert_eq!(
        bench.told("No news of Down").await,
        1,
        "{:?}",
        bench.story().await
    );
    assert_eq!(bench.told("may not know yet").await, 1);
    let page = bench.site.get("/incidents/1", &bench.cookie).await.text;
    assert!(
        page.contains("No news") && page.contains("It is over"),
        "the page asks"
    );
    let list = bench.site.get("/incidents", &bench.cookie).await.text;
    assert!(
        list.contains("no news of 1 alert: still firing?"),
        "and so does the list"
    );

    bench.clock().advance(Duration::from_secs(301));
    assert_eq!(outward.ask_all().await.unwrap(), 1);
    assert_eq!(bench.told("Alertmanager am no longer lists it").await, 1);
    assert_eq!(bench.state().await, "triggered", "it waits out its hold-down");
    bench.site.intake.pass(Duration::from_secs(61)).await;
    assert_eq!(bench.state().await, "resolved", "{:?}", bench.story().await);
    assert_eq!(outward.ask_all().await.unwrap(), 0);
    bench.end();
}

#[tokio::test]
async fn an_alert_that_is_listed_fires_on_and_one_node_that_is_away_leaves_it_open() {
    let bench = Bench::with_node(0).await;
    let labels = json!({"alertname": "Down", "cluster": "a"});
    bench.post(labels.clone(), true).await;
    bench.counts(FIRES, 1).await;
    let outward = trusting(&bench);
    let half = bench.outward_to(&[bench.nodes[0].port, ports::free().unwrap()]);
    let half = Outward {
        settled_after: Span::from_millis(0),
        ..half
    };

    bench.clock().advance(LONG);
    assert_eq!(half.ask_all().await.unwrap(), 1);
    assert_eq!(
        bench.story().await.len(),
        3,
        "listed by one is enough, and nobody doubted it"
    );
    assert_eq!(half.ask_all().await.unwrap(), 0, "that was a word of it");

    bench.post(labels, false).await;
    bench.counts(FIRES, 0).await;
    // As if the resolve had not come.
    let mut conn = bench.site.conn().await;
    for sql in [
        "update episodes set ends_at = null, ended_at = null",
        "update incidents set recover_due = null, recovered_at = null",
    ] {
        sqlx::query(sql).execute(&mut *conn).await.unwrap();
    }
    drop(conn);
    bench.clock().advance(LONG);
    assert_eq!(half.ask_all().await.unwrap(), 1);
    assert_eq!(bench.told("did not answer").await, 1, "{:?}", bench.story().await);
    assert_eq!(bench.site.intake.database.count(FIRES).await, 1);
    bench.clock().advance(Duration::from_secs(301));
    assert_eq!(outward.ask_all().await.unwrap(), 1);
    assert_eq!(bench.site.intake.database.count(FIRES).await, 0);
    bench.end();
}

#[tokio::test]
async fn a_word_that_comes_while_alertmanager_is_asked_is_not_overruled() {
    let bench = Bench::with_node(0).await;
    let alert = |at: &str| {
        json!({"receiver": "r", "groupKey": "g", "alerts": [
            {"status": "firing", "labels": {"alertname": "Elsewhere"}, "startsAt": at}]})
        .to_string()
    };
    let (outward, start) = (trusting(&bench), "2026-11-21T02:00:00Z");
    bench.site.intake.post("am", alert(start)).await;
    bench.clock().advance(LONG);
    // Between the question and what is made of it.
    let mut conn = bench.site.conn().await;
    let now = bench.clock().now();
    let lease = now + chrono::TimeDelta::seconds(60);
    let since = outward.listening_since;
    let quiet = muster::store::staleness::claim_askable(&mut conn, since, now, lease, 10)
        .await
        .unwrap();
    assert_eq!(quiet.len(), 1);
    bench.clock().advance(Duration::from_secs(1));
    bench.site.intake.post("am", alert(start)).await;
    let over: Vec<_> = quiet.iter().collect();
    let ended = muster::store::staleness::end(&mut conn, &over, bench.clock().now())
        .await
        .unwrap();
    assert!(ended.is_empty(), "it was heard of meanwhile");
    drop(conn);
    assert_eq!(outward.ask_all().await.unwrap(), 0);
    assert_eq!(bench.site.intake.database.count(FIRES).await, 1);
    bench.end();
}

#[tokio::test]
async fn what_a_cut_list_left_out_keeps_the_incident_open_until_alertmanager_lists_none_of_it() {
    let bench = Bench::with_node(1).await;
    let outward = trusting(&bench);
    let labels = |n: u32| json!({"alertname": "Many", "cluster": "a", "instance": format!("db-{n}")});
    for n in [1, 2] {
        bench.post(labels(n), true).await;
    }
    bench.counts(CUT, 1).await;
    bench.post(labels(1), false).await;
    bench.counts(CUT_AND_OVER, 1).await;
    assert_eq!(outward.ask_all().await.unwrap(), 1);
    assert_eq!(
        bench.site.intake.database.count(CUT).await,
        1,
        "the one left out fires"
    );
    bench.site.intake.pass(LONG).await;
    assert_eq!(bench.state().await, "triggered");

    bench.post(labels(2), false).await;
    bench.lists(0).await;
    assert_eq!(outward.ask_all().await.unwrap(), 1);
    assert_eq!(
        bench.told("What the sender left out of its list").await,
        1,
        "{:?}",
        bench.story().await
    );
    bench.site.intake.pass(Duration::from_secs(61)).await;
    assert_eq!(bench.state().await, "resolved");
    bench.end();
}
