//! What is decided about a new episode before it opens an incident.

mod flapping;
mod maintenance;
mod pages;
mod severity;
mod threshold;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use muster::{
    domain::{
        id::RoutingRuleId,
        operator::{Operator, Role},
        routing::AskedRule,
    },
    execute::routing as acts,
    store::operators,
};
use serde_json::{Value, json};

use crate::support::intake::Intake;

pub const MINUTE: Duration = Duration::from_secs(60);

/// A sender, a person who may decide, and a clock to speak by.
pub struct World {
    pub intake: Intake,
    pub epoch: DateTime<Utc>,
    ana: Operator,
}

impl World {
    pub async fn new() -> Self {
        let intake = Intake::new().await;
        intake.source("s", None).await;
        intake.source("other", None).await;
        let epoch = intake.clock.now();
        let mut conn = intake.database.pools.web.acquire().await.unwrap();
        let id = operators::insert(&mut conn, "ana", "hash", Role::Approver, epoch)
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
        drop(conn);
        Self { intake, epoch, ana }
    }

    pub async fn rule(&self, asked: AskedRule, source: &str) -> RoutingRuleId {
        let mut tx = self.intake.database.pools.web.begin().await.unwrap();
        let now = self.intake.clock.now();
        let made = acts::make(&mut tx, &asked, source, "a test", &self.ana, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        made
    }

    pub async fn end(&self, rule: RoutingRuleId) {
        let mut tx = self.intake.database.pools.web.begin().await.unwrap();
        let now = self.intake.clock.now();
        acts::end(&mut tx, rule, "it is done", &self.ana, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Says that alerts of group `g`, which began at their seconds, fire, or ended at their seconds.
    pub async fn says(&self, alerts: &[(&str, i64, Option<i64>)]) {
        self.says_in("s", "g", 0, alerts).await;
    }

    pub async fn says_in(
        &self,
        source: &str,
        group: &str,
        truncated: i32,
        alerts: &[(&str, i64, Option<i64>)],
    ) {
        let at = |second: i64| {
            (self.epoch + TimeDelta::seconds(second)).to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|(name, start, end)| {
                json!({
                    "status": if end.is_some() { "resolved" } else { "firing" },
                    "labels": {"alertname": name, "team": "shop", "severity": "warning"},
                    "startsAt": at(*start),
                    "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), at),
                })
            })
            .collect();
        let body =
            json!({"receiver": "r", "groupKey": group, "truncatedAlerts": truncated, "alerts": alerts});
        let (status, answer) = self.intake.post(source, body.to_string()).await;
        assert!(status.is_success(), "{answer}");
        self.intake.clock.advance(Duration::from_secs(1));
    }

    pub async fn states(&self) -> Vec<String> {
        self.texts("select state from incidents order by id").await
    }

    pub async fn texts(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql)
            .fetch_all(&self.intake.database.pools.web)
            .await
            .unwrap()
    }

    /// Every firing alert with its incident, or `held`.
    pub async fn places(&self) -> Vec<String> {
        self.texts(
            "select a.title || ' ' || coalesce(e.incident_id::text, 'held') from episodes e
             join alerts a on a.id = e.alert_id where e.ends_at is null order by a.title",
        )
        .await
    }

    /// The reason why an alert's newest episode is where it is.
    pub async fn reason(&self, name: &str) -> String {
        sqlx::query_scalar(
            "select e.reason from alerts a join episodes e on e.id = a.latest_episode_id where a.title = $1",
        )
        .bind(name)
        .fetch_one(&self.intake.database.pools.web)
        .await
        .unwrap()
    }

    pub async fn held(&self) -> i64 {
        self.intake
            .database
            .count("select count(*) from held where due is not null")
            .await
    }
}

/// A window for the shop's alerts that is open from now for some minutes.
pub fn window(world: &World, minutes: i64) -> AskedRule {
    AskedRule {
        kind: "maintenance".to_owned(),
        title: "Upgrade".to_owned(),
        matchers: "team=shop".to_owned(),
        ends_at: Some(world.intake.clock.now() + TimeDelta::minutes(minutes)),
        ..AskedRule::default()
    }
}

/// A threshold for every alert.
pub fn threshold(count: u32, within: &str) -> AskedRule {
    AskedRule {
        kind: "threshold".to_owned(),
        title: "Not for one".to_owned(),
        count: Some(count),
        within: within.to_owned(),
        ..AskedRule::default()
    }
}

/// A severity for alerts with these labels.
pub fn severity(title: &str, matchers: &str, severity: &str, place: i32) -> AskedRule {
    AskedRule {
        kind: "severity".to_owned(),
        title: title.to_owned(),
        matchers: matchers.to_owned(),
        severity: severity.to_owned(),
        place: Some(place),
        ..AskedRule::default()
    }
}
