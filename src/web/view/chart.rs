//! Small charts, drawn by the server as SVG: bars that begin at zero, with marks that are named beside them. One sentence
//! says what they show, and a table holds the values, so that nobody needs to see them.

use askama::{Template, filters::HtmlSafe};

/// Width of a bar with the space after it, and of the bar alone.
const STEP: usize = 8;
const BAR: usize = 6;
/// Height of the bars, and of the room for letters above them.
const HEIGHT: u64 = 32;
const HEAD: u64 = 14;
/// The least room between two marks' letters.
const APART: usize = 12;

/// One stretch and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// `03:01`
    pub label: String,
    /// Its value.
    pub value: u64,
}

/// A moment that is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The stretch it falls into.
    pub stretch: usize,
    /// One letter that stands over it.
    pub letter: char,
    /// What it says: `acknowledged 03:04`.
    pub words: String,
}

/// A chart of bars over time.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/chart.html")]
pub struct Bars {
    width: usize,
    height: u64,
    base: u64,
    bars: Vec<Bar>,
    marks: Vec<(usize, char)>,
    summary: String,
    /// What a row of the table is, and what its value is.
    heads: (&'static str, &'static str),
    rows: Vec<Value>,
    ends: Option<(String, String)>,
}

impl HtmlSafe for Bars {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bar {
    x: usize,
    y: u64,
    width: usize,
    height: u64,
}

impl Bars {
    /// The chart of these values, in order, at equal distances. `summary` is one sentence without marks and dot; they are
    /// added to it.
    pub fn of(values: &[Value], marks: &[Mark], summary: &str, heads: (&'static str, &'static str)) -> Self {
        let most = values.iter().map(|value| value.value).max().unwrap_or(0).max(1);
        let bars = values.iter().enumerate().filter(|(_, value)| value.value > 0);
        let bars = bars
            .map(|(index, value)| {
                // Something is never drawn as nothing.
                let height = (value.value * HEIGHT / most).max(2);
                Bar {
                    x: index * STEP,
                    y: HEAD + HEIGHT - height,
                    width: BAR,
                    height,
                }
            })
            .collect();
        let mut placed: Vec<(usize, char)> = Vec::new();
        for mark in marks {
            let wanted = mark.stretch.min(values.len().saturating_sub(1)) * STEP;
            let after = placed.last().map_or(0, |(x, _)| x + APART);
            placed.push((wanted.max(after), mark.letter));
        }
        let told: Vec<&str> = marks.iter().map(|mark| mark.words.as_str()).collect();
        let summary = match told.is_empty() {
            true => format!("{summary}."),
            false => format!("{summary}; {}.", told.join(", ")),
        };
        let furthest = placed.last().map_or(0, |(x, _)| x + APART);
        Self {
            width: (values.len() * STEP).max(furthest).max(STEP),
            height: HEAD + HEIGHT + 1,
            base: HEAD + HEIGHT,
            bars,
            marks: placed,
            summary,
            heads,
            rows: values.iter().filter(|value| value.value > 0).cloned().collect(),
            ends: match values {
                [first, .., last] => Some((first.label.clone(), last.label.clone())),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[u64]) -> Vec<Value> {
        let values = values.iter().enumerate();
        values
            .map(|(index, value)| Value {
                label: format!("03:{index:02}"),
                value: *value,
            })
            .collect()
    }

    #[test]
    fn bars_begin_at_zero_and_the_highest_fills_the_height() {
        let chart = Bars::of(&values(&[4, 0, 1, 400]), &[], "404 alerts", ("Minute", "Alerts"));
        let heights: Vec<(usize, u64)> = chart.bars.iter().map(|bar| (bar.x, bar.height)).collect();
        assert_eq!(heights, [(0, 2), (16, 2), (24, HEIGHT)]);
        assert!(chart.bars.iter().all(|bar| bar.y + bar.height == chart.base));
        assert_eq!(chart.rows.len(), 3, "a stretch without anything needs no row");
    }

    #[test]
    fn marks_are_named_in_the_sentence_and_never_stand_on_each_other() {
        let marks = [('A', "acknowledged 03:01"), ('M', "mitigated 03:01")].map(|(letter, words)| Mark {
            stretch: 1,
            letter,
            words: words.to_owned(),
        });
        let chart = Bars::of(&values(&[2, 1]), &marks, "3 alerts", ("Minute", "Alerts"));
        assert_eq!(chart.marks, [(8, 'A'), (20, 'M')]);
        let html = chart.to_string();
        assert!(
            html.contains("role=\"img\"")
                && html.contains("3 alerts; acknowledged 03:01, mitigated 03:01.")
                && !html.contains("style="),
            "{html}"
        );
    }

    #[test]
    fn nothing_at_all_is_drawn_without_a_fault() {
        let chart = Bars::of(&[], &[], "No alert", ("Minute", "Alerts"));
        assert!(chart.bars.is_empty());
        assert!(chart.to_string().contains("No alert."));
    }
}
