//! The list of incidents: what a search finds, what is done with many at once, views that people keep, incidents opened
//! by hand, and what an open list hears.

mod bulk;
mod by_hand;
mod live;
mod screen;
mod search;
mod views;

use axum::http::StatusCode;
use muster::domain::operator::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::site::{Answer, Site};

/// The pages with a responder who is signed in.
struct Desk {
    site: Site,
    ana: String,
}

impl Desk {
    async fn new() -> Self {
        let site = Site::new().await;
        let (_, ana) = site.person("ana", Role::Responder).await;
        Self { site, ana }
    }

    /// Fires one alert in a group of its own, which opens an incident.
    async fn fire(&self, title: &str, labels: Value) {
        let mut labels = labels;
        labels["alertname"] = title.into();
        let body = json!({"receiver": "r", "groupKey": title, "alerts": [{
            "status": "firing", "labels": labels, "startsAt": "2026-11-21T02:59:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }]});
        let (status, answer) = self.site.intake.post("prom", body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// Five incidents that differ: 1 and 2 of checkout, 3 acknowledged by ana, 4 resolved, 5 without labels.
    async fn five(&self) {
        for (title, labels) in [
            (
                "CheckoutDatabaseDown",
                json!({"severity": "critical", "service": "checkout", "region": "eu"}),
            ),
            (
                "Latency above 2 s",
                json!({"severity": "error", "service": "checkout", "region": "us"}),
            ),
            ("Queue grows", json!({"severity": "critical", "service": "mail"})),
            ("Disk almost full", json!({"severity": "info", "region": "eu"})),
            ("o'clock \"quoted\" & odd", json!({})),
        ] {
            self.fire(title, labels).await;
        }
        self.act("/incidents/3/acknowledge", &[]).await;
        self.act("/incidents/4/resolve", &[("reason", "gone")]).await;
    }

    async fn get(&self, path: &str) -> Answer {
        let answer = self.site.get(path, &self.ana).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer
    }

    /// A form of ana's with a new operation.
    async fn act(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.act_as(&self.ana, path, fields).await
    }

    async fn act_as(&self, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let op = Uuid::new_v4().to_string();
        let mut form = vec![("op", op.as_str())];
        form.extend(fields);
        self.site.post(path, cookie, &form).await
    }

    /// The incidents that a query finds, in the order of the page.
    async fn found(&self, query: &str) -> Vec<i64> {
        rows(&self.get(&address(query)).await.text)
    }
}

/// Where a query is asked.
fn address(query: &str) -> String {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("/incidents?q={query}")
}

/// The incidents of a page, in its order.
fn rows(html: &str) -> Vec<i64> {
    html.split("<li id=\"inc-")
        .skip(1)
        .map(|row| row.split('"').next().unwrap().parse().unwrap())
        .collect()
}
