//! The list of starts, and the newest where it is shown elsewhere.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    layout::Frame,
    parts::{At, Badge, Icon, at, icon},
    text::with_query,
};
use crate::domain::boot::{Boot, Company};

/// Rows on a page of the list.
pub const ROWS_MAX: usize = 50;

/// The list of starts.
#[derive(Clone, Debug, Template)]
#[template(path = "system/boots.html")]
pub struct BootsPage {
    /// The frame.
    pub frame: Frame,
    /// The rows.
    pub rows: Vec<BootRow>,
    /// Address of older rows.
    pub older: Option<String>,
}

/// One start in the list.
#[derive(Clone, Debug)]
pub struct BootRow {
    /// Its page.
    pub href: String,
    /// How it was.
    pub badge: Badge,
    /// When it was.
    pub at: At,
    /// What happened.
    pub sentence: String,
    /// What was overdue.
    pub counts: String,
}

/// The newest start, on the page of the system.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"{{ row.badge }} <strong>Last start</strong> <span class="quiet">{{ row.at }}: {{ row.sentence }} <a href="{{ row.href }}">What it found</a>, <a href="/system/boots">all starts</a></span>"#
)]
pub struct Newest {
    row: BootRow,
}

impl HtmlSafe for Newest {}

impl Newest {
    /// The line of that start.
    pub fn of(boot: &Boot, now: DateTime<Utc>) -> Self {
        Self {
            row: BootRow::of(boot, now),
        }
    }
}

/// That Muster was away not long ago, above the list of incidents.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<p class="banner">{{ icon }}{{ sentence }} <a href="{{ href }}">What that delayed</a></p>"#
)]
pub struct AwayBanner {
    icon: Icon,
    sentence: String,
    href: String,
}

impl HtmlSafe for AwayBanner {}

impl AwayBanner {
    /// The banner of an outage.
    pub fn of(boot: &Boot) -> Self {
        Self {
            icon: icon("triangle"),
            sentence: boot.sentence(),
            href: address(boot),
        }
    }
}

fn address(boot: &Boot) -> String {
    format!("/system/boots/{}", boot.id)
}

impl BootRow {
    /// The row of a start.
    pub fn of(boot: &Boot, now: DateTime<Utc>) -> Self {
        let badge = match (boot.company, boot.length()) {
            (Company::Unsettled, _) => Badge::new("quiet", "clock", "Not settled yet"),
            (Company::Beside, _) => Badge::new("quiet", "play", "Beside another"),
            (Company::Alone, None) => Badge::new("quiet", "play", "First start"),
            (Company::Alone, Some(away)) if boot.is_outage() => {
                Badge::new("sev2", "triangle", format!("Away {away}"))
            }
            (Company::Alone, Some(_)) => Badge::new("quiet", "play", "Restart"),
        };
        Self {
            href: address(boot),
            badge,
            at: at(boot.started_at, now),
            sentence: boot.sentence(),
            counts: counts(boot),
        }
    }
}

/// What was overdue, in one line; empty when nothing was, or when that is open.
fn counts(boot: &Boot) -> String {
    if boot.company == Company::Unsettled {
        return String::new();
    }
    let report = &boot.report;
    let counts = [
        (report.unknown.count, "step in doubt", "steps in doubt"),
        (report.expired(), "expired", "expired"),
        (report.late(), "timer late", "timers late"),
        (report.taken.count, "run taken over", "runs taken over"),
    ];
    let said: Vec<String> = counts
        .into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| format::count(count, one, many))
        .collect();
    format::listed(&said)
}

impl BootsPage {
    /// The list from one more boot than is shown.
    pub fn of(frame: Frame, mut boots: Vec<Boot>, now: DateTime<Utc>) -> Self {
        let more = boots.len() > ROWS_MAX;
        boots.truncate(ROWS_MAX);
        let older = boots.last().filter(|_| more).map(|last| {
            let before = last.id.to_string();
            with_query("/system/boots", &[("before", &before)])
        });
        Self {
            frame,
            rows: boots.iter().map(|boot| BootRow::of(boot, now)).collect(),
            older,
        }
    }
}
