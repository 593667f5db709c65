//! What is written is read as what it was.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{any, document, parse_runbook, with_head, with_steps, write};
use crate::domain::runbook::Runbook;

#[test]
fn the_samples_come_back_as_they_were() {
    for source in [
        include_str!("../../../runbooks/postgres-primary-down.yaml"),
        include_str!("../../../runbooks/web-service-down.yaml"),
        include_str!("../../../runbooks/disk-filling.yaml"),
    ] {
        let runbook = parse_runbook(source).unwrap().runbook;
        let written = write::runbook(&runbook);
        assert_eq!(parse_runbook(&written).unwrap().runbook, runbook, "{written}");
    }
}

#[test]
fn a_step_is_written_in_the_order_people_write_it() {
    let source = with_steps(
        "- { id: a, title: Go, call: http, with: { path: /x, target: web, method: POST, body: { n: 1 } }, effect: safe }\n\
         - { id: b, manual: \"Look.\\nSay yes.\\n\" }\n",
    );
    let runbook = parse_runbook(&source).unwrap().runbook;
    assert_eq!(
        write::runbook(&runbook),
        "runbook: x\ntitle: X\nstart: suggest\nsteps:\n- id: a\n  title: Go\n  call: http\n  with:\n    target: web\n    \
         body:\n      n: 1\n    method: POST\n    path: /x\n  effect: safe\n  timeout: 30s\n- id: b\n  manual: |\n    \
         Look.\n    Say yes.\n"
    );
    assert_eq!(
        write::value(&json!({"a": ["yes", 1, null]})),
        "a:\n- yes\n- 1\n- null\n"
    );
}

#[test]
fn the_flow_is_written_as_people_write_it() {
    let steps = "\
- id: ask
  needs: []
  gate:
    approvals: 2
    people:
    - ana
    - ben
    requester_may_approve: false
    decide_within: 15m
    use_within: 10m
    on_expiry:
      go_to: tell
    break_glass: false
- id: drain
  for_each:
    in: labels.hosts
    at_once: 3
  call: haproxy
  with:
    target: '{{ item }}'
    backend: b
    drain: s
  undo:
    call: haproxy
    with:
      target: '{{ item }}'
      backend: b
      enable: s
    expect: result.ok
    effect: once
  timeout: 30s
  on_failure: undo
- id: tell
  manual: Tell them
  timeout: 1h
  on_failure:
    go_to: last
- id: last
  for_each: labels.hosts
  check: tcp
  with:
    target: '{{ item }}'
  timeout: 30s
finally:
- id: traffic
  call: haproxy
  with:
    target: x
    backend: b
    enable: s
  timeout: 30s
  on_failure: continue
";
    let source = format!("runbook: x\ntitle: X\nstart: suggest\nsteps:\n{steps}");
    assert_eq!(write::runbook(&parse_runbook(&source).unwrap().runbook), source);
}

/// Writers and readers of YAML differ in what a plain word means; then a value is written as JSON, which is YAML too.
#[test]
fn words_that_others_take_for_something_else_come_back() {
    for text in [
        "1_000",
        "0X1f",
        "0O17",
        "0B11",
        "tRue",
        "nULL",
        ".iNf",
        "1e400",
        "yes",
        "null",
        "a\u{2028}b",
        "\u{7f}",
        "\r",
    ] {
        for tree in [json!({"k": text}), json!({text: 1}), json!(text)] {
            let written = write::value(&tree);
            assert_eq!(
                document::read(&written).map(|node| node.to_value()),
                Ok(tree),
                "{written}"
            );
        }
    }
    assert_eq!(write::value(&json!(["1_000"])), "[\n  \"1_000\"\n]\n");
}

/// Any value, with texts that writers and readers may take for something else.
pub(super) fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "(yes|no|on|off|null|~|0x1F|0o17|1_000|1e3|-0|\\.5|007|1:30|<<|=|true|TRUE|y|\\+1|\\.inf)"
            .prop_map(Value::from),
        "[ \\t\\n#:,'\"{}\\[\\]&*!|>%@`a-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let keys = "([a-z]{1,6}|yes|1|\\PC{1,6})";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_read_as_it_was_written(tree in tree()) {
        let written = write::value(&tree);
        let read = document::read(&written).map(|node| node.to_value());
        prop_assert_eq!(read, Ok(tree), "{}", written);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_runbook_is_read_as_it_was_written(runbook in any::runbook()) {
        let written = write::runbook(&runbook);
        let read = parse_runbook(&written).map(|parsed| parsed.runbook);
        prop_assert_eq!(read, Ok(runbook), "{}", written);
    }
}

#[test]
fn what_names_nobody_is_kept_as_it_was_before_anybody_could_be_named() {
    let source = with_steps("  - id: ask\n    gate: {}\n  - id: a\n    wait: 1s\n");
    let runbook = parse_runbook(&source).unwrap().runbook;
    let kept = serde_json::to_value(&runbook).unwrap();
    for key in ["access", "review"] {
        assert_eq!(kept.get(key), None);
    }
    assert_eq!(kept["steps"][0]["kind"]["gate"].get("teams"), None);
    let again: Runbook = serde_json::from_value(kept).unwrap();
    assert_eq!(again, runbook);
    let named = with_head("access: { start: { teams: [a] } }\nreview: 2\n");
    let named = parse_runbook(&named).unwrap().runbook;
    assert_eq!(
        (named.access.start.words().as_str(), named.review),
        ("the team a", 2)
    );
    let kept = serde_json::to_value(&named).unwrap();
    assert_eq!(kept["access"], json!({"start": {"teams": ["a"]}}));
}
