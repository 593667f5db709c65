//! Gathering the alerts of a body into groups, for senders that send each alert alone or all of them mixed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Content, Delivery, Fault};
use crate::domain::{
    alert::{AlertReport, Fingerprint},
    labels::Labels,
};

/// The faults told of one body; more are counted.
const FAULTS_MAX: usize = 32;

/// The groups of a sender that groups by itself, gathered anew by the labels that its source says instead. What the
/// sender left out may belong to any of them.
pub fn regroup(groups: Vec<Delivery>, correlate_by: &[String]) -> Vec<Delivery> {
    let truncated = groups.iter().map(|group| group.truncated).max().unwrap_or(0);
    let mut gathered = Groups::new(correlate_by);
    for report in groups.into_iter().flat_map(|group| group.alerts) {
        gathered.push(Ok(report));
    }
    let mut groups = gathered.into_groups();
    for group in &mut groups {
        group.truncated = truncated;
    }
    groups
}

/// The alerts of one body, each in its group.
pub(super) struct Groups<'a> {
    correlate_by: BTreeSet<&'a str>,
    groups: BTreeMap<String, BTreeMap<Fingerprint, AlertReport>>,
    faults: Vec<Fault>,
    untold: usize,
}

impl<'a> Groups<'a> {
    /// No alerts yet; those with equal values of these labels will be one group.
    pub(super) fn new(correlate_by: &'a [String]) -> Self {
        Self {
            // Sorted, so that the order in the settings may change without splitting an open incident.
            correlate_by: correlate_by.iter().map(String::as_str).collect(),
            groups: BTreeMap::new(),
            faults: Vec::new(),
            untold: 0,
        }
    }

    /// Takes an alert in, or the reason why it cannot be used. The later of two reports of one alert counts.
    pub(super) fn push(&mut self, report: Result<AlertReport, Fault>) {
        match report {
            Ok(report) => {
                let key = self.key(&report.labels);
                self.groups
                    .entry(key)
                    .or_default()
                    .insert(report.fingerprint, report);
            }
            Err(fault) if self.faults.len() < FAULTS_MAX => self.faults.push(fault),
            Err(_) => self.untold += 1,
        }
    }

    /// The grouping labels that are there, as text: `{"alertname"="Down","cluster"="a"}`. Quoted as JSON, so that no
    /// value can look like another group.
    fn key(&self, labels: &Labels) -> String {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let pairs: Vec<String> = self
            .correlate_by
            .iter()
            .map(|name| (*name, labels.get(name)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{}={}", quote(name), quote(value)))
            .collect();
        format!("{{{}}}", pairs.join(","))
    }

    /// What the body says. Without any alert, `empty` says why that is nothing.
    pub(super) fn into_content(mut self, empty: &'static str) -> Content {
        if self.groups.is_empty() && self.faults.is_empty() {
            return Content::Nothing(empty);
        }
        if self.untold > 0 {
            self.faults.push(Fault {
                place: String::new(),
                problem: format!("{} more alerts cannot be used", self.untold),
            });
        }
        let faults = std::mem::take(&mut self.faults);
        Content::Alerts {
            groups: self.into_groups(),
            faults,
        }
    }

    fn into_groups(self) -> Vec<Delivery> {
        self.groups
            .into_iter()
            .map(|(group_key, alerts)| Delivery {
                receiver: String::new(),
                group_key,
                truncated: 0,
                alerts: alerts.into_values().collect(),
            })
            .collect()
    }
}
