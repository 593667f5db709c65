//! The log pane: a window of an output of any length, found in by the server, each line with an address of its own.
//!
//! A page holds [`WINDOW_LINES`] lines at most. The pane is made of parts, since its lines are followed while they come:
//! what stands over them, the lines, and what stands below.

use std::collections::VecDeque;

use askama::{Template, filters::HtmlSafe};

use super::{
    ansi::{self, Run},
    format,
    parts::At,
    text,
};
use crate::domain::output::OutputLine;

/// Lines on a page.
pub const WINDOW_LINES: usize = 500;
/// Characters of one line on a page.
const LINE_CHARS_MAX: usize = 4000;

/// What a person wants to see of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The last line of the window, from 1; the end of the output when absent.
    pub to: Option<usize>,
    /// Only lines that hold this, whatever their case.
    pub find: String,
    /// Whether long lines are left long.
    pub is_wide: bool,
}

impl Asked {
    /// Whether the end is looked at, so that new lines belong there.
    pub fn follows(&self) -> bool {
        self.to.is_none() && self.find.is_empty()
    }
}

/// What was read of an output: the lines of a window, and how much there is beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Lines that were written: the number of the last one.
    pub total: usize,
    /// Lines that were let go, and the bytes of them.
    pub gone: (i64, i64),
    /// Bytes that are kept.
    pub size: i64,
    /// The lines, by number.
    pub lines: Vec<(usize, OutputLine)>,
    /// How many lines hold what is looked for.
    pub found: Option<usize>,
    /// Whether some of it was left out before it was kept.
    pub is_cut: bool,
}

impl Window {
    /// The window of an output that is there as a whole.
    pub fn of_text(output: &str, is_cut: bool, asked: &Asked) -> Self {
        let total = output.lines().count();
        let mut search = Search::of(asked);
        let end = asked.to.unwrap_or(total).clamp(total.min(1), total);
        let start = end.saturating_sub(WINDOW_LINES);
        let mut lines = Vec::new();
        for (text, number) in output.lines().zip(1..) {
            match &mut search {
                None if number <= start || number > end => continue,
                Some(search) if !search.holds(text) => continue,
                _ => {}
            }
            let text = text.to_owned();
            let line = (
                number,
                OutputLine {
                    text,
                    is_error: false,
                },
            );
            match &mut search {
                Some(search) => search.keep(line),
                None => lines.push(line),
            }
        }
        let found = search.as_ref().map(|search| search.found);
        Self {
            total,
            gone: (0, 0),
            size: output.len() as i64,
            lines: search.map_or(lines, Search::into_lines),
            found,
            is_cut,
        }
    }
}

/// Looks through lines in their order: counts those that hold the words, and keeps the last of them.
pub struct Search {
    wanted: String,
    found: usize,
    last: VecDeque<(usize, OutputLine)>,
}

impl Search {
    /// What is looked for, if anything is.
    pub fn of(asked: &Asked) -> Option<Self> {
        let wanted = asked.find.to_lowercase();
        (!wanted.is_empty()).then(|| Self {
            wanted,
            found: 0,
            last: VecDeque::new(),
        })
    }

    /// Whether a line holds it, as people see the line.
    pub fn holds(&self, line: &str) -> bool {
        ansi::plain(line).to_lowercase().contains(&self.wanted)
    }

    /// Counts a line that does.
    pub fn keep(&mut self, line: (usize, OutputLine)) {
        self.found += 1;
        if self.last.len() == WINDOW_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// How many there are.
    pub fn found(&self) -> usize {
        self.found
    }

    /// The last of them.
    pub fn into_lines(self) -> Vec<(usize, OutputLine)> {
        self.last.into()
    }
}

/// What is said below the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foot {
    /// It is over.
    Over,
    /// It goes on and has written nothing so far; `whole` when an answer comes at once or not at all.
    Silent {
        /// Since when.
        since: At,
        /// Whether nothing comes before the end.
        whole: bool,
    },
    /// It goes on.
    Going,
    /// It is over and wrote nothing.
    Nothing,
    /// It is over, and what it would have written never came back.
    Lost,
    /// The worker died over it.
    Died {
        /// When the last of it was stored.
        after: Option<At>,
        /// When that was found.
        found: At,
    },
    /// The database did not say.
    Unreadable {
        /// The address of this page.
        again: String,
    },
}

/// One line.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// What is missing before it.
    pub gap: Option<String>,
    /// Its number, from 1.
    pub number: usize,
    /// Its address.
    pub href: String,
    /// What it says.
    pub runs: Vec<Run>,
}

/// A window of an output.
#[derive(Clone, Debug)]
pub struct LogPane {
    /// Which attempt wrote it.
    pub attempt: i32,
    /// Whether the end is looked at.
    pub follows: bool,
    /// `lines 201 to 700 of 700`
    pub range: String,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// What is missing behind them.
    pub gap: Option<String>,
    /// What is said below.
    pub foot: Foot,
    /// Lines there are in all.
    pub total: usize,
    /// Address of the lines before, if there are any.
    pub earlier: String,
    /// How many those are.
    pub earlier_count: usize,
    /// Address of the end, when this is not it.
    pub newest: Option<String>,
    /// What is looked for.
    pub find: String,
    /// `12 lines hold it`, when something is looked for.
    pub hits: Option<String>,
    /// Address without looking.
    pub clear: String,
    /// Whether long lines are left long, and the address of the other way.
    pub is_wide: bool,
    /// That.
    pub other_width: String,
    /// Where the form looks: path, and its other fields.
    pub path: String,
    /// Those.
    pub fields: Vec<(&'static str, String)>,
    /// Address of the whole, and its size.
    pub download: Option<(String, String)>,
    /// What was let go, in words.
    pub gone: Option<String>,
    /// Whether some of it was left out before it was kept.
    pub is_cut: bool,
}

/// The whole pane.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_log.html")]
pub struct LogPart {
    /// The pane.
    pub log: LogPane,
}

impl HtmlSafe for LogPart {}

/// What stands over the lines.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_log_top.html")]
pub struct LogTop {
    /// The pane.
    pub log: LogPane,
}

/// The lines.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_log_lines.html")]
pub struct LogLines {
    /// The pane.
    pub log: LogPane,
}

/// What stands below the lines.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_log_foot.html")]
pub struct LogFoot {
    /// The pane.
    pub log: LogPane,
}

impl LogPane {
    /// The window that was asked for, on the page at `path` of this attempt.
    pub fn of(window: &Window, foot: Foot, asked: &Asked, path: &str, number: i32) -> Self {
        let total = window.total;
        let attempt = number.to_string();
        let address = |to: Option<usize>, find: &str, is_wide: bool| {
            let to = to.map_or_else(String::new, |to| to.to_string());
            let wide = if is_wide { "yes" } else { "" };
            let asked = [
                ("attempt", attempt.as_str()),
                ("to", &to),
                ("find", find),
                ("wide", wide),
            ];
            text::with_query(path, &asked)
        };
        let first = window.lines.first().map_or(1, |(number, _)| *number);
        let last = window.lines.last().map_or(0, |(number, _)| *number);
        let end = asked.to.unwrap_or(total).min(total);
        let before = if window.found.is_some() { 0 } else { first - 1 };
        Self {
            attempt: number,
            follows: asked.follows(),
            range: range(window, first, last),
            lines: log_lines(window, asked, &address),
            gap: (window.found.is_none() && last < end).then(|| gap(end - last)),
            foot,
            total,
            earlier: format!("{}#log", address(Some(before), "", asked.is_wide)),
            earlier_count: before.min(WINDOW_LINES),
            newest: (window.found.is_none() && end < total)
                .then(|| format!("{}#log", address(None, "", asked.is_wide))),
            hits: window.found.map(|found| match found {
                1 => "1 line holds it".to_owned(),
                n => format!("{} lines hold it", format::grouped(n as i64)),
            }),
            find: asked.find.clone(),
            clear: format!("{}#log", address(asked.to, "", asked.is_wide)),
            is_wide: asked.is_wide,
            other_width: format!("{}#log", address(asked.to, &asked.find, !asked.is_wide)),
            path: format!("{path}#log"),
            fields: vec![("attempt", attempt.clone())],
            download: (total > 0).then(|| {
                let href = text::with_query(&format!("{path}/output"), &[("attempt", &attempt)]);
                (href, format::size(window.size))
            }),
            gone: (window.gone.0 > 0).then(|| {
                let (lines, bytes) = window.gone;
                format!(
                    "{} lines ({}) in the middle were let go; the beginning and the end are kept.",
                    format::grouped(lines),
                    format::size(bytes)
                )
            }),
            is_cut: window.is_cut,
        }
    }
}

impl LogPane {
    /// Whether more may be written.
    pub fn is_going(&self) -> bool {
        self.foot == Foot::Going
    }
}

/// The lines, with what is missing between them.
fn log_lines(
    window: &Window,
    asked: &Asked,
    address: &impl Fn(Option<usize>, &str, bool) -> String,
) -> Vec<LogLine> {
    let texts: Vec<String> = window
        .lines
        .iter()
        .map(|(_, line)| text::cut(&line.text, LINE_CHARS_MAX))
        .collect();
    let runs = ansi::lines(texts.iter().map(String::as_str));
    let mut before = None;
    let lines = window.lines.iter().zip(runs).map(|((number, line), runs)| {
        let missing = before.map_or(0, |before| number - before - 1);
        before = Some(*number);
        // A line that was found is shown among its neighbours, half a window on either side.
        let to = match window.found {
            None => asked.to,
            Some(_) => Some((number + WINDOW_LINES / 2).min(window.total)),
        };
        let error = line.is_error.then(|| Run {
            class: "a-1".to_owned(),
            text: "err ".to_owned(),
        });
        let runs = runs.into_iter().map(|run| Run {
            text: text::visible(&run.text),
            ..run
        });
        LogLine {
            gap: (missing > 0 && window.found.is_none()).then(|| gap(missing)),
            number: *number,
            href: format!("{}#L{number}", address(to, "", asked.is_wide)),
            runs: error.into_iter().chain(runs).collect(),
        }
    });
    lines.collect()
}

fn gap(lines: usize) -> String {
    match lines {
        1 => "1 line was let go here".to_owned(),
        lines => format!("{} lines were let go here", format::grouped(lines as i64)),
    }
}

fn range(window: &Window, first: usize, last: usize) -> String {
    let (shown, total) = (window.lines.len(), window.total);
    let number = |n: usize| format::grouped(n as i64);
    match window.found {
        Some(found) if found > shown => format!("the last {shown} of them"),
        Some(_) => String::new(),
        None if shown == 0 => String::new(),
        None if shown < total => format!("lines {} to {} of {}", number(first), number(last), number(total)),
        None => format!("{} {}", number(total), if total == 1 { "line" } else { "lines" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pane(lines: usize, asked: &Asked) -> LogPane {
        let output: Vec<String> = (1..=lines)
            .map(|n| format!("\u{1b}[31mline\u{1b}[0m {n}"))
            .collect();
        let window = Window::of_text(&output.join("\n"), false, asked);
        LogPane::of(&window, Foot::Over, asked, "/runs/1/steps/2", 1)
    }

    fn numbers(pane: &LogPane) -> (usize, usize, usize) {
        let number = |line: Option<&LogLine>| line.map_or(0, |line| line.number);
        (
            pane.lines.len(),
            number(pane.lines.first()),
            number(pane.lines.last()),
        )
    }

    #[test]
    fn the_end_comes_first_and_earlier_windows_meet_without_a_gap() {
        let last = pane(100_000, &Asked::default());
        assert_eq!(numbers(&last), (500, 99_501, 100_000));
        assert_eq!(last.range, "lines 99,501 to 100,000 of 100,000");
        assert_eq!(
            (last.earlier.as_str(), last.earlier_count),
            ("/runs/1/steps/2?attempt=1&to=99500#log", 500)
        );
        assert_eq!((last.newest, last.gap), (None, None));
        let earlier = pane(
            100_000,
            &Asked {
                to: Some(99_500),
                ..Asked::default()
            },
        );
        assert_eq!(numbers(&earlier), (500, 99_001, 99_500));
        assert!(earlier.newest.is_some());
        assert_eq!(earlier.lines[0].href, "/runs/1/steps/2?attempt=1&to=99500#L99001");
        let first = pane(
            700,
            &Asked {
                to: Some(200),
                ..Asked::default()
            },
        );
        assert_eq!((numbers(&first), first.earlier_count), ((200, 1, 200), 0));
        let beyond = pane(
            3,
            &Asked {
                to: Some(usize::MAX),
                ..Asked::default()
            },
        );
        assert_eq!(numbers(&beyond), (3, 1, 3));
        assert_eq!(
            numbers(&pane(
                3,
                &Asked {
                    to: Some(0),
                    ..Asked::default()
                }
            )),
            (1, 1, 1)
        );
    }

    #[test]
    fn finding_sees_the_text_without_colours_and_counts_every_line() {
        let find = |text: &str| {
            pane(
                100_000,
                &Asked {
                    find: text.to_owned(),
                    ..Asked::default()
                },
            )
        };
        let one = find("LINE 4711");
        assert_eq!(one.hits.as_deref(), Some("11 lines hold it"));
        assert_eq!(numbers(&one), (11, 4711, 47_119));
        assert_eq!(one.lines[0].href, "/runs/1/steps/2?attempt=1&to=4961#L4711");
        let many = find("line");
        assert_eq!(many.hits.as_deref(), Some("100,000 lines hold it"));
        assert_eq!(numbers(&many), (500, 99_501, 100_000));
        assert_eq!(find("nothing").hits.as_deref(), Some("0 lines hold it"));
    }

    #[test]
    fn what_was_let_go_is_told_where_it_is_missing() {
        let line = |number: usize| {
            let text = format!("line {number}");
            (
                number,
                OutputLine {
                    text,
                    is_error: number == 91,
                },
            )
        };
        let window = Window {
            total: 1000,
            gone: (80, 1600),
            size: 18_400,
            lines: (1..=10).chain(91..=200).map(line).collect(),
            ..Window::default()
        };
        let asked = Asked {
            to: Some(200),
            ..Asked::default()
        };
        let pane = LogPane::of(&window, Foot::Over, &asked, "/x", 1);
        let gaps: Vec<_> = pane.lines.iter().filter_map(|line| line.gap.clone()).collect();
        assert_eq!(gaps, ["80 lines were let go here"]);
        assert_eq!(pane.lines[10].runs[0].text, "err ");
        assert!(
            pane.gone
                .is_some_and(|gone| gone.starts_with("80 lines (1.6 kB) in the middle"))
        );
        assert_eq!((pane.gap, pane.earlier_count), (None, 0));
        // Whoever comes from the lines behind the gap lands before it.
        let before = Window {
            lines: (1..=10).map(line).collect(),
            ..window
        };
        let asked = Asked {
            to: Some(90),
            ..Asked::default()
        };
        let pane = LogPane::of(&before, Foot::Over, &asked, "/x", 1);
        assert_eq!(pane.gap.as_deref(), Some("80 lines were let go here"));
        assert_eq!(pane.range, "lines 1 to 10 of 1,000");
    }
}
