//! A scenario of every kind of twin, inject and deed, read against a runbook of the samples.

use serde_json::{Value, json};

use super::*;
use crate::domain::{
    approval::Verdict,
    incident::Severity,
    run::UnknownChoice,
    scenario::{Assignment, Deed, Failing, Happening, Pattern, Start},
    step::ActionKind,
    target::{Connection, Tls},
};

const RUNBOOK: &str = include_str!("../../../../runbooks/postgres-primary-down.yaml");

const SCENARIO: &str = r#"
scenario: checkout-primary-dead
title: The checkout database loses its primary
summary: Trains the failover.
brief: |
  You are on call for the shop.
length: 8m
runbooks: [postgres-primary-down]
roles: [commander, approver]
world:
  services:
    primary: { state: { up: true } }
    standby: { state: { up: true, standby: true, lag_mb: { between: [0, 3] }, load: { noise: [-1, 1] } } }
    proxy: { state: { to_primary: ready, to_standby: maint } }
    checkout:
      needs: [proxy]
      works: (proxy.to_primary == 'ready' and primary.up) or (proxy.to_standby == 'ready' and not standby.standby)
    orders: { state: { lost: 0 } }
  each_second:
    - when: not checkout.works
      set: { orders.lost: "{{ orders.lost + 3 }}" }
  always:
    - { when: not primary.up and t > 600, set: { standby.lag_mb: 20 } }
  mitigated: checkout.works
twins:
  checkout-primary:
    postgres:
      up: primary.up
      hangs: "false"
      answers:
        - { query: "select 1", rows: [{ one: 1 }] }
  checkout-standby:
    postgres:
      up: standby.up
      answers:
        - { query: "SELECT  pg_promote(*", when: standby.up, set: { standby.standby: false }, rows: [{ promoted: true }], lost: t > 60 }
        - { query: "select pg_is_in_recovery()*", rows: [{ standby: "{{ standby.standby }}", received: "" }] }
        - { query: "*", fails: "relation does not exist at {{ t }}" }
  checkout-lb:
    haproxy:
      backends:
        checkout-db:
          primary: { up: primary.up, admin: proxy.to_primary }
          standby: { up: standby.up, admin: proxy.to_standby }
  prom:
    prometheus:
      answers:
        - { query: 'cluster:postgres_writes:ok*', value: "{{ 1 if checkout.works else 0 }}" }
        - { query: 'up*', samples: [{ labels: { job: a }, value: 1 }] }
        - { query: '*', none: true }
  checkout-log: { file: { lines: ["LOG: ready", "{{ 'FATAL: gone' if not primary.up else '' }}"] } }
  shop:
    http:
      answers:
        - { path: /rollback*, method: POST, set: { orders.lost: 0 }, status: 200, body: { done: "{{ checkout.works }}" } }
  box: { command: { programs: [/usr/bin/df], answers: [{ program: "/usr/bin/df*", output: "90%\n", exit: 1 }] } }
  logs: { loki: { answers: [{ query: "*", lines: ["lost {{ orders.lost }}"] }] } }
  search: { elasticsearch: { answers: [{ query: "*", lines: [] }] } }
  alerts: { alertmanager: {} }
  port: { tcp: { up: primary.up } }
alerts:
  - labels: { alertname: PostgresPrimaryDown, cluster: checkout, env: prod }
    annotations: { summary: "{{ orders.lost }} orders are lost" }
    while: not primary.up
    for: 10s
injects:
  - { id: crash, title: The primary dies, after: 20s, set: { primary.up: false } }
  - { id: boss, title: A question, when: incident.acknowledged, says: { who: Head of shop, text: How long? } }
  - { id: false-alarm, title: A misleading alert, after: 2m, alert: { labels: { alertname: DiskFull }, annotations: { a: b }, for: 5m } }
  - { id: gone, title: The commander leaves, when: "gates.ask == 'open' and injects['false-alarm']", leaves: commander }
  - { id: slow, title: The proxy is slow, connector: { target: checkout-lb, fails: hangs, for: 30s } }
expected:
  - { id: take, acknowledge: true, within: 2m }
  - { id: decide, approve: ask, after: take, within: 5m, because: The standby is fresh }
  - { id: news, update: true, after: boss, within: 3m }
  - { id: settle, unknown: promote, choose: run_check, within: 3m }
  - { id: over, resolve: true, within: 10m }
wrong:
  - { id: blind, reject: ask, when: standby.lag_mb <= 16 and steps.promote == 'waiting', instead_of: decide, because: Orders are lost }
  - { id: again, unknown: promote, choose: retry_new_key, because: It is promoted twice }
  - { id: small, severity: sev4, because: Nobody can buy }
  - { id: by-hand, start: postgres-primary-down, because: It runs already }
objectives: { detect: 30s, acknowledge: 2m, first_step: 3m, gate: 5m, mitigate: 8m, update_every: 10m }
hints:
  - { text: Look at the lag, price: 5 }
  - { text: Take your time }
stop:
  - { when: orders.lost > 100000, because: Nothing is left to save }
"#;

fn read() -> Parsed {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    match parse(SCENARIO, &[&runbook]) {
        Ok(parsed) => parsed,
        Err(faults) => panic!(
            "{}",
            faults
                .iter()
                .map(|fault| format!("{fault}\n"))
                .collect::<String>()
        ),
    }
}

fn set(service: &str, variable: &str, to: impl Into<Value>) -> Vec<Assignment> {
    vec![Assignment {
        service: service.to_owned(),
        variable: variable.to_owned(),
        to: to.into(),
    }]
}

#[test]
fn the_world_is_read_with_every_service_after_those_it_needs() {
    let Scenario { model, mitigated, .. } = read().scenario;
    assert_eq!(model.order, ["proxy", "checkout", "orders", "primary", "standby"]);
    let standby = &model.services["standby"].state;
    assert_eq!(standby["standby"], Start::Value(json!(true)));
    assert_eq!(standby["lag_mb"], Start::Between(0, 3));
    assert_eq!(standby["load"], Start::Noise(-1, 1));
    assert_eq!(model.services["checkout"].needs, ["proxy"]);
    assert_eq!(
        model.each_second[0].set,
        set("orders", "lost", "{{ orders.lost + 3 }}")
    );
    assert_eq!(model.each_second[0].at, At { line: 20, column: 7 });
    assert_eq!(
        model.always[0].when.as_ref().unwrap().source(),
        "not primary.up and t > 600"
    );
    assert_eq!(mitigated.unwrap().source(), "checkout.works");
}

#[test]
fn twins_answer_as_written_and_lead_nowhere() {
    let twins = read().scenario.twins;
    for (name, kind) in [
        ("checkout-primary", ActionKind::Postgres),
        ("checkout-lb", ActionKind::Haproxy),
        ("checkout-log", ActionKind::File),
        ("box", ActionKind::Command),
        ("logs", ActionKind::Loki),
        ("search", ActionKind::Elasticsearch),
        ("alerts", ActionKind::Alertmanager),
        ("port", ActionKind::Tcp),
    ] {
        let target = &twins[name].target;
        assert_eq!((target.name.as_str(), target.kind()), (name, kind));
        assert_eq!(target.environment.as_deref(), Some("drill"));
        let connection = serde_json::to_string(&target.connection).unwrap();
        let is_nowhere = connection.contains(".twin.test") || connection.contains("/drill/");
        assert!(is_nowhere || kind == ActionKind::Command, "{connection}");
    }
    let Connection::Postgres(database) = &twins["checkout-primary"].target.connection else {
        panic!("a database");
    };
    assert_eq!(
        (database.host.as_str(), database.port),
        ("checkout-primary.twin.test", 5432)
    );
    assert_eq!((database.user.as_str(), database.tls), ("drill", Tls::Disable));
    assert_eq!(
        twins["checkout-primary"].up.as_ref().unwrap().source(),
        "primary.up"
    );
    assert_eq!(
        twins["checkout-primary"].hangs.as_ref().unwrap().source(),
        "false"
    );

    let [promote, recovery, rest] = twins["checkout-standby"].answers.as_slice() else {
        panic!("three answers");
    };
    assert_eq!(promote.asked, Pattern::new("select pg_promote(*"));
    assert_eq!(promote.set, set("standby", "standby", false));
    assert_eq!(promote.says, json!([{"promoted": true}]));
    assert_eq!(promote.lost.as_ref().unwrap().source(), "t > 60");
    assert_eq!(
        recovery.says,
        json!([{"standby": "{{ standby.standby }}", "received": ""}])
    );
    assert_eq!(
        rest.fails.as_ref().unwrap().source(),
        "relation does not exist at {{ t }}"
    );

    let server = &twins["checkout-lb"].backends["checkout-db"]["standby"];
    assert_eq!(server.admin, ("proxy".to_owned(), "to_standby".to_owned()));
    let said = |name: &str, answer: usize| twins[name].answers[answer].says.clone();
    assert_eq!(said("prom", 0), json!("{{ 1 if checkout.works else 0 }}"));
    assert_eq!(said("prom", 1), json!([{"labels": {"job": "a"}, "value": 1}]));
    assert_eq!(said("prom", 2), json!([]));
    assert_eq!(
        said("checkout-log", 0),
        json!(["LOG: ready", "{{ 'FATAL: gone' if not primary.up else '' }}"])
    );
    let rollback = &twins["shop"].answers[0];
    assert_eq!(rollback.method.as_deref(), Some("POST"));
    assert_eq!(rollback.status, Some(json!(200)));
    assert_eq!(rollback.says, json!({"done": "{{ checkout.works }}"}));
    assert_eq!(
        (said("box", 0), twins["box"].answers[0].status.clone()),
        (json!("90%\n"), Some(json!(1)))
    );
    assert_eq!(said("logs", 0), json!(["lost {{ orders.lost }}"]));
}

#[test]
fn what_happens_is_read_in_the_order_of_the_file() {
    let scenario = read().scenario;
    let alarm = &scenario.alarms[0];
    assert_eq!(alarm.labels.get("cluster"), "checkout");
    assert_eq!(
        alarm.annotations[0].1.source(),
        "{{ orders.lost }} orders are lost"
    );
    assert_eq!(alarm.lasting, Span::from_secs(10));
    let then: Vec<&Happening> = scenario.injects.iter().map(|inject| &inject.then[0]).collect();
    assert_eq!(
        then,
        [
            &Happening::Set(set("primary", "up", false)),
            &Happening::Says {
                who: "Head of shop".to_owned(),
                text: "How long?".to_owned()
            },
            &Happening::Alert {
                labels: [("alertname", "DiskFull")].into(),
                annotations: [("a", "b")].into(),
                lasting: Span::from_secs(300),
            },
            &Happening::Leaves {
                role: "commander".to_owned()
            },
            &Happening::Connector {
                target: "checkout-lb".to_owned(),
                fails: Failing::Hangs,
                lasting: Span::from_secs(30),
            },
        ]
    );
    assert_eq!(scenario.injects[0].after, Some(Span::from_secs(20)));
    assert!(scenario.injects[1].when.is_some() && scenario.injects[4].when.is_none());
    assert_eq!(scenario.objectives.update_every, Some(Span::from_secs(600)));
    let prices: Vec<u32> = scenario.hints.iter().map(|hint| hint.price).collect();
    assert_eq!(prices, [5, 0]);
    assert_eq!(scenario.stops[0].because, "Nothing is left to save");
    assert_eq!(scenario.roles, ["commander", "approver"]);
}

#[test]
fn deeds_are_read_with_what_they_are_about() {
    let scenario = read().scenario;
    let deeds: Vec<&Deed> = scenario.expected.iter().map(|expected| &expected.deed).collect();
    let gate = |verdict| Deed::Decide {
        gate: "ask".to_owned(),
        verdict,
    };
    let settle = |choice| Deed::Settle {
        step: "promote".to_owned(),
        choice,
    };
    assert_eq!(
        deeds,
        [
            &Deed::Acknowledge,
            &gate(Verdict::Approve),
            &Deed::Update,
            &settle(UnknownChoice::RunCheck),
            &Deed::Resolve,
        ]
    );
    assert_eq!(scenario.expected[1].after.as_deref(), Some("take"));
    assert_eq!(
        scenario.expected[1].because.as_deref(),
        Some("The standby is fresh")
    );
    assert_eq!(scenario.expected[2].within, Span::from_secs(180));
    let wrong: Vec<&Deed> = scenario.wrong.iter().map(|wrong| &wrong.deed).collect();
    assert_eq!(
        wrong,
        [
            &gate(Verdict::Reject),
            &settle(UnknownChoice::RetryNewKey),
            &Deed::Severity(Severity::Sev4),
            &Deed::Start {
                runbook: "postgres-primary-down".to_owned()
            },
        ]
    );
    assert_eq!(scenario.wrong[0].instead_of.as_deref(), Some("decide"));
}

#[test]
fn twins_that_nobody_asks_are_told() {
    let warnings: Vec<String> = read().warnings.iter().map(ToString::to_string).collect();
    let idle = ["shop", "box", "logs", "search", "alerts", "port"]
        .map(|name| format!("twins.{name}: no runbook of this scenario asks {name}"));
    assert_eq!(warnings.len(), idle.len(), "{warnings:#?}");
    for (warning, wanted) in warnings.iter().zip(idle) {
        assert!(warning.ends_with(&wanted), "{warning}");
    }
}
