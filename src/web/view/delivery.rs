//! The deliveries that came in, why some were rejected, and the way of one that was sent again.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format,
    layout::Frame,
    parts::{At, Badge, Hidden, Said, at, hidden, said},
    text::{visible, with_query},
};
use crate::{
    intake::Format,
    receive::counter::{Handed, Stage, Went},
    store::deliveries::{DeliveryRow, Kept},
};

/// Rows on a page.
pub const ROWS_MAX: usize = 50;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "delivery/list.html")]
pub struct DeliveriesPage {
    /// The frame.
    pub frame: Frame,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether only rejected ones are shown.
    pub only_rejected: bool,
    /// Address of older rows.
    pub older: Option<String>,
    /// Names of all sources.
    pub sources: Vec<String>,
    /// The one whose deliveries are shown; empty for all.
    pub source: String,
}

impl DeliveriesPage {
    fn address(&self, show: &str) -> String {
        with_query("/deliveries", &[("show", show), ("source", &self.source)])
    }
}

/// One delivery.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// When it arrived.
    pub at: At,
    /// From which source.
    pub source: Said,
    /// From which address.
    pub remote: Said,
    /// What became of it.
    pub badge: Badge,
    /// Why it was rejected.
    pub reason: Said,
    /// What was in it.
    pub alerts: String,
    /// How often the same came in its minute.
    pub repeats: Option<String>,
    /// Size of the kept body; `None` when none was kept.
    pub size: Option<String>,
    /// What else it is: a test, or one sent again.
    pub mark: Option<String>,
}

impl Row {
    /// The row of a delivery.
    pub fn of(row: &DeliveryRow, now: DateTime<Utc>) -> Self {
        Self {
            id: row.id,
            at: at(row.received_at, now),
            source: said(row.source.as_deref().unwrap_or("no source of that name")),
            remote: said(&row.remote),
            badge: match row.outcome.as_str() {
                "applied" => Badge::new("done", "check", "Applied"),
                _ => Badge::new("sev1", "cross", "Rejected"),
            },
            reason: said(&row.reason),
            alerts: format::count(i64::from(row.alerts), "alert", "alerts"),
            repeats: (row.repeats > 1).then(|| format!("{} times within its minute", row.repeats)),
            mark: match (row.is_test, row.replay_of) {
                (true, _) => Some("a test".to_owned()),
                (false, Some(of)) => Some(format!("delivery {of}, sent again")),
                (false, None) => None,
            },
            size: (row.body_bytes > 0).then(|| format::size(i64::from(row.body_bytes))),
        }
    }
}

/// A body as people read it: JSON that is whole is indented, what is no text is made visible.
pub fn body_text(kept: &Kept) -> String {
    let is_whole = kept.body.len() as i64 == i64::from(kept.row.body_bytes);
    let json: Option<serde_json::Value> = match is_whole {
        true => serde_json::from_slice(&kept.body).ok(),
        false => None,
    };
    let text = match json {
        Some(json) => format!("{json:#}"),
        None => String::from_utf8_lossy(&kept.body).into_owned(),
    };
    visible(&text)
}

/// The page of one delivery.
#[derive(Clone, Debug, Template)]
#[template(path = "delivery/show.html")]
pub struct DeliveryPage {
    frame: Frame,
    row: Row,
    source: Option<String>,
    facts: Vec<(String, Said)>,
    incidents: Vec<i64>,
    replay_of: Option<i64>,
    replays: Vec<Row>,
    /// The formats it may be read in, the one it came in first; none when nothing is kept to send again.
    formats: Vec<(&'static str, &'static str)>,
    body: String,
    rest: Option<String>,
}

impl DeliveryPage {
    /// The page; `present` is the name of the format its source is set to now.
    pub fn of(
        frame: Frame,
        kept: &Kept,
        present: Option<&str>,
        replays: &[DeliveryRow],
        now: DateTime<Utc>,
    ) -> Self {
        let row = &kept.row;
        let fact = |name: &str, value: &str| (name.to_owned(), said(value));
        let mut facts = vec![
            fact("Format", kept.format.as_deref().unwrap_or("not kept")),
            fact("Sender", &kept.user_agent),
        ];
        facts.extend(kept.headers.iter().map(|(name, value)| fact(name, value)));
        let can_be_sent = row.source.is_some() && !kept.body.is_empty();
        let mut formats: Vec<(&'static str, &'static str)> = Vec::new();
        let names = kept.format.as_deref().into_iter().chain(present);
        for format in names.filter_map(Format::from_name).filter(|_| can_be_sent) {
            if formats.iter().all(|(name, _)| *name != format.name()) {
                formats.push((format.name(), format.title()));
            }
        }
        let shown = kept.body.len() as i64;
        let all = i64::from(row.body_bytes);
        Self {
            row: Row::of(row, now),
            source: row.source.clone(),
            facts,
            incidents: kept.incidents.iter().map(|id| id.0).collect(),
            replay_of: row.replay_of,
            replays: replays.iter().map(|row| Row::of(row, now)).collect(),
            formats,
            body: match frame.may_act() {
                true => body_text(kept),
                false => String::new(),
            },
            rest: (shown < all).then(|| format::size(all - shown)),
            frame,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

/// One stage of a delivery's way.
#[derive(Clone, Debug)]
struct StageRow {
    badge: Badge,
    name: &'static str,
    took: Option<String>,
    said: Said,
}

/// The stages of one delivery.
#[derive(Clone, Debug)]
struct Way {
    title: &'static str,
    delivery: Option<i64>,
    stages: Vec<StageRow>,
}

/// The ways of deliveries that a person has just sent.
#[derive(Clone, Debug, Template)]
#[template(path = "delivery/way.html")]
pub struct WayPage {
    frame: Frame,
    back: (String, String),
    note: &'static str,
    ways: Vec<Way>,
}

impl WayPage {
    /// The page; `back` is the address and name of where the person comes from, `note` what to know about it.
    pub fn of(
        frame: Frame,
        back: (&str, &str),
        ways: &[(&'static str, &Handed)],
        note: &'static str,
    ) -> Self {
        let way = |(title, handed): &(&'static str, &Handed)| Way {
            title,
            delivery: handed.delivery().map(|id| id.0),
            stages: handed.stages.iter().map(StageRow::of).collect(),
        };
        Self {
            frame,
            back: (back.0.to_owned(), back.1.to_owned()),
            note,
            ways: ways.iter().map(way).collect(),
        }
    }
}

impl StageRow {
    fn of(stage: &Stage) -> Self {
        Self {
            badge: match stage.went {
                Went::Well => Badge::new("done", "check", "OK"),
                Went::Badly => Badge::new("sev1", "cross", "Failed"),
                Went::LeftOut => Badge::new("", "note", "Left out"),
            },
            name: stage.name,
            took: stage
                .took
                .map(|took| format!("{:.1} ms", took.as_secs_f64() * 1000.0)),
            said: said(&stage.said),
        }
    }
}
