//! Gates: what waits for them, what opens them, when they lapse.

use super::super::*;
use super::case::{after, check, gate, manual, of, set};
use crate::domain::run::{RunFact, UnknownChoice};

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
fn what_has_begun_keeps_its_clocks_when_a_gate_above_it_lapses() {
    let asked = RunFact::ManualAsked {
        step: "m".into(),
        instruction: String::new(),
        due: Some(after(700)),
    };
    let lapsed = RunFact::GateExpired {
        step: "ask".into(),
        approval: ApprovalId(1),
        unused: true,
    };
    let case = of([gate("ask"), set("a"), manual("m").needs(["ask"])]).approved("ask");
    let case = case.told(asked).told(lapsed);
    case.offers_at(699, ["open ask"]);
    case.offers_at(700, ["open ask", "overdue m"]);
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
