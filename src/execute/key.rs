//! Idempotency keys: the same for every attempt of a step in a run, on every replica, and no other.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::id::{RunId, StepId};

/// How much of the digest a key keeps: 130 bits.
const KEY_CHARS: usize = 26;

/// The key of a step of a run on a target. No attempt number, no fence, no time.
pub(super) fn idempotency_key(installation: Uuid, run: RunId, step: &StepId, target: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [
        installation.as_bytes().as_slice(),
        &run.0.to_be_bytes(),
        step.0.as_bytes(),
        target.as_bytes(),
    ] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut key = BASE32_NOPAD.encode(&hasher.finalize()).to_lowercase();
    key.truncate(KEY_CHARS);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_installation_run_step_and_target_only() {
        let key = |run, step: &str, target| idempotency_key(Uuid::nil(), RunId(run), &step.into(), target);
        assert_eq!(key(1, "promote", "a"), key(1, "promote", "a"));
        assert_eq!(key(1, "promote", "a").len(), KEY_CHARS);
        let others = [
            key(2, "promote", "a"),
            key(1, "promot", "ea"),
            key(1, "promote", "b"),
        ];
        assert!(others.iter().all(|other| *other != key(1, "promote", "a")));
    }
}
