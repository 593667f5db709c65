//! What a scenario says of itself, how fast is good, hints, and what ends a drill.

use super::*;

#[test]
fn the_head_says_what_is_wrong_and_where() {
    let cases: [(&str, &[&str]); 8] = [
        (
            r#"scenario: Not A Slug
title: ""
summary:
brief: 7
"#,
            &[
                r#"1:11: scenario: "Not A Slug" is not a name: 1 to 63 lower-case letters, digits and inner dashes"#,
                "2:8: title: the text is empty",
                "3:1: summary: has no value; expected a text",
                "4:8: brief: expected a text, found a number; put it in quotes",
            ],
        ),
        ("length: 30s", &["1:9: length: must be from 1m to 8h, found 30s"]),
        ("length: 9h", &["1:9: length: must be from 1m to 8h, found 9h"]),
        (
            "roles: [A, b, b]",
            &[
                r#"1:9: roles[0]: "A" is not a name: 1 to 63 lower-case letters, digits and inner dashes"#,
                "1:15: roles[2]: b is there twice",
            ],
        ),
        (
            "runbooks: [pol, pool, pool]",
            &[
                r#"1:12: runbooks[0]: there is no runbook "pol" without faults in this folder; did you mean "pool"?"#,
                "1:23: runbooks[2]: pool is there twice",
            ],
        ),
        (
            "runbooks: []",
            &["1:11: runbooks: at least one runbook is needed"],
        ),
        ("injects: {}", &["1:10: injects: expected a list, found a map"]),
        (
            "twin: {}
limits: {}
",
            &[
                r#"1:1: twin: unknown field "twin"; did you mean "twins"?"#,
                r#"2:1: limits: this version of Muster does not carry out "limits"; a target has timeout_max; limits are those of a command"#,
            ],
        ),
    ];
    for (sections, wanted) in cases {
        assert_eq!(with(sections), wanted, "{sections}");
    }
}

#[test]
fn how_fast_is_good_what_it_costs_and_what_ends_it_are_checked() {
    let sections = r#"objectives: { detect: 1, first_stp: 1s }
hints:
  - { text: A, price: 101 }
  - { price: 1 }
stop:
  - { when: app.upp, because: B }
  - { when: "gates['ask'] == 'open'", because: B }
  - { because: B }
"#;
    assert_eq!(
        with(sections),
        [
            "1:23: objectives.detect: expected a length of time like 30s, found a number",
            r#"1:26: objectives.first_stp: unknown field "first_stp"; did you mean "first_step"?"#,
            "3:23: hints[0].price: must be a whole number from 0 to 100, found 101",
            r#"4:5: hints[1]: the field "text" is missing"#,
            r#"6:13: stop[0].when: app has no variable "upp"; did you mean "up"?"#,
            r#"7:13: stop[1].when: there is no gate "ask"; write gates['ask-storage']"#,
            r#"8:5: stop[2]: the field "when" is missing"#
        ]
    );
}
