//! What an acting step does: its action, how its answer is judged, what proves it and what takes it back.

use std::ops::RangeInclusive;

use super::{fields::Field, fields::Fields, fields::parsed, findings::Findings, request};
use crate::domain::{
    span::Span,
    step::{Act, ActWord, ActionKind, Effect, Probe, Retry, Until},
    template::Expression,
};

const PAUSES: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(24 * 3600);
const EVERY: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(24 * 3600);
const WITHIN: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(24 * 3600);
const ATTEMPTS: RangeInclusive<u32> = 1..=20;
/// Attempts of a step with `retry` that names no number.
const ATTEMPTS_DEFAULT: u32 = 3;

/// How long a probe keeps asking when its author does not say.
pub(super) const PROBE_UNTIL: Until = Until {
    every: Span::from_secs(1),
    within: Span::from_secs(15),
};

/// What a step with this word may have besides the keys of any acting step.
pub(super) fn own_keys(word: ActWord) -> &'static [&'static str] {
    match word {
        ActWord::Call => &["effect", "irreversible", "verify", "undo"],
        ActWord::Check | ActWord::Logs => &["until"],
    }
}

/// Reads the action `value` of a step and what belongs to it.
pub(super) fn read(
    word: ActWord,
    value: &Field<'_>,
    fields: &Fields<'_>,
    findings: &mut Findings<'_>,
) -> Option<Act> {
    let action = request::action(word, value, findings);
    let request = request::read(word, fields, action, findings);
    let expect = parsed(fields.get("expect"), Expression::parse, findings);
    // What does not fit the word has been refused already; what is in it does not matter then.
    let own = |key: &str| fields.get(key).filter(|_| own_keys(word).contains(&key));
    let until = own("until").and_then(|until| read_until(&until, findings));
    let effect = own("effect").and_then(|effect| read_effect(&effect, findings));
    let irreversible = own("irreversible").and_then(|flag| flag.flag(findings));
    let verify = own("verify").and_then(|verify| probe(&verify, findings));
    let undo = own("undo").and_then(|undo| read_undo(&undo, findings));
    Some(Act {
        word,
        request: request?,
        expect,
        until,
        effect: effect.unwrap_or_else(|| action.map_or(Effect::Safe, |kind| kind.default_effect(word))),
        verify,
        undo: undo.map(Box::new),
        irreversible: irreversible.unwrap_or(false),
    })
}

/// An act of its own, which has no undo in turn.
fn read_undo(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Act> {
    let fields = field.fields(&["call", "with", "expect", "effect", "verify"], findings)?;
    let action = named(ActWord::Call, "call", &fields, findings);
    let request = request::read(ActWord::Call, &fields, action, findings);
    let expect = parsed(fields.get("expect"), Expression::parse, findings);
    let effect = fields
        .get("effect")
        .and_then(|effect| read_effect(&effect, findings));
    let verify = fields.get("verify").and_then(|verify| probe(&verify, findings));
    let request = request?;
    Some(Act {
        word: ActWord::Call,
        expect,
        until: None,
        effect: effect.unwrap_or_else(|| request.action.default_effect(ActWord::Call)),
        request,
        verify,
        undo: None,
        irreversible: false,
    })
}

fn read_effect(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Effect> {
    let effects = [
        ("safe", Effect::Safe),
        ("idempotent", Effect::Idempotent),
        ("once", Effect::Once),
    ];
    field.choice(&effects, findings)
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

fn named(word: ActWord, key: &str, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<ActionKind> {
    let field = fields.need(key, findings)?;
    request::action(word, &field, findings)
}

/// How often and how far apart attempts are made.
pub(super) fn read_retry(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Retry> {
    let fields = field.fields(&["attempts", "initial", "max"], findings)?;
    let attempts = match fields.get("attempts") {
        Some(field) => field.count(ATTEMPTS, findings),
        None => Some(ATTEMPTS_DEFAULT),
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
