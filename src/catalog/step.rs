//! One step as it is written. What a step does is its key: `check`, `call`, `logs`, `gate`, `manual` or `wait`.

use super::{
    inputs,
    reader::{Faults, Fields},
    references::Scope,
    tree::{Node, Place, Tree},
};
use crate::domain::{
    id::{StepId, is_slug},
    operator::Role,
    span::Span,
    step::{
        Act, ActWord, ActionKind, Effect, GateRule, OnFailure, Phase, Probe, Request, Retry, Step, StepKind,
        Until,
    },
};

const KINDS: [&str; 6] = ["check", "call", "logs", "gate", "manual", "wait"];
const EFFECTS: [(&str, Effect); 3] = [
    ("safe", Effect::Safe),
    ("idempotent", Effect::Idempotent),
    ("once", Effect::Once),
];
const PHASES: [(&str, Phase); 4] = [
    ("detect", Phase::Detect),
    ("isolate", Phase::Isolate),
    ("restore", Phase::Restore),
    ("verify", Phase::Verify),
];
/// Keys of the format that this version does not carry out. Refused, so that nobody relies on them.
const LATER: [&str; 4] = ["needs", "for_each", "finally", "notify"];

const SHORTEST: Span = Span::from_millis(100);
const TIMEOUT: Span = Span::from_secs(30);
const TIMEOUT_MAX: Span = Span::from_secs(3600);
const DAY: Span = Span::from_secs(86_400);
const LONGEST: Span = Span::from_secs(30 * 86_400);
const ATTEMPTS_MAX: u32 = 20;
const APPROVALS_MAX: u32 = 10;

/// A step that was read, with what the runbook's own checks need.
pub(super) struct ReadStep {
    pub step: Step,
    pub at: Place,
    pub path: String,
    /// The inputs of its action, for checks across steps.
    pub with: Option<Node>,
}

/// Reads one step. `scope` is what its templates may read.
pub(super) fn read(node: Node, path: &str, scope: &Scope<'_>, faults: &mut Faults) -> Option<ReadStep> {
    let mut fields = Fields::open(node, path, faults)?;
    for key in LATER {
        if let Some(node) = fields.take(key) {
            faults.add(
                node.at,
                &fields.path_of(key),
                format!("{key} is not carried out by this version; remove it"),
            );
        }
    }
    let id = match fields.text("id", faults) {
        Some((_, id)) if is_slug(&id) => id,
        Some((at, id)) => {
            let message = format!("\"{id}\" is no step name; use lower-case letters, digits and dashes");
            faults.add(at, &fields.path_of("id"), message);
            id
        }
        None => {
            fields.missing("id", faults);
            String::new()
        }
    };
    let title = fields.template("title", faults);
    if let Some((at, title)) = &title {
        scope.check_template(title, *at, &fields.path_of("title"), faults);
    }
    let when = fields.expression("when", faults);
    if let Some((at, when)) = &when {
        scope.check_expression(when, *at, &fields.path_of("when"), faults);
    }
    let doc = fields.text("doc", faults).map(|(_, doc)| doc);
    let phase = fields.word("phase", &PHASES, faults).map(|(_, phase)| phase);
    let timeout = fields
        .span("timeout", SHORTEST, TIMEOUT_MAX, faults)
        .unwrap_or(TIMEOUT);
    let retry = retry(&mut fields, faults);
    let on_failure = on_failure(&mut fields, faults);
    let with = fields.take("with");
    let kind = kind(&mut fields, with.as_ref(), scope, faults);
    if let (Some((at, _)), Some(StepKind::Gate(_) | StepKind::Manual { .. } | StepKind::Wait { .. })) =
        (&when, &kind)
    {
        faults.add(
            *at,
            &fields.path_of("when"),
            "only check, call and logs steps take when: a gate is never skipped",
        );
    }
    let (at, path) = (fields.at, fields.path.clone());
    fields.close(faults);
    let step = Step {
        id: StepId(id),
        title: title.map(|(_, title)| title),
        doc,
        phase,
        when: when.map(|(_, when)| when),
        timeout,
        retry,
        on_failure,
        kind: kind?,
    };
    Some(ReadStep { step, at, path, with })
}

fn on_failure(fields: &mut Fields, faults: &mut Faults) -> OnFailure {
    let Some((at, text)) = fields.text("on_failure", faults) else {
        return OnFailure::Stop;
    };
    match text.as_str() {
        "stop" => OnFailure::Stop,
        "continue" => OnFailure::Continue,
        _ => {
            let message = format!("\"{text}\" is not carried out by this version; use stop or continue");
            faults.add(at, &fields.path_of("on_failure"), message);
            OnFailure::Stop
        }
    }
}

fn retry(fields: &mut Fields, faults: &mut Faults) -> Retry {
    let path = fields.path_of("retry");
    let Some(mut fields) = fields
        .take("retry")
        .and_then(|node| Fields::open(node, &path, faults))
    else {
        return Retry::NEVER;
    };
    let retry = Retry {
        attempts: fields.count("attempts", ATTEMPTS_MAX, faults).unwrap_or(3),
        initial: fields
            .span("initial", Span::from_millis(1), DAY, faults)
            .unwrap_or(Retry::NEVER.initial),
        max: fields
            .span("max", Span::from_millis(1), DAY, faults)
            .unwrap_or(Retry::NEVER.max),
    };
    fields.close(faults);
    retry
}

fn until(fields: &mut Fields, faults: &mut Faults) -> Option<Until> {
    let path = fields.path_of("until");
    let mut fields = fields
        .take("until")
        .and_then(|node| Fields::open(node, &path, faults))?;
    let every = fields.span("every", SHORTEST, DAY, faults);
    let within = fields.span("within", SHORTEST, DAY, faults);
    for (key, value) in [("every", every), ("within", within)] {
        if value.is_none() {
            fields.missing(key, faults);
        }
    }
    fields.close(faults);
    Some(Until {
        every: every?,
        within: within?,
    })
}

fn kind(
    fields: &mut Fields,
    with: Option<&Node>,
    scope: &Scope<'_>,
    faults: &mut Faults,
) -> Option<StepKind> {
    let present: Vec<&str> = KINDS.into_iter().filter(|kind| fields.has(kind)).collect();
    let kind = match present.as_slice() {
        [kind] => *kind,
        [] => {
            let message = format!("says nothing to do; one of {} is needed", KINDS.join(", "));
            faults.add(fields.at, &fields.path, message);
            for key in KINDS {
                fields.take(key);
            }
            return None;
        }
        several => {
            faults.add(
                fields.at,
                &fields.path,
                format!("a step does one thing, this one {}", several.join(" and ")),
            );
            for key in KINDS {
                fields.take(key);
            }
            return None;
        }
    };
    match kind {
        "check" => act(fields, "check", ActWord::Check, with, scope, faults).map(StepKind::Act),
        "call" => act(fields, "call", ActWord::Call, with, scope, faults).map(StepKind::Act),
        "logs" => act(fields, "logs", ActWord::Logs, with, scope, faults).map(StepKind::Act),
        "gate" => gate(fields, scope, faults).map(StepKind::Gate),
        "manual" => {
            let (at, instruction) = fields.template("manual", faults)?;
            scope.check_template(&instruction, at, &fields.path_of("manual"), faults);
            Some(StepKind::Manual { instruction })
        }
        _ => fields
            .span("wait", SHORTEST, LONGEST, faults)
            .map(|length| StepKind::Wait { length }),
    }
}

/// The action behind a word, and its inputs.
fn request(
    fields: &mut Fields,
    word_key: &'static str,
    word: ActWord,
    with: Option<&Node>,
    scope: &Scope<'_>,
    faults: &mut Faults,
) -> Option<Request> {
    let kinds: Vec<(&str, ActionKind)> = ActionKind::ALL
        .into_iter()
        .filter(|kind| kind.words().contains(&word))
        .map(|kind| (kind.name(), kind))
        .collect();
    let action = fields.word(word_key, &kinds, faults).map(|(_, action)| action);
    let path = fields.path_of("with");
    let Some(with) = with else {
        fields.missing("with", faults);
        return None;
    };
    scope.check_tree(with, &path, faults);
    let action = action?;
    inputs::check(action, with, &path, faults);
    Some(Request {
        action,
        with: with.value.to_json(),
    })
}

fn act(
    fields: &mut Fields,
    word_key: &'static str,
    word: ActWord,
    with: Option<&Node>,
    scope: &Scope<'_>,
    faults: &mut Faults,
) -> Option<Act> {
    let judged = Scope {
        has_result: true,
        ..*scope
    };
    let request = request(fields, word_key, word, with, scope, faults);
    let expect = fields.expression("expect", faults);
    if let Some((at, expect)) = &expect {
        judged.check_expression(expect, *at, &fields.path_of("expect"), faults);
    }
    let until = until(fields, faults);
    let effect = fields.word("effect", &EFFECTS, faults);
    if let Some((at, Effect::Idempotent | Effect::Once)) = effect
        && word != ActWord::Call
    {
        faults.add(
            at,
            &fields.path_of("effect"),
            format!("a {word_key} step only reads; use call"),
        );
    }
    if let Some((at, Effect::Safe)) = effect
        && word == ActWord::Call
    {
        faults.add(
            at,
            &fields.path_of("effect"),
            "a call that changes nothing is a check; use check",
        );
    }
    let verify = verify(fields, scope, faults);
    let undo_path = fields.path_of("undo");
    let undo = fields
        .take("undo")
        .and_then(|node| Fields::open(node, &undo_path, faults))
        .and_then(|mut undo| {
            let with = undo.take("with");
            let request = self::request(&mut undo, "call", ActWord::Call, with.as_ref(), scope, faults);
            undo.close(faults);
            request
        });
    if until.is_some() && word == ActWord::Call {
        let message = "only a step that reads can be asked again until it holds; use verify for a call";
        faults.add(fields.at, &fields.path_of("until"), message);
    }
    let request = request?;
    Some(Act {
        word,
        effect: effect.map_or_else(|| request.action.default_effect(word), |(_, effect)| effect),
        request,
        expect: expect.map(|(_, expect)| expect),
        until,
        verify,
        undo,
    })
}

fn verify(fields: &mut Fields, scope: &Scope<'_>, faults: &mut Faults) -> Option<Probe> {
    let path = fields.path_of("verify");
    let node = fields.take("verify")?;
    let mut fields = Fields::open(node, &path, faults)?;
    let judged = Scope {
        has_result: true,
        ..*scope
    };
    let with = fields.take("with");
    let request = request(&mut fields, "check", ActWord::Check, with.as_ref(), scope, faults);
    let expect = fields.expression("expect", faults);
    if let Some((at, expect)) = &expect {
        judged.check_expression(expect, *at, &fields.path_of("expect"), faults);
    }
    let until = until(&mut fields, faults).unwrap_or(Until {
        every: Span::from_secs(1),
        within: Span::from_secs(15),
    });
    fields.close(faults);
    Some(Probe {
        request: request?,
        expect: expect.map(|(_, expect)| expect),
        until,
    })
}

fn gate(fields: &mut Fields, scope: &Scope<'_>, faults: &mut Faults) -> Option<GateRule> {
    let impact = fields.template("impact", faults);
    if let Some((at, impact)) = &impact {
        scope.check_template(impact, *at, &fields.path_of("impact"), faults);
    }
    let path = fields.path_of("gate");
    let node = fields.take("gate")?;
    let mut fields = Fields::open(node, &path, faults)?;
    let approvals = fields.count("approvals", APPROVALS_MAX, faults).unwrap_or(1);
    let mut roles = Vec::new();
    for (at, name) in fields.texts("roles", 4, faults) {
        match Role::named(&name) {
            Some(role @ (Role::Approver | Role::Admin | Role::Responder)) => roles.push(role),
            Some(Role::Viewer) => {
                faults.add(
                    at,
                    &fields.path_of("roles"),
                    "a viewer only reads and cannot decide",
                );
            }
            None => faults.add(
                at,
                &fields.path_of("roles"),
                format!("there is no role \"{name}\""),
            ),
        }
    }
    if roles.is_empty() {
        roles.push(Role::Approver);
    }
    let rule = GateRule {
        approvals,
        roles,
        requester_may_approve: fields.flag("requester_may_approve", faults).unwrap_or(false),
        decide_within: fields
            .span("decide_within", SHORTEST, LONGEST, faults)
            .unwrap_or(Span::from_secs(900)),
        use_within: fields
            .span("use_within", SHORTEST, DAY, faults)
            .unwrap_or(Span::from_secs(600)),
        impact: impact.map(|(_, impact)| impact),
    };
    fields.close(faults);
    Some(rule)
}

/// Whether a value is a text without a template, so that it can be checked now.
pub(super) fn literal(node: &Node) -> Option<&str> {
    match &node.value {
        Tree::Text(text) if !text.contains("{{") => Some(text),
        _ => None,
    }
}
