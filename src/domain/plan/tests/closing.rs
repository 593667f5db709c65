//! Stops and the end: what is waited for, what is taken back, what always runs.

use super::super::*;
use super::case::{Case, after, check, gate, manual, of, set, strike, wait};
use crate::domain::run::RunFact;

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
