//! Matching: which runbooks apply to the alerts that just fired, and why.

use sqlx::PgConnection;

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::{AlertId, IncidentId},
        labels::Labels,
        runbook::TriggerReport,
    },
    store::{StoreError, events, matches, runbooks::Version},
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

/// Keeps which runbooks apply to an incident and why, and returns the ones that were not known to. `is_new` when the
/// incident has just been opened: then finding none is a fact too.
pub async fn record<'a>(
    conn: &mut PgConnection,
    incident: IncidentId,
    shelf: &'a [Version],
    alerts: &[(AlertId, &Labels)],
    is_new: bool,
    now: DateTime<Utc>,
) -> Result<Vec<&'a Version>, StoreError> {
    let mut fresh = Vec::new();
    let mut facts = Vec::new();
    let candidates = candidates(shelf, alerts);
    for candidate in &candidates {
        let version = candidate.version;
        if matches::insert(
            conn,
            incident,
            version.id,
            candidate.alert,
            &candidate.report,
            now,
        )
        .await?
        {
            facts.push(IncidentFact::Matched {
                runbook: version.runbook.slug.clone(),
                version: version.number,
                line: candidate.line(),
            });
            fresh.push(version);
        }
    }
    if is_new && candidates.is_empty() {
        facts.push(IncidentFact::NoMatch {
            considered: shelf.len(),
        });
    }
    if !facts.is_empty() {
        let facts: Vec<NewEvent> = facts
            .into_iter()
            .map(|fact| NewEvent::automatic(fact, now))
            .collect();
        events::append(conn, incident, &facts, now).await?;
    }
    Ok(fresh)
}
