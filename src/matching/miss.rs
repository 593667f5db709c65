//! Why a runbook does not apply: the line of its trigger that came closest, over all alerts. Pure.

use crate::{
    domain::{
        labels::Labels,
        runbook::{TriggerLine, TriggerReport},
    },
    store::runbooks::Version,
};

/// How a runbook that was not found for an incident compares with its alerts.
#[derive(Clone, Debug)]
pub struct Miss<'a> {
    /// The version matching uses now.
    pub version: &'a Version,
    /// Place of the alert that came closest among those that were compared; none when the runbook has no trigger, or no
    /// alert was compared.
    pub alert: Option<usize>,
    /// Place of its line that came closest. Every matcher of it holds when the runbook was made or changed after the
    /// alerts had fired.
    pub line: Option<usize>,
    /// Every line, compared with that alert.
    pub report: TriggerReport,
}

impl Miss<'_> {
    /// The line that came closest.
    pub fn closest(&self) -> Option<&TriggerLine> {
        self.report.lines.get(self.line?)
    }

    /// Whether it would be found if the alert fired now.
    pub fn applies_now(&self) -> bool {
        self.report.matched_line.is_some()
    }
}

/// Compares runbooks with alerts. The closest line is the one with the fewest matchers that do not hold; of two, the one
/// with more that do; then the first alert and the first line.
pub fn misses<'a>(shelf: &'a [Version], alerts: &[&Labels]) -> Vec<Miss<'a>> {
    shelf.iter().map(|version| miss(version, alerts)).collect()
}

fn miss<'a>(version: &'a Version, alerts: &[&Labels]) -> Miss<'a> {
    let mut best: Option<((usize, usize), Miss<'a>)> = None;
    for (alert, labels) in alerts.iter().enumerate() {
        let report = version.runbook.match_labels(labels);
        let closest = report
            .lines
            .iter()
            .enumerate()
            .map(|(at, line)| (distance(line), at))
            .min();
        let Some((distance, at)) = closest else { break };
        if best.as_ref().is_none_or(|(least, _)| distance < *least) {
            let miss = Miss {
                version,
                alert: Some(alert),
                line: Some(at),
                report,
            };
            best = Some((distance, miss));
        }
    }
    best.map_or_else(
        || Miss {
            version,
            alert: None,
            line: None,
            report: TriggerReport {
                matched_line: None,
                lines: Vec::new(),
            },
        },
        |(_, miss)| miss,
    )
}

/// How many matchers do not hold; of two lines with as many, the longer one is closer.
fn distance(line: &TriggerLine) -> (usize, usize) {
    let failing = line.matchers.iter().filter(|matcher| !matcher.holds).count();
    (failing, usize::MAX - line.matchers.len())
}
