//! Signing in, setting up, entering by a link.

use askama::Template;

use super::layout::Frame;

/// The sign-in form.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/login.html")]
pub struct LoginPage {
    /// The frame.
    pub frame: Frame,
    /// Where to go afterwards.
    pub next: String,
    /// The page of recovery codes.
    pub recovery: String,
    /// The way to the identity provider, when there is one: address and name.
    pub provider: Option<(String, String)>,
    /// Whether passkeys can be used at this address.
    pub has_passkeys: bool,
    /// The name as it was typed.
    pub name: String,
    /// Why it did not work.
    pub fault: Option<String>,
}

/// The first person's form.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/setup.html")]
pub struct SetupPage {
    /// The frame.
    pub frame: Frame,
    /// The code as it was typed.
    pub code: String,
    /// The name as it was typed.
    pub name: String,
    /// What is wrong: the field's name and the words.
    pub faults: Vec<(&'static str, String)>,
}

/// The form of a recovery code.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/recovery.html")]
pub struct RecoveryPage {
    /// The frame.
    pub frame: Frame,
    /// Where to go afterwards.
    pub next: String,
    /// The other ways in.
    pub back: String,
    /// The name as it was typed.
    pub name: String,
    /// Why it did not work.
    pub fault: Option<String>,
}

/// A one-time link: who it is for, and a button; an invitation asks for a password.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/enter.html")]
pub struct EnterPage {
    /// The frame.
    pub frame: Frame,
    /// Where the button sends to.
    pub action: String,
    /// Who it signs in.
    pub name: String,
    /// Their role.
    pub role: &'static str,
    /// Whether they choose a password.
    pub chooses: bool,
    /// Why that one will not do.
    pub fault: Option<String>,
}
