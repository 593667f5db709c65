//! Silences of an incident's alerts: those that hold, and the form that asks for one.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    incident::IncidentRecord,
    parts::{At, Badge, Hidden, Said, at, hidden, said},
};
use crate::{
    domain::{
        labels::Labels,
        matcher::Matcher,
        operator::{Operator, Role},
        silence::{self, SilenceState},
    },
    store::silences::Silence,
};

/// What a person may choose for how long.
const LENGTHS: [(&str, &str); 7] = [
    ("15m", "15 minutes"),
    ("1h", "1 hour"),
    ("2h", "2 hours"),
    ("4h", "4 hours"),
    ("8h", "8 hours"),
    ("1d", "1 day"),
    ("7d", "7 days"),
];

/// The section; empty when nobody could be asked.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_silences.html")]
pub struct Silences {
    id: i64,
    target: Option<String>,
    rows: Vec<SilenceRow>,
    may_ask: bool,
    proposed: String,
    lengths: [(&'static str, &'static str); 7],
}

impl HtmlSafe for Silences {}

/// One silence.
#[derive(Clone, Debug)]
struct SilenceRow {
    id: i64,
    badge: Badge,
    matchers: Said,
    comment: Said,
    by: Said,
    until: At,
    /// What Alertmanager calls it.
    name: String,
    problem: Option<Said>,
    may_end: bool,
}

impl Silences {
    /// The section as this person sees it.
    pub fn of(record: &IncidentRecord, me: &Operator, now: DateTime<Utc>) -> Self {
        let may_act = me.role >= Role::Responder;
        let firing = record.members.iter().filter(|member| member.ends_at.is_none());
        let labels: Vec<&Labels> = firing.map(|member| &member.labels).collect();
        let proposed: Vec<String> = silence::propose(labels).iter().map(Matcher::to_string).collect();
        Self {
            id: record.incident.id.0,
            may_ask: may_act && record.alertmanager.is_some(),
            target: record.alertmanager.clone(),
            rows: record
                .silences
                .iter()
                .map(|silence| SilenceRow::of(silence, may_act, now))
                .collect(),
            proposed: proposed.join("\n"),
            lengths: LENGTHS,
        }
    }

    /// The hidden fields of one form.
    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

impl SilenceRow {
    fn of(silence: &Silence, may_act: bool, now: DateTime<Utc>) -> Self {
        let badge = match silence.state {
            SilenceState::Asked => Badge::new("running", "clock", "Asked for"),
            SilenceState::Holds => Badge::new("gate", "bell", "Silenced"),
            SilenceState::Failed => Badge::new("sev1", "cross", "Not silenced"),
            SilenceState::Ending => Badge::new("running", "clock", "Being ended"),
            SilenceState::Over => Badge::new("quiet", "check", "Over"),
        };
        Self {
            id: silence.id.0,
            badge,
            matchers: said(&silence.matchers),
            comment: said(&silence.comment),
            by: said(&silence.asked_by),
            until: at(silence.ended_at.unwrap_or(silence.until), now),
            name: silence.remote_id.clone().unwrap_or_default(),
            problem: (!silence.problem.is_empty()).then(|| said(&silence.problem)),
            may_end: may_act && matches!(silence.state, SilenceState::Holds | SilenceState::Failed),
        }
    }
}
