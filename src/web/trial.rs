//! Trying a source out: a test alert that goes the real way and is resolved at once, and a pasted body that is only read.
//!
//! # Design notes
//!
//! A test enters at the counter, behind the door: of its tokens Muster keeps only hashes, so it cannot show one, and a
//! third token made for the purpose would prove nothing of the sender's. The stage Token says so, with when a token was
//! last used. Everything after the door is what every delivery goes through. Nothing starts by itself on a test: its mark
//! travels with the delivery, not with a label that anybody could write.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, IntoResponse, Response},
};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{KeepsSources, Responds},
    error::WebError,
    extract::Path,
    page,
    sources::page_of,
    state::AppState,
    view::{
        delivery::WayPage,
        format,
        layout::Place,
        text,
        trial::{TriedAlert, TriedPage},
    },
    way,
};
use crate::{
    domain::{alert::AlertStatus, operator::Operator},
    intake::{
        CORRELATE_BY, Format,
        mapping::Mapping,
        sample::{LABEL, Sample},
    },
    receive::{
        counter::{Handed, Stage, Went},
        parcel::{self, Letter},
        signature,
        spool::record::{Head, Record},
    },
    store::{
        self, StoreError,
        deliveries::Headers,
        sources::{self, Source},
    },
};

/// How long the alert of a test is said to have fired.
const FIRED_FOR: TimeDelta = TimeDelta::seconds(30);
/// Over which time a source's pulse is asked for; a test only needs when its token was used.
const PULSE_SPAN: TimeDelta = TimeDelta::hours(1);
/// What a person should know about a test.
const NOTE: &str = "The test's alert is resolved already; its incident recovers by itself after the hold-down. No runbook \
                    starts by itself on it.";

/// A test and what became of it.
pub struct Trial {
    /// Which, as the label `muster_test` has it.
    pub id: String,
    /// The way of the firing body, and of the resolved one.
    pub ways: Vec<Handed>,
}

/// A form without fields.
#[derive(Debug, Deserialize)]
pub struct TestForm {
    op: Uuid,
}

/// `POST /sources/{name}/test`: sends a test, and answers with the stages of its way. Sent twice it leads to the source.
pub async fn test(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(name): Path<String>,
    Form(form): Form<TestForm>,
) -> Result<Response, WebError> {
    let back = page_of(&name);
    match Act::begin(&app, form.op, &me).await? {
        Some(act) => act.commit().await?,
        None => return Ok(see(back).into_response()),
    }
    let trial = send_test(&app, &me, &name)
        .await
        .map_err(|error| error.with_next(back.as_str(), format!("Back to {name}")))?;
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let title = format!("Test {} of {name}", trial.id);
    let frame = page::frame(&app, &mut tx, &me, title, Place::Sources, now).await?;
    let titles = ["It fires", "It is resolved"];
    let ways: Vec<(&'static str, &Handed)> = titles.into_iter().zip(&trial.ways).collect();
    let page = WayPage::of(frame, (&back, &name), &ways, NOTE);
    Ok(Html(page.render()?).into_response())
}

/// Sends an alert that fires and its resolve, in the format of the source, each by the way of every delivery.
pub async fn send_test(app: &AppState, me: &Operator, name: &str) -> Result<Trial, WebError> {
    let counter = way::counter(app)?;
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let source = way::open_source(&mut conn, name).await?;
    let began = app.clock.now();
    let pulses = sources::list_pulses(&mut conn, Some(source.id), began - PULSE_SPAN).await?;
    drop(conn);
    let used = pulses.first().and_then(|pulse| pulse.token_used_at);
    let used = match used {
        Some(used) => format!(
            "a token of this source was last used {} ago",
            format::rough(began - used)
        ),
        None => "no token of this source was ever used".to_owned(),
    };
    let door = way::stage(
        "Token",
        Went::LeftOut,
        format!("left out: Muster keeps only hashes of tokens, so it cannot show one; {used}"),
    );
    let format = Format::from_name(source.settings.format.name())
        .ok_or_else(|| WebError::refused("The format of this source cannot be tested."))?;
    let id = Uuid::new_v4().simple().to_string()[..8].to_owned();
    let mut ways = Vec::new();
    for status in [AlertStatus::Firing, AlertStatus::Resolved] {
        let body = made(&source, format, &id, status, began).map_err(WebError::refused)?;
        let mut before = vec![door.clone()];
        before.extend(certificate(app, &source));
        before.extend(signing(&source).await);
        let head = Head {
            source: source.id,
            format: format.name().to_owned(),
            remote: "Muster".to_owned(),
            user_agent: format!("a test by {}", text::cut(&me.name, 100)),
            received_at: app.clock.now(),
            headers: Headers::new(),
            replay_of: None,
            is_test: true,
        };
        let mut handed = counter
            .hand_in(source.clone(), format, Record { head, body }, ())
            .await;
        handed.stages.splice(0..0, before);
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        way::follow(&mut conn, &mut handed, began).await?;
        ways.push(handed);
    }
    Ok(Trial { id, ways })
}

fn made(
    source: &Source,
    format: Format,
    id: &str,
    status: AlertStatus,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<u8>, String> {
    let mapping = source.settings.mapping.as_ref().map(Mapping::read).transpose();
    let mapping = mapping.map_err(|fault| format!("The mapping of this source cannot be used: {fault}"))?;
    let by_default = CORRELATE_BY.map(str::to_owned);
    let correlate_by = match source.settings.correlate_by.is_empty() {
        true => &by_default[..],
        false => &source.settings.correlate_by,
    };
    let sample = Sample {
        id,
        status,
        starts_at: now - FIRED_FOR,
        now,
        correlate_by,
        mapping: mapping.as_ref(),
    };
    sample.body(format)
}

/// What every delivery must show to the door beside its token; `None` for a source whose token is enough.
fn certificate(app: &AppState, source: &Source) -> Option<Stage> {
    let name = source.settings.client_name.as_ref()?;
    let (went, why) = match app.asks_clients {
        true => (
            Went::LeftOut,
            format!("left out: every delivery must show one for {name}, whose key only the sender has"),
        ),
        false => (
            Went::Badly,
            format!(
                "every delivery must show one for {name}, and this Muster asks no client for one: nothing is taken"
            ),
        ),
    };
    Some(way::stage("Client certificate", went, why))
}

/// Whether the secret that the sender signs with can be read; `None` for a source without one.
async fn signing(source: &Source) -> Option<Stage> {
    Some(match signature::secret(source).await? {
        Ok(()) => way::stage(
            "Signature",
            Went::LeftOut,
            "left out: the secret can be read here; whether the sender has the same only its deliveries show",
        ),
        Err(failure) => way::stage("Signature", Went::Badly, failure.message),
    })
}

/// A body to try.
#[derive(Debug, Deserialize)]
pub struct TryForm {
    #[serde(default)]
    sample: String,
    /// A mapping instead of the source's; that one when empty.
    #[serde(default)]
    mapping: String,
}

/// `POST /sources/{name}/try`: reads a pasted body as the source would, and shows the alerts in it. Nothing is kept.
pub async fn attempt(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    Path(name): Path<String>,
    Form(form): Form<TryForm>,
) -> Result<Response, WebError> {
    let mapping = match form.mapping.trim() {
        "" => Ok(None),
        text => serde_json::from_str(text)
            .map(Some)
            .map_err(|error| format!("mapping: it is not JSON: {error}")),
    };
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let source = way_source(&mut tx, &name).await?;
    let read = mapping.and_then(|mapping| read(&source, form.sample.as_bytes(), mapping.as_ref(), now));
    let frame = page::frame(&app, &mut tx, &me, format!("Try {name}"), Place::Sources, now).await?;
    let page = TriedPage::of(frame, &source, form.sample, form.mapping, read, now);
    Ok(Html(page.render()?).into_response())
}

/// A source by its name, disabled or not.
pub async fn way_source(conn: &mut sqlx::PgConnection, name: &str) -> Result<Source, WebError> {
    let found = sources::find_by_name(conn, name).await?;
    found.ok_or_else(|| WebError::not_found("source"))
}

/// What a body says when it is read as a source's, or with another mapping: its alerts and a remark, or the fault.
pub fn read(
    source: &Source,
    body: &[u8],
    mapping: Option<&Value>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(Vec<TriedAlert>, String), String> {
    let mut source = source.clone();
    if let Some(mapping) = mapping {
        Mapping::read(mapping).map_err(|fault| format!("mapping: {fault}"))?;
        source.settings.mapping = Some(mapping.clone());
    }
    let source = Arc::new(source);
    let format = Format::from_name(source.settings.format.name()).ok_or("no such format")?;
    let record = Record {
        head: Head {
            source: source.id,
            format: format.name().to_owned(),
            remote: String::new(),
            user_agent: String::new(),
            received_at: now,
            headers: Headers::new(),
            replay_of: None,
            is_test: true,
        },
        body: body.to_vec(),
    };
    match parcel::read(&source, &record, format) {
        Ok(Letter::Groups(groups, remark)) => Ok((TriedAlert::all(&groups), remark)),
        Ok(Letter::Asks(_)) => Ok((Vec::new(), "the sender asks to be confirmed".to_owned())),
        Err(fault) => Err(fault.to_string()),
    }
}

/// The label by which a test is found.
pub fn label(trial: &Trial) -> String {
    format!("{LABEL}=\"{}\"", trial.id)
}
