//! What stands between senders and Muster: passes requests on, refuses them or answers late, as it is told, and counts
//! what it did, so that a test can show that its fault struck.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
};
use serde_json::Value;

use crate::support::muster::client;

/// How it treats the next requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As a wire.
    Pass,
    /// As a load balancer with nobody behind it.
    Refuse,
    /// Passes on at once, and answers so much later.
    Late(Duration),
}

/// A request it saw.
#[derive(Clone, Debug)]
pub struct Seen {
    pub mood: Mood,
    /// What Muster answered, if it was asked.
    pub status: Option<u16>,
    pub body: Value,
}

impl Seen {
    /// Whether it speaks of this alert, and says so.
    pub fn says(&self, status: &str, name: &str) -> bool {
        let alerts = self.body["alerts"].as_array();
        alerts
            .into_iter()
            .flatten()
            .any(|alert| alert["status"] == status && alert["labels"]["alertname"] == name)
    }

    /// The node that sent it.
    pub fn node(&self) -> String {
        self.body["externalURL"].as_str().unwrap_or_default().to_owned()
    }
}

#[derive(Clone)]
struct Inner {
    to: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    client: reqwest::Client,
}

/// A relay that runs as long as the test.
pub struct Relay {
    pub address: SocketAddr,
    inner: Inner,
}

impl Relay {
    pub async fn start(to: SocketAddr) -> Self {
        let inner = Inner {
            to,
            mood: Arc::new(Mutex::new(Mood::Pass)),
            seen: Arc::default(),
            client: client(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass_on).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    pub fn be(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// The requests so far that are of interest.
    pub fn seen(&self, of_interest: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let seen = self.inner.seen.lock().unwrap();
        seen.iter().filter(|seen| of_interest(seen)).cloned().collect()
    }
}

async fn pass_on(State(inner): State<Inner>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mood = *inner.mood.lock().unwrap();
    let mut seen = Seen {
        mood,
        status: None,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    if mood != Mood::Refuse {
        let mut request = inner.client.post(format!("http://{}{uri}", inner.to)).body(body);
        if let Some(token) = headers.get(header::AUTHORIZATION) {
            request = request.header(header::AUTHORIZATION, token);
        }
        seen.status = request.send().await.ok().map(|answer| answer.status().as_u16());
    }
    let status = seen.status.unwrap_or(503);
    inner.seen.lock().unwrap().push(seen);
    if let Mood::Late(by) = mood {
        tokio::time::sleep(by).await;
    }
    StatusCode::from_u16(status).unwrap()
}
