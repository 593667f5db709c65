//! The tokens of a person: which are there, the form for another one, and the text of one that was just made.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    layout::Frame,
    parts::{Ago, At, Hidden, Said, ago, at, hidden, said},
};
use crate::{
    domain::operator::Operator,
    rights::tokens::{Asked, DAYS_MAX, NAME_CHARS_MAX, scopes_of},
    store::api_tokens::ApiToken,
};

/// A token that was just made.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The whole of it.
    pub text: String,
    /// What it is for.
    pub name: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "me/tokens.html")]
pub struct TokensPage {
    frame: Frame,
    made: Option<Shown>,
    rows: Vec<Row>,
    scopes: Vec<Scope>,
    asked: Asked,
    fault: Option<(&'static str, String)>,
    name_max: usize,
    days_max: i64,
}

#[derive(Clone, Debug)]
struct Row {
    id: i64,
    name: Said,
    prefix: String,
    scopes: String,
    made: At,
    ends: At,
    is_over: bool,
    used: Option<Ago>,
}

#[derive(Clone, Debug)]
struct Scope {
    name: &'static str,
    words: &'static str,
    is_chosen: bool,
}

impl TokensPage {
    /// The page of this person, with what they typed into the form.
    pub fn of(
        frame: Frame,
        me: &Operator,
        kept: &[ApiToken],
        asked: Asked,
        made: Option<Shown>,
        fault: Option<(&'static str, String)>,
        now: DateTime<Utc>,
    ) -> Self {
        let row = |token: &ApiToken| Row {
            id: token.id,
            name: said(&token.name),
            prefix: token.prefix.clone(),
            scopes: token.scopes.join(", "),
            made: at(token.created_at, now),
            ends: at(token.expires_at, now),
            is_over: token.expires_at <= now,
            used: token.last_used_at.map(|used| ago(used, now)),
        };
        let scope = |permission: crate::domain::permission::Permission| Scope {
            name: permission.name(),
            words: permission.words(),
            is_chosen: asked.scopes.iter().any(|name| name == permission.name()),
        };
        Self {
            frame,
            made,
            rows: kept.iter().map(row).collect(),
            scopes: scopes_of(me).map(scope).collect(),
            asked,
            fault,
            name_max: NAME_CHARS_MAX,
            days_max: DAYS_MAX,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn fault_of(&self, field: &str) -> Option<&str> {
        self.fault
            .as_ref()
            .filter(|(at, _)| *at == field)
            .map(|(_, message)| message.as_str())
    }
}
