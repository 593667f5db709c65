//! The last lines of a step that is at work, on the pages of its run and of its incident.

use askama::{Template, filters::HtmlSafe};

use super::{ansi, text};
use crate::store::outputs::Tail;

/// Lines of a tail.
const LINES_MAX: usize = 5;
/// Characters of one of them.
const LINE_CHARS_MAX: usize = 200;

/// The last lines of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% if !lines.is_empty() %}<pre class="output">{% for line in lines %}{{ line }}
{% endfor %}</pre>{% endif %}"#
)]
pub struct TailPart {
    lines: Vec<String>,
}

impl HtmlSafe for TailPart {}

impl TailPart {
    /// The last lines of this.
    pub fn of(tail: &Tail) -> Self {
        let lines: Vec<&str> = tail.text.split_terminator('\n').collect();
        let shown = &lines[lines.len().saturating_sub(LINES_MAX)..];
        Self {
            lines: shown
                .iter()
                .map(|line| text::visible(&text::cut(&ansi::plain(line), LINE_CHARS_MAX)))
                .collect(),
        }
    }

    /// Where it stands on a page.
    pub fn target(tail: &Tail) -> String {
        format!("tail-run-{}-{}", tail.run, tail.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_lines_as_plain_text() {
        let tail = Tail {
            run: crate::domain::id::RunId(88),
            step: "drain".into(),
            text: "f a line\n1\n2\n3\n\u{1b}[31m4 <b>\u{1b}[0m\n5 \u{202e}\n".to_owned(),
        };
        assert_eq!(
            TailPart::of(&tail).lines,
            ["1", "2", "3", "4 <b>", "5 \u{27e8}U+202E\u{27e9}"]
        );
        assert_eq!(TailPart::target(&tail), "tail-run-88-drain");
        let html = TailPart::of(&tail).render().unwrap();
        assert!(html.contains("4 &#60;b&#62;\n"), "{html}");
    }
}
