//! `/healthz`, `/readyz` and `/metrics`: for machines, without sign-in and without a word about incidents.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use sqlx::PgPool;

use super::{caller::Need, routes::Route};
use crate::{receive::Receiver, store::queue};

/// How long the database may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Health {
    pool: PgPool,
    metrics: Option<PrometheusHandle>,
    receiver: Receiver,
}

/// The routes for machines. `metrics` is `None` where another part of the process holds the recorder.
pub fn router(pool: PgPool, metrics: Option<PrometheusHandle>, receiver: Receiver) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "alive"})) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state(Health {
            pool,
            metrics,
            receiver,
        })
}

/// What machines ask; no secret is among it.
pub fn table() -> Vec<Route> {
    let routes = ["/healthz", "/readyz", "/metrics"].map(|path| Route {
        method: Method::GET,
        path: path.to_owned(),
        need: Need::Nothing,
    });
    routes.to_vec()
}

/// Ready is: a webhook could be accepted now, by the database or by the disk. A balancer that took every replica out
/// because their database is away would throw away what they can keep.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let waiting = health.receiver.waiting();
    match live_runs(&health.pool).await {
        Some(live_runs) => (
            StatusCode::OK,
            Json(json!({"status": "ready", "live_runs": live_runs, "waiting_batches": waiting})),
        ),
        None if health.receiver.can_spool() => (
            StatusCode::OK,
            Json(
                json!({"status": "ready", "why": "the database is away; deliveries go to the disk",
                        "waiting_batches": waiting}),
            ),
        ),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "not ready", "why": "the database does not answer"})),
        ),
    }
}

async fn exposition(State(health): State<Health>) -> impl IntoResponse {
    let Some(handle) = &health.metrics else {
        return (StatusCode::NOT_FOUND, "no metrics here".to_owned());
    };
    let runs = live_runs(&health.pool).await;
    metrics::gauge!("muster_database_up").set(if runs.is_some() { 1.0 } else { 0.0 });
    if let Some(runs) = runs {
        metrics::gauge!("muster_runs_live").set(runs as f64);
    }
    let waiting = health.receiver.backlog().await;
    metrics::gauge!("muster_intake_waiting_batches").set(waiting.batches as f64);
    metrics::gauge!("muster_spool_bytes").set(waiting.bytes.unwrap_or_default() as f64);
    (StatusCode::OK, handle.render())
}

async fn live_runs(pool: &PgPool) -> Option<i64> {
    let count = async { queue::count(&mut *pool.acquire().await?).await };
    tokio::time::timeout(PATIENCE, count).await.ok()?.ok()
}
