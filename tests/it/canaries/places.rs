//! Where the canaries are planted, and the runbook that lets each of them pass.

use super::services::Services;

/// Every place, by the name of its canary.
pub const PLACES: &[&str] = &[
    "bearer",
    "basic",
    "header",
    "loki",
    "elasticsearch",
    "prometheus",
    "alertmanager",
    "postgres",
    "command",
    "heartbeat",
    "signing",
    "password",
    "wrong-password",
    "code",
    "wrong-token",
    "delivery-header",
    "typed",
];

/// The secret of a place: long, and like nothing else.
pub fn canary(place: &str) -> String {
    let letters: String = place.chars().filter(char::is_ascii_alphabetic).collect();
    format!("c4n4ry{letters}9x7Q2v8Kp{}", place.len() * 7919)
}

/// Pages that people open.
pub const PAGES: &[&str] = &[
    "/",
    "/incidents",
    "/incidents/{id}",
    "/incidents/{id}/runbooks",
    "/incidents/{id}/postmortem",
    "/incidents/{id}/postmortem.md",
    "/runs/{id}",
    "/runs/{id}/fixture",
    "/approvals",
    "/runbooks",
    "/runbooks/{slug}",
    "/runbooks/{slug}/plan",
    "/deliveries",
    "/deliveries/{id}",
    "/deliveries/{id}/body",
    "/sources",
    "/sources/new",
    "/sources/test",
    "/sources/signed",
    "/routing",
    "/system",
    "/system/boots",
    "/system/boots/{id}",
    "/metrics",
    "/healthz",
    "/readyz",
    "/nothing-here",
];

/// The targets, each with a credential.
pub fn targets(services: &Services) -> String {
    let (mirror, postgres) = (services.mirror, services.postgres);
    format!(
        "targets:
  - {{ name: bearer, http: {{ url: 'http://{mirror}/', bearer: env:CANARY_BEARER }} }}
  - {{ name: basic, http: {{ url: 'http://{mirror}/', basic: env:CANARY_BASIC, headers: {{ x-secret: env:CANARY_HEADER }} }} }}
  - {{ name: hop, http: {{ url: 'http://{mirror}/', redirects: 3, bearer: env:CANARY_BEARER, headers: {{ x-secret: env:CANARY_HEADER }} }} }}
  - {{ name: loki, loki: {{ url: 'http://{mirror}/', bearer: env:CANARY_LOKI }} }}
  - {{ name: elastic, elasticsearch: {{ url: 'http://{mirror}/', bearer: env:CANARY_ELASTICSEARCH }} }}
  - {{ name: prom, prometheus: {{ url: 'http://{mirror}/', bearer: env:CANARY_PROMETHEUS }} }}
  - {{ name: am, alertmanager: {{ url: 'http://{mirror}/', bearer: env:CANARY_ALERTMANAGER }} }}
  - {{ name: db, postgres: {{ host: 127.0.0.1, port: {}, user: app, password: env:CANARY_POSTGRES, tls: disable }} }}
  - name: tools
    command:
      programs: [/usr/bin/env, {{ path: /bin/sh, args: [-c, 'printenv KEY | base64 >&2; printenv KEY | rev; exit 3'] }}]
      env: {{ KEY: env:CANARY_COMMAND }}
",
        postgres.port()
    )
}

/// Every kind of target, asked well and badly; what comes back is read by a later step too.
pub const RUNBOOK: &str = r#"
runbook: all
title: Everything that repeats what it is told
match: ['alertname="Broken"']
start: automatic
steps:
  - { id: bearer, check: http, with: { target: bearer, path: /echo }, on_failure: continue }
  - { id: refused, call: http, with: { target: bearer, method: POST, path: /refuse }, effect: idempotent, on_failure: continue }
  - { id: basic, check: http, with: { target: basic, path: /echo }, on_failure: continue }
  - { id: lost, call: http, with: { target: basic, method: PUT, path: /break }, effect: idempotent, on_failure: continue }
  - { id: hop, check: http, with: { target: hop, path: /hop }, on_failure: continue }
  - { id: again, check: http, with: { target: bearer, path: "/echo/{{ steps.bearer.result.headers['x-request-id'] }}" }, on_failure: continue }
  - { id: loki, logs: loki, with: { target: loki, query: '{a="b"}' }, on_failure: continue }
  - { id: elastic, logs: elasticsearch, with: { target: elastic, index: logs, query: x }, on_failure: continue }
  - { id: prom, check: prometheus, with: { target: prom, query: up }, on_failure: continue }
  - { id: am, check: alertmanager, with: { target: am, matchers: { a: b } }, on_failure: continue }
  - { id: db, check: postgres, with: { target: db, query: select 1 }, on_failure: continue }
  - { id: env, check: command, with: { target: tools, program: /usr/bin/env }, on_failure: continue }
  - { id: sh, call: command, with: { target: tools, program: /bin/sh }, effect: idempotent, on_failure: continue }
"#;
