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
    domain::id::OperatorId,
    store::{
        StoreError,
        acts::{self, ActKind},
    },
};

/// Writes down what happened to somebody's ways in, in the transaction in which it happens. `by` is who did it, as far
/// as that is known: nobody for a sign-in that failed.
pub async fn note(
    conn: &mut PgConnection,
    kind: ActKind,
    subject: &str,
    how: &str,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    acts::insert(conn, kind, subject, how, by, now).await
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
