//! Rehearsals without a world: what is asked, in which order, and what each answer means.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{
    IncidentHead, Script, known,
    part::{Answer, Came},
    walk::{Stage, Walk},
};
use crate::{
    actions, catalog,
    domain::{
        action::{Failure, FailureClass, Outcome},
        id::{IncidentId, StepId},
        rehearsal::{Rehearsed, Says, Verdict},
        runbook::Runbook,
        step::{Effect, ForEach, OnFailure, StepKind},
        target::Targets,
        template::{Expression, Template},
    },
};

const TARGETS: &str = "
targets:
  - name: shop
    http: { url: 'http://shop:8000/', bearer: env:SHOP_TOKEN }
  - name: plain
    http: { url: 'http://plain/' }
  - name: db
    postgres: { host: db, user: muster }
  - name: lb
    haproxy: { address: 'lb:9999' }
  - name: tools
    command: { programs: [{ path: /bin/look, args: [x] }], env: { KEY: env:TOOL_KEY } }
";

/// What is said to a question, by the start of its text.
type Said<'a> = &'a [(&'a str, Came)];

fn ok(result: Value) -> Came {
    Came::Said(Ok(Outcome {
        summary: format!("answered {result}"),
        result,
    }))
}

fn fails(class: FailureClass, message: &str) -> Came {
    Came::Said(Err(Failure::new(class, message)))
}

fn refused_port() -> Came {
    fails(FailureClass::NotSent, "connection refused")
}

fn no_secret() -> Came {
    Came::NoSecret("secret env:SHOP_TOKEN is not set".to_owned())
}

fn runbook(steps: &str) -> Runbook {
    let source = format!(
        "runbook: r\ntitle: R\ninputs:\n  c: {{ from: labels.c }}\n  who: {{ required: true }}\nsteps:\n{steps}"
    );
    catalog::parse_runbook(&source)
        .unwrap_or_else(|faults| panic!("{faults:?}\n{source}"))
        .runbook
}

fn targets() -> Targets {
    catalog::parse_targets(TARGETS).unwrap()
}

/// Everything a rehearsal goes by besides the runbook.
struct Circumstances<'a> {
    said: Said<'a>,
    held: BTreeMap<String, String>,
    asks: bool,
    incident: bool,
}

impl Default for Circumstances<'_> {
    fn default() -> Self {
        Self {
            said: &[],
            held: BTreeMap::new(),
            asks: true,
            incident: true,
        }
    }
}

/// Rehearses; returns the steps and what was asked, turn by turn.
fn rehearse(runbook: &Runbook, about: &Circumstances<'_>) -> (Vec<Rehearsed>, Vec<Vec<String>>) {
    let (alert, given) = (
        json!({"labels": {"c": "blue"}, "annotations": {}}),
        BTreeMap::from([("who".to_owned(), "ana".to_owned())]),
    );
    let head = IncidentHead {
        id: IncidentId(7),
        title: "Down",
        severity: 1,
    };
    let script = Script {
        runbook,
        given: &given,
        alert: &alert,
        incident: about.incident.then_some(head),
        asks: about.asks,
    };
    let targets = targets();
    let stage = Stage {
        runbook,
        targets: &targets,
        held: &about.held,
        asks: about.asks,
        at: DateTime::default(),
    };
    let (known, obstacles) = known(&script);
    assert!(obstacles.is_empty(), "{obstacles:?}");
    let mut walk = Walk::new(stage, known);
    let mut turns = Vec::new();
    loop {
        let asks = walk.advance();
        if asks.is_empty() {
            return (walk.finish(), turns);
        }
        let mut turn = Vec::new();
        for ask in asks {
            let text = match &ask.question {
                Some((target, request)) => actions::describe(target, request),
                None => format!("{} secrets", ask.secrets.len()),
            };
            let said = about.said.iter().find(|(start, _)| text.starts_with(start));
            let came = said.map_or_else(|| ok(json!({"ok": true})), |(_, came)| came.clone());
            walk.answer(ask.id, Answer { came, took_ms: 3 });
            turn.push(text);
        }
        turns.push(turn);
    }
}

/// A verdict in a few words.
fn words(step: &Rehearsed) -> String {
    let text = match &step.verdict {
        Verdict::WouldSend { probe, unseen } => {
            let request = step.request.as_deref().unwrap_or_default();
            let more = |words: &str, text: &Option<String>| {
                text.as_ref()
                    .map_or_else(String::new, |text| format!(" | {words} {text}"))
            };
            format!(
                "would send {request}{}{}",
                more("probe:", probe),
                more("unseen:", unseen)
            )
        }
        Verdict::DoneAlready { finding } => format!("done already: {finding}"),
        Verdict::Checked { finding, says } => {
            let says = match says {
                Says::Holds => "holds".to_owned(),
                Says::Fails { ends, then } => format!("fails, {then} ({ends})"),
                Says::Early { when } => format!("not now, asked {when}"),
                Says::Unjudged { reason } => format!("unjudged: {reason}"),
            };
            format!("{says}: {finding}")
        }
        Verdict::WouldAsk => format!("would ask: {}", step.request.as_deref().unwrap_or_default()),
        Verdict::WouldWait => format!("would wait {}", step.request.as_deref().unwrap_or_default()),
        Verdict::Skipped { reason } => format!("skipped: {reason}"),
        Verdict::CannotKnow { reason } => format!("cannot know: {reason}"),
        Verdict::NotLooked { reason } => format!("not looked: {reason}"),
        Verdict::Broken { fault, reason } => format!("broken, {fault:?}: {reason}"),
    };
    let condition = step
        .condition
        .as_ref()
        .map_or_else(String::new, |text| format!(" | only if {text}"));
    format!("{}: {text}{condition}", step.step)
}

#[track_caller]
fn check(runbook: &Runbook, about: &Circumstances<'_>, expected: &[&str]) {
    let (steps, turns) = rehearse(runbook, about);
    let told: Vec<String> = steps.iter().map(words).collect();
    assert_eq!(told, expected, "asked {turns:#?}");
}

#[track_caller]
fn check_one(steps: &str, said: Said<'_>, expected: &[&str]) {
    let about = Circumstances {
        said,
        ..Circumstances::default()
    };
    check(&runbook(steps), &about, expected);
}

const LOOK: &str = "
  - id: look
    check: http
    with: { target: plain, path: '/{{ inputs.c }}' }
    expect: result.ok
";
const SEND: &str = "
  - id: send
    call: http
    with: { target: shop, method: POST, path: /go, body: { by: '{{ inputs.who }}' } }
    effect: once
";

#[test]
fn a_check_is_asked_and_an_effect_only_described() {
    let (steps, turns) = rehearse(&runbook(&format!("{LOOK}{SEND}")), &Circumstances::default());
    let told: Vec<String> = steps.iter().map(words).collect();
    assert_eq!(
        told,
        [
            r#"look: holds: answered {"ok":true}"#,
            r#"send: would send POST http://shop:8000/go {"by":"ana"}"#,
        ]
    );
    assert_eq!(turns, [["GET http://plain/blue", "TCP connect shop:8000"]]);
    assert_eq!((steps[0].took_ms, steps[1].took_ms), (Some(3), None));
    assert_eq!(steps[1].target.as_deref(), Some("shop"));
    assert_eq!(steps[1].effect, Effect::Once);
}

#[test]
fn what_keeps_an_effect_from_working_is_named() {
    let door = "TCP connect shop";
    for (answer, verdict) in [
        (
            no_secret(),
            "send: broken, Secret: secret env:SHOP_TOKEN is not set",
        ),
        (refused_port(), "send: broken, Unreachable: connection refused"),
        (
            fails(FailureClass::Lost, "no answer"),
            "send: broken, Unreachable: no answer",
        ),
        (
            fails(FailureClass::Refused, "go away"),
            "send: broken, Refused: go away",
        ),
        (
            fails(FailureClass::Invalid, "forbidden address"),
            "send: broken, Request: forbidden address",
        ),
    ] {
        check_one(SEND, &[(door, answer)], &[verdict]);
    }
    let held = BTreeMap::from([("shop".to_owned(), "the circuit of shop is open".to_owned())]);
    let about = Circumstances {
        held,
        ..Circumstances::default()
    };
    check(
        &runbook(SEND),
        &about,
        &["send: broken, Circuit: the circuit of shop is open"],
    );
    for (with, verdict) in [
        (
            "{ target: nobody, method: POST }",
            "send: broken, Target: there is no target nobody; add it to the targets file",
        ),
        (
            "{ target: db, method: POST }",
            "send: broken, Target: target db is of kind postgres, not http",
        ),
        (
            "{ target: shop, method: POST, path: '/{{ labels.none }}' }",
            "send: broken, Template: path: labels.none is not defined",
        ),
        (
            "{ target: shop, method: POST, headers: { cookie: x } }",
            "send: broken, Request: with.headers.cookie cannot be set by a step; credentials belong to the target",
        ),
    ] {
        let step = format!("  - id: send\n    call: http\n    with: {with}\n    effect: once\n");
        check_one(&step, &[], &[verdict]);
    }
}

#[test]
fn a_check_that_does_not_hold_says_what_the_run_would_do() {
    let no = || ok(json!({"ok": false}));
    let says = r#"expected result.ok; answered {"ok":false}"#;
    check_one(
        LOOK,
        &[("GET", no())],
        &[&format!("look: fails, the run would end here (true): {says}")],
    );
    for (after, then) in [
        (OnFailure::Continue, "the run would go on (false)"),
        (
            OnFailure::Undo,
            "the run would take back what it did and end here (true)",
        ),
        (
            OnFailure::GoTo("end".into()),
            "the run would go on at end (false)",
        ),
    ] {
        let mut runbook = runbook(LOOK);
        runbook.steps[0].on_failure = after;
        let about = Circumstances {
            said: &[("GET", no())],
            ..Circumstances::default()
        };
        check(&runbook, &about, &[&format!("look: fails, {then}: {says}")]);
    }
    check_one(
        LOOK,
        &[("GET", refused_port())],
        &["look: broken, Unreachable: connection refused"],
    );
    check_one(
        LOOK,
        &[("GET", fails(FailureClass::Invalid, "POST changes things"))],
        &["look: broken, Request: POST changes things"],
    );
    // To be down may be what is expected.
    check_one(
        &LOOK.replace("expect: result.ok", "expect: not result.ok"),
        &[("GET", refused_port())],
        &["look: holds: connection refused"],
    );
}

#[test]
fn what_a_check_found_is_read_by_later_steps() {
    let steps = format!(
        "{LOOK}
  - id: tell
    manual: It says {{{{ steps.look.result.body }}}}
  - id: not-now
    check: http
    with: {{ target: plain, path: /x }}
    when: steps.look.result.body == 'green'
  - id: send
    call: http
    with: {{ target: plain, method: POST, path: '/{{{{ steps[\"look\"].result.body }}}}' }}
    effect: once
  - id: done
    wait: 5s
"
    );
    check_one(
        &steps,
        &[("GET http://plain/blue", ok(json!({"ok": true, "body": "red"})))],
        &[
            r#"look: holds: answered {"body":"red","ok":true}"#,
            "tell: would ask: It says red",
            "not-now: skipped: steps.look.result.body == 'green' does not hold",
            "send: would send POST http://plain/red",
            "done: would wait 5s",
        ],
    );
    let lost = Came::Unasked("there was no answer within 30 s".to_owned());
    check_one(
        &steps,
        &[("GET http://plain/blue", lost)],
        &[
            "look: not looked: there was no answer within 30 s",
            "tell: cannot know: reads the result of look, which is only known after look was asked",
            "not-now: holds: answered {\"ok\":true} | only if steps.look.result.body == 'green'; it reads the result of \
             look, which is only known after look was asked",
            "send: cannot know: reads the result of look, which is only known after look was asked",
            "done: would wait 5s",
        ],
    );
}

#[test]
fn what_only_an_effect_brings_to_light_is_said_to_be_unknown() {
    let steps = format!(
        "{SEND}
  - id: after
    check: http
    with: {{ target: plain, path: /after }}
  - id: reads-effect
    check: http
    with: {{ target: plain, path: '/{{{{ steps.send.result.id }}}}' }}
  - id: reads-later-check
    manual: '{{{{ steps.after.result.body }}}}'
  - id: nobody
    call: http
    with: {{ target: nobody, method: POST, path: '/{{{{ steps.send.result.id }}}}' }}
    effect: once
  - id: of-the-run
    manual: Write down {{{{ run.id }}}} of {{{{ incident.title }}}}
"
    );
    let known = "which is only known after send was sent";
    check_one(
        &steps,
        &[("GET http://plain/after", refused_port())],
        &[
            r#"send: would send POST http://shop:8000/go {"by":"ana"}"#,
            "after: not now, asked after send was sent: connection refused",
            &format!("reads-effect: cannot know: reads the result of send, {known}"),
            &format!("reads-later-check: cannot know: reads the result of after, {known}"),
            "nobody: broken, Target: there is no target nobody; add it to the targets file",
            "of-the-run: cannot know: reads the number of the run, which is only known once the run has begun",
        ],
    );
    // Once it is done, what comes after it is known now, and its own result never.
    let done = steps.replacen(
        "effect: once\n",
        "effect: once\n    verify:\n      check: http\n      with: { target: plain, path: /done }\n",
        1,
    );
    let (steps, _) = rehearse(&runbook(&done), &Circumstances::default());
    let told: Vec<String> = steps.iter().take(4).map(words).collect();
    assert_eq!(
        told,
        [
            r#"send: done already: answered {"ok":true}"#,
            r#"after: holds: answered {"ok":true}"#,
            "reads-effect: broken, Template: path: undefined value: `steps.send` is undefined; send has no result, since it \
             is done already and would be passed over",
            "reads-later-check: broken, Template: steps.after.result.body is not defined",
        ]
    );
}

#[test]
fn a_persons_work_changes_what_is_checked_after_it() {
    check_one(
        "  - id: clear\n    manual: Clear it\n  - id: room\n    check: http\n    with: { target: plain }\n    expect: not result.ok\n",
        &[],
        &[
            "clear: would ask: Clear it",
            r#"room: not now, asked after clear was done: expected not result.ok; answered {"ok":true}"#,
        ],
    );
}

#[test]
fn a_verify_probe_is_asked_before_anything_else_is_said() {
    let steps = format!(
        "{SEND}    verify:
      check: http
      with: {{ target: plain, path: /done }}
      expect: result.body.done
"
    );
    let sends = r#"send: would send POST http://shop:8000/go {"by":"ana"}"#;
    let probe = "GET http://plain/done";
    let held = BTreeMap::from([("shop".to_owned(), "open".to_owned())]);
    let done = ok(json!({"ok": true, "body": {"done": true}}));
    let about = Circumstances {
        said: &[(probe, done.clone()), ("TCP", refused_port())],
        held,
        ..Circumstances::default()
    };
    let finding = r#"send: done already: answered {"body":{"done":true},"ok":true}"#;
    check(&runbook(&steps), &about, &[finding]);
    for (answer, verdict) in [
        (
            ok(json!({"ok": true, "body": {"done": false}})),
            format!(
                "{sends} | probe: expected result.body.done; answered {{\"body\":{{\"done\":false}},\"ok\":true}}"
            ),
        ),
        // What the probe looks at may be down because nothing has been done yet.
        (refused_port(), format!("{sends} | probe: connection refused")),
        (
            no_secret(),
            "send: broken, Secret: its verify probe cannot be asked: secret env:SHOP_TOKEN is not set"
                .to_owned(),
        ),
        (
            fails(FailureClass::Invalid, "no"),
            "send: broken, Probe: its verify probe cannot be asked: no".to_owned(),
        ),
    ] {
        check_one(&steps, &[(probe, answer)], &[&verdict]);
    }
    check_one(
        &steps.replace("{ target: plain, path: /done }", "{ target: nobody }"),
        &[],
        &[
            "send: broken, Probe: its verify probe cannot be asked: there is no target nobody; add it to the targets file",
        ],
    );
}

#[test]
fn what_takes_an_effect_back_is_shown_and_must_work_as_well() {
    let with_undo = |with: &str| {
        format!(
            "  - id: drain\n    call: haproxy\n    with: {{ target: lb, backend: b, drain: old }}\n    undo:\n      call: http\n      with: {with}\n"
        )
    };
    let fine = with_undo("{ target: shop, method: POST, path: /back }");
    let (steps, turns) = rehearse(&runbook(&fine), &Circumstances::default());
    assert_eq!(steps[0].undo.as_deref(), Some("POST http://shop:8000/back"));
    assert_eq!(turns, [["TCP connect shop:8000", "haproxy show servers state b"]]);
    check_one(
        &fine,
        &[("TCP", no_secret())],
        &["drain: broken, Secret: what takes it back: secret env:SHOP_TOKEN is not set"],
    );
    check_one(
        &with_undo("{ target: gone, method: POST }"),
        &[],
        &["drain: broken, Target: what takes it back: there is no target gone; add it to the targets file"],
    );
}

#[test]
fn a_gate_says_what_it_is_for_and_cannot_ask_for_what_cannot_be_shown() {
    let gate = "  - id: ask\n    gate: { approvals: 2, roles: [approver] }\n    impact: Half of {{ inputs.c }} is gone\n";
    let steps = format!("{gate}{LOOK}{SEND}");
    let (found, _) = rehearse(&runbook(&steps), &Circumstances::default());
    assert_eq!(
        words(&found[0]),
        "ask: would ask: 2 approvals by approver, for send\nHalf of blue is gone"
    );
    assert_eq!(found[1].gate, None, "a check needs no decision");
    assert_eq!(found[2].gate, Some(StepId::from("ask")));
    check_one(
        &steps.replace("target: shop", "target: nobody"),
        &[],
        &[
            "ask: broken, Gate: send below it cannot be shown to those who decide",
            r#"look: holds: answered {"ok":true}"#,
            "send: broken, Target: there is no target nobody; add it to the targets file",
        ],
    );
    // A credential that is missing keeps nobody from being asked.
    let (found, _) = rehearse(
        &runbook(&steps),
        &Circumstances {
            said: &[("TCP", no_secret())],
            ..Circumstances::default()
        },
    );
    assert_eq!(found[0].verdict, Verdict::WouldAsk);
}

fn over(runbook: &mut Runbook, at: usize, items: &str, max: u32) {
    runbook.steps[at].for_each = Some(ForEach {
        items: Expression::parse(items).unwrap(),
        max,
        at_once: 2,
    });
}

#[test]
fn a_list_is_rehearsed_item_by_item() {
    let steps = format!(
        "{LOOK}
  - id: each
    check: http
    with: {{ target: plain, path: /item }}
  - id: stop
    call: http
    with: {{ target: plain, method: POST, path: /stop }}
    effect: once
  - id: tell
    manual: Tell
"
    );
    let with_item = |runbook: &mut Runbook, at: usize| {
        let StepKind::Act(act) = &mut runbook.steps[at].kind else {
            panic!("not an act");
        };
        act.request.with["path"] = json!("/{{ item.name }}/{{ index }}");
    };
    let listed = |items: Value| ok(json!({"ok": true, "items": items}));
    let mut book = runbook(&steps);
    for at in [1, 2] {
        with_item(&mut book, at);
        over(&mut book, at, "steps.look.result.items", 100);
    }
    let text = "{{ steps.each.results | length }} and {{ steps.each.results[1].body }}";
    book.steps[3].kind = StepKind::Manual {
        instruction: Template::parse(text).unwrap(),
        within: None,
    };
    let about = |said| Circumstances {
        said,
        ..Circumstances::default()
    };
    let two = [
        (
            "GET http://plain/blue",
            listed(json!([{"name": "a"}, {"name": "b"}])),
        ),
        ("GET http://plain/b/1", ok(json!({"ok": true, "body": "B"}))),
    ];
    let (found, turns) = rehearse(&book, &about(&two));
    let told: Vec<String> = found.iter().skip(1).map(words).collect();
    assert_eq!(
        told,
        [
            r#"each[0]: holds: answered {"ok":true}"#,
            r#"each[1]: holds: answered {"body":"B","ok":true}"#,
            "stop[0]: would send POST http://plain/a/0",
            "stop[1]: would send POST http://plain/b/1",
            "tell: would ask: 2 and B",
        ]
    );
    assert_eq!(turns[1].len(), 3, "one knock for both items: {turns:?}");

    let none = [("GET http://plain/blue", listed(json!([])))];
    let (found, _) = rehearse(&book, &about(&none));
    assert_eq!(
        words(&found[1]),
        "each: skipped: the list steps.look.result.items is empty"
    );

    let many: Vec<Value> = (0..50).map(|n| json!({"name": n})).collect();
    let many = [("GET http://plain/blue", listed(json!(many)))];
    let (found, _) = rehearse(&book, &about(&many));
    assert_eq!(found.len(), 1 + 21 + 21 + 1);
    assert_eq!(words(&found[21]), "each[20]: not looked: 30 more items of 50");
    assert_eq!(
        words(&found[43]),
        "tell: cannot know: reads the result of each, which is only known after each was asked"
    );

    over(&mut book, 1, "steps.look.result.items", 1);
    let (found, _) = rehearse(&book, &about(&two));
    assert!(
        words(&found[1]).starts_with("each: broken, Template: for_each: for_each gives 2 items"),
        "{}",
        words(&found[1])
    );
}

#[test]
fn what_runs_at_the_end_comes_last_and_reads_what_is_known() {
    let mut book = runbook(&format!("{LOOK}{SEND}"));
    let tell = runbook(&format!(
        "{LOOK}  - id: tell\n    call: http\n    with: {{ target: plain, method: POST, path: '/{{{{ steps.look.result.body }}}}' }}\n    effect: once\n"
    ));
    book.finally = vec![tell.steps[1].clone()];
    let about = Circumstances {
        said: &[("GET", ok(json!({"ok": true, "body": "red"})))],
        ..Circumstances::default()
    };
    let (found, _) = rehearse(&book, &about);
    assert_eq!(words(&found[2]), "tell: would send POST http://plain/red");
    assert!(found[2].finally && found[2].gate.is_none());
}

#[test]
fn only_what_is_read_has_to_be_waited_for() {
    let steps = format!(
        "{LOOK}
  - id: other
    check: http
    with: {{ target: plain, path: /other }}
  - id: third
    check: http
    with: {{ target: plain, path: '/{{{{ steps.look.result.ok }}}}' }}
  - id: again
    check: http
    with: {{ target: plain, path: '/{{{{ inputs.c }}}}' }}
"
    );
    let (_, turns) = rehearse(&runbook(&steps), &Circumstances::default());
    let turns: Vec<Vec<&str>> = turns
        .iter()
        .map(|turn| turn.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(
        turns,
        [
            vec!["GET http://plain/blue", "GET http://plain/other"],
            vec!["GET http://plain/true"],
        ],
        "the same question is asked once"
    );
}

#[test]
fn a_program_is_run_only_where_the_author_calls_it_a_check() {
    let step = |word: &str, more: &str| {
        format!(
            "  - id: look\n    {word}: command\n    with: {{ target: tools, program: /bin/look, args: [x] }}\n{more}"
        )
    };
    let (found, turns) = rehearse(&runbook(&step("check", "")), &Circumstances::default());
    assert_eq!(words(&found[0]), r#"look: holds: answered {"ok":true}"#);
    assert_eq!(turns, [["/bin/look x"]]);
    for effect in ["safe", "once"] {
        let call = step("call", &format!("    effect: {effect}\n"));
        let (found, turns) = rehearse(&runbook(&call), &Circumstances::default());
        assert_eq!(words(&found[0]), "look: would send /bin/look x");
        assert_eq!(turns, [["1 secrets"]]);
    }
}

#[test]
fn with_no_questions_everything_is_rendered_and_nothing_asked() {
    let about = Circumstances {
        asks: false,
        incident: false,
        ..Circumstances::default()
    };
    let steps = format!("{LOOK}{SEND}  - id: tell\n    manual: '{{{{ incident.title }}}}'\n");
    let (found, turns) = rehearse(&runbook(&steps), &about);
    assert!(turns.is_empty());
    let told: Vec<String> = found.iter().map(words).collect();
    assert_eq!(
        told,
        [
            "look: not looked: nothing was asked",
            r#"send: would send POST http://shop:8000/go {"by":"ana"}"#,
            "tell: cannot know: reads the incident, which is only known once there is an incident",
        ]
    );
    assert_eq!(found[0].request.as_deref(), Some("GET http://plain/blue"));
}

#[test]
fn what_nobody_answers_in_time_is_not_called_broken() {
    let runbook = runbook(&format!("{LOOK}{SEND}"));
    let (targets, held, given) = (targets(), BTreeMap::new(), BTreeMap::new());
    let stage = Stage {
        runbook: &runbook,
        targets: &targets,
        held: &held,
        asks: true,
        at: DateTime::default(),
    };
    let script = Script {
        runbook: &runbook,
        given: &given,
        alert: &json!({"labels": {"c": "blue"}, "annotations": {}}),
        incident: None,
        asks: true,
    };
    let (known, obstacles) = known(&script);
    assert_eq!(obstacles, ["no value for the required input who"]);
    let mut walk = Walk::new(stage, known);
    walk.advance();
    walk.give_up("there was no answer within 30 s");
    let told: Vec<String> = walk.finish().iter().map(words).collect();
    assert_eq!(
        told,
        [
            "look: not looked: there was no answer within 30 s",
            "send: cannot know: needs the input who, which nobody has given",
        ]
    );
}

#[test]
fn steps_that_read_each_other_end_the_walk_all_the_same() {
    let mut book = runbook(&format!(
        "{LOOK}  - id: b\n    manual: '{{{{ steps.look.result.body }}}}'\n"
    ));
    let StepKind::Act(act) = &mut book.steps[0].kind else {
        panic!("not an act");
    };
    act.request.with["path"] = json!("/{{ steps.b.result }}");
    let (found, _) = rehearse(&book, &Circumstances::default());
    assert_eq!(
        words(&found[0]),
        "look: cannot know: reads the result of b, which is only known after b was asked"
    );
    assert_eq!(found.len(), 2);
}
