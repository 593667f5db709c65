//! Explain access: may this person do that, and why. The answer comes from the functions that let people through.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::IntoParams;

use super::{
    caller::Reads,
    error::WebError,
    page,
    state::AppState,
    view::{
        access::{AccessPage, Choice},
        layout::Place,
        parts::said,
        text,
    },
};
use crate::{
    domain::{
        explain::{Deed, Explanation, explain},
        id::StepId,
        permission::Permission,
        step::{GateRule, StepKind},
    },
    store::{
        self, StoreError, operators,
        runbooks::{self, Version},
    },
};

/// A question about somebody's rights.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AccessQuery {
    /// Whose: the name they sign in with.
    #[serde(default)]
    pub person: String,
    /// What they would do: the name of a permission, like `run`, `publish`, `decide` or `break-glass`.
    #[serde(default)]
    pub action: String,
    /// The runbook it is about; the version in use counts.
    #[serde(default)]
    pub runbook: String,
    /// The gate of that runbook, by the name of its step.
    #[serde(default)]
    pub gate: String,
    /// Whether it is about a run that they started themselves.
    #[serde(default)]
    pub own: bool,
}

/// A question in words, and its answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The question.
    pub question: String,
    /// The answer.
    pub explanation: Explanation,
}

/// Answers a question; the error says which part of it names nothing.
pub async fn answer(
    conn: &mut PgConnection,
    query: &AccessQuery,
) -> Result<Result<Answer, String>, StoreError> {
    let Some(permission) = Permission::named(&query.action) else {
        return Ok(Err(format!("There is no action called \"{}\".", query.action)));
    };
    let found = operators::find_by_name(conn, &query.person).await?;
    let Some((person, _)) = found else {
        return Ok(Err(format!(
            "Nobody who can sign in is called \"{}\".",
            query.person
        )));
    };
    let version = match query.runbook.as_str() {
        "" => None,
        slug => match runbooks::find_newest(conn, slug).await? {
            Some((version, _)) => Some(version),
            None => return Ok(Err(format!("There is no runbook \"{slug}\"."))),
        },
    };
    let rule = match (&version, query.gate.as_str()) {
        (_, "") | (None, _) => None,
        (Some(version), gate) => match gate_of(version, gate) {
            Some(rule) => Some(rule),
            None => {
                let slug = &version.runbook.slug;
                return Ok(Err(format!("The runbook {slug} has no gate \"{gate}\".")));
            }
        },
    };
    let access = version.as_ref().map(|version| &version.runbook.access);
    let requester = query.own.then_some(person.id);
    let deed = match (permission, access, rule) {
        (Permission::Run, Some(access), _) => Deed::Run(access),
        (Permission::Publish, Some(access), _) => Deed::Publish(access),
        (Permission::Decide, Some(_), Some(rule)) => Deed::Decide(rule, requester),
        (Permission::BreakGlass, Some(access), Some(rule)) => Deed::BreakGlass(rule, access),
        _ => Deed::Anything(permission),
    };
    let about = match (deed, &version) {
        (Deed::Anything(_), _) | (_, None) => String::new(),
        (Deed::Decide(..) | Deed::BreakGlass(..), Some(version)) => {
            format!(": {} of {}", query.gate, version.runbook.slug)
        }
        (_, Some(version)) => format!(": {}", version.runbook.slug),
    };
    Ok(Ok(Answer {
        question: format!("May {} {}{about}?", person.name, permission.words()),
        explanation: explain(&person, deed),
    }))
}

fn gate_of<'a>(version: &'a Version, gate: &str) -> Option<&'a GateRule> {
    let step = version.runbook.step(&StepId::from(gate))?;
    match &step.kind {
        StepKind::Gate(rule) => Some(rule),
        _ => None,
    }
}

/// `GET /settings/access`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<AccessQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Who may do what", Place::Elsewhere, now).await?;
    let (answer, fault) = match query.person.is_empty() || query.action.is_empty() {
        true => (None, None),
        false => match answer(&mut tx, &query).await? {
            Ok(answer) => (Some(answer), None),
            Err(fault) => (None, Some(fault)),
        },
    };
    let people = operators::list(&mut tx).await?;
    let asked = match query.person.is_empty() {
        true => me.name.as_str(),
        false => query.person.as_str(),
    };
    let current = runbooks::list_current(&mut tx).await?;
    let none = Choice {
        value: String::new(),
        words: "No runbook in particular".to_owned(),
        is_chosen: query.runbook.is_empty(),
    };
    let page = AccessPage {
        frame,
        people: people
            .iter()
            .map(|person| Choice {
                is_chosen: person.name == asked,
                words: text::visible(&format!("{}, {}", person.name, person.role)),
                value: person.name.clone(),
            })
            .collect(),
        actions: Permission::ALL
            .into_iter()
            .map(|permission| Choice {
                is_chosen: permission.name() == query.action,
                words: permission.words().to_owned(),
                value: permission.name().to_owned(),
            })
            .collect(),
        runbooks: std::iter::once(none)
            .chain(current.iter().map(|version| Choice {
                is_chosen: version.runbook.slug == query.runbook,
                words: version.runbook.slug.clone(),
                value: version.runbook.slug.clone(),
            }))
            .collect(),
        gate: query.gate,
        own: query.own,
        answer: answer.map(|answer| {
            let Explanation { may, sentence } = answer.explanation;
            (
                said(&answer.question),
                may,
                said(&super::error::sentence(&sentence)),
            )
        }),
        fault,
    };
    Ok(Html(page.render()?))
}
