//! The demo's fleet: a primary, a standby, a proxy and a metrics server, small enough to read, reached over real
//! sockets on loopback. Its state changes only by what is done to it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

/// What is true of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Truth {
    primary_alive: bool,
    standby_promoted: bool,
    proxy_on_standby: bool,
    promotions: u32,
}

impl Truth {
    /// Whether a write through the proxy would work.
    fn writes_ok(self) -> bool {
        match self.proxy_on_standby {
            true => self.standby_promoted,
            false => self.primary_alive,
        }
    }
}

/// The running fleet.
pub struct Fleet {
    truth: Arc<Mutex<Truth>>,
    changes: watch::Sender<bool>,
    primary: SocketAddr,
    standby: SocketAddr,
    proxy: SocketAddr,
    metrics: SocketAddr,
    log: PathBuf,
    primary_stop: CancellationToken,
}

#[derive(Clone)]
struct Shared {
    truth: Arc<Mutex<Truth>>,
    changes: watch::Sender<bool>,
}

impl Shared {
    fn read(&self) -> Truth {
        *self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, act: impl FnOnce(&mut Truth)) -> Truth {
        let truth = {
            let mut truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
            act(&mut truth);
            *truth
        };
        self.changes.send_replace(truth.writes_ok());
        truth
    }
}

impl Fleet {
    /// Starts a healthy fleet; its primary's log lies in `folder`.
    pub async fn start(folder: &Path) -> std::io::Result<Self> {
        let truth = Arc::new(Mutex::new(Truth {
            primary_alive: true,
            standby_promoted: false,
            proxy_on_standby: false,
            promotions: 0,
        }));
        let changes = watch::Sender::new(true);
        let shared = Shared {
            truth: truth.clone(),
            changes: changes.clone(),
        };
        let log = folder.join("checkout-primary.log");
        std::fs::write(
            &log,
            "LOG:  database system is ready to accept connections\n\
             LOG:  checkpoint complete: wrote 412 buffers\n\
             WARNING:  out of memory while sorting\n\
             LOG:  server process was terminated by signal 9: Killed\n\
             LOG:  all server processes terminated; the system is shut down\n",
        )?;
        let primary_stop = CancellationToken::new();
        Ok(Self {
            primary: accept_until(primary_stop.clone()).await?,
            standby: serve(standby(shared.clone())).await?,
            proxy: serve(proxy(shared.clone())).await?,
            metrics: serve(metrics(shared)).await?,
            truth,
            changes,
            log,
            primary_stop,
        })
    }

    /// The targets file that reaches this fleet.
    pub fn targets(&self) -> String {
        let log = Value::from(self.log.display().to_string());
        format!(
            "targets:\n\
             \x20 - {{ name: checkout-primary, environment: demo, tcp: {{ address: \"{}\" }} }}\n\
             \x20 - {{ name: checkout-standby, environment: demo, http: {{ url: \"http://{}/\" }} }}\n\
             \x20 - {{ name: checkout-proxy, environment: demo, http: {{ url: \"http://{}/\" }} }}\n\
             \x20 - {{ name: checkout-metrics, environment: demo, prometheus: {{ url: \"http://{}/\" }} }}\n\
             \x20 - {{ name: checkout-log, environment: demo, file: {{ path: {log} }} }}\n",
            self.primary, self.standby, self.proxy, self.metrics,
        )
    }

    /// The primary dies: its port closes and writes stop.
    pub fn kill_primary(&self) {
        self.primary_stop.cancel();
        let shared = Shared {
            truth: self.truth.clone(),
            changes: self.changes.clone(),
        };
        shared.change(|truth| truth.primary_alive = false);
    }

    /// Tells whether writes work, now and at every change.
    pub fn writes_ok(&self) -> watch::Receiver<bool> {
        self.changes.subscribe()
    }

    /// How often the standby was promoted.
    pub fn promotions(&self) -> u32 {
        self.truth
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .promotions
    }
}

async fn accept_until(stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => drop(accepted),
            }
        }
    });
    Ok(address)
}

async fn serve(router: Router) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

fn standby(shared: Shared) -> Router {
    Router::new()
        .route(
            "/status",
            get(|State(shared): State<Shared>| async move {
                let role = if shared.read().standby_promoted {
                    "primary"
                } else {
                    "standby"
                };
                Json(json!({"role": role, "lag_bytes": 0}))
            }),
        )
        .route(
            "/promote",
            post(|State(shared): State<Shared>| async move {
                let truth = shared.change(|truth| {
                    truth.standby_promoted = true;
                    truth.promotions += 1;
                });
                Json(json!({"promoted": true, "promotions": truth.promotions}))
            }),
        )
        .with_state(shared)
}

#[derive(Deserialize)]
struct Backend {
    active: String,
}

fn proxy(shared: Shared) -> Router {
    let show =
        |truth: Truth| Json(json!({"active": if truth.proxy_on_standby { "standby" } else { "primary" }}));
    Router::new()
        .route(
            "/backend",
            get(move |State(shared): State<Shared>| async move { show(shared.read()) }).put(
                move |State(shared): State<Shared>, Json(backend): Json<Backend>| async move {
                    match backend.active.as_str() {
                        "standby" | "primary" => {
                            Ok(show(shared.change(|truth| {
                                truth.proxy_on_standby = backend.active == "standby"
                            })))
                        }
                        _ => Err(StatusCode::BAD_REQUEST),
                    }
                },
            ),
        )
        .with_state(shared)
}

#[derive(Deserialize)]
struct Instant {
    query: String,
}

/// Prometheus' instant query, for the one series the fleet has.
fn metrics(shared: Shared) -> Router {
    Router::new()
        .route(
            "/api/v1/query",
            get(|State(shared): State<Shared>, Query(asked): Query<Instant>| async move {
                let value = if shared.read().writes_ok() { "1" } else { "0" };
                let series = json!({"__name__": "checkout_writes_ok", "cluster": "checkout"});
                let result = match asked.query.starts_with("checkout_writes_ok") {
                    true => json!([{"metric": series, "value": [chrono::DateTime::UNIX_EPOCH.timestamp(), value]}]),
                    false => json!([]),
                };
                Json(json!({"status": "success", "data": {"resultType": "vector", "result": result}}))
            }),
        )
        .with_state(shared)
}
