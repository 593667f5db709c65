//! What leaves an action: redacted first, then made printable, then cut to size. In that order, so that no cut can
//! leave half a secret behind.

use serde_json::{Map, Value, json};

use super::redact::Redactor;
use crate::domain::action::{Failure, Outcome};

/// The most one result may take, written as JSON.
pub const RESULT_BYTES_MAX: usize = 64 * 1024;
/// The longest summary or failure message, in characters.
const LINE_CHARS_MAX: usize = 1000;

/// Redacts and caps an outcome; its result becomes an object with `ok`.
pub(super) fn tidy(redactor: &Redactor, outcome: Outcome) -> Outcome {
    let mut result = printable(redactor.tree(outcome.result));
    if !result.get("ok").is_some_and(Value::is_boolean) {
        result = json!({"ok": true, "value": result});
    }
    Outcome {
        result: fit(result),
        summary: one_line(&redactor.text(&outcome.summary)),
    }
}

/// Redacts a failure and makes it one line.
pub(super) fn tidy_failure(redactor: &Redactor, failure: Failure) -> Failure {
    Failure::new(failure.class, one_line(&redactor.text(&failure.message)))
}

/// The text on one line, cut if long.
fn one_line(text: &str) -> String {
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The start of `text` that fits `bytes_max`, with a marker if something was cut.
pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max);
    format!("{}… [{} bytes cut]", &text[..end], text.len() - end)
}

/// A database cannot store U+0000, so it becomes the symbol people read as NUL.
fn printable(value: Value) -> Value {
    let plain = |text: String| match text.contains('\0') {
        true => text.replace('\0', "\u{2400}"),
        false => text,
    };
    match value {
        Value::String(text) => Value::String(plain(text)),
        Value::Array(items) => items.into_iter().map(printable).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (plain(key), printable(value)))
            .collect::<Map<_, _>>()
            .into(),
        scalar => scalar,
    }
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

/// Cuts texts and lists ever shorter until the whole fits, and says so in `truncated`.
fn fit(value: Value) -> Value {
    if size(&value) <= RESULT_BYTES_MAX {
        return value;
    }
    let (mut text_max, mut items_max) = (RESULT_BYTES_MAX / 2, 512);
    while text_max >= 64 {
        let mut smaller = Map::new();
        for (key, value) in value.as_object().into_iter().flatten() {
            smaller.insert(cut(key, 256), shorten(value, text_max, items_max));
        }
        smaller.insert("truncated".to_owned(), Value::Bool(true));
        let smaller = Value::Object(smaller);
        if size(&smaller) <= RESULT_BYTES_MAX {
            return smaller;
        }
        (text_max, items_max) = (text_max / 2, items_max / 2);
    }
    json!({"ok": value["ok"], "truncated": true})
}

fn shorten(value: &Value, text_max: usize, items_max: usize) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text, text_max)),
        Value::Array(items) => items
            .iter()
            .take(items_max)
            .map(|item| shorten(item, text_max, items_max))
            .collect(),
        Value::Object(map) => map
            .iter()
            .take(items_max)
            .map(|(key, value)| (cut(key, text_max), shorten(value, text_max, items_max)))
            .collect::<Map<_, _>>()
            .into(),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(result: Value) -> Value {
        let summary = String::new();
        tidy(&Redactor::default(), Outcome { result, summary }).result
    }

    #[test]
    fn a_result_is_always_an_object_with_ok_and_never_too_big() {
        assert_eq!(tidied(json!([1])), json!({"ok": true, "value": [1]}));
        let long = "ü\"".repeat(RESULT_BYTES_MAX);
        let many: Vec<Value> = (0..50_000).map(|n| json!({"n": n, "text": "x"})).collect();
        let wide: Map<String, Value> = (0..50_000).map(|n| (format!("k{n}"), json!(n))).collect();
        for result in [
            json!({"ok": true, "stdout": long, "stderr": long}),
            json!({"ok": true, "rows": many}),
            json!({"ok": false, "body": wide}),
            json!({"ok": true, "body": {"deep": [many.clone(), many]}}),
        ] {
            let ok = result["ok"].clone();
            let result = tidied(result);
            assert!(size(&result) <= RESULT_BYTES_MAX);
            assert_eq!((&result["ok"], &result["truncated"]), (&ok, &json!(true)));
            assert!(size(&result) > 500, "something is left: {result}");
        }
        assert_eq!(
            tidied(json!({"ok": true, "a\0b": "c\0"})),
            json!({"ok": true, "a␀b": "c␀"})
        );
    }

    #[test]
    fn a_summary_is_one_line() {
        assert_eq!(one_line("a\n\tb\u{1b}[31m  c\0"), "a b [31m c");
        assert_eq!(one_line(&"x".repeat(5000)).chars().count(), LINE_CHARS_MAX + 1);
    }
}
