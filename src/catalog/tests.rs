//! Faults and their places, as a person would meet them.

use proptest::prelude::*;

use super::{parse_runbook, parse_targets};
use crate::domain::{
    span::Span,
    step::{Effect, StepKind},
};

const SAMPLE: &str = include_str!("../../runbooks/postgres-primary-down.yaml");

fn faults(source: &str) -> Vec<String> {
    parse_runbook(source)
        .map(|_| Vec::new())
        .unwrap_or_else(|faults| faults.iter().map(ToString::to_string).collect())
}

fn with_step(step: &str) -> String {
    format!("runbook: r\ntitle: t\ninputs: {{ c: {{ from: labels.c }} }}\nsteps:\n{step}")
}

#[test]
fn the_sample_says_what_it_says() {
    let runbook = parse_runbook(SAMPLE).unwrap().runbook;
    assert_eq!(runbook.slug, "postgres-primary-down");
    let promote = runbook.step(&"promote".into()).unwrap();
    assert_eq!(promote.effect(), Effect::Once);
    let StepKind::Act(act) = &promote.kind else {
        panic!("not an act")
    };
    assert!(act.verify.is_some());
    assert_eq!(runbook.gate_over(&"promote".into()).unwrap().id.0, "ask");
    assert!(runbook.gate_over(&"primary-unreachable".into()).is_none());
    assert_eq!(promote.timeout, Span::from_secs(60));
}

#[test]
fn every_fault_names_its_place_and_the_way_out() {
    let check = "  - id: a\n    check: tcp\n    with: { target: x }\n";
    for (source, expected) in [
        ("runbook: r\ntitle: t\n".to_owned(), vec!["1:1: steps is missing"]),
        (
            with_step("  - id: a\n    chek: tcp\n    with: { target: x }\n"),
            vec![
                "5:5: steps[0]: says nothing to do; one of check, call, logs, gate, manual, wait is needed",
                "6:5: steps[0]: unknown key \"chek\"; did you mean \"check\"?",
            ],
        ),
        (
            with_step(&format!("{check}    time_out: 5s\n")),
            vec!["8:5: steps[0]: unknown key \"time_out\"; did you mean \"timeout\"?"],
        ),
        (
            with_step(&format!("{check}    timeout: five\n")),
            vec![
                "8:14: steps[0].timeout: \"five\" is not a length of time; write it like 250ms, 5s, 15m or 1h30m",
            ],
        ),
        (
            with_step(&format!("{check}{check}")),
            vec!["8:5: steps[1]: there is a step \"a\" above already"],
        ),
        (
            with_step("  - id: a\n    check: tcp\n"),
            vec!["5:5: steps[0]: with is missing"],
        ),
        (
            with_step("  - id: a\n    check: haprox\n    with: { target: x, backend: b }\n"),
            vec![
                "6:12: steps[0].check: \"haprox\" is none of http, tcp, postgres, prometheus, haproxy, command; did you mean \"haproxy\"?",
            ],
        ),
        (
            with_step("  - id: a\n    check: tcp\n    with: { target: \"{{ inputs.d }}\" }\n"),
            vec!["7:21: steps[0].with.target: there is no input \"d\"; did you mean \"c\"?"],
        ),
        (
            with_step("  - id: a\n    check: tcp\n    with: { target: \"{% x %}\" }\n"),
            vec!["7:21: steps[0].with.target: only {{ expression }} is part of the language, no {% or {#"],
        ),
        (
            with_step(&format!("{check}    effect: once\n")),
            vec!["8:13: steps[0].effect: a check step only reads; use call"],
        ),
        (
            with_step("  - id: a\n    gate: { approvals: 0 }\n"),
            vec!["6:24: steps[0].gate.approvals: expected a whole number from 1 to 10"],
        ),
        (
            with_step("  - id: a\n    gate: {}\n    when: true\n"),
            vec!["7:11: steps[0].when: only check, call and logs steps take when: a gate is never skipped"],
        ),
        (
            with_step("  - id: a\n    wait: 5s\n    needs: [b]\n"),
            vec!["7:12: steps[0].needs: needs is not carried out by this version; remove it"],
        ),
        (
            "runbook: R!\ntitle: t\nmatch: ['a=\"b']\nsteps: []\n".to_owned(),
            vec![
                "1:10: runbook: \"R!\" is no name; use lower-case letters, digits and dashes, at most 63",
                "3:9: match[0]: at character 5: the closing quote is missing",
            ],
        ),
        (
            with_step(
                "  - id: g\n    gate: {}\n  - id: find\n    check: http\n    with: { target: x }\n  - id: act\n    call: http\n    \
                 with: { target: x, body: \"{{ steps.find.result.body }}\" }\n",
            ),
            vec![
                "10:5: steps[2]: reads what find finds, which is not known when the gate above asks; put a gate between them",
            ],
        ),
    ] {
        assert_eq!(faults(&source), expected, "{source}");
    }
}

#[test]
fn hostile_files_are_refused_quickly() {
    let bomb: String = (1..20)
        .map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1))
        .collect();
    for source in [
        format!("a0: &a0 x\n{bomb}"),
        "[".repeat(100_000),
        "a: 1\na: 2\n".to_owned(),
        "x".repeat(300_000),
        "- 1\n- 2\n".to_owned(),
        String::new(),
        "\u{0}".to_owned(),
    ] {
        assert!(!faults(&source).is_empty(), "{}", &source[..source.len().min(40)]);
    }
    assert!(
        faults("a: 1\na: 2\n")[0].starts_with("2:1: "),
        "{:?}",
        faults("a: 1\na: 2\n")
    );
}

#[test]
fn a_target_never_holds_a_secret() {
    let faults = |source: &str| -> Vec<String> {
        parse_targets(source)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let password = "targets:\n  - name: db\n    postgres: { host: h, user: u, password: hunter2 }\n";
    assert_eq!(
        faults(password),
        [
            "3:45: targets[0].postgres.password: a credential is a reference, env:NAME or file:/absolute/path, never the secret itself"
        ]
    );
    let in_url = "targets:\n  - name: web\n    http: { url: \"https://u:hunter2@h/\" }\n";
    assert_eq!(
        faults(in_url),
        ["3:18: targets[0].http.url: holds a password; put it into basic or bearer by reference"]
    );
    let two = "targets:\n  - name: web\n    http: { url: \"http://h/\" }\n    tcp: { address: \"h:1\" }\n";
    assert!(
        faults(two)[0].starts_with("2:5: targets[0]: needs one kind of http, tcp"),
        "{:?}",
        faults(two)
    );
    assert!(
        !parse_targets(password).unwrap_err()[0]
            .to_string()
            .contains("hunter2")
    );
}

#[test]
fn the_samples_have_no_fault() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    let reading = super::folder::read(&folder, &folder.join("targets.yaml"));
    assert_eq!(reading.faults, []);
    assert!(reading.runbooks.len() >= 3);
    assert!(parse_runbook(include_str!("../../runbooks/demo/checkout-primary-down.yaml")).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(at in 0..SAMPLE.len(), cut in 0usize..40, put in "[\\PC\n]{0,12}") {
        let start = (0..=at).rev().find(|at| SAMPLE.is_char_boundary(*at)).unwrap_or(0);
        let end = (at + cut).min(SAMPLE.len());
        let end = (end..=SAMPLE.len()).find(|at| SAMPLE.is_char_boundary(*at)).unwrap_or(SAMPLE.len());
        let source = format!("{}{put}{}", &SAMPLE[..start], &SAMPLE[end..]);
        if let Err(faults) = parse_runbook(&source) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.line >= 1 && fault.column >= 1));
        }
    }
}
