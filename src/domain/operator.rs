//! People and the other actors behind an event.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{OperatorId, SourceId};

/// What a person may do; each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Acknowledges, notes, starts and stops runs, resolves.
    Responder,
    /// Decides at gates.
    Approver,
    /// Everything.
    Admin,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Responder, Self::Approver, Self::Admin];

    /// Its name in files, commands and the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A person who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Their number.
    pub id: OperatorId,
    /// What they sign in with and what others read.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The teams they are in, by name.
    pub teams: Vec<String>,
    /// What they showed to be let in, when they act just now.
    pub via: Via,
}

/// What somebody showed to be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "lowercase")]
pub enum Via {
    /// They are signed in in a browser.
    #[default]
    Session,
    /// A program showed a token of theirs.
    Token {
        /// Its number.
        id: i64,
        /// What it is for.
        name: String,
        /// The names of the permissions it carries.
        #[serde(skip)]
        scopes: Vec<String>,
    },
    /// They followed a link that was made for them, and are signed in.
    Link {
        /// Its number.
        id: i64,
    },
    /// They stood at the server's own terminal, where nobody signs in.
    Terminal,
}

impl Via {
    /// Whether it is the usual way.
    pub fn is_session(&self) -> bool {
        *self == Self::Session
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("session"),
            Self::Token { name, .. } => write!(f, "token {name}"),
            Self::Link { .. } => f.write_str("link"),
            Self::Terminal => f.write_str("terminal"),
        }
    }
}

/// Who or what caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum Actor {
    /// A person.
    Person {
        /// Their number.
        id: OperatorId,
        /// Their name at that time.
        name: String,
        /// What they showed. Left out for a session, so that the hashes of older events still hold.
        #[serde(default, skip_serializing_if = "Via::is_session")]
        via: Via,
    },
    /// A sender's delivery.
    Source {
        /// Which sender.
        id: SourceId,
        /// Its name at that time.
        name: String,
    },
    /// Muster itself: the engine, a timer, a rule.
    Automation,
    /// Whoever stands at the server's own terminal, where nobody signs in.
    Terminal,
    /// Somebody who has not shown who they are.
    Stranger,
}

/// What people read for [`Actor::Terminal`].
pub const TERMINAL: &str = "the command line";

impl Operator {
    /// This person as the cause of an event.
    pub fn actor(&self) -> Actor {
        Actor::Person {
            id: self.id,
            name: self.name.clone(),
            via: self.via.clone(),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { name, .. } | Self::Source { name, .. } => f.write_str(name),
            Self::Automation => f.write_str("Muster"),
            Self::Terminal => f.write_str(TERMINAL),
            Self::Stranger => f.write_str("a stranger"),
        }
    }
}
