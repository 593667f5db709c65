//! Prometheus servers that push straight to Muster, by a clock that the test moves: what they say lasts for a while, they
//! repeat ends for a quarter of an hour, and two of them need not agree.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::intake::Intake;

const MINUTE: Duration = Duration::from_secs(60);
const PATH: &str = "prometheus/api/v2/alerts";

struct Pushed {
    intake: Intake,
    epoch: DateTime<Utc>,
}

impl Pushed {
    async fn new() -> Self {
        let intake = Intake::new().await;
        intake.source("prom", None).await;
        // Senders have long had the time to report what fires.
        intake.clock.advance(10 * MINUTE);
        let epoch = intake.clock.now();
        Self { intake, epoch }
    }

    fn at(&self, second: i64) -> DateTime<Utc> {
        self.epoch + TimeDelta::seconds(second)
    }

    async fn push(&self, alerts: Vec<Value>) {
        let (status, answer) = self
            .intake
            .post_as("prom", PATH, Value::from(alerts).to_string())
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// Fires since `start`, for four more minutes unless it is said again.
    fn firing(&self, host: &str, start: i64) -> Value {
        let lease = self.intake.clock.now() + TimeDelta::minutes(4);
        json!({"labels": {"alertname": "Down", "host": host}, "startsAt": self.at(start), "endsAt": lease})
    }

    fn ended(&self, host: &str, start: i64, end: i64) -> Value {
        json!({"labels": {"alertname": "Down", "host": host}, "startsAt": self.at(start), "endsAt": self.at(end)})
    }

    /// Incidents, open ones, how often they came back; episodes, firing ones.
    async fn standing(&self) -> (i64, i64, i64, i64, i64) {
        let count = async |sql| self.intake.database.count(sql).await;
        (
            count("select count(*) from incidents").await,
            count("select count(*) from incidents where state = 'triggered'").await,
            count("select coalesce(sum(reopened), 0)::bigint from incidents").await,
            count("select count(*) from episodes").await,
            count("select count(*) from episodes where ends_at is null").await,
        )
    }
}

#[tokio::test]
async fn a_large_batch_is_one_transaction_and_lasts_as_long_as_it_is_renewed() {
    let prom = Pushed::new().await;
    let hosts: Vec<String> = (0..256).map(|host| format!("h{host}")).collect();
    let batch = || {
        hosts
            .iter()
            .map(|host| prom.firing(host, -1))
            .collect::<Vec<Value>>()
    };
    for _ in 0..10 {
        prom.push(batch()).await;
        prom.intake.pass(MINUTE).await;
    }
    assert_eq!(prom.standing().await, (1, 1, 0, 256, 256));
    let told = "select count(*) from events where kind = 'alerts_fired'";
    assert_eq!(prom.intake.database.count(told).await, 1);
    // Half of them, mixed with the ends of the others.
    let mixed = hosts.iter().enumerate().map(|(n, host)| match n % 2 {
        0 => prom.firing(host, -1),
        _ => prom.ended(host, -1, 600),
    });
    prom.push(mixed.collect()).await;
    assert_eq!(prom.standing().await, (1, 1, 0, 256, 128));
    for _ in 0..8 {
        prom.intake.pass(MINUTE).await;
    }
    assert_eq!(
        prom.standing().await,
        (1, 0, 0, 256, 0),
        "the others were not renewed"
    );
}

#[tokio::test]
async fn a_pair_takes_turns_and_ends_together() {
    let prom = Pushed::new().await;
    for _ in 0..5 {
        prom.push(vec![prom.firing("a", -1)]).await;
        prom.intake.pass(Duration::from_secs(3)).await;
        prom.push(vec![prom.firing("a", 2)]).await;
        prom.intake.pass(Duration::from_secs(57)).await;
    }
    assert_eq!(prom.standing().await, (1, 1, 0, 1, 1));
    // One sees the end two seconds before the other; both repeat it for a quarter of an hour.
    prom.push(vec![prom.ended("a", -1, 290)]).await;
    prom.push(vec![prom.firing("a", 2)]).await;
    for _ in 0..15 {
        prom.push(vec![prom.ended("a", 2, 292)]).await;
        prom.push(vec![prom.ended("a", -1, 290)]).await;
        prom.intake.pass(MINUTE).await;
    }
    assert_eq!(prom.standing().await, (1, 0, 0, 1, 0));
    let moved = "select count(*) from events where kind = 'start_moved'";
    assert_eq!(prom.intake.database.count(moved).await, 1, "told once");
}

#[tokio::test]
async fn what_one_of_a_pair_still_sees_fires_whatever_the_other_repeats() {
    let prom = Pushed::new().await;
    prom.push(vec![prom.firing("a", -1)]).await;
    prom.push(vec![prom.firing("a", 2)]).await;
    for _ in 0..15 {
        prom.intake.pass(MINUTE / 2).await;
        prom.push(vec![prom.ended("a", -1, 20)]).await;
        prom.intake.pass(MINUTE / 2).await;
        prom.push(vec![prom.firing("a", 2)]).await;
    }
    // It came back from a recovery that was under way once, and stayed.
    assert_eq!(prom.standing().await, (1, 1, 1, 1, 1));
}

#[tokio::test]
async fn an_alert_that_was_away_longer_than_its_lease_comes_back_and_stays() {
    let prom = Pushed::new().await;
    prom.push(vec![prom.firing("a", -1)]).await;
    // The network between them is gone for twenty minutes.
    for _ in 0..20 {
        prom.intake.pass(MINUTE).await;
    }
    assert_eq!(prom.standing().await, (1, 0, 0, 1, 0));
    for _ in 0..5 {
        prom.push(vec![prom.firing("a", -1)]).await;
        prom.intake.pass(MINUTE).await;
        prom.intake.pass(Duration::from_secs(1)).await;
    }
    let (_, open, _, _, firing) = prom.standing().await;
    assert_eq!((open, firing), (1, 1));
    // And it ends by its lease, wherever it was placed.
    for _ in 0..8 {
        prom.intake.pass(MINUTE).await;
    }
    let (_, open, _, _, firing) = prom.standing().await;
    assert_eq!((open, firing), (0, 0));
}

#[tokio::test]
async fn a_restart_names_a_new_start_and_an_end_of_before_it_does_not_count() {
    let prom = Pushed::new().await;
    prom.push(vec![prom.firing("a", -1)]).await;
    prom.intake.pass(MINUTE).await;
    prom.push(vec![prom.firing("a", 50)]).await;
    // A word of before the restart that took its time.
    prom.push(vec![prom.ended("a", -1, 40)]).await;
    assert_eq!(prom.standing().await, (1, 1, 0, 1, 1));
    prom.push(vec![prom.ended("a", 50, 55)]).await;
    prom.intake.pass(2 * MINUTE).await;
    assert_eq!(prom.standing().await, (1, 0, 0, 1, 0));
}
