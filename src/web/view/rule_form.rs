//! The forms that make routing rules, one for each kind of rule, with what was typed and what is wrong with it.

use askama::{Template, filters::HtmlSafe};

use super::parts::{Hidden, hidden};
use crate::{
    domain::{incident::Severity, routing::RuleFault},
    web::error::sentence,
};

/// A form that was not accepted.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Which form: its key.
    pub form: String,
    /// What was typed, field by field.
    pub typed: Vec<(&'static str, String)>,
    /// What is wrong.
    pub fault: RuleFault,
}

/// How a field is typed into.
#[derive(Clone, Debug)]
enum Input {
    /// One line: the browser's type and the most characters.
    Line(&'static str, u16),
    /// A number from one to another.
    Number(u32, u32),
    /// One of these: value and words.
    Choice(Vec<(String, String)>),
}

/// One field.
#[derive(Clone, Debug)]
struct Field {
    /// Its name in the page: the form's key and its own.
    id: String,
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    input: Input,
    is_needed: bool,
    value: String,
    fault: Option<String>,
}

fn line(name: &'static str, label: &'static str, hint: &'static str, chars_max: u16) -> Field {
    Field {
        id: String::new(),
        name,
        label,
        hint,
        input: Input::Line("text", chars_max),
        is_needed: false,
        value: String::new(),
        fault: None,
    }
}

impl Field {
    fn of(self, input: Input) -> Self {
        Self { input, ..self }
    }

    fn has_words(&self) -> bool {
        self.fault.is_some() || !self.hint.is_empty()
    }

    fn needed(self) -> Self {
        Self {
            is_needed: true,
            ..self
        }
    }
}

/// One form.
#[derive(Clone, Debug, Template)]
#[template(path = "routing/_new.html")]
pub struct RuleFormPart {
    key: &'static str,
    kind: &'static str,
    heading: &'static str,
    button: &'static str,
    fields: Vec<Field>,
    /// What is wrong, for the summary.
    fault: Option<String>,
}

impl HtmlSafe for RuleFormPart {}

impl RuleFormPart {
    /// The four forms: a window that comes once, one that comes every week, a threshold, a severity. The one that was
    /// refused is open, with what was typed.
    pub fn all(sources: &[String], refused: Option<&Refused>) -> [Self; 4] {
        let part = |key, kind, heading, button, own: Vec<Field>| {
            let refused = refused.filter(|refused| refused.form == key);
            let mut fields = about(sources);
            fields.extend(own);
            fields.push(line("reason", "Why", "", 2000).needed());
            for field in &mut fields {
                field.id = format!("{key}-{}", field.name);
            }
            if let Some(refused) = refused {
                for field in &mut fields {
                    let typed = refused.typed.iter().find(|(name, _)| *name == field.name);
                    field.value = typed.map_or_else(String::new, |(_, text)| text.clone());
                    field.fault =
                        (refused.fault.field == field.name).then(|| sentence(&refused.fault.message));
                }
            }
            Self {
                key,
                kind,
                heading,
                button,
                fields,
                fault: refused.map(|refused| sentence(&refused.fault.message)),
            }
        };
        [
            part(
                "once",
                "maintenance",
                "New window that comes once",
                "Hold new alerts once",
                vec![
                    line("starts_at", "From, UTC", "Empty: from now.", 40)
                        .of(Input::Line("datetime-local", 40)),
                    line("ends_at", "Until, UTC", "", 40)
                        .of(Input::Line("datetime-local", 40))
                        .needed(),
                ],
            ),
            part(
                "weekly",
                "maintenance",
                "New window that comes every week",
                "Hold new alerts every week",
                vec![
                    line("days", "Days", "Like sat, sun.", 60).needed(),
                    line("at", "At", "", 8).of(Input::Line("time", 8)).needed(),
                    line("length", "For", "Like 2h, 24h at most.", 10).needed(),
                    line(
                        "offset",
                        "On a clock ahead of UTC by",
                        "Like +02:00. Empty: UTC. It does not follow summer time: change the window when the clock \
                         changes.",
                        6,
                    ),
                ],
            ),
            part(
                "threshold",
                "threshold",
                "New threshold",
                "Open only after so many",
                vec![
                    line(
                        "count",
                        "Open an incident only after so many alerts of a group",
                        "",
                        4,
                    )
                    .of(Input::Number(2, 1000))
                    .needed(),
                    line(
                        "within",
                        "That came within",
                        "Like 10m. An alert that still fires after that opens one all the same.",
                        10,
                    )
                    .needed(),
                    place(),
                ],
            ),
            part(
                "severity",
                "severity",
                "New severity rule",
                "Set this severity",
                vec![
                    line("severity", "Opens as", "", 4).of(Input::Choice(
                        Severity::ALL
                            .map(|severity| (severity.to_string(), severity.to_string()))
                            .to_vec(),
                    )),
                    place(),
                ],
            ),
        ]
    }

    /// The summary's link to the field that is wrong.
    fn wrong(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.fault.is_some())
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

/// What every rule says of the alerts it is about.
fn about(sources: &[String]) -> Vec<Field> {
    let every = (String::new(), "Every source".to_owned());
    let named = sources.iter().map(|name| (name.clone(), name.clone()));
    vec![
        line(
            "title",
            "Title",
            "What people see where the rule has decided.",
            100,
        )
        .needed(),
        line(
            "matchers",
            "Alerts with these labels",
            "As in Alertmanager, like env=\"prod\", team=~\"shop|search\". Empty: every alert of the source.",
            1000,
        ),
        line("source", "Source", "", 63).of(Input::Choice([every].into_iter().chain(named).collect())),
    ]
}

fn place() -> Field {
    line(
        "place",
        "Place among the rules",
        "The smallest is asked first. Empty: 100.",
        5,
    )
    .of(Input::Number(0, 10_000))
}
