//! Gates: the inbox, the page of one request, and the decision.

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, Redirect},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{self, Act, see},
    error::WebError,
    extract::Path,
    incidents, page, runs as run_page,
    session::Viewer,
    state::AppState,
    view::{
        approval::{ApprovalFacts, ApprovalPage, ApprovalRecord, DecisionForm, Inbox, InboxPage},
        layout::Place,
        run::RunView,
        text,
    },
};
use crate::{
    domain::{
        approval::{ApprovalState, Verdict},
        digest::Digest,
        id::ApprovalId,
    },
    execute::people,
    store::{self, StoreError, approvals, operators},
};

/// Requests in the inbox.
const INBOX_MAX: i64 = 100;

/// `GET /approvals`
pub async fn inbox(State(app): State<AppState>, Viewer(me): Viewer) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let cursor = incidents::cursor(&mut tx).await?;
    let frame = page::frame(&app, &mut tx, &me, "Approvals", Place::Approvals, now)
        .await?
        .live(text::with_query(
            "/live",
            &[("scope", "approvals"), ("after", &cursor)],
        ));
    let lines = lines(&mut tx, now).await?;
    let page = InboxPage {
        frame,
        inbox: Inbox::of(&lines, &me, now),
    };
    Ok(Html(page.render()?))
}

/// The lines of the inbox.
pub async fn lines(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<approvals::ApprovalLine>, StoreError> {
    approvals::list_lines(conn, Some(now - TimeDelta::hours(24)), INBOX_MAX).await
}

/// `GET /approvals/{id}`
pub async fn show(
    State(app): State<AppState>,
    Viewer(me): Viewer,
    Path(id): Path<ApprovalId>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (record, seq) = load(&mut tx, id, now)
        .await?
        .ok_or_else(|| WebError::not_found("approval"))?;
    let title = format!(
        "{} · INC-{}",
        text::visible(&record.approval.title),
        record.approval.incident
    );
    let frame = page::frame(&app, &mut tx, &me, title, Place::Approvals, now)
        .await?
        .live(text::with_query(
            "/live",
            &[("scope", &format!("approval:{id}")), ("after", &seq.to_string())],
        ));
    let page = ApprovalPage {
        frame,
        facts: ApprovalFacts::of(&record, now),
        form: DecisionForm::of(&record, &me, seq, now),
    };
    Ok(Html(page.render()?))
}

/// Everything known of a request, and the newest event of its incident.
pub async fn load(
    conn: &mut PgConnection,
    id: ApprovalId,
    now: DateTime<Utc>,
) -> Result<Option<(ApprovalRecord, i64)>, StoreError> {
    let Some(approval) = approvals::find(conn, id).await? else {
        return Ok(None);
    };
    let Some(incident) = store::incidents::find(conn, approval.incident).await? else {
        return Ok(None);
    };
    let run = run_page::load(conn, approval.run).await?;
    let requester_name = match approval.requester {
        Some(person) => operators::find_name(conn, person).await?,
        None => None,
    };
    // Once the gate is open its page shows what became of the steps it let through.
    let outcome = match &run {
        Some(run) if matches!(approval.state, ApprovalState::Approved | ApprovalState::Void) => {
            let view = RunView::of(run, now);
            view.steps
                .into_iter()
                .filter(|step| {
                    approval
                        .bound
                        .steps
                        .iter()
                        .any(|bound| bound.step.0 == step.plan.id)
                })
                .map(|step| (step.plan.title, step.badge))
                .collect()
        }
        _ => Vec::new(),
    };
    let record = ApprovalRecord {
        votes: approvals::votes(conn, id).await?,
        incident_title: incident.title,
        severity: incident.severity,
        version: run.map(|run| run.version),
        requester_name,
        outcome,
        approval,
    };
    Ok(Some((record, incident.last_seq)))
}

/// The decision form.
#[derive(Debug, Deserialize)]
pub struct Decision {
    op: Uuid,
    seen: Option<i64>,
    digest: Digest,
    verdict: Verdict,
    #[serde(default)]
    phrase: String,
    #[serde(default)]
    reason: String,
}

/// `POST /approvals/{id}/decision`. Who may decide is the gate's own rule, so any signed-in person may ask.
pub async fn decide(
    State(app): State<AppState>,
    Viewer(me): Viewer,
    Path(id): Path<ApprovalId>,
    Form(form): Form<Decision>,
) -> Result<Redirect, WebError> {
    let address = format!("/approvals/{id}");
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(address));
    };
    let reason = [form.phrase.trim(), form.reason.trim()];
    let reason: Vec<&str> = reason.into_iter().filter(|part| !part.is_empty()).collect();
    let now = act.now;
    let decided = people::decide(
        act.conn(),
        id,
        form.digest,
        form.verdict,
        &reason.join(": "),
        &me,
        now,
    )
    .await;
    match decided {
        Ok(_) => {
            act.commit().await?;
            Ok(see(address))
        }
        Err(error) => {
            let incident = approvals::find(act.conn(), id)
                .await
                .ok()
                .flatten()
                .map(|approval| approval.incident);
            drop(act);
            let fault = WebError::from(error).with_next(address, "Back to the request");
            Err(match incident {
                Some(incident) => act::explain(&app, fault, incident, form.seen).await,
                None => fault,
            })
        }
    }
}
