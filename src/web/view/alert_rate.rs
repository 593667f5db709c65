//! How many alerts of an incident began when, as a small chart.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    chart::{Bars, Mark, Value},
    format,
};
use crate::store::incidents::Incident;

/// Stretches a chart has at most.
const STRETCHES_MAX: i64 = 40;
/// The lengths a stretch may have, in seconds.
const LENGTHS_S: [i64; 9] = [60, 120, 300, 900, 1800, 3600, 21_600, 86_400, 604_800];

/// From when on an incident's alerts are counted, and in stretches of how many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// When the first stretch begins.
    pub from: DateTime<Utc>,
    /// How long each is.
    pub stretch_s: i64,
    /// How many there are.
    pub count: i64,
}

impl Scale {
    /// The scale for an incident's life so far.
    pub fn of(incident: &Incident, now: DateTime<Utc>) -> Self {
        let from = incident.opened_at;
        let length_s = (incident.resolved_at.unwrap_or(now) - from).num_seconds().max(0);
        let fits = |stretch_s: &&i64| length_s / **stretch_s < STRETCHES_MAX;
        let longest = LENGTHS_S[LENGTHS_S.len() - 1];
        let stretch_s = LENGTHS_S.iter().find(fits).copied().unwrap_or(longest);
        Self {
            from,
            stretch_s,
            count: (length_s / stretch_s + 1).min(STRETCHES_MAX),
        }
    }

    fn stretch(&self, at: DateTime<Utc>) -> usize {
        let stretch = (at - self.from).num_seconds() / self.stretch_s;
        usize::try_from(stretch.clamp(0, self.count - 1)).unwrap_or(0)
    }
}

/// The chart; `None` when there is too little to see.
pub fn chart(incident: &Incident, scale: &Scale, counted: &[(i64, i64)]) -> Option<Bars> {
    let total: i64 = counted.iter().map(|(_, count)| count).sum();
    if total < 2 {
        return None;
    }
    // A long incident's labels need the day as well.
    let pattern = match scale.stretch_s * scale.count > 86_400 {
        true => "%-d %b %H:%M",
        false => "%H:%M",
    };
    let label = |stretch: i64| {
        let begins = scale.from + TimeDelta::seconds(stretch * scale.stretch_s);
        begins.format(pattern).to_string()
    };
    let values: Vec<Value> = (0..scale.count)
        .map(|stretch| Value {
            label: label(stretch),
            value: counted
                .iter()
                // What came after the last stretch, by a clock that ran ahead, belongs to it.
                .filter(|(found, _)| (*found).min(scale.count - 1) == stretch)
                .map(|(_, count)| u64::try_from(*count).unwrap_or(0))
                .sum(),
        })
        .collect();
    let marks: Vec<Mark> = [
        ('A', "acknowledged", incident.acknowledged_at),
        ('M', "mitigated", incident.mitigated_at),
    ]
    .into_iter()
    .filter_map(|(letter, words, at)| {
        let at = at?;
        Some(Mark {
            stretch: scale.stretch(at),
            letter,
            words: format!("{words} {} ({letter})", at.format(pattern)),
        })
    })
    .collect();
    let most = values.iter().max_by_key(|value| value.value)?;
    let summary = format!(
        "{} began since {}, most of them at {}: {}",
        format::count(total, "alert", "alerts"),
        label(0),
        most.label,
        format::grouped(most.value as i64)
    );
    Some(Bars::of(&values, &marks, &summary, ("From (UTC)", "Alerts")))
}
