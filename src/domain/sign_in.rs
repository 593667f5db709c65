//! How a person came in, and from where.

use std::time::Duration;

/// What opened a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Name and password.
    Password,
    /// A passkey of theirs.
    Passkey,
    /// A provider vouched for them; its issuer.
    Provider(String),
    /// One of their recovery codes.
    RecoveryCode,
    /// A link that works once: an invitation, or the one a demo prints.
    Link,
    /// The set-up of a first run.
    SetUp,
}

impl Way {
    /// Its name in the database and in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Provider(_) => "provider",
            Self::RecoveryCode => "recovery_code",
            Self::Link => "link",
            Self::SetUp => "set_up",
        }
    }

    /// The issuer, when a provider vouched.
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::Provider(issuer) => Some(issuer),
            _ => None,
        }
    }

    /// The way of that name; only `provider` has an issuer, and must.
    pub fn named(name: &str, provider: Option<String>) -> Option<Self> {
        Some(match (name, provider) {
            ("password", None) => Self::Password,
            ("passkey", None) => Self::Passkey,
            ("provider", Some(issuer)) => Self::Provider(issuer),
            ("recovery_code", None) => Self::RecoveryCode,
            ("link", None) => Self::Link,
            ("set_up", None) => Self::SetUp,
            _ => return None,
        })
    }

    /// For people: "password", "passkey", `https://id.example`.
    pub fn words(&self) -> &str {
        match self {
            Self::Provider(issuer) => issuer,
            Self::RecoveryCode => "recovery code",
            Self::SetUp => "set-up code",
            other => other.name(),
        }
    }
}

/// From where a request came, as far as it is kept with a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The address of the peer, or the one a trusted proxy says.
    pub address: String,
    /// What the browser says of itself, cut to [`USER_AGENT_CHARS_MAX`].
    pub user_agent: String,
}

/// An open page hears within this that its session has ended.
pub const NOTICED_WITHIN: Duration = Duration::from_secs(5);
/// Characters kept of what a browser says of itself.
pub const USER_AGENT_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_read_back_by_its_name() {
        for way in [
            Way::Password,
            Way::Passkey,
            Way::Provider("https://id.example".to_owned()),
            Way::RecoveryCode,
            Way::Link,
            Way::SetUp,
        ] {
            let provider = way.provider().map(str::to_owned);
            assert_eq!(Way::named(way.name(), provider), Some(way));
        }
        assert_eq!(Way::named("provider", None), None);
        assert_eq!(Way::named("password", Some("x".to_owned())), None);
    }
}
