//! `/system`: how Muster itself is. Each thing is looked at by itself and within a time of its own, so that one that hangs
//! is told as "cannot tell" and the others are still told.

use std::time::Duration;

use askama::Template;
use axum::{extract::State, response::Html};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, timeout};

use super::{
    caller::Reads,
    error::WebError,
    page, standing,
    state::{AppState, LIVE_STREAMS_MAX},
    view::{
        check::{Check, Workers},
        layout::Place,
        system::SystemPage,
    },
};
use crate::store::{
    self, StoreError,
    audit_checks::{self, Chain},
    deliveries, health, own_heartbeats, queue,
};

/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// What is said to have passed when it cannot be said.
const LOOK_TOO_LONG: TimeDelta = TimeDelta::seconds(LOOK_MAX.as_secs() as i64);
/// Processes whose signs of life are looked at.
const HEARTBEATS_MAX: i64 = 100;

/// What was looked at on a connection of its own; `None` when there was no answer in time.
async fn look<T>(
    app: &AppState,
    ask: impl AsyncFnOnce(&mut sqlx::PgConnection) -> Result<T, StoreError>,
) -> Option<T> {
    let asked = async {
        let mut conn = app.db.acquire().await?;
        ask(&mut conn).await
    };
    match timeout(LOOK_MAX, asked).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "one part of System cannot tell"
            );
            None
        }
        Err(_) => None,
    }
}

/// Everything that is looked at.
pub async fn checks(app: &AppState, now: DateTime<Utc>) -> Vec<Check> {
    let began = Instant::now();
    let database = look(app, health::database).await;
    let took = TimeDelta::from_std(began.elapsed()).unwrap_or(LOOK_TOO_LONG);
    let seen_at = app.clock.now();
    let mut checks = vec![
        Check::database(database.as_ref(), took),
        Check::clock(database.as_ref().map(|database| database.now - seen_at)),
    ];
    let workers = look(app, async |conn| {
        let (replicas, oldest) = health::replicas(conn).await?;
        Ok(Workers {
            replicas,
            oldest,
            runs: queue::count(conn).await?,
            due: queue::next_due(conn).await?,
        })
    });
    checks.push(Check::workers(workers.await.as_ref(), now));
    checks.push(Check::timers(look(app, health::oldest_timer).await, now));
    let day = now - TimeDelta::hours(24);
    let intake = look(app, async |conn| {
        let alerts = deliveries::count_alerts_since(conn, day).await?;
        Ok((alerts, health::last_delivery(conn).await?))
    });
    checks.push(Check::intake(intake.await, now));
    if let Some(receiver) = &app.receiver {
        checks.push(Check::spool(
            timeout(LOOK_MAX, receiver.backlog()).await.ok(),
            now,
        ));
    }
    let open = LIVE_STREAMS_MAX - app.streams.available_permits();
    checks.push(Check::live(open, LIVE_STREAMS_MAX));
    checks.push(Check::files(&app.faults.list()));
    let signs = look(app, async |conn| own_heartbeats::list(conn, HEARTBEATS_MAX).await);
    checks.extend(Check::heartbeat(signs.await.as_deref(), now));
    let record = look(app, async |conn| {
        audit_checks::find(conn, Chain::Acts, false).await
    });
    let broken = look(app, audit_checks::first_broken);
    checks.push(Check::record(record.await, broken.await, now));
    checks.push(Check::backups());
    checks
}

/// `GET /system`
pub async fn show(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let checks = checks(&app, now).await;
    let mut tx = store::begin_reading(&app.db).await?;
    let page = SystemPage {
        frame: page::frame(&app, &mut tx, &me, "System", Place::System, now).await?,
        checks,
        standing: standing::part(&mut tx, &me, now).await?,
        boot: super::boots::newest(&mut tx, now).await?,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(Html(page.render()?))
}
