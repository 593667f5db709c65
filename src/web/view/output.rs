//! What came back from a target: a few fields, and the text that people read line by line.

use serde_json::{Map, Value};

/// Fields that are text, the first one that is there first.
const TEXTS: [&str; 3] = ["lines", "stdout", "body"];
/// Characters of one field.
const FIELD_CHARS_MAX: usize = 500;

/// What came back, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// `status`, `exit_code` and the like, by name.
    pub fields: Vec<(String, String)>,
    /// What a program or a service wrote.
    pub text: String,
    /// Whether some of it was left out before it was kept.
    pub is_cut: bool,
}

impl Output {
    /// A result taken apart.
    pub fn of(result: &Value) -> Self {
        let Value::Object(result) = result else {
            return Self::default();
        };
        let mut fields = Vec::new();
        for (name, value) in result {
            let is_text = TEXTS.contains(&name.as_str()) || name == "stderr" || name == "truncated";
            match value {
                _ if is_text => {}
                Value::Object(map) if name == "headers" => {
                    fields.extend(map.iter().map(|(name, value)| (name.clone(), short(value))));
                }
                Value::Array(_) | Value::Object(_) => {}
                value => fields.push((name.replace('_', " "), short(value))),
            }
        }
        let text = text(result);
        Self {
            is_cut: result.get("truncated") == Some(&Value::Bool(true)) || text.contains(" bytes cut]"),
            fields,
            text,
        }
    }
}

fn short(value: &Value) -> String {
    super::text::cut(&words(value), FIELD_CHARS_MAX)
}

/// A text as it is, anything else as JSON.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        value => value.to_string(),
    }
}

fn text(result: &Map<String, Value>) -> String {
    if let Some(Value::Array(lines)) = result.get("lines") {
        let lines: Vec<String> = lines.iter().map(line).collect();
        return lines.join("\n");
    }
    if let Some(stdout) = result.get("stdout") {
        let mut text = words(stdout);
        let stderr = result.get("stderr").map(words).unwrap_or_default();
        if !stderr.is_empty() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str("── standard error ──\n");
            text.push_str(&stderr);
        }
        return text;
    }
    if let Some(body) = result.get("body") {
        return words(body);
    }
    // Whatever else has a shape of its own: rows, servers, samples.
    let shapes: Map<String, Value> = result
        .iter()
        .filter(|(name, value)| *name != "headers" && matches!(value, Value::Array(_) | Value::Object(_)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    match shapes.is_empty() {
        true => String::new(),
        false => words(&Value::Object(shapes)),
    }
}

/// One line of a log: when, if it is known, and what.
fn line(line: &Value) -> String {
    let field = |name: &str| line.get(name).and_then(Value::as_str);
    match (field("at"), field("text")) {
        (Some(at), Some(text)) => format!("{at}  {text}"),
        (None, Some(text)) => text.to_owned(),
        _ => words(line),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_result_is_read_as_fields_and_text() {
        for (result, fields, text, is_cut) in [
            (
                json!({"ok": true, "count": 2, "lines": [{"at": "03:00", "text": "a"}, {"text": "b"}, "c"]}),
                vec![("count", "2"), ("ok", "true")],
                "03:00  a\nb\nc",
                false,
            ),
            (
                json!({"ok": false, "exit_code": 1, "stdout": "out", "stderr": "err", "truncated": true}),
                vec![("exit code", "1"), ("ok", "false")],
                "out\n── standard error ──\nerr",
                true,
            ),
            (
                json!({"ok": true, "status": 200, "headers": {"etag": "x"}, "body": {"a": 1}}),
                vec![("etag", "x"), ("ok", "true"), ("status", "200")],
                "{\n  \"a\": 1\n}",
                false,
            ),
            (
                json!({"ok": true, "body": "begin… [12 bytes cut]"}),
                vec![("ok", "true")],
                "begin… [12 bytes cut]",
                true,
            ),
            (
                json!({"ok": true, "servers": {"a": {}}}),
                vec![("ok", "true")],
                "{\n  \"servers\": {\n    \"a\": {}\n  }\n}",
                false,
            ),
            (json!({"ok": true}), vec![("ok", "true")], "", false),
        ] {
            let output = Output::of(&result);
            let shown: Vec<(&str, &str)> = output
                .fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(
                (shown, output.text.as_str(), output.is_cut),
                (fields, text, is_cut),
                "{result}"
            );
        }
        assert_eq!(Output::of(&json!("x")), Output::default());
    }
}
