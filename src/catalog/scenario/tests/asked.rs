//! Twins against what runbooks ask.

use super::*;

#[test]
fn a_target_without_a_twin_of_its_kind_is_named_with_the_step_that_asks_it() {
    let sections = "twins:
  lb: { haproxy: { backends: { b: { a: { up: app.up, admin: app.admin } } } } }
  host-a: { tcp: {} }
  proom: { prometheus: { answers: [{ query: '*', value: 1 }] } }
";
    assert_eq!(
        with(sections),
        [
            "above:12: runbooks[0]: no twin for target box, which runbook pool step clean asks; add it to twins, as command",
            "above:12: runbooks[0]: no twin for target db-port, which runbook pool step look asks for the alert in line 13; add it to twins, as tcp",
            "above:12: runbooks[0]: no twin for target host-b, which runbook pool step drain asks for the alert in line 13; add it to twins, as http",
            r#"above:12: runbooks[0]: no twin for target prom, which runbook pool step drain asks; did you call its twin "proom"?"#,
            "3:11: twins.host-a: twin host-a is of kind tcp, but runbook pool step drain asks it for http"
        ]
    );
}

#[test]
fn labels_of_an_alert_say_which_twins_are_needed() {
    let sections = "alerts:
  - { labels: { alertname: Ill, env: prod, unit: web }, while: not app.up }
injects:
  - { id: more, title: T, alert: { labels: { alertname: Ill, env: prod, unit: dns }, for: 1m } }
  - { id: other, title: T, alert: { labels: { alertname: Other, unit: tls }, for: 1m } }
";
    assert_eq!(
        with(sections),
        [
            r#"above:12: runbooks[0]: no twin for target dns-port, which runbook pool step look asks for the alert in line 24; did you call its twin "db-port"?"#,
            r#"above:12: runbooks[0]: no twin for target web-port, which runbook pool step look asks for the alert in line 22; did you call its twin "db-port"?"#
        ]
    );
}

#[test]
fn what_only_a_run_knows_must_at_least_be_able_to_name_a_twin() {
    let sections = "alerts:
  - { labels: { alertname: Ill, env: dev, unit: db }, while: not app.up }
twins:
  db-port: { tcp: {} }
  db-prt: { tcp: {} }
  host: { http: { answers: [{ path: '*' }] } }
  prom: { prometheus: { answers: [{ query: '*', value: 1 }] } }
  lb: { haproxy: { backends: { b: { a: { up: app.up, admin: app.admin } } } } }
  box: { command: { programs: [/bin/df], answers: [{ program: '*' }] } }
";
    assert_eq!(
        with(sections),
        [
            "above:11: runbooks: no alert of this scenario is one that its runbooks are for; somebody has to start them",
            "above:12: runbooks[0]: no twin of kind http can be the target host-{{ item }} that runbook pool step drain asks",
            "5:11: twins.db-prt: no runbook of this scenario asks db-prt",
            "6:9: twins.host: no runbook of this scenario asks host",
            "9:8: twins.box: runbook pool step clean cannot run here: /bin/du is not among the target's programs"
        ]
    );
}
