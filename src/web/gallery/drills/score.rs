//! The scorecard.

use std::collections::BTreeSet;

use askama::Template;

use super::{
    super::{Specimen, items, now, runbooks},
    RUNBOOK, drill, drill_frame,
};
use crate::{
    domain::{
        coverage::{Gain, gain, items},
        drill::{DrillState, EndKind, ObserverTag},
        id::{IncidentId, OperatorId},
        score::{Figure, FigureName, InjectOutcome, Outcome, Phase, Remark, Score, Share, Slip},
        span::Span,
    },
    web::view::drill::card::{ScorePage, ScoreRecord},
};

/// The specimens of the scorecard.
pub(super) fn specimens() -> Vec<Specimen> {
    let specimen = |page, state, html| Specimen { page, state, html };
    vec![
        specimen("drill-score", "good", || {
            score_page(good(), Some(bad()), EndKind::Finished, false)
        }),
        specimen("drill-score", "bad", || {
            score_page(bad(), Some(good()), EndKind::TooLong, true)
        }),
        specimen("drill-score", "cut-short", || {
            score_page(cut_short(), None, EndKind::RealIncident, false)
        }),
    ]
}

fn figure(name: FigureName, took: Option<u64>, objective: Option<u64>) -> Figure {
    Figure {
        name,
        took: took.map(Span::from_secs),
        objective: objective.map(Span::from_secs),
    }
}

fn outcome(id: &str, what: &str, due: Option<u64>, done: Option<u64>) -> Outcome {
    Outcome {
        id: id.to_owned(),
        what: what.to_owned(),
        because: Some("Others know that somebody has it.".to_owned()),
        due: due.map(Span::from_secs),
        done: done.map(Span::from_secs),
    }
}

fn inject(id: &str, title: &str, sent: Option<u64>, expected: &[&str]) -> InjectOutcome {
    InjectOutcome {
        id: id.to_owned(),
        title: title.to_owned(),
        sent: sent.map(Span::from_secs),
        is_skipped: id == "rumour",
        expected: expected.iter().map(|id| (*id).to_owned()).collect(),
    }
}

fn slip(what: &str, done: Option<u64>) -> Slip {
    Slip {
        id: "waits".to_owned(),
        what: what.to_owned(),
        because: "The disk of the primary is broken.".to_owned(),
        done: done.map(Span::from_secs),
    }
}

fn good() -> Score {
    let remark = |s, phase, tag, text: &str| Remark {
        age: Span::from_secs(s),
        phase,
        tag,
        text: text.to_owned(),
    };
    Score {
        took: Some(Span::from_secs(412)),
        figures: vec![
            figure(FigureName::Detect, Some(11), Some(45)),
            figure(FigureName::Acknowledge, Some(24), Some(60)),
            figure(FigureName::FirstStep, Some(63), Some(120)),
            figure(FigureName::Gate, Some(52), Some(180)),
            figure(FigureName::Mitigate, Some(140), Some(300)),
            figure(FigureName::Resolve, Some(361), None),
        ],
        expected: vec![
            outcome("take", "acknowledge the incident", Some(151), Some(55)),
            outcome("decide", "approve ask", Some(331), Some(120)),
        ],
        wrong: vec![slip("reject ask in place of approving it", None)],
        injects: vec![
            inject(
                "crash",
                "The disk of the primary breaks, and it stops",
                Some(20),
                &["take"],
            ),
            inject("rumour", "A colleague is mistaken", None, &[]),
        ],
        updates: Share { done: 2, of: 2 },
        unknowns: Share { done: 0, of: 0 },
        hints: Vec::new(),
        cleanup: None,
        notes: vec![
            remark(44, Phase::Acknowledge, Some(ObserverTag::Good), "Fast."),
            remark(120, Phase::Mitigate, None, "They read the log <first>."),
        ],
    }
}

fn bad() -> Score {
    let mut score = good();
    score.figures = vec![
        figure(FigureName::Detect, Some(11), Some(45)),
        figure(FigureName::Acknowledge, Some(190), Some(60)),
        figure(FigureName::FirstStep, Some(320), Some(120)),
        figure(FigureName::Mitigate, None, Some(300)),
        figure(FigureName::Resolve, None, None),
    ];
    score.expected = vec![
        outcome("take", "acknowledge the incident", Some(151), Some(221)),
        outcome("decide", "approve ask", Some(331), None),
        outcome("over", "resolve the incident", None, None),
    ];
    score.wrong = vec![slip("reject ask", Some(250)), slip("resolve the incident", None)];
    score.hints = vec![("Read what the run has found.".to_owned(), 5)];
    score.updates = Share { done: 0, of: 3 };
    score.unknowns = Share { done: 1, of: 2 };
    score
}

fn cut_short() -> Score {
    Score {
        figures: vec![
            figure(FigureName::Detect, None, Some(45)),
            figure(FigureName::Mitigate, None, Some(300)),
        ],
        expected: vec![outcome("take", "acknowledge the incident", None, None)],
        ..Score::default()
    }
}

/// What a drill adds to the coverage of the sample; nothing, where it did not begin to run.
fn gains(has_run: bool) -> askama::Result<Vec<Gain>> {
    let runbook = runbooks::read(RUNBOOK)?;
    let all = items(&runbook).into_iter().map(|item| item.key());
    let shown: BTreeSet<String> = all.step_by(2).filter(|_| has_run).collect();
    let before = runbooks::coverage(&runbook, true);
    Ok(vec![gain(&runbook.slug, 14, before, &shown)])
}

fn score_page(score: Score, before: Option<Score>, end: EndKind, is_again: bool) -> askama::Result<String> {
    let record = ScoreRecord {
        drill: drill(17, DrillState::Ended, Some((end, ""))),
        score,
        runbooks: vec!["postgres-primary-down".to_owned()],
        gains: gains(before.is_some())?,
        incidents: vec![IncidentId(31)],
        night: is_again.then(|| (IncidentId(198), items::compared())),
        items: items::record(),
        before: before.map(|score| {
            let drill = drill(16, DrillState::Ended, Some((EndKind::Finished, "")));
            (drill, score)
        }),
    };
    ScorePage::of(drill_frame("Scorecard · DRILL-17"), &record, OperatorId(1), now()).render()
}
