//! Secrets: read where a reference points to, at each use, and shown to nobody.

use std::{collections::BTreeMap, fmt};

use futures_util::future::BoxFuture;

use super::{invalid, redact::Redactor};
use crate::domain::{
    action::Failure,
    target::{SecretRef, Target},
};

/// The longest secret: a key file, not a data file.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// A secret value. It prints as dots; only [`Secret::reveal`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Holds a value that must not be shown.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the socket or the child process that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads the value a reference points to on this machine; why it cannot be read otherwise, without the value.
    pub async fn resolve(reference: &SecretRef) -> Result<Self, Failure> {
        Self::resolve_in(&Machine, reference).await
    }

    /// The same from another store.
    pub async fn resolve_in(store: &dyn SecretStore, reference: &SecretRef) -> Result<Self, Failure> {
        let name = String::from(reference.clone());
        match store.read(reference).await {
            Ok(value) if value.0.is_empty() => Err(invalid(format!("secret {name} is empty"))),
            Ok(value) => Ok(value),
            Err(reason) => Err(invalid(format!("secret {name} {reason}"))),
        }
    }
}

/// Somewhere secrets are kept. A vault is one more of these: see [`super::Outside::with_secrets`].
pub trait SecretStore: Send + Sync {
    /// The value behind a reference; else why there is none, as the end of a sentence that begins with the reference and
    /// holds nothing of a value.
    fn read<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Secret, String>>;
}

/// The environment of this process and the files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl SecretStore for Machine {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Secret, String>> {
        Box::pin(async move {
            let value = match reference {
                SecretRef::Env(name) => std::env::var(name).map_err(|error| match error {
                    std::env::VarError::NotPresent => "is not set".to_owned(),
                    std::env::VarError::NotUnicode(_) => "cannot be read: it is not UTF-8 text".to_owned(),
                }),
                SecretRef::File(path) => read(path)
                    .await
                    .map_err(|reason| format!("cannot be read: {reason}")),
            };
            value.map(Secret)
        })
    }
}

async fn read(path: &str) -> Result<String, String> {
    let about = tokio::fs::metadata(path)
        .await
        .map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if about.len() > SECRET_BYTES_MAX {
        return Err(format!("it is larger than {SECRET_BYTES_MAX} bytes"));
    }
    let bytes = tokio::fs::read(path).await.map_err(|error| error.to_string())?;
    let mut value = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    Ok(value)
}

/// The secrets of one target, open for one call, with the certificates it refers to.
pub(super) struct Vault {
    secrets: BTreeMap<SecretRef, Secret>,
    /// Public, so nothing hides them in an answer.
    certificates: BTreeMap<SecretRef, Secret>,
}

impl Vault {
    /// Reads everything the target refers to. What is missing fails here, before anything is sent.
    pub(super) async fn open(target: &Target, store: &dyn SecretStore) -> Result<Self, Failure> {
        Ok(Self {
            secrets: read_all(target.secrets(), store).await?,
            certificates: read_all(target.certificates(), store).await?,
        })
    }

    /// What a reference of the target leads to.
    pub(super) fn get(&self, reference: &SecretRef) -> Result<&Secret, Failure> {
        self.secrets
            .get(reference)
            .or_else(|| self.certificates.get(reference))
            .ok_or_else(|| invalid("a secret of this target was not read"))
    }

    /// What hides all secrets of the target in what comes back.
    pub(super) fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets.values())
    }
}

async fn read_all(
    references: Vec<&SecretRef>,
    store: &dyn SecretStore,
) -> Result<BTreeMap<SecretRef, Secret>, Failure> {
    let mut found = BTreeMap::new();
    for reference in references {
        found.insert(reference.clone(), Secret::resolve_in(store, reference).await?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reference_gives_its_value_or_a_failure_that_names_it() {
        let folder = std::env::temp_dir().join(format!("muster-secret-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        std::fs::write(path("good"), "s3cret\n\r\n").unwrap();
        std::fs::write(path("empty"), "\n").unwrap();
        std::fs::write(path("binary"), [0xff, 0xfe]).unwrap();
        std::fs::write(path("large"), vec![b'x'; 20_000]).unwrap();

        let good = Secret::resolve(&SecretRef::File(path("good"))).await.unwrap();
        assert_eq!(
            (good.reveal(), format!("{good:?}").as_str()),
            ("s3cret\n", "Secret(…)")
        );
        let env = Secret::resolve(&SecretRef::Env("CARGO_PKG_NAME".to_owned())).await;
        assert_eq!(env.unwrap().reveal(), "muster");
        let folder_itself = folder.to_string_lossy().into_owned();
        for (reference, reason) in [
            (SecretRef::Env("MUSTER_NOT_SET".to_owned()), "not set"),
            (SecretRef::File(path("absent")), "No such file"),
            (SecretRef::File(path("empty")), "is empty"),
            (SecretRef::File(path("binary")), "not UTF-8"),
            (SecretRef::File(path("large")), "larger than"),
            (SecretRef::File(folder_itself), "regular file"),
            (SecretRef::File("/dev/zero".to_owned()), "regular file"),
        ] {
            let failure = Secret::resolve(&reference).await.unwrap_err();
            assert_eq!(failure.class, crate::domain::action::FailureClass::Invalid);
            assert!(
                failure.message.contains(reason) && failure.message.contains(&String::from(reference)),
                "{failure}"
            );
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
