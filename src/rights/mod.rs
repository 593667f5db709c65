//! What is done to people's rights: their roles and teams, inviting and disabling them, and the tokens that act for
//! them. Each act leaves a record of who did it, in the same transaction.

pub mod people;
pub mod teams;
pub mod tokens;

use crate::{identity::IdentityError, store::StoreError};

/// Why something was not done to somebody's rights.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Somebody was faster, or it is so already.
    #[error("{0}")]
    Moved(String),
    /// A field holds what cannot be.
    #[error("{field}: {message}")]
    Faulty {
        /// The field, as forms and JSON name it.
        field: &'static str,
        /// What it must be.
        message: String,
    },
    /// The system gave no random bytes.
    #[error("no random bytes")]
    Random(#[from] getrandom::Error),
    /// Their ways in.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn faulty(field: &'static str, message: impl Into<String>) -> RightsError {
    let message = message.into();
    RightsError::Faulty { field, message }
}

fn moved(message: impl Into<String>) -> RightsError {
    RightsError::Moved(message.into())
}

/// One line of words: trimmed, without control characters, with something in it and not too long.
fn words(field: &'static str, text: &str, chars_max: usize, ask: &str) -> Result<String, RightsError> {
    let text = text.trim().replace(char::is_control, " ");
    if text.is_empty() {
        return Err(faulty(field, ask));
    }
    match text.chars().count() > chars_max {
        true => Err(faulty(field, format!("it is longer than {chars_max} characters"))),
        false => Ok(text),
    }
}
