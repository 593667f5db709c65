//! What is wrong with a scenario, with line and column; and what is read is what was written.

mod asked;
mod deeds;
mod files;
mod game_day;
mod happenings;
mod head;
mod sample;
mod twins;
mod world;

use super::*;
use crate::catalog::parse_runbook;

const POOL: &str = "
runbook: pool
title: Pool
match: ['alertname=\"Ill\", env=\"prod\"']
inputs: { hosts: { default: 'a,b' }, unit: { from: labels.unit } }
steps:
  - id: look
    check: tcp
    with: { target: '{{ inputs.unit }}-port' }
  - id: ask-storage
    gate: {}
  - id: drain
    for_each: 'inputs.hosts | split(\",\")'
    call: http
    with: { target: 'host-{{ item }}', method: POST }
    verify: { check: prometheus, with: { target: prom, query: up } }
    undo: { call: haproxy, with: { target: lb, backend: b, enable: a } }
  - id: clean
    call: command
    with: { target: box, program: /bin/du, args: [/srv] }
  - id: by-hand
    manual: Look
";
const HEAD: &str = "scenario: x
title: X
summary: S
brief: B
length: 8m
runbooks: [pool]
roles: [commander]
";
const WORLD: &str = "world:
  services:
    app: { state: { up: true, admin: ready, lag: { between: [0, 3] }, load: { noise: [1, 9] } } }
    shop: { needs: [app] }
";
/// The twins that the runbook asks.
const TWINS: &str = "twins:
  db-port: { tcp: {} }
  host-a: { http: { answers: [{ path: '*' }] } }
  host-b: { http: { answers: [{ path: '*' }] } }
  prom: { prometheus: { answers: [{ query: '*', value: 1 }] } }
  lb: { haproxy: { backends: { b: { a: { up: app.up, admin: app.admin } } } } }
  box: { command: { programs: [{ path: /bin/du, args: [/srv] }], answers: [{ program: '*' }] } }
";
const ALERTS: &str = "alerts:
  - { labels: { alertname: Ill, env: prod, unit: db }, while: not app.up }
";
const EXPECTED: &str = "expected:
  - { id: take, acknowledge: true, within: 2m }
";

fn whole() -> String {
    [HEAD, WORLD, TWINS, ALERTS, EXPECTED].concat()
}

/// Every fault, as people see it; the warnings when there is none.
fn told(source: &str) -> Vec<String> {
    let runbook = parse_runbook(POOL).unwrap().runbook;
    let found = match parse(source, &[&runbook]) {
        Ok(parsed) => parsed.warnings,
        Err(faults) => faults,
    };
    found.iter().map(ToString::to_string).collect()
}

/// What is told of a good scenario in which these sections are others. They stand at its end, and their lines are
/// counted from 1; a line that a message itself names is that of the whole text.
fn with(sections: &str) -> Vec<String> {
    let keys: Vec<&str> = sections.lines().filter_map(key).collect();
    let mut source = String::new();
    let mut is_kept = true;
    for line in whole().lines() {
        if let Some(key) = key(line) {
            is_kept = !keys.contains(&key);
        }
        if is_kept {
            source.push_str(line);
            source.push('\n');
        }
    }
    let above = source.lines().count();
    source.push_str(sections);
    let moved = |fault: String| {
        let (line, rest) = fault.split_once(':').unwrap();
        match line.parse::<usize>().unwrap().checked_sub(above) {
            Some(line @ 1..) => format!("{line}:{rest}"),
            _ => format!("above:{rest}"),
        }
    };
    told(&source).into_iter().map(moved).collect()
}

/// The key of a line that begins a section.
fn key(line: &str) -> Option<&str> {
    let key = line.split(':').next()?;
    line.starts_with(|c: char| c.is_ascii_lowercase()).then_some(key)
}
