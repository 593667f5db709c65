//! What changed about a runbook as a whole: when it applies, who may start it, what it asks for and holds.

use super::{NONE, Notes};
use crate::domain::{
    access::Circle,
    runbook::{Input, Runbook, StartMode},
};

pub(super) fn compare(old: &Runbook, new: &Runbook, notes: &mut Notes) {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    notes.value("", "title", some(&old.title), some(&new.title), false);
    notes.value("", "summary", some(&old.summary), some(&new.summary), false);
    notes.value("", "owner", old.owner.clone(), new.owner.clone(), false);
    let services = |runbook: &Runbook| some(&runbook.services.join(", "));
    notes.value("", "services", services(old), services(new), false);

    let (before, after) = (lines(old), lines(new));
    for line in before.iter().filter(|line| !after.contains(line)) {
        notes.plain(format!("applies no longer when {line}"));
    }
    for line in after.iter().filter(|line| !before.contains(line)) {
        notes.plain(format!("applies when {line}"));
    }
    let by_itself = new.start == StartMode::Automatic;
    let (before, after) = (start(old.start), start(new.start));
    notes.value("", "start", some(before), some(after), by_itself);
    let budget = |runbook: &Runbook| {
        let budget = runbook.budget?;
        Some(format!("{} in {}", budget.runs, budget.per))
    };
    let is_freed = by_itself && budget(new).is_none();
    notes.value(
        "",
        "limit of automatic starts",
        budget(old),
        budget(new),
        is_freed,
    );

    for (name, before, after) in [
        ("who may start it", &old.access.start, &new.access.start),
        ("who may publish it", &old.access.publish, &new.access.publish),
    ] {
        let words = |circle: &Circle| match circle.is_open() {
            true => some("whoever their role lets"),
            false => some(&circle.words()),
        };
        notes.value("", name, words(before), words(after), is_wider(before, after));
    }
    let review = |count: u32| some(&count.to_string());
    let is_less = new.review < old.review;
    notes.value(
        "",
        "people who must review",
        review(old.review),
        review(new.review),
        is_less,
    );

    for (name, input) in &old.inputs {
        match new.inputs.get(name) {
            None => notes.plain(format!("input {name} removed")),
            Some(after) => {
                let (before, after) = (some(&told(input)), some(&told(after)));
                notes.value("input ", name, before, after, false);
            }
        }
    }
    for (name, input) in new
        .inputs
        .iter()
        .filter(|(name, _)| !old.inputs.contains_key(*name))
    {
        notes.plain(format!("input {name} added: {}", told(input)));
    }
    let locks = |runbook: &Runbook| -> Vec<String> {
        runbook
            .locks
            .iter()
            .map(|lock| lock.source().to_owned())
            .collect()
    };
    let (before, after) = (locks(old), locks(new));
    for lock in before.iter().filter(|lock| !after.contains(lock)) {
        notes.grave(format!("lock {lock} removed: two runs may act on it at once"));
    }
    for lock in after.iter().filter(|lock| !before.contains(lock)) {
        notes.plain(format!("lock {lock} added"));
    }
}

fn lines(runbook: &Runbook) -> Vec<String> {
    let line = |line: &Vec<_>| {
        let matchers: Vec<String> = line.iter().map(ToString::to_string).collect();
        matchers.join(", ")
    };
    runbook.triggers.iter().map(line).collect()
}

fn start(mode: StartMode) -> &'static str {
    match mode {
        StartMode::Automatic => "automatic",
        StartMode::Suggest => "suggest",
        StartMode::Manual => "manual",
    }
}

/// Whether somebody may now who might not before.
fn is_wider(old: &Circle, new: &Circle) -> bool {
    let has_more = |old: &[String], new: &[String]| new.iter().any(|name| !old.contains(name));
    match (old.is_open(), new.is_open()) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => {
            has_more(&old.people, &new.people)
                || has_more(&old.teams, &new.teams)
                || new.roles.iter().any(|role| !old.roles.contains(role))
        }
    }
}

fn told(input: &Input) -> String {
    let mut words = vec![if input.required { "required" } else { "optional" }.to_owned()];
    words.extend(input.from.as_ref().map(|from| format!("from {}", from.source())));
    let default = input.default.as_deref().unwrap_or(NONE);
    words.push(format!("otherwise {default}"));
    words.join(", ")
}
