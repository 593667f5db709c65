//! What changed about what a step sends or asks, how it is checked, and how it is taken back.

use serde_json::Value;

use super::Notes;
use crate::domain::{
    step::{Act, Effect, Probe, Request, Until},
    template::Expression,
};

pub(super) fn compare(subject: &str, old: &Act, new: &Act, notes: &mut Notes) {
    let word = |act: &Act| Some(format!("{:?}", act.word).to_lowercase());
    let acts_now = old.effect == Effect::Safe && new.effect != Effect::Safe;
    notes.value(subject, "word", word(old), word(new), false);
    request(subject, &old.request, &new.request, notes);
    let source = |expression: &Option<Expression>| Some(expression.as_ref()?.source().to_owned());
    let (before, after) = (source(&old.expect), source(&new.expect));
    let is_dropped = after.is_none();
    notes.value(subject, "expects", before, after, is_dropped);
    let asks = |until: &Option<Until>| {
        let until = (*until)?;
        Some(format!("every {} for {}", until.every, until.within))
    };
    notes.value(subject, "asks again", asks(&old.until), asks(&new.until), false);
    let effect = |act: &Act| Some(repeats(act.effect).to_owned());
    let is_looser = old.effect == Effect::Once && new.effect != Effect::Once;
    notes.value(subject, "effect", effect(old), effect(new), acts_now || is_looser);
    let back = |act: &Act| {
        let words = if act.irreversible { "cannot be" } else { "not said" };
        Some(words.to_owned())
    };
    let is_eased = old.irreversible && !new.irreversible;
    notes.value(subject, "taken back", back(old), back(new), is_eased);
    probe(
        subject,
        "verify probe",
        old.verify.as_ref(),
        new.verify.as_ref(),
        notes,
    );
    match (&old.undo, &new.undo) {
        (Some(_), None) => notes.grave(format!("{subject}undo removed")),
        (None, Some(_)) => notes.plain(format!("{subject}undo added")),
        (Some(before), Some(after)) => compare(&format!("{subject}undo: "), before, after, notes),
        (None, None) => {}
    }
}

fn request(subject: &str, old: &Request, new: &Request, notes: &mut Notes) {
    let action = |request: &Request| Some(request.action.name().to_owned());
    notes.value(subject, "action", action(old), action(new), false);
    let empty = serde_json::Map::new();
    let (before, after) = (
        old.with.as_object().unwrap_or(&empty),
        new.with.as_object().unwrap_or(&empty),
    );
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (before, after) = (before.get(name).map(text), after.get(name).map(text));
        notes.value(subject, name, before, after, false);
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn repeats(effect: Effect) -> &'static str {
    match effect {
        Effect::Safe => "only reads",
        Effect::Idempotent => "may be repeated",
        Effect::Once => "sent once",
    }
}

fn probe(subject: &str, name: &str, old: Option<&Probe>, new: Option<&Probe>, notes: &mut Notes) {
    match (old, new) {
        (Some(_), None) => notes.grave(format!("{subject}{name} removed")),
        (None, Some(_)) => notes.plain(format!("{subject}{name} added")),
        (Some(before), Some(after)) if before != after => notes.plain(format!("{subject}{name} changed")),
        _ => {}
    }
}
