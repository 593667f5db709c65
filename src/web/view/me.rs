//! A person's own account.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    layout::Frame,
    parts::{Ago, At, Said, ago, at, said},
    text,
};
use crate::{
    domain::preferences::{Clocks, Keys, Preferences, TextSize, Theme},
    store::{passkeys::Passkey, recovery_codes::Codes, sessions::Session},
};

/// Characters of what a browser says of itself that are shown.
const AGENT_CHARS_MAX: usize = 120;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "me/show.html")]
pub struct MePage {
    /// The frame.
    pub frame: Frame,
    /// How they want their pages.
    pub choices: Vec<ChoicePart>,
    /// Who it is.
    pub name: Said,
    /// The same as it is typed.
    pub plain_name: String,
    /// What they may do.
    pub role: &'static str,
    /// What was just done.
    pub done: Option<&'static str>,
    /// What was wrong with a password: the field's name and the words.
    pub faults: Vec<(&'static str, String)>,
    /// Whether they ever chose one.
    pub has_password: bool,
    /// Providers that vouch for them.
    pub issuers: Vec<Said>,
    /// Where they are signed in.
    pub sessions: Vec<SessionRow>,
    /// How long a session may be left alone.
    pub idle: String,
    /// How long it may last.
    pub longest: String,
    /// Their passkeys.
    pub passkeys: Vec<PasskeyRow>,
    /// Whether passkeys can be added at this address.
    pub has_passkeys: bool,
    /// Recovery codes that were just made.
    pub codes: Vec<String>,
    /// When those that are kept were made.
    pub codes_made: Option<Ago>,
    /// How many are left.
    pub codes_left: usize,
    /// When and from where codes were used.
    pub uses: Vec<(At, Said)>,
}

/// One thing to choose about one's pages.
#[derive(Clone, Debug)]
pub struct ChoicePart {
    /// The form's field.
    pub field: &'static str,
    /// What it is about.
    pub legend: &'static str,
    /// What there is: its name, words, and whether it is chosen.
    pub options: Vec<(&'static str, &'static str, bool)>,
    /// What else to know of it.
    pub note: &'static str,
}

/// What a person can choose, with what they chose.
pub fn choices(chosen: Preferences) -> Vec<ChoicePart> {
    macro_rules! part {
        ($field:literal, $legend:literal, $kind:ident, $chosen:expr, $note:literal) => {
            ChoicePart {
                field: $field,
                legend: $legend,
                options: $kind::ALL
                    .iter()
                    .map(|one| (one.name(), one.words(), *one == $chosen))
                    .collect(),
                note: $note,
            }
        };
    }
    vec![
        part!("theme", "Colours", Theme, chosen.theme, ""),
        part!("text", "Size of text", TextSize, chosen.text, ""),
        part!(
            "keys",
            "Keys",
            Keys,
            chosen.keys,
            "Single letters move and open; only a acts, and it acknowledges."
        ),
        part!(
            "clocks",
            "Times",
            Clocks,
            chosen.clocks,
            "Everybody in an incident reads the same clock, so UTC always stands first."
        ),
    ]
}

/// One session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its number.
    pub id: i64,
    /// Whether it is the one that asks.
    pub is_this: bool,
    /// A guess at the browser.
    pub browser: &'static str,
    /// How it began.
    pub way: Said,
    /// From where.
    pub address: Said,
    /// What the browser says of itself.
    pub agent: Said,
    /// When it began.
    pub since: At,
    /// When it was last used.
    pub used: Ago,
}

impl SessionRow {
    /// The row of a session, as seen from the session `this`.
    pub fn of(session: &Session, this: i64, now: DateTime<Utc>) -> Self {
        Self {
            id: session.id,
            is_this: session.id == this,
            browser: browser(&session.from.user_agent),
            way: said(session.way.words()),
            address: said(&session.from.address),
            agent: said(&text::cut(&session.from.user_agent, AGENT_CHARS_MAX)),
            since: at(session.created_at, now),
            used: ago(session.last_seen_at, now),
        }
    }
}

/// One passkey.
#[derive(Clone, Debug)]
pub struct PasskeyRow {
    /// Its number.
    pub id: i64,
    /// What its owner calls it.
    pub name: Said,
    /// When it was added.
    pub added: Ago,
    /// When it was last used.
    pub used: Option<Ago>,
}

impl PasskeyRow {
    /// The row of a passkey.
    pub fn of(passkey: &Passkey, now: DateTime<Utc>) -> Self {
        Self {
            id: passkey.id,
            name: said(&passkey.name),
            added: ago(passkey.created_at, now),
            used: passkey.last_used_at.map(|used| ago(used, now)),
        }
    }
}

/// The uses of recovery codes, as lines.
pub fn uses(codes: &Codes, now: DateTime<Utc>) -> Vec<(At, Said)> {
    let line = |(when, from): &(DateTime<Utc>, String)| (at(*when, now), said(from));
    codes.uses.iter().map(line).collect()
}

/// A word for the browser, of the most telling name in what it says: most name others as well.
fn browser(agent: &str) -> &'static str {
    let known = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    known
        .into_iter()
        .find(|(mark, _)| agent.contains(mark))
        .map_or("A browser", |(_, name)| name)
}
