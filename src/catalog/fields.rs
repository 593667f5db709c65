//! Reads maps and scalars of a document field by field. A fault is noted and reading goes on, so whoever calls gets
//! `None` for what is wrong and the person gets the whole list.

use std::{ops::RangeInclusive, str::FromStr};

use serde_json::Value;

use super::{
    document::{Content, Entry, Node},
    findings::{Findings, Path},
    nearest,
};
use crate::domain::span::Span;

/// Keys the format will have; until then a file with one is refused rather than half carried out.
const LATER: [(&str, &str); 4] = [
    ("notify", "use a call to http, or a manual step"),
    (
        "tests",
        "put each test into a file of its own in the folder tests",
    ),
    ("twin", "leave it out"),
    (
        "limits",
        "a target has timeout_max; limits are those of a command",
    ),
];

/// A value and the way to it.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    pub(super) path: Path,
}

/// A map whose keys have been checked.
pub(super) struct Fields<'a> {
    entries: &'a [Entry],
    pub(super) path: Path,
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: Path::default(),
        }
    }

    fn expected(&self, what: &str, findings: &mut Findings<'_>) {
        let message = match &self.node.content {
            Content::Null => format!("has no value; expected {what}"),
            other => format!("expected {what}, found {}", other.noun()),
        };
        let hint = match (&self.node.content, what) {
            (Content::Number(_) | Content::Flag(_), "a text") => Some("put it in quotes".to_owned()),
            _ => None,
        };
        findings.fault_with_hint(&self.path, message, hint);
    }

    /// A map with none but `known` keys.
    pub(super) fn fields(&self, known: &[&str], findings: &mut Findings<'_>) -> Option<Fields<'a>> {
        let fields = self.entries(findings)?;
        for entry in fields.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let path = self.path.key(&entry.key);
            // `twin` is a slip where twins are known, and not what is to come.
            let is_slip = nearest::nearest(&entry.key, known.iter().copied()).is_some();
            let later = LATER.iter().find(|(key, _)| *key == entry.key && !is_slip);
            let (message, hint) = match later {
                Some((key, instead)) => (
                    format!("this version of Muster does not carry out \"{key}\""),
                    Some((*instead).to_owned()),
                ),
                None => (
                    format!("unknown field \"{}\"", entry.key),
                    nearest::hint(&entry.key, known.iter().copied()),
                ),
            };
            findings.fault_at_key(entry.place, &path, message, hint);
        }
        Some(fields)
    }

    /// A map with any keys.
    pub(super) fn entries(&self, findings: &mut Findings<'_>) -> Option<Fields<'a>> {
        match &self.node.content {
            Content::Map(entries) => Some(Fields {
                entries,
                path: self.path.clone(),
            }),
            _ => {
                self.expected("a map", findings);
                None
            }
        }
    }

    /// A list of at most `max` items.
    pub(super) fn list(&self, max: usize, findings: &mut Findings<'_>) -> Vec<Field<'a>> {
        let Content::List(items) = &self.node.content else {
            self.expected("a list", findings);
            return Vec::new();
        };
        if items.len() > max {
            findings.fault(
                &self.path,
                format!("at most {max} are allowed, found {}", items.len()),
            );
        }
        items
            .iter()
            .take(max)
            .enumerate()
            .map(|(i, node)| Field {
                node,
                path: self.path.index(i),
            })
            .collect()
    }

    /// A text that is not blank.
    pub(super) fn text(&self, findings: &mut Findings<'_>) -> Option<&'a str> {
        match &self.node.content {
            Content::Text(text) if text.trim().is_empty() => {
                findings.fault(&self.path, "the text is empty");
                None
            }
            Content::Text(text) => Some(text),
            _ => {
                self.expected("a text", findings);
                None
            }
        }
    }

    /// A text that `parse` takes.
    pub(super) fn parsed<T, E: ToString>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
        findings: &mut Findings<'_>,
    ) -> Option<T> {
        let text = self.text(findings)?;
        parse(text)
            .map_err(|error| findings.fault(&self.path, error.to_string()))
            .ok()
    }

    /// One of these words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)], findings: &mut Findings<'_>) -> Option<T> {
        let text = self.text(findings)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = nearest::nearest(text, known.iter().copied())
                .map(|candidate| format!("did you mean \"{candidate}\"?"));
            findings.fault_with_hint(
                &self.path,
                format!("expected {}, found \"{text}\"", known.join(", ")),
                hint,
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A length of time within these bounds.
    pub(super) fn span(&self, bounds: RangeInclusive<Span>, findings: &mut Findings<'_>) -> Option<Span> {
        let Content::Text(text) = &self.node.content else {
            self.expected("a length of time like 30s", findings);
            return None;
        };
        match Span::from_str(text) {
            Ok(span) if bounds.contains(&span) => Some(span),
            Ok(_) => {
                findings.fault(
                    &self.path,
                    format!(
                        "must be from {} to {}, found {text}",
                        bounds.start(),
                        bounds.end()
                    ),
                );
                None
            }
            Err(error) => {
                findings.fault(&self.path, error.to_string());
                None
            }
        }
    }

    /// A whole number within these bounds.
    pub(super) fn count(&self, bounds: RangeInclusive<u32>, findings: &mut Findings<'_>) -> Option<u32> {
        let Content::Number(number) = &self.node.content else {
            self.expected("a whole number", findings);
            return None;
        };
        let count = number
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| bounds.contains(count));
        if count.is_none() {
            findings.fault(
                &self.path,
                format!(
                    "must be a whole number from {} to {}, found {number}",
                    bounds.start(),
                    bounds.end()
                ),
            );
        }
        count
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, findings: &mut Findings<'_>) -> Option<bool> {
        match &self.node.content {
            Content::Flag(flag) => Some(*flag),
            Content::Text(text) => {
                findings.fault(&self.path, format!("expected true or false, found \"{text}\""));
                None
            }
            _ => {
                self.expected("true or false", findings);
                None
            }
        }
    }

    /// The value without places.
    pub(super) fn to_value(&self) -> Value {
        self.node.to_value()
    }
}

impl<'a> Fields<'a> {
    /// The value of that key.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field {
            node: &entry.value,
            path: self.path.key(key),
        })
    }

    /// The value of that key; its absence is a fault.
    pub(super) fn need(&self, key: &str, findings: &mut Findings<'_>) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            findings.fault(&self.path, format!("the field \"{key}\" is missing"));
        }
        field
    }

    /// All keys with their values.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.entries.iter().map(|entry| {
            let field = Field {
                node: &entry.value,
                path: self.path.key(&entry.key),
            };
            (entry.key.as_str(), field)
        })
    }

    /// The key of the field at `key` is wrong.
    pub(super) fn fault_at_key(
        &self,
        key: &str,
        message: String,
        hint: Option<String>,
        findings: &mut Findings<'_>,
    ) {
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == key) {
            findings.fault_at_key(entry.place, &self.path.key(key), message, hint);
        }
    }
}

/// What `parse` makes of the text of a field, if it is there.
pub(super) fn parsed<T, E: ToString>(
    field: Option<Field<'_>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    findings: &mut Findings<'_>,
) -> Option<T> {
    field?.parsed(parse, findings)
}
