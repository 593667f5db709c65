//! Colours of terminals, as classes: a line of output becomes runs of text, each with how it was meant to look.
//!
//! Only the sixteen colours, bold and their resets mean something on a page; every other escape sequence is left out,
//! since it moved a cursor that is not there.

/// Text that looks the same from end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Classes: nothing, `a-1` to `a-7` for a colour, `a-b` for bold.
    pub class: String,
    /// The text, without escapes.
    pub text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    colour: Option<u8>,
    is_bold: bool,
}

impl Look {
    fn class(self) -> String {
        let colour = self.colour.map(|colour| format!("a-{colour}"));
        let bold = self.is_bold.then(|| "a-b".to_owned());
        let parts: Vec<String> = colour.into_iter().chain(bold).collect();
        parts.join(" ")
    }

    /// The look after these parameters of "select graphic rendition".
    fn after(mut self, parameters: &str) -> Self {
        let mut codes = parameters
            .split([';', ':'])
            .map(|code| code.parse::<u8>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => self = Self::default(),
                1 => self.is_bold = true,
                22 => self.is_bold = false,
                // Black on our dark ground, or white on our light one, could not be read: they are plain text here.
                30 | 37 | 39 | 90 | 97 => self.colour = None,
                31..=36 => self.colour = Some(code - 30),
                91..=96 => self.colour = Some(code - 90),
                // One of 256 colours, or of millions: its parameters follow, and none of them means anything here.
                38 | 48 => match codes.next() {
                    Some(5) => drop(codes.next()),
                    Some(2) => drop(codes.nth(2)),
                    _ => {}
                },
                _ => {}
            }
        }
        self
    }
}

/// The lines of a text as runs. A look lasts until it is reset, over the ends of lines too.
pub fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Vec<Run>> {
    let mut look = Look::default();
    lines.map(|line| runs(line, &mut look)).collect()
}

fn runs(line: &str, look: &mut Look) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut put = |look: Look, text: &str| {
        if text.is_empty() {
            return;
        }
        let class = look.class();
        match runs.last_mut() {
            Some(last) if last.class == class => last.text.push_str(text),
            _ => runs.push(Run {
                class,
                text: text.to_owned(),
            }),
        }
    };
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        put(*look, &rest[..at]);
        let (sequence, after) = cut(&rest[at + 1..]);
        if let Some(parameters) = sequence.strip_prefix('[').and_then(|csi| csi.strip_suffix('m')) {
            *look = look.after(parameters);
        }
        rest = after;
    }
    put(*look, rest);
    runs
}

/// The text without any escapes, as search looks at it.
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        text.push_str(&rest[..at]);
        rest = cut(&rest[at + 1..]).1;
    }
    text.push_str(rest);
    text
}

/// What follows an escape character: its sequence, and the text after it.
fn cut(text: &str) -> (&str, &str) {
    let end = match text.as_bytes().first() {
        // Control sequences end at the first letter or the like.
        Some(b'[') => text[1..]
            .find(|c: char| ('@'..='~').contains(&c))
            .map_or(text.len(), |at| at + 2),
        // Titles and links end with a bell or an escape.
        Some(b']') => text
            .find('\u{7}')
            .map(|at| at + 1)
            .or_else(|| Some(text.find("\u{1b}\\")? + 2))
            .unwrap_or(text.len()),
        Some(first) if first.is_ascii() => 1,
        _ => 0,
    };
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let lines = lines(text.lines()).into_iter().map(|runs| {
            let runs = runs.into_iter().map(|run| match run.class.is_empty() {
                true => run.text,
                false => format!("<{}>{}</>", run.class, run.text),
            });
            runs.collect::<String>()
        });
        lines.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn colours_become_classes_and_every_other_escape_is_left_out() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m rest", "<a-1>red</> rest"),
            (
                "\u{1b}[1;92mbold green\u{1b}[22m green",
                "<a-2 a-b>bold green</><a-2> green</>",
            ),
            (
                "\u{1b}[31mover\nlines\u{1b}[m end",
                "<a-1>over</>|<a-1>lines</> end",
            ),
            (
                "\u{1b}[38;5;196mred of 256\u{1b}[38;2;1;31;3m and of millions",
                "red of 256 and of millions",
            ),
            ("\u{1b}[30mblack\u{1b}[97mwhite", "blackwhite"),
            (
                "a\u{1b}[2Kb\u{1b}]0;title\u{7}c\u{1b}]8;;http://x\u{1b}\\d\u{1b}(Be",
                "abcdBe",
            ),
            ("cut off \u{1b}[3", "cut off "),
            ("\u{1b}", ""),
            ("\u{1b}ä", "ä"),
        ] {
            assert_eq!(shown(text), wanted, "{text:?}");
        }
        assert_eq!(plain("\u{1b}[31mred\u{1b}[0m"), "red");
    }
}
