//! The targets that the runbooks of a scenario ask: each has its twin, or its steps would have nobody to talk to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::{
        findings::{Findings, Path},
        folder::requests,
        nearest, programs,
        request::literal_target,
    },
    game_day,
};
use crate::domain::{
    context::with_item,
    labels::Labels,
    runbook::Runbook,
    scenario::{At, Happening, Pattern, Scenario},
    step::{ActionKind, Request, Step, StepKind},
    target::{Target, Targets},
    template::Template,
};

/// The part of a scenario that says what is behind a name.
#[derive(Clone, Copy)]
struct Section {
    keys: &'static [&'static str],
    noun: &'static str,
}

const TWINS: Section = Section {
    keys: &["twins"],
    noun: "twin",
};
const GAME_DAY: Section = Section {
    keys: &["game_day", "targets"],
    noun: "drill target",
};

impl Section {
    fn path(self) -> Path {
        self.keys.iter().fold(Path::default(), |path, key| path.key(key))
    }
}

/// One step that asks a target.
struct Asking<'a> {
    /// Which of the scenario's runbooks.
    at: usize,
    runbook: &'a Runbook,
    step: &'a Step,
    request: &'a Request,
}

/// Checks twins against runbooks. Where a name is a template, the alerts of the scenario fill it in; what is only known
/// in a run must at least be able to name a twin.
pub(super) fn check(
    scenario: &Scenario,
    runbooks: &[Option<&Runbook>],
    targets: Option<&Targets>,
    findings: &mut Findings<'_>,
) {
    let (stands_in, section) = match (&scenario.game_day, targets) {
        // Of targets that nobody knows nothing can be said.
        (Some(_), None) => return,
        (Some(day), Some(targets)) => (game_day::known(day, targets), GAME_DAY),
        (None, _) => {
            let twins = scenario.twins.iter();
            (
                twins.map(|(name, twin)| (name.as_str(), &twin.target)).collect(),
                TWINS,
            )
        }
    };
    let alerts = alerts(scenario);
    let named = runbooks.iter().enumerate();
    let named: Vec<(usize, &Runbook)> = named
        .filter_map(|(at, runbook)| Some((at, (*runbook)?)))
        .collect();
    let is_for = |runbook: &Runbook, labels: &Labels| runbook.match_labels(labels).matched_line.is_some();
    let is_any = named
        .iter()
        .any(|(_, runbook)| alerts.iter().any(|alert| is_for(runbook, alert.labels)));
    if !is_any && !alerts.is_empty() && !named.is_empty() {
        let message =
            "no alert of this scenario is one that its runbooks are for; somebody has to start them";
        findings.warn(&Path::default().key("runbooks"), message);
    }
    let mut check = Check {
        stands_in,
        section,
        asked: BTreeSet::new(),
        missing: BTreeMap::new(),
        told: BTreeSet::new(),
        findings,
    };
    for (at, runbook) in named {
        let fitting = alerts.iter().filter(|alert| is_for(runbook, alert.labels));
        let contexts: Vec<(u32, Value)> = fitting
            .filter_map(|alert| Some((alert.line, context(runbook, alert.labels)?)))
            .collect();
        for step in runbook.all_steps() {
            let StepKind::Act(act) = &step.kind else { continue };
            for (request, _) in requests(act) {
                let asking = Asking {
                    at,
                    runbook,
                    step,
                    request,
                };
                check.request(&asking, &contexts);
            }
        }
    }
    check.tell(runbooks.iter().all(Option::is_some));
}

/// An alert that monitoring will report, and where it stands.
struct Reported<'a> {
    line: u32,
    labels: &'a Labels,
}

/// Everything that monitoring will report.
fn alerts(scenario: &Scenario) -> Vec<Reported<'_>> {
    let alarms = scenario.alarms.iter().map(|alarm| (alarm.at, &alarm.labels));
    let sent = scenario.injects.iter().flat_map(|inject| {
        inject.then.iter().filter_map(|then| match then {
            Happening::Alert { labels, .. } => Some((inject.at, labels)),
            _ => None,
        })
    });
    let line = |(at, labels): (At, _)| Reported {
        line: at.line,
        labels,
    };
    // Where something was to be filled in, that is said there, and nobody knows what.
    let is_plain = |reported: &Reported<'_>| !reported.labels.0.values().any(|value| value.contains("{{"));
    alarms.chain(sent).map(line).filter(is_plain).collect()
}

/// What expressions of a run about this alert can read, as far as that is known; `None` when it could not start.
pub(super) fn context(runbook: &Runbook, labels: &Labels) -> Option<Value> {
    let mut context = json!({"labels": labels, "annotations": {}});
    let inputs = runbook.resolve_inputs(&BTreeMap::new(), &context).ok()?;
    context["inputs"] = json!(inputs);
    Some(context)
}

/// The names of targets that a request of a step means in these contexts.
pub(super) fn targets(step: &Step, request: &Request, contexts: &[Value]) -> BTreeSet<String> {
    if let Some(name) = literal_target(request) {
        return BTreeSet::from([name.to_owned()]);
    }
    let Some(Ok(template)) = request.target_source().map(Template::parse) else {
        return BTreeSet::new();
    };
    let contexts = contexts.iter().flat_map(|context| items(step, context));
    contexts
        .filter_map(|context| template.render(&context).ok())
        .collect()
}

struct Check<'c, 'f> {
    /// What a run of the drill finds under each name.
    stands_in: BTreeMap<&'c str, &'c Target>,
    section: Section,
    /// Names that some step asks, or may ask.
    asked: BTreeSet<String>,
    /// Those without a twin: the runbook's place in the list, the action, and what is wrong. One missing twin is one
    /// fault, however many steps ask it.
    missing: BTreeMap<String, (usize, ActionKind, String)>,
    /// Other things that were said already.
    told: BTreeSet<(String, ActionKind)>,
    findings: &'c mut Findings<'f>,
}

impl Check<'_, '_> {
    fn request(&mut self, asking: &Asking<'_>, contexts: &[(u32, Value)]) {
        if let Some(name) = literal_target(asking.request) {
            return self.target(name, asking, "");
        }
        let Some(source) = asking.request.target_source() else {
            return;
        };
        let Ok(template) = Template::parse(source) else {
            return;
        };
        let mut is_filled = false;
        for (line, context) in contexts {
            let items = items(asking.step, context).into_iter();
            for name in items.filter_map(|context| template.render(&context).ok()) {
                is_filled = true;
                self.target(&name, asking, &format!(" for the alert in line {line}"));
            }
        }
        if !is_filled {
            self.shaped(source, asking);
        }
    }

    /// A target whose name is known.
    fn target(&mut self, name: &str, asking: &Asking<'_>, why: &str) {
        self.asked.insert(name.to_owned());
        let action = asking.request.action;
        let (runbook, step) = (&asking.runbook.slug, &asking.step.id);
        let place = self.section.path().key(name);
        let noun = self.section.noun;
        let Some(target) = self.stands_in.get(name) else {
            // What is wrong with a twin that is there is said there.
            if !self.findings.has_value(&place) && !self.missing.contains_key(name) {
                let message =
                    format!("no {noun} for target {name}, which runbook {runbook} step {step} asks{why}");
                self.missing.insert(name.to_owned(), (asking.at, action, message));
            }
            return;
        };
        if !target.takes(action) {
            if self.told.insert((name.to_owned(), action)) {
                let (kind, action) = (target.kind().name(), action.name());
                let message = format!(
                    "{noun} {name} is of kind {kind}, but runbook {runbook} step {step} asks it for {action}"
                );
                self.findings.fault(&place, message);
            }
        } else if let Some((_, problem)) = programs::misfit(asking.request, target) {
            let message = format!("runbook {runbook} step {step} cannot run here: {problem}");
            self.findings.warn(&place, message);
        }
    }

    /// Says which twins are missing and, if all runbooks are there, which are too many.
    fn tell(self, is_whole: bool) {
        let idle: Vec<&str> = self
            .stands_in
            .keys()
            .copied()
            .filter(|name| !self.asked.contains(*name))
            .collect();
        for (name, (at, action, message)) in &self.missing {
            let hint = match nearest::nearest(name, idle.iter().copied()) {
                Some(near) => format!("did you call its {} \"{near}\"?", self.section.noun),
                None => format!("add it to {}, as {}", self.section.keys.join("."), action.name()),
            };
            let path = Path::default().key("runbooks").index(*at);
            self.findings.fault_with_hint(&path, message, hint);
        }
        for name in idle.into_iter().filter(|_| is_whole) {
            let message = format!("no runbook of this scenario asks {name}");
            self.findings.warn(&self.section.path().key(name), message);
        }
    }

    /// A target whose name is only known in a run.
    fn shaped(&mut self, source: &str, asking: &Asking<'_>) {
        let shape = shape(source);
        let action = asking.request.action;
        let fitting = self
            .stands_in
            .iter()
            .filter(|(name, target)| target.takes(action) && shape.fits(name));
        let names: Vec<String> = fitting.map(|(name, _)| (*name).to_owned()).collect();
        if names.is_empty() && self.told.insert((source.to_owned(), action)) {
            let path = Path::default().key("runbooks").index(asking.at);
            let message = format!(
                "no {} of kind {} can be the target {source} that runbook {} step {} asks",
                self.section.noun,
                action.name(),
                asking.runbook.slug,
                asking.step.id
            );
            self.findings.warn(&path, message);
        }
        self.asked.extend(names);
    }
}

/// The context of a step, or one for each item of its list.
fn items(step: &Step, context: &Value) -> Vec<Value> {
    let Some(list) = &step.for_each else {
        return vec![context.clone()];
    };
    match list.items.evaluate(context) {
        Ok(Value::Array(items)) => {
            let items = items.iter().enumerate().take(list.max as usize);
            items.map(|(i, item)| with_item(context, item, i)).collect()
        }
        _ => Vec::new(),
    }
}

/// The text with anything in place of each `{{ }}`.
fn shape(source: &str) -> Pattern {
    let mut parts = source.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('*');
        text.push_str(part.split_once("}}").map_or("", |(_, rest)| rest));
    }
    Pattern::new(&text)
}
