//! How JSON of any shape is read as alerts: where in it each part of an alert stands.
//!
//! ```yaml
//! alerts: data.events            # the list; without it the body is one alert, or a list of them
//! status: state                  # without it every alert fires
//! firing: [triggered]            # values of status; case does not matter
//! resolved: [recovered, muted]
//! starts_at: since               # RFC 3339, or seconds or milliseconds since 1970
//! ends_at: until
//! labels:
//!   from: tags                   # an object whose values become labels
//!   names: { alertname: rule.title, service: rule["app.name"], host: hosts[0] }
//! annotations:
//!   names: { summary: text }
//! url: links[0].href
//! key: [id]                      # what makes it the same alert; without it, all its labels
//! ```
//!
//! All paths but that of `alerts` begin at the alert; a path of one dot is the alert itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::path::JsonPath;
use super::{
    Fault,
    document::{fault, kind},
};

/// Values of a status that mean firing, unless the mapping says others.
const FIRING: [&str; 8] = [
    "firing",
    "triggered",
    "alerting",
    "alert",
    "open",
    "active",
    "problem",
    "critical",
];
/// Values of a status that mean resolved, unless the mapping says others.
const RESOLVED: [&str; 6] = ["resolved", "ok", "closed", "recovered", "recovery", "inactive"];

/// Where the parts of an alert stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The list of alerts, from the root. Without it the root is the list or the only alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<JsonPath>,
    /// Whether it fires. Without it every alert does, until something else ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<JsonPath>,
    /// Values of the status that mean firing. One that is in both lists is firing: rather one alert too many.
    #[serde(default = "firing")]
    pub firing: Vec<String>,
    /// Values of the status that mean resolved.
    #[serde(default = "resolved")]
    pub resolved: Vec<String>,
    /// When it began; without it, when it is heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<JsonPath>,
    /// When it ended; without it, when that is heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<JsonPath>,
    /// What it is about.
    #[serde(default)]
    pub labels: Pick,
    /// What it says.
    #[serde(default)]
    pub annotations: Pick,
    /// Where it can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<JsonPath>,
    /// The values that make it the same alert; without them, all its labels do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<JsonPath>,
}

/// Fields that are paths, lists of words, and picks of names.
const PATHS: [&str; 5] = ["alerts", "status", "starts_at", "ends_at", "url"];
const LISTS: [&str; 2] = ["firing", "resolved"];
const PICKS: [&str; 2] = ["labels", "annotations"];

impl Mapping {
    /// Reads a mapping as it is kept; a fault names the field that cannot stay as it is.
    pub fn read(value: &Value) -> Result<Self, Fault> {
        let root = object(value, "")?;
        for (name, value) in root {
            match name.as_str() {
                field if PATHS.contains(&field) => path(value, field)?,
                field if LISTS.contains(&field) => list(value, field, |_, _| Ok(()))?,
                field if PICKS.contains(&field) => pick(value, field)?,
                "key" => list(value, "key", path)?,
                _ => {
                    let known = [&PATHS[..], &LISTS, &PICKS, &["key"]].concat().join(", ");
                    return Err(fault(
                        name,
                        format!("is no field of a mapping; expected one of {known}"),
                    ));
                }
            }
        }
        // What is left to find is nothing a person could have meant.
        serde_json::from_value(value.clone()).map_err(|error| fault("", error.to_string()))
    }
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a serde_json::Map<String, Value>, Fault> {
    let problem = || format!("expected an object, found {}", kind(value));
    value.as_object().ok_or_else(|| fault(place, problem()))
}

fn path(value: &Value, place: &str) -> Result<(), Fault> {
    match value {
        Value::Null => Ok(()),
        Value::String(text) => JsonPath::parse(text)
            .map(drop)
            .map_err(|problem| fault(place, problem)),
        other => Err(fault(
            place,
            format!("expected a path in quotes, found {}", kind(other)),
        )),
    }
}

fn list(value: &Value, place: &str, check: fn(&Value, &str) -> Result<(), Fault>) -> Result<(), Fault> {
    let problem = || format!("expected a list, found {}", kind(value));
    let items = value.as_array().ok_or_else(|| fault(place, problem()))?;
    for (at, item) in items.iter().enumerate() {
        let place = format!("{place}[{at}]");
        if !item.is_string() {
            return Err(fault(&place, format!("expected a text, found {}", kind(item))));
        }
        check(item, &place)?;
    }
    Ok(())
}

fn pick(value: &Value, place: &str) -> Result<(), Fault> {
    for (name, value) in object(value, place)? {
        match name.as_str() {
            "from" => path(value, &format!("{place}.from"))?,
            "names" => {
                for (label, value) in object(value, &format!("{place}.names"))? {
                    let place = format!("{place}.names.{label}");
                    match value {
                        Value::Null => return Err(fault(&place, "expected a path in quotes, found null")),
                        value => path(value, &place)?,
                    }
                }
            }
            _ => {
                let place = format!("{place}.{name}");
                return Err(fault(&place, "is no field here; expected from or names"));
            }
        }
    }
    Ok(())
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            alerts: None,
            status: None,
            firing: firing(),
            resolved: resolved(),
            starts_at: None,
            ends_at: None,
            labels: Pick::default(),
            annotations: Pick::default(),
            url: None,
            key: Vec::new(),
        }
    }
}

fn firing() -> Vec<String> {
    FIRING.map(str::to_owned).into()
}

fn resolved() -> Vec<String> {
    RESOLVED.map(str::to_owned).into()
}

/// Names and values picked out of an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// An object, all of which is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<JsonPath>,
    /// Single values by the names they get; they come before those of `from`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, JsonPath>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mapping_is_read_strictly_and_written_back() {
        let mapping: Mapping = serde_json::from_value(json!({
            "alerts": "data", "status": "s", "labels": {"from": "tags", "names": {"host": "hosts[0]"}}, "key": ["id"],
        }))
        .unwrap();
        assert_eq!(mapping.firing, firing());
        let again: Mapping = serde_json::from_value(serde_json::to_value(&mapping).unwrap()).unwrap();
        assert_eq!(again, mapping);
        for wrong in [
            json!({"alert": "x"}),
            json!({"labels": {"form": "x"}}),
            json!({"url": "a..b"}),
        ] {
            assert!(
                serde_json::from_value::<Mapping>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_fault_of_a_mapping_names_its_field() {
        for (mapping, place, problem) in [
            (json!([]), "", "expected an object, found a list"),
            (
                json!({"alert": "x"}),
                "alert",
                "no field of a mapping; expected one of alerts",
            ),
            (json!({"url": "a..b"}), "url", "`a..b` is no path"),
            (
                json!({"status": 7}),
                "status",
                "expected a path in quotes, found a number",
            ),
            (json!({"firing": "on"}), "firing", "expected a list, found a text"),
            (json!({"resolved": ["ok", 1]}), "resolved[1]", "expected a text"),
            (json!({"key": ["id", "a["]}), "key[1]", "is no path"),
            (json!({"labels": "tags"}), "labels", "expected an object"),
            (
                json!({"labels": {"form": "x"}}),
                "labels.form",
                "expected from or names",
            ),
            (
                json!({"labels": {"from": "."}, "annotations": {"names": {"summary": "a]"}}}),
                "annotations.names.summary",
                "is no path",
            ),
            (
                json!({"labels": {"names": {"x": null}}}),
                "labels.names.x",
                "found null",
            ),
        ] {
            let fault = Mapping::read(&mapping).unwrap_err();
            assert_eq!(fault.place, place, "{mapping}");
            assert!(fault.problem.contains(problem), "{mapping}: {fault}");
        }
        let good = json!({"alerts": "data", "status": "s", "firing": ["on"], "resolved": [], "starts_at": null,
                          "labels": {"from": "tags", "names": {"host": "hosts[0]"}}, "key": ["id"], "url": "."});
        let read = Mapping::read(&good).unwrap();
        assert_eq!(Ok(read), serde_json::from_value(good).map_err(|_| ()));
    }
}
