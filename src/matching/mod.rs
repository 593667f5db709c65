//! Matching: which runbooks apply to the alerts that just fired, and why.

pub mod miss;
pub mod replay;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::{AlertId, IncidentId, VersionId},
        labels::Labels,
        runbook::TriggerReport,
    },
    store::{
        StoreError,
        matches::{self, NewMatch},
        runbooks::Version,
    },
};

/// A runbook that applies, with the first alert it applies to.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The version matching uses now.
    pub version: &'a Version,
    /// The alert whose labels matched.
    pub alert: AlertId,
    /// Matcher by matcher.
    pub report: TriggerReport,
}

impl Candidate<'_> {
    /// The line of the trigger that holds, as written.
    fn line(&self) -> String {
        let line = self
            .report
            .matched_line
            .and_then(|index| self.report.lines.get(index));
        line.map(|line| {
            line.matchers
                .iter()
                .map(|matcher| matcher.matcher.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        })
        .unwrap_or_default()
    }
}

/// The runbooks that apply to any of these alerts, each with the first alert that it applies to. Pure.
pub fn candidates<'a>(shelf: &'a [Version], alerts: &[(AlertId, &Labels)]) -> Vec<Candidate<'a>> {
    shelf
        .iter()
        .filter_map(|version| {
            alerts.iter().find_map(|(alert, labels)| {
                let report = version.runbook.match_labels(labels);
                report.matched_line.is_some().then_some(Candidate {
                    version,
                    alert: *alert,
                    report,
                })
            })
        })
        .collect()
}

/// An incident in which alerts fired anew.
pub struct Asked<'a> {
    /// Which.
    pub incident: IncidentId,
    /// Whether it has just been opened: then finding no runbook is a fact too.
    pub is_new: bool,
    /// The alerts.
    pub alerts: Vec<(AlertId, &'a Labels)>,
}

/// Which runbooks were found to apply, and what the timelines say of it.
#[derive(Default)]
pub struct Found<'a> {
    /// Those that were not known to, in order.
    pub fresh: Vec<(IncidentId, &'a Version)>,
    /// What to write down.
    pub facts: BTreeMap<IncidentId, Vec<NewEvent>>,
}

/// Keeps which runbooks apply to incidents and why, in one statement; the caller writes the facts.
pub async fn record<'a>(
    conn: &mut PgConnection,
    asked: &[Asked<'_>],
    shelf: &'a [Version],
    now: DateTime<Utc>,
) -> Result<Found<'a>, StoreError> {
    let candidates: Vec<(IncidentId, Candidate<'a>)> = asked
        .iter()
        .flat_map(|asked| {
            candidates(shelf, &asked.alerts)
                .into_iter()
                .map(|candidate| (asked.incident, candidate))
        })
        .collect();
    let mut found = Found::default();
    if !candidates.is_empty() {
        let rows: Vec<NewMatch<'_>> = candidates
            .iter()
            .map(|(incident, candidate)| NewMatch {
                incident: *incident,
                version: candidate.version.id,
                alert: candidate.alert,
                report: &candidate.report,
            })
            .collect();
        let made: BTreeSet<(IncidentId, VersionId)> =
            matches::insert_all(conn, &rows, now).await?.into_iter().collect();
        for (incident, candidate) in &candidates {
            let version = candidate.version;
            if !made.contains(&(*incident, version.id)) {
                continue;
            }
            let fact = IncidentFact::Matched {
                runbook: version.runbook.slug.clone(),
                version: version.number,
                line: candidate.line(),
            };
            let facts = found.facts.entry(*incident).or_default();
            facts.push(NewEvent::automatic(fact, now));
            found.fresh.push((*incident, version));
        }
    }
    let matched: BTreeSet<IncidentId> = candidates.iter().map(|(incident, _)| *incident).collect();
    for asked in asked
        .iter()
        .filter(|asked| asked.is_new && !matched.contains(&asked.incident))
    {
        let fact = IncidentFact::NoMatch {
            considered: shelf.len(),
        };
        let facts = found.facts.entry(asked.incident).or_default();
        facts.push(NewEvent::automatic(fact, now));
    }
    Ok(found)
}
