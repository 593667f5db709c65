//! `/settings/people`: who is here, what each may do, and the teams they are in.

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::KeepsPeople,
    error::WebError,
    extract::Path,
    page,
    session::{self, SessionToken},
    sources::base,
    state::AppState,
    view::{
        layout::Place,
        people::{Gates, PeoplePage, PersonPage, Refused, Typed},
    },
};
use crate::{
    domain::{approval, id::OperatorId, operator::Operator},
    rights::{RightsError, people, teams},
    store::{
        self, operators, people as rows,
        runbooks::{self, Version},
    },
};

const PAGE: &str = "/settings/people";

/// The fields of these forms; each form has some of them. A team comes once for each box that is ticked.
#[derive(Debug, Default)]
struct PeopleForm {
    op: Option<Uuid>,
    typed: Typed,
}

impl PeopleForm {
    fn read(fields: Vec<(String, String)>) -> Result<(Uuid, Typed), WebError> {
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "op" => form.op = value.parse().ok(),
                "name" => form.typed.name = value,
                "role" => form.typed.role = value,
                "team" => form.typed.teams.push(value),
                "reason" => form.typed.reason = value,
                _ => {}
            }
        }
        let op = form
            .op
            .ok_or_else(|| WebError::unreadable("The form has no operation id; reload the page."))?;
        Ok((op, form.typed))
    }
}

/// `GET /settings/people`
pub async fn list(State(app): State<AppState>, KeepsPeople(me): KeepsPeople) -> Result<Response, WebError> {
    list_page(&app, &me, Typed::default(), None).await
}

async fn list_page(
    app: &AppState,
    me: &Operator,
    typed: Typed,
    fault: Option<Refused>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let people = rows::list(&mut tx, None, now).await?;
    let teams = store::teams::list(&mut tx).await?;
    let gates = Gates::of(
        &runbooks::list_current(&mut tx).await?,
        &operators::list(&mut tx).await?,
    );
    let frame = page::frame(app, &mut tx, me, "People", Place::People, now).await?;
    let status = status_of(fault.as_ref());
    let page = PeoplePage::of(frame, &people, &gates, teams, typed, fault, now);
    Ok((status, Html(page.render()?)).into_response())
}

fn status_of(fault: Option<&Refused>) -> StatusCode {
    match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    }
}

/// `POST /settings/people`: invites somebody and answers with the page that shows their link, this once.
pub async fn invite(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    session: SessionToken,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    session::need_fresh(&app, session, PAGE).await?;
    let (op, typed) = PeopleForm::read(fields)?;
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see(PAGE).into_response());
    };
    let new = people::NewPerson {
        name: typed.name.clone(),
        role: typed.role.clone(),
        teams: typed.teams.clone(),
    };
    let now = act.now;
    match people::invite(act.conn(), &new, &me, now).await {
        Ok(invited) => {
            act.commit().await?;
            let link = link(&app, &headers, &invited.code);
            person_page(&app, &me, invited.id, Some(link), Typed::default(), None).await
        }
        Err(RightsError::Faulty { field, message }) => {
            drop(act);
            let fault = Refused::new("invite", field, message);
            list_page(&app, &me, typed, Some(fault)).await
        }
        Err(error) => Err(WebError::from(error).with_next(PAGE, "Back to People")),
    }
}

/// The address by which somebody comes in.
fn link(app: &AppState, headers: &HeaderMap, code: &str) -> String {
    format!("{}/enter/{code}", base(app, headers).trim_end_matches('/'))
}

/// `GET /settings/people/{id}`
pub async fn show(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(id): Path<OperatorId>,
) -> Result<Response, WebError> {
    person_page(&app, &me, id, None, Typed::default(), None).await
}

async fn person_page(
    app: &AppState,
    me: &Operator,
    id: OperatorId,
    link: Option<String>,
    typed: Typed,
    fault: Option<Refused>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let person = people::find(&mut tx, id, now).await?;
    let teams = store::teams::list(&mut tx).await?;
    let (versions, everybody) = (
        runbooks::list_current(&mut tx).await?,
        operators::list(&mut tx).await?,
    );
    let gates = Gates::of(&versions, &everybody);
    let shut = shut_without(id, &versions, everybody);
    let frame = page::frame(app, &mut tx, me, person.name.clone(), Place::People, now).await?;
    let status = status_of(fault.as_ref());
    let page = PersonPage::of(frame, &person, teams, (&gates, shut), link, (typed, fault), now);
    Ok((status, Html(page.render()?)).into_response())
}

/// The gates of the runbooks in use that too few people could open without this one, as `runbook: gate`.
fn shut_without(id: OperatorId, versions: &[Version], everybody: Vec<Operator>) -> Vec<String> {
    let mut others = everybody;
    others.retain(|person| person.id != id);
    let gates = versions.iter().flat_map(|version| {
        let gates = version.runbook.gates();
        gates.map(|(step, rule)| (format!("{}: {step}", version.runbook.slug), rule))
    });
    gates
        .filter(|(_, rule)| !approval::within_reach(rule, &others))
        .map(|(name, _)| name)
        .collect()
}

/// What one of the forms of a person's page does.
#[derive(Clone, Copy)]
enum Change {
    Role,
    Teams,
    Disable,
    Enable,
    EndSessions,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Teams => "teams",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::EndSessions => "sessions",
        }
    }
}

async fn change(
    app: &AppState,
    me: &Operator,
    id: OperatorId,
    change: Change,
    fields: Vec<(String, String)>,
) -> Result<Response, WebError> {
    let (op, typed) = PeopleForm::read(fields)?;
    let page = format!("{PAGE}/{id}");
    let Some(mut act) = Act::begin(app, op, me).await? else {
        return Ok(see(page).into_response());
    };
    let (now, conn, why) = (act.now, act.conn(), &typed.reason);
    let done = match change {
        Change::Role => people::set_role(conn, id, &typed.role, why, me, now).await,
        Change::Teams => people::set_teams(conn, id, &typed.teams, why, me, now).await,
        Change::Disable => people::disable(conn, id, why, me, now).await,
        Change::Enable => people::enable(conn, id, why, me, now).await,
        Change::EndSessions => people::end_sessions(conn, id, why, me, now).await,
    };
    match done {
        Ok(()) => {
            act.commit().await?;
            Ok(see(page).into_response())
        }
        Err(RightsError::Faulty { field, message }) => {
            drop(act);
            let fault = Refused::new(change.name(), field, message);
            person_page(app, me, id, None, typed, Some(fault)).await
        }
        Err(error) => Err(WebError::from(error).with_next(page, "Back")),
    }
}

macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident => $change:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub async fn $name(
            State(app): State<AppState>,
            KeepsPeople(me): KeepsPeople,
            Path(id): Path<OperatorId>,
            Form(fields): Form<Vec<(String, String)>>,
        ) -> Result<Response, WebError> {
            change(&app, &me, id, Change::$change, fields).await
        }
    )*};
}

changes! {
    /// `POST /settings/people/{id}/role`
    set_role => Role,
    /// `POST /settings/people/{id}/teams`
    set_teams => Teams,
    /// `POST /settings/people/{id}/disable`
    disable => Disable,
    /// `POST /settings/people/{id}/enable`
    enable => Enable,
    /// `POST /settings/people/{id}/end-sessions`
    end_sessions => EndSessions,
}

/// `POST /settings/people/{id}/invite`: another link, which is then the only good one.
pub async fn invite_again(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    session: SessionToken,
    headers: HeaderMap,
    Path(id): Path<OperatorId>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let page = format!("{PAGE}/{id}");
    session::need_fresh(&app, session, &page).await?;
    let (op, _) = PeopleForm::read(fields)?;
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see(page).into_response());
    };
    let now = act.now;
    let code = people::invite_again(act.conn(), id, &me, now)
        .await
        .map_err(|error| WebError::from(error).with_next(page, "Back"))?;
    act.commit().await?;
    let link = link(&app, &headers, &code);
    person_page(&app, &me, id, Some(link), Typed::default(), None).await
}

/// `POST /settings/teams`
pub async fn make_team(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let (op, typed) = PeopleForm::read(fields)?;
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see(PAGE).into_response());
    };
    let now = act.now;
    match teams::make(act.conn(), &typed.name, &me, now).await {
        Ok(()) => {
            act.commit().await?;
            Ok(see(PAGE).into_response())
        }
        Err(RightsError::Faulty { field, message }) => {
            drop(act);
            let fault = Refused::new("team", field, message);
            list_page(&app, &me, typed, Some(fault)).await
        }
        Err(error) => Err(WebError::from(error).with_next(PAGE, "Back to People")),
    }
}

/// `POST /settings/teams/{name}/end`
pub async fn end_team(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(name): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let (op, _) = PeopleForm::read(fields)?;
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see(PAGE).into_response());
    };
    let now = act.now;
    teams::end(act.conn(), &name, &me, now)
        .await
        .map_err(|error| WebError::from(error).with_next(PAGE, "Back to People"))?;
    act.commit().await?;
    Ok(see(PAGE).into_response())
}
