//! Why somebody may do something or may not, as one sentence. It asks the very functions that let people through, so that
//! what it says is what would happen.

use super::{
    access::{self, Access, Denial, Grant},
    approval::{Refusal, may_break, may_decide},
    id::OperatorId,
    operator::{Operator, Role},
    permission::Permission,
    step::GateRule,
};

/// What somebody would do.
#[derive(Clone, Copy, Debug)]
pub enum Deed<'a> {
    /// Something that is nobody's in particular.
    Anything(Permission),
    /// Start and steer runs of a runbook.
    Run(&'a Access),
    /// Publish a version of a runbook that names the same people as the one that stands.
    Publish(&'a Access),
    /// Decide at a gate, on a run that this person started, if one did.
    Decide(&'a GateRule, Option<OperatorId>),
    /// Open a gate alone.
    BreakGlass(&'a GateRule, &'a Access),
}

/// An answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether they may.
    pub may: bool,
    /// The same in words, with the reason: it begins with "yes" or "no".
    pub sentence: String,
}

/// Whether somebody may, as every path asks it.
pub fn judge(person: &Operator, deed: Deed<'_>) -> Result<Grant, Refusal> {
    match deed {
        Deed::Anything(permission) => Ok(access::may(person, permission)?),
        Deed::Run(access) => Ok(access::may_within(person, Permission::Run, &access.start)?),
        Deed::Publish(access) => Ok(access::may_publish(person, Some(access), access)?),
        Deed::Decide(rule, requester) => may_decide(rule, person, requester),
        Deed::BreakGlass(rule, access) => may_break(rule, &access.start, person),
    }
}

/// Whether somebody may, and why.
pub fn explain(person: &Operator, deed: Deed<'_>) -> Explanation {
    let answer = judge(person, deed);
    let (may, why) = match &answer {
        Ok(grant) => (true, granted(person, grant, deed)),
        Err(refusal) => (false, refused(person, refusal, deed)),
    };
    let sentence = match may {
        true => format!("yes, because {why}"),
        false => format!("no: {why}"),
    };
    Explanation { may, sentence }
}

fn granted(person: &Operator, grant: &Grant, deed: Deed<'_>) -> String {
    let name = &person.name;
    let subject = match deed {
        Deed::Decide(..) => "the gate",
        _ => "the runbook",
    };
    match grant {
        Grant::Role(role) => format!(
            "{name} has the role {role}, which may {}",
            permission(deed).words()
        ),
        Grant::NamedRole(Role::Admin) => match deed {
            Deed::Decide(..) => format!("{name} is an admin, who decides at every gate that asks for roles"),
            _ => format!("{name} is an admin, who is among those that any runbook names"),
        },
        Grant::NamedRole(role) => format!("{name} has the role {role}, which {subject} names"),
        Grant::Team(team) => format!("{name} is in the team {team}, which {subject} names"),
        Grant::Person => format!("{subject} names {name}"),
    }
}

fn refused(person: &Operator, refusal: &Refusal, deed: Deed<'_>) -> String {
    let name = &person.name;
    match refusal {
        Refusal::Denied(Denial::Role { needed, actual }) => format!(
            "{name} has the role {actual}, and only {needed} or more may {}",
            permission(deed).words()
        ),
        Refusal::Denied(Denial::Circle { wanted }) => {
            format!("the runbook names {wanted}, and {name} is not among them")
        }
        Refusal::Denied(denial @ (Denial::Scope(_) | Denial::Token)) => denial.to_string(),
        Refusal::Role { wanted, actual } => {
            format!("the gate asks for the role {wanted}, and {name} has the role {actual}")
        }
        Refusal::Named { wanted } => format!("the gate names {wanted}, and {name} is not among them"),
        Refusal::Requester => format!("{name} started this run, and the gate wants somebody else"),
        Refusal::Unbreakable => {
            "the gate cannot be opened alone: its runbook says break_glass: false".to_owned()
        }
    }
}

fn permission(deed: Deed<'_>) -> Permission {
    match deed {
        Deed::Anything(permission) => permission,
        Deed::Run(_) => Permission::Run,
        Deed::Publish(_) => Permission::Publish,
        Deed::Decide(..) => Permission::Decide,
        Deed::BreakGlass(..) => Permission::BreakGlass,
    }
}

#[cfg(test)]
mod tests;
