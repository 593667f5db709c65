//! What changed about one step: its rules, and at a gate who decides.

use super::{Notes, act, noun};
use crate::domain::step::{ForEach, GateRule, OnFailure, Retry, Step, StepKind};

pub(super) fn compare(old: &Step, new: &Step, notes: &mut Notes) {
    let subject = format!("{} {}: ", noun(&old.kind), new.id);
    let source = |text: Option<&str>| text.map(str::to_owned);
    let title = |step: &Step| source(step.title.as_ref().map(|title| title.source()));
    notes.value(&subject, "title", title(old), title(new), false);
    if old.doc != new.doc {
        notes.plain(format!("{subject}background rewritten"));
    }
    let phase = |step: &Step| step.phase.map(|phase| format!("{phase:?}").to_lowercase());
    notes.value(&subject, "phase", phase(old), phase(new), false);
    let when = |step: &Step| source(step.when.as_ref().map(|when| when.source()));
    notes.value(&subject, "only when", when(old), when(new), false);
    let needs = |step: &Step| {
        let ids: Vec<&str> = step.needs.as_ref()?.iter().map(|id| id.0.as_str()).collect();
        Some(if ids.is_empty() {
            "nothing".to_owned()
        } else {
            ids.join(", ")
        })
    };
    notes.value(&subject, "waits for", needs(old), needs(new), false);
    let each = |step: &Step| step.for_each.as_ref().map(for_each);
    notes.value(&subject, "for each", each(old), each(new), false);

    let is_act = |step: &Step| matches!(step.kind, StepKind::Act(_));
    if is_act(old) && is_act(new) {
        let timeout = |step: &Step| Some(step.timeout.to_string());
        notes.value(&subject, "timeout", timeout(old), timeout(new), false);
        let retries = |step: &Step| Some(retry(&step.retry));
        notes.value(&subject, "attempts", retries(old), retries(new), false);
    }
    let after = |step: &Step| Some(on_failure(&step.on_failure));
    let goes_on = new.on_failure == OnFailure::Continue;
    notes.value(&subject, "on failure", after(old), after(new), goes_on);

    match (&old.kind, &new.kind) {
        (StepKind::Act(old), StepKind::Act(new)) => act::compare(&subject, old, new, notes),
        (StepKind::Gate(old), StepKind::Gate(new)) => gate(&subject, old, new, notes),
        (
            StepKind::Manual {
                instruction: old,
                within: before,
            },
            StepKind::Manual {
                instruction: new,
                within: after,
            },
        ) => {
            let (old, new) = (source(Some(old.source())), source(Some(new.source())));
            notes.value(&subject, "what to do", old, new, false);
            let within = |span: &Option<_>| span.as_ref().map(ToString::to_string);
            notes.value(&subject, "done within", within(before), within(after), false);
        }
        (StepKind::Wait { length: old }, StepKind::Wait { length: new }) => {
            notes.value(
                &subject,
                "wait",
                Some(old.to_string()),
                Some(new.to_string()),
                false,
            );
        }
        (before, _) => {
            let words = format!("{} {}: {} → {}", noun(before), new.id, old.word(), new.word());
            notes.add(words, matches!(before, StepKind::Gate(_)));
        }
    }
}

fn for_each(each: &ForEach) -> String {
    format!(
        "{}, {} at once, at most {}",
        each.items.source(),
        each.at_once,
        each.max
    )
}

fn retry(retry: &Retry) -> String {
    match retry.attempts {
        1 => "1".to_owned(),
        attempts => format!("{attempts}, {} to {} apart", retry.initial, retry.max),
    }
}

fn on_failure(what: &OnFailure) -> String {
    match what {
        OnFailure::Stop => "the run ends".to_owned(),
        OnFailure::Continue => "the run goes on".to_owned(),
        OnFailure::Undo => "what was done is taken back".to_owned(),
        OnFailure::GoTo(step) => format!("the run goes on at {step}"),
    }
}

fn gate(subject: &str, old: &GateRule, new: &GateRule, notes: &mut Notes) {
    let count = |rule: &GateRule| Some(rule.approvals.to_string());
    let is_less = new.approvals < old.approvals;
    notes.value(subject, "approvals", count(old), count(new), is_less);
    notes.value(
        subject,
        "who decides",
        Some(who(old)),
        Some(who(new)),
        is_wider(old, new),
    );
    let requester = |rule: &GateRule| {
        let word = if rule.requester_may_approve {
            "may"
        } else {
            "may not"
        };
        Some(word.to_owned())
    };
    let is_freed = new.requester_may_approve;
    let name = "who started the run approves it";
    notes.value(subject, name, requester(old), requester(new), is_freed);
    let glass = |rule: &GateRule| {
        let word = if rule.break_glass {
            "one person alone"
        } else {
            "nobody alone"
        };
        Some(word.to_owned())
    };
    notes.value(
        subject,
        "in an emergency",
        glass(old),
        glass(new),
        new.break_glass,
    );
    let within = |rule: &GateRule| Some(rule.decide_within.to_string());
    notes.value(subject, "decide within", within(old), within(new), false);
    let good = |rule: &GateRule| Some(rule.use_within.to_string());
    notes.value(subject, "use within", good(old), good(new), false);
    let age = |rule: &GateRule| Some(format!("{} at most", rule.evidence_within));
    let is_older = new.evidence_within > old.evidence_within;
    notes.value(subject, "age of evidence", age(old), age(new), is_older);
    let impact = |rule: &GateRule| rule.impact.as_ref().map(|impact| impact.source().to_owned());
    notes.value(subject, "impact", impact(old), impact(new), false);
    let expiry = |rule: &GateRule| {
        let step = rule.on_expiry.as_ref();
        Some(step.map_or_else(
            || "the run ends".to_owned(),
            |step| format!("the run goes on at {step}"),
        ))
    };
    notes.value(subject, "if nobody decides", expiry(old), expiry(new), false);
}

fn who(rule: &GateRule) -> String {
    let teams = rule.teams.iter().map(|team| format!("team {team}"));
    let named: Vec<String> = teams.chain(rule.people.iter().cloned()).collect();
    match named.is_empty() {
        true => {
            let roles: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
            roles.join(" or ")
        }
        false => named.join(" or "),
    }
}

/// Whether somebody may decide now who might not before.
fn is_wider(old: &GateRule, new: &GateRule) -> bool {
    let is_named = |rule: &GateRule| !rule.teams.is_empty() || !rule.people.is_empty();
    let has_more = |old: &[String], new: &[String]| new.iter().any(|name| !old.contains(name));
    match (is_named(old), is_named(new)) {
        (true, true) => has_more(&old.teams, &new.teams) || has_more(&old.people, &new.people),
        (true, false) => true,
        (false, true) => false,
        (false, false) => new.roles.iter().any(|role| !old.roles.contains(role)),
    }
}
