//! Faults and warnings above the steps.

use super::{faults, warnings, with_head};

#[test]
fn every_fault_of_the_head_has_its_place() {
    for (head, expected) in [
        (
            "ownr: a",
            vec![r#"4:1: ownr: unknown field "ownr"; did you mean "owner"?"#],
        ),
        (
            "tests: []",
            vec![
                r#"4:1: tests: this version of Muster does not carry out "tests"; put each test into a file of its own in the folder tests"#,
            ],
        ),
        (
            "owner: 7",
            vec!["4:8: owner: expected a text, found a number; put it in quotes"],
        ),
        ("owner:", vec!["4:1: owner: has no value; expected a text"]),
        ("summary: ' '", vec!["4:10: summary: the text is empty"]),
        (
            "services: a",
            vec!["4:11: services: expected a list, found a text"],
        ),
        (
            "services: [a, [b]]",
            vec!["4:15: services[1]: expected a text, found a list"],
        ),
        (
            "start: automatc",
            vec![
                r#"4:8: start: expected automatic, suggest, manual, found "automatc"; did you mean "automatic"?"#,
            ],
        ),
        (
            "match:\n  - env=\"a\n",
            vec!["5:5: match[0]: at character 7: the closing quote is missing"],
        ),
        (
            "budget: { runs: 0, per: 1d }",
            vec!["4:17: budget.runs: must be a whole number from 1 to 1000, found 0"],
        ),
        (
            "access: { begin: { teams: [a] } }",
            vec![r#"4:11: access.begin: unknown field "begin"; known here: start, publish"#],
        ),
        (
            "access: { start: { team: [a] } }",
            vec![r#"4:20: access.start.team: unknown field "team"; did you mean "teams"?"#],
        ),
        (
            "access: { publish: {} }",
            vec!["4:20: access.publish: it names nobody; leave publish out, and the role alone decides"],
        ),
        (
            "access: { start: { teams: [a, a], roles: [viewer] } }",
            vec![
                "4:31: access.start.teams[1]: a is named twice",
                "4:43: access.start.roles[0]: a viewer only reads and cannot decide",
            ],
        ),
        (
            "access: { start: { people: [] } }",
            vec!["4:28: access.start.people: at least one name is needed; leave people out"],
        ),
        (
            "review: 11",
            vec!["4:9: review: must be a whole number from 0 to 10, found 11"],
        ),
        (
            "budget: { runs: 3 }",
            vec![r#"4:9: budget: the field "per" is missing"#],
        ),
        (
            "budget: { runs: 3, per: 31d }",
            vec![r#"4:25: budget.per: "31d" is longer than 30 days"#],
        ),
        (
            "budget: { runs: 3, per: 0s }",
            vec!["4:25: budget.per: must be from 1s to 30d, found 0s"],
        ),
        (
            "budget: { runs: 3, per: 5 }",
            vec!["4:25: budget.per: expected a length of time like 30s, found a number"],
        ),
        (
            "inputs: { Cluster: {} }",
            vec![
                r#"4:11: inputs.Cluster: "Cluster" is not a name for an input: lower-case letters, digits and _"#,
            ],
        ),
        (
            "inputs: { a: { required: yes } }",
            vec![r#"4:26: inputs.a.required: expected true or false, found "yes""#],
        ),
        (
            "inputs: { a: { from: labels. } }",
            vec![
                "4:22: inputs.a.from: syntax error: unexpected end of input, expected identifier or integer",
            ],
        ),
        (
            "inputs: { a: { from: inputs.a } }",
            vec![
                r#"4:22: inputs.a.from: "inputs" is not known yet at this place; known here: labels, annotations, incident"#,
            ],
        ),
        (
            "inputs: { a: { from: lables.a } }",
            vec![r#"4:22: inputs.a.from: there is no name "lables"; did you mean "labels"?"#],
        ),
        (
            "inputs: { a: { from: incident.titel } }",
            vec![r#"4:22: inputs.a.from: there is no incident field "titel"; did you mean "title"?"#],
        ),
        (
            "locks: ['{{ steps.pause.result }}']",
            vec![
                "4:9: locks[0]: \"steps\" is not known yet at this place; known here: inputs, labels, annotations, \
             incident, run",
            ],
        ),
        ("locks: ['a{{ b']", vec!["4:9: locks[0]: {{ without its }}"]),
    ] {
        assert_eq!(faults(&with_head(head)), expected, "{head}");
    }
}

#[test]
fn the_first_three_fields_are_needed() {
    for (source, expected) in [
        ("", vec!["1:1: the file is empty"]),
        ("- a", vec!["1:1: expected a map, found a list"]),
        (
            "owner: a",
            vec![
                r#"1:1: the field "runbook" is missing"#,
                r#"1:1: the field "title" is missing"#,
                r#"1:1: at least one step is needed, under "steps""#,
            ],
        ),
        (
            "runbook: Post_gres\ntitle: |\n  a\n  b\nsteps: []",
            vec![
                "1:10: runbook: \"Post_gres\" is not a name: 1 to 63 lower-case letters, digits and inner dashes",
                "3:3: title: a title is one line of at most 200 characters",
                "5:8: steps: at least one step is needed",
            ],
        ),
        (
            "runbook: new\ntitle: X\nsteps: [{ id: a, wait: 1s }]",
            vec!["1:10: runbook: the page on which a new runbook is written has this name"],
        ),
        (
            "runbook: x\ntitle: X\nsteps: { id: a }",
            vec!["3:8: steps: expected a list, found a map"],
        ),
    ] {
        assert_eq!(faults(source), expected, "{source}");
    }
}

#[test]
fn what_is_no_yaml_is_refused_where_it_stops() {
    for (source, expected) in [
        ("a: [", "1:4: unclosed bracket '['"),
        ("a: *x", "1:4: anchors and aliases are not part of the format"),
        ("a: &x 1", "1:7: anchors and aliases are not part of the format"),
        ("<<: {a: 1}", "1:1: merge keys (<<) are not part of the format"),
        (
            "title: a\nrunbook: b\ntitle: c",
            "3:1: the key \"title\" is given twice",
        ),
        ("x\n---\ny", "2:1: one file holds one document"),
        ("a: !shell rm", "1:11: unsupported tag `!shell`"),
        ("a: .nan", "1:4: value `.nan` is not a finite number"),
        (
            "runbook:\n\t- x",
            "2:2: tabs disallowed within this context (block indentation)",
        ),
        (
            "title: Postgres: down",
            "1:16: mapping values are not allowed in this context; a text that holds a colon and a space goes in quotes",
        ),
    ] {
        assert_eq!(faults(source), [expected], "{source}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let source = "runbook: X\ntitle: 1\nstart: now\nsteps:\n  - id: a\n    wait: soon\n  - id: a\n    time_out: 5s\n    wait: 1s\n";
    assert_eq!(
        faults(source),
        [
            "1:10: runbook: \"X\" is not a name: 1 to 63 lower-case letters, digits and inner dashes",
            "2:8: title: expected a text, found a number; put it in quotes",
            "3:8: start: expected automatic, suggest, manual, found \"now\"",
            "6:11: steps[0].wait: \"soon\" is not a length of time; write it like 250ms, 5s, 15m or 1h30m",
            "7:9: steps[1].id: \"a\" is the id of steps[0] already",
            "8:5: steps[1].time_out: unknown field \"time_out\"; did you mean \"timeout\"?",
        ]
    );
}

#[test]
fn a_yes_is_a_text() {
    let parsed = super::parse_runbook(&with_head("owner: no\nsummary: yes")).unwrap();
    assert_eq!(parsed.runbook.owner.as_deref(), Some("no"));
    assert_eq!(parsed.runbook.summary, "yes");
}

#[test]
fn a_second_look_is_asked_for() {
    for (head, expected) in [
        (
            "start: automatic",
            vec!["4:8: start: it never starts by itself, because there is no match"],
        ),
        (
            "match: ['env!=\"dev\"']",
            vec!["4:9: match[0]: this line also holds for alerts that have none of these labels"],
        ),
        (
            "start: automatic\nmatch: [a=b]\ninputs: { c: { required: true } }",
            vec!["6:14: inputs.c: it never starts by itself, because only a person can give this input"],
        ),
        (
            "start: automatic\nmatch: [a=b]\ninputs: { c: { required: true, from: labels.c } }",
            vec![],
        ),
    ] {
        assert_eq!(warnings(&with_head(head)), expected, "{head}");
    }
}
