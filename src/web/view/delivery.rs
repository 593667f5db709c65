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
    receive::counter::{Handed, Stage, Verdict, Went},
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
            alerts: match (row.outcome.as_str(), row.alerts) {
                ("applied", alerts) | (_, alerts @ 1..) => {
                    format::count(i64::from(alerts), "alert", "alerts")
                }
                _ => "not read".to_owned(),
            },
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

/// A body as people read it, cut at the place where it cannot be read; without a place all of it stands before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Body {
    before: String,
    /// The character at which its reader stopped.
    place: Option<String>,
    after: String,
}

impl Body {
    fn of(kept: &Kept) -> Self {
        match place(&kept.body, &kept.row.reason) {
            Some(at) => Self::cut(&kept.body, at),
            None => Self {
                before: body_text(kept),
                ..Self::default()
            },
        }
    }

    fn cut(body: &[u8], at: usize) -> Self {
        let (before, rest) = body.split_at(at);
        let rest = String::from_utf8_lossy(rest);
        let mut chars = rest.chars();
        Self {
            before: visible(&String::from_utf8_lossy(before)),
            place: chars.next().map(|c| match c {
                '\n' => "↵\n".to_owned(),
                '\t' | ' ' => "␣".to_owned(),
                c => visible(&c.to_string()),
            }),
            after: visible(chars.as_str()),
        }
    }
}

/// Where in a body its fault is, when the reason begins with the place as a reader of JSON says it: lines and bytes in
/// the line, both counted from one.
fn place(body: &[u8], reason: &str) -> Option<usize> {
    let (line, rest) = reason.strip_prefix("line ")?.split_once(", column ")?;
    let (column, _) = rest.split_once(':')?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let start = match line.checked_sub(2) {
        None => 0,
        Some(nth) => {
            body.iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .nth(nth)?
                .0
                + 1
        }
    };
    // Column 0 is the end of the line before.
    let at = (start + column).saturating_sub(1);
    // Not inside of a character.
    (0..=at)
        .rev()
        .find(|at| body.get(*at).is_some_and(|byte| byte & 0xC0 != 0x80))
        .filter(|_| at < body.len())
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
    body: Body,
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
            fact(
                "Format",
                match &kept.format {
                    Some(name) => Format::from_name(name).map_or(name.as_str(), |format| format.title()),
                    None => "not kept",
                },
            ),
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
                true => Body::of(kept),
                false => Body::default(),
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
    incidents: Vec<i64>,
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
            incidents: match &handed.verdict {
                Verdict::Stored(outcome, _) => outcome.incidents.iter().map(|id| id.0).collect(),
                _ => Vec::new(),
            },
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
                Went::LeftOut => Badge::new("quiet", "bent", "Left out"),
            },
            name: stage.name,
            took: stage
                .took
                .map(|took| format!("{:.1} ms", took.as_secs_f64() * 1000.0)),
            said: said(&stage.said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_where_its_reader_stopped() {
        let read = |body: &[u8]| -> Option<Body> {
            let error = serde_json::from_slice::<serde_json::Value>(body).unwrap_err();
            let reason = format!(
                "line {}, column {}: not JSON: {error}",
                error.line(),
                error.column()
            );
            place(body, &reason).map(|at| Body::cut(body, at))
        };
        for (body, before, at, after) in [
            (
                &b"{\"a\": 1,\n \"b\": [1,, 2]}"[..],
                "{\"a\": 1,\n \"b\": [1,",
                ",",
                " 2]}",
            ),
            (b"nonsense", "n", "o", "nsense"),
            ("[\"é\", é]".as_bytes(), "[\"é\", ", "é", "]"),
            (b"\x00\xff", "", "\u{2400}", "\u{fffd}"),
            (b"[1\n\n", "[1\n", "↵\n", ""),
        ] {
            let cut = read(body).unwrap();
            let shown = (cut.before.as_str(), cut.place.as_deref(), cut.after.as_str());
            assert_eq!(shown, (before, Some(at), after));
        }
        for reason in [
            "",
            "no or wrong token",
            "line 9, column 1: x",
            "line 1, column 99: x",
            "line x, column 1: x",
        ] {
            assert_eq!(place(b"[1", reason), None, "{reason}");
        }
    }
}
