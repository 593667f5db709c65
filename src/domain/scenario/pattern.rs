//! What a twin listens for: a text in which `*` stands for anything.

/// A text with `*` for anything. Case and the width of white space make no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as it is written.
    pub fn new(text: &str) -> Self {
        Self(plain(text))
    }

    /// As it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` fits.
    pub fn fits(&self, text: &str) -> bool {
        let text = plain(text);
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

/// One kind of white space, one kind of letters.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in [
            ("select 1", "SELECT\n  1", true),
            ("select 1", "select 12", false),
            (
                "select pg_promote(*",
                "select pg_promote(true, 30) as promoted",
                true,
            ),
            ("*lag*", "select pg_wal_lag_mb() as lag", true),
            ("*lag*", "select 1", false),
            ("a*b*a", "aba", true),
            ("a*a", "a", false),
            ("a*bc*c", "abc", false),
            ("*", "", true),
            ("", "", true),
        ] {
            assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} on {text}");
        }
    }
}
