//! What people decide about new episodes: rules made and ended. Each act needs a reason and leaves a record of who did
//! it, in the same transaction.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    control::{because, instant, moved, refused},
    people::PeopleError,
};
use crate::{
    domain::{
        audit::{Act, ActKind, Fields, Object},
        freeze::line,
        id::RoutingRuleId,
        operator::Operator,
        routing::{AskedRule, RuleFault},
    },
    store::{StoreError, audit, routing, sources},
};

/// Why a rule was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A field cannot stay as it is.
    #[error(transparent)]
    Faulty(#[from] RuleFault),
    /// Something else.
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl From<StoreError> for MakeError {
    fn from(error: StoreError) -> Self {
        Self::People(error.into())
    }
}

/// A person makes a rule, for one source when it is named.
pub async fn make(
    conn: &mut PgConnection,
    asked: &AskedRule,
    source: &str,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<RoutingRuleId, MakeError> {
    let faulty = |field, message: String| MakeError::Faulty(RuleFault { field, message });
    let reason = because(reason).map_err(|error| match error {
        PeopleError::Refused { message } => faulty("reason", message),
        error => error.into(),
    });
    let source = match source.trim() {
        "" => None,
        name => match sources::find_by_name(conn, name).await? {
            Some(source) => Some(source),
            None => return Err(faulty("source", format!("there is no source named \"{name}\""))),
        },
    };
    let asked = AskedRule {
        is_for_one: source.is_some(),
        ..asked.clone()
    };
    let new = asked.check(now)?;
    let reason = reason?;
    let id = routing::insert(
        conn,
        &new,
        source.as_ref().map(|source| source.id),
        &reason,
        by.id,
        now,
    )
    .await?;
    let Some(id) = id else {
        let full = format!("{} rules stand; end one first", routing::RULES_MAX);
        return Err(refused(full).into());
    };
    let after = Fields::of([
        ("title", new.title.clone()),
        ("terms", new.terms.words()),
        (
            "source",
            source
                .as_ref()
                .map_or_else(String::new, |source| source.name.clone()),
        ),
        ("matchers", line(&new.matchers)),
        ("place", new.place.to_string()),
    ]);
    let mut about = vec![new.terms.words()];
    about.extend(source.map(|source| format!("source {}", source.name)));
    if !new.matchers.is_empty() {
        about.push(line(&new.matchers));
    }
    let subject = format!("{} ({})", new.title, about.join("; "));
    let object = Object::routing_rule(id, &subject);
    let act = Act::new(by.actor(), ActKind::RoutingRuleMade, object, &reason);
    audit::insert(conn, &act.changing(Fields::default(), after), now).await?;
    Ok(id)
}

/// A person ends a rule. What it holds and still fires is placed at the next turn of the timers.
pub async fn end(
    conn: &mut PgConnection,
    id: RoutingRuleId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let reason = because(reason)?;
    let rules = routing::list(conn, now).await?;
    let Some(title) = routing::end(conn, id, by.id, now).await? else {
        return Err(match routing::exists(conn, id).await? {
            true => moved("this rule is over; nothing was done"),
            false => PeopleError::NotFound("routing rule"),
        });
    };
    let stood = rules.iter().find(|rule| rule.id == id);
    let before = stood.map_or_else(Fields::default, |rule| {
        Fields::of([
            ("terms", rule.terms.words()),
            ("source", rule.source_name.clone().unwrap_or_default()),
            ("matchers", line(&rule.matchers)),
        ])
    });
    let after = Fields::of([("ended_at", instant(now))]);
    let object = Object::routing_rule(id, &title);
    let act = Act::new(by.actor(), ActKind::RoutingRuleEnded, object, &reason);
    audit::insert(conn, &act.changing(before, after), now).await?;
    Ok(())
}
