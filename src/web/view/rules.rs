//! What a runbook says of a step besides its title, in words: what it sends or asks, and every rule it follows.

use serde_json::Value;

use super::format;
use crate::domain::{
    id::StepId,
    step::{Act, Effect, ForEach, GateRule, OnFailure, Probe, Request, Step, StepKind},
    template::Expression,
};

/// What a step sends or asks, as written.
pub fn written(kind: &StepKind) -> String {
    match kind {
        StepKind::Act(act) => request(&act.request),
        StepKind::Gate(rule) => gate(rule),
        StepKind::Manual { instruction, .. } => instruction.source().to_owned(),
        StepKind::Wait { length } => format!("{length}"),
    }
}

/// An action as written: its kind, its target, its inputs.
pub fn request(request: &Request) -> String {
    let mut text = request.action.name().to_owned();
    if let Some(target) = request.target_source() {
        text.push_str(&format!(" on {target}"));
    }
    if let Value::Object(inputs) = &request.with {
        for (name, value) in inputs.iter().filter(|(name, _)| *name != "target") {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), |value| value.trim().to_owned());
            text.push_str(&format!("\n{name}: {value}"));
        }
    }
    text
}

/// Every rule of a step that is not as it would be anyway, name by name.
pub fn of(step: &Step) -> Vec<(&'static str, String)> {
    let mut rules = Vec::new();
    if let Some(when) = &step.when {
        rules.push(("only when", when.source().to_owned()));
    }
    if let Some(needs) = &step.needs {
        rules.push(("waits for", waits_for(needs, step.effect())));
    }
    if let Some(each) = &step.for_each {
        rules.push(("for each", for_each(each)));
    }
    match &step.kind {
        StepKind::Act(act) => act_rules(step, act, &mut rules),
        StepKind::Gate(rule) => gate_rules(rule, &mut rules),
        StepKind::Manual { within, .. } => {
            if let Some(within) = within {
                rules.push(("done within", format!("{within}; after that the step has failed")));
            }
        }
        StepKind::Wait { .. } => {}
    }
    let on_failure = match &step.on_failure {
        OnFailure::Stop => None,
        OnFailure::Continue => Some("the run goes on".to_owned()),
        OnFailure::Undo => Some("what was done is taken back, the last first, then the run ends".to_owned()),
        OnFailure::GoTo(to) => Some(format!("the run goes on at {to}")),
    };
    rules.extend(on_failure.map(|words| ("on failure", words)));
    rules
}

/// An effect waits for the gate above it as well, whatever it needs.
fn waits_for(needs: &[StepId], effect: Effect) -> String {
    let ids: Vec<&str> = needs.iter().map(|id| id.0.as_str()).collect();
    match (ids.is_empty(), effect) {
        (true, Effect::Safe) => "nothing: it begins at once".to_owned(),
        (false, Effect::Safe) => format::listed(&ids),
        (true, _) => "the gate above it, if there is one; otherwise it begins at once".to_owned(),
        (false, _) => format!(
            "{}, and for the gate above it, if there is one",
            format::listed(&ids)
        ),
    }
}

fn for_each(each: &ForEach) -> String {
    let pace = match each.at_once {
        1 => "one after the other".to_owned(),
        several => format!("{several} at once"),
    };
    format!("item of {}: {pace}, at most {}", each.items.source(), each.max)
}

fn gate(rule: &GateRule) -> String {
    let teams = rule.teams.iter().map(|team| format!("the team {team}"));
    let named: Vec<String> = teams.chain(rule.people.iter().cloned()).collect();
    let who = match named.is_empty() {
        true => {
            let roles: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
            format::listed(&roles)
        }
        false => format!("{}, by name", format::listed(&named)),
    };
    let approvals = format::count(i64::from(rule.approvals), "approval", "approvals");
    let impact = rule
        .impact
        .as_ref()
        .map_or_else(String::new, |impact| format!(". {}", impact.source()));
    format!("{approvals} by {who}{impact}")
}

fn gate_rules(rule: &GateRule, rules: &mut Vec<(&'static str, String)>) {
    rules.push(("decide within", rule.decide_within.to_string()));
    let expired = match &rule.on_expiry {
        None => "the run ends".to_owned(),
        Some(to) => format!("the run goes on at {to}"),
    };
    rules.push(("if nobody decides", expired));
    rules.push(("use within", rule.use_within.to_string()));
    rules.push((
        "evidence",
        format!("at most {} old to approve by", rule.evidence_within),
    ));
    let requester = if rule.requester_may_approve {
        "may"
    } else {
        "may not"
    };
    rules.push((
        "requester",
        format!("{requester} approve what they started themselves"),
    ));
    let break_glass = match rule.break_glass {
        true => "a responder may open it alone with a reason, which is reviewed afterwards",
        false => "nobody may open it alone",
    };
    rules.push(("in an emergency", break_glass.to_owned()));
}

fn act_rules(step: &Step, act: &Act, rules: &mut Vec<(&'static str, String)>) {
    if let Some(effect) = effect(act.effect) {
        rules.push(("effect", effect.to_owned()));
    }
    if act.irreversible {
        let words =
            "cannot be taken back; its gate asks to type the target's name and to show once more who you are";
        rules.push(("irreversible", words.to_owned()));
    }
    if let Some(expect) = &act.expect {
        rules.push(("expects", expect.source().to_owned()));
    }
    if let Some(until) = &act.until {
        rules.push((
            "asks",
            format!("every {} for at most {}", until.every, until.within),
        ));
    }
    rules.push(("timeout", step.timeout.to_string()));
    if step.retry.attempts > 1 {
        let retry = &step.retry;
        rules.push((
            "retry",
            format!(
                "up to {} attempts, {} to {} apart",
                retry.attempts, retry.initial, retry.max
            ),
        ));
    }
    if let Some(verify) = &act.verify {
        rules.push(("verify probe", probe(verify)));
    }
    if let Some(undo) = &act.undo {
        let mut text = one_line(&undo.request, &undo.expect);
        if let Some(effect) = effect(undo.effect) {
            text.push_str(&format!("; {effect}"));
        }
        rules.push(("undo", text));
        if let Some(verify) = &undo.verify {
            rules.push(("undo probe", probe(verify)));
        }
    }
}

fn effect(effect: Effect) -> Option<&'static str> {
    match effect {
        Effect::Safe => None,
        Effect::Idempotent => Some("changes something; may be repeated with the same key"),
        Effect::Once => Some("changes something; is sent once, never repeated without a person"),
    }
}

fn probe(probe: &Probe) -> String {
    one_line(&probe.request, &probe.expect)
}

fn one_line(sent: &Request, expect: &Option<Expression>) -> String {
    let mut text = request(sent).replace('\n', "; ");
    if let Some(expect) = expect {
        text.push_str(&format!("; done when {}", expect.source()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse_runbook;

    const RUNBOOK: &str = r#"
runbook: x
title: X
steps:
  - id: look
    check: tcp
    with: { target: a }
    needs: []
    on_failure: { go_to: tell }
  - id: ask
    needs: [look]
    gate: { approvals: 2, people: [ana, ben], on_expiry: { go_to: tell }, break_glass: false }
    impact: Writes stop.
  - id: drain
    needs: [ask]
    for_each: { in: labels.hosts, at_once: 3 }
    call: haproxy
    with: { target: lb, backend: b, drain: "{{ item }}" }
    on_failure: undo
    undo:
      call: haproxy
      with: { target: lb, backend: b, enable: "{{ item }}" }
      expect: result.ok
      verify: { check: haproxy, with: { target: lb, backend: b } }
  - id: tell
    manual: Tell them
    timeout: 30m
    needs: [look, ask]
    on_failure: continue
  - id: open
    gate: {}
  - id: restart
    needs: []
    call: http
    with: { target: a }
"#;

    #[test]
    fn every_rule_has_its_words() {
        let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
        let changes = "changes something; may be repeated with the same key";
        let told = |rules: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
            rules
                .iter()
                .map(|(name, words)| (*name, (*words).to_owned()))
                .collect()
        };
        let undo =
            format!("haproxy on lb; backend: b; enable: {{{{ item }}}}; done when result.ok; {changes}");
        for (step, expected) in [
            (
                0,
                vec![
                    ("waits for", "nothing: it begins at once"),
                    ("timeout", "30s"),
                    ("on failure", "the run goes on at tell"),
                ],
            ),
            (
                1,
                vec![
                    ("waits for", "look"),
                    ("decide within", "15m"),
                    ("if nobody decides", "the run goes on at tell"),
                    ("use within", "10m"),
                    ("evidence", "at most 5m old to approve by"),
                    ("requester", "may not approve what they started themselves"),
                    ("in an emergency", "nobody may open it alone"),
                ],
            ),
            (
                2,
                vec![
                    ("waits for", "ask, and for the gate above it, if there is one"),
                    ("for each", "item of labels.hosts: 3 at once, at most 100"),
                    ("effect", changes),
                    ("timeout", "30s"),
                    ("undo", &undo),
                    ("undo probe", "haproxy on lb; backend: b"),
                    (
                        "on failure",
                        "what was done is taken back, the last first, then the run ends",
                    ),
                ],
            ),
            (
                3,
                vec![
                    ("waits for", "look and ask"),
                    ("done within", "30m; after that the step has failed"),
                    ("on failure", "the run goes on"),
                ],
            ),
            (
                4,
                vec![
                    ("decide within", "15m"),
                    ("if nobody decides", "the run ends"),
                    ("use within", "10m"),
                    ("evidence", "at most 5m old to approve by"),
                    ("requester", "may not approve what they started themselves"),
                    (
                        "in an emergency",
                        "a responder may open it alone with a reason, which is reviewed afterwards",
                    ),
                ],
            ),
        ] {
            assert_eq!(of(&runbook.steps[step]), told(&expected), "{step}");
        }
        assert_eq!(
            of(&runbook.steps[5])[0].1,
            "the gate above it, if there is one; otherwise it begins at once"
        );
        assert_eq!(
            written(&runbook.steps[1].kind),
            "2 approvals by ana and ben, by name. Writes stop."
        );
        assert_eq!(written(&runbook.steps[4].kind), "1 approval by approver");
    }
}
