//! What a gate asks for besides a word where what it lets through cannot be taken back: the name of what it acts on, typed,
//! and that the person has shown just now who they are. A phone that lies open on a table approves nothing of that kind.

use chrono::{DateTime, Utc};

use super::{
    approval::{Bound, BoundStep},
    span::Span,
};

/// How long a sign-in counts here.
pub const PRESENT_FOR: Span = Span::from_secs(5 * 60);

/// How somebody who acts has shown who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// When they signed in, in the browser they act from; `None` for a program that showed a token.
    pub since: Option<DateTime<Utc>>,
    /// Whether they did so with a passkey.
    pub by_passkey: bool,
    /// Whether they have one that can be used here: then nothing less will do.
    pub has_passkey: bool,
}

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// It is a program.
    #[error("it cannot be taken back, so a person lets it through in a browser, not by a token")]
    Person,
    /// Their passkey, used lately.
    #[error("it cannot be taken back, so it takes your passkey, used within the last {PRESENT_FOR}")]
    Passkey,
    /// A sign-in of lately.
    #[error("it cannot be taken back, so it takes a sign-in of the last {PRESENT_FOR}")]
    SignIn,
    /// The name of its target.
    #[error("it cannot be taken back: type {wanted} to let it through")]
    Name {
        /// What to type.
        wanted: String,
    },
}

/// The first thing of a request that nothing takes back; `None`: a word is enough.
pub fn irreversible(bound: &Bound) -> Option<&BoundStep> {
    bound.steps.iter().find(|step| step.irreversible)
}

impl Presence {
    /// What is missing for what cannot be taken back, whatever is typed.
    pub fn lacks(&self, now: DateTime<Utc>) -> Option<Lack> {
        let Some(since) = self.since else {
            return Some(Lack::Person);
        };
        let is_fresh = now - since <= PRESENT_FOR.as_delta();
        match self.has_passkey {
            true if !(self.by_passkey && is_fresh) => Some(Lack::Passkey),
            false if !is_fresh => Some(Lack::SignIn),
            _ => None,
        }
    }
}

/// Whether this person may let the request through. Phones write a capital first and a space last: neither matters.
pub fn suffices(bound: &Bound, presence: &Presence, typed: &str, now: DateTime<Utc>) -> Result<(), Lack> {
    let Some(step) = irreversible(bound) else {
        return Ok(());
    };
    if let Some(lack) = presence.lacks(now) {
        return Err(lack);
    }
    let wanted = &step.request.target;
    match typed.trim().to_lowercase() == wanted.to_lowercase() {
        true => Ok(()),
        false => Err(Lack::Name {
            wanted: wanted.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{action::Rendered, digest::Digest, step::ActionKind};

    fn bound(irreversible: &[bool]) -> Bound {
        let step = |(at, irreversible): (usize, &bool)| BoundStep {
            step: "drop".into(),
            title: "Drop it".to_owned(),
            request: Rendered {
                action: ActionKind::Http,
                target: format!("db-{at}"),
                with: serde_json::json!({}),
            },
            command: String::new(),
            target: Digest::ZERO,
            undo: None,
            changes: true,
            irreversible: *irreversible,
        };
        Bound {
            version: Digest::ZERO,
            gate: "ask".into(),
            steps: irreversible.iter().enumerate().map(step).collect(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_taken_back_takes_a_name_and_somebody_who_is_there() {
        let now = DateTime::from_timestamp(100_000, 0).unwrap();
        let signed_in = |age_s: i64, by_passkey, has_passkey| Presence {
            since: Some(now - chrono::TimeDelta::seconds(age_s)),
            by_passkey,
            has_passkey,
        };
        let name = Lack::Name {
            wanted: "db-1".to_owned(),
        };
        for (presence, typed, wanted) in [
            (Presence::default(), "db-1", Err(Lack::Person)),
            (signed_in(300, false, false), "db-1", Ok(())),
            (signed_in(301, false, false), "db-1", Err(Lack::SignIn)),
            (signed_in(1, false, true), "db-1", Err(Lack::Passkey)),
            (signed_in(301, true, true), "db-1", Err(Lack::Passkey)),
            (signed_in(300, true, true), " Db-1 ", Ok(())),
            (signed_in(1, true, true), "db-0", Err(name.clone())),
            (signed_in(1, true, true), "", Err(name)),
        ] {
            let told = suffices(&bound(&[false, true, true]), &presence, typed, now);
            assert_eq!(told, wanted, "{presence:?} {typed}");
        }
        let nobody = Presence::default();
        assert_eq!(suffices(&bound(&[false, false]), &nobody, "", now), Ok(()));
        assert_eq!(suffices(&bound(&[]), &nobody, "", now), Ok(()));
    }
}
