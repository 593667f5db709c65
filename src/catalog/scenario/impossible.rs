//! Injects that can never happen, as far as their conditions tell.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    super::findings::{Findings, Path},
    script::INJECTS_MAX,
};
use crate::domain::{
    names,
    scenario::{Inject, Scenario},
    template::Expression,
};

/// Refuses injects that wait for what never comes: themselves, each other, or one of those.
pub(super) fn check(scenario: &Scenario, findings: &mut Findings<'_>) {
    let injects = &scenario.injects;
    let mut never: BTreeSet<&str> = BTreeSet::new();
    for inject in injects {
        let path = place(inject, findings);
        let Some(when) = &inject.when else {
            if inject.after.is_some_and(|after| after > scenario.length) {
                never.insert(&inject.id);
            }
            continue;
        };
        let chains = names::read(when.source()).chains;
        let is_own = |chain: &names::Chain| {
            chain.root == "injects" && chain.below.first().is_some_and(|id| *id == inject.id)
        };
        if chains.iter().any(is_own) {
            never.insert(&inject.id);
            let message = "impossible inject: it waits for itself";
            findings.fault_with_hint(&path, message, "take its own name out of when".to_owned());
        } else if chains.is_empty() && when.holds(&json!({})) == Ok(false) {
            never.insert(&inject.id);
            let message = "impossible inject: this is never true";
            let hint = "leave when out for an inject that the trainer sends".to_owned();
            findings.fault_with_hint(&path, message, hint);
        }
    }
    for inject in injects {
        if let Some(circle) = circle(inject, injects).filter(|_| !never.contains(inject.id.as_str())) {
            let message = format!(
                "impossible inject: these wait for each other: {}",
                circle.join(", ")
            );
            let hint = "let one of them come by the clock or by hand".to_owned();
            let path = place(inject, findings);
            findings.fault_with_hint(&path, message, hint);
            never.extend(circle);
        }
    }
    tell_followers(scenario, never, findings);
}

/// What waits for an inject that never happens does not happen either.
fn tell_followers<'a>(scenario: &'a Scenario, mut never: BTreeSet<&'a str>, findings: &mut Findings<'_>) {
    loop {
        let next = scenario.injects.iter().find_map(|inject| {
            let waits = waits_for(inject);
            let other = waits.into_iter().find(|id| never.contains(id))?;
            (!never.contains(inject.id.as_str())).then_some((inject, other))
        });
        let Some((inject, other)) = next else { return };
        let message = format!("impossible inject: it waits for {other}, which never happens");
        let path = place(inject, findings);
        findings.fault(&path, message);
        never.insert(&inject.id);
    }
}

/// Where its condition stands in the file, which may hold injects that could not be read.
fn place(inject: &Inject, findings: &Findings<'_>) -> Path {
    let list = Path::default().key("injects");
    let stands = |i: &usize| {
        let place = findings.place_of(&list.index(*i));
        (place.line, place.column) == (inject.at.line, inject.at.column)
    };
    let at = (0..INJECTS_MAX).find(stands).unwrap_or_default();
    list.index(at).key("when")
}

/// The injects that must have happened before: those the condition demands outright, joined by `and`.
fn waits_for(inject: &Inject) -> Vec<&str> {
    let parts = inject.when.iter().flat_map(demands);
    parts.filter_map(inject_named).collect()
}

/// The parts of a condition that all must hold; what stands between brackets or beside `or` is not taken apart.
fn demands(when: &Expression) -> impl Iterator<Item = &str> {
    let source = when.source();
    let is_plain = !source.contains(" or ") && !source.contains(" if ") && !source.contains('(');
    let parts = is_plain.then(|| source.split(" and "));
    parts.into_iter().flatten().map(str::trim)
}

/// `injects.x` or `injects['x']` and nothing else.
fn inject_named(part: &str) -> Option<&str> {
    let rest = part.strip_prefix("injects")?;
    let quoted = |quote: &str| {
        let rest = rest.strip_prefix('[')?.trim().strip_prefix(quote)?;
        rest.strip_suffix(']')?.trim_end().strip_suffix(quote)
    };
    let id = rest
        .strip_prefix('.')
        .or_else(|| quoted("'"))
        .or_else(|| quoted("\""))?;
    id.chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        .then_some(id)
}

/// The way from an inject over what it waits for back to itself.
fn circle<'a>(from: &'a Inject, injects: &'a [Inject]) -> Option<Vec<&'a str>> {
    let find = |id: &str| injects.iter().find(|inject| inject.id == id);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut open = vec![vec![from.id.as_str()]];
    while let Some(way) = open.pop() {
        let Some(inject) = way.last().and_then(|id| find(id)) else {
            continue;
        };
        for next in waits_for(inject) {
            if next == from.id {
                return Some(way);
            }
            if seen.insert(next) {
                open.push(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}
