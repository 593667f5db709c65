//! A web service that writes down what changes it, and whose paths say how it behaves: `ok`; `fail` (a clear no) until it
//! has changed; `holds` (a yes to who asks) until then; `lost` (does it, and cuts its answer off, once a path); `held` (answers when it is let go); `list` gives
//! as many items as its path says, the one numbered 140 from a bad place.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::stream;
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore};

use super::HOSTILE;

/// The running target.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    done: Arc<Mutex<Vec<(String, String)>>>,
    lost: Arc<Mutex<BTreeSet<String>>>,
    has_changed: Arc<AtomicBool>,
    held: Arc<Semaphore>,
}

impl Target {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Self {
            address: listener.local_addr().unwrap(),
            done: Arc::default(),
            lost: Arc::default(),
            has_changed: Arc::default(),
            held: Arc::new(Semaphore::new(0)),
        };
        let router = Router::new()
            .route("/{kind}/{*path}", any(serve))
            .with_state(target.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        target
    }

    /// What changed something, in order.
    pub fn done(&self) -> Vec<String> {
        let done = self.done.lock().unwrap();
        done.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The keys with which something was done at this path, in order.
    pub fn keys(&self, path: &str) -> Vec<String> {
        let done = self.done.lock().unwrap();
        let here = done.iter().filter(|(done, _)| done == path);
        here.map(|(_, key)| key.clone()).collect()
    }

    /// From now on `fail` works, and `holds` does not.
    pub fn change(&self) {
        self.has_changed.store(true, Ordering::SeqCst);
    }

    /// Lets one answer of `held` go.
    pub fn let_go(&self) {
        self.held.add_permits(1);
    }
}

async fn serve(
    State(target): State<Target>,
    Path((kind, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if method == Method::GET && kind == "list" {
        let items = (0..path.parse().unwrap()).map(|at: usize| match at {
            140 => HOSTILE.to_owned(),
            at => format!("n{at}"),
        });
        return Json(items.collect::<Vec<String>>()).into_response();
    }
    if method == Method::GET && kind == "holds" && target.has_changed.load(Ordering::SeqCst) {
        return StatusCode::CONFLICT.into_response();
    }
    if method == Method::GET {
        return Json(json!({"path": path})).into_response();
    }
    let refuses = kind == "fail" && !target.has_changed.load(Ordering::SeqCst);
    if !refuses {
        let key = headers
            .get("idempotency-key")
            .map_or("", |key| key.to_str().unwrap());
        target.done.lock().unwrap().push((path.clone(), key.to_owned()));
    }
    match kind.as_str() {
        "fail" if refuses => StatusCode::CONFLICT.into_response(),
        "lost" if target.lost.lock().unwrap().insert(path) => {
            let cut = stream::iter([Err::<Bytes, _>(std::io::Error::other("cut off"))]);
            Body::from_stream(cut).into_response()
        }
        "held" => {
            let held = target.held.acquire().await.unwrap();
            held.forget();
            Json(json!({"ok": true})).into_response()
        }
        _ => Json(json!({"ok": true})).into_response(),
    }
}
