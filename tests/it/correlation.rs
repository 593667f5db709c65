//! Turns of correlation that recorded traffic does not hold: late words about old episodes, and groups that come back.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::intake::Intake;

const MINUTE: Duration = Duration::from_secs(60);

/// One group of one sender, and a clock to speak by.
struct Sender {
    intake: Intake,
    epoch: DateTime<Utc>,
}

impl Sender {
    async fn new() -> Self {
        let intake = Intake::new().await;
        intake.source("s", None).await;
        let epoch = intake.clock.now();
        Self { intake, epoch }
    }

    /// Says that alert `name`, which began at `start` seconds, fires, or ended at `end` seconds.
    async fn says(&self, name: &str, start: i64, end: Option<i64>) {
        let at = |second: i64| {
            (self.epoch + TimeDelta::seconds(second)).to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        let body: Value = json!({"receiver": "r", "groupKey": "g", "alerts": [{
            "status": if end.is_some() { "resolved" } else { "firing" },
            "labels": {"alertname": name},
            "startsAt": at(start),
            "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), at),
        }]});
        let (status, answer) = self.intake.post("s", body.to_string()).await;
        assert!(status.is_success(), "{answer}");
        self.intake.clock.advance(Duration::from_secs(1));
    }

    async fn states(&self) -> Vec<String> {
        sqlx::query_scalar("select state from incidents order by id")
            .fetch_all(&self.intake.database.pools.web)
            .await
            .unwrap()
    }

    async fn firing(&self) -> i64 {
        self.intake
            .database
            .count("select count(*) from episodes where ends_at is null")
            .await
    }
}

#[tokio::test]
async fn a_new_start_settles_an_old_refire_and_recovery_goes_on() {
    let sender = Sender::new().await;
    sender.says("A", 0, None).await;
    sender.says("A", 0, Some(1)).await;
    sender.says("A", 0, None).await;
    sender.says("A", 10, None).await;
    // The old word would be believed now; the alert has a new episode since.
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(
        (sender.states().await, sender.firing().await),
        (vec!["triggered".to_owned()], 1)
    );
    sender.says("A", 10, Some(20)).await;
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(
        (sender.states().await, sender.firing().await),
        (vec!["resolved".to_owned()], 0)
    );
}

#[tokio::test]
async fn a_refire_that_lasts_brings_the_incident_back() {
    let sender = Sender::new().await;
    sender.says("A", 0, None).await;
    sender.says("A", 0, Some(1)).await;
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(sender.states().await, ["resolved"]);
    sender.says("A", 0, None).await;
    assert_eq!(sender.states().await, ["resolved"], "not believed at once");
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(
        (sender.states().await, sender.firing().await),
        (vec!["triggered".to_owned()], 1)
    );
}

#[tokio::test]
async fn a_refire_of_a_group_that_has_moved_on_goes_where_the_group_is() {
    let sender = Sender::new().await;
    sender.says("A", 0, None).await;
    sender.says("A", 0, Some(1)).await;
    sender.intake.pass(2 * MINUTE).await;
    sender.intake.pass(20 * MINUTE).await;
    sender.says("B", 1200, None).await;
    assert_eq!(sender.states().await, ["resolved", "triggered"]);
    sender.says("A", 0, None).await;
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(sender.states().await, ["resolved", "triggered"]);
    let in_second = "select count(*) from episodes where incident_id = 2 and ends_at is null";
    assert_eq!(sender.intake.database.count(in_second).await, 2);
}

#[tokio::test]
async fn a_group_that_comes_back_late_is_a_recurrence_and_early_the_same_incident() {
    let sender = Sender::new().await;
    sender.says("A", 0, None).await;
    sender.says("A", 0, Some(1)).await;
    sender.intake.pass(2 * MINUTE).await;
    sender.says("A", 130, None).await;
    assert_eq!(sender.states().await, ["triggered"]);
    sender.says("A", 130, Some(140)).await;
    sender.intake.pass(2 * MINUTE).await;
    sender.intake.pass(20 * MINUTE).await;
    sender.says("A", 2000, None).await;
    assert_eq!(sender.states().await, ["resolved", "triggered"]);
    let linked = "select count(*) from incidents where id = 2 and recurrence_of = 1";
    assert_eq!(sender.intake.database.count(linked).await, 1);
}

#[tokio::test]
async fn while_an_alert_may_fire_again_its_incident_does_not_recover() {
    let sender = Sender::new().await;
    let due = "select count(*) from incidents where recover_due is not null";
    let is_due = async || sender.intake.database.count(due).await == 1;
    sender.says("A", 0, None).await;
    sender.says("A", 0, Some(1)).await;
    assert!(is_due().await);
    sender.intake.pass(MINUTE / 2).await;
    // An old word comes late, and is taken back a moment later: recovery begins anew, and nothing has come back.
    sender.says("A", 0, None).await;
    assert!(!is_due().await);
    sender.intake.pass(MINUTE / 2).await;
    assert_eq!(sender.states().await, ["triggered"]);
    sender.says("A", 0, Some(1)).await;
    assert!(is_due().await);
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(sender.states().await, ["resolved"]);
    let back = "select reopened::bigint from incidents";
    assert_eq!(sender.intake.database.count(back).await, 0);
}

#[tokio::test]
async fn a_start_in_the_far_future_keeps_no_alert_from_ending() {
    let sender = Sender::new().await;
    let century = 75 * 365 * 24 * 3600;
    sender.says("A", century, None).await;
    let seen = "select count(*) from incidents where detected_at <= opened_at";
    assert_eq!(
        sender.intake.database.count(seen).await,
        1,
        "nothing is seen before it begins"
    );
    sender.says("A", 0, Some(1)).await;
    assert_eq!(sender.firing().await, 0);
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(sender.states().await, ["resolved"]);
}

#[tokio::test]
async fn an_earlier_start_after_the_end_is_believed_when_it_lasts() {
    let sender = Sender::new().await;
    // Two Prometheus servers behind one Alertmanager: what the second still sees began earlier.
    sender.says("A", 13, None).await;
    sender.says("A", 13, Some(20)).await;
    sender.says("A", 10, None).await;
    sender.intake.pass(2 * MINUTE).await;
    assert_eq!(
        (sender.states().await, sender.firing().await),
        (vec!["triggered".to_owned()], 1)
    );
}
