//! Writes YAML: a value as people read it, and a runbook in the format it is read in.

use serde_json::{Map, Value};
use serde_yaml::Mapping;

use super::{act::PROBE_UNTIL, document, step::AT_ONCE_DEFAULT};
use crate::domain::{
    id::StepId,
    operator::Role,
    runbook::{Input, Runbook},
    step::{
        Act, ActWord, EVIDENCE_WITHIN, ForEach, GateRule, ITEMS_MAX_DEFAULT, OnFailure, Probe, Request,
        Retry, Step, StepKind,
    },
};

/// A value as YAML.
pub fn value(value: &Value) -> String {
    text(value)
}

/// A runbook as the file it could have come from. What is as it would be anyway is left out.
pub fn runbook(runbook: &Runbook) -> String {
    let mut top = Document::default();
    top.put("runbook", &runbook.slug);
    top.put("title", &runbook.title);
    top.put_unless(runbook.summary.is_empty(), "summary", &runbook.summary);
    top.put_some("owner", &runbook.owner);
    top.put_unless(runbook.services.is_empty(), "services", &runbook.services);
    let lines: Vec<String> = runbook
        .triggers
        .iter()
        .map(|line| {
            let matchers: Vec<String> = line.iter().map(ToString::to_string).collect();
            matchers.join(", ")
        })
        .collect();
    top.put_unless(lines.is_empty(), "match", &lines);
    top.put("start", &runbook.start);
    top.put_some("budget", &runbook.budget);
    top.put_unless(runbook.access.is_open(), "access", &runbook.access);
    top.put_unless(runbook.review == 0, "review", &runbook.review);
    let mut inputs = Document::default();
    for (name, input) in &runbook.inputs {
        inputs.put(name, &input_of(input));
    }
    top.put_unless(runbook.inputs.is_empty(), "inputs", &inputs.0);
    top.put_unless(runbook.locks.is_empty(), "locks", &runbook.locks);
    top.put("steps", &runbook.steps.iter().map(step_of).collect::<Vec<_>>());
    let finally: Vec<Mapping> = runbook.finally.iter().map(step_of).collect();
    top.put_unless(finally.is_empty(), "finally", &finally);
    text(&top.0)
}

/// YAML that our own reader takes for the same; in the rare case that it does not, JSON, which is YAML as well.
fn text(tree: &impl serde::Serialize) -> String {
    let meant = serde_json::to_value(tree).ok();
    serde_yaml::to_string(tree)
        .ok()
        .filter(|written| document::read(written).map(|node| node.to_value()).ok() == meant)
        .or_else(|| serde_json::to_string_pretty(tree).ok().map(|json| json + "\n"))
        .unwrap_or_default()
}

/// A map that keeps the order it is written in.
#[derive(Default)]
struct Document(Mapping);

impl Document {
    fn put(&mut self, key: &str, value: &impl serde::Serialize) {
        // Every domain type is a plain tree, which always has a YAML value.
        if let Ok(value) = serde_yaml::to_value(value) {
            self.0.insert(key.into(), value);
        }
    }

    fn put_unless(&mut self, is_default: bool, key: &str, value: &impl serde::Serialize) {
        if !is_default {
            self.put(key, value);
        }
    }

    fn put_some(&mut self, key: &str, value: &Option<impl serde::Serialize>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
}

fn input_of(input: &Input) -> Mapping {
    let mut map = Document::default();
    map.put_some("from", &input.from);
    map.put_unless(!input.required, "required", &true);
    map.put_some("default", &input.default);
    map.0
}

fn step_of(step: &Step) -> Mapping {
    let mut map = Document::default();
    map.put("id", &step.id);
    map.put_some("phase", &step.phase);
    map.put_some("title", &step.title);
    map.put_some("doc", &step.doc);
    map.put_some("when", &step.when);
    map.put_some("needs", &step.needs);
    if let Some(each) = &step.for_each {
        for_each_into(&mut map, each);
    }
    match &step.kind {
        StepKind::Act(act) => {
            act_into(&mut map, act);
            map.put("timeout", &step.timeout);
            map.put_unless(step.retry == Retry::NEVER, "retry", &step.retry);
        }
        StepKind::Gate(rule) => gate_into(&mut map, rule),
        StepKind::Manual { instruction, within } => {
            map.put("manual", instruction);
            map.put_some("timeout", within);
        }
        StepKind::Wait { length } => map.put("wait", length),
    }
    match &step.on_failure {
        OnFailure::Stop => {}
        OnFailure::Continue => map.put("on_failure", &"continue"),
        OnFailure::Undo => map.put("on_failure", &"undo"),
        OnFailure::GoTo(to) => map.put("on_failure", &go_to(to)),
    }
    map.0
}

fn for_each_into(map: &mut Document, each: &ForEach) {
    if (each.max, each.at_once) == (ITEMS_MAX_DEFAULT, AT_ONCE_DEFAULT) {
        return map.put("for_each", &each.items);
    }
    let mut long = Document::default();
    long.put("in", &each.items);
    long.put_unless(each.max == ITEMS_MAX_DEFAULT, "max", &each.max);
    long.put_unless(each.at_once == AT_ONCE_DEFAULT, "at_once", &each.at_once);
    map.put("for_each", &long.0);
}

fn go_to(to: &StepId) -> Mapping {
    let mut map = Document::default();
    map.put("go_to", to);
    map.0
}

fn act_into(map: &mut Document, act: &Act) {
    request_into(map, act.word, &act.request);
    map.put_some("expect", &act.expect);
    map.put_some("until", &act.until);
    let default = act.request.action.default_effect(act.word);
    map.put_unless(act.effect == default, "effect", &act.effect);
    map.put_unless(!act.irreversible, "irreversible", &act.irreversible);
    if let Some(probe) = &act.verify {
        map.put("verify", &probe_of(probe));
    }
    if let Some(undone) = &act.undo {
        let mut undo = Document::default();
        act_into(&mut undo, undone);
        map.put("undo", &undo.0);
    }
}

fn probe_of(probe: &Probe) -> Mapping {
    let mut verify = Document::default();
    request_into(&mut verify, ActWord::Check, &probe.request);
    verify.put_some("expect", &probe.expect);
    verify.put_unless(probe.until == PROBE_UNTIL, "until", &probe.until);
    verify.0
}

fn request_into(map: &mut Document, word: ActWord, request: &Request) {
    map.put(super::request::word_name(word), &request.action);
    map.put("with", &with_of(&request.with));
}

/// The inputs with the target first.
fn with_of(with: &Value) -> Mapping {
    let mut map = Document::default();
    let empty = Map::new();
    let inputs = with.as_object().unwrap_or(&empty);
    map.put_some("target", &inputs.get("target"));
    for (key, value) in inputs {
        map.put_unless(key == "target", key, value);
    }
    map.0
}

fn gate_into(map: &mut Document, rule: &GateRule) {
    let mut gate = Document::default();
    gate.put("approvals", &rule.approvals);
    let roles: Vec<&str> = rule.roles.iter().copied().map(Role::name).collect();
    // Where teams or people are named, nobody asks for the roles.
    let is_idle = !(rule.people.is_empty() && rule.teams.is_empty()) && rule.roles == [Role::Approver];
    gate.put_unless(is_idle, "roles", &roles);
    gate.put_unless(rule.teams.is_empty(), "teams", &rule.teams);
    gate.put_unless(rule.people.is_empty(), "people", &rule.people);
    gate.put("requester_may_approve", &rule.requester_may_approve);
    gate.put("decide_within", &rule.decide_within);
    gate.put("use_within", &rule.use_within);
    let is_usual = rule.evidence_within == EVIDENCE_WITHIN;
    gate.put_unless(is_usual, "evidence_within", &rule.evidence_within);
    if let Some(to) = &rule.on_expiry {
        gate.put("on_expiry", &go_to(to));
    }
    gate.put_unless(rule.break_glass, "break_glass", &rule.break_glass);
    map.put("gate", &gate.0);
    map.put_some("impact", &rule.impact);
}
