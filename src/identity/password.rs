//! Passwords: argon2id, a few at a time, off the threads that answer pages; and which ones a person may choose.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::breached;

/// What one hash costs: 46 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 46 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once: bounds the memory that a flood of sign-ins can take.
const AT_ONCE: usize = 2;

/// The shortest password a person may choose; ASVS 6.2.1 asks for 8.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// The length that people are advised to choose, as ASVS 6.2.1 does.
pub const PASSWORD_CHARS_ADVISED: usize = 15;
/// The longest; more would only be hashed for nothing. ASVS 6.2.9 asks for 64 characters at least.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// A hash of a password nobody has, checked for names nobody has, so that both answers take the same time.
const NOBODY: &str =
    "$argon2id$v=19$m=47104,t=2,p=1$bm9ib2R5LW5vYm9keQ$RO5Dw6kWO4zC4BYXKAdDFGHSHNAvLLTKsUlHMvwvQnM";

/// Why a password could not be hashed: never the password's fault.
#[derive(Debug, thiserror::Error)]
#[error("hashing failed: {0}")]
pub struct HashError(String);

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// It is the password of somebody.
    pub is_right: bool,
    /// Its hash was made with other parameters than today's, so it should be made anew.
    pub is_outdated: bool,
}

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

    /// Whether it is the password; as slow without a hash as with one, and as slow for one nobody can have chosen.
    pub async fn check(&self, mut password: String, hash: Option<String>) -> Result<Checked, HashError> {
        let hash = hash.filter(|_| password.len() <= PASSWORD_BYTES_MAX);
        if password.len() > PASSWORD_BYTES_MAX {
            password.clear();
        }
        self.work(move || {
            let is_known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            let parsed = PasswordHash::new(&hash).map_err(|error| HashError(error.to_string()))?;
            let is_right = argon2()?.verify_password(password.as_bytes(), &parsed).is_ok() && is_known;
            Ok(Checked {
                is_right,
                is_outdated: is_right && !hash.starts_with(&current()),
            })
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

/// Says what is wrong with a password that the person of that name wants to choose. There is no rule about kinds of
/// characters: it would only make people choose worse.
pub fn fault(password: &str, name: &str) -> Option<String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Some(format!(
            "use at least {PASSWORD_CHARS_MIN} characters; {PASSWORD_CHARS_ADVISED} or more are better, and a few words in a row are easy to keep in mind"
        ));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Some(format!("use at most {PASSWORD_BYTES_MAX} bytes"));
    }
    breached::fault(password, name).map(str::to_owned)
}

/// How a hash made today begins.
fn current() -> String {
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
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
        let right = Checked {
            is_right: true,
            is_outdated: false,
        };
        let wrong = Checked {
            is_right: false,
            is_outdated: false,
        };
        assert_eq!(check("correct horse", Some(hash.clone())).await, right);
        assert_eq!(check("wrong horse", Some(hash.clone())).await, wrong);
        assert_eq!(check("correct horse", None).await, wrong);
        let endless = "x".repeat(PASSWORD_BYTES_MAX + 1);
        let kept = passwords.hash(endless.clone()).await.unwrap();
        assert_eq!(
            check(&endless, Some(kept)).await,
            wrong,
            "nobody can have chosen it"
        );
    }

    #[tokio::test]
    async fn a_hash_made_with_other_parameters_is_told_apart() {
        let passwords = Passwords::default();
        let params = Params::new(19 * 1024, 2, 1, None).unwrap();
        let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password(b"correct horse")
            .unwrap()
            .to_string();
        let found = passwords
            .check("correct horse".to_owned(), Some(old.clone()))
            .await
            .unwrap();
        assert!(found.is_right && found.is_outdated);
        let found = passwords
            .check("wrong horse".to_owned(), Some(old))
            .await
            .unwrap();
        assert!(!found.is_right && !found.is_outdated);
    }

    #[test]
    fn short_endless_and_known_passwords_are_refused_and_others_are_not() {
        assert!(fault("short", "ana").unwrap().contains("at least 10"));
        assert!(fault(&"x".repeat(PASSWORD_BYTES_MAX + 1), "ana").is_some());
        assert!(fault("password123", "ana").is_some());
        for good in [
            "long enough",
            "correct horse battery",
            "пароль из четырёх слов",
            "日本語のパスワードです",
            " spaces at both ends ",
            "🐎🔋🖇️🐴🔌🪛🧷🧲🪜🧯",
        ] {
            assert_eq!(fault(good, "ana"), None, "{good}");
        }
    }
}
