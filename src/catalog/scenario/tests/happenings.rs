//! Faults of alerts and injects.

use super::*;

#[test]
fn alerts_are_read_as_monitoring_would_send_them() {
    let cases: [(&str, &[&str]); 3] = [
        (
            "alerts: []",
            &[
                "above:1: no alert ever comes, so nothing begins: at least one is needed under alerts, or in an inject",
            ],
        ),
        (
            r#"alerts:
  - { labels: { alertname: Ill, env: prod, unit: "{{ t }}" }, annotations: { a: "{{ app.upp }}", b: "{{ t" }, while: gates.x, for: 9h }
  - { labels: { env: prod }, while: app.up }
  - { labels: { alertname: Ill, env: prod, unit: db } }
"#,
            &[
                "2:50: alerts[0].labels.unit: nothing is filled in here; write the text without {{ }}",
                r#"2:81: alerts[0].annotations.a: app has no variable "upp"; did you mean "up"?"#,
                "2:101: alerts[0].annotations.b: {{ without its }}",
                r#"2:118: alerts[0].while: "gates" is not known here: the world knows nothing of what people do; known here: the services and t"#,
                "2:132: alerts[0].for: must be from 0s to 8h, found 9h",
                "3:15: alerts[1].labels: an alert has the label alertname; add it",
                r#"4:5: alerts[2]: the field "while" is missing"#,
            ],
        ),
        (
            "alerts: []
injects:
  - { id: a, title: T, after: 1s, alert: { labels: { alertname: Ill, env: prod, unit: db }, for: 1m } }
",
            &[],
        ),
    ];
    for (sections, wanted) in cases {
        assert_eq!(with(sections), wanted, "{sections}");
    }
}

#[test]
fn an_inject_is_a_thing_that_happens_at_some_time() {
    let sections = r#"injects:
  - { id: a, title: T }
  - { id: a, title: T, after: 1m, when: app.up, leaves: commander }
  - { id: b, title: T, leaves: comander }
  - { id: c, title: T, connector: { target: lbb, fails: slow, for: 0s } }
  - { id: d, title: T, alert: { labels: { env: prod }, annotations: { a: "{{ t }}" } } }
  - { id: e, title: T, says: { who: W, text: "{{ t }}" } }
  - { id: f, title: T, set: { app.load: 1 } }
  - { id: G, says: { who: W, text: T }, aftr: 1m }
"#;
    assert_eq!(
        with(sections),
        [
            "2:5: injects[0]: nothing happens: at least one of set, says, alert, leaves, connector, fault is needed",
            r#"3:11: injects[1].id: "a" is in line 24 already"#,
            "3:35: injects[1].when: an inject comes by the clock or by a condition: after or when, not both",
            r#"4:32: injects[2].leaves: there is no role "comander"; did you mean "commander"?"#,
            r#"5:45: injects[3].connector.target: there is no twin "lbb"; did you mean "lb"?"#,
            r#"5:57: injects[3].connector.fails: expected down, hangs, lost, found "slow""#,
            "5:68: injects[3].connector.for: must be from 1s to 8h, found 0s",
            r#"6:31: injects[4].alert: the field "for" is missing"#,
            "6:41: injects[4].alert.labels: an alert has the label alertname; add it",
            "6:74: injects[4].alert.annotations.a: nothing is filled in here; write the text without {{ }}",
            "7:46: injects[5].says.text: nothing is filled in here; write the text without {{ }}",
            r#"8:31: injects[6].set["app.load"]: app.load is noise, drawn anew each second, and cannot be set; give it a value, or between"#,
            r#"9:5: injects[7]: the field "title" is missing"#,
            r#"9:11: injects[7].id: "G" is not a name: 1 to 63 lower-case letters, digits and inner dashes"#,
            r#"9:41: injects[7].aftr: unknown field "aftr"; did you mean "after"?"#
        ]
    );
}

#[test]
fn injects_and_what_ends_a_drill_read_what_people_do() {
    let sections = r#"injects:
  - { id: a, title: T, when: gates.ask-storage == 'open', leaves: commander }
  - { id: b, title: T, when: "gates['ask-storage'] == 'approve'", leaves: commander }
  - { id: c, title: T, when: "gates.drain == 'open'", leaves: commander }
  - { id: d, title: T, when: "steps.drein != 'failed'", leaves: commander }
  - { id: e, title: T, when: 'steps.drain == "done"', leaves: commander }
  - { id: f, title: T, when: incident.closed, leaves: commander }
  - { id: g, title: T, when: injects.x, leaves: commander }
  - { id: h, title: T, when: "gates[app.admin]", leaves: commander }
  - { id: i, title: T, when: "steps['ask-storage'] == 'waiting' and injects['a'] and incident.open and t > 3", leaves: commander }
"#;
    assert_eq!(
        with(sections),
        [
            r#"2:30: injects[0].when: there is no gate "ask"; write gates['ask-storage']"#,
            r#"2:30: injects[0].when: there is no name "storage"; known here: app, shop, t, gates, steps, injects, incident"#,
            r#"3:30: injects[1].when: a gate is never "approve"; did you mean "approved"?"#,
            "4:30: injects[2].when: drain is not a gate; write steps['drain']",
            r#"5:30: injects[3].when: there is no step "drein"; did you mean "drain"?"#,
            r#"6:30: injects[4].when: a step is never "done"; known here: waiting, running, succeeded, failed, skipped, unknown"#,
            r#"7:30: injects[5].when: there is no incident field "closed"; known here: open, acknowledged, mitigated, resolved"#,
            r#"8:30: injects[6].when: there is no inject "x"; did you mean "a"?"#,
            r#"9:30: injects[7].when: "gates" must be followed by a name that is written out"#
        ]
    );
}

#[test]
fn impossible_injects_are_refused() {
    let cases: [(&str, &[&str]); 2] = [
        (
            r#"injects:
  - { id: late, title: T, after: 9m, leaves: commander }
  - { id: follows, title: T, when: "app.up and injects['late']", leaves: commander }
  - { id: follows-it, title: T, when: "injects.follows", leaves: commander }
  - { id: itself, title: T, when: not injects.itself, leaves: commander }
  - { id: never, title: T, when: "1 > 2", leaves: commander }
  - { id: one, title: T, when: injects.two and app.up, leaves: commander }
  - { id: two, title: T, when: 'injects["one"]', leaves: commander }
"#,
            &[
                "2:34: injects[0].after: impossible inject: the drill is planned for 8m, and this comes after 9m; let it come earlier, or make length longer",
                "3:36: injects[1].when: impossible inject: it waits for late, which never happens",
                "4:39: injects[2].when: impossible inject: it waits for follows, which never happens",
                "5:35: injects[3].when: impossible inject: it waits for itself; take its own name out of when",
                "6:34: injects[4].when: impossible inject: this is never true; leave when out for an inject that the trainer sends",
                "7:32: injects[5].when: impossible inject: these wait for each other: one, two; let one of them come by the clock or by hand",
            ],
        ),
        (
            r#"injects:
  - { id: by-hand, title: T, leaves: commander }
  - { id: either, title: T, when: "injects['by-hand'] and not injects.other", leaves: commander }
  - { id: other, title: T, when: "injects['by-hand'] and not injects.either", leaves: commander }
  - { id: at-last, title: T, when: "injects.either or t > 60", leaves: commander }
  - { id: at-the-end, title: T, after: 8m, leaves: commander }
"#,
            &[],
        ),
    ];
    for (sections, wanted) in cases {
        assert_eq!(with(sections), wanted, "{sections}");
    }
}
