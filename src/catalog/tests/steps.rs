//! Faults and warnings in steps.

use super::{faults, parse_runbook, warnings, with_steps};
use crate::domain::{
    operator::Role,
    span::Span,
    step::{Effect, OnFailure, Retry, StepKind, Until},
};

/// Steps in flow style, one a line, the first in line 4: a value of the first begins where it is written.
fn faults_of(steps: &[&str]) -> Vec<String> {
    let lines: Vec<String> = steps.iter().map(|step| format!("- {{ {step} }}")).collect();
    faults(&with_steps(&lines.join("\n")))
}

#[test]
fn every_fault_of_a_step_has_its_place() {
    for (step, expected) in [
        ("wait: 1s", r#"4:3: steps[0]: the field "id" is missing"#),
        (
            "id: a",
            "4:3: steps[0]: says nothing to do: exactly one of check, call, logs, gate, manual, wait is needed",
        ),
        (
            "id: a, wait: 1s, manual: b",
            "4:22: steps[0].manual: one step does one thing, but here are wait and manual",
        ),
        (
            "id: a_b, wait: 1s",
            r#"4:9: steps[0].id: "a_b" is not a name: 1 to 63 lower-case letters, digits and inner dashes"#,
        ),
        (
            "id: a, wait: 31d",
            r#"4:18: steps[0].wait: "31d" is longer than 30 days"#,
        ),
        (
            "id: a, wait: 0s",
            "4:18: steps[0].wait: must be from 1ms to 30d, found 0s",
        ),
        (
            "id: a, wait: 1s, phase: repair",
            r#"4:29: steps[0].phase: expected detect, isolate, restore, verify, found "repair""#,
        ),
        (
            "id: a, wait: 1s, timeout: 2s",
            r#"4:22: steps[0].timeout: a wait step has no "timeout""#,
        ),
        (
            "id: a, manual: '{% if %}'",
            "4:20: steps[0].manual: only {{ expression }} is part of the language, no {% or {#",
        ),
        (
            "id: a, gate: {}, when: labels.a",
            "4:22: steps[0].when: a gate is never skipped: what is below it needs its decision",
        ),
        (
            "id: a, gate: {}, on_failure: continue",
            "4:22: steps[0].on_failure: a gate that is refused ends the run; when nobody decides in time, gate.on_expiry says where it goes on",
        ),
        (
            "id: a, manual: b, timeout: 999ms",
            "4:32: steps[0].timeout: must be from 1s to 30d, found 999ms",
        ),
        (
            "id: a, manual: b, retry: {}",
            r#"4:23: steps[0].retry: a manual step has no "retry""#,
        ),
        (
            "id: a, gate: yes",
            "4:18: steps[0].gate: expected a map, found a text",
        ),
        (
            "id: a, gate: { approvals: 11 }",
            "4:31: steps[0].gate.approvals: must be a whole number from 1 to 10, found 11",
        ),
        (
            "id: a, gate: { roles: [] }",
            "4:27: steps[0].gate.roles: at least one role is needed",
        ),
        (
            "id: a, gate: { roles: [viewer] }",
            "4:28: steps[0].gate.roles[0]: a viewer only reads and cannot decide",
        ),
        (
            "id: a, gate: { roles: [approvr] }",
            r#"4:28: steps[0].gate.roles[0]: expected viewer, responder, approver, admin, found "approvr"; did you mean "approver"?"#,
        ),
        (
            "id: a, gate: { teams: [Storage] }",
            r#"4:28: steps[0].gate.teams[0]: "Storage" is not a name: 1 to 63 lower-case letters, digits and inner dashes"#,
        ),
        (
            "id: a, gate: { teams: [] }",
            "4:27: steps[0].gate.teams: at least one team is needed",
        ),
        (
            "id: a, gate: { people: [] }",
            "4:28: steps[0].gate.people: at least one name is needed; leave people out, and anybody with one of the roles decides",
        ),
        (
            "id: a, gate: { people: [ana, ana] }",
            "4:34: steps[0].gate.people[1]: ana is named twice",
        ),
        (
            "id: a, gate: { approvals: 2, people: [ana] }",
            "4:31: steps[0].gate.approvals: 2 approvals cannot be given, because only 1 person is named in people; name more people, or ask for fewer approvals",
        ),
        (
            "id: a, gate: { people: [ana, ben], approvals: 3 }",
            "4:51: steps[0].gate.approvals: 3 approvals cannot be given, because only 2 people are named in people; name more people, or ask for fewer approvals",
        ),
        (
            "id: a, gate: { break_glass: never }",
            r#"4:33: steps[0].gate.break_glass: expected true or false, found "never""#,
        ),
        (
            "id: a, gate: { on_expiry: stop }",
            r#"4:31: steps[0].gate.on_expiry: expected { go_to: id of a later step }, found "stop"; without on_expiry the run ends when nobody decides in time"#,
        ),
        (
            "id: a, gate: { quorum: 2 }",
            r#"4:20: steps[0].gate.quorum: unknown field "quorum"; known here: approvals, roles, teams, people, requester_may_approve, decide_within, use_within, evidence_within, on_expiry, break_glass"#,
        ),
    ] {
        assert_eq!(faults_of(&[step]), [expected], "{step}");
    }
}

#[test]
fn every_fault_of_an_action_has_its_place() {
    for (step, expected) in [
        (
            "id: a, check: tcp",
            r#"4:3: steps[0]: the field "with" is missing"#,
        ),
        (
            "id: a, check: tcp, with: x",
            "4:30: steps[0].with: expected a map, found a text",
        ),
        (
            "id: a, check: tcp, with: {}",
            r#"4:30: steps[0].with: the field "target" is missing"#,
        ),
        (
            "id: a, check: tcp, with: { target: [x] }",
            "4:40: steps[0].with.target: expected a text, found a list",
        ),
        (
            "id: a, check: tcp, with: { target: x, port: 5 }",
            r#"4:43: steps[0].with.port: unknown field "port"; known here: target"#,
        ),
        (
            "id: a, check: postgress, with: { target: x }",
            r#"4:19: steps[0].check: expected http, tcp, postgres, prometheus, alertmanager, haproxy, command, found "postgress"; did you mean "postgres"?"#,
        ),
        (
            "id: a, call: tcp, with: { target: x }",
            "4:18: steps[0].call: there is no call of tcp; write check: tcp",
        ),
        (
            "id: a, logs: http, with: { target: x }",
            "4:18: steps[0].logs: there is no logs of http; write check or call: http",
        ),
        (
            "id: a, check: postgres, with: { target: x }",
            r#"4:35: steps[0].with: the field "query" is missing"#,
        ),
        (
            "id: a, check: postgres, with: { target: x, query: '{{ a' }",
            "4:55: steps[0].with.query: {{ without its }}",
        ),
        (
            "id: a, check: postgres, with: { target: x, query: q, params: [1, [2]] }",
            "4:70: steps[0].with.params[1]: expected a text, a number or a boolean, found a list",
        ),
        (
            "id: a, check: haproxy, with: { target: x, backend: b, disable: s }",
            r#"4:59: steps[0].with.disable: "disable" changes something; a check only reads; use call"#,
        ),
        (
            "id: a, call: haproxy, with: { target: x, backend: b }",
            "4:33: steps[0].with: a call needs one of enable, drain, disable",
        ),
        (
            "id: a, check: http, with: { target: x, method: POST }",
            "4:52: steps[0].with.method: a check only reads: GET or HEAD, not POST",
        ),
        (
            "id: a, call: http, with: { target: x, method: PUSH }",
            r#"4:51: steps[0].with.method: expected GET, HEAD, POST, PUT, PATCH or DELETE, found "PUSH""#,
        ),
        (
            "id: a, check: http, with: { target: x, body: { a: 1 } }",
            "4:50: steps[0].with.body: a GET has no body",
        ),
        (
            "id: a, check: http, with: { target: x, headers: { a: { b: c } } }",
            "4:58: steps[0].with.headers.a: expected a text, a number or a boolean, found a map",
        ),
        (
            "id: a, logs: loki, with: { target: x, query: q, limit: 501 }",
            "4:60: steps[0].with.limit: must be a whole number from 1 to 500, found 501",
        ),
        (
            "id: a, logs: loki, with: { target: x, query: q, since: 15 }",
            "4:60: steps[0].with.since: expected a length of time like 30s, found a number",
        ),
        (
            "id: a, check: command, with: { target: x, program: bin/du }",
            r#"4:56: steps[0].with.program: expected an absolute path or the name of a program, found "bin/du""#,
        ),
        (
            "id: a, check: command, with: { target: x, program: /a, args: [b], params: { c: d } }",
            "4:71: steps[0].with.params: args is the whole list and params fills in what is open; a step has one of them",
        ),
        (
            "id: a, check: tcp, with: { target: x }, effect: once",
            r#"4:45: steps[0].effect: a check step has no "effect""#,
        ),
        (
            "id: a, check: tcp, with: { target: x }, undo: {}",
            r#"4:45: steps[0].undo: a check step has no "undo""#,
        ),
        (
            "id: a, check: tcp, with: { target: x }, timeout: 61m",
            "4:54: steps[0].timeout: must be from 1ms to 1h, found 61m",
        ),
        (
            "id: a, check: tcp, with: { target: x }, retry: { attempts: 21 }",
            "4:64: steps[0].retry.attempts: must be a whole number from 1 to 20, found 21",
        ),
        (
            "id: a, check: tcp, with: { target: x }, retry: { initial: 5s, max: 1s }",
            "4:52: steps[0].retry: max 1s is shorter than initial 5s",
        ),
        (
            "id: a, check: tcp, with: { target: x }, until: { every: 99ms, within: 1s }",
            "4:61: steps[0].until.every: must be from 100ms to 1d, found 99ms",
        ),
        (
            "id: a, check: tcp, with: { target: x }, until: { every: 1s, within: 25h }",
            "4:73: steps[0].until.within: must be from 100ms to 1d, found 25h",
        ),
        (
            "id: a, check: tcp, with: { target: x }, until: { every: 5s, within: 1s }",
            "4:52: steps[0].until: within 1s is shorter than every 5s",
        ),
        (
            "id: a, check: tcp, with: { target: x }, until: { every: 5s }",
            r#"4:52: steps[0].until: the field "within" is missing"#,
        ),
        (
            "id: a, check: tcp, with: { target: x }, expect: result ok",
            "4:53: steps[0].expect: syntax error: unexpected input after expression",
        ),
        (
            "id: a, call: http, with: { target: x }, until: { within: 5s }",
            "4:45: steps[0].until: until would repeat the call; ask with verify.until",
        ),
        (
            "id: a, call: http, with: { target: x }, effect: twice",
            r#"4:53: steps[0].effect: expected safe, idempotent, once, found "twice""#,
        ),
        (
            "id: a, call: http, with: { target: x }, undo: { call: tcp, with: { target: x } }",
            "4:59: steps[0].undo.call: there is no call of tcp; write check: tcp",
        ),
        (
            "id: a, call: http, with: { target: x }, undo: { call: http, with: { target: x }, undo: {} }",
            r#"4:86: steps[0].undo.undo: unknown field "undo"; known here: call, with, expect, effect, verify"#,
        ),
        (
            "id: a, call: http, with: { target: x }, undo: { call: http, with: { target: x }, effect: twice }",
            r#"4:94: steps[0].undo.effect: expected safe, idempotent, once, found "twice""#,
        ),
        (
            "id: a, call: http, with: { target: x }, undo: { call: http, with: { target: x }, verify: { check: loki, with: {} } }",
            "4:103: steps[0].undo.verify.check: there is no check of loki; write logs: loki",
        ),
        (
            "id: a, call: http, with: { target: x }, undo: { call: http }",
            r#"4:51: steps[0].undo: the field "with" is missing"#,
        ),
    ] {
        assert_eq!(faults_of(&[step]), [expected], "{step}");
    }
    let verify_by_a_call =
        "id: a, call: http, with: { target: x }, verify: { call: http, with: { target: x } }";
    assert_eq!(
        faults_of(&[verify_by_a_call]),
        [
            r#"4:53: steps[0].verify: the field "check" is missing"#,
            r#"4:55: steps[0].verify.call: unknown field "call"; known here: check, with, expect, until"#,
        ]
    );
}

#[test]
fn only_names_that_have_a_value_by_then_are_read() {
    let first = "id: first-look, check: tcp, with: { target: x }";
    let gate = "id: ask, gate: {}";
    for (step, expected) in [
        ("id: b, manual: '{{ steps[\"first-look\"].result.ok }}'", vec![]),
        (
            "id: b, manual: '{{ steps.first-look.result.ok }}'",
            vec![
                r#"6:20: steps[2].manual: there is no step "first"; write steps['first-look']"#,
                r#"6:20: steps[2].manual: there is no name "look"; known here: inputs, labels, annotations, incident, run, steps"#,
            ],
        ),
        (
            "id: b, manual: '{{ steps.b.result }}'",
            vec![r#"6:20: steps[2].manual: "b" is a manual step and has no result"#],
        ),
        (
            "id: b, manual: '{{ steps[\"first-lok\"].result }}'",
            vec![r#"6:20: steps[2].manual: there is no step "first-lok"; did you mean "first-look"?"#],
        ),
        (
            "id: b, manual: '{{ steps.nothing.result }}'",
            vec![r#"6:20: steps[2].manual: there is no step "nothing"; known here: first-look"#],
        ),
        (
            "id: b, manual: '{{ steps.ask.result }}'",
            vec![r#"6:20: steps[2].manual: "ask" is a gate and has no result"#],
        ),
        (
            "id: b, manual: '{{ steps[\"first-look\"].reslt }}'",
            vec![r#"6:20: steps[2].manual: there is no step field "reslt"; did you mean "result"?"#],
        ),
        (
            "id: b, manual: '{{ steps[labels.a] }}'",
            vec![r#"6:20: steps[2].manual: "steps" must be followed by a name that is written out"#],
        ),
        (
            "id: b, manual: '{{ inputs.cluster }}'",
            vec![r#"6:20: steps[2].manual: there is no input "cluster""#],
        ),
        (
            "id: b, manual: '{{ run.number }}'",
            vec![r#"6:20: steps[2].manual: there is no run field "number"; known here: id"#],
        ),
        (
            "id: b, manual: '{{ result.ok }}'",
            vec![
                r#"6:20: steps[2].manual: "result" is only known in expect; elsewhere write steps['id'].result"#,
            ],
        ),
        (
            "id: b, manual: '{{ range(3) }}'",
            vec!["6:20: steps[2].manual: there are no functions in expressions"],
        ),
        (
            "id: b, manual: '{{ labels.a | uper }}'",
            vec![r#"6:20: steps[2].manual: there is no filter "uper"; did you mean "upper"?"#],
        ),
        (
            "id: b, manual: c, when: labels.a is defind",
            vec![r#"6:29: steps[2].when: there is no test "defind"; did you mean "defined"?"#],
        ),
        (
            "id: b, manual: c, title: '{{ foo }}'",
            vec![
                r#"6:30: steps[2].title: there is no name "foo"; known here: inputs, labels, annotations, incident, run, steps"#,
            ],
        ),
        (
            "id: b, check: http, with: { target: x, headers: { a: ['{{ foo }}'] } }",
            vec![
                r#"6:59: steps[2].with.headers.a[0]: there is no name "foo"; known here: inputs, labels, annotations, incident, run, steps"#,
            ],
        ),
        (
            "id: b, check: tcp, with: { target: '{{ result }}' }, expect: result.ok and foo",
            vec![
                r#"6:40: steps[2].with.target: "result" is only known in expect; elsewhere write steps['id'].result"#,
                "6:66: steps[2].expect: there is no name \"foo\"; known here: inputs, labels, annotations, incident, run, \
             steps, result",
            ],
        ),
    ] {
        assert_eq!(faults_of(&[first, gate, step]), expected, "{step}");
    }
}

#[test]
fn an_approval_is_bound_to_what_is_known_at_the_gate() {
    let check = "id: look, check: tcp, with: { target: x }";
    let gate = "id: ask, gate: {}";
    let call = "id: act, call: http, with: { target: x, path: '/{{ steps.look.result.ok }}' }, verify: { check: tcp, with: { target: y } }";
    let late = "reads the result of \"look\", which is not known yet when people decide at \"ask\"; put another gate between the two steps";
    assert_eq!(faults_of(&[check, gate, call]), [""; 0]);
    assert_eq!(
        faults_of(&[gate, check, call]),
        [format!("6:51: steps[2].with.path: {late}")]
    );
    assert_eq!(faults_of(&["id: early, gate: {}", check, gate, call]), [""; 0]);
    assert_eq!(
        faults_of(&[check, call]),
        [""; 0],
        "without a gate nothing is bound"
    );
    let undo = "id: act, call: http, with: { target: x }, undo: { call: http, with: { target: x, method: PUT, body: [{ a: '{{ steps.look }}' }] } }";
    assert_eq!(
        faults_of(&[gate, check, undo]),
        [format!("6:111: steps[2].undo.with.body[0].a: {late}")]
    );
    let reading = "id: act, check: http, with: { target: x, path: '/{{ steps.look.result.ok }}' }";
    assert_eq!(
        faults_of(&[gate, check, reading]),
        [""; 0],
        "what only reads is not bound"
    );
}

#[test]
fn effects_without_a_net_are_named() {
    let verify = "verify: { check: tcp, with: { target: x } }";
    for (step, expected) in [
        (
            format!("id: a, call: http, with: {{ target: x }}, {verify}"),
            vec![],
        ),
        (
            "id: a, call: http, with: { target: x }".to_owned(),
            vec![
                "4:18: steps[0].call: without verify, a person must find out by hand whether a lost call was carried out",
            ],
        ),
        (
            format!("id: a, call: http, with: {{ target: x }}, effect: idempotent, {verify}"),
            vec!["4:53: steps[0].effect: idempotent is looser than once, which a call to http is taken for"],
        ),
        (
            format!("id: a, call: http, with: {{ target: x, method: PUT }}, effect: idempotent, {verify}"),
            vec![],
        ),
        (
            "id: a, call: http, with: { target: x }, effect: safe".to_owned(),
            vec!["4:53: steps[0].effect: safe is looser than once, which a call to http is taken for"],
        ),
        (
            format!(
                "id: a, call: haproxy, with: {{ target: x, backend: b, drain: s }}, effect: once, {verify}"
            ),
            vec![],
        ),
        (
            "id: a, gate: {}".to_owned(),
            vec!["4:3: steps[0]: nothing runs under this gate"],
        ),
    ] {
        assert_eq!(
            warnings(&with_steps(&format!("- {{ {step} }}"))),
            expected,
            "{step}"
        );
    }
}

#[test]
fn what_is_not_said_has_a_value() {
    let source = with_steps(
        "- { id: a, gate: {} }\n- { id: b, call: http, with: { target: x }, verify: { check: tcp, with: { target: y } } }\n\
         - { id: c, check: tcp, with: { target: y }, retry: {}, until: { within: 5s } }",
    );
    let runbook = parse_runbook(&source).unwrap().runbook;
    let StepKind::Gate(gate) = &runbook.steps[0].kind else {
        panic!("{:?}", runbook.steps[0]);
    };
    assert_eq!(
        (gate.approvals, gate.roles.as_slice()),
        (1, [Role::Approver].as_slice())
    );
    assert!(!gate.requester_may_approve);
    assert_eq!(
        (gate.decide_within, gate.use_within),
        (Span::from_secs(900), Span::from_secs(600))
    );
    let StepKind::Act(call) = &runbook.steps[1].kind else {
        panic!("{:?}", runbook.steps[1]);
    };
    assert_eq!(call.effect, Effect::Once);
    let seconds = |every, within| Until {
        every: Span::from_secs(every),
        within: Span::from_secs(within),
    };
    assert_eq!(
        call.verify.as_ref().map(|probe| probe.until),
        Some(seconds(1, 15))
    );
    let step = &runbook.steps[1];
    assert_eq!(
        (step.timeout, step.retry, step.on_failure.clone()),
        (Span::from_secs(30), Retry::NEVER, OnFailure::Stop)
    );
    let StepKind::Act(check) = &runbook.steps[2].kind else {
        panic!("{:?}", runbook.steps[2]);
    };
    assert_eq!(check.until, Some(seconds(1, 5)));
    assert_eq!(
        runbook.steps[2].retry,
        Retry {
            attempts: 3,
            ..Retry::NEVER
        }
    );
}

#[test]
fn what_cannot_be_taken_back_stands_under_a_gate_and_has_no_undo() {
    let call = |more: &str| format!("id: wipe, call: http, with: {{ target: x, method: POST }}, {more}");
    let gate = "id: ask, gate: {}";
    assert_eq!(faults_of(&[gate, &call("irreversible: true")]), [""; 0]);
    assert_eq!(faults_of(&[&call("irreversible: false")]), [""; 0]);
    for (steps, words) in [
        (vec![call("irreversible: true")], "needs a gate above it"),
        (
            vec![
                gate.to_owned(),
                call("irreversible: true, undo: { call: http, with: { target: x, method: PUT } }"),
            ],
            "it has an undo",
        ),
        (
            vec![gate.to_owned(), call("effect: safe, irreversible: true")],
            "what only reads",
        ),
        (
            vec![
                gate.to_owned(),
                "id: look, check: tcp, with: { target: x }, irreversible: true".to_owned(),
            ],
            "has no \"irreversible\"",
        ),
    ] {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let found = faults_of(&steps).join("\n");
        assert!(found.contains(words), "{words}: {found}");
    }
    let source = "runbook: x\ntitle: X\nsteps:\n  - { id: ask, gate: { evidence_within: 2m } }\n  \
                  - { id: wipe, call: http, with: { target: x, method: POST }, irreversible: true }\n";
    let runbook = parse_runbook(source).unwrap().runbook;
    let written = crate::catalog::write::runbook(&runbook);
    assert!(
        written.contains("irreversible: true") && written.contains("evidence_within: 2m"),
        "{written}"
    );
    assert_eq!(parse_runbook(&written).unwrap().runbook, runbook);
}

#[test]
fn a_silence_is_checked_before_anybody_needs_it() {
    let call = |with: &str| format!("id: a, call: alertmanager, with: {{ target: x, {with} }}");
    for (step, words) in [
        (
            call("silence: { duration: 1h, comment: c }"),
            "\"matchers\" is missing",
        ),
        (
            call("silence: { matchers: 'a', duration: 1h, comment: c }"),
            "silence.matchers: at character",
        ),
        (
            call("silence: { matchers: { a: [b] }, duration: 1h, comment: c }"),
            "expected a text",
        ),
        (
            call("silence: { matchers: { a: b }, duration: 5s, comment: c }"),
            "must be from 1m to 30d",
        ),
        (
            call("silence: { matchers: { a: b }, duration: 1h, comment: c, until: d }"),
            "until",
        ),
        (call("matchers: { a: b }"), "a call needs one of silence, expire"),
        (
            "id: a, check: alertmanager, with: { target: x }".to_owned(),
            "needs matchers or fingerprints",
        ),
        (
            "id: a, check: alertmanager, with: { target: x, matchers: { a: b }, expire: c }".to_owned(),
            "only reads",
        ),
    ] {
        let found = faults_of(&[&step]).join("\n");
        assert!(found.contains(words), "{step}: {found}");
    }
    let good = call("silence: { matchers: { a: '{{ labels.b }}' }, duration: '{{ labels.c }}', comment: d }");
    assert!(faults_of(&[&good]).is_empty());
    assert!(
        warnings(&with_steps(&format!("- {{ {good} }}"))).is_empty(),
        "it finds out by itself"
    );
    let runbook = parse_runbook(&with_steps(&format!("- {{ {good} }}"))).unwrap();
    assert_eq!(runbook.runbook.steps[0].effect(), Effect::Idempotent);
}
