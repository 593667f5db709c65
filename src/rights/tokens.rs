//! API tokens: a person makes one for a program of theirs, for some of what they may do and for some time.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{RightsError, faulty, moved, words};
use crate::{
    domain::{
        access,
        audit::{Act, ActKind, Fields, Object},
        operator::Operator,
        permission::Permission,
        token::{PERSONAL_MARK, RANDOM_BYTES, Token},
    },
    store::{
        api_tokens::{self, LIVE_MAX, NewApiToken},
        audit,
    },
};

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// How long a token is good when nobody says otherwise, in days.
pub const DAYS_USUAL: i64 = 90;
/// The longest a token may be good, in days: somebody has to look at it once a year.
pub const DAYS_MAX: i64 = 366;

/// What a person asks for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What it is for.
    pub name: String,
    /// Names of the permissions it is to carry.
    pub scopes: Vec<String>,
    /// For how many days.
    pub days: i64,
}

/// A token that was just made; its text is nowhere else.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its number.
    pub id: i64,
    /// The token.
    pub token: Token,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// What a person may give to a token: what they may do themselves, but for what needs a person.
pub fn scopes_of(person: &Operator) -> impl Iterator<Item = Permission> + '_ {
    let can = |permission: &Permission| permission.fits_a_token() && access::may(person, *permission).is_ok();
    Permission::ALL.into_iter().filter(can)
}

/// Makes a token of this person.
pub async fn make(
    conn: &mut PgConnection,
    by: &Operator,
    asked: &Asked,
    now: DateTime<Utc>,
) -> Result<Made, RightsError> {
    let ask = "say in a few words which program will use it";
    let name = words("name", &asked.name, NAME_CHARS_MAX, ask)?;
    let mut scopes = Vec::new();
    for scope in &asked.scopes {
        let found = scopes_of(by).find(|permission| permission.name() == scope);
        let Some(permission) = found else {
            let fault = match Permission::named(scope) {
                None => format!("there is no permission {scope:?}"),
                Some(known) if !known.fits_a_token() => format!("no token may {}", known.words()),
                Some(known) => format!("you may not {} yourself", known.words()),
            };
            return Err(faulty("scopes", fault));
        };
        if !scopes.contains(&permission.name().to_owned()) {
            scopes.push(permission.name().to_owned());
        }
    }
    if scopes.is_empty() {
        return Err(faulty("scopes", "choose what it may do"));
    }
    if !(1..=DAYS_MAX).contains(&asked.days) {
        return Err(faulty("days", format!("it can be good for 1 to {DAYS_MAX} days")));
    }
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)?;
    let token = Token::of(PERSONAL_MARK, random);
    let expires_at = now + TimeDelta::days(asked.days);
    let new = NewApiToken {
        operator: by.id,
        name: &name,
        prefix: token.prefix(),
        hash: token.digest(),
        scopes: &scopes,
        expires_at,
    };
    let Some(id) = api_tokens::insert(conn, &new, now).await? else {
        return Err(moved(format!(
            "you have a token of that name, or {LIVE_MAX} of them, which is the most; revoke one first"
        )));
    };
    let after = Fields::of([
        ("name", name.clone()),
        ("prefix", token.prefix().to_owned()),
        ("scopes", scopes.join(", ")),
        ("expires_at", expires_at.to_rfc3339()),
    ]);
    let act = Act::new(
        by.actor(),
        ActKind::ApiTokenIssued,
        Object::person(by.id, &by.name),
        "",
    );
    audit::insert(conn, &act.changing(Fields::default(), after), now).await?;
    Ok(Made {
        id,
        token,
        expires_at,
    })
}

/// Takes a token of this person away.
pub async fn revoke(
    conn: &mut PgConnection,
    by: &Operator,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    let name = api_tokens::revoke(conn, by.id, id, now)
        .await?
        .ok_or(RightsError::NotFound("token"))?;
    let act = Act::new(
        by.actor(),
        ActKind::ApiTokenRevoked,
        Object::person(by.id, &by.name),
        "",
    );
    audit::insert(
        conn,
        &act.changing(Fields::of([("name", name)]), Fields::default()),
        now,
    )
    .await?;
    Ok(())
}
