//! Faults of twins.

use super::*;

#[test]
fn a_twin_is_of_one_kind_with_the_name_of_a_target() {
    let sections = r#"twins:
  db-port: { udp: {} }
  host-a: { tcp: {}, http: {} }
  host-b: {}
  prom: { prometheus: { answer: [] } }
  lb: { haproxy: { up: app.upp } }
  box: { command: { answers: [{ program: "*" }] } }
  DB: { tcp: { hangs: gates.x, upp: "false" } }
  log: { file: { lines: [1], up: "true" } }
"#;
    assert_eq!(
        with(sections),
        [
            r#"2:14: twins.db-port.udp: unknown field "udp"; known here: http, tcp, postgres, prometheus, alertmanager, haproxy, loki, elasticsearch, file, command"#,
            "3:22: twins.host-a.http: a twin stands in for one target, but here are tcp and http",
            "4:11: twins.host-b: says nothing of its kind: exactly one of http, tcp, postgres, prometheus, alertmanager, haproxy, loki, elasticsearch, file, command is needed",
            r#"5:23: twins.prom.prometheus: the field "answers" is missing"#,
            r#"5:25: twins.prom.prometheus.answer: unknown field "answer"; did you mean "answers"?"#,
            r#"6:18: twins.lb.haproxy: the field "backends" is missing"#,
            r#"6:24: twins.lb.haproxy.up: app has no variable "upp"; did you mean "up"?"#,
            r#"7:19: twins.box.command: the field "programs" is missing"#,
            r#"8:3: twins.DB: "DB" is not the name of a target: 1 to 63 lower-case letters, digits and inner dashes"#,
            r#"8:23: twins.DB.tcp.hangs: "gates" is not known here: the world knows nothing of what people do; known here: the services and t"#,
            r#"8:32: twins.DB.tcp.upp: unknown field "upp"; did you mean "up"?"#,
            "9:26: twins.log.file.lines[0]: expected a text, found a number; put it in quotes",
            r#"9:30: twins.log.file.up: unknown field "up"; known here: lines"#
        ]
    );
}

#[test]
fn answers_listen_for_something_and_say_one_thing() {
    let sections = r#"twins:
  db-port: { tcp: {} }
  host-a: { http: { answers: [] } }
  host-b:
    http:
      answers:
        - { path: health }
        - { path: /a, method: FETCH }
        - { path: /b, status: 20 }
        - { path: /c, status: "{{ app.upp }}" }
        - { path: /d, body: { deep: ["{{ app.upp }}"] } }
        - { path: "/{{ app.up }}" }
        - { query: /e }
        - { path: /f, fails: "{{ no", lost: app.upp, when: app.upp, set: { app.works: true } }
  prom:
    prometheus:
      answers:
        - { query: a, value: x }
        - { query: b, value: 1, none: true }
        - { query: c }
        - { query: d, fails: gone, value: 1, set: { app.up: false } }
        - { query: e, samples: [{ labels: { a: 1 } }] }
        - { query: f, none: false }
  lb: { haproxy: { backends: { b: { a: { up: app.up, admin: app.admin } } } } }
  box:
    command:
      programs: [{ path: /bin/du, args: [/srv] }]
      answers:
        - { program: "du *" }
        - { program: /bin/du, exit: 256 }
  logs: { loki: { answers: [{ query: "*" }] } }
"#;
    assert_eq!(
        with(sections),
        [
            "3:30: twins.host-a.http.answers: at least one answer is needed",
            r#"7:19: twins.host-b.http.answers[0].path: "health" fits nothing: what is asked begins with /"#,
            r#"8:31: twins.host-b.http.answers[1].method: expected GET, HEAD, POST, PUT, PATCH, DELETE, found "FETCH""#,
            "9:31: twins.host-b.http.answers[2].status: expected a whole number from 100 to 599, or a text with {{ }} that gives one",
            r#"10:31: twins.host-b.http.answers[3].status: app has no variable "upp"; did you mean "up"?"#,
            r#"11:38: twins.host-b.http.answers[4].body.deep[0]: app has no variable "upp"; did you mean "up"?"#,
            "12:19: twins.host-b.http.answers[5].path: a pattern is compared as it is written and not filled in; write * for what may differ",
            r#"13:11: twins.host-b.http.answers[6]: the field "path" is missing"#,
            r#"13:13: twins.host-b.http.answers[6].query: unknown field "query"; known here: path, when, set, fails, lost, body, status, method"#,
            "14:30: twins.host-b.http.answers[7].fails: {{ without its }}",
            "14:39: twins.host-b.http.answers[7].lost: an answer that fails does nothing and says nothing else; take lost away",
            r#"14:45: twins.host-b.http.answers[7].lost: app has no variable "upp"; did you mean "up"?"#,
            r#"14:60: twins.host-b.http.answers[7].when: app has no variable "upp"; did you mean "up"?"#,
            "14:69: twins.host-b.http.answers[7].set: an answer that fails does nothing and says nothing else; take set away",
            r#"14:76: twins.host-b.http.answers[7].set["app.works"]: app.works follows from the rest and cannot be set; set a variable that it reads"#,
            "18:30: twins.prom.prometheus.answers[0].value: expected a number, or a text with {{ }} that gives one",
            "19:33: twins.prom.prometheus.answers[1].none: one answer says one thing, but here are value and none",
            "20:11: twins.prom.prometheus.answers[2]: an answer is one of value, samples, none, fails",
            "21:36: twins.prom.prometheus.answers[3].value: an answer that fails does nothing and says nothing else; take value away",
            "21:46: twins.prom.prometheus.answers[3].set: an answer that fails does nothing and says nothing else; take set away",
            r#"22:33: twins.prom.prometheus.answers[4].samples[0]: the field "value" is missing"#,
            "22:48: twins.prom.prometheus.answers[4].samples[0].labels.a: expected a text, found a number; put it in quotes",
            "23:29: twins.prom.prometheus.answers[5].none: expected true; leave it out otherwise",
            r#"29:22: twins.box.command.answers[0].program: "du *" fits nothing: what is asked begins with /"#,
            "30:37: twins.box.command.answers[1].exit: expected a whole number from 0 to 255, or a text with {{ }} that gives one",
            r#"31:29: twins.logs.loki.answers[0]: the field "lines" is missing"#
        ]
    );
}

#[test]
fn servers_of_a_proxy_are_told_by_a_variable_with_a_word_for_it() {
    let sections = r#"twins:
  db-port: { tcp: {} }
  host-a: { http: { answers: [{ path: '*' }] } }
  host-b: { http: { answers: [{ path: '*' }] } }
  prom: { prometheus: { answers: [{ query: '*', value: 1 }] } }
  lb:
    haproxy:
      backends:
        b:
          a: { up: app.up, admin: app.up }
          c: { admin: app.adm }
          d: { up: app.up, admin: ready }
          e: { up: app.up, admin: app.load }
        "x y": {}
  box: { command: { programs: [{ path: /bin/du, args: [/srv] }], answers: [{ program: '*' }] } }
"#;
    assert_eq!(
        with(sections),
        [
            "10:35: twins.lb.haproxy.backends.b.a.admin: app.up does not begin as one of ready, drain, maint; give it such a value",
            r#"11:14: twins.lb.haproxy.backends.b.c: the field "up" is missing"#,
            r#"11:23: twins.lb.haproxy.backends.b.c.admin: app has no variable "adm"; known here: admin, lag, load, up"#,
            r#"12:35: twins.lb.haproxy.backends.b.d.admin: "ready" is not a variable; write it like service.variable"#,
            "13:35: twins.lb.haproxy.backends.b.e.admin: app.load is noise, drawn anew each second, and cannot be set; give it a value, or between",
            r#"14:9: twins.lb.haproxy.backends["x y"]: "x y" is not a name that a proxy takes: letters, digits and _-.:"#,
            r#"14:16: twins.lb.haproxy.backends["x y"]: at least one is needed"#
        ]
    );
}

#[test]
fn an_answer_behind_one_that_fits_everything_is_told() {
    let sections = "twins:
  db-port: { tcp: {} }
  host-a: { http: { answers: [{ path: '*', method: GET }, { path: /b, method: POST }, { path: /c, method: GET }] } }
  host-b: { http: { answers: [{ path: '*', when: app.up }, { path: /b }, { path: /B }] } }
  prom: { prometheus: { answers: [{ query: '*', value: 1 }, { query: up, value: 1 }] } }
  lb: { haproxy: { backends: { b: { a: { up: app.up, admin: app.admin } } } } }
  box: { command: { programs: [{ path: /bin/du, args: [/srv] }], answers: [{ program: '*' }] } }
";
    assert_eq!(
        with(sections),
        [
            "3:87: twins.host-a.http.answers[2]: never said: the answer in line 18 comes first",
            "4:74: twins.host-b.http.answers[2]: never said: the answer in line 19 comes first",
            "5:61: twins.prom.prometheus.answers[1]: never said: the answer in line 20 comes first"
        ]
    );
}
