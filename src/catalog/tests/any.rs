//! Arbitrary runbooks without faults, with every field of the format.

use std::collections::BTreeMap;

use proptest::{option, prelude::*, sample};
use serde_json::{Value, json};

use super::tree;
use crate::domain::{
    access::{Access, Circle},
    id::StepId,
    operator::Role,
    runbook::{Budget, Input, Runbook, StartMode},
    span::Span,
    step::{
        Act, ActWord, ActionKind, Effect, ForEach, GateRule, OnFailure, Phase, Probe, Request, Retry, Step,
        StepKind, Until,
    },
    template::{Expression, Template},
};

/// One line without blanks at its ends.
fn line() -> impl Strategy<Value = String> {
    "[^\\s\\p{C}{}]([^\\p{C}{}]{0,12}[^\\s\\p{C}{}])?"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        line(),
        (line(), line()).prop_map(|(a, b)| format!("{a}\n\n  {b}\n"))
    ]
}

fn template() -> impl Strategy<Value = Template> {
    (text(), any::<bool>()).prop_map(|(text, is_read)| {
        let place = if is_read { "{{ labels.a | upper }}" } else { "" };
        Template::parse(&format!("{text}{place}")).unwrap()
    })
}

fn expression(sources: &'static [&'static str]) -> impl Strategy<Value = Expression> {
    sample::select(sources).prop_map(|source| Expression::parse(source).unwrap())
}

fn condition() -> impl Strategy<Value = Expression> {
    expression(&["labels.a == 'b: c'", "not labels['x y'] is defined", "true"])
}

fn judgement() -> impl Strategy<Value = Expression> {
    expression(&["result.ok", "result.value > 3 and labels.a != \"#\""])
}

/// Whole seconds and odd ones.
fn span(ms: std::ops::Range<u64>) -> impl Strategy<Value = Span> {
    ms.prop_map(Span::from_millis)
}

fn until() -> impl Strategy<Value = Until> {
    (span(100..5_000), span(0..90_000)).prop_map(|(every, more)| Until {
        every,
        within: Span::from_millis(every.as_millis() + more.as_millis()),
    })
}

fn retry() -> impl Strategy<Value = Retry> {
    (1..=20u32, span(1..5_000), span(0..90_000)).prop_map(|(attempts, initial, more)| Retry {
        attempts,
        initial,
        max: Span::from_millis(initial.as_millis() + more.as_millis()),
    })
}

/// What an author can write under `with` of this action.
fn inputs(word: ActWord, action: ActionKind, body: &Value, line: &str) -> Value {
    match (word, action) {
        (ActWord::Call, ActionKind::Http) => {
            json!({"target": line, "method": "POST", "path": "/{{ labels.a }}", "body": body})
        }
        (_, ActionKind::Postgres) => {
            json!({"target": line, "query": "select $1", "params": [line, 1, null, true]})
        }
        (ActWord::Call, ActionKind::Haproxy) => json!({"target": line, "backend": line, "drain": [line]}),
        (_, ActionKind::File) => json!({"target": line, "limit": 7}),
        _ => json!({"target": line}),
    }
}

fn request(word: ActWord) -> impl Strategy<Value = Request> {
    let actions: &[ActionKind] = match word {
        ActWord::Check => &[ActionKind::Http, ActionKind::Tcp, ActionKind::Postgres],
        ActWord::Call => &[ActionKind::Http, ActionKind::Postgres, ActionKind::Haproxy],
        ActWord::Logs => &[ActionKind::File],
    };
    // Braces in a body would be templates.
    let body = tree().prop_map(|tree| {
        let text = tree
            .to_string()
            .replace("{{", "((")
            .replace("{%", "(%")
            .replace("{#", "(#");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    });
    (sample::select(actions), body, line()).prop_map(move |(action, body, line)| Request {
        action,
        with: inputs(word, action, &body, &line),
    })
}

fn effect() -> impl Strategy<Value = Effect> {
    sample::select(&[Effect::Safe, Effect::Idempotent, Effect::Once][..])
}

fn probe() -> impl Strategy<Value = Probe> {
    (request(ActWord::Check), option::of(judgement()), until()).prop_map(|(request, expect, until)| Probe {
        request,
        expect,
        until,
    })
}

fn act(word: ActWord) -> BoxedStrategy<Act> {
    let is_call = word == ActWord::Call;
    let undo = match is_call {
        true => option::of(call()).boxed(),
        false => Just(None).boxed(),
    };
    (
        request(word),
        option::of(judgement()),
        option::of(until()),
        effect(),
        option::of(probe()),
        undo,
    )
        .prop_map(move |(request, expect, until, effect, verify, undo)| Act {
            word,
            request,
            expect,
            until: until.filter(|_| !is_call),
            effect: if is_call { effect } else { Effect::Safe },
            verify: verify.filter(|_| is_call),
            undo: undo.map(Box::new),
            irreversible: false,
        })
        .boxed()
}

/// A call that nothing takes back, as an undo is.
fn call() -> impl Strategy<Value = Act> {
    (
        request(ActWord::Call),
        option::of(judgement()),
        effect(),
        option::of(probe()),
    )
        .prop_map(|(request, expect, effect, verify)| Act {
            word: ActWord::Call,
            request,
            expect,
            until: None,
            effect,
            verify,
            undo: None,
            irreversible: false,
        })
}

fn gate() -> impl Strategy<Value = StepKind> {
    (
        1..=10u32,
        sample::subsequence(&[Role::Responder, Role::Approver, Role::Admin][..], 1..=3),
        (
            prop::collection::btree_set("[a-z][a-z0-9]{0,6}", 0..3),
            prop::collection::btree_set(line(), 0..4),
        ),
        any::<[bool; 2]>(),
        (
            span(1_000..90_000_000),
            span(1_000..90_000_000),
            span(1_000..90_000_000),
        ),
        option::of(template()),
    )
        .prop_map(|(approvals, roles, (teams, people), flags, times, impact)| {
            let people: Vec<String> = people.into_iter().collect();
            StepKind::Gate(GateRule {
                approvals: match (people.len(), teams.is_empty()) {
                    (0, _) | (_, false) => approvals,
                    (named, true) => approvals.min(named as u32),
                },
                roles,
                teams: teams.into_iter().collect(),
                people,
                requester_may_approve: flags[0],
                decide_within: times.0,
                use_within: times.1,
                evidence_within: times.2,
                impact,
                on_expiry: None,
                break_glass: flags[1],
            })
        })
}

fn kind() -> impl Strategy<Value = StepKind> {
    let manual = (template(), option::of(span(1_000..90_000_000)));
    prop_oneof![
        2 => act(ActWord::Check).prop_map(StepKind::Act),
        3 => act(ActWord::Call).prop_map(StepKind::Act),
        1 => act(ActWord::Logs).prop_map(StepKind::Act),
        2 => gate(),
        1 => manual.prop_map(|(instruction, within)| StepKind::Manual { instruction, within }),
        1 => span(1..90_000_000).prop_map(|length| StepKind::Wait { length }),
    ]
}

fn for_each() -> impl Strategy<Value = ForEach> {
    let lists = expression(&["labels.hosts | split(\",\")", "['a', \"b\"]", "labels.hosts"]);
    let bounds = prop_oneof![Just((100, 1)), (1..=1000u32, 1..=8u32)];
    (lists, bounds).prop_map(|(items, (max, at_once))| ForEach { items, max, at_once })
}

/// A step that names no other one yet.
fn step() -> impl Strategy<Value = Step> {
    let words = (
        option::of(template()),
        option::of(line()),
        option::of(condition()),
    );
    let phases = [Phase::Detect, Phase::Isolate, Phase::Restore, Phase::Verify];
    let timing = (span(1..3_600_000), option::of(retry()));
    let phase = option::of(sample::select(phases.to_vec()));
    (kind(), words, phase, option::of(for_each()), timing).prop_map(
        |(kind, (title, doc, when), phase, for_each, (timeout, retry))| {
            let acts = matches!(kind, StepKind::Act(_));
            Step {
                id: StepId(String::new()),
                title,
                doc,
                phase,
                when: when.filter(|_| !matches!(kind, StepKind::Gate(_))),
                needs: None,
                for_each: for_each.filter(|_| acts),
                timeout: if acts { timeout } else { Span::from_secs(30) },
                retry: retry.filter(|_| acts).unwrap_or(Retry::NEVER),
                on_failure: OnFailure::Stop,
                kind,
            }
        },
    )
}

/// Where a run may go on from the step at `at`: at any later step that no unopened gate stands above.
fn ways_on(steps: &[Step], at: usize) -> Vec<StepId> {
    let is_gate = |step: &Step| matches!(step.kind, StepKind::Gate(_));
    let may = |to: usize| {
        let gate = steps[..to].iter().rposition(is_gate);
        let changes = steps[to..]
            .iter()
            .take_while(|step| !is_gate(step))
            .any(|step| step.effect() != Effect::Safe);
        is_gate(&steps[to]) || !changes || gate.is_none_or(|gate| gate < at)
    };
    let later = (at + 1..steps.len()).filter(|to| may(*to));
    later.map(|to| steps[to].id.clone()).collect()
}

/// What the steps of a list say of each other, drawn by `draw`.
fn join(steps: &mut [Step], draw: &[(u8, sample::Index, Option<Vec<bool>>)]) {
    for at in 0..steps.len() {
        let (choice, way, needs) = &draw[at];
        let ways = ways_on(steps, at);
        let on = (!ways.is_empty()).then(|| way.get(&ways).clone());
        let above: Vec<StepId> = steps[..at].iter().map(|step| step.id.clone()).collect();
        let step = &mut steps[at];
        step.needs = needs.as_ref().map(|needs| {
            let needed = above.iter().zip(needs).filter(|(_, is_needed)| **is_needed);
            needed.map(|(id, _)| id.clone()).collect()
        });
        match &mut step.kind {
            StepKind::Gate(rule) => rule.on_expiry = on.filter(|_| choice % 2 == 0),
            StepKind::Wait { .. } => {}
            StepKind::Act(_) | StepKind::Manual { .. } => {
                step.on_failure = match (choice % 4, on) {
                    (1, _) => OnFailure::Continue,
                    (2, _) => OnFailure::Undo,
                    (3, Some(to)) => OnFailure::GoTo(to),
                    _ => OnFailure::Stop,
                };
            }
        }
    }
}

const STEPS: usize = 8;

fn steps() -> impl Strategy<Value = (Vec<Step>, Vec<Step>)> {
    let needs = option::of(prop::collection::vec(any::<bool>(), STEPS));
    let draw = prop::collection::vec((any::<u8>(), any::<sample::Index>(), needs), STEPS);
    let steps = prop::collection::vec(step(), 1..=STEPS);
    let finally = prop::collection::vec((step(), any::<bool>()), 0..4);
    (steps, draw, finally).prop_map(|(mut steps, draw, finally)| {
        for (at, step) in steps.iter_mut().enumerate() {
            step.id = StepId(format!("step-{at}"));
        }
        join(&mut steps, &draw);
        let mut last = Vec::new();
        for (at, (mut step, goes_on)) in finally.into_iter().enumerate() {
            let StepKind::Act(act) = &mut step.kind else {
                continue;
            };
            act.undo = None;
            step.id = StepId(format!("last-{at}"));
            step.on_failure = if goes_on {
                OnFailure::Continue
            } else {
                OnFailure::Stop
            };
            last.push(step);
        }
        (steps, last)
    })
}

fn circle() -> impl Strategy<Value = Circle> {
    (
        sample::subsequence(&[Role::Responder, Role::Approver, Role::Admin][..], 0..=3),
        prop::collection::btree_set("[a-z][a-z0-9]{0,6}", 0..3),
        prop::collection::btree_set(line(), 0..3),
    )
        .prop_map(|(roles, teams, people)| Circle {
            roles,
            teams: teams.into_iter().collect(),
            people: people.into_iter().collect(),
        })
}

/// A runbook without faults.
pub(super) fn runbook() -> impl Strategy<Value = Runbook> {
    let words = (
        line(),
        prop_oneof![Just(String::new()), line()],
        option::of(line()),
    );
    let starts = [StartMode::Automatic, StartMode::Suggest, StartMode::Manual];
    let input = (
        option::of(expression(&["labels.a"])),
        any::<bool>(),
        option::of(line()),
    );
    let budget = (1..=1000u32, span(1_000..90_000_000)).prop_map(|(runs, per)| Budget { runs, per });
    (
        words,
        prop::collection::vec(line(), 0..3),
        sample::select(starts.to_vec()),
        (option::of(budget), circle(), circle(), 0..=10u32),
        prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", input, 0..3),
        prop::collection::vec(template(), 0..3),
        steps(),
    )
        .prop_map(
            |(
                (title, summary, owner),
                services,
                start,
                (budget, start_circle, publish, review),
                inputs,
                locks,
                (steps, finally),
            )| Runbook {
                slug: "any".to_owned(),
                title,
                summary,
                owner,
                services,
                triggers: Vec::new(),
                start,
                budget,
                access: Access {
                    start: start_circle,
                    publish,
                },
                review,
                inputs: inputs
                    .into_iter()
                    .map(|(name, (from, required, default))| {
                        let input = Input {
                            from,
                            required,
                            default,
                        };
                        (name, input)
                    })
                    .collect::<BTreeMap<_, _>>(),
                locks,
                steps,
                finally,
            },
        )
}
