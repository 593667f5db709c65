//! The inputs of an action, read strictly: an unknown name or a wrong type is a failure that names the field.

use serde_json::{Map, Value};

use super::invalid;
use crate::domain::{action::Failure, span::Span, step::ActionKind};

/// The `with` of one request.
pub(super) struct Inputs<'a> {
    map: Option<&'a Map<String, Value>>,
}

fn wrong(name: &str, expected: &str) -> Failure {
    invalid(format!("with.{name} must be {expected}"))
}

/// A scalar as the text it is sent as; `None` for lists, objects and null.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl<'a> Inputs<'a> {
    /// Takes `with` if it holds only names the action knows.
    pub(super) fn read(with: &'a Value, action: ActionKind) -> Result<Self, Failure> {
        let known: Vec<&str> = action.inputs().iter().map(|(name, _)| *name).collect();
        let map = match with {
            Value::Null => None,
            Value::Object(map) => Some(map),
            _ => return Err(invalid("with must be a map of inputs")),
        };
        if let Some(name) = map
            .into_iter()
            .flat_map(Map::keys)
            .find(|name| !known.contains(&name.as_str()))
        {
            let offer = match known.as_slice() {
                [] => "this action takes no inputs".to_owned(),
                known => format!("this action takes {}", known.join(", ")),
            };
            return Err(invalid(format!("with.{name} is not known; {offer}")));
        }
        Ok(Self { map })
    }

    /// The value as it is; null counts as absent.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.map?.get(name).filter(|value| !value.is_null())
    }

    /// A text that must be there and not be blank.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Failure> {
        match self.text_if_any(name)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(wrong(name, "a text that is not empty")),
            None => Err(wrong(name, "given, as a text")),
        }
    }

    /// A text that may be absent.
    pub(super) fn text_if_any(&self, name: &str) -> Result<Option<&'a str>, Failure> {
        self.value(name)
            .map(|value| value.as_str().ok_or_else(|| wrong(name, "a text")))
            .transpose()
    }

    /// A whole number from 1 to `max`.
    pub(super) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, Failure> {
        let Some(value) = self.value(name) else {
            return Ok(default);
        };
        value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| (1..=max).contains(number))
            .ok_or_else(|| wrong(name, &format!("a whole number from 1 to {max}")))
    }

    /// A length of time of at least a second.
    pub(super) fn span(&self, name: &str, default: Span) -> Result<Span, Failure> {
        let Some(value) = self.value(name) else {
            return Ok(default);
        };
        value
            .as_str()
            .and_then(|text| text.parse::<Span>().ok())
            .filter(|span| *span >= Span::from_secs(1))
            .ok_or_else(|| wrong(name, "a length of time of at least 1s, like 15m"))
    }

    /// One text or a list of texts; empty when absent.
    pub(super) fn names(&self, name: &str) -> Result<Vec<String>, Failure> {
        let expected = "a name or a list of names";
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map(str::to_owned)
                        .ok_or_else(|| wrong(name, expected))
                })
                .collect(),
            Some(_) => Err(wrong(name, expected)),
        }
    }

    /// A list of texts, numbers and booleans, as texts; a null item is `None`. Empty when absent.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Option<String>>, Failure> {
        let Some(value) = self.value(name) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| wrong(name, "a list"))?;
        items
            .iter()
            .enumerate()
            .map(|(i, item)| match item {
                Value::Null => Ok(None),
                item => scalar(item)
                    .map(Some)
                    .ok_or_else(|| wrong(&format!("{name}[{i}]"), "a text, a number or a boolean")),
            })
            .collect()
    }

    /// A map of texts, numbers and booleans, as texts; a list repeats its key. Empty when absent.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, Failure> {
        let Some(value) = self.value(name) else {
            return Ok(Vec::new());
        };
        let map = value.as_object().ok_or_else(|| wrong(name, "a map"))?;
        let mut pairs = Vec::new();
        for (key, value) in map {
            let items = match value {
                Value::Array(items) => items.as_slice(),
                single => std::slice::from_ref(single),
            };
            for item in items {
                let text = scalar(item)
                    .ok_or_else(|| wrong(&format!("{name}.{key}"), "a text, a number or a boolean"))?;
                pairs.push((key.clone(), text));
            }
        }
        Ok(pairs)
    }
}
