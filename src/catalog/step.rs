//! One step of a runbook document. The step's kind is a key: exactly one of `check`, `call`, `logs`, `gate`,
//! `manual` and `wait`.

use std::ops::RangeInclusive;

use super::{
    document::Content,
    fields::{Field, Fields},
    findings::Findings,
    gate, request, runbook,
};
use crate::domain::{
    id::StepId,
    span::Span,
    step::{Act, ActWord, ActionKind, Effect, OnFailure, Phase, Probe, Retry, Step, StepKind, Until},
    template::{Expression, Template},
};

const KINDS: [&str; 6] = ["check", "call", "logs", "gate", "manual", "wait"];
/// What any step may have.
const COMMON: [&str; 4] = ["id", "phase", "title", "doc"];
/// Every key of any step.
const KEYS: [&str; 21] = [
    "id",
    "phase",
    "title",
    "doc",
    "when",
    "check",
    "call",
    "logs",
    "gate",
    "manual",
    "wait",
    "with",
    "expect",
    "until",
    "timeout",
    "retry",
    "on_failure",
    "effect",
    "verify",
    "undo",
    "impact",
];

const TIMEOUT: Span = Span::from_secs(30);
const TIMEOUTS: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(3600);
const PAUSES: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(24 * 3600);
const EVERY: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(24 * 3600);
const WITHIN: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(24 * 3600);
const WAITS: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(30 * 24 * 3600);

/// How long a probe keeps asking when its author does not say.
pub(super) const PROBE_UNTIL: Until = Until {
    every: Span::from_secs(1),
    within: Span::from_secs(15),
};

/// Reads one step. A step that cannot be read leaves a placeholder, so that the others keep their numbers.
pub(super) fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Step {
    let mut step = Step {
        id: StepId(String::new()),
        title: None,
        doc: None,
        phase: None,
        when: None,
        needs: None,
        for_each: None,
        timeout: TIMEOUT,
        retry: Retry::NEVER,
        on_failure: OnFailure::Stop,
        kind: StepKind::Wait {
            length: Span::from_secs(0),
        },
    };
    let Some(fields) = field.fields(&KEYS, findings) else {
        return step;
    };
    if let Some(id) = fields.need("id", findings) {
        step.id = StepId(runbook::slug(&id, findings).unwrap_or_default());
    }
    step.title = parsed(fields.get("title"), Template::parse, findings);
    step.doc = runbook::text(fields.get("doc"), findings);
    step.phase = fields.get("phase").and_then(|phase| {
        let phases = [
            ("detect", Phase::Detect),
            ("isolate", Phase::Isolate),
            ("restore", Phase::Restore),
            ("verify", Phase::Verify),
        ];
        phase.choice(&phases, findings)
    });
    step.when = parsed(fields.get("when"), Expression::parse, findings);
    if let Some(timeout) = fields
        .get("timeout")
        .and_then(|timeout| timeout.span(TIMEOUTS, findings))
    {
        step.timeout = timeout;
    }
    if let Some(retry) = fields.get("retry").and_then(|retry| read_retry(&retry, findings)) {
        step.retry = retry;
    }
    if let Some(on_failure) = fields.get("on_failure") {
        step.on_failure = read_on_failure(&on_failure, findings);
    }
    if let Some(kind) = kind(field, &fields, findings) {
        step.kind = kind;
    }
    step
}

fn kind(field: &Field<'_>, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<StepKind> {
    let given: Vec<&str> = fields
        .all()
        .map(|(key, _)| key)
        .filter(|key| KINDS.contains(key))
        .collect();
    let kind = match given.as_slice() {
        [kind] => *kind,
        [] => {
            findings.fault(
                &field.path,
                format!(
                    "says nothing to do: exactly one of {} is needed",
                    KINDS.join(", ")
                ),
            );
            return None;
        }
        [_, second, ..] => {
            let message = format!("one step does one thing, but here are {}", given.join(" and "));
            fields.fault_at_key(second, message, None, findings);
            return None;
        }
    };
    let value = fields.get(kind)?;
    let allowed = fitting(kind);
    for (key, _) in fields.all() {
        if KEYS.contains(&key) && key != kind && !COMMON.contains(&key) && !allowed.contains(&key) {
            let message = match (kind, key) {
                ("gate", "when") => "a gate is never skipped: what is below it needs its decision".to_owned(),
                ("gate", "on_failure") => "a gate that is refused ends the run".to_owned(),
                ("call", "until") => "until would repeat the call; ask with verify.until".to_owned(),
                _ => format!("a {kind} step has no \"{key}\""),
            };
            fields.fault_at_key(key, message, None, findings);
        }
    }
    match kind {
        "gate" => {
            let impact = parsed(fields.get("impact"), Template::parse, findings);
            gate::read(&value, impact, findings).map(StepKind::Gate)
        }
        "manual" => value
            .parsed(Template::parse, findings)
            .map(|instruction| StepKind::Manual {
                instruction,
                within: None,
            }),
        "wait" => value
            .span(WAITS, findings)
            .map(|length| StepKind::Wait { length }),
        "check" => act(ActWord::Check, &value, fields, findings),
        "call" => act(ActWord::Call, &value, fields, findings),
        _ => act(ActWord::Logs, &value, fields, findings),
    }
}

/// What a step of this kind may have besides the common keys.
fn fitting(kind: &str) -> &'static [&'static str] {
    match kind {
        "gate" => &["impact"],
        "manual" => &["when", "on_failure"],
        "wait" => &["when"],
        "call" => &[
            "when",
            "with",
            "expect",
            "timeout",
            "retry",
            "on_failure",
            "effect",
            "verify",
            "undo",
        ],
        _ => &[
            "when",
            "with",
            "expect",
            "until",
            "timeout",
            "retry",
            "on_failure",
        ],
    }
}

fn act(
    word: ActWord,
    value: &Field<'_>,
    fields: &Fields<'_>,
    findings: &mut Findings<'_>,
) -> Option<StepKind> {
    let action = request::action(word, value, findings);
    let request = request::read(word, fields, action, findings);
    let expect = parsed(fields.get("expect"), Expression::parse, findings);
    // What does not fit the word has been refused already; what is in it does not matter then.
    let fitting = |key: &str| {
        fields
            .get(key)
            .filter(|_| fitting(request::word_name(word)).contains(&key))
    };
    let until = fitting("until").and_then(|until| read_until(&until, findings));
    let effect = fitting("effect").and_then(|effect| {
        let effects = [
            ("safe", Effect::Safe),
            ("idempotent", Effect::Idempotent),
            ("once", Effect::Once),
        ];
        effect.choice(&effects, findings)
    });
    let verify = fitting("verify").and_then(|verify| probe(&verify, findings));
    let undo = fitting("undo").and_then(|undo| read_undo(&undo, findings));
    Some(StepKind::Act(Act {
        word,
        request: request?,
        expect,
        until,
        effect: effect.unwrap_or_else(|| action.map_or(Effect::Safe, |kind| kind.default_effect(word))),
        verify,
        undo,
    }))
}

fn probe(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Probe> {
    let fields = field.fields(&["check", "with", "expect", "until"], findings)?;
    let action = named(ActWord::Check, "check", &fields, findings);
    let request = request::read(ActWord::Check, &fields, action, findings);
    let expect = parsed(fields.get("expect"), Expression::parse, findings);
    let until = match fields.get("until") {
        Some(until) => read_until(&until, findings),
        None => Some(PROBE_UNTIL),
    };
    Some(Probe {
        request: request?,
        expect,
        until: until?,
    })
}

fn read_undo(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Box<Act>> {
    let fields = field.fields(&["call", "with"], findings)?;
    let action = named(ActWord::Call, "call", &fields, findings);
    let request = request::read(ActWord::Call, &fields, action, findings)?;
    Some(Box::new(Act {
        word: ActWord::Call,
        effect: request.action.default_effect(ActWord::Call),
        request,
        expect: None,
        until: None,
        verify: None,
        undo: None,
    }))
}

fn named(word: ActWord, key: &str, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<ActionKind> {
    let field = fields.need(key, findings)?;
    request::action(word, &field, findings)
}

fn read_retry(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Retry> {
    let fields = field.fields(&["attempts", "initial", "max"], findings)?;
    let attempts = match fields.get("attempts") {
        Some(field) => field.count(1..=20, findings),
        None => Some(3),
    };
    let initial = match fields.get("initial") {
        Some(field) => field.span(PAUSES, findings),
        None => Some(Retry::NEVER.initial),
    };
    let max = match fields.get("max") {
        Some(field) => field.span(PAUSES, findings),
        // A longer first pause is the longest, then.
        None => initial.map(|initial| initial.max(Retry::NEVER.max)),
    };
    let retry = Retry {
        attempts: attempts?,
        initial: initial?,
        max: max?,
    };
    if retry.max < retry.initial {
        findings.fault(
            &field.path,
            format!("max {} is shorter than initial {}", retry.max, retry.initial),
        );
        return None;
    }
    Some(retry)
}

fn read_until(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Until> {
    let fields = field.fields(&["every", "within"], findings)?;
    let every = match fields.get("every") {
        Some(field) => field.span(EVERY, findings),
        None => Some(PROBE_UNTIL.every),
    };
    let within = fields
        .need("within", findings)
        .and_then(|field| field.span(WITHIN, findings));
    let until = Until {
        every: every?,
        within: within?,
    };
    if until.within < until.every {
        findings.fault(
            &field.path,
            format!("within {} is shorter than every {}", until.within, until.every),
        );
        return None;
    }
    Some(until)
}

fn read_on_failure(field: &Field<'_>, findings: &mut Findings<'_>) -> OnFailure {
    let later = match &field.node.content {
        Content::Text(text) => *text == "undo" || text.starts_with("goto") || text.starts_with("go to"),
        Content::Map(_) => true,
        _ => false,
    };
    if later {
        findings.fault_with_hint(
            &field.path,
            "this version of Muster only carries out stop and continue",
            "a person can undo or go on from the run's page".to_owned(),
        );
        return OnFailure::Stop;
    }
    let choices = [("stop", false), ("continue", true)];
    match field.choice(&choices, findings) {
        Some(true) => OnFailure::Continue,
        _ => OnFailure::Stop,
    }
}

fn parsed<T, E: ToString>(
    field: Option<Field<'_>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    findings: &mut Findings<'_>,
) -> Option<T> {
    field?.parsed(parse, findings)
}
