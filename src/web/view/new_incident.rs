//! The form by which a person opens an incident that no alert knows of.

use askama::Template;

use super::{
    layout::Frame,
    parts::{Hidden, hidden},
};
use crate::{
    domain::incident::Severity,
    incident::by_hand::{ByHand, SERVICE_CHARS_MAX, TITLE_CHARS_MAX},
};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/new.html")]
pub struct NewPage {
    frame: Frame,
    title: String,
    service: String,
    note: String,
    /// Number, name, what it means, whether it is chosen.
    severities: Vec<(i16, String, &'static str, bool)>,
    /// What is wrong: the field and the words.
    faults: Vec<(&'static str, String)>,
    op: Hidden,
}

impl NewPage {
    /// The form with what was typed.
    pub fn of(
        frame: Frame,
        typed: &ByHand,
        severity: Option<Severity>,
        faults: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            frame,
            title: typed.title.clone(),
            service: typed.service.clone(),
            note: typed.note.clone(),
            severities: Severity::ALL
                .into_iter()
                .map(|one| (one.number(), one.to_string(), meaning(one), Some(one) == severity))
                .collect(),
            faults,
            op: hidden(None),
        }
    }

    fn fault(&self, field: &str) -> Option<&str> {
        let found = self.faults.iter().find(|(of, _)| *of == field);
        found.map(|(_, words)| words.as_str())
    }

    fn title_max(&self) -> usize {
        TITLE_CHARS_MAX
    }

    fn service_max(&self) -> usize {
        SERVICE_CHARS_MAX
    }
}

fn meaning(severity: Severity) -> &'static str {
    match severity {
        Severity::Sev1 => "customers cannot use the service",
        Severity::Sev2 => "a part is down or badly slow",
        Severity::Sev3 => "worth working hours",
        Severity::Sev4 => "worth knowing",
    }
}
