//! `/setup/…`: what is left to do once the first admin is made. Each step has an address of its own and keeps nothing: it
//! looks at what is there, so that it can be left and taken up again at any time.

use askama::Template;
use axum::{extract::State, http::HeaderMap, response::Html};

use super::{
    caller::KeepsPeople,
    error::WebError,
    page,
    sources::{COUNTED_FOR, base},
    state::AppState,
    system,
    view::{
        check::Check,
        layout::Place,
        set_up::{AlertsStep, ChecksStep, Facts, ReadyStep, Sender},
    },
};
use crate::store::{self, StoreError, people, runbooks, sources};

/// Sources that are shown; whoever has more is past the first steps.
const SENDERS_MAX: usize = 20;

async fn facts(app: &AppState, conn: &mut sqlx::PgConnection) -> Result<Facts, StoreError> {
    let pulses = sources::list_pulses(conn, None, app.clock.now() - COUNTED_FOR).await?;
    let targets = app.rehearser.targets.borrow().0.len();
    Ok(Facts {
        has_source: !pulses.is_empty(),
        has_delivery: pulses.iter().any(|pulse| pulse.last_delivery_at.is_some()),
        runbooks: runbooks::list_current_ids(conn).await?.len(),
        targets,
        people: people::list(conn, None, app.clock.now()).await?.len(),
    })
}

/// `GET /setup/checks`
pub async fn checks(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    headers: HeaderMap,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let here = base(
        &AppState {
            public_url: None,
            ..app.clone()
        },
        &headers,
    );
    let mut checks = vec![Check::address(app.public_url.as_ref(), &here, app.is_https())];
    checks.extend(system::checks(&app, now).await);
    let mut tx = store::begin_reading(&app.db).await?;
    let facts = facts(&app, &mut tx).await?;
    let frame = page::frame(&app, &mut tx, &me, "First steps: checks", Place::Settings, now).await?;
    Ok(Html(ChecksStep::of(frame, &facts, checks).render()?))
}

/// `GET /setup/alerts`
pub async fn alerts(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let facts = facts(&app, &mut tx).await?;
    let found = sources::list(&mut tx).await?;
    let pulses = sources::list_pulses(&mut tx, None, now - COUNTED_FOR).await?;
    // Both are read in one snapshot and in the same order.
    let senders = found.iter().zip(&pulses).take(SENDERS_MAX);
    let senders = senders
        .map(|(source, pulse)| Sender::of(source, pulse, now))
        .collect();
    let frame = page::frame(&app, &mut tx, &me, "First steps: alerts", Place::Settings, now).await?;
    Ok(Html(AlertsStep::of(frame, &facts, senders).render()?))
}

/// `GET /setup/ready`
pub async fn ready(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
) -> Result<Html<String>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let facts = facts(&app, &mut tx).await?;
    let title = "First steps: ready";
    let frame = page::frame(&app, &mut tx, &me, title, Place::Settings, app.clock.now()).await?;
    Ok(Html(ReadyStep::of(frame, &facts).render()?))
}
