//! Faults in steps that are done for each item of a list.

use super::{faults, parse_runbook, with_steps};
use crate::domain::step::ForEach;

fn faults_of(steps: &[&str]) -> Vec<String> {
    let lines: Vec<String> = steps.iter().map(|step| format!("- {{ {step} }}")).collect();
    faults(&with_steps(&lines.join("\n")))
}

const CHECK: &str = "check: tcp, with: { target: x }";

#[test]
fn every_fault_of_a_list_has_its_place() {
    for (step, expected) in [
        ("id: a, for_each: 'labels.hosts | split(\",\")', CHECK", vec![]),
        (
            "id: a, for_each: labels.hosts | split(\",\"), CHECK",
            vec![
                "4:45: unclosed quote; inside { } and [ ] a text that holds a comma and quotes goes in the other kind of quotes",
            ],
        ),
        (
            "id: a, for_each: { in: labels.hosts, max: 1000, at_once: 8 }, CHECK",
            vec![],
        ),
        (
            "id: a, for_each: [a, b], CHECK",
            vec![
                r#"4:22: steps[0].for_each: expected an expression that gives a list, found a list; a list that is written out goes in quotes: '["a", "b"]'"#,
            ],
        ),
        (
            "id: a, for_each: 7, CHECK",
            vec![
                r#"4:22: steps[0].for_each: expected an expression that gives a list, found a number; write it like labels.hosts | split(",")"#,
            ],
        ),
        (
            "id: a, for_each: labels., CHECK",
            vec![
                "4:22: steps[0].for_each: syntax error: unexpected end of input, expected identifier or integer",
            ],
        ),
        (
            "id: a, for_each: labels.hosts | slit, CHECK",
            vec![r#"4:22: steps[0].for_each: there is no filter "slit"; did you mean "split"?"#],
        ),
        (
            "id: a, for_each: {}, CHECK",
            vec![r#"4:22: steps[0].for_each: the field "in" is missing"#],
        ),
        (
            "id: a, for_each: { of: labels.hosts }, CHECK",
            vec![
                r#"4:22: steps[0].for_each: the field "in" is missing"#,
                r#"4:24: steps[0].for_each.of: unknown field "of"; known here: in, max, at_once"#,
            ],
        ),
        (
            "id: a, for_each: { in: labels.hosts, max: 0 }, CHECK",
            vec!["4:47: steps[0].for_each.max: must be a whole number from 1 to 1000, found 0"],
        ),
        (
            "id: a, for_each: { in: labels.hosts, max: 1001 }, CHECK",
            vec!["4:47: steps[0].for_each.max: must be a whole number from 1 to 1000, found 1001"],
        ),
        (
            "id: a, for_each: { in: labels.hosts, at_once: 9 }, CHECK",
            vec!["4:51: steps[0].for_each.at_once: must be a whole number from 1 to 8, found 9"],
        ),
        (
            "id: a, for_each: { in: foo }, CHECK",
            vec![
                r#"4:28: steps[0].for_each.in: there is no name "foo"; known here: inputs, labels, annotations, incident, run, steps"#,
            ],
        ),
        (
            "id: a, for_each: labels.hosts, gate: {}",
            vec![
                "4:12: steps[0].for_each: a gate step is not done for each item of a list; only check, call and logs are",
            ],
        ),
        (
            "id: a, for_each: labels.hosts, manual: b",
            vec![
                "4:12: steps[0].for_each: a manual step is not done for each item of a list; only check, call and logs are",
            ],
        ),
        (
            "id: a, for_each: labels.hosts, wait: 1s",
            vec![
                "4:12: steps[0].for_each: a wait step is not done for each item of a list; only check, call and logs are",
            ],
        ),
    ] {
        assert_eq!(faults_of(&[&step.replace("CHECK", CHECK)]), expected, "{step}");
    }
}

#[test]
fn a_comma_in_braces_is_told_to_want_quotes() {
    let way_out = "inside { } and [ ] a text that holds a comma and quotes goes in the other kind of quotes";
    for (rest, place) in [
        ("", "5:42: unclosed quote;"),
        (
            "  check: tcp\n  with: { target: \"x\" }\n",
            "7:20: invalid trailing content after double-quoted scalar; a quote above may have begun it:",
        ),
    ] {
        let list = "- id: a\n  for_each: { in: labels.hosts | split(\",\"), max: 5 }\n";
        let source = with_steps(&format!("{list}{rest}"));
        assert_eq!(faults(&source), [format!("{place} {way_out}")]);
    }
}

#[test]
fn an_item_is_known_in_its_step_only() {
    let each = "id: a, for_each: labels.hosts";
    let rest = "expect: result.ok and index < 3, title: '{{ item }}'";
    for (steps, expected) in [
        (
            vec![format!(
                "{each}, check: tcp, with: {{ target: '{{{{ item.host }}}}-{{{{ index }}}}' }}, {rest}"
            )],
            vec![],
        ),
        (
            vec!["id: a, check: tcp, with: { target: '{{ item }}' }".to_owned()],
            vec![r#"4:40: steps[0].with.target: "item" is only known in a step with for_each"#],
        ),
        (
            vec!["id: a, manual: '{{ index }}'".to_owned()],
            vec![r#"4:20: steps[0].manual: "index" is only known in a step with for_each"#],
        ),
        (
            vec![format!("{each}, when: item.up, {CHECK}")],
            vec![
                r#"4:42: steps[0].when: "item" is not known yet: the list and when are read once, before there are items"#,
            ],
        ),
        (
            vec![format!("id: a, for_each: item.hosts, {CHECK}")],
            vec![
                r#"4:22: steps[0].for_each: "item" is not known yet: the list and when are read once, before there are items"#,
            ],
        ),
        (
            vec![format!("id: a, for_each: {{ in: index }}, {CHECK}")],
            vec![
                r#"4:28: steps[0].for_each.in: "index" is not known yet: the list and when are read once, before there are items"#,
            ],
        ),
        (
            vec![
                format!("{each}, {CHECK}"),
                "id: b, manual: '{{ steps.a.results[0].ok }} {{ steps.a.results | length }}'".to_owned(),
            ],
            vec![],
        ),
        (
            vec![
                format!("{each}, {CHECK}"),
                "id: b, manual: '{{ steps.a.result.ok }}'".to_owned(),
            ],
            vec![
                r#"5:20: steps[1].manual: "a" is done for each item of a list, so it has a list of results; write steps['a'].results"#,
            ],
        ),
        (
            vec![
                format!("id: a, {CHECK}"),
                "id: b, manual: '{{ steps.a.results }}'".to_owned(),
            ],
            vec![r#"5:20: steps[1].manual: "a" is done once and has one result; write steps['a'].result"#],
        ),
        (
            vec![
                format!("{each}, {CHECK}"),
                "id: b, manual: '{{ steps.a.reslts }}'".to_owned(),
            ],
            vec![r#"5:20: steps[1].manual: there is no step field "reslts"; did you mean "results"?"#],
        ),
    ] {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        assert_eq!(faults_of(&steps), expected, "{steps:?}");
    }
    let undo = "id: a, for_each: labels.hosts, call: http, with: { target: '{{ item }}' }, \
                undo: { call: http, with: { target: '{{ item }}', path: '/{{ steps.a.results[index].id }}' } }";
    assert_eq!(faults_of(&[undo]), [""; 0]);
}

#[test]
fn a_list_has_a_bound_and_goes_one_by_one_unless_told() {
    let each = |text: &str| -> ForEach {
        let source = with_steps(&format!("- {{ id: a, for_each: {text}, {CHECK} }}"));
        parse_runbook(&source).unwrap().runbook.steps[0]
            .for_each
            .clone()
            .unwrap()
    };
    let short = each("labels.hosts");
    assert_eq!(
        (short.items.source(), short.max, short.at_once),
        ("labels.hosts", 100, 1)
    );
    let long = each("{ in: labels.hosts, max: 7, at_once: 3 }");
    assert_eq!(
        (long.items.source(), long.max, long.at_once),
        ("labels.hosts", 7, 3)
    );
}
