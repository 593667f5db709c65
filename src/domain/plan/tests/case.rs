//! Small words to say a runbook and what has happened to a run of it.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;

use super::super::*;
use crate::domain::{
    action::FailureClass,
    digest::Digest,
    run::{RunFact, Settled, UnknownChoice},
    runbook::StartMode,
    span::Span,
    step::{Act, ActWord, ActionKind, EVIDENCE_WITHIN, ForEach, GateRule, Probe, Request, Retry, Until},
    template::{Expression, Template},
};

pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(super) fn after(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

pub(super) fn request() -> Request {
    Request {
        action: ActionKind::Http,
        with: json!({"target": "t"}),
    }
}

pub(super) fn action(effect: Effect) -> Act {
    Act {
        word: ActWord::Call,
        request: request(),
        expect: None,
        until: None,
        effect,
        verify: None,
        undo: None,
        irreversible: false,
    }
}

pub(super) fn step(id: &str, kind: StepKind) -> Step {
    Step {
        id: id.into(),
        title: None,
        doc: None,
        phase: None,
        when: None,
        needs: None,
        for_each: None,
        timeout: Span::from_secs(10),
        retry: Retry::NEVER,
        on_failure: OnFailure::Stop,
        kind,
    }
}

pub(super) fn check(id: &str) -> Step {
    step(id, StepKind::Act(action(Effect::Safe)))
}

pub(super) fn set(id: &str) -> Step {
    step(id, StepKind::Act(action(Effect::Idempotent)))
}

pub(super) fn strike(id: &str) -> Step {
    step(id, StepKind::Act(action(Effect::Once)))
}

pub(super) fn manual(id: &str) -> Step {
    let instruction = Template::parse("Look at it").unwrap();
    step(
        id,
        StepKind::Manual {
            instruction,
            within: None,
        },
    )
}

pub(super) fn wait(id: &str) -> Step {
    let length = Span::from_secs(60);
    step(id, StepKind::Wait { length })
}

pub(super) fn gate(id: &str) -> Step {
    let rule = GateRule {
        approvals: 1,
        roles: Vec::new(),
        teams: Vec::new(),
        people: Vec::new(),
        requester_may_approve: false,
        decide_within: Span::from_secs(900),
        use_within: Span::from_secs(600),
        evidence_within: EVIDENCE_WITHIN,
        impact: None,
        on_expiry: None,
        break_glass: true,
    };
    step(id, StepKind::Gate(rule))
}

impl Step {
    pub(super) fn needs<const N: usize>(self, needs: [&str; N]) -> Self {
        let needs = Some(needs.map(StepId::from).to_vec());
        Self { needs, ..self }
    }

    pub(super) fn or(self, on_failure: OnFailure) -> Self {
        Self { on_failure, ..self }
    }

    pub(super) fn or_go_to(self, to: &str) -> Self {
        self.or(OnFailure::GoTo(to.into()))
    }

    pub(super) fn over_a_list(self, at_once: u32) -> Self {
        let items = Expression::parse("inputs.list").unwrap();
        let for_each = Some(ForEach {
            items,
            max: 100,
            at_once,
        });
        Self { for_each, ..self }
    }

    pub(super) fn verified(mut self) -> Self {
        if let StepKind::Act(act) = &mut self.kind {
            act.verify = Some(Probe {
                request: request(),
                expect: None,
                until: Until {
                    every: Span::from_secs(1),
                    within: Span::from_secs(15),
                },
            });
        }
        self
    }

    pub(super) fn undoable(mut self) -> Self {
        if let StepKind::Act(act) = &mut self.kind {
            act.undo = Some(Box::new(action(Effect::Idempotent)));
        }
        self
    }

    pub(super) fn on_expiry(mut self, to: &str) -> Self {
        if let StepKind::Gate(rule) = &mut self.kind {
            rule.on_expiry = Some(to.into());
        }
        self
    }
}

/// A run of these steps, and what has happened to it.
pub(super) struct Case {
    runbook: Runbook,
    run: RunState,
    busy: BTreeSet<StepId>,
}

pub(super) fn of<const N: usize>(steps: [Step; N]) -> Case {
    Case {
        runbook: Runbook {
            slug: "r".to_owned(),
            title: "r".to_owned(),
            summary: String::new(),
            owner: None,
            services: Vec::new(),
            triggers: Vec::new(),
            start: StartMode::Manual,
            budget: None,
            access: Default::default(),
            review: 0,
            inputs: Default::default(),
            locks: Vec::new(),
            steps: steps.to_vec(),
            finally: Vec::new(),
        },
        run: RunState::default(),
        busy: BTreeSet::new(),
    }
}

impl Case {
    pub(super) fn finally<const N: usize>(mut self, steps: [Step; N]) -> Self {
        self.runbook.finally = steps.to_vec();
        self
    }

    pub(super) fn told(mut self, fact: RunFact) -> Self {
        self.run.apply(start(), &fact).unwrap();
        self
    }

    pub(super) fn started(self, step: &str) -> Self {
        let effect = self.runbook.find(&step.into()).unwrap().act.unwrap().effect;
        let StepState::Ready { next } = *self.run.step(&step.into()) else {
            panic!("{step} is not ready");
        };
        self.told(RunFact::StepStarted {
            step: step.into(),
            attempt: next.attempt,
            key: "k".to_owned(),
            fence: 1,
            effect,
            command: String::new(),
        })
    }

    pub(super) fn done<const N: usize>(self, steps: [&str; N]) -> Self {
        steps.into_iter().fold(self, |case, step| {
            case.started(step).told(RunFact::StepSucceeded {
                step: step.into(),
                attempt: 1,
                summary: String::new(),
                settled: Settled::Answer,
            })
        })
    }

    pub(super) fn failed(self, step: &str, retry_at: Option<i64>) -> Self {
        self.told(RunFact::StepFailed {
            step: step.into(),
            attempt: 1,
            class: FailureClass::Refused,
            message: "no".to_owned(),
            retry_at: retry_at.map(after),
        })
    }

    pub(super) fn lost(self, step: &str) -> Self {
        self.started(step).told(RunFact::OutcomeUnknown {
            step: step.into(),
            attempt: 1,
            reason: "lost".to_owned(),
        })
    }

    pub(super) fn decided(self, step: &str, choice: UnknownChoice) -> Self {
        self.told(RunFact::UnknownDecided {
            step: step.into(),
            choice,
            evidence: "seen".to_owned(),
        })
    }

    pub(super) fn listed(self, step: &str, count: usize) -> Self {
        let items = (0..count).map(Value::from).collect();
        self.told(RunFact::ItemsListed {
            step: step.into(),
            items,
        })
    }

    pub(super) fn asked(self, gate: &str) -> Self {
        self.told(RunFact::GateOpened {
            step: gate.into(),
            approval: ApprovalId(1),
            digest: Digest::ZERO,
            decide_by: after(900),
            needed: 1,
        })
    }

    /// Good for ten minutes.
    pub(super) fn approved(self, gate: &str) -> Self {
        self.asked(gate).told(RunFact::GateApproved {
            step: gate.into(),
            approval: ApprovalId(1),
            use_by: after(600),
        })
    }

    pub(super) fn rejected(self, gate: &str) -> Self {
        self.asked(gate).told(RunFact::GateRejected {
            step: gate.into(),
            approval: ApprovalId(1),
            reason: "no".to_owned(),
        })
    }

    pub(super) fn expired(self, gate: &str) -> Self {
        self.asked(gate).told(RunFact::GateExpired {
            step: gate.into(),
            approval: ApprovalId(1),
            unused: false,
        })
    }

    pub(super) fn skipped(self, step: &str) -> Self {
        self.told(RunFact::StepSkipped {
            step: step.into(),
            reason: "a person".to_owned(),
        })
    }

    pub(super) fn paused(self) -> Self {
        self.told(RunFact::PauseRequested {
            reason: "wait".to_owned(),
        })
    }

    pub(super) fn stopped(self) -> Self {
        self.told(RunFact::StopRequested {
            reason: "enough".to_owned(),
        })
    }

    pub(super) fn ending(self, result: RunResult, undo: bool) -> Self {
        self.told(RunFact::RunEnding {
            result,
            reason: "over".to_owned(),
            undo,
        })
    }

    pub(super) fn busy<const N: usize>(mut self, steps: [&str; N]) -> Self {
        self.busy.extend(steps.map(StepId::from));
        self
    }

    pub(super) fn plan(&self, seconds: i64) -> Plan {
        next(&self.runbook, &self.run, &self.busy, after(seconds))
    }

    /// The moves so many seconds after the start, in words.
    #[track_caller]
    pub(super) fn offers_at<const N: usize>(&self, seconds: i64, wanted: [&str; N]) {
        let moves: Vec<String> = self.plan(seconds).moves.iter().map(words).collect();
        assert_eq!(moves, wanted);
    }

    #[track_caller]
    pub(super) fn offers<const N: usize>(&self, wanted: [&str; N]) {
        self.offers_at(1, wanted);
    }

    #[track_caller]
    pub(super) fn waits_until(&self, seconds: Option<i64>) {
        self.offers([]);
        assert_eq!(self.plan(1).due, seconds.map(after));
    }
}

pub(super) fn words(one: &Move) -> String {
    match one {
        Move::Act { step, next, gate } => {
            let under = gate
                .as_ref()
                .map_or(String::new(), |(gate, _)| format!(" under {gate}"));
            format!("act {step} #{}{under}", next.attempt)
        }
        Move::ListItems { step } => format!("list {step}"),
        Move::Refuse { step, .. } => format!("refuse {step}"),
        Move::PassOver { step, .. } => format!("pass over {step}"),
        Move::Interrupted { step, .. } => format!("interrupted {step}"),
        Move::Settle { step, .. } => format!("settle {step}"),
        Move::OpenGate { step } => format!("open {step}"),
        Move::ExpireGate { step, unused, .. } => {
            format!("expire {step}{}", if *unused { " unused" } else { "" })
        }
        Move::AskManual { step } => format!("ask for {step}"),
        Move::ManualOverdue { step } => format!("overdue {step}"),
        Move::BeginWait { step } => format!("begin {step}"),
        Move::EndWait { step } => format!("end {step}"),
        Move::End { result, undo, .. } => {
            format!("ending {}{}", result.name(), if *undo { ", undo" } else { "" })
        }
        Move::Finish { result, reason } => format!("finish {} ({reason})", result.name()),
    }
}
