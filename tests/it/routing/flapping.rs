//! An incident that comes and goes is said to flap, once, and calmed.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use muster::{
    catalog::parse_runbook,
    domain::operator::Role,
    receive::ReceiverParts,
    store::runbooks,
    web::hooks::{HookLimits, Hooks},
};
use serde_json::json;
use tokio::sync::watch;

use super::{MINUTE, World};
use crate::support::{
    intake::{self, TOKEN, parts},
    site::Site,
};

const RUNBOOK: &str = r#"
runbook: look
title: Look
match: ['alertname="B"']
start: automatic
steps:
  - id: look
    check: http
    with: { target: shop, method: GET, path: / }
"#;

async fn told(world: &World) -> Vec<String> {
    world
        .texts(
            "select incident_id || ' ' || kind from events where kind in
             ('opened', 'reopened', 'recovery_began', 'recovery_broken', 'recovered', 'flapping', 'calm_again')
             order by incident_id, seq",
        )
        .await
}

async fn flapping(world: &World) -> i64 {
    world
        .intake
        .database
        .count("select count(*) from incidents where flapping_since is not null")
        .await
}

impl World {
    fn second(&self) -> i64 {
        (self.intake.clock.now() - self.epoch).num_seconds()
    }

    /// The alert fires for half a minute, and is gone for as long as that.
    async fn turn(&self, gone: Duration) {
        let start = self.second();
        self.says(&[("A", start, None)]).await;
        self.intake.pass(MINUTE / 2).await;
        self.says(&[("A", start, Some(self.second()))]).await;
        self.intake.pass(gone).await;
    }
}

#[tokio::test]
async fn it_flaps_once_stays_open_and_is_calm_again() {
    let world = World::new().await;
    // Recovered and reopened each time: an opening and four returns.
    for _ in 0..5 {
        world.turn(5 * MINUTE).await;
    }
    assert_eq!(flapping(&world).await, 0);
    assert_eq!(world.states().await, ["resolved"]);
    let before = told(&world).await.len();
    // The sixth time is one too often.
    world.turn(5 * MINUTE).await;
    assert_eq!(
        (flapping(&world).await, world.states().await),
        (1, vec!["triggered".to_owned()])
    );
    let now = told(&world).await;
    assert_eq!(now[before..], ["1 reopened", "1 flapping"]);
    let sentence = world
        .texts("select body ->> 'times' from events where kind = 'flapping'")
        .await;
    assert_eq!(sentence, ["6"]);
    // From now on nothing is said of each turn, and it does not recover in between.
    for _ in 0..3 {
        world.turn(20 * MINUTE).await;
    }
    assert_eq!(told(&world).await.len(), before + 2);
    assert_eq!(
        (flapping(&world).await, world.states().await),
        (1, vec!["triggered".to_owned()])
    );
    // Half an hour of calm.
    world.intake.pass(11 * MINUTE).await;
    assert_eq!(
        (flapping(&world).await, world.states().await),
        (0, vec!["resolved".to_owned()])
    );
    assert_eq!(told(&world).await[before + 2..], ["1 calm_again", "1 recovered"]);
    // What it did before counts no more.
    world.turn(MINUTE / 2).await;
    assert_eq!(flapping(&world).await, 0);
}

#[tokio::test]
async fn one_that_comes_back_before_it_has_recovered_flaps_too() {
    let world = World::new().await;
    for _ in 0..7 {
        world.turn(MINUTE / 2).await;
    }
    assert_eq!(
        (flapping(&world).await, world.states().await),
        (1, vec!["triggered".to_owned()])
    );
    let told = told(&world).await;
    assert_eq!(
        told.iter()
            .filter(|line| line.ends_with("recovery_broken"))
            .count(),
        5
    );
    assert_eq!(told.iter().filter(|line| line.ends_with("flapping")).count(), 1);
    // It goes on firing: it is calm, and an incident like every other one.
    world.says(&[("A", world.second(), None)]).await;
    world.intake.pass(31 * MINUTE).await;
    assert_eq!(
        (flapping(&world).await, world.states().await),
        (0, vec!["triggered".to_owned()])
    );
}

#[tokio::test]
async fn a_group_that_flaps_opens_no_new_incident() {
    let world = World::new().await;
    // Over for longer than a group comes back into the same incident: a new one each time.
    for _ in 0..5 {
        world.turn(Duration::from_secs(61)).await;
        world.intake.pass(Duration::from_secs(601)).await;
    }
    assert_eq!(world.states().await.len(), 5);
    world.turn(MINUTE).await;
    let states = world.states().await;
    assert_eq!((states.len(), states[4].as_str()), (5, "triggered"));
    assert_eq!(flapping(&world).await, 1);
    assert!(world.reason("A").await.contains("its group flaps"));
}

#[tokio::test]
async fn a_refire_that_is_believed_counts() {
    let world = World::new().await;
    for n in 1..=6 {
        world.says(&[("A", 0, None)]).await;
        world.intake.pass(2 * MINUTE).await;
        world.says(&[("A", 0, Some(n))]).await;
        world.intake.pass(MINUTE / 60).await;
    }
    assert_eq!(flapping(&world).await, 1);
}

#[tokio::test]
async fn nothing_starts_by_itself_while_it_flaps_and_the_page_says_so() {
    let world = World::new().await;
    let (clock, pools) = (world.intake.clock.clone(), &world.intake.database.pools);
    let mut conn = pools.web.acquire().await.unwrap();
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "a test", clock.now())
        .await
        .unwrap();
    drop(conn);
    let parts = ReceiverParts {
        shelf: watch::channel(Some(Arc::new(vec![version]))).1,
        ..parts(pools.intake.clone(), clock.clone())
    };
    let hooks = Hooks::new(parts, HookLimits::default()).router();
    let fire = async |group: &str| {
        let body = json!({"receiver": "r", "groupKey": group, "alerts": [{
            "status": "firing", "startsAt": clock.now(), "labels": {"alertname": "B", "group": group},
        }]});
        let request = Request::post("/api/v1/sources/s/alertmanager")
            .header("authorization", format!("Bearer {TOKEN}-s"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = intake::send(&hooks, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    for _ in 0..6 {
        world.turn(5 * MINUTE).await;
    }
    assert_eq!(flapping(&world).await, 1);
    fire("g").await;
    fire("calm").await;
    let held_back =
        "select incident_id || ' ' || (body ->> 'reason') from events where kind = 'start_held_back'";
    let held_back = world.texts(held_back).await;
    assert_eq!(held_back.len(), 1, "{held_back:?}");
    assert!(
        held_back[0].starts_with("1 its incident flaps since"),
        "{held_back:?}"
    );
    assert_eq!(world.texts("select incident_id::text from runs").await, ["2"]);
}

#[tokio::test]
async fn the_page_of_an_incident_that_flaps_says_how_often_it_came_back() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    for _ in 0..6 {
        for end in [None, Some(site.clock().now())] {
            let body = json!({"receiver": "r", "groupKey": "g", "alerts": [{
                "status": if end.is_some() { "resolved" } else { "firing" },
                "labels": {"alertname": "Down"}, "startsAt": site.clock().now() - TimeDelta::seconds(if end.is_some() { 30 } else { 0 }),
                "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), |end| end.to_rfc3339()),
            }]});
            assert!(site.intake.post("prom", body.to_string()).await.0.is_success());
            site.clock().advance(MINUTE / 2);
        }
    }
    let page = site.get("/incidents/1", &vic).await.text;
    assert!(page.contains("Flapping: came back 5 times in"), "{page}");
    assert!(
        page.contains("Flapping: 6 times in 5 min; it stays open"),
        "{page}"
    );
    let json = site.get("/api/v1/incidents/1", &vic).await.text;
    assert!(json.contains("\"flapping_since\":\"2026"), "{json}");
}
