//! The drawing says what the table says, and the table says what the code does.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use super::*;

/// The drawing in `state.md`: a diagram for those who can show one, and the same as lines.
fn drawing() -> String {
    let mut lines = BTreeSet::new();
    for (from, by, to) in MOVES {
        for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
            lines.insert((*from, *to, *by));
        }
    }
    let mut text = String::from("\n```text\n");
    let mut last = None;
    for (from, to, by) in &lines {
        let head = if last == Some(*from) {
            String::new()
        } else {
            format!("{from:?}")
        };
        last = Some(*from);
        writeln!(text, "{head:<11} --{:-<20}> {to:?}", format!("{by:?}")).unwrap();
    }
    text.push_str(
        "```\n\nThe same for a viewer of diagrams:\n\n```mermaid\nstateDiagram-v2\n    [*] --> Ready\n",
    );
    for (from, to, by) in &lines {
        writeln!(text, "    {from:?} --> {to:?}: {by:?}").unwrap();
    }
    for end in ["Succeeded", "Satisfied", "Skipped", "Failed", "Rejected"] {
        writeln!(text, "    {end} --> [*]").unwrap();
    }
    text.push_str("```\n");
    text
}

#[test]
fn the_drawing_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain/state.md");
    if std::env::var_os("MUSTER_DRAW").is_some() {
        std::fs::write(&path, drawing()).unwrap();
    }
    let drawn = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        drawn,
        drawing(),
        "run the test with MUSTER_DRAW=1 to draw it anew"
    );
}

#[test]
fn no_fact_may_follow_the_end_of_a_run() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let finished = RunFact::RunFinished {
        result: RunResult::Failed,
        reason: String::new(),
    };
    let mut state = RunState::default();
    state.apply(now, &finished).unwrap();
    let before = state.clone();
    for fact in [
        finished,
        RunFact::PauseEnded,
        RunFact::WaitBegan {
            step: "pause".into(),
            until: now,
        },
    ] {
        assert!(state.apply(now, &fact).is_err(), "{fact:?}");
    }
    assert_eq!(state, before);
}

#[test]
fn every_state_can_be_reached_and_left_or_is_an_end() {
    let ends = [
        Stand::Satisfied,
        Stand::Failed,
        Stand::Skipped,
        Stand::Rejected,
        Stand::Listed,
    ];
    let reached: BTreeSet<Stand> = MOVES.iter().flat_map(|(_, _, to)| to.iter().copied()).collect();
    let left: BTreeSet<Stand> = MOVES
        .iter()
        .flat_map(|(from, _, _)| from.iter().copied())
        .collect();
    for stand in reached {
        assert_ne!(left.contains(&stand), ends.contains(&stand), "{stand:?}");
    }
}
