//! Every schedule of answers, crashes, decisions and clocks that a run can meet, against the promises of the planner.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{
    action::FailureClass,
    digest::Digest,
    operator::Role,
    run::{RunFact, Settled, UnknownChoice},
    runbook::StartMode,
    span::Span,
    step::{Act, ActWord, ActionKind, GateRule, Probe, Request, Retry, Until},
    template::Template,
};

const STEPS: [&str; 9] = [
    "look",
    "ask",
    "strike",
    "blind",
    "set",
    "ask-again",
    "person",
    "pause",
    "strike-again",
];
/// More than any schedule needs once people answer.
const MOVES_MAX: usize = 400;

fn request() -> Request {
    Request {
        action: ActionKind::Http,
        with: json!({"target": "t"}),
    }
}

fn act(effect: Effect, is_verified: bool) -> StepKind {
    let word = if effect == Effect::Safe {
        ActWord::Check
    } else {
        ActWord::Call
    };
    let until = Until {
        every: Span::from_secs(1),
        within: Span::from_secs(15),
    };
    StepKind::Act(Act {
        word,
        request: request(),
        expect: None,
        until: None,
        effect,
        verify: is_verified.then(|| Probe {
            request: request(),
            expect: None,
            until,
        }),
        undo: None,
    })
}

fn gate() -> StepKind {
    StepKind::Gate(GateRule {
        approvals: 1,
        roles: vec![Role::Approver],
        requester_may_approve: false,
        decide_within: Span::from_secs(900),
        use_within: Span::from_secs(600),
        impact: None,
    })
}

/// One step of every kind, two gates.
fn runbook() -> Runbook {
    let kind = |id: &str| match id {
        "look" => act(Effect::Safe, false),
        "ask" | "ask-again" => gate(),
        "strike" | "strike-again" => act(Effect::Once, true),
        "blind" => act(Effect::Once, false),
        "set" => act(Effect::Idempotent, false),
        "person" => StepKind::Manual {
            instruction: Template::parse("Look at it").unwrap(),
        },
        _ => StepKind::Wait {
            length: Span::from_secs(60),
        },
    };
    let step = |id: &str| Step {
        id: id.into(),
        title: None,
        doc: None,
        phase: None,
        when: None,
        timeout: Span::from_secs(10),
        retry: Retry {
            attempts: 3,
            ..Retry::NEVER
        },
        on_failure: OnFailure::Stop,
        kind: kind(id),
    };
    Runbook {
        slug: "r".to_owned(),
        title: "r".to_owned(),
        summary: String::new(),
        owner: None,
        services: Vec::new(),
        triggers: Vec::new(),
        start: StartMode::Manual,
        budget: None,
        inputs: Default::default(),
        locks: Vec::new(),
        steps: STEPS.into_iter().map(step).collect(),
    }
}

/// A run, the world outside it, and what is still to happen to them.
struct Simulation {
    runbook: Runbook,
    run: RunState,
    now: DateTime<Utc>,
    fence: i64,
    approvals: i64,
    /// What really happened outside.
    done: BTreeSet<StepId>,
    /// Attempts that may have reached the outside, by step and permit.
    sent: BTreeSet<(StepId, u32)>,
    /// Once it is used up every choice is the kindest one.
    schedule: std::vec::IntoIter<u8>,
}

impl Simulation {
    fn new(schedule: Vec<u8>) -> Self {
        Self {
            runbook: runbook(),
            run: RunState::default(),
            now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            fence: 1,
            approvals: 0,
            done: BTreeSet::new(),
            sent: BTreeSet::new(),
            schedule: schedule.into_iter(),
        }
    }

    fn choose(&mut self, among: u8) -> u8 {
        self.schedule.next().unwrap_or(0) % among
    }

    fn tell(&mut self, fact: RunFact) -> Result<(), TestCaseError> {
        let run = std::mem::take(&mut self.run);
        self.run = run
            .after(self.now, &fact)
            .map_err(|illegal| TestCaseError::fail(illegal.to_string()))?;
        Ok(())
    }

    fn pass(&mut self, minutes: i64) {
        self.now += TimeDelta::minutes(minutes);
    }

    /// Runs until the end and returns how it ended.
    fn run(mut self) -> Result<RunResult, TestCaseError> {
        for _ in 0..MOVES_MAX {
            match self.choose(16) {
                14 => self.pass(11),
                15 if self.run.stop_requested.is_none() => self.tell(RunFact::StopRequested {
                    reason: "enough".to_owned(),
                })?,
                _ => {}
            }
            let next = next(&self.runbook, &self.run, self.now);
            // A crash before the move is recorded: nothing happened, and time passed.
            if self.choose(8) == 7 {
                self.fence += 1;
                self.pass(3);
                continue;
            }
            if let Next::Finish { result, reason } = next {
                self.nothing_is_out(&Next::Finish {
                    result,
                    reason: String::new(),
                })?;
                self.tell(RunFact::RunFinished { result, reason })?;
                self.ended_rightly(result)?;
                return Ok(result);
            }
            self.step(next)?;
        }
        Err(TestCaseError::fail(format!(
            "no end after {MOVES_MAX} moves: {:?}",
            self.run
        )))
    }

    fn step(&mut self, next: Next) -> Result<(), TestCaseError> {
        match next.clone() {
            Next::Act {
                step,
                attempt,
                permit,
                gate,
            } => self.act(step, attempt, permit, gate),
            Next::Interrupted {
                step,
                attempt,
                effect,
            } => {
                let cut_off = self.run.interruptions.get(&step).copied().unwrap_or_default();
                let reason = "cut off".to_owned();
                match effect == Effect::Once || cut_off >= INTERRUPTIONS_MAX {
                    true => self.tell(RunFact::OutcomeUnknown {
                        step,
                        attempt,
                        reason,
                    }),
                    false => self.tell(RunFact::StepInterrupted { step, attempt }),
                }
            }
            Next::Settle { step, attempt } => match self.done.contains(&step) {
                true => self.tell(succeeded(step, attempt, Settled::Probe)),
                false => self.tell(RunFact::ProbeInconclusive {
                    step,
                    finding: "not there".to_owned(),
                }),
            },
            Next::OpenGate { step } => {
                self.nothing_is_out(&next)?;
                self.approvals += 1;
                let approval = ApprovalId(self.approvals);
                let decide_by = self.now + TimeDelta::minutes(15);
                let digest = Digest::ZERO;
                self.tell(RunFact::GateOpened {
                    step,
                    approval,
                    digest,
                    decide_by,
                    needed: 1,
                })
            }
            Next::ExpireGate {
                step,
                approval,
                unused,
            } => {
                self.nothing_is_out(&next)?;
                self.tell(RunFact::GateExpired {
                    step,
                    approval,
                    unused,
                })
            }
            Next::AskManual { step } => self.tell(RunFact::ManualAsked {
                step,
                instruction: String::new(),
            }),
            Next::BeginWait { step } => {
                let until = self.now + TimeDelta::minutes(1);
                self.tell(RunFact::WaitBegan { step, until })
            }
            Next::EndWait { step } => self.tell(RunFact::WaitOver { step }),
            Next::Sleep { until } => {
                prop_assert!(until > self.now, "sleeps until the past");
                self.decide_or_wait(until)
            }
            Next::AwaitPerson => self.answer(),
            Next::Finish { .. } => Ok(()),
        }
    }

    fn act(
        &mut self,
        step: StepId,
        attempt: u32,
        permit: u32,
        gate: Option<(StepId, ApprovalId)>,
    ) -> Result<(), TestCaseError> {
        let StepKind::Act(act) = self.runbook.step(&step).unwrap().kind.clone() else {
            return Err(TestCaseError::fail(format!("{step} does not act")));
        };
        if act.effect != Effect::Safe {
            let over = self.runbook.gate_over(&step).unwrap().id.clone();
            let StepState::Approved { approval, use_by } = self.run.step(&over).clone() else {
                return Err(TestCaseError::fail(format!(
                    "{step} acts and {over} is not approved"
                )));
            };
            prop_assert!(use_by > self.now, "{} acts after its approval lapsed", step);
            prop_assert_eq!(gate, Some((over.clone(), approval)));
            if act.verify.is_some() && self.done.contains(&step) {
                return self.tell(RunFact::StepSatisfied {
                    step,
                    summary: String::new(),
                });
            }
            if self.choose(8) == 7 {
                let why = "its target changed".to_owned();
                return self.tell(RunFact::GateVoided {
                    step: over,
                    approval,
                    why,
                });
            }
        }
        let sent = (step.clone(), permit);
        prop_assert!(
            act.effect != Effect::Once || !self.sent.contains(&sent),
            "{} is sent twice under permit {}",
            step,
            permit
        );
        self.tell(RunFact::StepStarted {
            step: step.clone(),
            attempt,
            key: "k".to_owned(),
            fence: self.fence,
            effect: act.effect,
            command: String::new(),
        })?;
        let is_once = act.effect == Effect::Once;
        let happened = self.choose(8);
        if happened != 5 {
            self.sent.insert(sent);
        }
        if [0, 1, 2, 3].contains(&happened) {
            self.done.insert(step.clone());
        }
        match happened {
            // The answer came.
            0 | 1 => self.tell(succeeded(step, attempt, Settled::Answer)),
            // It got lost, after the deed or before it.
            2 | 4 if is_once => self.tell(RunFact::OutcomeUnknown {
                step,
                attempt,
                reason: "lost".to_owned(),
            }),
            2 | 4 => self.fail(step, attempt, FailureClass::Lost, attempt < 3),
            5 => self.fail(step, attempt, FailureClass::NotSent, attempt < 3),
            6 => self.fail(step, attempt, FailureClass::Refused, !is_once && attempt < 3),
            // A crash, after the deed or before it: the start is the last word.
            _ => {
                self.fence += 1;
                let minutes = i64::from(self.choose(20));
                self.pass(minutes);
                Ok(())
            }
        }
    }

    fn fail(
        &mut self,
        step: StepId,
        attempt: u32,
        class: FailureClass,
        again: bool,
    ) -> Result<(), TestCaseError> {
        let retry_at = again.then(|| self.now + TimeDelta::seconds(5));
        let message = "failed".to_owned();
        self.tell(RunFact::StepFailed {
            step,
            attempt,
            class,
            message,
            retry_at,
        })
    }

    /// An open gate is decided, or time passes.
    fn decide_or_wait(&mut self, until: DateTime<Utc>) -> Result<(), TestCaseError> {
        let open = self.run.steps.iter().find_map(|(id, state)| match state {
            StepState::GateOpen { approval, .. } => Some((id.clone(), *approval)),
            _ => None,
        });
        match (open, self.choose(8)) {
            (Some((step, approval)), 0..=5) => {
                let use_by = self.now + TimeDelta::minutes(10);
                self.tell(RunFact::GateApproved {
                    step,
                    approval,
                    use_by,
                })
            }
            (Some((step, approval)), 6) => self.tell(RunFact::GateRejected {
                step,
                approval,
                reason: "no".to_owned(),
            }),
            _ => {
                self.now = until;
                Ok(())
            }
        }
    }

    /// A person does what is asked.
    fn answer(&mut self) -> Result<(), TestCaseError> {
        let asked = self.run.steps.iter().find_map(|(id, state)| match state {
            StepState::ManualOpen | StepState::Unknown { .. } => Some((id.clone(), state.clone())),
            _ => None,
        });
        match asked {
            Some((step, StepState::ManualOpen)) => self.tell(RunFact::ManualDone {
                step,
                note: String::new(),
            }),
            Some((step, _)) => {
                let choice = match self.choose(5) {
                    1 | 2 => UnknownChoice::RetrySameKey,
                    3 => UnknownChoice::MarkNotDone,
                    4 => UnknownChoice::RunCheck,
                    _ => UnknownChoice::MarkDone,
                };
                self.tell(RunFact::UnknownDecided {
                    step,
                    choice,
                    evidence: "seen".to_owned(),
                })
            }
            None => Err(TestCaseError::fail(format!("waits for nobody: {:?}", self.run))),
        }
    }

    /// What may be out there is found out before people are asked anew and before the run ends.
    fn nothing_is_out(&self, next: &Next) -> Result<(), TestCaseError> {
        for step in &self.runbook.steps {
            let is_out = match self.run.step(&step.id) {
                StepState::Started { .. } => true,
                StepState::Unknown { probed, .. } => !probed && has_probe(&step.kind),
                _ => false,
            };
            prop_assert!(!is_out, "{:?} while {} is out: {:?}", next, step.id, self.run);
        }
        Ok(())
    }

    fn ended_rightly(&self, result: RunResult) -> Result<(), TestCaseError> {
        let is_done = |step: &Step| {
            matches!(
                self.run.step(&step.id),
                StepState::Succeeded | StepState::Satisfied | StepState::Approved { .. }
            )
        };
        let all_done = self.runbook.steps.iter().all(is_done);
        prop_assert_eq!(result == RunResult::Succeeded, all_done, "{:?}", self.run);
        prop_assert_eq!(self.run.finished, Some(result));
        Ok(())
    }
}

fn succeeded(step: StepId, attempt: u32, settled: Settled) -> RunFact {
    RunFact::StepSucceeded {
        step,
        attempt,
        summary: String::new(),
        settled,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn every_schedule_keeps_the_promises_and_ends_once_people_answer(
        schedule in prop::collection::vec(any::<u8>(), 0..150),
    ) {
        Simulation::new(schedule).run()?;
    }
}

#[test]
fn a_run_nothing_happens_to_succeeds() {
    assert_eq!(Simulation::new(Vec::new()).run().unwrap(), RunResult::Succeeded);
}

fn folded(facts: &[RunFact], at: DateTime<Utc>) -> RunState {
    RunState::fold(facts.iter().map(|fact| (at, fact))).unwrap()
}

fn struck(at: DateTime<Utc>) -> Vec<RunFact> {
    let approval = ApprovalId(1);
    let use_by = at + TimeDelta::minutes(10);
    let started = |step: &str, effect| RunFact::StepStarted {
        step: step.into(),
        attempt: 1,
        key: "k".to_owned(),
        fence: 1,
        effect,
        command: String::new(),
    };
    vec![
        started("look", Effect::Safe),
        succeeded("look".into(), 1, Settled::Answer),
        RunFact::GateOpened {
            step: "ask".into(),
            approval,
            digest: Digest::ZERO,
            decide_by: use_by,
            needed: 1,
        },
        RunFact::GateApproved {
            step: "ask".into(),
            approval,
            use_by,
        },
        started("strike", Effect::Once),
    ]
}

#[test]
fn a_lapsed_gate_asks_again_only_after_what_was_sent_under_it_is_settled() {
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let late = at + TimeDelta::hours(1);
    let mut facts = struck(at);
    let strike = StepId::from("strike");
    let planned = |facts: &[RunFact]| next(&runbook(), &folded(facts, at), late);
    assert!(matches!(planned(&facts), Next::Interrupted { step, .. } if step == strike));
    facts.push(RunFact::OutcomeUnknown {
        step: strike.clone(),
        attempt: 1,
        reason: String::new(),
    });
    assert!(matches!(planned(&facts), Next::Settle { step, .. } if step == strike));
    facts.push(RunFact::ProbeInconclusive {
        step: strike.clone(),
        finding: String::new(),
    });
    assert_eq!(planned(&facts), Next::AwaitPerson);
    facts.push(RunFact::UnknownDecided {
        step: strike,
        choice: UnknownChoice::MarkDone,
        evidence: "seen".to_owned(),
    });
    assert!(matches!(planned(&facts), Next::ExpireGate { unused: true, .. }));
}

#[test]
fn a_stop_waits_for_what_the_probe_can_tell() {
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let mut facts = struck(at);
    facts.push(RunFact::OutcomeUnknown {
        step: "strike".into(),
        attempt: 1,
        reason: String::new(),
    });
    facts.push(RunFact::StopRequested {
        reason: "enough".to_owned(),
    });
    let planned = |facts: &[RunFact]| next(&runbook(), &folded(facts, at), at);
    assert!(matches!(planned(&facts), Next::Settle { .. }));
    facts.push(RunFact::ProbeInconclusive {
        step: "strike".into(),
        finding: String::new(),
    });
    assert!(matches!(
        planned(&facts),
        Next::Finish {
            result: RunResult::Stopped,
            ..
        }
    ));
}
