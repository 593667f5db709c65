//! Text from outside, made fit to be shown; and addresses, made safe to be followed.

use url::{Url, form_urlencoded};

/// The same text with every character that is invisible or reorders its neighbours made visible. For commands,
/// labels and names: what a person approves must be what is sent. Newlines and tabs stay.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\0'..='\u{1f}' => shown.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {
                shown.push_str(&format!("⟨U+{:04X}⟩", c as u32));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// The first `chars_max` characters, with a mark when something was cut.
pub fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The address, if it is one a person may be sent to by a click: http or https, without a login in it.
pub fn link(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let fine = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    fine.then(|| url.into())
}

/// Where to go after signing in: a path of our own, or the front page.
pub fn local_path(text: &str) -> String {
    let base = "http://muster.invalid/";
    let inside = |url: &Url| url.origin() == Url::parse(base).map_or(url.origin(), |base| base.origin());
    let plain =
        text.starts_with('/') && !text.starts_with("//") && !text.contains(['\\', '\n', '\r', '\t', '\0']);
    if !plain || text.len() > 2000 {
        return "/".to_owned();
    }
    match Url::parse(base).and_then(|base| base.join(text)) {
        Ok(url) if inside(&url) && !url.path().starts_with("//") => {
            let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
            let fragment = url
                .fragment()
                .map_or_else(String::new, |fragment| format!("#{fragment}"));
            format!("{}{query}{fragment}", url.path())
        }
        _ => "/".to_owned(),
    }
}

/// The path and query of a full address, as a referer holds it.
pub fn path_of(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    Some(local_path(&format!("{}{query}", url.path())))
}

/// The sign-in page that comes back to `next`.
pub fn login_address(next: &str) -> String {
    let next = local_path(next);
    if next == "/" || next.starts_with("/login") {
        return "/login".to_owned();
    }
    with_query("/login", &[("next", &next)])
}

/// The path with these parameters; empty ones are left out.
pub fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(visible("stop \u{202e}prod\u{202c}"), "stop ⟨U+202E⟩prod⟨U+202C⟩");
        assert_eq!(visible("a\u{200b}b\u{feff}"), "a⟨U+200B⟩b⟨U+FEFF⟩");
        assert_eq!(visible("\u{1b}[31mred\0\r\n"), "␛[31mred␀␍\n");
        assert_eq!(visible("Grüße, 世界 👩‍🚒"), "Grüße, 世界 👩⟨U+200D⟩🚒");
    }

    #[test]
    fn only_web_addresses_become_links() {
        for good in ["http://prom:9090/graph?g0.expr=up", "https://wiki.example/x"] {
            assert!(link(good).is_some(), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " \u{1}javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "//evil.example",
            "/relative",
            "mailto:a@example",
            "http://",
            "https://user:secret@example/",
            "",
        ] {
            assert_eq!(link(bad), None, "{bad}");
        }
    }

    #[test]
    fn sign_in_comes_back_only_to_our_own_pages() {
        for (given, taken) in [
            ("/incidents/4", "/incidents/4"),
            ("/approvals/7?x=1#reason", "/approvals/7?x=1#reason"),
            ("/a/../incidents", "/incidents"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("\\\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("/..//evil.example", "/"),
            ("/.//evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("incidents", "/"),
            ("", "/"),
        ] {
            assert_eq!(local_path(given), taken, "{given}");
        }
        assert_eq!(
            login_address("/approvals/7?a=b"),
            "/login?next=%2Fapprovals%2F7%3Fa%3Db"
        );
        assert_eq!(login_address("//evil.example"), "/login");
        assert_eq!(
            path_of("http://host:1/incidents/4?x=1"),
            Some("/incidents/4?x=1".to_owned())
        );
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
