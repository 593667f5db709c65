//! Expected against done as a chart: for each surprise, and for what follows from none, when everything was due and when
//! it was done, all by the one clock of the drill. The list beside it says the same in words.

use askama::{Template, filters::HtmlSafe};

use super::{
    super::{
        parts::{Said, said},
        text::visible,
    },
    clock,
};
use crate::domain::{
    score::{Outcome, Score, Verdict},
    span::Span,
};

/// Width of a drawing, and of the room for numbers on its left and a mark on its right.
const WIDTH: u64 = 320;
const LEFT: u64 = 24;
const RIGHT: u64 = 12;
/// Height of a line, of the bar that was expected, and of the one that was done.
const LINE: usize = 18;
const WIDE: usize = 12;
const NARROW: usize = 4;

/// The drawings of one drill.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_pace.html")]
pub struct Pace {
    groups: Vec<Group>,
    /// What the whole width means.
    end: String,
}

impl HtmlSafe for Pace {}

/// What follows from one surprise, or from none.
#[derive(Clone, Debug)]
struct Group {
    title: Said,
    /// All of it in a sentence.
    summary: String,
    height: usize,
    lines: Vec<Line>,
}

/// One thing that was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// Its place in the list, from 1.
    number: usize,
    /// Where its line begins.
    y: usize,
    /// The bar until it was due, and the one until it was done: where each begins, and how wide it is.
    due: Option<(u64, u64)>,
    done: Option<(u64, u64)>,
    /// The mark of something that nobody did, or that never came to its turn, and where it stands.
    mark: Option<(u64, char)>,
}

impl Pace {
    /// The drawings; `None` when the turn of nothing has come.
    pub fn of(score: &Score) -> Option<Self> {
        let times = score.expected.iter().flat_map(|one| [one.due, one.done]);
        let longest = times.flatten().chain(score.took).max()?;
        if score
            .expected
            .iter()
            .all(|one| one.verdict() == Verdict::NotReached)
        {
            return None;
        }
        let numbered: Vec<(usize, &Outcome)> = score
            .expected
            .iter()
            .enumerate()
            .map(|(index, one)| (index + 1, one))
            .collect();
        let follows = |id: &str| {
            score
                .injects
                .iter()
                .any(|inject| inject.expected.iter().any(|one| one == id))
        };
        let rest = numbered.iter().filter(|(_, one)| !follows(&one.id)).copied();
        let mut groups = vec![Group::of(
            "From the beginning".to_owned(),
            Span::from_secs(0),
            rest,
            longest,
        )];
        for inject in &score.injects {
            let after = numbered
                .iter()
                .filter(|(_, one)| inject.expected.contains(&one.id))
                .copied();
            let title = match inject.sent {
                Some(sent) => format!("{}, at {}", inject.title, clock(sent)),
                None => format!("{}, which did not come", inject.title),
            };
            groups.push(Group::of(
                title,
                inject.sent.unwrap_or(Span::from_secs(0)),
                after,
                longest,
            ));
        }
        Some(Self {
            groups: groups.into_iter().flatten().collect(),
            end: clock(longest),
        })
    }

    fn width(&self) -> u64 {
        WIDTH
    }

    fn left(&self) -> u64 {
        LEFT
    }

    fn wide(&self) -> usize {
        WIDE
    }

    fn narrow(&self) -> usize {
        NARROW
    }
}

impl Group {
    /// `None` when nothing was expected.
    fn of<'a>(
        title: String,
        from: Span,
        outcomes: impl Iterator<Item = (usize, &'a Outcome)>,
        longest: Span,
    ) -> Option<Self> {
        let place = |at: Span| {
            let room = WIDTH - LEFT - RIGHT;
            LEFT + at.as_millis().min(longest.as_millis()) * room / longest.as_millis().max(1)
        };
        let begins = place(from);
        // Something is never drawn as nothing.
        let bar = |at: Span| (begins, place(at).saturating_sub(begins).max(2));
        let (mut lines, mut told) = (Vec::new(), Vec::new());
        for (number, one) in outcomes {
            lines.push(Line {
                number,
                y: lines.len() * LINE,
                due: one.due.map(bar),
                done: one.done.map(bar),
                mark: match one.verdict() {
                    Verdict::Missed => one.due.map(|due| (place(due) + 2, '×')),
                    Verdict::NotReached => Some((begins + 2, '–')),
                    Verdict::InTime | Verdict::Late => None,
                },
            });
            told.push(format!("{number}, {}: {}", one.what, words(one)));
        }
        (!lines.is_empty()).then(|| Self {
            summary: visible(&format!("{title}. {}.", told.join("; "))),
            title: said(&title),
            height: lines.len() * LINE,
            lines,
        })
    }
}

/// `due 02:31, done 03:41, late`
fn words(one: &Outcome) -> String {
    let due = one
        .due
        .map_or_else(|| "never due".to_owned(), |due| format!("due {}", clock(due)));
    match (one.done, one.verdict()) {
        (Some(done), Verdict::Late) => format!("{due}, done {}, late", clock(done)),
        (Some(done), _) => format!("{due}, done {}", clock(done)),
        (None, Verdict::Missed) => format!("{due}, never done"),
        (None, _) => "its turn never came".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::score::InjectOutcome;

    fn outcome(id: &str, due: Option<u64>, done: Option<u64>) -> Outcome {
        Outcome {
            id: id.to_owned(),
            what: id.to_owned(),
            because: None,
            due: due.map(Span::from_secs),
            done: done.map(Span::from_secs),
        }
    }

    fn score(expected: Vec<Outcome>) -> Score {
        Score {
            took: Some(Span::from_secs(284)),
            expected,
            injects: vec![InjectOutcome {
                id: "storm".to_owned(),
                title: "A <storm>".to_owned(),
                sent: Some(Span::from_secs(100)),
                is_skipped: false,
                expected: vec!["b".to_owned(), "c".to_owned()],
            }],
            ..Score::default()
        }
    }

    #[test]
    fn bars_end_when_it_was_due_and_when_it_was_done() {
        let pace = Pace::of(&score(vec![
            outcome("a", Some(60), Some(90)),
            outcome("b", Some(160), None),
            outcome("c", None, None),
        ]))
        .unwrap();
        // 284 seconds are 284 wide.
        let lines: Vec<_> = pace.groups.iter().flat_map(|group| &group.lines).collect();
        assert_eq!(
            (lines[0].due, lines[0].done, lines[0].mark),
            (Some((24, 60)), Some((24, 90)), None)
        );
        assert_eq!(
            (lines[1].due, lines[1].done, lines[1].mark),
            (Some((124, 60)), None, Some((186, '×')))
        );
        assert_eq!(
            (lines[2].due, lines[2].done, lines[2].mark),
            (None, None, Some((126, '–')))
        );
        assert_eq!(
            lines.iter().map(|line| line.number).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        let html = pace.to_string();
        for words in [
            "From the beginning. 1, a: due 01:00, done 01:30, late.",
            "A &#60;storm&#62;, at 01:40. 2, b: due 02:40, never done; 3, c: its turn never came.",
            "role=\"img\"",
        ] {
            assert!(html.contains(words), "{words}: {html}");
        }
        assert!(!html.contains("style=") && !html.contains("<storm>"), "{html}");
    }

    #[test]
    fn what_never_began_is_not_drawn() {
        assert!(Pace::of(&score(Vec::new())).is_none());
        assert!(Pace::of(&score(vec![outcome("a", None, None)])).is_none());
    }
}
