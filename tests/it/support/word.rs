//! What a person says at a gate that asks for no more than a word.

use muster::{
    domain::{approval::Verdict, digest::Digest, proof::Presence},
    execute::people::Word,
};

pub fn word(verdict: Verdict, digest: Digest, reason: &str) -> Word<'_> {
    Word {
        verdict,
        digest,
        reason,
        typed: "",
        presence: Presence::default(),
    }
}
