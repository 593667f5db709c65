//! The one expression language: minijinja expressions, as conditions and inside `{{ }}` in texts.
//!
//! A template is text with `{{ expression }}` only: no statements, no includes. An undefined name is an error.
//! Fuel bounds time; it does not bound memory, so the filters and operators that can blow a text up are not there
//! and both the source and the outcome are capped.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest expression or template source, in bytes.
pub const SOURCE_BYTES_MAX: usize = 4096;
/// The longest text one template may make, in bytes.
pub const RENDERED_BYTES_MAX: usize = 65_536;
/// The most words and signs of one expression.
pub const TOKENS_MAX: usize = 250;
/// How deep brackets of one expression may nest.
pub const BRACKETS_MAX: usize = 16;
/// Instructions one evaluation may take; a loop-free expression needs a few dozen.
const FUEL: u64 = 20_000;

/// Why an expression or template cannot be used, or gave no value.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct TemplateError(pub String);

/// A text with `{{ expression }}` places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    source: String,
}

/// A condition or value, like `result.rows[0].standby == false`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    source: String,
}

/// The filters of the language, as in `labels.cluster | upper`.
pub const FILTERS: [&str; 12] = [
    "abs", "default", "first", "float", "int", "last", "length", "lower", "round", "split", "trim", "upper",
];
/// The tests of the language, as in `result is defined`.
pub const TESTS: [&str; 5] = ["defined", "none", "number", "string", "undefined"];

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(16);
    engine.add_filter("default", minijinja::filters::default);
    engine.add_filter("length", minijinja::filters::length);
    engine.add_filter("lower", minijinja::filters::lower);
    engine.add_filter("upper", minijinja::filters::upper);
    engine.add_filter("trim", minijinja::filters::trim);
    engine.add_filter("int", minijinja::filters::int);
    engine.add_filter("float", minijinja::filters::float);
    engine.add_filter("abs", minijinja::filters::abs);
    engine.add_filter("round", minijinja::filters::round);
    engine.add_filter("first", minijinja::filters::first);
    engine.add_filter("last", minijinja::filters::last);
    engine.add_filter("split", minijinja::filters::split);
    engine.add_test("defined", minijinja::tests::is_defined);
    engine.add_test("undefined", minijinja::tests::is_undefined);
    engine.add_test("none", minijinja::tests::is_none);
    engine.add_test("number", minijinja::tests::is_number);
    engine.add_test("string", minijinja::tests::is_string);
    engine
});

fn message(error: &minijinja::Error) -> TemplateError {
    let kind = match error.kind() {
        minijinja::ErrorKind::OutOfFuel => "the expression takes too long".to_owned(),
        kind => kind.to_string(),
    };
    TemplateError(match error.detail() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind,
    })
}

fn bounded(source: &str) -> Result<(), TemplateError> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(TemplateError(format!("longer than {SOURCE_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// `*` repeats texts without spending fuel, so an expression may not hold it outside quotes. The parser and compiler
/// call themselves for each level of an expression, and each token may be a level, so both are bounded as well: a
/// stack that ends takes the process with it.
fn refuse_blow_ups(source: &str) -> Result<(), TemplateError> {
    let mut quote = None;
    let mut is_escaped = false;
    let mut in_word = false;
    let mut tokens = 0;
    let mut open_brackets: usize = 0;
    for c in source.chars() {
        let was_word = std::mem::take(&mut in_word);
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '*' => {
                return Err(TemplateError(
                    "the operator * is not part of the language".to_owned(),
                ));
            }
            None if c.is_whitespace() => {}
            None => {
                in_word = c.is_alphanumeric() || c == '_';
                tokens += usize::from(!(in_word && was_word));
                match c {
                    '"' | '\'' => quote = Some(c),
                    '(' | '[' | '{' => open_brackets += 1,
                    ')' | ']' | '}' => open_brackets = open_brackets.saturating_sub(1),
                    _ => {}
                }
                if open_brackets > BRACKETS_MAX {
                    return Err(TemplateError(format!("brackets nest deeper than {BRACKETS_MAX}")));
                }
            }
        }
    }
    if tokens > TOKENS_MAX {
        return Err(TemplateError(format!(
            "more than {TOKENS_MAX} words and signs in one expression"
        )));
    }
    Ok(())
}

impl Expression {
    /// Checks the syntax of `source`.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        bounded(source)?;
        refuse_blow_ups(source)?;
        ENGINE
            .compile_expression(source)
            .map_err(|error| message(&error))?;
        Ok(Self {
            source: source.trim().to_owned(),
        })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value in `context`, an object of names. An undefined name is an error.
    pub fn evaluate(&self, context: &Value) -> Result<Value, TemplateError> {
        let expression = ENGINE
            .compile_expression(&self.source)
            .map_err(|error| message(&error))?;
        let value = expression
            .eval(minijinja::value::Serde(context))
            .map_err(|error| message(&error))?;
        if value.is_undefined() {
            return Err(TemplateError(format!("{} is not defined", self.source)));
        }
        let value = serde_json::to_value(&value).map_err(|error| TemplateError(error.to_string()))?;
        match value.as_str().is_some_and(|text| text.contains('\0')) {
            // Nothing that keeps texts takes it.
            true => Err(TemplateError("the text holds the character U+0000".to_owned())),
            false => Ok(value),
        }
    }

    /// Whether the condition holds in `context`: false, null, zero and the empty text do not.
    pub fn holds(&self, context: &Value) -> Result<bool, TemplateError> {
        Ok(match self.evaluate(context)? {
            Value::Null => false,
            Value::Bool(value) => value,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
        })
    }

    /// The names this expression reads, with their first levels, like `steps.ask` or `inputs.cluster`.
    pub fn references(&self) -> BTreeSet<String> {
        ENGINE
            .compile_expression(&self.source)
            .map(|expression| expression.undeclared_variables(true).into_iter().collect())
            .unwrap_or_default()
    }
}

/// Names and values, made ready once for many evaluations.
#[derive(Clone, Debug)]
pub struct Scene(minijinja::Value);

impl Scene {
    /// An object of names, as [`Expression::evaluate`] takes it.
    pub fn of(context: &Value) -> Self {
        Self(minijinja::Value::from(minijinja::value::Serde(context)))
    }
}

/// An [`Expression`] that is evaluated over and over: read once, then only run.
#[derive(Clone)]
pub struct Prepared {
    source: String,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

impl Prepared {
    /// Reads the expression.
    pub fn of(expression: &Expression) -> Result<Self, TemplateError> {
        let compiled = ENGINE
            .compile_expression_owned(expression.source.clone())
            .map_err(|error| message(&error))?;
        Ok(Self {
            source: expression.source.clone(),
            compiled: Arc::new(compiled),
        })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// As [`Expression::evaluate`].
    pub fn evaluate(&self, scene: &Scene) -> Result<Value, TemplateError> {
        let value = self.run(scene)?;
        if value.is_undefined() {
            return Err(TemplateError(format!("{} is not defined", self.source)));
        }
        serde_json::to_value(&value).map_err(|error| TemplateError(error.to_string()))
    }

    /// As [`Expression::holds`].
    pub fn holds(&self, scene: &Scene) -> Result<bool, TemplateError> {
        let value = self.run(scene)?;
        if value.is_undefined() {
            return Err(TemplateError(format!("{} is not defined", self.source)));
        }
        Ok(value.is_true())
    }

    fn run(&self, scene: &Scene) -> Result<minijinja::Value, TemplateError> {
        self.compiled.eval(&scene.0).map_err(|error| message(&error))
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({})", self.source)
    }
}

impl Template {
    /// Checks every `{{ }}` of `source` and that nothing else of the template language is used.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        bounded(source)?;
        for part in parts(source)? {
            if let Part::Expression(expression) = part {
                Expression::parse(expression)?;
            }
        }
        Ok(Self {
            source: source.to_owned(),
        })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text with every place filled in from `context`.
    pub fn render(&self, context: &Value) -> Result<String, TemplateError> {
        let mut out = String::new();
        for part in parts(&self.source)? {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expression(source) => match Expression::parse(source)?.evaluate(context)? {
                    Value::String(text) => out.push_str(&text),
                    other => out.push_str(&other.to_string()),
                },
            }
            if out.len() > RENDERED_BYTES_MAX {
                return Err(TemplateError(format!(
                    "the text grows over {RENDERED_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(out)
    }

    /// Like [`Template::render`], but a template that is one single `{{ }}` keeps the type of its value.
    pub fn render_value(&self, context: &Value) -> Result<Value, TemplateError> {
        match parts(&self.source)?.as_slice() {
            [Part::Expression(source)] => Expression::parse(source)?.evaluate(context),
            _ => self.render(context).map(Value::String),
        }
    }

    /// Its expressions, in order.
    pub fn expressions(&self) -> Vec<Expression> {
        parts(&self.source)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|part| match part {
                Part::Expression(source) => Expression::parse(source).ok(),
                Part::Text(_) => None,
            })
            .collect()
    }

    /// The names all its expressions read.
    pub fn references(&self) -> BTreeSet<String> {
        self.expressions()
            .into_iter()
            .flat_map(|expression| expression.references())
            .collect()
    }
}

/// Renders every text inside `tree`; keys stay as they are.
pub fn render_tree(tree: &Value, context: &Value) -> Result<Value, TemplateError> {
    Ok(match tree {
        Value::String(text) => Template { source: text.clone() }.render_value(context)?,
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| render_tree(item, context))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| {
                    render_tree(value, context)
                        .map(|value| (key.clone(), value))
                        .map_err(|TemplateError(problem)| TemplateError(format!("{key}: {problem}")))
                })
                .collect::<Result<_, _>>()?,
        ),
        scalar => scalar.clone(),
    })
}

/// The names all the texts inside `tree` read.
pub fn tree_references(tree: &Value) -> BTreeSet<String> {
    match tree {
        Value::String(text) => Template { source: text.clone() }.references(),
        Value::Array(items) => items.iter().flat_map(tree_references).collect(),
        Value::Object(map) => map.values().flat_map(tree_references).collect(),
        _ => BTreeSet::new(),
    }
}

enum Part<'a> {
    Text(&'a str),
    Expression(&'a str),
}

fn parts(source: &str) -> Result<Vec<Part<'_>>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        if open > 0 {
            parts.push(Part::Text(&rest[..open]));
        }
        let inside = &rest[open + 2..];
        let close = inside
            .find("}}")
            .ok_or_else(|| TemplateError("{{ without its }}".to_owned()))?;
        parts.push(Part::Expression(inside[..close].trim()));
        rest = &inside[close + 2..];
    }
    if rest.contains("{%") || rest.contains("{#") || parts_hold_statements(&parts) {
        return Err(TemplateError(
            "only {{ expression }} is part of the language, no {% or {#".to_owned(),
        ));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn parts_hold_statements(parts: &[Part<'_>]) -> bool {
    parts
        .iter()
        .any(|part| matches!(part, Part::Text(text) if text.contains("{%") || text.contains("{#")))
}

macro_rules! text_like {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = TemplateError;

            fn try_from(source: String) -> Result<Self, TemplateError> {
                Self::parse(&source)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.source
            }
        }
    };
}

text_like!(Template);
text_like!(Expression);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_or_say_why_not() {
        let context =
            json!({"result": {"ok": false, "rows": [{"standby": false}], "value": 1.0}, "steps": {"a-b": 3}});
        for (source, holds) in [
            ("not result.ok", true),
            ("result.rows[0].standby == false", true),
            ("result.value == 1", true),
            ("steps['a-b'] > 3", false),
            ("result.missing is defined", false),
            ("result.rows | length == 1 and 'a' in 'abc'", true),
            ("('a,b' | split(',')) == ['a', 'b']", true),
        ] {
            assert_eq!(
                Expression::parse(source).unwrap().holds(&context),
                Ok(holds),
                "{source}"
            );
        }
        for source in ["missing", "missing.deeper", "result.missing.deeper == 1"] {
            assert!(
                Expression::parse(source).unwrap().holds(&context).is_err(),
                "{source}"
            );
        }
        for source in [
            "",
            "a ==",
            "a b",
            "'x' * 1000000",
            r"'\\' * 1000000",
            r#""\"" * 9"#,
        ] {
            assert!(Expression::parse(source).is_err(), "{source}");
        }
    }

    /// Half of what a worker thread has.
    const SMALL_STACK: usize = 1024 * 1024;

    #[test]
    fn no_expression_is_too_deep_for_the_stack() {
        let sources = [
            ("(", ")"),
            ("[", "]"),
            ("{1:", "}"),
            ("not ", ""),
            ("-", ""),
            ("", "+1"),
            ("", "~1"),
            ("", ".a"),
            ("", "[0]"),
            ("", "|abs"),
            ("", " is none"),
            ("", "==1"),
            ("", " if 1 else 1"),
        ]
        .map(|(before, after)| {
            [BRACKETS_MAX, 50, 80, 120, 240, 2000]
                .map(|depth| format!("{}a{}", before.repeat(depth), after.repeat(depth)))
        });
        let context = json!({"a": 1});
        let evaluate = move || {
            for source in sources.as_flattened() {
                let outcome = Expression::parse(source).map(|expression| expression.evaluate(&context));
                assert!(outcome.is_err() || source.len() <= SOURCE_BYTES_MAX, "{source}");
            }
        };
        std::thread::Builder::new()
            .stack_size(SMALL_STACK)
            .spawn(evaluate)
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn the_listed_filters_and_tests_are_there() {
        let context = json!({"text": "7", "number": 7, "list": [7]});
        let holds = |source: String| {
            Expression::parse(&source)
                .and_then(|expression| expression.evaluate(&context))
                .is_ok()
        };
        for filter in FILTERS {
            let values = ["text", "number", "list"];
            assert!(
                values.iter().any(|value| holds(format!("{value} | {filter}"))),
                "{filter}"
            );
        }
        for test in TESTS {
            assert!(holds(format!("number is {test}")), "{test}");
        }
        assert!(!holds("text | replace('7', '8')".to_owned()));
        assert!(!holds("number is even".to_owned()));
    }

    #[test]
    fn a_value_from_outside_is_never_a_template() {
        let context = json!({"labels": {"x": "{{ 7*7 }} {% raw %}"}, "n": 5});
        assert_eq!(
            Template::parse("v={{ labels.x }}/{{n}}")
                .unwrap()
                .render(&context)
                .unwrap(),
            "v={{ 7*7 }} {% raw %}/5"
        );
        assert_eq!(
            render_tree(&json!({"limit": "{{ n }}", "k": ["{{ n }}!"]}), &context).unwrap(),
            json!({"limit": 5, "k": ["5!"]})
        );
    }

    #[test]
    fn only_expressions_are_in_the_language() {
        for source in [
            "{% set a = 1 %}",
            "{# note #}",
            "{{ a ",
            "{{ }}",
            "{{ range(9) }}{% for %}",
            "{{ 'x' | replace('x', 'yy') }}",
        ] {
            let outcome = Template::parse(source).and_then(|template| template.render(&json!({"a": 1})));
            assert!(outcome.is_err(), "{source}: {outcome:?}");
        }
        assert_eq!(
            Template::parse("{{ steps.ask.by }} {{ inputs.c }}")
                .unwrap()
                .references(),
            ["inputs.c".to_owned(), "steps.ask.by".to_owned()].into()
        );
    }
}
