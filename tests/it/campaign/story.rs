//! One run as the ledger, the timeline and the people's notebook tell it, and the promises it must keep.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use muster::domain::{
    digest::Digest,
    run::{RunFact, UnknownChoice},
    step::Effect,
};

use super::{
    World,
    shapes::{GATED, Place},
    succession::Standstill,
};
use crate::support::ledger::Entry;

/// A run with everything that was written about it.
pub struct RunStory {
    pub run: i64,
    pub result: Option<String>,
    /// The version it is pinned to: its number within the runbook's files, and its digest.
    pub version: usize,
    pub digest: Digest,
    pub facts: Vec<(DateTime<Utc>, RunFact)>,
    /// What it changed outside, in order.
    pub sent: Vec<Entry>,
    /// Its claims whose process was stopped.
    pub standstills: Vec<Standstill>,
}

/// How long an attempt of the campaign may be on its way from being written down to the wire.
const ON_THE_WAY: TimeDelta = TimeDelta::seconds(2);

impl RunStory {
    pub fn slug(&self) -> Option<&str> {
        self.facts.iter().find_map(|(_, fact)| match fact {
            RunFact::RunStarted { runbook, .. } => Some(runbook.as_str()),
            _ => None,
        })
    }

    /// Whether the process was stopped on its way from its last look at its lease to the wire, and sent this when it
    /// went on. It looks before it connects, so there is such a way; only a target that keeps the fence can close it
    /// wholly. The report counts these.
    pub fn is_late(&self, entry: &Entry) -> bool {
        let mut starts = self.facts.iter().filter_map(|(at, fact)| match fact {
            RunFact::StepStarted { key, fence, .. } if *key == entry.key && *fence == entry.fence => {
                Some(*at)
            }
            _ => None,
        });
        let Some(started) = starts.next() else {
            return false;
        };
        self.standstills.iter().any(|stop| {
            let is_on_the_way = started <= stop.from && stop.from <= started + ON_THE_WAY;
            let is_at_once = stop.to <= entry.at && entry.at <= stop.to + ON_THE_WAY;
            stop.fence == entry.fence && is_on_the_way && is_at_once
        })
    }

    /// Looks at everything; returns what is wrong.
    pub fn check(&self, world: &World) -> Vec<String> {
        let mut wrong = self.sent_as_recorded();
        wrong.extend(self.repeats(world));
        wrong.extend(self.gates(world));
        wrong.extend(self.told_truly());
        wrong.extend(self.pinned());
        wrong.extend(self.times());
        wrong
    }

    /// P3 and P6: each thing sent has its start in the timeline, written before, and no older claim sends after a
    /// newer one. P4: a step has one key.
    fn sent_as_recorded(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut started: BTreeMap<(&str, i64), DateTime<Utc>> = BTreeMap::new();
        let mut key_of: BTreeMap<&str, &str> = BTreeMap::new();
        let mut last_fence = 0;
        for (at, fact) in &self.facts {
            let RunFact::StepStarted { step, key, fence, .. } = fact else {
                continue;
            };
            started.entry((key, *fence)).or_insert(*at);
            if *key_of.entry(&step.0).or_insert(key) != key {
                wrong.push(format!("P4: {step} has two keys"));
            }
            if *fence < last_fence {
                wrong.push(format!("P6: {step} was started under an old fence"));
            }
            last_fence = *fence;
        }
        let mut fence = 0;
        for entry in &self.sent {
            match started.get(&(entry.key.as_str(), entry.fence)) {
                Some(at) if *at <= entry.at => {}
                Some(_) => wrong.push(format!(
                    "P3: {} was sent before its start was written",
                    entry.path
                )),
                None => wrong.push(format!("P3: {} was never recorded as started", entry.path)),
            }
            if entry.recorded == Some(false) {
                wrong.push(format!("P3: {} came before its start was committed", entry.path));
            }
            if entry.fence < fence && !self.is_late(entry) {
                wrong.push(format!("P6: {} came from an old worker", entry.path));
            }
            fence = fence.max(entry.fence);
        }
        wrong
    }

    /// P4: between two starts of a step `once` nothing was sent or a person allowed it, and the timeline knows of as
    /// many permissions as the people do.
    fn repeats(&self, world: &World) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut may_start: BTreeMap<&str, bool> = BTreeMap::new();
        let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, fact) in &self.facts {
            match fact {
                RunFact::StepStarted {
                    step,
                    effect: Effect::Once,
                    ..
                } => {
                    let again = may_start.insert(&step.0, false) == Some(false);
                    wrong.extend(again.then(|| format!("P4: {step} was started again by itself")));
                }
                RunFact::StepFailed {
                    step,
                    retry_at: Some(_),
                    ..
                } => _ = may_start.insert(&step.0, true),
                RunFact::UnknownDecided {
                    step,
                    choice: UnknownChoice::RetrySameKey,
                    ..
                } => {
                    *allowed.entry(&step.0).or_default() += 1;
                    may_start.insert(&step.0, true);
                }
                _ => {}
            }
        }
        let notes = world.notebook.lock().unwrap();
        for (step, allowed) in allowed {
            let noted = notes.repeats_of(self.run, step);
            if noted != allowed {
                wrong.push(format!(
                    "P4: {step} was allowed {noted} times, {allowed} recorded"
                ));
            }
        }
        wrong
    }

    /// P5: nothing below the gate starts but under a decision that is good at that time.
    fn gates(&self, world: &World) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut good_until = None;
        for (at, fact) in &self.facts {
            match fact {
                RunFact::GateApproved { use_by, .. } => good_until = Some(*use_by),
                RunFact::GateExpired { .. } | RunFact::GateVoided { .. } => good_until = None,
                RunFact::StepStarted { step, .. } if step.0.starts_with(GATED) => {
                    let is_good = good_until.is_some_and(|until| *at <= until);
                    wrong.extend((!is_good).then(|| format!("P5: {step} was started without an approval")));
                }
                _ => {}
            }
        }
        let approved = world.notebook.lock().unwrap().approved.get(&self.run).copied();
        for entry in &self.sent {
            let is_gated = Place::read(&entry.path).is_some_and(|place| place.step.starts_with(GATED));
            if is_gated && approved.is_none_or(|approved| entry.at < approved) {
                wrong.push(format!("P5: {} came before anybody approved", entry.path));
            }
        }
        wrong
    }

    /// What the timeline calls done, by an answer or by a probe, was done.
    fn told_truly(&self) -> Vec<String> {
        let told = self.facts.iter().filter_map(|(_, fact)| match fact {
            RunFact::StepSucceeded { step, .. } | RunFact::StepSatisfied { step, .. } => Some(step),
            _ => None,
        });
        let is_change = |step: &str| !matches!(step, "look" | "never");
        told.filter(|step| is_change(&step.0))
            .filter(|step| {
                !self.sent.iter().any(|entry| {
                    entry.done && Place::read(&entry.path).is_some_and(|place| place.step == step.0)
                })
            })
            .map(|step| format!("P4: {step} is told as done and was not"))
            .collect()
    }

    /// P8: one version from beginning to end, the one it is pinned to.
    fn pinned(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let starts: Vec<&Digest> = self
            .facts
            .iter()
            .filter_map(|(_, fact)| match fact {
                RunFact::RunStarted { digest, .. } => Some(digest),
                _ => None,
            })
            .collect();
        if starts != [&self.digest] {
            wrong.push("P8: it did not start once with its version".to_owned());
        }
        let asked: BTreeSet<usize> = self
            .sent
            .iter()
            .filter_map(|entry| Some(Place::read(&entry.path)?.version))
            .collect();
        if asked.iter().any(|version| *version != self.version) {
            wrong.push(format!("P8: it is pinned to {} and did {asked:?}", self.version));
        }
        wrong
    }

    /// P9: a timer does not ring early, and nothing follows the end.
    fn times(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut until = None;
        for (at, fact) in &self.facts {
            match fact {
                RunFact::WaitBegan { until: ends, .. } => until = Some(*ends),
                RunFact::WaitOver { step } if until.is_none_or(|until| *at < until) => {
                    wrong.push(format!("P9: {step} was over too early"));
                }
                _ => {}
            }
        }
        let ends = self
            .facts
            .iter()
            .filter(|(_, fact)| matches!(fact, RunFact::RunFinished { .. }));
        let is_last = matches!(self.facts.last(), Some((_, RunFact::RunFinished { .. })));
        if ends.count() != 1 || !is_last {
            wrong.push("its end is not the last of it".to_owned());
        }
        wrong
    }
}

/// The runs that have not ended: who has them, until when they wait, and the newest of what was written about them.
pub async fn waiting(world: &World) -> String {
    let lines: Vec<String> = sqlx::query_scalar(
        "select format('run %s: state %s, due %s, replica %s, fence %s; now %s%s', q.run_id, q.state, q.due,
                       q.owner, q.fence, clock_timestamp(),
                       (select string_agg(e'\n  ' || e.recorded_at || ' ' || e.body, '' order by e.seq)
                        from (select * from events where run_id = q.run_id order by seq desc limit 12) e))
         from run_queue q order by q.run_id limit 10",
    )
    .fetch_all(&world.database.pools.background)
    .await
    .unwrap_or_else(|error| vec![format!("not known: {error}")]);
    lines.join("\n")
}
