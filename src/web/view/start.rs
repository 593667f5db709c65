//! Starting a run by hand: the choice of a runbook and the form with its inputs.

use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    layout::Frame,
    parts::{Ago, Hidden, Said, ago, hidden, said},
};
use crate::store::runbooks::Version;

/// The form that starts a run.
#[derive(Clone, Debug, Template)]
#[template(path = "run/new.html")]
pub struct StartPage {
    /// The frame.
    pub frame: Frame,
    /// Number of the incident.
    pub incident: i64,
    /// What the incident is called.
    pub incident_title: Said,
    /// Where it is planned first.
    pub plan: String,
    /// The form.
    pub form: StartForm,
    /// What the runbook does.
    pub summary: Said,
}

/// What a person gives to start a run.
#[derive(Clone, Debug)]
pub struct StartForm {
    /// Number of the incident.
    pub incident: i64,
    /// The version's row.
    pub version: i64,
    /// What the runbook is called.
    pub title: Said,
    /// Its inputs.
    pub inputs: Vec<InputField>,
    /// Hidden fields.
    pub hidden: Hidden,
    /// Whether it is practice.
    pub is_drill: bool,
    /// Whether it changes anything.
    pub has_effects: bool,
    /// A credential that was missing at the last look, and when that was: then it asks once more.
    pub missing: Option<(Said, Ago)>,
}

/// One input of a start form.
#[derive(Clone, Debug)]
pub struct InputField {
    /// Its name in the runbook.
    pub name: String,
    /// What the incident gives for it.
    pub value: String,
    /// Whether a run needs it.
    pub required: bool,
    /// Where the value came from.
    pub origin: String,
}

impl StartForm {
    /// The form for a version, its inputs filled from the incident's labels and annotations.
    pub fn of(
        incident: i64,
        version: &Version,
        context: &Value,
        missing: Option<(&str, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Self {
        let runbook = &version.runbook;
        Self {
            incident,
            version: version.id.0,
            title: said(&runbook.title),
            inputs: inputs(version, context),
            hidden: hidden(None),
            is_drill: false,
            has_effects: runbook.has_effects(),
            missing: missing.map(|(what, at)| (said(what), ago(at, now))),
        }
    }

    /// The same in the incident of a drill, where it is practised.
    pub fn practised(mut self, is_drill: bool) -> Self {
        self.is_drill = is_drill;
        self
    }
}

/// The inputs of a version, filled from the incident's labels and annotations.
pub fn inputs(version: &Version, context: &Value) -> Vec<InputField> {
    let runbook = &version.runbook;
    runbook
        .inputs
        .iter()
        .map(|(name, input)| {
            let found = input
                .from
                .as_ref()
                .and_then(|from| from.evaluate(context).ok())
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .filter(|value| !value.is_empty());
            let origin = match (&found, &input.from) {
                (Some(_), Some(from)) => format!("from {}", from.source()),
                (None, _) if input.default.is_some() => "the runbook's default".to_owned(),
                (None, Some(from)) => format!("{} is not there", from.source()),
                _ => String::new(),
            };
            InputField {
                name: name.clone(),
                value: found.or_else(|| input.default.clone()).unwrap_or_default(),
                required: input.required,
                origin,
            }
        })
        .collect()
}

/// The choice of a runbook to start.
#[derive(Clone, Debug, Template)]
#[template(path = "run/choose.html")]
pub struct ChoosePage {
    /// The frame.
    pub frame: Frame,
    /// Number of the incident.
    pub incident: i64,
    /// What the incident is called.
    pub incident_title: Said,
    /// The runbooks.
    pub choices: Vec<Choice>,
}

/// One runbook that could be started.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The form that starts it.
    pub href: String,
    /// What it is called.
    pub title: Said,
    /// When to use it and what it does.
    pub summary: Said,
}

impl Choice {
    /// The choice of a version for an incident.
    pub fn of(incident: i64, version: &Version) -> Self {
        let slug = &version.runbook.slug;
        Self {
            href: format!("/incidents/{incident}/runs/new?runbook={slug}"),
            title: said(&version.runbook.title),
            summary: said(&version.runbook.summary),
        }
    }
}
