//! Taking known keys out of a map, collecting every fault on the way.

use std::str::FromStr;

use super::{
    Fault,
    tree::{Key, Node, Place, Tree},
};
use crate::domain::{
    span::Span,
    template::{Expression, Template},
};

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes one.
    pub fn add(&mut self, at: Place, path: &str, message: impl Into<String>) {
        self.0.push(Fault {
            line: at.line,
            column: at.column,
            path: path.to_owned(),
            message: message.into(),
        });
    }
}

/// A map being read: what is asked for is taken out, what is left over is unknown.
pub(super) struct Fields {
    /// Where the map stands.
    pub at: Place,
    /// Its field path.
    pub path: String,
    pairs: Vec<(Key, Node)>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// Opens a map; anything else is a fault.
    pub fn open(node: Node, path: &str, faults: &mut Faults) -> Option<Self> {
        match node.value {
            Tree::Map(pairs) => Some(Self {
                at: node.at,
                path: path.to_owned(),
                pairs,
                asked: Vec::new(),
            }),
            other => {
                faults.add(node.at, path, format!("expected a map, found {}", other.kind()));
                None
            }
        }
    }

    /// The field path of a key.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Takes a key out; an explicit nothing counts as absent.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        let position = self.pairs.iter().position(|(found, _)| found.name == key)?;
        let (_, node) = self.pairs.remove(position);
        (!matches!(node.value, Tree::Null)).then_some(node)
    }

    /// Whether a key is there still.
    pub fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(found, _)| found.name == key)
    }

    /// Notes that a key is missing.
    pub fn missing(&self, key: &str, faults: &mut Faults) {
        faults.add(self.at, &self.path, format!("{key} is missing"));
    }

    /// A text.
    pub fn text(&mut self, key: &'static str, faults: &mut Faults) -> Option<(Place, String)> {
        let node = self.take(key)?;
        match node.value {
            Tree::Text(text) => Some((node.at, text)),
            other => {
                faults.add(
                    node.at,
                    &self.path_of(key),
                    format!("expected a text, found {}", other.kind()),
                );
                None
            }
        }
    }

    /// A text that reads as something.
    pub fn parsed<T: FromStr<Err: ToString>>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
    ) -> Option<(Place, T)> {
        let (at, text) = self.text(key, faults)?;
        match text.parse() {
            Ok(value) => Some((at, value)),
            Err(error) => {
                faults.add(at, &self.path_of(key), error.to_string());
                None
            }
        }
    }

    /// A length of time, within bounds.
    pub fn span(&mut self, key: &'static str, least: Span, most: Span, faults: &mut Faults) -> Option<Span> {
        let (at, span) = self.parsed::<Span>(key, faults)?;
        if span < least || span > most {
            faults.add(
                at,
                &self.path_of(key),
                format!("must be between {least} and {most}"),
            );
        }
        Some(span)
    }

    /// A whole number, within bounds.
    pub fn count(&mut self, key: &'static str, most: u32, faults: &mut Faults) -> Option<u32> {
        let node = self.take(key)?;
        let number = match &node.value {
            Tree::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        let number = number.filter(|number| (1..=most).contains(number));
        if number.is_none() {
            faults.add(
                node.at,
                &self.path_of(key),
                format!("expected a whole number from 1 to {most}"),
            );
        }
        number
    }

    /// True or false.
    pub fn flag(&mut self, key: &'static str, faults: &mut Faults) -> Option<bool> {
        let node = self.take(key)?;
        match node.value {
            Tree::Bool(value) => Some(value),
            other => {
                faults.add(
                    node.at,
                    &self.path_of(key),
                    format!("expected true or false, found {}", other.kind()),
                );
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        faults: &mut Faults,
    ) -> Option<(Place, T)> {
        let (at, text) = self.text(key, faults)?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Some((at, *value)),
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                faults.add(
                    at,
                    &self.path_of(key),
                    format!(
                        "\"{text}\" is none of {}{}",
                        known.join(", "),
                        hint(&text, &known)
                    ),
                );
                None
            }
        }
    }

    /// A text with `{{ }}` places.
    pub fn template(&mut self, key: &'static str, faults: &mut Faults) -> Option<(Place, Template)> {
        let (at, text) = self.text(key, faults)?;
        match Template::parse(&text) {
            Ok(template) => Some((at, template)),
            Err(error) => {
                faults.add(at, &self.path_of(key), error.to_string());
                None
            }
        }
    }

    /// A condition; `true` and `false` may stand bare.
    pub fn expression(&mut self, key: &'static str, faults: &mut Faults) -> Option<(Place, Expression)> {
        let node = self.take(key)?;
        let text = match node.value {
            Tree::Text(text) => text,
            Tree::Bool(value) => value.to_string(),
            other => {
                faults.add(
                    node.at,
                    &self.path_of(key),
                    format!("expected a condition, found {}", other.kind()),
                );
                return None;
            }
        };
        match Expression::parse(&text) {
            Ok(expression) => Some((node.at, expression)),
            Err(error) => {
                faults.add(node.at, &self.path_of(key), error.to_string());
                None
            }
        }
    }

    /// A list, item by item, each with its field path.
    pub fn list(&mut self, key: &'static str, most: usize, faults: &mut Faults) -> Vec<(String, Node)> {
        let Some(node) = self.take(key) else {
            return Vec::new();
        };
        let path = self.path_of(key);
        match node.value {
            Tree::List(items) => {
                if items.len() > most {
                    faults.add(
                        node.at,
                        &path,
                        format!("holds {} items; at most {most} are allowed", items.len()),
                    );
                }
                let items = items.into_iter().take(most).enumerate();
                items
                    .map(|(index, item)| (format!("{path}[{index}]"), item))
                    .collect()
            }
            other => {
                faults.add(node.at, &path, format!("expected a list, found {}", other.kind()));
                Vec::new()
            }
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str, most: usize, faults: &mut Faults) -> Vec<(Place, String)> {
        let mut texts = Vec::new();
        for (path, item) in self.list(key, most, faults) {
            match item.value {
                Tree::Text(text) => texts.push((item.at, text)),
                other => faults.add(item.at, &path, format!("expected a text, found {}", other.kind())),
            }
        }
        texts
    }

    /// Every key still there, for maps whose keys are free.
    pub fn rest(&mut self) -> Vec<(Key, Node)> {
        std::mem::take(&mut self.pairs)
    }

    /// What was not asked for is unknown; the nearest known key is named.
    pub fn close(self, faults: &mut Faults) {
        for (key, _) in &self.pairs {
            let message = format!("unknown key \"{}\"{}", key.name, hint(&key.name, &self.asked));
            faults.add(key.at, &self.path, message);
        }
    }
}

/// `; did you mean "timeout"?`, when something known is near.
pub(super) fn hint(text: &str, known: &[&str]) -> String {
    let near = known.iter().map(|word| (distance(text, word), word)).min();
    match near {
        Some((distance, word)) if distance <= 1 + word.len() / 4 => format!("; did you mean \"{word}\"?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance, on short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
