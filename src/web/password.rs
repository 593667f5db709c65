//! Passwords: argon2id, a few at a time, off the threads that answer pages.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

/// What one hash costs: 46 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 46 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once: bounds the memory that a flood of sign-ins can take.
const AT_ONCE: usize = 2;

/// The shortest password a person may choose.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// The longest; more would only be hashed for nothing.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// A hash of a password nobody has, checked for names nobody has, so that both answers take the same time.
const NOBODY: &str =
    "$argon2id$v=19$m=47104,t=2,p=1$bm9ib2R5LW5vYm9keQ$RO5Dw6kWO4zC4BYXKAdDFGHSHNAvLLTKsUlHMvwvQnM";

/// Why a password could not be hashed: never the password's fault.
#[derive(Debug, thiserror::Error)]
#[error("hashing failed: {0}")]
pub struct HashError(String);

/// Hashes and checks; clones share the places.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Passwords {
    /// The hash to keep.
    pub async fn hash(&self, password: String) -> Result<String, HashError> {
        self.work(move || {
            argon2()?
                .hash_password(password.as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|error| HashError(error.to_string()))
        })
        .await
    }

    /// Whether it is the password; as slow without a hash as with one.
    pub async fn check(&self, password: String, hash: Option<String>) -> Result<bool, HashError> {
        self.work(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            let hash = PasswordHash::new(&hash).map_err(|error| HashError(error.to_string()))?;
            Ok(argon2()?.verify_password(password.as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let _place = self
            .0
            .acquire()
            .await
            .map_err(|error| HashError(error.to_string()))?;
        tokio::task::spawn_blocking(job)
            .await
            .map_err(|error| HashError(error.to_string()))?
    }
}

/// Says what is wrong with a password a person wants to choose.
pub fn fault(password: &str) -> Option<String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Some(format!("use at least {PASSWORD_CHARS_MIN} characters"));
    }
    (password.len() > PASSWORD_BYTES_MAX).then(|| format!("use at most {PASSWORD_BYTES_MAX} bytes"))
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| HashError(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_name_passes() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=47104,t=2,p=1$"), "{hash}");
        let check = |password: &str, hash: Option<String>| {
            let passwords = passwords.clone();
            let password = password.to_owned();
            async move { passwords.check(password, hash).await.unwrap() }
        };
        assert!(check("correct horse", Some(hash.clone())).await);
        assert!(!check("wrong horse", Some(hash)).await);
        assert!(!check("correct horse", None).await);
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(fault("short").is_some());
        assert!(fault(&"x".repeat(PASSWORD_BYTES_MAX + 1)).is_some());
        assert!(fault("long enough").is_none());
    }
}
