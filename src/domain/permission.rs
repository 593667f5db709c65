//! What there is to be allowed: every route needs one of these, and each says which role has it by itself.

use std::fmt;

use super::operator::Role;

/// Something a person may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Read incidents, runs, runbooks, sources and what stands over every run.
    Read,
    /// Manage one's own account: password, passkeys, sessions, tokens.
    Account,
    /// Work on incidents: acknowledge, note, merge, fold, silence, resolve; send deliveries again and test alerts.
    Respond,
    /// Start, steer and rehearse runs.
    Run,
    /// Pause all automation.
    Pause,
    /// Decide at gates; each gate says for itself who may.
    Decide,
    /// Open a gate alone, with a reason and a review to follow.
    BreakGlass,
    /// Undo a pause, close circuits, make freezes and routing rules.
    Oversee,
    /// Close the review of a gate that somebody opened alone.
    Review,
    /// Publish versions of runbooks, and review those of others.
    Publish,
    /// Read who decided what.
    Audit,
    /// Make and change sources and their tokens.
    Sources,
    /// Invite people, change their roles and teams, end their sessions.
    People,
}

impl Permission {
    /// All of them, the least role first.
    pub const ALL: [Self; 13] = [
        Self::Read,
        Self::Account,
        Self::Respond,
        Self::Run,
        Self::Pause,
        Self::Decide,
        Self::BreakGlass,
        Self::Oversee,
        Self::Review,
        Self::Publish,
        Self::Audit,
        Self::Sources,
        Self::People,
    ];

    /// Its name in tokens, files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Account => "account",
            Self::Respond => "respond",
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Decide => "decide",
            Self::BreakGlass => "break-glass",
            Self::Oversee => "oversee",
            Self::Review => "review",
            Self::Publish => "publish",
            Self::Audit => "audit",
            Self::Sources => "sources",
            Self::People => "people",
        }
    }

    /// The permission of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// What it lets a person do, after "may".
    pub fn words(self) -> &'static str {
        match self {
            Self::Read => "read incidents, runs and runbooks",
            Self::Account => "manage their own account",
            Self::Respond => "respond to incidents",
            Self::Run => "start and steer runs",
            Self::Pause => "pause all automation",
            Self::Decide => "decide at gates",
            Self::BreakGlass => "open a gate alone",
            Self::Oversee => "release a pause, close circuits, make freezes and routing rules",
            Self::Review => "close the review of a gate opened alone",
            Self::Publish => "publish runbooks",
            Self::Audit => "read the audit",
            Self::Sources => "change sources and their tokens",
            Self::People => "manage people",
        }
    }

    /// The least role that has it.
    pub fn least(self) -> Role {
        match self {
            Self::Read | Self::Account => Role::Viewer,
            Self::Respond | Self::Run | Self::Pause | Self::Decide | Self::BreakGlass => Role::Responder,
            Self::Oversee | Self::Review | Self::Publish | Self::Audit => Role::Approver,
            Self::Sources | Self::People => Role::Admin,
        }
    }

    /// Whether a token may carry it. What needs a person in front of it stays with people: their own account, other
    /// people's rights, and every decision at a gate.
    pub fn fits_a_token(self) -> bool {
        !matches!(
            self,
            Self::Account | Self::Decide | Self::BreakGlass | Self::Review | Self::People
        )
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_the_list_is_whole() {
        for permission in Permission::ALL {
            assert_eq!(Permission::named(permission.name()), Some(permission));
        }
        assert_eq!(Permission::named("root"), None);
        assert!(Permission::ALL.is_sorted_by_key(|permission| permission.least()));
    }
}
