//! Game days: what they are played on, what is measured, and what they may break.

use super::*;
use crate::{catalog::parse_targets, domain::scenario::Happening};

const TARGETS: &str = "targets:
  - { name: real-prom, environment: prod, prometheus: { url: 'http://10.0.0.9:9090/' } }
  - name: d-port
    environment: drill
    tcp: { address: '127.0.0.1:1' }
    faults:
      hang: { for_max: 5m, pause: { pid_file: /run/app.pid, name: app } }
  - { name: d-a, environment: drill, http: { url: 'http://127.0.0.1:2/' } }
  - { name: d-b, environment: drill, http: { url: 'http://127.0.0.1:3/' } }
  - { name: d-prom, environment: drill, prometheus: { url: 'http://127.0.0.1:4/' } }
  - { name: d-prom-again, environment: drill, prometheus: { url: 'http://10.0.0.9:9090/' } }
  - { name: d-lb, environment: drill, haproxy: { address: '127.0.0.1:5' } }
  - { name: d-box, environment: drill, command: { programs: [{ path: /bin/du, args: [/srv] }] } }
";
const GAME_DAY: &str = "world:
  services:
    app: { state: { up: true } }
game_day:
  targets: { db-port: d-port, host-a: d-a, host-b: d-b, prom: d-prom, lb: d-lb, box: d-box }
  measures:
    - check: tcp
      with: { target: db-port }
      set: { app.up: '{{ result.ok }}' }
  steady: app.up
injects:
  - { id: hang, title: It hangs, fault: { target: db-port, cause: hang, for: 2m } }
";

fn source(day: &str) -> String {
    [HEAD, day, ALERTS, EXPECTED].concat()
}

/// What is said of a game day in which one text is another.
fn told_of(from: &str, to: &str) -> Vec<String> {
    let day = GAME_DAY.replacen(from, to, 1);
    assert_ne!(day, GAME_DAY, "{from} is there");
    let runbook = parse_runbook(POOL).unwrap().runbook;
    let targets = parse_targets(TARGETS).unwrap();
    let found = match parse_with(&source(&day), &[&runbook], Some(&targets)) {
        Ok(parsed) => parsed.warnings,
        Err(faults) => faults,
    };
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_game_day_is_what_was_written() {
    let runbook = parse_runbook(POOL).unwrap().runbook;
    let targets = parse_targets(TARGETS).unwrap();
    let parsed = parse_with(&source(GAME_DAY), &[&runbook], Some(&targets)).unwrap();
    assert_eq!(parsed.warnings, []);
    let day = parsed.scenario.game_day.clone().unwrap();
    assert_eq!(day.targets["db-port"], "d-port");
    assert_eq!(day.measures[0].target(), "db-port");
    assert_eq!(
        parsed.scenario.injects[0].then,
        [Happening::Fault {
            target: "db-port".to_owned(),
            cause: "hang".to_owned(),
            lasting: Span::from_secs(120),
        }]
    );
    // Where nobody knows the targets, what can be told without them is.
    assert!(parse(&source(GAME_DAY), &[&runbook]).is_ok());
}

#[test]
fn what_a_game_day_cannot_be_is_said_where_it_stands() {
    for (from, to, wanted) in [
        (
            "prom: d-prom",
            "prom: real-prom",
            "target real-prom is not of the environment drill, and a game day touches nothing else",
        ),
        (
            "prom: d-prom",
            "prom: d-prom-again",
            "target d-prom-again has the address of real-prom, which is not of the environment drill",
        ),
        (
            "prom: d-prom",
            "prom: nothing",
            "there is no target nothing; add it to the targets file",
        ),
        (
            "prom: d-prom, ",
            "",
            "no drill target for target prom, which runbook pool step drain asks",
        ),
        (
            "lb: d-lb",
            "lb: d-box",
            "drill target lb is of kind command, but runbook pool step drain asks it for haproxy",
        ),
        (
            "target: db-port }\n",
            "target: lb }\n",
            "target d-lb is of kind haproxy, not tcp",
        ),
        (
            "target: db-port }\n",
            "target: db }\n",
            "there is no target \"db\"",
        ),
        (
            "steady: app.up",
            "steady: result.ok",
            "there is no name \"result\"",
        ),
        ("result.ok", "app.down", "app has no variable \"down\""),
        (
            "cause: hang",
            "cause: kill",
            "target d-port does not allow the fault kill; it allows hang",
        ),
        ("for: 2m", "for: 6m", "target d-port allows hang for at most 5m"),
        (
            "fault: { target: db-port",
            "fault: { target: db",
            "there is no target \"db\"",
        ),
        (
            "game_day:",
            "  always: [{ set: { app.up: true } }]\ngame_day:",
            "the world of a game day is measured; nothing happens in it by always",
        ),
        (
            "up: true",
            "up: { noise: [0, 1] }",
            "the world of a game day is measured; chance has no part in it",
        ),
        (
            "fault: { target: db-port, cause: hang, for: 2m }",
            "connector: { target: db-port, fails: down, for: 2m }",
            "a game day has no twins whose connectors could fail; use fault",
        ),
        (
            "game_day:",
            "twins: {}\ngame_day:",
            "a scenario is simulated with twins, or is a game_day; not both",
        ),
    ] {
        let found = told_of(from, to);
        assert!(
            found.iter().any(|fault| fault.contains(wanted)),
            "{to}: {found:#?}"
        );
    }
}

#[test]
fn a_simulated_drill_breaks_nothing_real() {
    let found = with("injects:\n  - { id: a, title: A, fault: { target: prom, cause: kill, for: 1m } }\n");
    let wanted = "only a game day breaks anything real; a simulated world is set";
    assert!(
        found
            .iter()
            .any(|fault| fault.starts_with("2:") && fault.contains(wanted)),
        "{found:#?}"
    );
}

#[test]
fn faults_are_allowed_by_drill_targets_and_nowhere_else() {
    let target =
        |rest: &str| format!("targets:\n  - {{ name: a, tcp: {{ address: '127.0.0.1:1' }}, {rest} }}\n");
    let pause = "pause: { pid_file: /run/a.pid, name: a }";
    for (rest, wanted) in [
        (
            format!("environment: prod, faults: {{ f: {{ {pause} }} }}"),
            "only a target of the environment drill may be broken",
        ),
        (format!("faults: {{ f: {{ {pause} }} }}"), "only a target of the environment drill may be broken"),
        (
            format!("environment: drill, faults: {{ f: {{ {pause}, fill_disk: {{}} }} }}"),
            "a fault does one thing: exactly one of kill, pause, fill_disk, network, chaos_toolkit is needed",
        ),
        (
            "environment: drill, faults: { f: { kill: { pid_file: /run/a.pid, name: a, restore: [start] } } }".to_owned(),
            "expected an absolute path without ..",
        ),
        (
            "environment: drill, faults: { f: { network: { namespace: n, device: d } } }".to_owned(),
            "packets are lost or late: exactly one of loss, in percent, and latency is needed",
        ),
        (
            "environment: drill, faults: { f: { network: { namespace: '../x', device: d, loss: 10 } } }".to_owned(),
            "expected at most 15 letters, digits and _-.:",
        ),
        (
            "environment: drill, faults: { f: { fill_disk: { folder: /srv, leave_mib: 10 } } }".to_owned(),
            "the field \"most_mib\" is missing",
        ),
    ] {
        let faults = parse_targets(&target(&rest)).unwrap_err();
        let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{rest}: {found:#?}");
    }
}
