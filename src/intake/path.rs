//! A path into JSON, as people write it: what stands there is found, or put there.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 500;
/// The longest list that is made up for a test.
const INDEX_MAX: usize = 32;

/// A path into JSON: names and `[n]` with dots between them; `["a.b"]` for a name with a dot or bracket in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JsonPath {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Name(String),
    Index(usize),
}

impl JsonPath {
    /// Reads a path as people write it, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATH_BYTES_MAX {
            return Err(format!("a path has at most {PATH_BYTES_MAX} bytes"));
        }
        let parts = match text {
            "." => Vec::new(),
            _ => parts(text).ok_or_else(|| {
                format!("`{text}` is no path; expected one like data.events[0].name or tags[\"a.b\"]")
            })?,
        };
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// What stands there; `None` when there is nothing, or null.
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.parts
            .iter()
            .try_fold(value, |value, part| match part {
                Part::Name(name) => value.as_object()?.get(name),
                Part::Index(index) => value.as_array()?.get(*index),
            })
            .filter(|value| !value.is_null())
    }

    /// Puts a value there, making what is missing on the way, and adding to an object that is there; `false` when
    /// something else is in the way.
    pub(super) fn put(&self, root: &mut Value, value: Value) -> bool {
        let mut place = root;
        for part in &self.parts {
            place = match part {
                Part::Name(name) => {
                    if place.is_null() {
                        *place = Value::Object(serde_json::Map::new());
                    }
                    let Some(map) = place.as_object_mut() else {
                        return false;
                    };
                    map.entry(name.clone()).or_insert(Value::Null)
                }
                Part::Index(at) if *at < INDEX_MAX => {
                    if place.is_null() {
                        *place = Value::Array(Vec::new());
                    }
                    let Some(list) = place.as_array_mut() else {
                        return false;
                    };
                    if list.len() <= *at {
                        list.resize(at + 1, Value::Null);
                    }
                    &mut list[*at]
                }
                Part::Index(_) => return false,
            };
        }
        match (place, value) {
            (Value::Object(there), Value::Object(more)) => there.extend(more),
            (place, value) if place.is_null() || place.is_string() => *place = value,
            _ => return false,
        }
        true
    }

    /// The path of what stands there, for an object that stands at `place` itself.
    pub(super) fn below(&self, place: &str) -> String {
        match self.text.as_str() {
            "." => place.to_owned(),
            text if place.is_empty() || text.starts_with('[') => format!("{place}{text}"),
            text => format!("{place}.{text}"),
        }
    }
}

/// The parts of a path that has at least one.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(bracket) = rest.strip_prefix('[') {
            let (part, after) = match bracket.strip_prefix('"') {
                Some(quoted) => {
                    let (name, after) = quoted.split_once("\"]")?;
                    (Part::Name(name.to_owned()), after)
                }
                None => {
                    let (index, after) = bracket.split_once(']')?;
                    let digits = index.bytes().all(|byte| byte.is_ascii_digit());
                    (Part::Index(index.parse().ok().filter(|_| digits)?), after)
                }
            };
            parts.push(part);
            rest = after;
        } else {
            let rest_of_name = match parts.is_empty() {
                true => rest,
                false => rest.strip_prefix('.')?,
            };
            let end = rest_of_name.find(['.', '[']).unwrap_or(rest_of_name.len());
            let name = &rest_of_name[..end];
            if name.is_empty() || name.contains([']', '"']) {
                return None;
            }
            parts.push(Part::Name(name.to_owned()));
            rest = &rest_of_name[end..];
        }
    }
    (!parts.is_empty()).then_some(parts)
}

impl TryFrom<String> for JsonPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<JsonPath> for String {
    fn from(path: JsonPath) -> Self {
        path.text
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_a_value_or_to_nothing() {
        let value = json!({"a": {"b.c": [null, {"d": 7}]}, "": 1, "list": [1, [2, 3]]});
        for (path, found) in [
            (".", Some(value.clone())),
            ("a", Some(value["a"].clone())),
            ("a[\"b.c\"][1].d", Some(json!(7))),
            ("a[\"b.c\"][0]", None),
            ("a[\"b.c\"][2]", None),
            ("list[1][0]", Some(json!(2))),
            ("list.0", None),
            ("a[0]", None),
            ("[\"\"]", Some(json!(1))),
        ] {
            assert_eq!(
                JsonPath::parse(path).unwrap().find(&value),
                found.as_ref(),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = "a".repeat(PATH_BYTES_MAX + 1);
        for text in [
            "",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[x]",
            "a[-1]",
            "a[+1]",
            "a[]",
            "a]",
            "a[\"b]",
            "a[0]b",
            "a\"",
            "a[99999999999999999999]",
            &long,
        ] {
            assert!(JsonPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_put_is_found_and_nothing_is_overrun() {
        let mut root = json!({});
        for (path, value) in [
            ("a[1].b", json!(1)),
            ("tags", json!({"x": 1})),
            ("tags", json!({"y": 2})),
            (".", json!({"z": 3})),
        ] {
            assert!(JsonPath::parse(path).unwrap().put(&mut root, value), "{path}");
        }
        assert_eq!(
            root,
            json!({"a": [null, {"b": 1}], "tags": {"x": 1, "y": 2}, "z": 3})
        );
        for path in ["a.b", "tags[0]", "a[1].b.c", "a[99999]", "a"] {
            assert!(
                !JsonPath::parse(path).unwrap().put(&mut root, json!("x")),
                "{path}"
            );
        }
    }
}
