//! The audit: acts in one hash chain, marks of where the timelines stand, and what is said of a chain that does not hold.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use super::{
    act::{Act, ActKind, Object, Origin},
    fields::Fields,
};
use super::{digest::Digest, event::Tail, id::IncidentId};

/// An act as the chain holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAct {
    /// Its place: 1, 2, 3 … without gaps, in commit order.
    pub seq: i64,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// It.
    pub act: Act,
    /// The chain up to and including it.
    pub hash: Digest,
}

/// The link of an act, from the link before it and everything it says. A migration makes the same text in SQL.
pub fn chain(previous: Digest, seq: i64, act: &Act, at: DateTime<Utc>) -> Digest {
    Digest::chained(
        previous,
        &json!({
            "seq": seq,
            "at_us": at.timestamp_micros(),
            "actor": act.actor,
            "kind": act.kind,
            "object_kind": act.object.kind,
            "object_id": act.object.id,
            "object": act.object.name,
            "before": act.before,
            "after": act.after,
            "reason": act.reason,
            "session": act.origin.session,
            "address": act.origin.address,
        }),
    )
}

/// What decisions are exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Comma-separated values (RFC 4180), with a head.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl ExportFormat {
    /// Its name, which is also how its files end.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Csv, Self::Jsonl]
            .into_iter()
            .find(|format| format.name() == name)
    }
}

/// A moment as people write it, in UTC: a day, a minute or a second of it, or RFC 3339. `None` for anything else, and for
/// years that no database knows.
pub fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    let minute = || {
        let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"];
        forms
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    let exact = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.naive_utc());
    let at = day().or_else(minute).or_else(exact)?;
    (1970..=9999).contains(&at.year()).then(|| at.and_utc())
}

/// Where a timeline stood when it was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub incident: IncidentId,
    /// The number of its last event.
    pub seq: i64,
    /// That event's link.
    pub hash: Digest,
}

/// What an act says of the marks that were made with it, which stand in the order of their incidents.
pub fn digest_of(marks: &[Mark]) -> Digest {
    let lines: Vec<String> = marks
        .iter()
        .map(|mark| format!("{} {} {}\n", mark.incident, mark.seq, mark.hash))
        .collect();
    Digest::of_bytes(lines.concat().as_bytes())
}

/// The first place where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The incident whose timeline it is; `None` for the audit.
    pub incident: Option<IncidentId>,
    /// The number of the row.
    pub seq: i64,
    /// The time that the row names, where there is one.
    pub at: Option<DateTime<Utc>>,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incident {
            None => write!(f, "the audit is broken at #{}", self.seq)?,
            Some(incident) => write!(f, "the timeline of INC-{incident} is broken at #{}", self.seq)?,
        }
        if let Some(at) = self.at {
            write!(f, " ({})", at.format("%-d %b %Y %H:%M:%S UTC"))?;
        }
        write!(f, ": {}", self.why)
    }
}

/// The end of the audit once this act is added to it, or what is wrong with the act.
pub fn follow(tail: Tail, recorded: &RecordedAct) -> Result<Tail, Broken> {
    let broken = |why: String| Broken {
        incident: None,
        seq: recorded.seq,
        at: Some(recorded.at),
        why,
    };
    if recorded.seq != tail.next {
        return Err(broken(format!("#{} should stand here", tail.next)));
    }
    let link = chain(tail.link, recorded.seq, &recorded.act, recorded.at);
    match link == recorded.hash {
        true => Ok(Tail {
            next: tail.next + 1,
            link,
        }),
        false => Err(broken(
            "its hash does not follow from it and the row before".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operator::Actor;

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, at) in [
            ("2026-11-21", Some("2026-11-21T00:00:00Z")),
            (" 2026-11-21T03:12 ", Some("2026-11-21T03:12:00Z")),
            ("2026-11-21T03:12:07", Some("2026-11-21T03:12:07Z")),
            ("2026-11-21T05:12:07+02:00", Some("2026-11-21T03:12:07Z")),
            ("yesterday", None),
            ("99999-01-01", None),
            ("0001-01-01", None),
        ] {
            assert_eq!(moment(text), at.map(|at| at.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_link_depends_on_everything() {
        let at: DateTime<Utc> = "2026-11-21T03:12:07Z".parse().unwrap();
        let act = Act::new(Actor::Terminal, ActKind::Paused, Object::automation(), "why");
        let link = chain(Digest::ZERO, 1, &act, at);
        let changed = [
            Act {
                actor: Actor::Automation,
                ..act.clone()
            },
            Act {
                kind: "resumed".to_owned(),
                ..act.clone()
            },
            Act {
                object: Object::target("lb"),
                ..act.clone()
            },
            Act {
                before: Fields::of([("a", String::new())]),
                ..act.clone()
            },
            Act {
                after: Fields::of([("a", String::new())]),
                ..act.clone()
            },
            Act {
                reason: "what".to_owned(),
                ..act.clone()
            },
            Act {
                origin: Origin {
                    session: Some("s".to_owned()),
                    address: None,
                },
                ..act.clone()
            },
            Act {
                origin: Origin {
                    session: None,
                    address: Some("s".to_owned()),
                },
                ..act.clone()
            },
        ];
        for act in changed {
            assert_ne!(chain(Digest::ZERO, 1, &act, at), link, "{act:?}");
        }
        assert_ne!(chain(link, 1, &act, at), link);
        assert_ne!(chain(Digest::ZERO, 2, &act, at), link);
    }
}
