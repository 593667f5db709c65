//! The services that an incident is about, by its alerts and its runbooks, and what else is wrong with each.

use std::{cmp::Reverse, collections::BTreeMap};

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    alerts::ALERTS_MAX,
    format,
    incident::{IncidentRecord, key},
    parts::{Ago, At, Badge, Said, ago, at, said},
    search,
};
use crate::{
    domain::search::{Search, What},
    store::{alerts::MemberAlert, runbooks::Version, services::Other},
};

/// The label by which alerts name their service, as the list of incidents finds it.
const LABEL: &str = "service";
/// Services on the page.
pub const SERVICES_MAX: usize = 12;
/// Other incidents named of each; one more is read, to know whether there are more.
pub const OTHERS_MAX: usize = 3;

/// Why a service is said to be hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Alerts of it that fire.
    pub firing: usize,
    /// Alerts of it that have ended.
    pub ended: usize,
    /// What the runbooks are called that serve it, of those that matched or run here.
    pub runbooks: Vec<String>,
}

/// The services that these name, with the reasons, those with the most firing alerts first: what the incident was
/// opened with, its alerts, the runbooks that matched or run.
pub fn named<'a>(
    context: &Value,
    members: &[MemberAlert],
    runbooks: impl Iterator<Item = &'a Version>,
) -> Vec<(String, Named)> {
    let mut found: BTreeMap<&str, Named> = BTreeMap::new();
    let is_said = |service: &&str| !service.is_empty();
    let opened = context["labels"][LABEL].as_str().filter(is_said);
    if let Some(service) = opened {
        found.entry(service).or_default();
    }
    for member in members {
        let service = member.labels.0.get(LABEL).map(String::as_str);
        let Some(service) = service.filter(is_said) else {
            continue;
        };
        let named = found.entry(service).or_default();
        match member.fires() {
            true => named.firing += 1,
            false => named.ended += 1,
        }
    }
    for version in runbooks {
        let title = &version.runbook.title;
        for service in &version.runbook.services {
            let named = found.entry(service).or_default();
            if !named.runbooks.contains(title) {
                named.runbooks.push(title.clone());
            }
        }
    }
    let mut found: Vec<(String, Named)> = found
        .into_iter()
        .map(|(service, named)| (service.to_owned(), named))
        .collect();
    // Of those with as many alerts the one that the incident was opened for.
    found.sort_by_key(|(service, named)| {
        let is_other = opened != Some(service.as_str());
        (Reverse((named.firing, named.ended)), is_other)
    });
    found
}

/// The same of a whole record.
pub fn named_in(record: &IncidentRecord) -> Vec<(String, Named)> {
    let matched = record.matches.iter().filter_map(|(_, version)| version.as_ref());
    let run = record.runs.iter().map(|run| &run.version);
    named(&record.incident.context, &record.members, matched.chain(run))
}

/// The section.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_services.html")]
pub struct Services {
    lines: Vec<ServiceLine>,
    more: usize,
    /// Whether the alerts or the runbooks could not be read, so that a service may be missing.
    is_partial: bool,
    as_of: At,
}

impl HtmlSafe for Services {}

/// One service.
#[derive(Clone, Debug)]
struct ServiceLine {
    name: Said,
    /// Its open incidents in the list.
    href: String,
    /// `2 alerts fire`
    alerts: String,
    runbooks: Vec<Said>,
    others: Vec<OtherLine>,
    has_more: bool,
}

/// Another open incident of it.
#[derive(Clone, Debug)]
struct OtherLine {
    id: i64,
    key: String,
    title: Said,
    severity: Badge,
    state: Badge,
    owner: Option<Said>,
    opened: Ago,
}

impl OtherLine {
    fn of(other: &Other, now: DateTime<Utc>) -> Self {
        Self {
            id: other.id.0,
            key: key(other.id.0),
            title: said(&other.title),
            severity: other.severity.into(),
            state: other.state.into(),
            owner: other.owner.as_deref().map(said),
            opened: ago(other.opened_at, now),
        }
    }
}

impl Services {
    /// The section of what was read.
    pub fn of(record: &IncidentRecord, now: DateTime<Utc>) -> Self {
        let found = named_in(record);
        // Where not every alert was read, what is counted is the least there can be.
        let least = match record.members.len() as i64 >= ALERTS_MAX {
            true => "at least ",
            false => "",
        };
        Self {
            more: found.len().saturating_sub(SERVICES_MAX),
            lines: found
                .iter()
                .take(SERVICES_MAX)
                .map(|(service, named)| ServiceLine::of(service, (named, least), &record.others, now))
                .collect(),
            is_partial: record.has_failed("alerts") || record.has_failed("runs"),
            as_of: at(now, now),
        }
    }
}

impl ServiceLine {
    fn of(service: &str, (named, least): (&Named, &str), others: &[Other], now: DateTime<Utc>) -> Self {
        let others: Vec<&Other> = others.iter().filter(|other| other.service == service).collect();
        let mut search = Search::open();
        search.terms.push(What::Service(vec![service.to_owned()]).into());
        Self {
            name: said(service),
            href: search::address(&search),
            alerts: match (named.firing, named.ended) {
                (0, 0) => String::new(),
                (0, n) => format!("{least}{} ended", format::count(n as i64, "alert", "alerts")),
                (n, _) => format!("{least}{} firing", format::count(n as i64, "alert", "alerts")),
            },
            runbooks: named.runbooks.iter().map(|title| said(title)).collect(),
            has_more: others.len() > OTHERS_MAX,
            others: others
                .into_iter()
                .take(OTHERS_MAX)
                .map(|other| OtherLine::of(other, now))
                .collect(),
        }
    }
}
