//! The alerts of an incident: what they share said once, firing ones first, many folded.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    parts::{Ago, At, Badge, Hidden, Said, ago, at, hidden, said},
    text,
};
use crate::store::alerts::MemberAlert;

/// Alerts on the page.
pub const ALERTS_MAX: i64 = 200;
/// Firing alerts that are not folded away.
const ALERTS_OPEN: usize = 8;
/// Characters shown of one label's value; the whole of it is in the delivery.
const LABEL_CHARS_MAX: usize = 160;

/// The alerts.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_alerts.html")]
pub struct Alerts {
    firing: Vec<AlertRow>,
    more_firing: Vec<AlertRow>,
    resolved: Vec<AlertRow>,
    common: Vec<(Said, Said)>,
    truncated: i32,
    is_cut: bool,
}

impl HtmlSafe for Alerts {}

/// One alert.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_alert.html")]
pub struct AlertRow {
    /// Its number.
    pub id: i64,
    /// What people call it.
    pub title: Said,
    /// How it stands.
    pub badge: Badge,
    /// What it says.
    pub summary: Said,
    /// Labels that not all alerts here share.
    pub labels: Vec<(Said, Said)>,
    /// When it began.
    pub started: Ago,
    /// When it ended.
    pub ended: Option<At>,
    /// Where to look further: words and address.
    pub links: Vec<(&'static str, String)>,
    /// Why it is here.
    pub reason: Said,
    /// The other incident that it came with, or that it went to: words and number.
    pub other: Option<(&'static str, i64)>,
    /// The last word of it, when that is too long ago.
    pub stale: Option<Ago>,
    /// Number of the incident, for who may say how it stands.
    pub incident: Option<i64>,
}

impl HtmlSafe for AlertRow {}

impl AlertRow {
    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

impl Alerts {
    /// The section of that incident; `may_say` for a person who may say how an alert stands.
    pub fn of(
        incident: i64,
        members: &[MemberAlert],
        truncated: i32,
        may_say: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let common: Vec<(&String, &String)> = match members {
            [first, rest @ ..] => first
                .labels
                .0
                .iter()
                .filter(|(name, value)| {
                    rest.iter()
                        .all(|member| member.labels.0.get(*name) == Some(*value))
                })
                .collect(),
            [] => Vec::new(),
        };
        let row = |member: &MemberAlert| AlertRow::of(incident, member, &common, may_say, now);
        let mut firing: Vec<AlertRow> = members.iter().filter(|member| member.fires()).map(row).collect();
        let more_firing = firing.split_off(firing.len().min(ALERTS_OPEN));
        Self {
            firing,
            more_firing,
            resolved: members.iter().filter(|member| !member.fires()).map(row).collect(),
            truncated,
            is_cut: members.len() as i64 >= ALERTS_MAX,
            common: common.iter().map(|(name, value)| label(name, value)).collect(),
        }
    }
}

fn label(name: &str, value: &str) -> (Said, Said) {
    let cut = |text: &str| said(&text::cut(text, LABEL_CHARS_MAX));
    (cut(name), cut(value))
}

impl AlertRow {
    fn of(
        incident: i64,
        member: &MemberAlert,
        common: &[(&String, &String)],
        may_say: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let annotation = |name: &str| member.annotations.get(name);
        let summary = [
            annotation("summary"),
            annotation("description"),
            annotation("message"),
        ]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default();
        let links = [
            ("Source", member.generator_url.as_str()),
            ("Runbook", annotation("runbook_url")),
            ("Dashboard", annotation("dashboard_url")),
        ]
        .into_iter()
        .filter_map(|(words, address)| Some((words, text::link(address)?)))
        .collect();
        Self {
            id: member.alert_id,
            title: said(match member.title.as_str() {
                "" => "Alert without labels",
                title => title,
            }),
            badge: match (member.ends_at, member.refire_due) {
                (None, _) if member.is_stale => Badge::new("unknown", "question", "No news"),
                (None, _) => Badge::new("sev1", "bell", "Firing"),
                (Some(_), Some(_)) => Badge::new("sev1", "bell", "Firing (unconfirmed)"),
                (Some(_), None) => Badge::new("done", "check", "Resolved"),
            },
            summary: said(&text::cut(summary, 500)),
            labels: member
                .labels
                .0
                .iter()
                .filter(|pair| *pair.0 != "alertname" && !common.contains(pair))
                .map(|(name, value)| (said(name), said(value)))
                .collect(),
            started: ago(member.starts_at, now),
            ended: member.ends_at.map(|end| at(end, now)),
            links,
            reason: said(&member.reason),
            other: member.came_from.map(|from| match member.incident.0 == incident {
                true => ("came with", from.0),
                false => ("now in", member.incident.0),
            }),
            stale: member.is_stale.then(|| ago(member.heard_at, now)),
            incident: (may_say && member.is_stale).then_some(member.incident.0),
        }
    }
}
