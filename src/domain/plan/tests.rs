//! Every rule of the planner by example. What schedules of faults make of them is `tests/simulation`.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::domain::{
    action::FailureClass,
    digest::Digest,
    run::{RunFact, Settled, UnknownChoice},
    runbook::StartMode,
    span::Span,
    step::{Act, ActWord, ActionKind, ForEach, GateRule, Probe, Request, Retry, Until},
    template::{Expression, Template},
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

fn request() -> Request {
    Request {
        action: ActionKind::Http,
        with: json!({"target": "t"}),
    }
}

fn action(effect: Effect) -> Act {
    Act {
        word: ActWord::Call,
        request: request(),
        expect: None,
        until: None,
        effect,
        verify: None,
        undo: None,
    }
}

fn step(id: &str, kind: StepKind) -> Step {
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

fn check(id: &str) -> Step {
    step(id, StepKind::Act(action(Effect::Safe)))
}

fn set(id: &str) -> Step {
    step(id, StepKind::Act(action(Effect::Idempotent)))
}

fn strike(id: &str) -> Step {
    step(id, StepKind::Act(action(Effect::Once)))
}

fn manual(id: &str) -> Step {
    let instruction = Template::parse("Look at it").unwrap();
    step(
        id,
        StepKind::Manual {
            instruction,
            within: None,
        },
    )
}

fn wait(id: &str) -> Step {
    let length = Span::from_secs(60);
    step(id, StepKind::Wait { length })
}

fn gate(id: &str) -> Step {
    let rule = GateRule {
        approvals: 1,
        roles: Vec::new(),
        people: Vec::new(),
        requester_may_approve: false,
        decide_within: Span::from_secs(900),
        use_within: Span::from_secs(600),
        impact: None,
        on_expiry: None,
        break_glass: true,
    };
    step(id, StepKind::Gate(rule))
}

impl Step {
    fn needs<const N: usize>(self, needs: [&str; N]) -> Self {
        let needs = Some(needs.map(StepId::from).to_vec());
        Self { needs, ..self }
    }

    fn or(self, on_failure: OnFailure) -> Self {
        Self { on_failure, ..self }
    }

    fn or_go_to(self, to: &str) -> Self {
        self.or(OnFailure::GoTo(to.into()))
    }

    fn over_a_list(self, at_once: u32) -> Self {
        let items = Expression::parse("inputs.list").unwrap();
        let for_each = Some(ForEach {
            items,
            max: 100,
            at_once,
        });
        Self { for_each, ..self }
    }

    fn verified(mut self) -> Self {
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

    fn undoable(mut self) -> Self {
        if let StepKind::Act(act) = &mut self.kind {
            act.undo = Some(Box::new(action(Effect::Idempotent)));
        }
        self
    }

    fn on_expiry(mut self, to: &str) -> Self {
        if let StepKind::Gate(rule) = &mut self.kind {
            rule.on_expiry = Some(to.into());
        }
        self
    }
}

/// A run of these steps, and what has happened to it.
struct Case {
    runbook: Runbook,
    run: RunState,
    busy: BTreeSet<StepId>,
}

fn of<const N: usize>(steps: [Step; N]) -> Case {
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
    fn finally<const N: usize>(mut self, steps: [Step; N]) -> Self {
        self.runbook.finally = steps.to_vec();
        self
    }

    fn told(mut self, fact: RunFact) -> Self {
        self.run.apply(start(), &fact).unwrap();
        self
    }

    fn started(self, step: &str) -> Self {
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

    fn done<const N: usize>(self, steps: [&str; N]) -> Self {
        steps.into_iter().fold(self, |case, step| {
            case.started(step).told(RunFact::StepSucceeded {
                step: step.into(),
                attempt: 1,
                summary: String::new(),
                settled: Settled::Answer,
            })
        })
    }

    fn failed(self, step: &str, retry_at: Option<i64>) -> Self {
        self.told(RunFact::StepFailed {
            step: step.into(),
            attempt: 1,
            class: FailureClass::Refused,
            message: "no".to_owned(),
            retry_at: retry_at.map(after),
        })
    }

    fn lost(self, step: &str) -> Self {
        self.started(step).told(RunFact::OutcomeUnknown {
            step: step.into(),
            attempt: 1,
            reason: "lost".to_owned(),
        })
    }

    fn decided(self, step: &str, choice: UnknownChoice) -> Self {
        self.told(RunFact::UnknownDecided {
            step: step.into(),
            choice,
            evidence: "seen".to_owned(),
        })
    }

    fn listed(self, step: &str, count: usize) -> Self {
        let items = (0..count).map(Value::from).collect();
        self.told(RunFact::ItemsListed {
            step: step.into(),
            items,
        })
    }

    fn asked(self, gate: &str) -> Self {
        self.told(RunFact::GateOpened {
            step: gate.into(),
            approval: ApprovalId(1),
            digest: Digest::ZERO,
            decide_by: after(900),
            needed: 1,
        })
    }

    /// Good for ten minutes.
    fn approved(self, gate: &str) -> Self {
        self.asked(gate).told(RunFact::GateApproved {
            step: gate.into(),
            approval: ApprovalId(1),
            use_by: after(600),
        })
    }

    fn rejected(self, gate: &str) -> Self {
        self.asked(gate).told(RunFact::GateRejected {
            step: gate.into(),
            approval: ApprovalId(1),
            reason: "no".to_owned(),
        })
    }

    fn expired(self, gate: &str) -> Self {
        self.asked(gate).told(RunFact::GateExpired {
            step: gate.into(),
            approval: ApprovalId(1),
            unused: false,
        })
    }

    fn skipped(self, step: &str) -> Self {
        self.told(RunFact::StepSkipped {
            step: step.into(),
            reason: "a person".to_owned(),
        })
    }

    fn paused(self) -> Self {
        self.told(RunFact::PauseRequested {
            reason: "wait".to_owned(),
        })
    }

    fn stopped(self) -> Self {
        self.told(RunFact::StopRequested {
            reason: "enough".to_owned(),
        })
    }

    fn ending(self, result: RunResult, undo: bool) -> Self {
        self.told(RunFact::RunEnding {
            result,
            reason: "over".to_owned(),
            undo,
        })
    }

    fn busy<const N: usize>(mut self, steps: [&str; N]) -> Self {
        self.busy.extend(steps.map(StepId::from));
        self
    }

    fn plan(&self, seconds: i64) -> Plan {
        next(&self.runbook, &self.run, &self.busy, after(seconds))
    }

    /// The moves so many seconds after the start, in words.
    #[track_caller]
    fn offers_at<const N: usize>(&self, seconds: i64, wanted: [&str; N]) {
        let moves: Vec<String> = self.plan(seconds).moves.iter().map(words).collect();
        assert_eq!(moves, wanted);
    }

    #[track_caller]
    fn offers<const N: usize>(&self, wanted: [&str; N]) {
        self.offers_at(1, wanted);
    }

    #[track_caller]
    fn waits_until(&self, seconds: Option<i64>) {
        self.offers([]);
        assert_eq!(self.plan(1).due, seconds.map(after));
    }
}

fn words(one: &Move) -> String {
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

// Order.

#[test]
fn steps_run_in_order() {
    let case = || of([check("a"), set("b")]);
    case().offers(["act a #1"]);
    case().done(["a"]).offers(["act b #1"]);
    case().done(["a", "b"]).offers(["finish succeeded ()"]);
}

#[test]
fn every_kind_of_step_begins_in_its_own_way() {
    of([gate("a")]).offers(["open a"]);
    of([manual("a")]).offers(["ask for a"]);
    of([wait("a")]).offers(["begin a"]);
    of([check("a").over_a_list(1)]).offers(["list a"]);
}

#[test]
fn steps_that_need_nothing_run_side_by_side_and_are_joined() {
    let case = || {
        of([
            check("a").needs([]),
            check("b").needs([]),
            check("c"),
            check("d").needs(["a"]),
        ])
    };
    case().offers(["act a #1", "act b #1"]);
    case().done(["a"]).offers(["act b #1", "act d #1"]);
    case().done(["a", "b"]).offers(["act c #1", "act d #1"]);
    case().started("a").busy(["a"]).offers(["act b #1"]);
}

#[test]
fn no_more_than_the_bound_are_out_at_once() {
    let many = || check("a").over_a_list(100);
    let case = of([many()]).listed("a", 20);
    assert_eq!(case.plan(1).moves.len(), SIDE_BY_SIDE_MAX);
    let case = case.started("a[0]").started("a[1]").busy(["a[0]", "a[1]"]);
    assert_eq!(case.plan(1).moves.len(), SIDE_BY_SIDE_MAX - 2);
    let case = of([])
        .finally([many()])
        .ending(RunResult::Succeeded, false)
        .listed("a", 20);
    assert_eq!(case.plan(1).moves.len(), SIDE_BY_SIDE_MAX);
}

#[test]
fn steps_that_wait_for_each_other_end_the_run() {
    let message = "finish failed (these steps wait for each other: a, b)";
    of([check("a").needs(["b"]), check("b").needs(["a"])]).offers([message]);
    // A person may still be at work beside them.
    let case = of([check("a").needs(["a"]), manual("m").needs([])]);
    case.offers(["ask for m"]);
    let case = case.told(RunFact::ManualAsked {
        step: "m".into(),
        instruction: String::new(),
        due: None,
    });
    case.waits_until(None);
}

#[test]
fn an_approval_that_nothing_can_use_is_not_asked_for_again_and_again() {
    let case = || of([gate("ask"), set("a").needs(["b"]), set("b").needs(["a"])]);
    case().offers(["open ask"]);
    case()
        .approved("ask")
        .offers(["finish failed (these steps wait for each other: a, b)"]);
}

// Lists.

#[test]
fn items_run_so_many_at_once_and_one_that_failed_makes_place() {
    let case = || of([check("a").over_a_list(2).or(OnFailure::Continue)]).listed("a", 4);
    case().offers(["act a[0] #1", "act a[1] #1"]);
    case().done(["a[0]"]).offers(["act a[1] #1", "act a[2] #1"]);
    case().started("a[0]").busy(["a[0]"]).offers(["act a[1] #1"]);
    case()
        .started("a[0]")
        .failed("a[0]", None)
        .offers(["act a[1] #1", "act a[2] #1"]);
    case().lost("a[0]").offers(["act a[1] #1"]);
    of([check("a").over_a_list(2)])
        .listed("a", 0)
        .offers(["finish succeeded ()"]);
}

#[test]
fn a_list_is_a_list_of_so_many_items_at_most() {
    assert_eq!(items(json!([1, 2]), 2), Ok(vec![json!(1), json!(2)]));
    assert!(items(json!([1, 2, 3]), 2).unwrap_err().contains("at most 2"));
    assert!(items(json!("text"), 2).unwrap_err().contains("this is a text"));
    let long = json!(["x".repeat(crate::domain::step::ITEMS_BYTES_MAX)]);
    assert!(items(long, 2).unwrap_err().contains("bytes"));
}

// Failures.

#[test]
fn a_retry_waits_until_it_is_due() {
    let case = of([check("a")]).started("a").failed("a", Some(30));
    case.waits_until(Some(30));
    case.offers_at(30, ["act a #2"]);
}

#[test]
fn a_final_failure_does_what_its_step_says() {
    let case = |on_failure| {
        of([check("a").or(on_failure), check("b")])
            .started("a")
            .failed("a", None)
    };
    case(OnFailure::Stop).offers(["finish failed (a: no)"]);
    case(OnFailure::Continue).offers(["act b #1"]);
    case(OnFailure::Undo).offers(["ending failed, undo"]);
}

#[test]
fn go_to_passes_over_what_stands_between() {
    let between = || check("b").over_a_list(1).needs([]);
    let case = || {
        of([
            check("a").or_go_to("d").needs([]),
            between(),
            check("c"),
            check("d"),
        ])
    };
    let failed = || case().started("a").failed("a", None);
    failed().offers(["pass over b", "pass over c"]);
    failed().skipped("b").skipped("c").offers(["act d #1"]);
    // What has begun goes on; the items that have not are passed over.
    let case = case().listed("b", 3).started("b[0]").busy(["b[0]"]).started("a");
    case.failed("a", None)
        .offers(["pass over b[1]", "pass over b[2]", "pass over c"]);
}

#[test]
fn a_step_that_two_failures_pass_over_is_passed_over_once() {
    let case = of([
        check("a").or_go_to("d").needs([]),
        check("b").or_go_to("d").needs([]),
        check("c").needs([]),
        check("d"),
    ]);
    let case = case.started("a").failed("a", None).started("b").failed("b", None);
    case.offers(["pass over c"]);
}

#[test]
fn go_to_leads_nowhere_but_forward() {
    for to in ["a", "b", "nowhere"] {
        let case = of([check("a"), check("b").or_go_to(to)]).done(["a"]);
        let reason = format!("finish failed (b: no; and there is no later step {to} to go on at)");
        case.started("b").failed("b", None).offers([reason.as_str()]);
    }
}

#[test]
fn a_failure_waits_for_what_is_out_and_never_buries_what_nobody_knows() {
    let case = || of([check("a").needs([]), strike("b").needs([])]);
    let failed = |case: Case| case.started("a").failed("a", None);
    failed(case().started("b").busy(["b"])).waits_until(None);
    failed(case().lost("b")).waits_until(None);
    failed(case().lost("b"))
        .decided("b", UnknownChoice::MarkDone)
        .offers(["finish failed (a: no)"]);
}

// Crashes and doubt.

#[test]
fn what_may_be_out_there_is_settled_before_anything_else() {
    let case = || {
        of([
            strike("a").needs([]).verified(),
            strike("b").needs([]),
            check("c").needs([]),
        ])
    };
    case()
        .started("a")
        .started("b")
        .offers(["interrupted a", "interrupted b"]);
    case().lost("a").offers(["settle a"]);
    case().lost("a").stopped().offers(["settle a"]);
    // This worker has it in hand.
    case().lost("a").busy(["a"]).offers(["act b #1", "act c #1"]);
    // Without a probe, or when it could not tell, a person decides, and the rest goes on.
    let told = RunFact::ProbeInconclusive {
        step: "a".into(),
        finding: "down".to_owned(),
    };
    let case = case().lost("a").told(told).lost("b");
    case.offers(["act c #1"]);
    case.done(["c"]).waits_until(None);
}

#[test]
fn a_person_decides_what_follows_doubt() {
    let case = |choice| of([strike("a").verified()]).lost("a").decided("a", choice);
    case(UnknownChoice::RunCheck).offers(["settle a"]);
    case(UnknownChoice::MarkDone).offers(["finish succeeded ()"]);
    case(UnknownChoice::MarkNotDone).offers(["finish failed (a: marked as not done: seen)"]);
    case(UnknownChoice::RetrySameKey).offers(["act a #2"]);
    let Move::Act { next, .. } = &case(UnknownChoice::RetryNewKey).plan(1).moves[0] else {
        panic!("it is sent again");
    };
    assert_eq!((next.permit, next.generation), (1, 1));
}

// Gates.

#[test]
fn what_changes_something_waits_for_its_gate_whatever_it_needs() {
    let case = || of([gate("ask"), check("look").needs([]), set("a").needs([]), set("b")]);
    case().offers(["open ask", "act look #1"]);
    case().asked("ask").done(["look"]).waits_until(Some(900));
    case()
        .approved("ask")
        .done(["look"])
        .offers(["act a #1 under ask"]);
}

#[test]
fn a_rejection_ends_the_run() {
    let case = of([gate("ask"), set("a")]).rejected("ask");
    case.offers(["finish rejected (no)"]);
}

#[test]
fn an_undecided_gate_expires_and_ends_the_run_or_takes_its_path() {
    let case = || {
        of([
            gate("ask").on_expiry("c"),
            set("a"),
            check("b"),
            check("c"),
            set("d"),
        ])
    };
    case().asked("ask").offers_at(900, ["expire ask"]);
    case().expired("ask").offers(["pass over a", "pass over b"]);
    // The path may look, and may not do what nobody approved.
    let on = case().expired("ask").skipped("a").skipped("b");
    on.offers(["act c #1"]);
    on.done(["c"]).offers(["refuse d"]);
    let case = of([gate("ask"), set("a")]).expired("ask");
    case.offers(["finish rejected (nobody decided in time)"]);
}

#[test]
fn an_approval_lapses_only_while_something_waits_under_it() {
    let case = || of([gate("ask"), set("a").needs([]), set("b").needs([])]).approved("ask");
    case().offers_at(599, ["act a #1 under ask", "act b #1 under ask"]);
    case().offers_at(600, ["expire ask unused"]);
    case().done(["a", "b"]).offers_at(600, ["finish succeeded ()"]);
    // What people would be shown is about to change; nothing new starts meanwhile.
    case().started("a").busy(["a"]).offers_at(600, []);
    case().lost("a").offers_at(600, []);
    case()
        .lost("a")
        .decided("a", UnknownChoice::MarkDone)
        .offers_at(600, ["expire ask unused"]);
}

#[test]
fn nothing_goes_on_behind_a_gate_that_has_lapsed() {
    let case = of([gate("ask"), set("a"), check("b").needs(["ask"])]).approved("ask");
    case.offers_at(599, ["act a #1 under ask", "act b #1"]);
    case.offers_at(600, ["expire ask unused"]);
}

#[test]
fn below_a_gate_that_nobody_opened_nothing_is_changed() {
    let case = || of([gate("ask").or(OnFailure::Continue), check("look"), set("a")]);
    case().skipped("ask").done(["look"]).offers(["refuse a"]);
    case().failed("ask", None).done(["look"]).offers(["refuse a"]);
}

#[test]
fn a_gate_that_was_withdrawn_or_voided_asks_again() {
    let case = || of([gate("ask"), set("a")]).approved("ask");
    let (step, approval) = (StepId::from("ask"), ApprovalId(1));
    let reason = "x".to_owned();
    let withdrawn = RunFact::GateWithdrawn {
        step: step.clone(),
        approval,
        reason: reason.clone(),
    };
    case().told(withdrawn).offers(["open ask"]);
    let voided = RunFact::GateVoided {
        step,
        approval,
        why: reason,
    };
    case().told(voided).offers(["open ask"]);
}

#[test]
fn a_gate_that_was_sent_back_asks_again_when_the_run_goes_on() {
    let case = of([gate("ask"), set("a")])
        .asked("ask")
        .told(RunFact::GateSentBack {
            step: "ask".into(),
            approval: ApprovalId(1),
            note: "another target".to_owned(),
        });
    case.waits_until(None);
    case.told(RunFact::PauseEnded).offers(["open ask"]);
}

// People.

#[test]
fn a_paused_run_begins_nothing_and_its_clocks_run_on() {
    let case = || of([gate("ask").needs([]), check("a").needs([])]);
    case().paused().waits_until(None);
    case().asked("ask").paused().waits_until(Some(900));
    case().asked("ask").paused().offers_at(900, ["expire ask"]);
    case()
        .paused()
        .told(RunFact::PauseEnded)
        .offers(["open ask", "act a #1"]);
    case().paused().stopped().offers(["finish stopped (enough)"]);
}

#[test]
fn a_stop_waits_for_what_is_out_and_says_what_nobody_knows() {
    let case = || of([strike("a").needs([]), check("b")]);
    case().started("a").busy(["a"]).stopped().waits_until(None);
    case()
        .lost("a")
        .stopped()
        .offers(["finish stopped (enough; may still be running or done: a)"]);
}

#[test]
fn a_manual_step_has_a_clock_if_its_author_says_so() {
    let asked = |due| RunFact::ManualAsked {
        step: "m".into(),
        instruction: String::new(),
        due,
    };
    of([manual("m")]).told(asked(None)).waits_until(None);
    let case = of([manual("m")]).told(asked(Some(after(60))));
    case.waits_until(Some(60));
    case.offers_at(60, ["overdue m"]);
}

#[test]
fn a_wait_ends_when_it_is_over() {
    let case = of([wait("w")]).told(RunFact::WaitBegan {
        step: "w".into(),
        until: after(60),
    });
    case.waits_until(Some(60));
    case.offers_at(60, ["end w"]);
}

// The end.

fn undoing() -> Case {
    of([
        set("a").undoable(),
        check("b"),
        gate("ask"),
        set("c").undoable(),
        set("d").undoable().over_a_list(1),
    ])
    .done(["a", "b"])
    .approved("ask")
    .done(["c"])
    .listed("d", 2)
    .done(["d[0]"])
}

#[test]
fn what_was_done_is_taken_back_in_reverse_order_under_the_same_gate() {
    let case = undoing().told(RunFact::UndoRequested {
        reason: "enough".to_owned(),
    });
    case.offers(["ending stopped, undo"]);
    let case = case.ending(RunResult::Stopped, true);
    case.offers(["open undo:ask"]);
    let case = case.approved("undo:ask");
    case.offers(["act undo:d[0] #1 under undo:ask"]);
    case.offers_at(600, ["expire undo:ask unused"]);
    let case = case.done(["undo:d[0]"]);
    case.offers(["act undo:c #1 under undo:ask"]);
    // The first step stands under no gate, and what only looked has nothing to take back.
    let case = case.done(["undo:c"]);
    case.offers(["act undo:a #1"]);
    case.done(["undo:a"]).offers(["finish stopped (over)"]);
}

#[test]
fn what_cannot_be_taken_back_is_said_and_the_rest_is_left() {
    let case = || undoing().ending(RunResult::Failed, true);
    let message = "finish failed (over; d[0] was not taken back: no)";
    case().rejected("undo:ask").offers([message]);
    let failed = case()
        .approved("undo:ask")
        .started("undo:d[0]")
        .failed("undo:d[0]", None);
    failed.offers([message]);
    let skipped = case().skipped("undo:ask");
    skipped.offers(["finish failed (over; d[0] was not taken back: nobody is asked at undo:ask)"]);
    case().approved("undo:ask").lost("undo:d[0]").waits_until(None);
    let retried = case()
        .approved("undo:ask")
        .started("undo:d[0]")
        .failed("undo:d[0]", Some(30));
    retried.waits_until(Some(30));
}

#[test]
fn finally_runs_in_order_whatever_becomes_of_each() {
    let case = || of([check("a")]).finally([set("x"), set("y")]);
    case().done(["a"]).offers(["ending succeeded"]);
    case().started("a").failed("a", None).offers(["ending failed"]);
    let ending = || case().done(["a"]).ending(RunResult::Succeeded, false);
    ending().offers(["act x #1"]);
    ending().started("x").busy(["x"]).waits_until(None);
    ending().paused().waits_until(None);
    let failed = ending().started("x").failed("x", None);
    failed.offers(["act y #1"]);
    failed.done(["y"]).offers(["finish failed (over; finally x: no)"]);
    ending().done(["x", "y"]).offers(["finish succeeded (over)"]);
}

#[test]
fn finally_comes_after_undo_and_is_not_taken_back() {
    let case = of([set("a").undoable()]).finally([set("x").undoable()]);
    let case = case.done(["a"]).ending(RunResult::Failed, true);
    case.offers(["act undo:a #1"]);
    let case = case.done(["undo:a"]);
    case.offers(["act x #1"]);
    case.done(["x"]).offers(["finish failed (over)"]);
}

#[test]
fn a_gate_in_finally_does_not_keep_the_run() {
    let case = || of([]).finally([gate("ask")]).ending(RunResult::Succeeded, false);
    case().offers(["open ask"]);
    case().approved("ask").offers(["finish succeeded (over)"]);
    case().rejected("ask").offers(["finish succeeded (over)"]);
}

#[test]
fn a_run_that_is_over_does_nothing() {
    let case = of([check("a")]).told(RunFact::RunFinished {
        result: RunResult::Stopped,
        reason: String::new(),
    });
    case.waits_until(None);
}
