//! What a trigger would have found among alerts of the past, compared with the one that stands. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{id::IncidentId, runbook::Runbook},
    store::past_alerts::PastAlert,
};

/// How a new trigger compares with the old one. Each incident is told once, by one of its alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay<'a> {
    /// Alerts that were looked at.
    pub alerts: usize,
    /// Incidents that only the new one finds, the newest first.
    pub gained: Vec<&'a PastAlert>,
    /// Incidents that only the old one finds, the newest first.
    pub lost: Vec<&'a PastAlert>,
    /// How many incidents both find.
    pub kept: usize,
}

/// Tries both on the same alerts.
pub fn replay<'a>(old: Option<&Runbook>, new: &Runbook, past: &'a [PastAlert]) -> Replay<'a> {
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    let mut incidents: BTreeMap<IncidentId, &'a PastAlert> = BTreeMap::new();
    let applies =
        |runbook: &Runbook, alert: &PastAlert| runbook.match_labels(&alert.labels).matched_line.is_some();
    for alert in past {
        incidents.entry(alert.incident).or_insert(alert);
        if !before.contains(&alert.incident) && old.is_some_and(|old| applies(old, alert)) {
            before.insert(alert.incident);
        }
        if !after.contains(&alert.incident) && applies(new, alert) {
            after.insert(alert.incident);
        }
    }
    let told = |ids: Vec<&IncidentId>| -> Vec<&'a PastAlert> {
        ids.into_iter()
            .rev()
            .filter_map(|id| incidents.get(id).copied())
            .collect()
    };
    Replay {
        alerts: past.len(),
        gained: told(after.difference(&before).collect()),
        lost: told(before.difference(&after).collect()),
        kept: before.intersection(&after).count(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::incident::{IncidentState, Severity};

    fn runbook(lines: &[&str]) -> Runbook {
        let triggers: Vec<Vec<&str>> = lines.iter().map(|line| vec![*line]).collect();
        serde_json::from_value(serde_json::json!({
            "slug": "shop", "title": "Shop", "summary": "", "owner": null, "services": [], "triggers": triggers,
            "start": "suggest", "budget": null, "inputs": {}, "locks": [], "steps": [],
        }))
        .unwrap()
    }

    fn alert(incident: i64, job: &str) -> PastAlert {
        PastAlert {
            labels: [("job", job)].into(),
            incident: IncidentId(incident),
            title: job.to_owned(),
            severity: Severity::Sev3,
            state: IncidentState::Resolved,
            opened_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_incident_counts_once_however_many_of_its_alerts_are_found() {
        let past = [
            alert(3, "a"),
            alert(3, "b"),
            alert(2, "b"),
            alert(1, "a"),
            alert(1, "a"),
        ];
        for (old, new, gained, lost, kept) in [
            (None, &["job=\"a\""][..], vec![3, 1], vec![], 0),
            (Some(&["job=\"a\""][..]), &["job=\"a\""][..], vec![], vec![], 2),
            (Some(&["job=\"a\""][..]), &["job=\"b\""][..], vec![2], vec![1], 1),
            (Some(&["job=\"a\""][..]), &[][..], vec![], vec![3, 1], 0),
            (
                Some(&["job=\"x\""][..]),
                &["job=\"a\"", "job=\"b\""][..],
                vec![3, 2, 1],
                vec![],
                0,
            ),
        ] {
            let old = old.map(runbook);
            let found = replay(old.as_ref(), &runbook(new), &past);
            let ids = |list: &[&PastAlert]| list.iter().map(|alert| alert.incident.0).collect::<Vec<_>>();
            assert_eq!(
                (ids(&found.gained), ids(&found.lost), found.kept),
                (gained, lost, kept),
                "{new:?}"
            );
            assert_eq!(found.alerts, 5);
        }
    }
}
