//! The log pane: a window of an output of any length, found in by the server, each line with an address of its own.
//!
//! A page holds [`WINDOW_LINES`] lines at most. What is kept of an output is bounded where it is made, at 64 kB as JSON,
//! so it is read whole, and only its window is made into a page.

use super::{
    ansi::{self, Run},
    format, text,
};

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

/// Where an output stands, when there are no lines to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It runs, for so long.
    Running(String),
    /// It is over and wrote nothing.
    Nothing,
    /// It is over, and what it would have written never came back.
    Lost,
}

/// One line.
#[derive(Clone, Debug)]
pub struct LogLine {
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
    /// Lines there are in all.
    pub total: usize,
    /// `lines 201 to 700 of 700`
    pub range: String,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Why there are none at all.
    pub silence: Option<Silence>,
    /// Address of the lines before.
    pub earlier: Option<String>,
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
    /// Whether some of it was left out before it was kept.
    pub is_cut: bool,
}

impl LogPane {
    /// The window of `output` that was asked for, on the page at `path` of this attempt.
    pub fn of(
        output: &str,
        is_cut: bool,
        silence: Option<Silence>,
        asked: &Asked,
        path: &str,
        attempt: i32,
    ) -> Self {
        let all: Vec<&str> = output.lines().collect();
        let total = all.len();
        let attempt = attempt.to_string();
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
        let wanted = asked.find.to_lowercase();
        let holds = |line: &&str| ansi::plain(line).to_lowercase().contains(&wanted);
        let found: Option<Vec<usize>> =
            (!wanted.is_empty()).then(|| (0..total).filter(|&at| holds(&all[at])).collect());
        let end = asked.to.unwrap_or(total).clamp(total.min(1), total);
        let start = end.saturating_sub(WINDOW_LINES);
        let shown: Vec<usize> = match &found {
            None => (start..end).collect(),
            Some(found) => found[found.len().saturating_sub(WINDOW_LINES)..].to_vec(),
        };
        let cut = |at: &usize| text::cut(all[*at], LINE_CHARS_MAX);
        let texts: Vec<String> = shown.iter().map(cut).collect();
        let runs = ansi::lines(texts.iter().map(String::as_str));
        let lines = shown.iter().zip(runs).map(|(&at, runs)| LogLine {
            number: at + 1,
            // A line that was found is shown among its neighbours, half a window on either side.
            href: {
                let to = match &found {
                    None => asked.to,
                    Some(_) => Some((at + 1 + WINDOW_LINES / 2).min(total)),
                };
                format!("{}#L{}", address(to, "", asked.is_wide), at + 1)
            },
            runs: runs
                .into_iter()
                .map(|run| Run {
                    text: text::visible(&run.text),
                    ..run
                })
                .collect(),
        });
        let before = if found.is_some() { 0 } else { start };
        Self {
            total,
            range: range(&shown, total, found.as_ref().map(Vec::len)),
            lines: lines.collect(),
            silence: silence.filter(|_| total == 0),
            earlier: (before > 0).then(|| format!("{}#log", address(Some(before), "", asked.is_wide))),
            earlier_count: before.min(WINDOW_LINES),
            newest: (found.is_none() && end < total)
                .then(|| format!("{}#log", address(None, "", asked.is_wide))),
            hits: found.as_ref().map(|found| match found.len() {
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
                (href, format::size(output.len() as i64))
            }),
            is_cut,
        }
    }
}

fn range(shown: &[usize], total: usize, found: Option<usize>) -> String {
    let all = format::grouped(total as i64);
    match (shown.first(), shown.last(), found) {
        (_, _, Some(found)) if found > shown.len() => format!("the last {} of them", shown.len()),
        (Some(first), Some(last), None) if shown.len() < total => {
            format!("lines {} to {} of {all}", first + 1, last + 1)
        }
        (Some(_), _, None) => format::count(total as i64, "line", "lines"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pane(lines: usize, asked: &Asked) -> LogPane {
        let output: Vec<String> = (1..=lines)
            .map(|n| format!("\u{1b}[31mline\u{1b}[0m {n}"))
            .collect();
        LogPane::of(
            &output.join("\n"),
            false,
            Some(Silence::Nothing),
            asked,
            "/runs/1/steps/2",
            1,
        )
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
        assert_eq!(last.range, "lines 99501 to 100000 of 100,000");
        assert_eq!(
            last.earlier.as_deref(),
            Some("/runs/1/steps/2?attempt=1&to=99500#log")
        );
        assert_eq!((last.newest, last.silence), (None, None));
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
        assert_eq!((numbers(&first), first.earlier.is_none()), ((200, 1, 200), true));
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
    fn no_output_says_why() {
        assert_eq!(pane(0, &Asked::default()).silence, Some(Silence::Nothing));
        assert_eq!(
            pane(
                0,
                &Asked {
                    to: Some(5),
                    ..Asked::default()
                }
            )
            .lines
            .len(),
            0
        );
    }
}
