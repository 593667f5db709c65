//! Matchers in Alertmanager's syntax and with its semantics: anchored regular expressions, absent means empty.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::labels::Labels;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, the whole value must match
    Matches,
    /// `!~`
    NotMatches,
}

impl MatchOp {
    fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        }
    }
}

/// One comparison of one label, like `env=~"prod|staging"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The comparison.
    pub op: MatchOp,
    /// The text or expression compared with.
    pub value: String,
    regex: Option<Regex>,
}

/// Why a text is not a matcher; `at` is the byte where reading stopped.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("at character {at}: {problem}")]
pub struct MatcherError {
    /// Offset in characters from the start of the text, from 1.
    pub at: usize,
    /// What is wrong and what was expected.
    pub problem: String,
}

/// The largest compiled size of one expression, in bytes: bounds memory whatever a person writes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The library draws the expression with a mark below; its last line says what is wrong.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl Matcher {
    /// Builds a matcher, compiling its expression anchored at both ends.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, String> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(
                regex::RegexBuilder::new(&format!("^(?:{value})$"))
                    .size_limit(REGEX_BYTES_MAX)
                    .build()
                    .map_err(|error| {
                        format!("\"{value}\" is not a regular expression: {}", last_line(&error))
                    })?,
            ),
        };
        Ok(Self {
            name: name.to_owned(),
            op,
            value: value.to_owned(),
            regex,
        })
    }

    /// Whether the label set satisfies this matcher. A label that is absent compares as the empty text.
    pub fn holds(&self, labels: &Labels) -> bool {
        let actual = labels.get(&self.name);
        let is_match = self.regex.as_ref().is_some_and(|regex| regex.is_match(actual));
        match self.op {
            MatchOp::Equal => actual == self.value,
            MatchOp::NotEqual => actual != self.value,
            MatchOp::Matches => is_match,
            MatchOp::NotMatches => !is_match,
        }
    }

    /// Reads a list like `alertname="Down", env=~"prod|staging"`; surrounding braces and a trailing comma are
    /// allowed, quotes may be left out around plain words.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MatcherError> {
        let mut reader = Reader {
            chars: text.chars().collect(),
            at: 0,
        };
        reader.list()
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn fault<T>(&self, problem: impl Into<String>) -> Result<T, MatcherError> {
        Err(MatcherError {
            at: self.at + 1,
            problem: problem.into(),
        })
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn list(&mut self) -> Result<Vec<Matcher>, MatcherError> {
        self.skip_space();
        let braced = self.eat('{');
        let mut matchers = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                None if braced => return self.fault("the closing brace is missing"),
                None => break,
                Some('}') if braced => {
                    self.at += 1;
                    self.skip_space();
                    match self.peek() {
                        None => break,
                        Some(_) => return self.fault("nothing may follow the closing brace"),
                    }
                }
                Some(_) => matchers.push(self.matcher()?),
            }
            self.skip_space();
            if !self.eat(',') && self.peek().is_some_and(|c| c != '}') {
                return self.fault("expected a comma between matchers");
            }
        }
        match matchers.is_empty() {
            true => self.fault("at least one matcher is needed, like alertname=\"Down\""),
            false => Ok(matchers),
        }
    }

    fn matcher(&mut self) -> Result<Matcher, MatcherError> {
        let start = self.at;
        let name = match self.peek() {
            Some('"') => self.quoted()?,
            _ => self.bare(|c| !"=!~,{}\"".contains(c) && !c.is_whitespace()),
        };
        if name.is_empty() {
            return self.fault("expected a label name");
        }
        self.skip_space();
        let op = match (self.peek(), self.chars.get(self.at + 1)) {
            (Some('='), Some('~')) => MatchOp::Matches,
            (Some('!'), Some('~')) => MatchOp::NotMatches,
            (Some('!'), Some('=')) => MatchOp::NotEqual,
            (Some('='), _) => MatchOp::Equal,
            _ => return self.fault(format!("expected =, !=, =~ or !~ after {name}")),
        };
        self.at += op.text().len();
        self.skip_space();
        let value = match self.peek() {
            Some('"') => self.quoted()?,
            _ => self.bare(|c| !",}\"".contains(c)).trim_end().to_owned(),
        };
        Matcher::new(&name, op, &value).map_err(|problem| MatcherError {
            at: start + 1,
            problem,
        })
    }

    fn bare(&mut self, allowed: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&allowed) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn quoted(&mut self) -> Result<String, MatcherError> {
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => return Ok(text),
                '\\' => match self.peek() {
                    Some('n') => self.escaped(&mut text, "\n"),
                    Some('"') => self.escaped(&mut text, "\""),
                    Some('\\') => self.escaped(&mut text, "\\"),
                    // Alertmanager keeps an unknown escape as it stands, which lets `\.` reach the expression.
                    _ => text.push('\\'),
                },
                other => text.push(other),
            }
        }
        self.fault("the closing quote is missing")
    }

    fn escaped(&mut self, text: &mut String, meaning: &str) {
        self.at += 1;
        text.push_str(meaning);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self
            .value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.name, self.op.text())
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl TryFrom<String> for Matcher {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut list = Matcher::parse_list(&text).map_err(|error| error.to_string())?;
        match (list.pop(), list.is_empty()) {
            (Some(matcher), true) => Ok(matcher),
            _ => Err(format!("expected one matcher in {text}")),
        }
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> Self {
        matcher.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_have_alertmanagers_semantics() {
        let labels = Labels::from([("alertname", "Down"), ("env", "prod"), ("path", "a.b")]);
        for (text, holds) in [
            (r#"alertname="Down""#, true),
            (r#"alertname=Down, env=~"prod|staging""#, true),
            (r#"{env=~"pro"}"#, false),
            (r#"env!~"staging|dev","#, true),
            (r#"absent="""#, true),
            (r#"absent!="""#, false),
            (r#"absent=~".*""#, true),
            (r#"path=~"a\.b""#, true),
            (r#" env != "prod" "#, false),
        ] {
            let list = Matcher::parse_list(text).unwrap();
            assert_eq!(list.iter().all(|m| m.holds(&labels)), holds, "{text}");
            for matcher in list {
                assert_eq!(Matcher::try_from(matcher.to_string()).unwrap(), matcher, "{text}");
            }
        }
    }

    #[test]
    fn a_fault_names_its_place() {
        for (text, at) in [
            ("", 1),
            ("env", 4),
            ("env=\"x", 7),
            ("a=\"b\" c=\"d\"", 7),
            ("{a=b", 5),
            ("e=~\"(\"", 1),
        ] {
            let fault = Matcher::parse_list(text).unwrap_err();
            assert_eq!(fault.at, at, "{text}: {fault}");
        }
    }
}
