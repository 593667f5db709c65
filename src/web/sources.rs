//! Sources: the list, the page of one, and its forms. Everybody signed in may look, only admins see tokens and change.

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use chrono::TimeDelta;
use url::Url;

use super::{
    act::{Act, see},
    caller::{KeepsSources, Reads},
    error::WebError,
    extract::Path,
    page,
    source_form::{SourceForm, check_client_name},
    state::AppState,
    view::{
        delivery,
        layout::Place,
        source::{NewSourcePage, Refused, SourceFacts, SourcePage, SourceRow, SourcesPage, samples},
        source_settings::SettingsForm,
    },
};
use crate::{
    domain::{
        operator::{Operator, Role},
        source::{AskedSettings, Fault},
    },
    sources::{self as acts, SourceError},
    store::{
        self,
        sources::{self, Source},
        tokens,
    },
};

/// Over which time deliveries are counted.
pub const COUNTED_FOR: TimeDelta = TimeDelta::hours(24);
/// Deliveries on the page of a source.
const DELIVERIES_MAX: i64 = 20;
/// What the token is for that is made with its source.
pub const FIRST_TOKEN: &str = "made with the source";
/// The section that stands for a fault of the settings as a whole: they are not those that were seen.
const STALE: &str = "settings";
/// Who may change sources and see that a token exists.
const MAY_CHANGE: Role = Role::Admin;

/// `GET /sources`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    headers: HeaderMap,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Sources", Place::Sources, now).await?;
    let found = sources::list(&mut tx).await?;
    let pulses = sources::list_pulses(&mut tx, None, now - COUNTED_FOR).await?;
    // Both are read in one snapshot and in the same order.
    let rows = found.iter().zip(&pulses);
    let page = SourcesPage {
        frame,
        rows: rows
            .map(|(source, pulse)| SourceRow::of(source, pulse, now))
            .collect(),
        may_change: me.role >= MAY_CHANGE,
        samples: match found.is_empty() {
            true => samples(&base(&app, &headers)),
            false => Vec::new(),
        },
    };
    Ok(Html(page.render()?))
}

/// `GET /sources/new`
pub async fn new_form(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
) -> Result<Response, WebError> {
    new_page(&app, &me, String::new(), &AskedSettings::default(), Vec::new()).await
}

async fn new_page(
    app: &AppState,
    me: &Operator,
    name: String,
    asked: &AskedSettings,
    faults: Vec<Fault>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(app, &mut tx, me, "New source", Place::Sources, app.clock.now()).await?;
    let status = status(&faults);
    let settings = SettingsForm::of(asked, &faults, app.asks_clients);
    let page = NewSourcePage {
        frame,
        name,
        faults,
        settings,
    };
    Ok((status, Html(page.render()?)).into_response())
}

fn status(faults: &[Fault]) -> StatusCode {
    match faults {
        [] => StatusCode::OK,
        [fault] if fault.field == STALE => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// `POST /sources/new`: makes the source and a first token, and answers with the page that shows it. Sent again it leads
/// to the page without.
pub async fn make(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    headers: HeaderMap,
    Form(form): Form<SourceForm>,
) -> Result<Response, WebError> {
    let (name, asked) = (form.name.trim().to_owned(), form.asked());
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        // The name was good when the operation was done.
        return Ok(see(page_of(&name)).into_response());
    };
    let now = act.now;
    let made = match check_client_name(&app, act.conn(), &name, &asked).await {
        Ok(()) => acts::make(act.conn(), &name, &asked, &me.actor(), now).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(_) => {}
        Err(SourceError::Faulty(faults)) => {
            drop(act);
            return new_page(&app, &me, form.name, &asked, faults).await;
        }
        Err(error) => return Err(WebError::from(error).with_next("/sources", "Back to Sources")),
    }
    let issued = acts::issue(act.conn(), &name, FIRST_TOKEN, &me.actor(), now).await?;
    act.commit().await?;
    app.sources_changed().await;
    source_page(
        &app,
        &me,
        &headers,
        &name,
        Some(&issued.token),
        Refused::default(),
    )
    .await
}

/// `GET /sources/{name}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, WebError> {
    source_page(&app, &me, &headers, &name, None, Refused::default()).await
}

async fn source_page(
    app: &AppState,
    me: &Operator,
    headers: &HeaderMap,
    name: &str,
    issued: Option<&str>,
    refused: Refused,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let may_change = me.role >= MAY_CHANGE;
    let mut tx = store::begin_reading(&app.db).await?;
    let source: Source = acts::find(&mut tx, name).await?;
    let pulses = sources::list_pulses(&mut tx, Some(source.id), now - COUNTED_FOR).await?;
    let pulse = pulses.first().ok_or_else(|| WebError::not_found("source"))?;
    let tokens = match may_change {
        true => tokens::list(&mut tx, source.id).await?,
        false => Vec::new(),
    };
    let deliveries =
        store::deliveries::list_of_source(&mut tx, source.id, false, i64::MAX, DELIVERIES_MAX).await?;
    let frame = page::frame(app, &mut tx, me, name, Place::Sources, now).await?;
    let status = status(&refused.faults);
    let facts = SourceFacts {
        source: &source,
        pulse,
        tokens: &tokens,
        deliveries: deliveries.iter().map(|row| delivery::Row::of(row, now)).collect(),
        base: &base(app, headers),
        issued,
        refused,
        may_change,
        asks_clients: app.asks_clients,
    };
    Ok((status, Html(SourcePage::of(frame, facts, now).render()?)).into_response())
}

/// How senders reach Muster: the address people use, or else the one this request came to.
pub(super) fn base(app: &AppState, headers: &HeaderMap) -> String {
    if let Some(url) = &app.public_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let asked = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    // Only host and port of it: what else a header may hold is not pasted into anybody's shell.
    let fine = asked.filter(|url| url.username().is_empty() && url.password().is_none() && url.path() == "/");
    fine.map_or_else(
        || "http://MUSTER".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}

/// The address of a source's page.
pub fn page_of(name: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/sources/{name}")
}

/// `POST /sources/{name}`: its settings.
pub async fn change(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(form): Form<SourceForm>,
) -> Result<Response, WebError> {
    let asked = form.asked();
    let Some(seen) = form.seen else {
        return Err(WebError::unreadable(
            "The form does not say which settings it changes.",
        ));
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&name)).into_response());
    };
    let now = act.now;
    let done = match check_client_name(&app, act.conn(), &name, &asked).await {
        Ok(()) => acts::change(act.conn(), &name, seen, &asked, &form.reason, &me.actor(), now).await,
        Err(error) => Err(error),
    };
    let done = done.map_err(|error| match error {
        SourceError::Moved { message } => SourceError::Faulty(vec![Fault {
            field: STALE,
            message: format!(
                "{message}. What you typed stands here still; saving it again overwrites theirs"
            ),
        }]),
        error => error,
    });
    let refused = Refused {
        form: String::new(),
        asked: Some(asked),
        text: form.reason,
        faults: Vec::new(),
    };
    end(&app, act, done, &me, &headers, &name, refused).await
}

/// `POST /sources/{name}/disable`
pub async fn disable(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(form): Form<SourceForm>,
) -> Result<Response, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&name)).into_response());
    };
    let now = act.now;
    let done = acts::disable(act.conn(), &name, &form.reason, &me.actor(), now).await;
    let refused = of("disable", form.reason);
    end(&app, act, done, &me, &headers, &name, refused).await
}

/// `POST /sources/{name}/enable`
pub async fn enable(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(form): Form<SourceForm>,
) -> Result<Response, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&name)).into_response());
    };
    let now = act.now;
    let done = acts::enable(act.conn(), &name, &form.reason, &me.actor(), now).await;
    let refused = of("enable", form.reason);
    end(&app, act, done, &me, &headers, &name, refused).await
}

/// `POST /sources/{name}/tokens`: issues a token and answers with the page that shows it. Sent again it leads to the
/// page without: nobody can read a token twice.
pub async fn issue(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(form): Form<SourceForm>,
) -> Result<Response, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&name)).into_response());
    };
    let now = act.now;
    match acts::issue(act.conn(), &name, &form.token_name, &me.actor(), now).await {
        Ok(issued) => {
            act.commit().await?;
            app.sources_changed().await;
            source_page(
                &app,
                &me,
                &headers,
                &name,
                Some(&issued.token),
                Refused::default(),
            )
            .await
        }
        Err(error) => {
            let refused = of("tokens", form.token_name);
            end(&app, act, Err(error), &me, &headers, &name, refused).await
        }
    }
}

/// `POST /sources/{name}/tokens/{id}/revoke`
pub async fn revoke(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    headers: HeaderMap,
    Path((name, id)): Path<(String, i64)>,
    Form(form): Form<SourceForm>,
) -> Result<Response, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&name)).into_response());
    };
    let now = act.now;
    let done = acts::revoke(act.conn(), &name, id, &form.reason, &me.actor(), now).await;
    let refused = of(&format!("tokens/{id}/revoke"), form.reason);
    end(&app, act, done, &me, &headers, &name, refused).await
}

/// What was typed into one of the small forms.
fn of(form: &str, text: String) -> Refused {
    Refused {
        form: form.to_owned(),
        text,
        ..Refused::default()
    }
}

/// Commits and leads back to the page; a field that is wrong is shown on it, with what was typed.
async fn end(
    app: &AppState,
    act: Act,
    done: Result<(), SourceError>,
    me: &Operator,
    headers: &HeaderMap,
    name: &str,
    refused: Refused,
) -> Result<Response, WebError> {
    match done {
        Ok(()) => {
            act.commit().await?;
            app.sources_changed().await;
            Ok(see(page_of(name)).into_response())
        }
        Err(SourceError::Faulty(faults)) => {
            drop(act);
            let refused = Refused { faults, ..refused };
            source_page(app, me, headers, name, None, refused).await
        }
        Err(SourceError::NotFound(what)) => {
            Err(WebError::not_found(what).with_next("/sources", "Back to Sources"))
        }
        Err(error) => Err(WebError::from(error).with_next(page_of(name), format!("Back to {name}"))),
    }
}
