//! What people write as Markdown, in runbooks and in notes, as HTML that can hold nothing but text, emphasis, lists, code
//! and links.
//!
//! Only text that a person wrote comes here, never what was rendered from an alert: that is data and stays text. Even so
//! the author's HTML and pictures are not taken, and what remains goes through a sanitiser.

use std::{collections::HashSet, fmt, sync::LazyLock};

use ammonia::Builder;
use askama::filters::HtmlSafe;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

use super::text;

/// The tags that may remain.
const TAGS: [&str; 14] = [
    "a",
    "blockquote",
    "br",
    "code",
    "em",
    "h3",
    "h4",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "ul",
];
/// Where links may lead.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::new();
    builder
        .tags(HashSet::from(TAGS))
        .tag_attributes([("a", HashSet::from(["href"]))].into_iter().collect())
        .generic_attributes(HashSet::new())
        .url_schemes(HashSet::from(SCHEMES))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    builder
});

/// Markdown as it is shown.
#[derive(Clone, Debug)]
pub struct Markdown(String);

impl Markdown {
    /// What an author wrote.
    pub fn of(text: &str) -> Self {
        let text = text::visible(text);
        let shown = Parser::new_ext(&text, Options::empty()).filter_map(|event| match event {
            // HTML is shown as it was written, a picture by its words.
            Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
            Event::Start(Tag::Image { .. } | Tag::HtmlBlock)
            | Event::End(TagEnd::Image | TagEnd::HtmlBlock) => None,
            event => Some(event),
        });
        let mut raw = String::new();
        html::push_html(&mut raw, shown);
        Self(SANITISER.clean(&raw).to_string())
    }
}

impl HtmlSafe for Markdown {}

impl fmt::Display for Markdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emphasis_lists_code_and_links_are_shown() {
        let html = Markdown::of("Look at **both** nodes:\n\n- `pg1`\n- [the map](https://wiki.example/map)")
            .to_string();
        assert!(
            html.contains("<strong>both</strong>") && html.contains("<li><code>pg1</code></li>"),
            "{html}"
        );
        assert!(
            html.contains(
                r#"<a href="https://wiki.example/map" rel="noopener noreferrer nofollow">the map</a>"#
            ),
            "{html}"
        );
    }

    #[test]
    fn nothing_else_gets_through() {
        for hostile in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "![x](https://evil.test/track.png)",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "[x](vbscript:x)",
            "[x](&#106;avascript:alert(1))",
            "[x](/logout)",
            "<a href=\"javascript:alert(1)\" style=\"x\">x</a>",
            "<svg><animate onbegin=alert(1)>",
            "<iframe src=//evil.test>",
            "<form action=/logout><button>",
            "<style>*{display:none}</style>",
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--><img src onerror=alert(1)>\">",
            "a\u{202e}b <details open ontoggle=alert(1)>",
            "[a]: javascript:alert(1)\n[a]",
            "<https://evil.test/\"onmouseover=alert(1)>",
            "# <b onclick=x>",
        ] {
            let html = Markdown::of(hostile).to_string();
            let lower = html.to_lowercase();
            let tags: Vec<&str> = lower
                .split('<')
                .skip(1)
                .map(|rest| {
                    rest.trim_start_matches('/')
                        .split(|c: char| !c.is_alphanumeric())
                        .next()
                        .unwrap()
                })
                .collect();
            assert!(tags.iter().all(|tag| TAGS.contains(tag)), "{hostile}: {html}");
            for attribute in lower
                .match_indices('<')
                .map(|(at, _)| &lower[at..])
                .filter_map(|rest| rest.split('>').next())
            {
                let is_bare = !attribute.contains('=');
                let is_link = attribute.starts_with("<a href=\"http") || attribute.starts_with("<a rel=");
                assert!(is_bare || is_link, "{hostile}: {html}");
            }
        }
    }
}
