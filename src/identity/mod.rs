//! How a person proves who they are: [`password`], [`passkey`], a provider ([`oidc`]), [`recovery`] codes, and links that
//! work once; and what ends their sessions ([`account`]).
//!
//! Nothing here answers a browser: that is `web::sign_in` and `web::me`, which call down.

pub mod code;

pub mod breached;
pub mod password;

pub mod oidc;
pub mod passkey;

pub mod account;
pub mod recovery;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        audit::{Act, ActKind, Fields, Object},
        id::OperatorId,
        operator::{Actor, Via},
    },
    store::{StoreError, audit, operators},
};

/// Writes down what happened to somebody's ways in, in the transaction in which it happens. `by` is who did it, as far
/// as that is known: nobody for a sign-in that failed, which Muster refused. `subject` is another person's name, the name of
/// a passkey, or empty for the person themselves; `how` says what else there is to say.
pub async fn note(
    conn: &mut PgConnection,
    kind: ActKind,
    subject: &str,
    how: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let person = match by {
        Some(id) => Some((id, operators::find_name(conn, id).await?.unwrap_or_default())),
        None => None,
    };
    let is_passkey = matches!(kind, ActKind::PasskeyAdded | ActKind::PasskeyRemoved);
    let object = match &person {
        Some((id, name)) if is_passkey || subject.is_empty() || subject == name => Object::person(*id, name),
        _ => Object::stranger(subject),
    };
    let actor = match person {
        Some((id, name)) => Actor::Person {
            id,
            name,
            via: Via::Session,
        },
        None if kind == ActKind::SignInFailed => Actor::Automation,
        None => Actor::Terminal,
    };
    let told = [("passkey", subject, is_passkey), ("how", how, !how.is_empty())];
    let told = told.into_iter().filter(|(.., is_told)| *is_told);
    let after: Fields = told.map(|(field, value, _)| (field, value.to_owned())).collect();
    let act = Act::new(actor, kind, object, "").changing(Fields::default(), after);
    audit::insert(conn, &act, now).await?;
    Ok(())
}

/// Why something about a person's ways in was not done.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A hash could not be made or read.
    #[error(transparent)]
    Hash(#[from] password::HashError),
    /// The system gave no random bytes.
    #[error("no random bytes")]
    Random(#[from] getrandom::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
