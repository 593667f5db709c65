//! One recorded question and its answer, in the words of a twin. What was recorded is data: nothing in it is filled in.

use serde_json::{Map, Value, json};
use url::Url;

use crate::domain::{
    action::{Failure, FailureClass, Rendered},
    night::{Answered, Asking},
    step::ActionKind,
    template::SOURCE_BYTES_MAX,
};

/// The longest text that is kept of an answer, so that it fits a twin's.
pub(super) const TEXT_BYTES_MAX: usize = 3000;
/// Rows, samples or lines of one answer.
pub(super) const ITEMS_MAX: usize = 500;

/// A question as its twin hears it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub words: String,
    pub method: Option<String>,
}

/// What was asked; `None` for kinds of targets whose twins listen to no words.
pub(super) fn question(asking: &Asking) -> Option<Question> {
    let text = |key: &str| asking.request.with.get(key).and_then(Value::as_str);
    let words = match asking.request.action {
        ActionKind::Http => {
            let method = text("method").unwrap_or("GET").to_uppercase();
            return Some(Question {
                words: heard(&address(&asking.request)),
                method: Some(method),
            });
        }
        ActionKind::Postgres | ActionKind::Prometheus | ActionKind::Loki | ActionKind::Elasticsearch => {
            text("query")?.to_owned()
        }
        // Of a probe it was not always kept how its program was called.
        ActionKind::Command if asking.command.is_empty() => return None,
        ActionKind::Command => program(&asking.command),
        ActionKind::Tcp | ActionKind::Alertmanager | ActionKind::Haproxy | ActionKind::File => return None,
    };
    Some(Question {
        words: heard(&words),
        method: None,
    })
}

/// Words as a pattern: what would be filled in may be anything.
fn heard(words: &str) -> String {
    words.replace("{{", "*").replace("{%", "*").replace("{#", "*")
}

/// The path of an HTTP request with its query.
fn address(request: &Rendered) -> String {
    let path = request
        .with
        .get("path")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let plain = format!("/{}", path.trim_start_matches('/'));
    let Ok(mut url) = Url::parse("http://twin.test").and_then(|base| base.join(&plain)) else {
        return plain;
    };
    if let Some(Value::Object(query)) = request.with.get("query") {
        for (key, value) in query {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            url.query_pairs_mut().append_pair(key, &value);
        }
    }
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// A program with its arguments. Quoted ones may be anything: people see them otherwise than the program.
fn program(command: &str) -> String {
    let plain = command.split(" with input ").next().unwrap_or_default();
    let plain = plain.split(" as ").next().unwrap_or_default();
    match plain.split_once('"') {
        Some((before, _)) => format!("{before}*"),
        None => plain.to_owned(),
    }
}

/// Whether the target could be reached at all; `None` when nothing was sent for a reason of our own.
pub(super) fn was_up(asking: &Asking) -> Option<bool> {
    match &asking.answer {
        Answered::Failed(failure) => match failure.class {
            FailureClass::NotSent => Some(false),
            FailureClass::Invalid => None,
            FailureClass::Lost | FailureClass::Refused => Some(true),
        },
        Answered::Result(_) | Answered::Lost => Some(true),
    }
}

/// What the twin says; `None` where nothing was answered.
pub(super) fn said(asking: &Asking) -> Option<Map<String, Value>> {
    let kind = asking.request.action;
    let says = match &asking.answer {
        Answered::Failed(failure) => match failure.class {
            FailureClass::Refused => refused(kind, failure),
            _ => return None,
        },
        // It arrives and is done, and nobody hears of it.
        Answered::Lost => match kind {
            ActionKind::Prometheus => json!({"lost": "t >= 0", "none": true}),
            ActionKind::Loki | ActionKind::Elasticsearch => json!({"lost": "t >= 0", "lines": []}),
            _ => json!({"lost": "t >= 0"}),
        },
        Answered::Result(result) => told(kind, result)?,
    };
    match says {
        Value::Object(says) => Some(says),
        _ => None,
    }
}

fn refused(kind: ActionKind, failure: &Failure) -> Value {
    let answered = failure.message.split_once(" answered ").map(|(_, rest)| rest);
    let web = answered.and_then(|rest| {
        let status: u16 = rest.get(..3)?.parse().ok()?;
        let body = rest.split_once(": ").map_or("", |(_, body)| body);
        (200..=599)
            .contains(&status)
            .then(|| json!({"status": status, "body": literal(body)}))
    });
    match web.filter(|_| kind == ActionKind::Http) {
        Some(web) => web,
        None => json!({"fails": literal(&failure.message)}),
    }
}

fn told(kind: ActionKind, result: &Value) -> Option<Value> {
    let list = |key: &str| result[key].as_array().into_iter().flatten().take(ITEMS_MAX);
    Some(match kind {
        ActionKind::Postgres => {
            let rows: Vec<Value> = list("rows").filter(|row| row.is_object()).map(tree).collect();
            json!({"rows": rows})
        }
        ActionKind::Prometheus => {
            let samples = list("samples").filter(|sample| sample["value"].is_number());
            let samples: Vec<Value> = samples
                .map(|sample| json!({"labels": tree(&sample["labels"]), "value": sample["value"]}))
                .collect();
            match samples.is_empty() {
                true => json!({"none": true}),
                false => json!({"samples": samples}),
            }
        }
        ActionKind::Http => {
            let status = result["status"].as_u64().unwrap_or(200);
            match &result["body"] {
                Value::Null => json!({"status": status}),
                body => json!({"status": status, "body": tree(body)}),
            }
        }
        ActionKind::Loki | ActionKind::Elasticsearch => {
            let lines: Vec<String> = lines(result).into_iter().map(literal).collect();
            json!({"lines": lines})
        }
        ActionKind::Command => {
            let output = result["stdout"].as_str().unwrap_or_default();
            let exit = result["exit_code"].as_i64().unwrap_or(0).clamp(0, 255);
            let output = match output.trim().is_empty() {
                true => String::new(),
                false => literal(output),
            };
            json!({"output": output, "exit": exit})
        }
        ActionKind::Tcp | ActionKind::Alertmanager | ActionKind::Haproxy | ActionKind::File => return None,
    })
}

/// How many texts of an answer are cut, and how many rows and lines.
pub(super) fn cuts(asking: &Asking) -> (usize, usize) {
    fn walk(value: &Value) -> (usize, usize) {
        match value {
            Value::String(text) => (usize::from(text.len() > TEXT_BYTES_MAX), 0),
            Value::Array(items) => {
                let inside = items.iter().take(ITEMS_MAX).map(walk);
                let (texts, cut) = inside.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
                (texts, cut + items.len().saturating_sub(ITEMS_MAX))
            }
            Value::Object(map) => map
                .values()
                .map(walk)
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
            _ => (0, 0),
        }
    }
    let Answered::Result(result) = &asking.answer else {
        return (0, 0);
    };
    // Only what a twin of this kind gives.
    let key = match asking.request.action {
        ActionKind::Postgres => "rows",
        ActionKind::Prometheus => "samples",
        ActionKind::Http => "body",
        ActionKind::Loki | ActionKind::Elasticsearch | ActionKind::File => "lines",
        ActionKind::Command => "stdout",
        ActionKind::Tcp | ActionKind::Alertmanager | ActionKind::Haproxy => return (0, 0),
    };
    walk(&result[key])
}

/// The log lines of a result, blank ones left out.
pub(super) fn lines(result: &Value) -> Vec<&str> {
    let lines = result["lines"].as_array().into_iter().flatten().take(ITEMS_MAX);
    let texts = lines.filter_map(|line| line["text"].as_str().or(line.as_str()));
    texts.filter(|text| !text.trim().is_empty()).collect()
}

/// A value in which every text is meant as it stands.
fn tree(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(literal(text)),
        Value::Array(items) => items.iter().take(ITEMS_MAX).map(tree).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), tree(value)))
            .collect(),
        plain => plain.clone(),
    }
}

/// A text as a template that gives this text.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = cut(text).chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\0', _) => {}
            ('{', Some('{' | '%' | '#')) => out.push_str("{{ '{' }}"),
            (c, _) => out.push(c),
        }
    }
    match out.len() > SOURCE_BYTES_MAX {
        true => unfilled(text),
        false => out,
    }
}

/// A text as a template that gives this text while the night's clock is at `from` or later, and nothing before.
pub(super) fn literal_from(text: &str, from: u64) -> String {
    let mut quoted = String::new();
    let mut rest = cut(text).chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\0', _) => {}
            ('\\' | '\'', _) => quoted.extend(['\\', c]),
            // What opens or ends an expression is put together from two pieces.
            ('{', Some('{' | '%' | '#')) | ('}' | '%' | '#', Some('}')) => {
                quoted.push(c);
                quoted.push_str("' ~ '");
            }
            (c, _) => quoted.push(c),
        }
    }
    let out = format!("{{{{ ('{quoted}') if night.at >= {from} else '' }}}}");
    match out.len() > SOURCE_BYTES_MAX {
        true => literal(text),
        false => out,
    }
}

/// A text where nothing is filled in and a template is refused.
pub(super) fn unfilled(text: &str) -> String {
    cut(text)
        .replace('\0', "")
        .replace("{{", "{ {")
        .replace("{{", "{ {")
        .replace("{%", "{ %")
        .replace("{#", "{ #")
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::Template;

    #[test]
    fn what_was_recorded_is_never_filled_in() {
        for text in ["a {{ b }} c", "{% if %}", "{{{{", "{", "{# x", "plain"] {
            let template = Template::parse(&literal(text)).unwrap();
            assert_eq!(template.render(&json!({})).unwrap(), text);
        }
    }

    #[test]
    fn a_line_that_comes_later_is_never_filled_in_either() {
        for text in [
            "a {{ b }} c",
            "{\"a\":{\"b\":{}}}",
            "{% if %}",
            "it's \\ {{{{",
            "{# x #}",
            "plain",
        ] {
            let template = Template::parse(&literal_from(text, 5)).unwrap();
            let at = |at: u64| template.render(&json!({"night": {"at": at}})).unwrap();
            assert_eq!((at(4).as_str(), at(5).as_str()), ("", text));
        }
    }

    #[test]
    fn a_request_is_heard_as_its_twin_hears_it() {
        let asking = |action, with: Value, command: &str| Asking {
            request: Rendered {
                action,
                target: "t".to_owned(),
                with,
            },
            command: command.to_owned(),
            sent_at: Default::default(),
            answered_at: Default::default(),
            is_effect: false,
            is_done: false,
            answer: Answered::Lost,
        };
        for (action, with, command, words) in [
            (
                ActionKind::Http,
                json!({"path": "a/b", "query": {"x": "1 2"}}),
                "",
                "/a/b?x=1+2",
            ),
            (ActionKind::Http, json!({}), "", "/"),
            (ActionKind::Postgres, json!({"query": "select 1"}), "", "select 1"),
            (
                ActionKind::Loki,
                json!({"query": "{a=\"b\"} | line_format \"{{.msg}}\""}),
                "",
                "{a=\"b\"} | line_format \"*.msg}}\"",
            ),
            (
                ActionKind::Command,
                json!({}),
                "/bin/du -s /srv as nobody",
                "/bin/du -s /srv",
            ),
            (ActionKind::Command, json!({}), "/bin/say \"a b\" c", "/bin/say *"),
        ] {
            let asked = question(&asking(action, with, command)).unwrap();
            assert_eq!(asked.words, words);
        }
        assert_eq!(question(&asking(ActionKind::Tcp, json!({}), "")), None);
        let of_a_probe = asking(ActionKind::Command, json!({}), "");
        assert_eq!(question(&of_a_probe), None, "nobody knows how it was called");
    }
}
