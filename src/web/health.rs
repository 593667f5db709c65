//! `/healthz`, `/readyz` and `/metrics`: for machines, without sign-in and without a word about incidents.

use std::time::Duration;

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use sqlx::PgPool;

use crate::store::queue;

/// How long the database may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Health {
    pool: PgPool,
    metrics: Option<PrometheusHandle>,
}

/// The routes for machines. `metrics` is `None` where another part of the process holds the recorder.
pub fn router(pool: PgPool, metrics: Option<PrometheusHandle>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "alive"})) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state(Health { pool, metrics })
}

/// Ready is: a webhook could be stored now.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    match live_runs(&health.pool).await {
        Some(live_runs) => (
            StatusCode::OK,
            Json(json!({"status": "ready", "live_runs": live_runs})),
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
    (StatusCode::OK, handle.render())
}

async fn live_runs(pool: &PgPool) -> Option<i64> {
    let count = async { queue::count(&mut *pool.acquire().await?).await };
    tokio::time::timeout(PATIENCE, count).await.ok()?.ok()
}
