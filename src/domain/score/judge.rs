//! Judging: the course of a drill against what its scenario expects.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Cleanup, Course, Figure, FigureName, InjectOutcome, Moment, Observed, Outcome, Phase, Remark, Score,
    Seen, Share, Slip,
};
use crate::domain::{
    approval::Verdict,
    drill::{DrillFact, Logged},
    fault::FaultState,
    run::UnknownChoice,
    scenario::{Deed, Scenario},
    simulation::{Rules, Told, WorldFault},
    span::Span,
};

/// The scorecard of a drill, from its log and what was seen of its incidents.
pub fn judge(
    rules: Arc<Rules>,
    seed: u64,
    told: Told,
    log: &[Logged],
    observed: &[Observed],
) -> Result<Score, WorldFault> {
    let mut course = Course::begin(rules.clone(), seed, told, log, observed)?;
    let mut bench = Bench::new(&rules.scenario);
    while let Some((age, moment)) = course.step() {
        let scene = course.world.scene_with(&course.told);
        match moment {
            Moment::Drill(fact) => bench.of_drill(age, fact),
            Moment::Seen(seen) => bench.of_people(age, seen, |wrong| {
                // A condition that cannot be worked out accuses nobody.
                rules.is_wrong(wrong, &scene).unwrap_or(false)
            }),
        }
    }
    Ok(bench.close())
}

/// What has been gathered.
struct Bench<'a> {
    scenario: &'a Scenario,
    harm: Option<Span>,
    opened: Option<Span>,
    taken: Option<Span>,
    first_step: Option<Span>,
    mitigated: Option<Span>,
    resolved: Option<Span>,
    ended: Option<Span>,
    last: Span,
    gates: BTreeMap<String, Span>,
    longest_gate: Option<Span>,
    done: BTreeMap<String, Span>,
    slips: BTreeMap<String, Span>,
    sent: BTreeMap<String, Span>,
    skipped: Vec<String>,
    unknown: BTreeMap<String, bool>,
    spoken: Vec<Span>,
    hints: Vec<(String, u32)>,
    notes: Vec<Remark>,
    faults: BTreeMap<String, FaultState>,
    /// Whether a game day was steady, each time that was looked at.
    steady: Vec<bool>,
}

impl<'a> Bench<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            harm: None,
            opened: None,
            taken: None,
            first_step: None,
            mitigated: None,
            resolved: None,
            ended: None,
            last: Span::from_secs(0),
            gates: BTreeMap::new(),
            longest_gate: None,
            done: BTreeMap::new(),
            slips: BTreeMap::new(),
            sent: BTreeMap::new(),
            skipped: Vec::new(),
            unknown: BTreeMap::new(),
            spoken: Vec::new(),
            hints: Vec::new(),
            notes: Vec::new(),
            faults: BTreeMap::new(),
            steady: Vec::new(),
        }
    }

    fn of_drill(&mut self, age: Span, fact: DrillFact) {
        self.last = age;
        match fact {
            DrillFact::Fault { inject, state, .. } => _ = self.faults.insert(inject, state),
            DrillFact::Steady { holds, .. } => self.steady.push(holds),
            DrillFact::InjectSent { inject, .. } => _ = self.sent.entry(inject).or_insert(age),
            DrillFact::InjectSkipped { inject } => self.skipped.push(inject),
            DrillFact::Harm { works: false } => self.harm = self.harm.or(Some(age)),
            // Harm that comes back was not over.
            DrillFact::Harm { works: true } => self.mitigated = Some(age),
            DrillFact::HintTold { hint } => {
                if let Some(hint) = self.scenario.hints.get(hint) {
                    self.hints.push((hint.text.clone(), hint.price));
                }
            }
            DrillFact::Noted { tag, text } => self.notes.push(Remark {
                age,
                phase: self.phase(),
                tag,
                text,
            }),
            DrillFact::Ended { .. } => self.ended = Some(age),
            _ => {}
        }
        if self.scenario.mitigated.is_some() && self.harm.is_some_and(|harm| self.mitigated < Some(harm)) {
            self.mitigated = None;
        }
    }

    fn of_people(&mut self, age: Span, seen: Seen, is_wrong: impl Fn(usize) -> bool) {
        match seen {
            Seen::Opened => self.opened = self.opened.or(Some(age)),
            Seen::Mitigated if self.scenario.mitigated.is_none() => {
                self.mitigated = self.mitigated.or(Some(age));
            }
            Seen::Resolved => self.resolved = Some(age),
            // Who was expected to end it had nothing left to do.
            Seen::Recovered => _ = self.fulfil(age, &Deed::Resolve),
            Seen::GateOpened(gate) => _ = self.gates.insert(gate, age),
            Seen::GateClosed(gate, _) => {
                if let Some(asked) = self.gates.remove(&gate) {
                    self.waited(asked, age);
                }
            }
            Seen::Unknown(step) => _ = self.unknown.insert(step, false),
            Seen::Settled(step) => {
                if let Some(settled) = self.unknown.get_mut(&step) {
                    *settled = true;
                }
            }
            Seen::Deed(deed) => self.of_deed(age, &deed, is_wrong),
            Seen::Mitigated | Seen::Step(..) => {}
        }
    }

    fn of_deed(&mut self, age: Span, deed: &Deed, is_wrong: impl Fn(usize) -> bool) {
        match deed {
            Deed::Acknowledge => self.taken = self.taken.or(Some(age)),
            Deed::Update => self.spoken.push(age),
            _ => {}
        }
        for (index, wrong) in self.scenario.wrong.iter().enumerate() {
            if wrong.deed == *deed && is_wrong(index) {
                self.slips.entry(wrong.id.clone()).or_insert(age);
                return;
            }
        }
        if self.fulfil(age, deed) && !matches!(deed, Deed::Acknowledge | Deed::Update) {
            self.first_step = self.first_step.or(Some(age));
        }
    }

    /// Notes that the first thing expected of this kind whose turn has come is done; whether there was one.
    fn fulfil(&mut self, age: Span, deed: &Deed) -> bool {
        let turn_came = |after: &Option<String>| match after {
            None => true,
            Some(after) => self.sent.contains_key(after) || self.done.contains_key(after),
        };
        let open = self.scenario.expected.iter().find(|expected| {
            expected.deed == *deed && !self.done.contains_key(&expected.id) && turn_came(&expected.after)
        });
        if let Some(expected) = open {
            self.done.insert(expected.id.clone(), age);
        }
        open.is_some()
    }

    fn waited(&mut self, asked: Span, answered: Span) {
        self.longest_gate = self.longest_gate.max(Some(between(asked, answered)));
    }

    fn phase(&self) -> Phase {
        match (self.opened, self.taken, self.mitigated) {
            (None, ..) => Phase::Detect,
            (Some(_), None, _) => Phase::Acknowledge,
            (Some(_), Some(_), None) => Phase::Mitigate,
            (Some(_), Some(_), Some(_)) => Phase::Recover,
        }
    }

    fn close(mut self) -> Score {
        let end = self.ended.unwrap_or(self.last);
        for asked in std::mem::take(&mut self.gates).into_values() {
            self.waited(asked, end);
        }
        Score {
            took: self.ended,
            figures: self.figures(),
            expected: self.expected(),
            wrong: self.wrong(),
            injects: self.injects(),
            updates: self.updates(end),
            unknowns: Share {
                done: self.unknown.values().filter(|settled| **settled).count() as u32,
                of: self.unknown.len() as u32,
            },
            cleanup: self.cleanup(),
            hints: self.hints,
            notes: self.notes,
        }
    }

    /// What was not steady to begin with was left alone.
    fn cleanup(&self) -> Option<Cleanup> {
        let (first, later) = self.steady.split_first()?;
        first.then(|| Cleanup {
            faults: Share {
                done: self.faults.values().filter(|state| state.is_clean()).count() as u32,
                of: self.faults.len() as u32,
            },
            steady_again: later.last().copied(),
        })
    }

    fn figures(&self) -> Vec<Figure> {
        let objectives = &self.scenario.objectives;
        let since_opened = |at: Option<Span>| Some(between(self.opened?, at?));
        let detect = match (self.harm, self.opened) {
            (Some(harm), Some(opened)) => Some(between(harm, opened)),
            _ => None,
        };
        let all = [
            (FigureName::Detect, detect, objectives.detect),
            (
                FigureName::Acknowledge,
                since_opened(self.taken),
                objectives.acknowledge,
            ),
            (
                FigureName::FirstStep,
                since_opened(self.first_step),
                objectives.first_step,
            ),
            (FigureName::Gate, self.longest_gate, objectives.gate),
            (
                FigureName::Mitigate,
                since_opened(self.mitigated),
                objectives.mitigate,
            ),
            (FigureName::Resolve, since_opened(self.resolved), None),
        ];
        all.into_iter()
            .map(|(name, took, objective)| Figure {
                name,
                took,
                objective,
            })
            .collect()
    }

    fn expected(&self) -> Vec<Outcome> {
        let of = |expected: &crate::domain::scenario::Expected| {
            let since = match &expected.after {
                None => self.opened,
                Some(after) => self.sent.get(after).or_else(|| self.done.get(after)).copied(),
            };
            Outcome {
                id: expected.id.clone(),
                what: words(&expected.deed),
                because: expected.because.clone(),
                due: since.map(|since| sum(since, expected.within)),
                done: self.done.get(&expected.id).copied(),
            }
        };
        self.scenario.expected.iter().map(of).collect()
    }

    fn wrong(&self) -> Vec<Slip> {
        let of = |wrong: &crate::domain::scenario::Wrong| Slip {
            id: wrong.id.clone(),
            what: words(&wrong.deed),
            because: wrong.because.clone(),
            done: self.slips.get(&wrong.id).copied(),
        };
        self.scenario.wrong.iter().map(of).collect()
    }

    fn injects(&self) -> Vec<InjectOutcome> {
        let of = |inject: &crate::domain::scenario::Inject| {
            let expected = self.scenario.expected.iter();
            let after = expected.filter(|expected| expected.after.as_deref() == Some(inject.id.as_str()));
            InjectOutcome {
                id: inject.id.clone(),
                title: inject.title.clone(),
                sent: self.sent.get(&inject.id).copied(),
                is_skipped: self.skipped.contains(&inject.id),
                expected: after.map(|expected| expected.id.clone()).collect(),
            }
        };
        self.scenario.injects.iter().map(of).collect()
    }

    /// From the incident to the end of the harm, the others are told at least so often.
    fn updates(&self, end: Span) -> Share {
        let (Some(every), Some(opened)) = (self.scenario.objectives.update_every, self.opened) else {
            return Share::default();
        };
        let until = self.mitigated.or(self.resolved).unwrap_or(end);
        let mut share = Share::default();
        let mut from = opened;
        while sum(from, every) <= until && every.as_millis() > 0 {
            let due = sum(from, every);
            share.of += 1;
            let in_time = self.spoken.iter().any(|spoken| *spoken > from && *spoken <= due);
            share.done += u32::from(in_time);
            from = due;
        }
        share
    }
}

fn between(from: Span, until: Span) -> Span {
    Span::from_millis(until.as_millis().saturating_sub(from.as_millis()))
}

fn sum(a: Span, b: Span) -> Span {
    Span::from_millis(a.as_millis() + b.as_millis())
}

/// A deed as people read it.
pub fn words(deed: &Deed) -> String {
    match deed {
        Deed::Acknowledge => "acknowledge the incident".to_owned(),
        Deed::Start { runbook } => format!("start {runbook}"),
        Deed::Decide {
            gate,
            verdict: Verdict::Approve,
        } => format!("approve {gate}"),
        Deed::Decide {
            gate,
            verdict: Verdict::Reject,
        } => format!("reject {gate}"),
        Deed::Manual { step } => format!("do {step} by hand"),
        Deed::Settle { step, choice } => format!("settle {step}: {}", settled(*choice)),
        Deed::Stop { runbook } => format!("stop {runbook}"),
        Deed::Update => "tell the others how it goes".to_owned(),
        Deed::Severity(severity) => format!("call it {severity}"),
        Deed::Mitigate => "say that the harm is over".to_owned(),
        Deed::Resolve => "resolve the incident".to_owned(),
    }
}

fn settled(choice: UnknownChoice) -> &'static str {
    match choice {
        UnknownChoice::RunCheck => "ask the probe again",
        UnknownChoice::MarkDone => "it was done",
        UnknownChoice::MarkNotDone => "it was not done",
        UnknownChoice::RetrySameKey => "send it again with the same key",
        UnknownChoice::RetryNewKey => "send it again with a new key",
    }
}
