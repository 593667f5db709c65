//! What is asked of an Alertmanager: one of three things, read from the inputs of a step.

use serde_json::{Value, json};

use crate::actions::{inputs::Inputs, invalid};
use crate::domain::{
    action::Failure,
    matcher::{MatchOp, Matcher},
    silence::{self, COMMENT_CHARS_MAX, LONGEST, SHORTEST},
    span::Span,
    step::ActionKind,
};

/// The most alerts one look asks for by name.
const FINGERPRINTS_MAX: usize = 500;
/// The longest number or key of a silence, in bytes.
const WHICH_BYTES_MAX: usize = 200;

/// One of three things.
pub(super) enum Ask {
    /// Make a silence.
    Silence(Silence),
    /// End the one with this number or key.
    Expire(String),
    /// See what is listed.
    Look(Look),
}

/// A silence to be made.
pub(super) struct Silence {
    pub(super) matchers: Vec<Matcher>,
    pub(super) duration: Span,
    pub(super) comment: String,
}

/// Which alerts are looked for: all those that meet the matchers and go to the receiver.
pub(super) struct Look {
    pub(super) matchers: Vec<Matcher>,
    /// A regular expression, as Alertmanager takes it and as its own bodies name their receiver.
    pub(super) receiver: Option<String>,
    pub(super) fingerprints: Vec<String>,
}

impl Ask {
    pub(super) fn read(with: &Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Alertmanager)?;
        let given = |name: &str| inputs.value(name).is_some();
        match (given("silence"), given("expire")) {
            (true, true) => Err(invalid(
                "with.silence and with.expire are two things; a step does one",
            )),
            (true, false) => Ok(Self::Silence(Silence::read(&with["silence"])?)),
            (false, true) => {
                let which = inputs.text("expire")?.trim();
                match which.len() <= WHICH_BYTES_MAX {
                    true => Ok(Self::Expire(which.to_owned())),
                    false => Err(invalid("with.expire must be the number of a silence or its key")),
                }
            }
            (false, false) => Ok(Self::Look(Look::read(&inputs)?)),
        }
    }
}

impl Silence {
    fn read(with: &Value) -> Result<Self, Failure> {
        let wrong = |what: &str| invalid(format!("with.silence.{what}"));
        let map = with
            .as_object()
            .ok_or_else(|| invalid("with.silence must be a map"))?;
        if let Some(name) = map
            .keys()
            .find(|name| !["matchers", "duration", "comment"].contains(&name.as_str()))
        {
            return Err(wrong(&format!(
                "{name} is not known; it takes matchers, duration, comment"
            )));
        }
        let matchers = matchers("silence.matchers", &with["matchers"])?;
        silence::check(&matchers).map_err(|why| wrong(&format!("matchers: {why}")))?;
        let duration = with["duration"]
            .as_str()
            .and_then(|text| text.parse::<Span>().ok());
        let duration = duration.filter(|duration| (SHORTEST..=LONGEST).contains(duration));
        let duration = duration.ok_or_else(|| {
            wrong(&format!(
                "duration must be a length of time from {SHORTEST} to {LONGEST}"
            ))
        })?;
        let comment = with["comment"].as_str().unwrap_or_default();
        if comment.trim().is_empty() || comment.chars().count() > COMMENT_CHARS_MAX {
            return Err(wrong(&format!(
                "comment must say why, in at most {COMMENT_CHARS_MAX} characters"
            )));
        }
        Ok(Self {
            matchers,
            duration,
            comment: comment.to_owned(),
        })
    }

    /// As Alertmanager's interface takes them.
    pub(super) fn matchers_json(&self) -> Vec<Value> {
        let one = |matcher: &Matcher| {
            json!({
                "name": matcher.name,
                "value": matcher.value,
                "isRegex": matches!(matcher.op, MatchOp::Matches | MatchOp::NotMatches),
                "isEqual": matches!(matcher.op, MatchOp::Equal | MatchOp::Matches),
            })
        };
        self.matchers.iter().map(one).collect()
    }
}

impl Look {
    fn read(inputs: &Inputs<'_>) -> Result<Self, Failure> {
        let matchers = match inputs.value("matchers") {
            Some(value) => matchers("matchers", value)?,
            None => Vec::new(),
        };
        let fingerprints = inputs.names("fingerprints")?;
        if fingerprints.len() > FINGERPRINTS_MAX {
            return Err(invalid(format!(
                "with.fingerprints names more than {FINGERPRINTS_MAX} alerts"
            )));
        }
        let receiver = inputs.text_if_any("receiver")?.map(str::to_owned);
        if matchers.is_empty() && fingerprints.is_empty() && receiver.is_none() {
            return Err(invalid("a check needs with.matchers or with.fingerprints"));
        }
        Ok(Self {
            matchers,
            receiver,
            fingerprints,
        })
    }

    /// The query that asks for them. A label whose name older Alertmanagers cannot read is left out: more is listed then,
    /// never less.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let plain = |name: &str| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        let matchers = self.matchers.iter().filter(|matcher| plain(&matcher.name));
        let mut query: Vec<(&'static str, String)> =
            matchers.map(|matcher| ("filter", matcher.to_string())).collect();
        query.extend(
            self.receiver
                .iter()
                .map(|receiver| ("receiver", receiver.clone())),
        );
        query
    }
}

/// A line in Alertmanager's syntax, or a map of labels and their values, in which no value can be more than a value.
fn matchers(name: &str, value: &Value) -> Result<Vec<Matcher>, Failure> {
    let wrong = |why: String| invalid(format!("with.{name}: {why}"));
    match value {
        Value::String(text) => Matcher::parse_list(text).map_err(|error| wrong(error.to_string())),
        Value::Object(map) => map
            .iter()
            .map(|(label, value)| {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(flag) => flag.to_string(),
                    _ => return Err(wrong(format!("{label} must have a text"))),
                };
                Matcher::new(label, MatchOp::Equal, &value).map_err(wrong)
            })
            .collect(),
        _ => Err(wrong(
            "write a line of matchers, or a map of labels and values".to_owned(),
        )),
    }
}

/// The request as people see it.
pub(in crate::actions) fn describe(name: &str, with: &Value) -> Result<String, Failure> {
    let list = |matchers: &[Matcher]| {
        let words: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
        format!("{{{}}}", words.join(", "))
    };
    Ok(match Ask::read(with)? {
        Ask::Silence(silence) => format!(
            "silence {} in {name} for {}: {}",
            list(&silence.matchers),
            silence.duration,
            silence.comment.trim()
        ),
        Ask::Expire(which) => format!("expire silence {which} in {name}"),
        Ask::Look(look) => {
            let mut words = format!("alerts of {name} that meet {}", list(&look.matchers));
            if let Some(receiver) = &look.receiver {
                words.push_str(&format!(" and go to {receiver}"));
            }
            if !look.fingerprints.is_empty() {
                words.push_str(&format!(": are {} listed?", look.fingerprints.join(", ")));
            }
            words
        }
    })
}
