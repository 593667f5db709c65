//! The page of a fault.

use askama::Template;

use chrono::{DateTime, Utc};

use super::{
    format,
    layout::Frame,
    parts::{Ago, At, ago, at},
};

/// What went wrong and what to do next.
#[derive(Clone, Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The frame; its title is the headline.
    pub frame: Frame,
    /// What is true.
    pub message: String,
    /// What happened meanwhile.
    pub since: Vec<String>,
    /// What the person had typed.
    pub kept: Vec<KeptField>,
    /// The same form once more.
    pub again: Option<Again>,
    /// The way on: address and words.
    pub next: Option<(String, String)>,
    /// What to name when asking for help.
    pub reference: String,
    /// Whether the reference matters.
    pub says_reference: bool,
    /// What is known while the database is away, for whoever only wanted to read.
    pub outage: Option<Outage>,
}

/// What is known while the database is away.
#[derive(Clone, Debug)]
pub struct Outage {
    answered: Option<(At, Ago)>,
    /// What becomes of alerts meanwhile.
    alerts: String,
    /// The page that was asked for.
    retry: String,
}

impl Outage {
    /// How often the page asks again by itself, in seconds.
    pub const REFRESH_S: u32 = 10;

    /// What is known: when it last answered, and how many batches of alerts wait on this machine's disk, `None` when there
    /// is no disk for them.
    pub fn of(
        answered: Option<DateTime<Utc>>,
        waiting: Option<usize>,
        retry: String,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            answered: answered.map(|answered| (at(answered, now), ago(answered, now))),
            alerts: match waiting {
                None => {
                    "Senders of alerts are told to send again; the usual ones do so for hours.".to_owned()
                }
                Some(0) => {
                    "Alerts are taken and kept on this machine's disk until the database is back.".to_owned()
                }
                Some(n) => format!(
                    "Alerts are taken and kept on this machine's disk until the database is back; {} there now.",
                    match n {
                        1 => "1 batch waits".to_owned(),
                        n => format!("{} wait", format::count(n as i64, "batch", "batches")),
                    }
                ),
            },
            retry,
        }
    }
}

/// Text a person typed into a form that was not accepted.
#[derive(Clone, Debug)]
pub struct KeptField {
    /// What it was.
    pub label: &'static str,
    /// The text.
    pub text: String,
}

/// A form offered once more, with everything it held.
#[derive(Clone, Debug)]
pub struct Again {
    /// Where it goes.
    pub action: String,
    /// Words of its button.
    pub words: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}
