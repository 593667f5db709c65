//! What senders sent and were told, and the checker that holds it to the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::support::muster::TOKEN;

/// Longer than the longest answer.
const PATIENCE: Duration = Duration::from_secs(40);

/// One delivery and its answer.
#[derive(Clone, Debug)]
pub struct Sent {
    pub name: String,
    /// `None` when nobody answered.
    pub status: Option<u16>,
    pub has_retry_after: bool,
    pub sent_at: Instant,
    pub took: Duration,
}

pub struct History {
    name: &'static str,
    url: String,
    client: reqwest::Client,
    next: AtomicUsize,
    sent: Mutex<Vec<Sent>>,
    /// From here on times count.
    timed: AtomicUsize,
    /// Deliveries that a damaged disk took with it.
    pub excused: Mutex<BTreeSet<String>>,
}

/// An alert of its own group.
pub fn alert(name: &str, padding: usize) -> Value {
    json!({"receiver": "r", "groupKey": name, "alerts": [{
        "status": "firing", "labels": {"alertname": name}, "annotations": {"padding": "x".repeat(padding)},
        "startsAt": "2026-11-21T02:59:00Z",
    }]})
}

impl History {
    pub fn new(name: &'static str, address: SocketAddr) -> History {
        muster::actions::install_crypto();
        History {
            name,
            url: format!("http://{address}/api/v1/sources/test/alertmanager"),
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .build()
                .unwrap(),
            next: AtomicUsize::new(0),
            sent: Mutex::default(),
            timed: AtomicUsize::new(0),
            excused: Mutex::default(),
        }
    }

    /// Sends one delivery nobody has sent before.
    pub async fn post(&self) -> Option<u16> {
        self.post_of(0).await.status
    }

    /// One with so many bytes more.
    pub async fn post_of(&self, padding: usize) -> Sent {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}-{number}", self.name);
        let body = alert(&name, padding);
        self.send(name, body.to_string()).await
    }

    /// Sends a body whose one group has this name.
    pub async fn send(&self, name: String, body: String) -> Sent {
        let began = Instant::now();
        let request = self
            .client
            .post(&self.url)
            .bearer_auth(TOKEN)
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.ok();
        let sent = Sent {
            name,
            status: answer.as_ref().map(|answer| answer.status().as_u16()),
            has_retry_after: answer.is_some_and(|answer| answer.headers().contains_key("retry-after")),
            sent_at: began,
            took: began.elapsed(),
        };
        self.sent.lock().unwrap().push(sent.clone());
        sent
    }

    /// `count` deliveries from so many senders at once, as fast as they are answered.
    pub async fn burst(self: &Arc<Self>, count: usize, senders: usize) -> Vec<Sent> {
        let left = Arc::new(AtomicUsize::new(count));
        let tasks: Vec<_> = (0..senders)
            .map(|_| {
                let (history, left) = (self.clone(), left.clone());
                tokio::spawn(async move {
                    let mut answers = Vec::new();
                    while left
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        answers.push(history.post_of(0).await);
                    }
                    answers
                })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.extend(task.await.unwrap());
        }
        answers
    }

    /// So many deliveries a second for as long, whatever becomes of them.
    pub async fn stream(self: &Arc<Self>, per_second: f64, for_so_long: Duration) -> Vec<Sent> {
        let began = Instant::now();
        let mut tasks = Vec::new();
        let mut number = 0;
        while began.elapsed() < for_so_long {
            let due = began + Duration::from_secs_f64(f64::from(number) / per_second);
            tokio::time::sleep_until(due.into()).await;
            let history = self.clone();
            tasks.push(tokio::spawn(async move { history.post_of(0).await }));
            number += 1;
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// What was sent since the last row of the table.
    pub fn timed(&self) -> Vec<Sent> {
        self.sent.lock().unwrap()[self.timed.load(Ordering::SeqCst)..].to_vec()
    }

    pub fn forget_times(&self) {
        self.timed
            .store(self.sent.lock().unwrap().len(), Ordering::SeqCst);
    }

    /// The promises that are broken: an acknowledged delivery that is not stored exactly once, any delivery that is stored
    /// twice, a group with two incidents, deliveries out of order.
    pub async fn check(&self, conn: &mut PgConnection) -> Vec<String> {
        let mut violations = Vec::new();
        let bodies: Vec<Vec<u8>> =
            sqlx::query_scalar("select body from deliveries where outcome = 'applied' order by id")
                .fetch_all(&mut *conn)
                .await
                .unwrap();
        let mut stored: BTreeMap<String, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for body in bodies {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let name = body["groupKey"].as_str().unwrap().to_owned();
            *stored.entry(name.clone()).or_default() += 1;
            order.push(name);
        }
        let excused = self.excused.lock().unwrap().clone();
        for sent in self.sent() {
            let times = stored.get(&sent.name).copied().unwrap_or_default();
            let is_promised = matches!(sent.status, Some(200 | 202)) && !excused.contains(&sent.name);
            if times > 1 || (is_promised && times != 1) {
                violations.push(format!("{sent:?} is stored {times} times"));
            }
        }
        let doubled: Vec<(String, i64)> = sqlx::query_as(
            "select group_key, count(*) from incidents group by source_id, group_key having count(*) > 1",
        )
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        violations.extend(doubled.iter().map(|doubled| format!("{doubled:?} incidents")));
        let without: Vec<String> = sqlx::query_scalar(
            "select convert_from(body, 'utf8')::jsonb ->> 'groupKey' from deliveries d
             where outcome = 'applied' and not exists (
                 select from incidents i
                 where i.group_key = convert_from(d.body, 'utf8')::jsonb ->> 'groupKey')",
        )
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        violations.extend(without.iter().map(|name| format!("{name} has no incident")));
        violations.extend(self.disordered(&order));
        violations
    }

    /// Deliveries that were answered before another one was sent, and are stored behind it.
    fn disordered(&self, order: &[String]) -> Vec<String> {
        let sent = self.sent();
        let by_name: BTreeMap<&str, &Sent> = sent.iter().map(|sent| (sent.name.as_str(), sent)).collect();
        let mut newest: Option<&Sent> = None;
        let mut violations = Vec::new();
        for sent in order
            .iter()
            .filter_map(|name| by_name.get(name.as_str()).copied())
        {
            let is_promised = matches!(sent.status, Some(200 | 202));
            if let Some(newest) = newest
                && is_promised
                && sent.sent_at + sent.took < newest.sent_at
            {
                violations.push(format!(
                    "{} is stored before {}, which came first",
                    newest.name, sent.name
                ));
            }
            if newest.is_none_or(|newest| newest.sent_at < sent.sent_at) {
                newest = Some(sent);
            }
        }
        violations
    }
}
