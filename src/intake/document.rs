//! A JSON body and the objects in it, each knowing its place, so that whatever is wrong can be named.
//!
//! Every text that leaves here can be stored: U+0000 is shown, lengths are bounded, times are cut to the precision
//! Postgres keeps.

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use serde_json::{Map, Value};

use super::Fault;
use crate::domain::labels::Labels;

/// The longest text Postgres keeps sensibly in one label; longer ones are cut visibly.
const TEXT_BYTES_MAX: usize = 65_536;
/// Numbers from here on are milliseconds since 1970, not seconds: as seconds this is the year 5138.
const EPOCH_MILLIS_MIN: f64 = 1e11;
/// How Amazon writes a time: RFC 3339, but for the colon in its offset.
const TIME_WITHOUT_COLON: &str = "%Y-%m-%dT%H:%M:%S%.f%z";

/// Reads a body as JSON.
pub(super) fn parse(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault {
        place: format!("line {}, column {}", error.line(), error.column()),
        problem: format!("not JSON: {}", json_problem(&error)),
    })
}

fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// A fault at a place.
pub(super) fn fault(place: &str, problem: impl Into<String>) -> Fault {
    Fault {
        // Both are kept, and what a sender wrote may stand in either.
        place: shown(place),
        problem: shown(&problem.into()),
    }
}

/// What a value is, for people.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An object in a body.
pub(super) struct Object<'a> {
    map: &'a Map<String, Value>,
    /// Its path from the root; empty for the root.
    pub(super) place: String,
}

impl<'a> Object<'a> {
    /// The value at `place`, if it is an object.
    pub(super) fn at(value: &'a Value, place: &str) -> Result<Self, Fault> {
        match value {
            Value::Object(map) => Ok(Self {
                map,
                place: place.to_owned(),
            }),
            other => Err(fault(place, format!("expected an object, found {}", kind(other)))),
        }
    }

    /// Where the value of `key` stands.
    pub(super) fn place_of(&self, key: &str) -> String {
        match self.place.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.place),
        }
    }

    /// A fault in the value of `key`.
    pub(super) fn fault(&self, key: &str, problem: impl Into<String>) -> Fault {
        fault(&self.place_of(key), problem)
    }

    /// The value of `key`; null counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A text; empty when it is absent.
    pub(super) fn text(&self, key: &str) -> Result<String, Fault> {
        self.raw_text(key).map(shown)
    }

    /// A text to the byte as it was sent, to be compared or decoded and not to be stored; empty when it is absent.
    pub(super) fn raw_text(&self, key: &str) -> Result<&'a str, Fault> {
        match self.get(key) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.fault(key, format!("expected a text, found {}", kind(other)))),
        }
    }

    /// A text that must be there and say something.
    pub(super) fn required(&self, key: &str) -> Result<String, Fault> {
        match self.text(key)? {
            text if text.is_empty() => Err(self.fault(key, "missing; expected a text")),
            text => Ok(text),
        }
    }

    /// An object; `None` when it is absent.
    pub(super) fn object(&self, key: &str) -> Result<Option<Object<'a>>, Fault> {
        self.get(key)
            .map(|value| Object::at(value, &self.place_of(key)))
            .transpose()
    }

    /// An object that must be there.
    pub(super) fn required_object(&self, key: &str) -> Result<Object<'a>, Fault> {
        self.object(key)?
            .ok_or_else(|| self.fault(key, "missing; expected an object"))
    }

    /// An object of texts, to the byte as they were sent, so that a fingerprint over them is the sender's.
    pub(super) fn pairs(&self, key: &str) -> Result<Labels, Fault> {
        let Some(object) = self.object(key)? else {
            return Ok(Labels::default());
        };
        object
            .map
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                other => Err(object.fault(name, format!("expected a text, found {}", kind(other)))),
            })
            .collect::<Result<_, _>>()
            .map(Labels)
    }

    /// What an object holds, whatever it is, as texts that can be stored; nulls and empty texts are left out, and
    /// what is no object holds nothing. For senders whose values are of any kind.
    pub(super) fn loose_pairs(&self, key: &str) -> Labels {
        let Some(Value::Object(map)) = self.get(key) else {
            return Labels::default();
        };
        Labels(
            map.iter()
                .filter_map(|(name, value)| Some((shown(name), plain(value)?)))
                .collect(),
        )
    }

    /// A time; `None` when it is absent, or the year 1, which Go programs send for "not yet".
    pub(super) fn time(&self, key: &str) -> Result<Option<DateTime<Utc>>, Fault> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => time(value).map_err(|problem| self.fault(key, problem)),
        }
    }
}

/// Reads a time: RFC 3339, or a number of seconds or milliseconds since 1970.
pub(super) fn time(value: &Value) -> Result<Option<DateTime<Utc>>, &'static str> {
    const EXPECTED: &str = "expected a time like 2026-11-21T02:01:26Z";
    let time = match value {
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, TIME_WITHOUT_COLON))
            .map_err(|_| EXPECTED)?
            .with_timezone(&Utc),
        Value::Number(number) => {
            let number = number.as_f64().ok_or(EXPECTED)?;
            let millis = match number.abs() < EPOCH_MILLIS_MIN {
                true => number * 1000.0,
                false => number,
            };
            // A float too large for an integer becomes the largest one, which is no time.
            DateTime::from_timestamp_millis(millis.round() as i64).ok_or(EXPECTED)?
        }
        _ => return Err(EXPECTED),
    };
    // Years of five digits are beyond what a page can show and RFC 3339 can write.
    if time.year() > 9999 {
        return Err(EXPECTED);
    }
    Ok((time.year() > 1).then(|| time.trunc_subsecs(6)))
}

/// A value as a text that can be stored; `None` for null and the empty text. Lists and objects stay JSON.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(shown(text)),
        other => Some(shown(&other.to_string())),
    }
}

/// U+0000, which Postgres refuses, becomes its picture; the raw body keeps the original.
pub(super) fn shown(text: &str) -> String {
    let mut text = text.replace('\0', "\u{2400}");
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push_str("… [cut]");
    }
    text
}

/// Names and values as they can be stored.
pub(super) fn visible(labels: Labels) -> Labels {
    Labels(
        labels
            .0
            .into_iter()
            .map(|(name, value)| (shown(&name), shown(&value)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_read_as_senders_write_it() {
        let stated = Some("2026-11-21T02:01:26.5+00:00");
        for (written, read) in [
            (json!("2026-11-21T02:01:26.5Z"), stated),
            (json!("2026-11-21T07:31:26.500+05:30"), stated),
            (json!("2026-11-21T02:01:26.500+0000"), stated),
            (json!(1_795_226_486.5), stated),
            (json!(1_795_226_486_500_i64), stated),
            (json!("0001-01-01T00:00:00Z"), None),
            (json!(""), None),
        ] {
            let read = read.map(|text| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc));
            assert_eq!(time(&written), Ok(read), "{written}");
        }
        for no_time in [
            json!("yesterday"),
            json!(1e300),
            json!(-1e300),
            json!(i64::MAX),
            json!(true),
            json!([]),
        ] {
            assert!(time(&no_time).is_err(), "{no_time}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = shown(&"ä".repeat(TEXT_BYTES_MAX));
        assert_eq!(cut.chars().filter(|c| *c == 'ä').count(), TEXT_BYTES_MAX / 2);
        assert!(cut.ends_with("… [cut]"));
        assert_eq!(shown(&"a".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
    }
}
