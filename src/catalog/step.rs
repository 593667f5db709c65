//! One step of a runbook document. The step's kind is a key: exactly one of `check`, `call`, `logs`, `gate`,
//! `manual` and `wait`.

use std::ops::RangeInclusive;

use super::{
    act,
    document::Content,
    fields::{Field, Fields, parsed},
    findings::Findings,
    gate, nearest, runbook,
};
use crate::domain::{
    id::StepId,
    plan::SIDE_BY_SIDE_MAX,
    span::Span,
    step::{ActWord, ForEach, ITEMS_MAX, ITEMS_MAX_DEFAULT, OnFailure, Phase, Retry, Step, StepKind},
    template::{Expression, Template},
};

/// Which list of a runbook a step stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// `steps`
    Steps,
    /// `finally`
    Finally,
}

const KINDS: [&str; 6] = ["check", "call", "logs", "gate", "manual", "wait"];
/// What any step may have.
const COMMON: [&str; 4] = ["id", "phase", "title", "doc"];
/// Every key of any step.
const KEYS: [&str; 24] = [
    "id",
    "phase",
    "title",
    "doc",
    "when",
    "needs",
    "for_each",
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
    "irreversible",
    "verify",
    "undo",
    "impact",
];

const TIMEOUT: Span = Span::from_secs(30);
const TIMEOUTS: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(3600);
const MANUAL_TIMES: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(30 * 24 * 3600);
const WAITS: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(30 * 24 * 3600);

/// Items of a `for_each` worked on at once when its author does not say.
pub(super) const AT_ONCE_DEFAULT: u32 = 1;

/// Reads one step. A step that cannot be read leaves a placeholder, so that the others keep their numbers.
pub(super) fn read(field: &Field<'_>, list: List, findings: &mut Findings<'_>) -> Step {
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
    let kind = kind(field, &fields, list, findings);
    // What does not fit the kind has been refused already; what is in it does not matter then.
    let fitting = |key: &str| {
        let field = fields.get(key);
        field.filter(|_| kind.is_none_or(|kind| fits(kind, key, list)))
    };
    step.when = parsed(fitting("when"), Expression::parse, findings);
    step.needs = fitting("needs").and_then(|needs| read_needs(&needs, findings));
    step.for_each = fitting("for_each").and_then(|each| read_for_each(&each, findings));
    if let Some(retry) = fitting("retry").and_then(|retry| act::read_retry(&retry, findings)) {
        step.retry = retry;
    }
    if let Some(on_failure) = fitting("on_failure") {
        step.on_failure = read_on_failure(&on_failure, list, findings);
    }
    let timeout = fitting("timeout");
    let Some((kind, value)) = kind.and_then(|kind| Some((kind, fields.get(kind)?))) else {
        return step;
    };
    let read = match kind {
        "gate" => {
            let impact = parsed(fields.get("impact"), Template::parse, findings);
            gate::read(&value, impact, findings).map(StepKind::Gate)
        }
        "manual" => {
            let within = timeout.and_then(|timeout| timeout.span(MANUAL_TIMES, findings));
            let instruction = value.parsed(Template::parse, findings);
            instruction.map(|instruction| StepKind::Manual { instruction, within })
        }
        "wait" => value
            .span(WAITS, findings)
            .map(|length| StepKind::Wait { length }),
        _ => {
            if let Some(timeout) = timeout.and_then(|timeout| timeout.span(TIMEOUTS, findings)) {
                step.timeout = timeout;
            }
            let word = word(kind).unwrap_or(ActWord::Logs);
            act::read(word, &value, &fields, findings).map(StepKind::Act)
        }
    };
    if let Some(read) = read {
        step.kind = read;
    }
    step
}

/// The one kind a step has, once every key is seen to fit it.
fn kind(
    field: &Field<'_>,
    fields: &Fields<'_>,
    list: List,
    findings: &mut Findings<'_>,
) -> Option<&'static str> {
    let given: Vec<&'static str> = fields
        .all()
        .filter_map(|(key, _)| KINDS.into_iter().find(|kind| *kind == key))
        .collect();
    let kind = match given.as_slice() {
        [kind] => *kind,
        [] => {
            let kinds: Vec<&str> = KINDS
                .into_iter()
                .filter(|kind| list == List::Steps || word(kind).is_some())
                .collect();
            let message = format!(
                "says nothing to do: exactly one of {} is needed",
                kinds.join(", ")
            );
            findings.fault(&field.path, message);
            return None;
        }
        [_, second, ..] => {
            let message = format!("one step does one thing, but here are {}", given.join(" and "));
            fields.fault_at_key(second, message, None, findings);
            return None;
        }
    };
    if list == List::Finally && word(kind).is_none() {
        let message = format!("finally ends by itself, so it holds check, call and logs only, no {kind}");
        let hint = Some("put it at the end of steps".to_owned());
        fields.fault_at_key(kind, message, hint, findings);
        return None;
    }
    for (key, _) in fields.all() {
        if KEYS.contains(&key) && key != kind && !COMMON.contains(&key) && !fits(kind, key, list) {
            let (message, hint) = misfit(kind, key, list);
            fields.fault_at_key(key, message, hint.map(str::to_owned), findings);
        }
    }
    Some(kind)
}

fn word(kind: &str) -> Option<ActWord> {
    match kind {
        "check" => Some(ActWord::Check),
        "call" => Some(ActWord::Call),
        "logs" => Some(ActWord::Logs),
        _ => None,
    }
}

/// Whether a step of this kind may have that key besides the common ones.
fn fits(kind: &str, key: &str, list: List) -> bool {
    if list == List::Finally && ["needs", "undo", "irreversible"].contains(&key) {
        return false;
    }
    match word(kind) {
        Some(word) => {
            let of_any = [
                "when",
                "needs",
                "for_each",
                "with",
                "expect",
                "timeout",
                "retry",
                "on_failure",
            ];
            of_any.contains(&key) || act::own_keys(word).contains(&key)
        }
        None => match kind {
            "gate" => ["needs", "impact"].contains(&key),
            "manual" => ["when", "needs", "timeout", "on_failure"].contains(&key),
            _ => ["when", "needs"].contains(&key),
        },
    }
}

/// Why it does not fit, and what to do instead.
fn misfit(kind: &str, key: &str, list: List) -> (String, Option<&'static str>) {
    match (kind, key) {
        (_, "needs") if list == List::Finally => (
            "a step of finally has no needs: its steps run one after the other, as they are written"
                .to_owned(),
            None,
        ),
        ("call", "undo") if list == List::Finally => (
            "what finally did is never taken back, so a step of it has no undo".to_owned(),
            None,
        ),
        ("call", "irreversible") if list == List::Finally => (
            "finally runs under no gate, and what cannot be taken back needs one above it".to_owned(),
            None,
        ),
        ("gate", "when") => (
            "a gate is never skipped: what is below it needs its decision".to_owned(),
            None,
        ),
        ("gate", "on_failure") => (
            "a gate that is refused ends the run".to_owned(),
            Some("when nobody decides in time, gate.on_expiry says where it goes on"),
        ),
        ("gate" | "manual" | "wait", "for_each") => (
            format!("a {kind} step is not done for each item of a list; only check, call and logs are"),
            None,
        ),
        ("call", "until") => (
            "until would repeat the call; ask with verify.until".to_owned(),
            None,
        ),
        _ => (format!("a {kind} step has no \"{key}\""), None),
    }
}

fn read_needs(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<StepId>> {
    if let Content::Text(id) = &field.node.content {
        let hint = format!("write needs: [{id}]");
        findings.fault_with_hint(&field.path, "expected a list of ids, found a text", hint);
        return None;
    }
    let mut needs: Vec<StepId> = Vec::new();
    for item in field.list(runbook::STEPS_MAX, findings) {
        let mut id = item.text(findings).unwrap_or_default();
        if !id.is_empty() && needs.iter().any(|other| other.0 == id) {
            findings.fault(&item.path, format!("\"{id}\" is named twice"));
            id = "";
        }
        // One that is wrong leaves an empty name, so that the others keep their numbers.
        needs.push(id.into());
    }
    Some(needs)
}

fn read_for_each(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<ForEach> {
    let short = |items| ForEach {
        items,
        max: ITEMS_MAX_DEFAULT,
        at_once: AT_ONCE_DEFAULT,
    };
    match &field.node.content {
        Content::Text(_) => field.parsed(Expression::parse, findings).map(short),
        Content::Map(_) => {
            let fields = field.fields(&["in", "max", "at_once"], findings)?;
            let items = fields
                .need("in", findings)
                .and_then(|items| items.parsed(Expression::parse, findings));
            let max = fields.get("max").map(|max| max.count(1..=ITEMS_MAX, findings));
            let at_once = fields
                .get("at_once")
                .map(|at_once| at_once.count(1..=SIDE_BY_SIDE_MAX as u32, findings));
            Some(ForEach {
                max: max.unwrap_or(Some(ITEMS_MAX_DEFAULT))?,
                at_once: at_once.unwrap_or(Some(AT_ONCE_DEFAULT))?,
                items: items?,
            })
        }
        other => {
            let message = format!("expected an expression that gives a list, found {}", other.noun());
            let hint = match other {
                Content::List(_) => "a list that is written out goes in quotes: '[\"a\", \"b\"]'",
                _ => "write it like labels.hosts | split(\",\")",
            };
            findings.fault_with_hint(&field.path, message, hint.to_owned());
            None
        }
    }
}

fn read_on_failure(field: &Field<'_>, list: List, findings: &mut Findings<'_>) -> OnFailure {
    let is_finally = list == List::Finally;
    let instead = || "write stop or continue".to_owned();
    let (written, hint) = match &field.node.content {
        Content::Text(text) => match text.as_str() {
            "stop" => return OnFailure::Stop,
            "continue" => return OnFailure::Continue,
            "undo" if is_finally => {
                let message = "nothing is taken back any more when finally runs";
                findings.fault_with_hint(&field.path, message, instead());
                return OnFailure::Stop;
            }
            "undo" => return OnFailure::Undo,
            text => (format!("\"{text}\""), on_failure_hint(text)),
        },
        Content::Map(_) if is_finally => {
            let message = "finally has no go to: its steps run one after the other, whatever becomes of each";
            findings.fault_with_hint(&field.path, message, instead());
            return OnFailure::Stop;
        }
        Content::Map(_) => return read_go_to(field, findings).map_or(OnFailure::Stop, OnFailure::GoTo),
        other => (other.noun().to_owned(), None),
    };
    let words = match list {
        List::Steps => "stop, continue, undo or { go_to: id of a later step }",
        List::Finally => "stop or continue",
    };
    findings.fault_with_hint(&field.path, format!("expected {words}, found {written}"), hint);
    OnFailure::Stop
}

fn on_failure_hint(text: &str) -> Option<String> {
    if ["goto", "go_to", "go to"]
        .iter()
        .any(|word| text.starts_with(word))
    {
        return Some("write on_failure: { go_to: id }".to_owned());
    }
    let word = nearest::nearest(text, ["stop", "continue", "undo"])?;
    Some(format!("did you mean \"{word}\"?"))
}

/// `{ go_to: id }`; whether there is such a step is seen later.
pub(super) fn read_go_to(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<StepId> {
    let fields = field.fields(&["go_to"], findings)?;
    let to = fields.need("go_to", findings)?;
    to.text(findings).map(StepId::from)
}
