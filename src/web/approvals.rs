//! Gates: the inbox, the page of one request, the decision, and the other words a person has there.

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
    caller::{BreaksGlass, Decides, Reads, Responds},
    error::WebError,
    extract::Path,
    incidents, links, page,
    presence::Shown,
    reviews, runs as run_page,
    state::AppState,
    view::{
        approval::{ApprovalPage, ApprovalRecord},
        decision::{DecisionForm, Others},
        gate::ApprovalFacts,
        glass::GlassPage,
        inbox::{Inbox, InboxPage, LINES_MAX},
        layout::Place,
        text,
    },
};
use crate::{
    domain::{
        approval::{ApprovalState, Verdict},
        digest::Digest,
        drill::Depth,
        id::{ApprovalId, StepId},
        operator::Operator,
        proof::Presence,
    },
    execute::people::{self, LinkError, PeopleError, Word},
    store::{self, StoreError, approvals, coverage, drills, events, operators, precedents, runbooks, tracks},
};

/// Questions shown of a request.
const QUESTIONS_MAX: i64 = 50;

/// `GET /approvals`
pub async fn inbox(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let cursor = incidents::cursor(&mut tx, true).await?;
    let frame = page::frame(&app, &mut tx, &me, "Approvals", Place::Approvals, now)
        .await?
        .live(text::with_query(
            "/live",
            &[("scope", "approvals"), ("after", &cursor)],
        ));
    let inbox = read_inbox(&mut tx, &me, now).await?;
    Ok(Html(InboxPage { frame, inbox }.render()?))
}

/// What the inbox of this person holds.
pub async fn read_inbox(
    conn: &mut PgConnection,
    me: &Operator,
    now: DateTime<Utc>,
) -> Result<Inbox, StoreError> {
    let lately = Some(now - TimeDelta::hours(24));
    let lines = approvals::list_lines(conn, lately, LINES_MAX as i64 + 1).await?;
    let reviews = reviews::open(conn).await?;
    let runbooks = runbooks::list_current(conn).await?;
    Ok(Inbox::of(&lines, &reviews, &runbooks, me, now))
}

/// `GET /approvals/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<ApprovalId>,
    Shown(presence): Shown,
) -> Result<Html<String>, WebError> {
    page(&app, &me, presence, id, None).await
}

/// The page of a request, for a person who came by themselves, or by the link with this code.
pub async fn page(
    app: &AppState,
    me: &Operator,
    presence: Presence,
    id: ApprovalId,
    code: Option<String>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, app, id)
        .await?
        .ok_or_else(|| WebError::not_found("approval"))?;
    let seq = record.run.incident.last_seq;
    let title = format!(
        "{} · INC-{}",
        text::visible(&record.approval.title),
        record.approval.incident
    );
    let frame = page::frame(app, &mut tx, me, title, Place::Approvals, now)
        .await?
        .of_drill(record.run.incident.drill)
        .live(text::with_query(
            "/live",
            &[("scope", &format!("approval:{id}")), ("after", &seq.to_string())],
        ));
    let page = ApprovalPage {
        frame,
        facts: ApprovalFacts::of(&record, now),
        form: DecisionForm::of(&record, me, presence, code, seq, now),
        others: Others::of(&record, me, seq, now),
    };
    Ok(Html(page.render()?))
}

/// Everything known of a request.
pub async fn load(
    conn: &mut PgConnection,
    app: &AppState,
    id: ApprovalId,
) -> Result<Option<ApprovalRecord>, StoreError> {
    let Some(approval) = approvals::find(conn, id).await? else {
        return Ok(None);
    };
    let run = run_page::load(conn, &app.standing, approval.run)
        .await?
        .ok_or_else(|| StoreError::corrupt("approvals", "run_id", approval.run))?;
    let requester_name = match approval.requester {
        Some(person) => operators::find_name(conn, person).await?,
        None => None,
    };
    let changing = approval.bound.steps.iter().filter(|step| step.changes);
    let base = |step: &StepId| step.0.split('[').next().unwrap_or_default().to_owned();
    let sent: Vec<String> = changing.map(|step| base(&step.step)).collect();
    let undos: Vec<String> = sent.iter().map(|step| StepId(step.clone()).undo().0).collect();
    let runbook = run.version.runbook_id;
    let slug = run.version.runbook.slug.clone();
    let named = approval.bound.steps.iter().map(|step| &step.request.target);
    let environments = match run.incident.drill {
        // A target of a drill only shares its name with one that is real.
        Some(id) => {
            let depth = drills::find(conn, id).await?.map(|drill| drill.depth);
            let words = stands_in(depth);
            named.map(|name| (name.clone(), words.to_owned())).collect()
        }
        None => {
            let targets = app.rehearser.targets.borrow();
            let environment = |name: &String| Some((name.clone(), targets.0.get(name)?.environment.clone()?));
            named.filter_map(environment).collect()
        }
    };
    let mut tracks = tracks::list(conn, std::slice::from_ref(&slug)).await?;
    if let Some(track) = tracks.get_mut(&slug) {
        track.coverage = Some(coverage::find(conn, &run.version).await?.tally());
    }
    Ok(Some(ApprovalRecord {
        votes: approvals::votes(conn, id).await?,
        review: store::reviews::find_of(conn, id).await?,
        people: operators::list(conn).await?,
        precedent: precedents::find(conn, runbook, approval.run, &sent).await?,
        undone: precedents::find(conn, runbook, approval.run, &undos).await?,
        questions: events::list_questions(conn, approval.incident, id, QUESTIONS_MAX).await?,
        successor: approvals::find_successor(conn, &approval).await?,
        environments,
        stood: app.standing.snapshot(),
        track: tracks.remove(&slug),
        run,
        requester_name,
        approval,
    }))
}

/// What a target of a drill is, in place of its environment.
fn stands_in(depth: Option<Depth>) -> &'static str {
    match depth {
        Some(Depth::GameDay) => "DRILL target",
        Some(Depth::Tabletop) => "DRILL, nothing is sent",
        Some(Depth::Simulated) | None => "DRILL twin",
    }
}

/// The decision form.
#[derive(Debug, Deserialize)]
pub struct Decision {
    op: Uuid,
    seen: Option<i64>,
    digest: Digest,
    verdict: Verdict,
    /// That of the link by which the person came.
    #[serde(default)]
    code: String,
    /// The name of the target, where what is let through cannot be taken back.
    #[serde(default)]
    typed: String,
    #[serde(default)]
    phrase: String,
    #[serde(default)]
    reason: String,
}

/// `POST /approvals/{id}/decision`. Who may decide is the gate's own rule, so any signed-in person may ask.
pub async fn decide(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Shown(presence): Shown,
    Form(form): Form<Decision>,
) -> Result<Redirect, WebError> {
    let address = format!("/approvals/{id}");
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(address));
    };
    let reason = [form.phrase.trim(), form.reason.trim()];
    let reason: Vec<&str> = reason.into_iter().filter(|part| !part.is_empty()).collect();
    let now = act.now;
    let me = match form.code.as_str() {
        "" => me,
        code => {
            let hash = links::code_digest(code).ok_or(LinkError::Unknown)?;
            people::use_link(act.conn(), hash, id, &me, now).await?
        }
    };
    let word = Word {
        verdict: form.verdict,
        digest: form.digest,
        reason: &reason.join(": "),
        typed: &form.typed,
        presence,
    };
    let decided = people::decide(act.conn(), id, &word, &me, now).await;
    end(&app, act, decided.map(drop), id, form.seen).await
}

/// The forms below; each has some of these fields.
#[derive(Debug, Deserialize)]
pub struct GateForm {
    op: Uuid,
    seen: Option<i64>,
    digest: Option<Digest>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    typed: String,
    #[serde(default)]
    reason: String,
}

impl GateForm {
    fn digest(&self) -> Result<Digest, WebError> {
        self.digest
            .ok_or_else(|| WebError::unreadable("The form lacks the digest of what was shown."))
    }
}

/// `POST /approvals/{id}/send-back`. Who may is the gate's own rule, as for a decision.
pub async fn send_back(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Form(form): Form<GateForm>,
) -> Result<Redirect, WebError> {
    let digest = form.digest()?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(format!("/approvals/{id}")));
    };
    let now = act.now;
    let done = people::send_back(act.conn(), id, digest, &form.note, &me, now).await;
    end(&app, act, done, id, form.seen).await
}

/// `POST /approvals/{id}/read-again`. Who may is the gate's own rule, as for a decision.
pub async fn read_again(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Form(form): Form<GateForm>,
) -> Result<Redirect, WebError> {
    let digest = form.digest()?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(format!("/approvals/{id}")));
    };
    let now = act.now;
    let done = people::read_again(act.conn(), id, digest, &me, now).await;
    end(&app, act, done, id, form.seen).await
}

/// `POST /approvals/{id}/question`
pub async fn ask(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<ApprovalId>,
    Form(form): Form<GateForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(format!("/approvals/{id}")));
    };
    let now = act.now;
    let done = people::ask(act.conn(), id, &form.note, &me, now).await;
    end(&app, act, done, id, form.seen).await
}

/// `POST /approvals/{id}/withdraw`. Whoever gave it may, and whoever may decide at this gate.
pub async fn withdraw(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Form(form): Form<GateForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(format!("/approvals/{id}")));
    };
    let now = act.now;
    let done = people::withdraw(act.conn(), id, &form.reason, &me, now).await;
    end(&app, act, done, id, form.seen).await
}

/// `GET /approvals/{id}/break-glass`
pub async fn glass_form(
    State(app): State<AppState>,
    BreaksGlass(me): BreaksGlass,
    Path(id): Path<ApprovalId>,
    Shown(presence): Shown,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, &app, id)
        .await?
        .ok_or_else(|| WebError::not_found("approval"))?;
    let back = |fault: WebError| fault.with_next(format!("/approvals/{id}"), "Back to the request");
    let approval = &record.approval;
    if !approval.rule.break_glass {
        return Err(back(WebError::refused(
            "This gate cannot be opened alone: its runbook says break_glass: false.",
        )));
    }
    if approval.state != ApprovalState::Pending || approval.decide_by <= now {
        return Err(back(WebError::moved("this request does not wait any more")));
    }
    let title = format!("Open alone · {}", text::visible(&approval.title));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Approvals, now)
        .await?
        .of_drill(record.run.incident.drill);
    Ok(Html(GlassPage::of(frame, &record, &me, presence, now).render()?))
}

/// `POST /approvals/{id}/break-glass`
pub async fn break_glass(
    State(app): State<AppState>,
    BreaksGlass(me): BreaksGlass,
    Path(id): Path<ApprovalId>,
    Shown(presence): Shown,
    Form(form): Form<GateForm>,
) -> Result<Redirect, WebError> {
    let digest = form.digest()?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(format!("/approvals/{id}")));
    };
    let now = act.now;
    let word = Word {
        verdict: Verdict::Approve,
        digest,
        reason: &form.reason,
        typed: &form.typed,
        presence,
    };
    let done = people::break_glass(act.conn(), id, &word, &me, now).await;
    end(&app, act, done, id, form.seen).await
}

async fn end(
    app: &AppState,
    mut act: Act,
    done: Result<(), PeopleError>,
    id: ApprovalId,
    seen: Option<i64>,
) -> Result<Redirect, WebError> {
    let address = format!("/approvals/{id}");
    let Err(error) = done else {
        act.commit().await?;
        return Ok(see(address));
    };
    let found = approvals::find(act.conn(), id).await.ok().flatten();
    drop(act);
    let fault = WebError::from(error).with_next(address, "Back to the request");
    Err(match found {
        Some(approval) => act::explain(app, fault, approval.incident, seen).await,
        None => fault,
    })
}
