//! Hostile and arbitrary texts: every one is answered, soon, and without a panic.

use std::time::{Duration, Instant};

use proptest::{prelude::*, sample::Index};

use super::{FILE_BYTES_MAX, faults, parse_runbook, parse_targets, with_steps, write};

const SAMPLES: [&str; 4] = [
    include_str!("../../../runbooks/postgres-primary-down.yaml"),
    include_str!("../../../runbooks/web-service-down.yaml"),
    include_str!("../../../runbooks/disk-filling.yaml"),
    include_str!("../../../runbooks/targets.yaml"),
];

#[test]
fn bombs_are_refused_at_once() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..30 {
        let before = format!("*a{}", i - 1);
        aliases += &format!("a{i}: &a{i} [{}]\n", vec![before; 9].join(", "));
    }
    let blocks: String = (0..40).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    let started = Instant::now();
    for (source, expected) in [
        (aliases, "1:9: anchors and aliases are not part of the format"),
        ("[".repeat(200_000), "1:33: nested deeper than 32 levels"),
        ("{a: ".repeat(40), "1:129: nested deeper than 32 levels"),
        (blocks, "33:33: nested deeper than 32 levels"),
        (
            "- 1\n".repeat(20_000),
            "10000:3: more than 10000 values in one file",
        ),
        (
            "#".repeat(FILE_BYTES_MAX + 1),
            "1:1: the file is longer than 256 KiB",
        ),
    ] {
        assert_eq!(faults(&source), [expected]);
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let steps = "- { id: a, wait: 1s }\n".repeat(101);
    assert_eq!(
        faults(&with_steps(&steps))[0],
        "4:3: steps: at most 100 are allowed, found 101"
    );
}

#[test]
fn a_flood_of_faults_is_cut() {
    let keys: String = (0..3000).map(|i| format!("k{i}: 1\n")).collect();
    assert_eq!(faults(&keys).len(), 100);
}

/// A sample with a few characters cut out, put in or exchanged.
fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}:,#&*!|>'\"%@`~ \\-\n\t]{1,4}",
        "\\PC{0,6}",
        Just("{{ steps['ask'].result }}".to_owned()),
        Just("null".to_owned()),
        Just("9999999999999999999999".to_owned()),
    ];
    let edits = prop::collection::vec((any::<Index>(), 0usize..30, piece), 1..6);
    (0..SAMPLES.len(), edits).prop_map(|(sample, edits)| {
        let mut chars: Vec<char> = SAMPLES[sample].chars().collect();
        for (at, cut, piece) in edits {
            let from = at.index(chars.len());
            let to = (from + cut).min(chars.len());
            chars.splice(from..to, piece.chars());
        }
        chars.into_iter().collect()
    })
}

/// Places lie inside the text.
fn check_places(source: &str, faults: &[super::Fault]) -> Result<(), TestCaseError> {
    let lines = source.lines().count().max(1);
    for fault in faults {
        prop_assert!(fault.line >= 1 && fault.column >= 1, "{fault}");
        prop_assert!(fault.line as usize <= lines + 1, "{fault}");
        prop_assert!(
            !fault.message.is_empty() && !fault.message.contains('\n'),
            "{fault}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_an_answer(source in mutated()) {
        match parse_runbook(&source) {
            Ok(parsed) => {
                check_places(&source, &parsed.warnings)?;
                let again = parse_runbook(&write::runbook(&parsed.runbook));
                prop_assert_eq!(again.map(|parsed| parsed.runbook), Ok(parsed.runbook));
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                check_places(&source, &faults)?;
            }
        }
        if let Err(faults) = parse_targets(&source) {
            check_places(&source, &faults)?;
        }
    }
}
