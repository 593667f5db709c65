//! A YAML text as a tree whose every key and value knows its place.
//!
//! The shapes of the format are read from this tree and not straight by serde, which stops at its first fault: a
//! person with five mistakes in a file gets to see five. Budgets hold before anything is kept, aliases, anchors,
//! merge keys, unknown tags and duplicate keys are refused, and only `true` and `false` are booleans.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{
    MessageFormatter, Spanned, UserMessageFormatter,
    budget::BudgetBreach,
    options::{DuplicateKeyPolicy, MergeKeyPolicy},
};

use super::Fault;

/// The longest file, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// The most scalars, lists and maps in one file.
pub const NODES_MAX: usize = 10_000;
/// How deep lists and maps may nest.
pub const DEPTH_MAX: usize = 32;

const NO_ALIASES: &str = "anchors and aliases are not part of the format";

/// Line and column, both from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Content {
    /// What a person calls it.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// The same without places.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Flag(flag) => Value::Bool(*flag),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Reads one document, or says where it stops being YAML.
pub(super) fn read(source: &str) -> Result<Node, Fault> {
    if source.len() > FILE_BYTES_MAX {
        return Err(Fault::at(
            Place { line: 1, column: 1 },
            String::new(),
            format!("the file is longer than {} KiB", FILE_BYTES_MAX / 1024),
        ));
    }
    serde_saphyr::from_str_with_options::<Node>(source, options()).map_err(|error| fault(&error))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
            max_total_scalar_bytes: FILE_BYTES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn fault(error: &serde_saphyr::Error) -> Fault {
    let place = error
        .location()
        .and_then(|location| place(&location))
        .unwrap_or(Place { line: 1, column: 1 });
    let message = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key \"{key}\" is given twice")
        }
        serde_saphyr::Error::MergeKeyNotAllowed { .. } => {
            "merge keys (<<) are not part of the format".to_owned()
        }
        serde_saphyr::Error::UnknownAnchor { .. } => NO_ALIASES.to_owned(),
        serde_saphyr::Error::MultipleDocuments { .. } => "one file holds one document".to_owned(),
        serde_saphyr::Error::Budget { breach, .. } => match breach {
            BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => NO_ALIASES.to_owned(),
            BudgetBreach::Depth { .. } => too_deep(),
            BudgetBreach::Documents { .. } => "one file holds one document".to_owned(),
            _ => format!("more than {NODES_MAX} values in one file"),
        },
        other => match UserMessageFormatter.format_message(other).into_owned() {
            text if text == "recursion limit exceeded" => too_deep(),
            text => text,
        },
    };
    Fault::at(place, String::new(), message.clone()).with_hint(slip(&message).map(str::to_owned))
}

/// The way out of the commonest slips there are.
fn slip(message: &str) -> Option<&'static str> {
    // `title: Postgres: the primary is down`
    if message.starts_with("mapping values are not allowed") {
        return Some("a text that holds a colon and a space goes in quotes");
    }
    // `{ in: labels.hosts | split(","), max: 5 }`: the word ends at the comma, and its second quote begins a text.
    match message {
        "unclosed quote" => {
            Some("inside { } and [ ] a text that holds a comma and quotes goes in the other kind of quotes")
        }
        _ if message.starts_with("invalid trailing content after") => Some(
            "a quote above may have begun it: inside { } and [ ] a text that holds a comma and quotes goes in the \
             other kind of quotes",
        ),
        _ => None,
    }
}

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX} levels")
}

fn place(location: &serde_saphyr::Location) -> Option<Place> {
    let number = |value: u64| u32::try_from(value).ok().filter(|value| *value > 0);
    Some(Place {
        line: number(location.line())?,
        column: number(location.column())?,
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            place: place(&spanned.referenced).unwrap_or(Place { line: 1, column: 1 }),
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Content, E> {
        Ok(Content::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Content, E> {
        Number::from_f64(number)
            .map(Content::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Cow<'de, str>>>()? {
            let place = place(&key.referenced).ok_or_else(|| A::Error::custom("a key without a place"))?;
            entries.push(Entry {
                key: key.value.into_owned(),
                place,
                value: map.next_value()?,
            });
        }
        Ok(Content::Map(entries))
    }
}
