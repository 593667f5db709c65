//! Who may do what, and why: the role's answer, and the narrower one that a runbook or a gate gives for itself.

use serde::{Deserialize, Serialize};

use super::{
    operator::{Operator, Role, Via},
    permission::Permission,
};

/// The people a runbook or a gate names for something, besides what their role lets them do. An empty one names nobody
/// in particular, so the role alone decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circle {
    /// Everybody in one of these roles; an admin always is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Everybody in one of these teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// These people, by the name they sign in with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<String>,
}

/// Whom a runbook names for what may be done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// For starting its runs, steering them and opening their gates alone.
    #[serde(default, skip_serializing_if = "Circle::is_open")]
    pub start: Circle,
    /// For publishing its versions, and for reviewing those of others.
    #[serde(default, skip_serializing_if = "Circle::is_open")]
    pub publish: Circle,
}

impl Access {
    /// Whether it names nobody.
    pub fn is_open(&self) -> bool {
        self.start.is_open() && self.publish.is_open()
    }
}

/// Why somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Their role has it.
    Role(Role),
    /// Their role is among those named.
    NamedRole(Role),
    /// They are in a team that is named.
    Team(String),
    /// They are named.
    Person,
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Their role is too low.
    #[error("it needs the role {needed}; the role is {actual}")]
    Role {
        /// The least role that has it.
        needed: Role,
        /// Theirs.
        actual: Role,
    },
    /// Their token was not given it.
    #[error("the token does not carry {0}")]
    Scope(Permission),
    /// No token may do it.
    #[error("no token may do this; it needs a person who is signed in")]
    Token,
    /// They are not among those named.
    #[error("it is for {wanted} only")]
    Circle {
        /// Who is named.
        wanted: String,
    },
}

impl Circle {
    /// Whether it names nobody, so that the role alone decides.
    pub fn is_open(&self) -> bool {
        self.roles.is_empty() && self.teams.is_empty() && self.people.is_empty()
    }

    /// Whether somebody is named, or in a team that is.
    pub fn names(&self, person: &Operator) -> Option<Grant> {
        if self.people.contains(&person.name) {
            return Some(Grant::Person);
        }
        let team = self.teams.iter().find(|team| person.teams.contains(team));
        team.map(|team| Grant::Team(team.clone()))
    }

    /// Whether somebody is among those it admits, and as what.
    pub fn admits(&self, person: &Operator) -> Option<Grant> {
        let is_named = self.roles.contains(&person.role) || !self.is_open() && person.role == Role::Admin;
        self.names(person)
            .or_else(|| is_named.then_some(Grant::NamedRole(person.role)))
    }

    /// Who is named, in words.
    pub fn words(&self) -> String {
        let roles = self.roles.iter().map(|role| format!("the role {role}"));
        let teams = self.teams.iter().map(|team| format!("the team {team}"));
        let all: Vec<String> = roles.chain(teams).chain(self.people.iter().cloned()).collect();
        all.join(" or ")
    }
}

/// Whether the role, and the token where one is shown, let somebody do this at all.
pub fn may(person: &Operator, permission: Permission) -> Result<Grant, Denial> {
    if let Via::Token { scopes, .. } = &person.via {
        if !permission.fits_a_token() {
            return Err(Denial::Token);
        }
        if !scopes.contains(&permission.name().to_owned()) {
            return Err(Denial::Scope(permission));
        }
    }
    match person.role >= permission.least() {
        true => Ok(Grant::Role(person.role)),
        false => Err(Denial::Role {
            needed: permission.least(),
            actual: person.role,
        }),
    }
}

/// Whether somebody may publish a version of a runbook, or review one: as the version that stands names people, where
/// there is one, and as the new one does. So nobody lets themselves in, and nobody shuts themselves out.
pub fn may_publish(person: &Operator, standing: Option<&Access>, new: &Access) -> Result<Grant, Denial> {
    if let Some(standing) = standing {
        may_within(person, Permission::Publish, &standing.publish)?;
    }
    may_within(person, Permission::Publish, &new.publish)
}

/// The same where a runbook or a gate names its own people: both must agree.
pub fn may_within(person: &Operator, permission: Permission, circle: &Circle) -> Result<Grant, Denial> {
    let by_role = may(person, permission)?;
    if circle.is_open() {
        return Ok(by_role);
    }
    circle.admits(person).ok_or_else(|| Denial::Circle {
        wanted: circle.words(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::OperatorId;

    fn person(role: Role, via: Via) -> Operator {
        Operator {
            id: OperatorId(1),
            name: "ana".to_owned(),
            role,
            teams: vec!["storage".to_owned()],
            via,
        }
    }

    #[test]
    fn each_permission_is_refused_to_every_lesser_role_and_given_to_every_other() {
        for permission in Permission::ALL {
            for role in Role::ALL {
                let answer = may(&person(role, Via::Session), permission);
                assert_eq!(answer.is_ok(), role >= permission.least(), "{role} {permission}");
            }
        }
    }

    #[test]
    fn a_token_never_gives_more_than_its_scopes_nor_more_than_its_owner_has() {
        for permission in Permission::ALL {
            let token = |scopes: &[Permission]| Via::Token {
                id: 1,
                name: "ci".to_owned(),
                scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            };
            let all = may(&person(Role::Admin, token(&Permission::ALL)), permission);
            assert_eq!(all.is_ok(), permission.fits_a_token(), "{permission}");
            assert!(may(&person(Role::Admin, token(&[])), permission).is_err());
            if permission.least() > Role::Viewer {
                assert!(may(&person(Role::Viewer, token(&Permission::ALL)), permission).is_err());
            }
        }
    }

    #[test]
    fn a_circle_narrows_what_the_role_gives_and_never_widens_it() {
        let named = |roles: &[Role], teams: &[&str], people: &[&str]| Circle {
            roles: roles.to_vec(),
            teams: teams.iter().map(|team| (*team).to_owned()).collect(),
            people: people.iter().map(|name| (*name).to_owned()).collect(),
        };
        let ask = |role, circle: &Circle| may_within(&person(role, Via::Session), Permission::Run, circle);
        for (circle, viewer, responder, admin) in [
            (named(&[], &[], &[]), false, true, true),
            (named(&[], &["storage"], &[]), false, true, true),
            (named(&[], &["web"], &[]), false, false, true),
            (named(&[Role::Approver], &[], &[]), false, false, true),
            (named(&[], &[], &["ana"]), false, true, true),
            (named(&[], &[], &["ben"]), false, false, true),
        ] {
            let answers = [Role::Viewer, Role::Responder, Role::Admin].map(|role| ask(role, &circle).is_ok());
            assert_eq!(answers, [viewer, responder, admin], "{circle:?}");
        }
        let denial = ask(Role::Responder, &named(&[Role::Admin], &["web"], &["ben"])).unwrap_err();
        assert_eq!(
            denial.to_string(),
            "it is for the role admin or the team web or ben only"
        );
    }
}
