//! Faults in what waits for what, where a run goes on, and what runs at its end.

use super::{faults, parse_runbook, warnings, with_steps};
use crate::domain::{
    id::StepId,
    span::Span,
    step::{OnFailure, StepKind},
};

const CALL: &str =
    "call: haproxy, with: { target: x, backend: b, drain: s }, verify: { check: tcp, with: { target: y } }";
const CHECK: &str = "check: tcp, with: { target: x }";

/// Steps in flow style, one a line, the first in line 4; `CALL` and `CHECK` stand for a whole action.
fn source(steps: &[&str], finally: &[&str]) -> String {
    let lines = |steps: &[&str]| {
        let lines: Vec<String> = steps.iter().map(|step| format!("- {{ {step} }}\n")).collect();
        lines.concat().replace("CALL", CALL).replace("CHECK", CHECK)
    };
    let mut source = with_steps(&lines(steps));
    if !finally.is_empty() {
        source += &format!("finally:\n{}", lines(finally));
    }
    source
}

#[test]
fn a_step_waits_only_for_other_steps_that_do_not_wait_for_it() {
    for (steps, expected) in [
        (
            vec!["id: look, CHECK", "id: b, needs: [lok], CHECK"],
            vec![r#"5:20: steps[1].needs[0]: there is no step "lok"; did you mean "look"?"#],
        ),
        (
            vec!["id: look, CHECK", "id: b, needs: [nothing], CHECK"],
            vec![r#"5:20: steps[1].needs[0]: there is no step "nothing"; known here: look"#],
        ),
        (
            vec!["id: a, needs: [a], CHECK"],
            vec!["4:20: steps[0].needs[0]: a step cannot wait for itself"],
        ),
        (
            vec!["id: a, needs: b, CHECK"],
            vec!["4:19: steps[0].needs: expected a list of ids, found a text; write needs: [b]"],
        ),
        (
            vec!["id: a, CHECK", "id: b, needs: [a, a], CHECK"],
            vec![r#"5:23: steps[1].needs[1]: "a" is named twice"#],
        ),
        (
            vec!["id: a, CHECK", "id: b, needs: [7, no, a], CHECK"],
            vec![
                "5:20: steps[1].needs[0]: expected a text, found a number; put it in quotes",
                r#"5:23: steps[1].needs[1]: there is no step "no"; known here: a"#,
            ],
        ),
        (
            vec!["id: a, needs: [b], CHECK", "id: b, needs: [a], CHECK"],
            vec![
                "4:20: steps[0].needs[0]: these steps wait for each other: a -> b -> a; take one of these needs out",
            ],
        ),
        (
            vec![
                "id: a, needs: [b], CHECK",
                "id: b, needs: [c], CHECK",
                "id: c, needs: [a], CHECK",
            ],
            vec![
                "4:20: steps[0].needs[0]: these steps wait for each other: a -> b -> c -> a; take one of these needs out",
            ],
        ),
        (
            vec!["id: a, needs: [c], CHECK", "id: b, CHECK", "id: c, CHECK"],
            vec![
                r#"4:20: steps[0].needs[0]: these steps wait for each other: a -> c -> a; "c" has no needs, so it waits for everything above it; name what it needs, or needs: []"#,
            ],
        ),
        (
            vec!["id: ask, needs: [act], gate: {}", "id: act, needs: [], CALL"],
            vec![
                r#"4:22: steps[0].needs[0]: these steps wait for each other: ask -> act -> ask; "act" changes something below the gate "ask", so it waits for it"#,
            ],
        ),
        (
            vec!["id: a, needs: [b], CHECK", "id: b, needs: [], CHECK"],
            vec![],
        ),
    ] {
        assert_eq!(faults(&source(&steps, &[])), expected, "{steps:?}");
    }
    assert_eq!(
        faults(&source(&["id: a, needs: [z], CHECK"], &["id: z, CHECK"])),
        [r#"4:20: steps[0].needs[0]: "z" is a step of finally, which runs after all others"#]
    );
}

#[test]
fn a_step_reads_only_what_it_waited_for() {
    let read = |needs: &str| format!("id: read, {needs} manual: '{{{{ steps.two.result.ok }}}}'");
    let (one, two) = ("id: one, needs: [], CHECK", "id: two, needs: [], CHECK");
    let three = "id: three, needs: [two], CHECK";
    for (needs, expected) in [
        ("", vec![]),
        ("needs: [two],", vec![]),
        ("needs: [three],", vec![]),
        (
            "needs: [one],",
            vec![
                r#"7:37: steps[3].manual: "two" need not be done yet when this step begins; add "two" to its needs"#,
            ],
        ),
        (
            "needs: [],",
            vec![
                r#"7:34: steps[3].manual: "two" need not be done yet when this step begins; add "two" to its needs"#,
            ],
        ),
        (
            "needs: [tow],",
            vec![r#"7:23: steps[3].needs[0]: there is no step "tow"; did you mean "two"?"#],
        ),
    ] {
        let steps = [one, two, three, &read(needs)];
        assert_eq!(faults(&source(&steps, &[])), expected, "{needs}");
    }
    let steps = [&read(""), two];
    assert_eq!(
        faults(&source(&steps, &[])),
        [r#"4:24: steps[0].manual: "two" stands below and is not done yet; put it above this step"#]
    );
    let own = "id: two, check: tcp, with: { target: '{{ steps.two.result.host }}' }";
    assert_eq!(
        faults(&source(&[own], &[])),
        [
            "4:42: steps[0].with.target: this step is not done yet, so its result is not known here; in expect its answer is called result"
        ]
    );
    // An effect waits for its gate, and so for what the gate waited for.
    let act = "id: act, needs: [], call: haproxy, with: { target: '{{ steps.two.result.x }}', backend: b, drain: s }";
    assert_eq!(faults(&source(&[two, "id: ask, gate: {}", act], &[])), [""; 0]);
}

#[test]
fn a_gate_binds_only_what_is_known_when_people_are_asked() {
    let (one, two) = ("id: one, needs: [], CHECK", "id: two, needs: [], CHECK");
    let act = "id: act, call: haproxy, with: { target: x, backend: '{{ steps.two.result.x }}', drain: s }";
    assert_eq!(
        faults(&source(&[one, two, "id: ask, needs: [one], gate: {}", act], &[])),
        [
            r#"7:57: steps[3].with.backend: reads the result of "two", which is not known yet when people decide at "ask"; add "two" to the needs of "ask""#
        ]
    );
    assert_eq!(
        faults(&source(&[one, two, "id: ask, needs: [two], gate: {}", act], &[])),
        [""; 0]
    );
    let list =
        "id: act, for_each: steps.two.result.rows, call: haproxy, with: { target: x, backend: b, drain: s }";
    assert_eq!(
        faults(&source(&["id: ask, gate: {}", two, list], &[])),
        [
            r#"6:24: steps[2].for_each: reads the result of "two", which is not known yet when people decide at "ask"; put another gate between the two steps"#
        ]
    );
}

#[test]
fn what_takes_a_step_back_may_read_what_it_found_but_not_below_a_gate() {
    let act = |undo: &str| {
        format!(
            "id: act, call: http, with: {{ target: x }}, verify: {{ check: tcp, with: {{ target: y }} }}, undo: {{ {undo} }}"
        )
    };
    let own =
        act("call: http, with: { target: x, path: '/{{ steps.act.result.body.id }}' }, effect: idempotent");
    assert_eq!(faults(&source(&[&own], &[])), [""; 0]);
    assert_eq!(
        faults(&source(&["id: ask, gate: {}", &own], &[])),
        [
            r#"5:137: steps[1].undo.with.path: the gate "ask" binds what takes this step back before the step has run, so its own result is not known; read what is known above "ask""#
        ]
    );
    let judged = act(
        "call: http, with: { target: x }, expect: result.ok and steps.act.result.ok, verify: { check: tcp, with: { target: '{{ steps.late.result.x }}' } }",
    );
    assert_eq!(
        faults(&source(&[&judged, "id: late, CHECK"], &[])),
        [
            r#"4:214: steps[0].undo.verify.with.target: "late" stands below and is not done yet; put it above this step"#
        ]
    );
    assert_eq!(
        warnings(&source(
            &[&act("call: http, with: { target: x }, effect: safe")],
            &[]
        )),
        ["4:141: steps[0].undo.effect: safe is looser than once, which a call to http is taken for"]
    );
    assert_eq!(
        warnings(&source(&[&act("call: http, with: { target: x }")], &[])),
        [
            "4:106: steps[0].undo.call: without verify, a person must find out by hand whether a lost call was carried out"
        ]
    );
}

#[test]
fn go_to_leads_forward_and_past_no_gate() {
    let on = |to: &str| format!("id: a, CHECK, on_failure: {{ go_to: {to} }}");
    let ask = "id: ask, gate: {}";
    for (steps, expected) in [
        (
            vec![
                "id: first, CHECK".to_owned(),
                on("last"),
                "id: last, CHECK".to_owned(),
            ],
            vec![],
        ),
        (
            vec![
                "id: first, CHECK".to_owned(),
                on("lst"),
                "id: last, CHECK".to_owned(),
            ],
            vec![r#"5:66: steps[1].on_failure.go_to: there is no step "lst"; did you mean "last"?"#],
        ),
        (
            vec![
                "id: first, CHECK".to_owned(),
                on("first"),
                "id: last, CHECK".to_owned(),
            ],
            vec![
                r#"5:66: steps[1].on_failure.go_to: "first" stands above, and go to only leads forward; later steps: last"#,
            ],
        ),
        (
            vec![on("a"), "id: last, CHECK".to_owned()],
            vec![
                r#"4:66: steps[0].on_failure.go_to: "a" is this step itself, and go to only leads forward; later steps: last"#,
            ],
        ),
        (
            vec!["id: first, CHECK".to_owned(), on("first")],
            vec![
                r#"5:66: steps[1].on_failure.go_to: "first" stands above, and go to only leads forward; no step stands below this one"#,
            ],
        ),
        (
            vec!["id: first, CHECK".to_owned(), on("nothing")],
            vec![
                r#"5:66: steps[1].on_failure.go_to: there is no step "nothing"; no step stands below this one"#,
            ],
        ),
        (
            vec![
                on("b"),
                ask.to_owned(),
                "id: b, CHECK".to_owned(),
                "id: c, CALL".to_owned(),
            ],
            vec![
                r#"4:66: steps[0].on_failure.go_to: "c" changes something below the gate "ask", which would be passed over; go to the gate "ask" itself"#,
            ],
        ),
        (
            vec![
                on("b"),
                ask.to_owned(),
                "id: b, CHECK".to_owned(),
                "id: c, CHECK".to_owned(),
            ],
            vec![],
        ),
        (vec![on("ask"), ask.to_owned(), "id: b, CALL".to_owned()], vec![]),
        (
            vec![
                on("c"),
                ask.to_owned(),
                "id: b, CALL".to_owned(),
                "id: c, CHECK".to_owned(),
                "id: again, gate: {}".to_owned(),
                "id: d, CALL".to_owned(),
            ],
            vec![],
        ),
        (
            vec![
                ask.to_owned(),
                on("c"),
                "id: b, CALL".to_owned(),
                "id: c, CALL".to_owned(),
            ],
            vec![],
        ),
        (
            vec![
                "id: a, CHECK, on_failure: { goto: b }".to_owned(),
                "id: b, CHECK".to_owned(),
            ],
            vec![
                r#"4:57: steps[0].on_failure: the field "go_to" is missing"#,
                r#"4:59: steps[0].on_failure.goto: unknown field "goto"; did you mean "go_to"?"#,
            ],
        ),
        (
            vec![
                "id: a, CHECK, on_failure: go_to b".to_owned(),
                "id: b, CHECK".to_owned(),
            ],
            vec![
                r#"4:57: steps[0].on_failure: expected stop, continue, undo or { go_to: id of a later step }, found "go_to b"; write on_failure: { go_to: id }"#,
            ],
        ),
        (
            vec!["id: a, CHECK, on_failure: contine".to_owned()],
            vec![
                r#"4:57: steps[0].on_failure: expected stop, continue, undo or { go_to: id of a later step }, found "contine"; did you mean "continue"?"#,
            ],
        ),
        (
            vec!["id: a, CHECK, on_failure: [undo]".to_owned()],
            vec![
                "4:57: steps[0].on_failure: expected stop, continue, undo or { go_to: id of a later step }, found a list",
            ],
        ),
    ] {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        assert_eq!(faults(&source(&steps, &[])), expected, "{steps:?}");
    }
    assert_eq!(
        faults(&source(&[&on("z"), "id: last, CHECK"], &["id: z, CHECK"])),
        [
            r#"4:66: steps[0].on_failure.go_to: "z" is a step of finally, which runs at the end in any case; later steps: last"#
        ]
    );
}

#[test]
fn a_gate_nobody_decided_lets_nothing_through() {
    let on = |to: &str| format!("id: ask, gate: {{ on_expiry: {{ go_to: {to} }} }}");
    let (look, tell, act) = ("id: look, CHECK", "id: tell, manual: Tell them", "id: act, CALL");
    for (steps, expected) in [
        (vec![on("tell"), act.to_owned(), tell.to_owned()], vec![]),
        (vec![on("look"), act.to_owned(), look.to_owned()], vec![]),
        (
            vec![on("act"), act.to_owned(), look.to_owned()],
            vec![
                r#"4:42: steps[0].gate.on_expiry.go_to: "act" changes something below this gate, which nobody has opened then; put a gate of its own above it, or into finally what needs no gate"#,
            ],
        ),
        (
            vec![on("look"), look.to_owned(), act.to_owned()],
            vec![
                r#"4:42: steps[0].gate.on_expiry.go_to: "act" changes something below this gate, which nobody has opened then; put a gate of its own above it, or into finally what needs no gate"#,
            ],
        ),
        (
            vec![
                on("look"),
                "id: again, gate: {}".to_owned(),
                look.to_owned(),
                act.to_owned(),
            ],
            vec![
                r#"4:42: steps[0].gate.on_expiry.go_to: "act" changes something below the gate "again", which would be passed over; go to the gate "again" itself"#,
            ],
        ),
        (
            vec![look.to_owned(), on("look"), act.to_owned()],
            vec![
                r#"5:42: steps[1].gate.on_expiry.go_to: "look" stands above, and go to only leads forward; later steps: act"#,
            ],
        ),
        (
            vec![look.to_owned(), act.to_owned(), on("ask")],
            vec![
                r#"6:42: steps[2].gate.on_expiry.go_to: "ask" is this step itself, and go to only leads forward; no step stands below this one"#,
            ],
        ),
    ] {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        assert_eq!(faults(&source(&steps, &[])), expected, "{steps:?}");
    }
}

#[test]
fn undo_needs_something_to_take_back() {
    let undo = "id: a, CALL, undo: { CALL }";
    let nothing = "nothing that could have been done by then has an undo, so nothing is taken back";
    for (steps, expected) in [
        (vec![undo, "id: b, CHECK, on_failure: undo"], vec![]),
        (
            vec!["id: a, CALL", "id: b, CHECK, on_failure: undo"],
            vec![format!("5:57: steps[1].on_failure: {nothing}")],
        ),
        (
            vec!["id: a, CALL, on_failure: undo, undo: { CALL }"],
            vec![format!("4:127: steps[0].on_failure: {nothing}")],
        ),
        (
            vec!["id: a, for_each: labels.hosts, CALL, on_failure: undo, undo: { CALL }"],
            vec![],
        ),
    ] {
        assert_eq!(warnings(&source(&steps, &[])), expected, "{steps:?}");
    }
    assert_eq!(
        warnings(&source(
            &["id: a, gate: { people: [ana], roles: [admin] }", "id: b, CHECK"],
            &[]
        )),
        [
            "4:42: steps[0].gate.roles: only the named people decide, whatever their role, so roles is not used"
        ]
    );
    assert_eq!(
        warnings(&source(
            &[
                "id: a, gate: { teams: [storage], people: [ana], roles: [admin], approvals: 3 }",
                "id: b, CHECK"
            ],
            &[]
        )),
        [
            "4:60: steps[0].gate.roles: only the named teams and people decide, whatever their role, so roles is not used"
        ]
    );
}

#[test]
fn finally_runs_by_itself_one_step_after_the_other() {
    for (step, expected) in [
        (
            "id: z, CALL, retry: {}, on_failure: continue, when: labels.a",
            vec![],
        ),
        ("id: z, for_each: labels.hosts, CHECK", vec![]),
        (
            "id: z",
            vec!["8:3: finally[1]: says nothing to do: exactly one of check, call, logs is needed"],
        ),
        (
            "id: z, gate: {}",
            vec![
                "8:12: finally[1].gate: finally ends by itself, so it holds check, call and logs only, no gate; put it at the end of steps",
            ],
        ),
        (
            "id: z, manual: Tell them",
            vec![
                "8:12: finally[1].manual: finally ends by itself, so it holds check, call and logs only, no manual; put it at the end of steps",
            ],
        ),
        (
            "id: z, wait: 1s",
            vec![
                "8:12: finally[1].wait: finally ends by itself, so it holds check, call and logs only, no wait; put it at the end of steps",
            ],
        ),
        (
            "id: z, CHECK, needs: [a]",
            vec![
                "8:45: finally[1].needs: a step of finally has no needs: its steps run one after the other, as they are written",
            ],
        ),
        (
            "id: z, CHECK, on_failure: undo",
            vec![
                "8:57: finally[1].on_failure: nothing is taken back any more when finally runs; write stop or continue",
            ],
        ),
        (
            "id: z, CHECK, on_failure: { go_to: a }",
            vec![
                "8:57: finally[1].on_failure: finally has no go to: its steps run one after the other, whatever becomes of each; write stop or continue",
            ],
        ),
        (
            "id: z, CHECK, on_failure: maybe",
            vec![r#"8:57: finally[1].on_failure: expected stop or continue, found "maybe""#],
        ),
        (
            "id: z, CALL, undo: { CALL }",
            vec!["8:115: finally[1].undo: what finally did is never taken back, so a step of it has no undo"],
        ),
        (
            "id: a, CHECK",
            vec![r#"8:9: finally[1].id: "a" is the id of steps[0] already"#],
        ),
        (
            "id: z, check: tcp, with: { target: '{{ steps.b.result.x }}' }",
            vec![],
        ),
        (
            "id: z, check: tcp, with: { target: '{{ steps.a.result.x }}' }",
            vec![r#"8:40: finally[1].with.target: "a" is a wait and has no result"#],
        ),
        (
            "id: z, check: tcp, with: { target: '{{ steps.z.result.x }}' }",
            vec![
                "8:40: finally[1].with.target: this step is not done yet, so its result is not known here; in expect its answer is called result",
            ],
        ),
        (
            "id: z, check: tcp, with: { target: '{{ steps.y.result.x }}' }",
            vec![],
        ),
        (
            "id: z, check: tcp, with: { target: '{{ steps.zz.result.x }}' }",
            vec![
                r#"8:40: finally[1].with.target: "zz" stands below and is not done yet; put it above this step"#,
            ],
        ),
    ] {
        let finally = ["id: y, CHECK", step, "id: zz, CHECK"];
        assert_eq!(
            faults(&source(&["id: a, wait: 1s", "id: b, CHECK"], &finally)),
            expected,
            "{step}"
        );
    }
    let reading = "id: b, check: tcp, with: { target: '{{ steps.z.result.x }}' }";
    assert_eq!(
        faults(&source(&[reading], &["id: z, CHECK"])),
        [r#"4:40: steps[0].with.target: "z" is a step of finally, which runs after all others"#]
    );
    assert_eq!(
        faults(&source(&["id: a, CHECK"], &["id: z, CHECK", "id: z, CHECK"])),
        [r#"7:9: finally[1].id: "z" is the id of finally[0] already"#]
    );
    assert_eq!(
        faults(&with_steps("- { id: a, wait: 1s }\nfinally: z\n")),
        ["5:10: finally: expected a list, found a text"]
    );
}

#[test]
fn the_whole_flow_is_read_as_it_is_written() {
    let parsed = parse_runbook(&source(
        &[
            "id: a, CHECK, on_failure: undo",
            "id: b, needs: [], manual: Look, timeout: 2d, on_failure: { go_to: d }",
            "id: ask, needs: [a, b], gate: { people: [ana, ben], approvals: 2, on_expiry: { go_to: d }, break_glass: false }",
            "id: d, CHECK, timeout: 2s",
        ],
        &["id: z, CALL, on_failure: continue"],
    ))
    .unwrap();
    let runbook = parsed.runbook;
    let [a, b, ask, d] = runbook.steps.as_slice() else {
        panic!("{runbook:?}");
    };
    assert_eq!((&a.needs, &a.on_failure), (&None, &OnFailure::Undo));
    assert_eq!(b.needs, Some(vec![]));
    assert_eq!(b.on_failure, OnFailure::GoTo(StepId::from("d")));
    assert!(
        matches!(&b.kind, StepKind::Manual { within: Some(within), .. } if *within == Span::from_secs(2 * 24 * 3600))
    );
    assert_eq!(ask.needs, Some(vec![StepId::from("a"), StepId::from("b")]));
    let StepKind::Gate(rule) = &ask.kind else {
        panic!("{ask:?}");
    };
    assert_eq!(rule.people, ["ana", "ben"]);
    assert_eq!((rule.approvals, rule.break_glass), (2, false));
    assert_eq!(rule.on_expiry, Some(StepId::from("d")));
    assert_eq!(d.timeout, Span::from_secs(2));
    assert_eq!(runbook.finally.len(), 1);
    assert_eq!(runbook.finally[0].on_failure, OnFailure::Continue);
}
