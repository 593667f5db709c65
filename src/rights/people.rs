//! People: invited, given a role and teams, disabled and enabled. Whatever changes what somebody may do ends their
//! sessions, so that what they could do in an open page is what they may do now.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{RightsError, faulty, moved, words};
use crate::{
    domain::{
        audit::{Act, ActKind, Fields, Object},
        id::OperatorId,
        operator::{Operator, Role},
    },
    identity::account,
    store::{
        audit,
        people::{self, Changed, Person},
        teams,
    },
};

/// The longest name of a person, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 2000;

/// Somebody to be invited.
#[derive(Clone, Debug, Default)]
pub struct NewPerson {
    /// What they will sign in with.
    pub name: String,
    /// Name of their role.
    pub role: String,
    /// Names of their teams.
    pub teams: Vec<String>,
}

/// Somebody who was just invited.
#[derive(Debug)]
pub struct Invited {
    /// Their number.
    pub id: OperatorId,
    /// What the link `/enter/{code}` ends with; it stands nowhere else.
    pub code: String,
}

/// One person.
pub async fn find(
    conn: &mut PgConnection,
    id: OperatorId,
    now: DateTime<Utc>,
) -> Result<Person, RightsError> {
    let found = people::list(conn, Some(id), now).await?.pop();
    found.ok_or(RightsError::NotFound("person"))
}

fn role(name: &str) -> Result<Role, RightsError> {
    Role::named(name).ok_or_else(|| faulty("role", "it is viewer, responder, approver or admin"))
}

fn reason(text: &str) -> Result<String, RightsError> {
    words("reason", text, REASON_CHARS_MAX, "say in a few words why")
}

/// Checks that there are such teams.
async fn known_teams(conn: &mut PgConnection, names: &[String]) -> Result<(), RightsError> {
    let known = teams::list(conn).await?;
    match names
        .iter()
        .find(|name| known.iter().all(|team| team.name != **name))
    {
        Some(name) => Err(faulty("teams", format!("there is no team {name:?}"))),
        None => Ok(()),
    }
}

/// Adds a person and makes the link by which they come in.
pub async fn invite(
    conn: &mut PgConnection,
    new: &NewPerson,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<Invited, RightsError> {
    let ask = "say what they will sign in with";
    let name = words("name", &new.name, NAME_CHARS_MAX, ask)?;
    let role = role(&new.role)?;
    known_teams(conn, &new.teams).await?;
    let Some(id) = people::insert(conn, &name, role, now).await? else {
        return Err(faulty("name", "somebody has this name; choose another one"));
    };
    teams::set_of(conn, id, &new.teams).await?;
    let act = Act::new(by.actor(), ActKind::PersonMade, Object::person(id, &name), "");
    let after = Fields::of([("role", role.to_string()), ("teams", new.teams.join(", "))]);
    audit::insert(conn, &act.changing(Fields::default(), after), now).await?;
    let code = account::invite(conn, id, Some(by.id), now).await?;
    Ok(Invited { id, code })
}

/// Makes another link for a person: the one before was lost or is too old, or they forgot their password.
pub async fn invite_again(
    conn: &mut PgConnection,
    id: OperatorId,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<String, RightsError> {
    if find(conn, id, now).await?.disabled_at.is_some() {
        return Err(moved("they are disabled; enable them first"));
    }
    Ok(account::invite(conn, id, Some(by.id), now).await?)
}

/// Gives a person another role.
pub async fn set_role(
    conn: &mut PgConnection,
    id: OperatorId,
    to: &str,
    why: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    let (to, why) = (role(to)?, reason(why)?);
    let person = find(conn, id, now).await?;
    done(
        people::set_role(conn, id, to).await?,
        "they have this role, or are disabled",
    )?;
    let field = |role: Role| Fields::of([("role", role.to_string())]);
    account::end_sessions(conn, id, "their role changed", Some(by.id), now).await?;
    let act = act(&person, ActKind::PersonChanged, &why, by);
    audit::insert(conn, &act.changing(field(person.role), field(to)), now).await?;
    Ok(())
}

/// Puts a person into exactly these teams.
pub async fn set_teams(
    conn: &mut PgConnection,
    id: OperatorId,
    names: &[String],
    why: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    let why = reason(why)?;
    let person = find(conn, id, now).await?;
    known_teams(conn, names).await?;
    let mut wanted = names.to_vec();
    wanted.sort();
    wanted.dedup();
    if person.teams == wanted {
        return Err(moved("they are in these teams already; nothing was done"));
    }
    teams::set_of(conn, id, &wanted).await?;
    let field = |names: &[String]| Fields::of([("teams", names.join(", "))]);
    account::end_sessions(conn, id, "their teams changed", Some(by.id), now).await?;
    let act = act(&person, ActKind::PersonChanged, &why, by);
    audit::insert(conn, &act.changing(field(&person.teams), field(&wanted)), now).await?;
    Ok(())
}

/// Lets a person in no more: their sessions end and their tokens open nothing.
pub async fn disable(
    conn: &mut PgConnection,
    id: OperatorId,
    why: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    let why = reason(why)?;
    let person = find(conn, id, now).await?;
    done(people::disable(conn, id, now).await?, "they are disabled already")?;
    account::end_sessions(conn, id, "they were disabled", Some(by.id), now).await?;
    audit::insert(conn, &act(&person, ActKind::PersonDisabled, &why, by), now).await?;
    Ok(())
}

/// Lets a person in again, by what they had.
pub async fn enable(
    conn: &mut PgConnection,
    id: OperatorId,
    why: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    let why = reason(why)?;
    let person = find(conn, id, now).await?;
    done(people::enable(conn, id).await?, "they are not disabled")?;
    audit::insert(conn, &act(&person, ActKind::PersonEnabled, &why, by), now).await?;
    Ok(())
}

/// Ends all sessions of a person.
pub async fn end_sessions(
    conn: &mut PgConnection,
    id: OperatorId,
    why: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    let why = reason(why)?;
    find(conn, id, now).await?;
    account::end_sessions(conn, id, &why, Some(by.id), now).await?;
    Ok(())
}

fn act(person: &Person, kind: ActKind, why: &str, by: &Operator) -> Act {
    Act::new(by.actor(), kind, Object::person(person.id, &person.name), why)
}

fn done(changed: Changed, already: &str) -> Result<(), RightsError> {
    match changed {
        Changed::Done => Ok(()),
        Changed::Nothing => Err(moved(format!("{already}; nothing was done"))),
        Changed::LastAdmin => Err(moved(
            "they are the last admin who can sign in; make somebody else one first",
        )),
    }
}
