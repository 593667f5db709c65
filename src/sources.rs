//! What people do to sources: make and change them, close them to their sender, issue and revoke tokens. Each act leaves
//! a record of who did it, in the same transaction.

use std::fmt;

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use sqlx::PgConnection;

use crate::{
    domain::{
        act::{Act, ActKind, Object},
        digest::Digest,
        drill,
        fields::Fields,
        id::SourceId,
        operator::Actor,
        source::{AskedSettings, Fault, SourceSettings, check_name},
    },
    intake::mapping::Mapping,
    store::{
        StoreError, audit, drills,
        sources::{self, SOURCES_MAX, Source},
        tokens::{self, NewToken},
    },
};

/// How every token begins, so that people and scanners of leaked secrets know what it is.
pub const TOKEN_MARK: &str = "mst_";
/// The longest name of a token, in characters.
pub const TOKEN_NAME_CHARS_MAX: usize = 100;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// How much of a token is kept to tell it by: the mark and six characters, 36 of its 256 bits.
const PREFIX_CHARS: usize = TOKEN_MARK.len() + 6;
/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 2000;

/// Why something was not done to a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Somebody was faster.
    #[error("{message}")]
    Moved {
        /// What is true now.
        message: String,
    },
    /// What was asked cannot be; every fault, by field.
    #[error("{}", lines(.0))]
    Faulty(Vec<Fault>),
    /// The system gave no random bytes.
    #[error("no random bytes")]
    Random(#[source] getrandom::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn lines(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    lines.join("; ")
}

fn moved(message: impl Into<String>) -> SourceError {
    SourceError::Moved {
        message: message.into(),
    }
}

fn faulty(field: &'static str, message: impl Into<String>) -> SourceError {
    let message = message.into();
    SourceError::Faulty(vec![Fault { field, message }])
}

/// A token that was just issued; its text is nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its number.
    pub id: i64,
    /// What the sender must send. Shown once, kept nowhere.
    pub token: String,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({}, …)", self.id)
    }
}

/// One line of words: trimmed, with something in it and not too long.
fn words(field: &'static str, text: &str, chars_max: usize) -> Result<String, SourceError> {
    let text = text.trim().replace(char::is_control, " ");
    if text.is_empty() {
        return Err(faulty(
            field,
            match field {
                "token_name" => "say in a few words who will use it",
                _ => "say in a few words why",
            },
        ));
    }
    match text.chars().count() > chars_max {
        true => Err(faulty(field, format!("it is longer than {chars_max} characters"))),
        false => Ok(text),
    }
}

/// The settings that are asked for, or every fault in them, those of a mapping included.
pub fn checked(asked: &AskedSettings) -> Result<SourceSettings, Vec<Fault>> {
    let settings = asked.check()?;
    match settings.mapping.as_ref().map(Mapping::read) {
        Some(Err(fault)) => Err(vec![Fault {
            field: "mapping",
            message: fault.to_string(),
        }]),
        _ => Ok(settings),
    }
}

/// Somebody makes a source; it has no token yet.
pub async fn make(
    conn: &mut PgConnection,
    name: &str,
    asked: &AskedSettings,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<SourceId, SourceError> {
    let name = name.trim();
    let (named, settings) = (check_name(name), checked(asked));
    let settings = match (named, settings) {
        (Ok(()), Ok(settings)) => settings,
        (named, settings) => {
            let faults = named.err().into_iter().chain(settings.err().unwrap_or_default());
            return Err(SourceError::Faulty(faults.collect()));
        }
    };
    let Some(id) = sources::insert(conn, name, &settings, now).await? else {
        return Err(match sources::find_by_name(conn, name).await? {
            Some(_) => faulty(
                "name",
                "a source has this name; choose another one, or change that one",
            ),
            None => faulty(
                "name",
                format!("there are {SOURCES_MAX} sources, which is the most"),
            ),
        });
    };
    let settings = (settings.format.title(), settings.fields());
    let act = Act::new(by.clone(), ActKind::SourceMade, Object::source(name), settings.0);
    audit::insert(conn, &act.changing(Fields::default(), settings.1), now).await?;
    Ok(id)
}

/// Somebody changes the settings of a source that they saw at `revision`. Settings that are as they were leave no
/// record.
pub async fn change(
    conn: &mut PgConnection,
    name: &str,
    revision: i64,
    asked: &AskedSettings,
    reason: &str,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<(), SourceError> {
    let source = find(conn, name).await?;
    let (reason, settings) = match (words("reason", reason, REASON_CHARS_MAX), checked(asked)) {
        (Ok(reason), Ok(settings)) => (reason, settings),
        (reason, settings) => {
            let mut faults = settings.err().unwrap_or_default();
            if let Err(SourceError::Faulty(more)) = reason {
                faults.extend(more);
            }
            return Err(SourceError::Faulty(faults));
        }
    };
    let stale = || moved("somebody changed this source meanwhile; nothing was done");
    if source.revision != revision {
        return Err(stale());
    }
    let (before, after) = Fields::difference(&source.settings.fields(), &settings.fields());
    if after.is_empty() {
        return Ok(());
    }
    if !sources::update(conn, source.id, revision, &settings).await? {
        return Err(stale());
    }
    let act = Act::new(by.clone(), ActKind::SourceChanged, Object::source(name), &reason);
    audit::insert(conn, &act.changing(before, after), now).await?;
    Ok(())
}

/// Somebody closes a source: from now on its tokens open nothing.
pub async fn disable(
    conn: &mut PgConnection,
    name: &str,
    reason: &str,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<(), SourceError> {
    let source = find(conn, name).await?;
    let reason = words("reason", reason, REASON_CHARS_MAX)?;
    if !sources::disable(conn, source.id, now).await? {
        return Err(moved("this source is disabled already; nothing was done"));
    }
    let act = Act::new(by.clone(), ActKind::SourceDisabled, Object::source(name), &reason);
    audit::insert(conn, &act.changing(state("open"), state("disabled")), now).await?;
    Ok(())
}

/// Somebody opens a source again, to the tokens it had.
pub async fn enable(
    conn: &mut PgConnection,
    name: &str,
    reason: &str,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<(), SourceError> {
    let source = find(conn, name).await?;
    let reason = words("reason", reason, REASON_CHARS_MAX)?;
    if !sources::enable(conn, source.id).await? {
        return Err(moved("this source is not disabled; nothing was done"));
    }
    let act = Act::new(by.clone(), ActKind::SourceEnabled, Object::source(name), &reason);
    audit::insert(conn, &act.changing(state("disabled"), state("open")), now).await?;
    Ok(())
}

/// Somebody issues a token of a source, and says who will use it.
pub async fn issue(
    conn: &mut PgConnection,
    name: &str,
    token_name: &str,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<Issued, SourceError> {
    let source = find(conn, name).await?;
    let token_name = words("token_name", token_name, TOKEN_NAME_CHARS_MAX)?;
    let token = new_token().map_err(SourceError::Random)?;
    let prefix = &token[..PREFIX_CHARS];
    let new = NewToken {
        hash: Digest::of_bytes(token.as_bytes()),
        name: &token_name,
        prefix,
    };
    let Some(id) = tokens::insert(conn, source.id, new, now).await? else {
        return Err(moved(format!(
            "{} tokens open this source, which is the most; revoke one of them first",
            tokens::LIVE_MAX
        )));
    };
    let object = Object::source_token(name, &format!("{prefix}…"));
    let after = Fields::of([("name", token_name.clone()), ("prefix", prefix.to_owned())]);
    let act = Act::new(by.clone(), ActKind::TokenIssued, object, &token_name);
    audit::insert(conn, &act.changing(Fields::default(), after), now).await?;
    Ok(Issued { id, token })
}

/// Somebody takes a token away.
pub async fn revoke(
    conn: &mut PgConnection,
    name: &str,
    id: i64,
    reason: &str,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<(), SourceError> {
    let source = find(conn, name).await?;
    let reason = words("reason", reason, REASON_CHARS_MAX)?;
    let Some(token) = tokens::revoke(conn, source.id, id, now).await? else {
        return Err(match tokens::exists(conn, source.id, id).await? {
            true => moved("this token is revoked already; nothing was done"),
            false => SourceError::NotFound("token of this source"),
        });
    };
    let which = match token.prefix.is_empty() {
        true => token.name.clone(),
        false => format!("{}… ({})", token.prefix, token.name),
    };
    let before = Fields::of([("name", token.name), ("prefix", token.prefix)]);
    let act = Act::new(
        by.clone(),
        ActKind::TokenRevoked,
        Object::source_token(name, &which),
        &reason,
    );
    audit::insert(conn, &act.changing(before, Fields::default()), now).await?;
    Ok(())
}

fn state(name: &str) -> Fields {
    Fields::of([("state", name.to_owned())])
}

/// The source of that name; that of a drill is nobody's to look at.
pub async fn find(conn: &mut PgConnection, name: &str) -> Result<Source, SourceError> {
    let found = sources::find_by_name(conn, name).await?;
    let source = found.ok_or(SourceError::NotFound("source"))?;
    match drills::of_source(conn, source.id).await? {
        None => Ok(source),
        Some(drill) => Err(moved(format!(
            "{name} is the sender of {}; it goes with its drill, and nobody else sets or uses it",
            drill::name(drill)
        ))),
    }
}

/// 256 random bits as text, with the mark.
fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{TOKEN_MARK}{}", BASE64URL_NOPAD.encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_marked_random_and_not_printed() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert!(
            one.starts_with(TOKEN_MARK) && one.len() == TOKEN_MARK.len() + 43,
            "{one}"
        );
        assert_ne!(one, other);
        let issued = Issued { id: 7, token: one };
        assert_eq!(format!("{issued:?}"), "Issued(7, …)");
    }
}
