//! What a pasted body would be read as.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    layout::Frame,
    parts::{At, Badge, Said, at, said},
    text,
};
use crate::{
    domain::alert::{AlertReport, AlertStatus},
    intake::Delivery,
    store::sources::Source,
};

/// Alerts of a body that are shown.
const ALERTS_MAX: usize = 50;
/// Characters of an annotation that are shown.
const ANNOTATION_CHARS_MAX: usize = 500;

/// One alert that was read.
#[derive(Clone, Debug)]
pub struct TriedAlert {
    /// The grouping it came in.
    pub group: String,
    /// The alert.
    pub report: AlertReport,
}

impl TriedAlert {
    /// The alerts of groups, the first of them when there are many.
    pub fn all(groups: &[Delivery]) -> Vec<Self> {
        let alerts = groups.iter().flat_map(|group| {
            group
                .alerts
                .iter()
                .map(|report| (group.group_key.clone(), report))
        });
        alerts
            .take(ALERTS_MAX)
            .map(|(group, report)| Self {
                group,
                report: report.clone(),
            })
            .collect()
    }
}

/// One alert on the page.
#[derive(Clone, Debug)]
struct AlertRow {
    badge: Badge,
    title: Said,
    fingerprint: String,
    group: Said,
    since: At,
    until: Option<At>,
    labels: Vec<Said>,
    annotations: Vec<Said>,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "source/tried.html")]
pub struct TriedPage {
    frame: Frame,
    name: String,
    has_mapping: bool,
    sample: String,
    mapping: String,
    alerts: Vec<AlertRow>,
    remark: Said,
    fault: Option<Said>,
}

impl TriedPage {
    /// The page, with what was typed and what it was read as.
    pub fn of(
        frame: Frame,
        source: &Source,
        sample: String,
        mapping: String,
        read: Result<(Vec<TriedAlert>, String), String>,
        now: DateTime<Utc>,
    ) -> Self {
        let (alerts, remark, fault) = match read {
            Ok((alerts, remark)) => (alerts, remark, None),
            Err(fault) => (Vec::new(), String::new(), Some(said(&fault))),
        };
        Self {
            frame,
            name: source.name.clone(),
            has_mapping: source.settings.format.name() == "generic",
            sample,
            mapping,
            alerts: alerts.iter().map(|alert| AlertRow::of(alert, now)).collect(),
            remark: said(&remark),
            fault,
        }
    }
}

impl AlertRow {
    fn of(alert: &TriedAlert, now: DateTime<Utc>) -> Self {
        let report = &alert.report;
        let pairs = |labels: &crate::domain::labels::Labels| {
            let pairs = labels.0.iter();
            pairs
                .map(|(name, value)| said(&format!("{name}={value}")))
                .collect()
        };
        let annotations = report.annotations.0.iter().map(|(name, value)| {
            let value = text::cut(value, ANNOTATION_CHARS_MAX);
            said(&format!("{name}={value}"))
        });
        Self {
            badge: match report.status {
                AlertStatus::Firing => Badge::new("sev1", "triangle", "Firing"),
                AlertStatus::Resolved => Badge::new("done", "check", "Resolved"),
            },
            title: said(&report.title()),
            fingerprint: report.fingerprint.to_string(),
            group: said(&alert.group),
            since: at(report.starts_at, now),
            until: report.ends_at.map(|until| at(until, now)),
            labels: pairs(&report.labels),
            annotations: annotations.collect(),
        }
    }
}
