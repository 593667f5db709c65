//! A target that writes down what reaches it: the outside world's own account of each key.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, Method},
    routing::any,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One thing that reached the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub key: String,
    pub fence: i64,
}

/// The running target.
#[derive(Clone)]
pub struct Ledger {
    pub address: SocketAddr,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Ledger {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ledger = Self {
            address: listener.local_addr().unwrap(),
            entries: Arc::default(),
        };
        let router = Router::new()
            .route("/{*path}", any(take))
            .with_state(ledger.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        ledger
    }

    /// What changed something, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// How often each key came, by path.
    pub fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries() {
            *counts.entry((entry.path, entry.key)).or_default() += 1;
        }
        counts
    }
}

/// A `GET` tells whether something was done at that path; everything else does it.
async fn take(
    State(ledger): State<Ledger>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Json<Value> {
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let mut entries = ledger.entries.lock().unwrap();
    if method != Method::GET {
        let fence = header("muster-fence").parse().unwrap();
        entries.push(Entry {
            path: path.clone(),
            key: header("idempotency-key"),
            fence,
        });
    }
    Json(json!({"done": entries.iter().any(|entry| entry.path == path)}))
}
