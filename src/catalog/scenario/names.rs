//! The names an expression of a scenario may read at its place, and the variables it may set.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{
    document::Content,
    fields::Field,
    findings::{Findings, Path},
    nearest,
    runbook::unknown,
    scope,
};
use crate::domain::{
    names::{self, Chain},
    runbook::Runbook,
    scenario::{Assignment, RESULT, Service, Start, TOLD, TOLD_WORLD},
    step::StepKind,
    template::{Expression, FILTERS, TESTS, Template},
};

/// The variable every service has: what it needs decides it, and nobody sets it.
pub(super) const WORKS: &str = "works";
/// What is known of the incident.
const INCIDENT: [&str; 4] = ["open", "acknowledged", "mitigated", "resolved"];
/// What a gate can be.
const GATE_WORDS: [&str; 5] = ["none", "open", "approved", "rejected", "expired"];
/// What a step can be.
const STEP_WORDS: [&str; 6] = ["waiting", "running", "succeeded", "failed", "skipped", "unknown"];
/// Variables that one place may set.
const SETS_MAX: usize = 50;

/// What is wrong, and what would help.
type Problem = (String, Option<String>);

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the world, in a twin or in an alert: it knows nothing of people.
    World,
    /// Where what people do is known as well.
    Told,
    /// Where the answer to a measure is known as well as the world.
    Measured,
}

impl Place {
    fn told(self) -> &'static [&'static str] {
        match self {
            Self::World | Self::Measured => &TOLD_WORLD,
            Self::Told => &TOLD,
        }
    }
}

/// Everything a scenario has that can be named.
pub(super) struct Names<'a> {
    services: BTreeMap<String, BTreeMap<String, Start>>,
    /// Whether the services could be read: of others nothing is known.
    has_world: bool,
    pub(super) runbooks: Vec<&'a Runbook>,
    /// Whether every runbook the scenario names is there.
    has_runbooks: bool,
    injects: BTreeSet<String>,
}

impl<'a> Names<'a> {
    /// The names of these services, runbooks and injects.
    pub(super) fn new(
        services: Option<&BTreeMap<String, Service>>,
        runbooks: &[Option<&'a Runbook>],
        injects: BTreeSet<String>,
    ) -> Self {
        let states = services.into_iter().flatten();
        Self {
            services: states
                .map(|(name, service)| (name.clone(), service.state.clone()))
                .collect(),
            has_world: services.is_some(),
            runbooks: runbooks.iter().copied().flatten().collect(),
            has_runbooks: !runbooks.is_empty() && runbooks.iter().all(Option::is_some),
            injects,
        }
    }

    /// The services, unless they could not be read.
    pub(super) fn services(&self) -> Option<Vec<&str>> {
        self.has_world
            .then(|| self.services.keys().map(String::as_str).collect())
    }

    /// The steps of all runbooks, unless one of these is not there.
    pub(super) fn steps(&self) -> Option<Vec<(&'a str, &'a StepKind)>> {
        let steps = self.runbooks.iter().flat_map(|runbook| runbook.all_steps());
        self.has_runbooks
            .then(|| steps.map(|step| (step.id.0.as_str(), &step.kind)).collect())
    }

    /// An expression that reads only what has a value there.
    pub(super) fn expression(
        &self,
        field: Option<Field<'_>>,
        place: Place,
        findings: &mut Findings<'_>,
    ) -> Option<Expression> {
        let field = field?;
        let expression = field.parsed(Expression::parse, findings)?;
        self.check(&expression, place, &field.path, findings);
        Some(expression)
    }

    /// A text with `{{ }}`.
    pub(super) fn template(
        &self,
        field: Option<Field<'_>>,
        place: Place,
        findings: &mut Findings<'_>,
    ) -> Option<Template> {
        let field = field?;
        let template = field.parsed(Template::parse, findings)?;
        for expression in template.expressions() {
            self.check(&expression, place, &field.path, findings);
        }
        Some(template)
    }

    /// A value whose texts are templates.
    pub(super) fn tree(&self, field: &Field<'_>, place: Place, findings: &mut Findings<'_>) -> Value {
        let tree = field.to_value();
        scope::texts(
            &tree,
            &field.path,
            &mut |text, path| match Template::parse(text) {
                Ok(template) => {
                    for expression in template.expressions() {
                        self.check(&expression, place, path, findings);
                    }
                }
                Err(error) => findings.fault(path, error.to_string()),
            },
        );
        tree
    }

    /// `set`: variables and what they become.
    pub(super) fn set(
        &self,
        field: Option<Field<'_>>,
        place: Place,
        findings: &mut Findings<'_>,
    ) -> Vec<Assignment> {
        let mut set = Vec::new();
        let Some(field) = field else { return set };
        let Some(fields) = field.entries(findings) else {
            return set;
        };
        for (key, value) in fields.all() {
            if set.len() == SETS_MAX {
                findings.fault(&value.path, format!("at most {SETS_MAX} are allowed"));
                break;
            }
            let to = self.scalar(&value, place, findings);
            match self.variable(key) {
                Ok((service, variable)) => set.push(Assignment {
                    service,
                    variable,
                    to,
                }),
                Err((message, hint)) => fields.fault_at_key(key, message, hint, findings),
            }
        }
        if matches!(&field.node.content, Content::Map(entries) if entries.is_empty()) {
            findings.fault(
                &field.path,
                "at least one variable is needed, like service.variable",
            );
        }
        set
    }

    /// One text, number or boolean.
    pub(super) fn scalar(&self, field: &Field<'_>, place: Place, findings: &mut Findings<'_>) -> Value {
        match &field.node.content {
            Content::Null => findings.fault(&field.path, "has no value"),
            Content::List(_) | Content::Map(_) => {
                let noun = field.node.content.noun();
                findings.fault(
                    &field.path,
                    format!("expected a text, a number or a boolean, found {noun}"),
                );
            }
            _ => {}
        }
        self.tree(field, place, findings)
    }

    /// A variable that rules may set, as `service.variable`.
    pub(super) fn variable(&self, written: &str) -> Result<(String, String), Problem> {
        let Some((service, variable)) = written.split_once('.') else {
            let message = format!("\"{written}\" is not a variable; write it like service.variable");
            return Err((message, None));
        };
        let found = Ok((service.to_owned(), variable.to_owned()));
        if !self.has_world {
            return found;
        }
        let Some(state) = self.services.get(service) else {
            let known: Vec<&str> = self.services.keys().map(String::as_str).collect();
            return Err(unknown("service", service, &known));
        };
        match state.get(variable) {
            Some(Start::Noise(..)) => Err((
                format!("{written} is noise, drawn anew each second, and cannot be set"),
                Some("give it a value, or between".to_owned()),
            )),
            Some(_) => found,
            None if variable == WORKS => Err((
                format!("{written} follows from the rest and cannot be set"),
                Some("set a variable that it reads".to_owned()),
            )),
            None => {
                let known: Vec<&str> = state.keys().map(String::as_str).collect();
                Err(no_variable(service, variable, &known))
            }
        }
    }

    /// What a variable begins as.
    pub(super) fn start(&self, service: &str, variable: &str) -> Option<&Start> {
        self.services.get(service)?.get(variable)
    }

    fn check(&self, expression: &Expression, place: Place, path: &Path, findings: &mut Findings<'_>) {
        let names = names::read(expression.source());
        let chains = names.chains.iter().filter_map(|chain| self.problem(chain, place));
        let words = [
            ("filter", &names.filters, FILTERS.as_slice()),
            ("test", &names.tests, TESTS.as_slice()),
        ];
        let words = words.into_iter().flat_map(|(noun, used, known)| {
            let used = used.iter().filter(|name| !known.contains(&name.as_str()));
            used.map(move |name| unknown(noun, name, known))
        });
        for (message, hint) in chains.chain(words).chain(self.never_equal(expression)) {
            findings.fault_with_hint(path, message, hint);
        }
    }

    fn problem(&self, chain: &Chain, place: Place) -> Option<Problem> {
        let root = chain.root.as_str();
        if chain.is_called {
            return Some(("there are no functions in expressions".to_owned(), None));
        }
        if place == Place::Measured && root == RESULT {
            return None;
        }
        let is_told = place.told().contains(&root);
        if !is_told && !self.services.contains_key(root) {
            return self.unknown_root(root, place);
        }
        if root == "t" {
            let is_more = chain.is_computed || !chain.below.is_empty();
            return is_more.then(|| ("t is a number and has nothing below it".to_owned(), None));
        }
        let Some(below) = chain.below.first().filter(|_| chain.below.len() == 1 || is_told) else {
            return Some(match chain.below.first() {
                None => (
                    format!("\"{root}\" must be followed by a name that is written out"),
                    (!is_told).then(|| format!("{root}.{WORKS} says whether it works")),
                ),
                Some(below) => (
                    format!("{root}.{below} is a value and has nothing below it"),
                    None,
                ),
            });
        };
        match root {
            _ if !is_told => self.variable_problem(root, below),
            "incident" if !INCIDENT.contains(&below.as_str()) => {
                Some(unknown("incident field", below, &INCIDENT))
            }
            "injects" if !self.injects.contains(below) => {
                let known: Vec<&str> = self.injects.iter().map(String::as_str).collect();
                Some(dashed(unknown("inject", below, &known), root, below, &known))
            }
            "gates" | "steps" => self.step_problem(root, below),
            _ => None,
        }
    }

    fn unknown_root(&self, root: &str, place: Place) -> Option<Problem> {
        if place != Place::Told && TOLD.contains(&root) {
            let message = format!("\"{root}\" is not known here: the world knows nothing of what people do");
            let hint = format!("known here: the services and {}", TOLD_WORLD.join(", "));
            return Some((message, Some(hint)));
        }
        let services = self.services.keys().map(String::as_str);
        let known: Vec<&str> = services.chain(place.told().iter().copied()).collect();
        self.has_world.then(|| unknown("name", root, &known))
    }

    fn variable_problem(&self, service: &str, variable: &str) -> Option<Problem> {
        let state = self.services.get(service)?;
        if variable == WORKS || state.contains_key(variable) {
            return None;
        }
        let known: Vec<&str> = state.keys().map(String::as_str).chain([WORKS]).collect();
        Some(no_variable(service, variable, &known))
    }

    fn step_problem(&self, root: &str, id: &str) -> Option<Problem> {
        let steps = self.steps()?;
        let is_gate = |kind: &StepKind| matches!(kind, StepKind::Gate(_));
        let fits = |kind: &StepKind| root == "steps" || is_gate(kind);
        let mut named = steps.iter().filter(|(known, _)| *known == id).peekable();
        if named.peek().is_some() {
            let fit = named.any(|(_, kind)| fits(kind));
            let hint = Some(format!("write steps['{id}']"));
            return (!fit).then(|| (format!("{id} is not a gate"), hint));
        }
        let known: Vec<&str> = steps
            .iter()
            .filter(|(_, kind)| fits(kind))
            .map(|(known, _)| *known)
            .collect();
        let noun = if root == "gates" { "gate" } else { "step" };
        Some(dashed(unknown(noun, id, &known), root, id, &known))
    }

    /// `gates.ask == 'approve'` is never true: a gate is `approved`.
    fn never_equal(&self, expression: &Expression) -> Vec<Problem> {
        let compared = compared(expression.source());
        let wrong = compared.into_iter().filter_map(|(root, word)| {
            let (noun, known) = match root {
                "gates" => ("gate", GATE_WORDS.as_slice()),
                "steps" => ("step", STEP_WORDS.as_slice()),
                _ => return None,
            };
            (!known.contains(&word)).then(|| {
                let message = format!("a {noun} is never \"{word}\"");
                (message, nearest::hint(word, known.iter().copied()))
            })
        });
        wrong.collect()
    }
}

fn no_variable(service: &str, variable: &str, known: &[&str]) -> Problem {
    let hint = nearest::hint(variable, known.iter().copied());
    (format!("{service} has no variable \"{variable}\""), hint)
}

/// `gates.ask-storage` reads `gates.ask` and takes `storage` off it.
fn dashed(problem: Problem, root: &str, id: &str, known: &[&str]) -> Problem {
    let found = known
        .iter()
        .find(|known| known.strip_prefix(id).is_some_and(|rest| rest.starts_with('-')));
    match found {
        Some(found) => (problem.0, Some(format!("write {root}['{found}']"))),
        None => problem,
    }
}

/// The names and the texts that `==` and `!=` stand between, when the name comes first: `gates.ask == 'open'`.
fn compared(source: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (at, sign) in source.match_indices("==").chain(source.match_indices("!=")) {
        let name = source[..at].trim_end();
        let start = name
            .rfind(|c: char| !(c.is_alphanumeric() || "_-.'\"[]".contains(c)))
            .map_or(0, |at| at + 1);
        let Some(root) = name.get(start..).and_then(|name| name.split(['.', '[']).next()) else {
            continue;
        };
        let text = source[at + sign.len()..].trim_start();
        let word = ['\'', '"'].into_iter().find_map(|quote| {
            let rest = text.strip_prefix(quote)?;
            rest.split_once(quote).map(|(word, _)| word)
        });
        found.extend(word.map(|word| (root, word)));
    }
    found
}
