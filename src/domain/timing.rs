//! How long the steps of a runbook took in its runs, and how often they worked.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::id::{RunId, StepId};

/// One step of one run, over: all its attempts and items together; of a gate, how long people took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Took {
    /// In which run.
    pub run: RunId,
    /// Which step of the runbook.
    pub step: StepId,
    /// From its first beginning to its last end.
    pub length: TimeDelta,
    /// Whether it worked; of a gate, whether it was approved.
    pub worked: bool,
}

/// What one step's past comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Each time, the newest run first.
    pub times: Vec<Took>,
    /// How often it worked.
    pub worked: usize,
    /// In the middle, of those that worked.
    pub median: Option<TimeDelta>,
    /// Nine of ten that worked took no longer.
    pub p90: Option<TimeDelta>,
}

/// What was seen, step by step.
pub fn by_step(seen: Vec<Took>) -> BTreeMap<StepId, Timing> {
    let mut steps: BTreeMap<StepId, Timing> = BTreeMap::new();
    for took in seen {
        steps.entry(took.step.clone()).or_default().times.push(took);
    }
    for timing in steps.values_mut() {
        timing.times.sort_by_key(|took| std::cmp::Reverse(took.run));
        let worked = timing.times.iter().filter(|took| took.worked);
        let mut lengths: Vec<TimeDelta> = worked.map(|took| took.length).collect();
        lengths.sort_unstable();
        timing.worked = lengths.len();
        timing.median = percentile(&lengths, 50);
        timing.p90 = percentile(&lengths, 90);
    }
    steps
}

/// The nearest rank: always a length that was seen, never one between two.
fn percentile(sorted: &[TimeDelta], percent: usize) -> Option<TimeDelta> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(run: i64, seconds: i64, worked: bool) -> Took {
        Took {
            run: RunId(run),
            step: StepId::from("drain"),
            length: TimeDelta::seconds(seconds),
            worked,
        }
    }

    #[test]
    fn only_times_that_worked_count_for_how_long_it_takes() {
        for (seen, worked, median, p90) in [
            (vec![], 0, None, None),
            (vec![took(1, 90, false)], 0, None, None),
            (vec![took(1, 4, true)], 1, Some(4), Some(4)),
            (vec![took(1, 4, true), took(2, 8, true)], 2, Some(4), Some(8)),
            (
                vec![
                    took(1, 9, true),
                    took(2, 1, true),
                    took(3, 900, false),
                    took(4, 5, true),
                ],
                3,
                Some(5),
                Some(9),
            ),
            ((1..=10).map(|n| took(n, n, true)).collect(), 10, Some(5), Some(9)),
        ] {
            let count = seen.len();
            let timing = by_step(seen)
                .pop_first()
                .map(|(_, timing)| timing)
                .unwrap_or_default();
            assert_eq!((timing.times.len(), timing.worked), (count, worked));
            let seconds = |delta: Option<TimeDelta>| delta.map(|delta| delta.num_seconds());
            assert_eq!((seconds(timing.median), seconds(timing.p90)), (median, p90));
            assert!(
                timing.times.is_sorted_by(|a, b| a.run > b.run),
                "the newest first"
            );
        }
    }
}
