//! The small parts every page is made of. Each escapes what it holds and is then safe to stand in a page.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format::{When, countdown},
    text::visible,
};
use crate::{
    domain::{
        approval::ApprovalState,
        incident::{IncidentState, Severity},
        run::RunResult,
        sentence::Category,
    },
    web::assets,
};

/// An icon of the sprite; decoration only, a word always stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r##"<svg class="icon" aria-hidden="true" focusable="false"><use href="{{ assets::address("icons.svg") }}#{{ name }}"/></svg>"##
)]
pub struct Icon {
    name: &'static str,
}

impl HtmlSafe for Icon {}

/// The icon of that name.
pub fn icon(name: &'static str) -> Icon {
    Icon { name }
}

/// Icon, word and tint: a state or a severity.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<span class="badge {{ tint }}">{{ icon }}{{ word }}</span>"#
)]
pub struct Badge {
    /// Which colours.
    pub tint: &'static str,
    /// Which shape.
    pub icon: Icon,
    /// What it says.
    pub word: String,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// A badge of these three.
    pub fn new(tint: &'static str, icon_name: &'static str, word: impl Into<String>) -> Self {
        Self {
            tint,
            icon: icon(icon_name),
            word: word.into(),
        }
    }
}

impl From<Severity> for Badge {
    fn from(severity: Severity) -> Self {
        let (tint, shape) = match severity {
            Severity::Sev1 => ("sev1", "octagon"),
            Severity::Sev2 => ("sev2", "triangle"),
            Severity::Sev3 => ("sev3", "diamond"),
            Severity::Sev4 => ("sev4", "circle"),
        };
        Self::new(tint, shape, severity.to_string())
    }
}

impl From<IncidentState> for Badge {
    fn from(state: IncidentState) -> Self {
        let (tint, shape, word) = match state {
            IncidentState::Triggered => ("sev1", "bell", "Triggered"),
            IncidentState::Acknowledged => ("sev3", "eye", "Acknowledged"),
            IncidentState::Mitigated => ("running", "shield", "Mitigated"),
            IncidentState::Resolved => ("done", "check", "Resolved"),
            IncidentState::Closed => ("quiet", "check", "Closed"),
            IncidentState::Merged => ("quiet", "bent", "Merged"),
            IncidentState::Cancelled => ("quiet", "barred", "Cancelled"),
        };
        Self::new(tint, shape, word)
    }
}

impl From<RunResult> for Badge {
    fn from(result: RunResult) -> Self {
        match result {
            RunResult::Succeeded => Self::new("done", "check", "Succeeded"),
            RunResult::Failed => Self::new("sev1", "cross", "Failed"),
            RunResult::Rejected => Self::new("quiet", "barred", "Ended at its gate"),
            RunResult::Stopped => Self::new("quiet", "barred", "Stopped"),
        }
    }
}

impl From<ApprovalState> for Badge {
    fn from(state: ApprovalState) -> Self {
        match state {
            ApprovalState::Pending => Self::new("gate", "lock", "Waiting"),
            ApprovalState::Approved => Self::new("done", "check", "Approved"),
            ApprovalState::Rejected => Self::new("sev1", "cross", "Rejected"),
            ApprovalState::Expired => Self::new("quiet", "clock", "Expired"),
            ApprovalState::Void => Self::new("quiet", "barred", "Void"),
            ApprovalState::Withdrawn => Self::new("quiet", "bent", "Taken back"),
            ApprovalState::Returned => Self::new("quiet", "bent", "Sent back"),
        }
    }
}

/// The shape and word of a group of events.
pub fn category(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Decision => ("person", "Decision"),
        Category::Step => ("play", "Step"),
        Category::Alert => ("bell", "Alert"),
        Category::Note => ("note", "Note"),
        Category::Update => ("update", "Update"),
        Category::System => ("gear", "System"),
    }
}

/// A moment shown by its distance, kept up by the script.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ when.iso }}" title="{{ when.full }}" data-relative>{{ when.relative }}</time>"#
)]
pub struct Ago {
    when: When,
}

impl HtmlSafe for Ago {}

/// A moment shown by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ when.iso }}" title="{{ when.full }}">{{ when.clock }}</time>"#
)]
pub struct At {
    when: When,
}

impl HtmlSafe for At {}

impl At {
    /// The moment as scripts read it.
    pub fn iso(&self) -> &str {
        &self.when.iso
    }
}

/// A moment by its distance.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Ago {
    Ago {
        when: When::of(at, now),
    }
}

/// A moment by the clock.
pub fn at(at: DateTime<Utc>, now: DateTime<Utc>) -> At {
    At {
        when: When::of(at, now),
    }
}

/// What is left until a moment, counted down by the script with the server's clock.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ when.iso }}" title="{{ when.full }}" data-left>{{ words }}</time>"#
)]
pub struct Left {
    when: When,
    words: String,
}

impl HtmlSafe for Left {}

/// What is left until `at`.
pub fn left(at: DateTime<Utc>, now: DateTime<Utc>) -> Left {
    Left {
        when: When::of(at, now),
        words: countdown(at - now),
    }
}

/// Text from outside, isolated so that it cannot reorder what stands around it, with hidden characters shown.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(ext = "html", source = "<bdi>{{ text }}</bdi>")]
pub struct Said {
    text: String,
}

impl HtmlSafe for Said {}

/// Text from outside.
pub fn said(text: &str) -> Said {
    Said { text: visible(text) }
}

impl Said {
    /// Whether there is anything to show.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// A hidden operation id and what the person had seen: part of every form that changes something.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<input type="hidden" name="op" value="{{ op }}">{% if let Some(seen) = seen %}<input type="hidden" name="seen" value="{{ seen }}">{% endif %}"#
)]
pub struct Hidden {
    op: uuid::Uuid,
    seen: Option<i64>,
}

impl HtmlSafe for Hidden {}

/// The hidden fields of one form.
pub fn hidden(seen: Option<i64>) -> Hidden {
    Hidden {
        op: uuid::Uuid::new_v4(),
        seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_escape_what_they_hold() {
        let hostile = "<img src=x onerror=alert(1)>\u{202e}";
        let html = said(hostile).to_string();
        assert_eq!(html, "<bdi>&#60;img src=x onerror=alert(1)&#62;⟨U+202E⟩</bdi>");
        let badge = Badge::new("done", "check", "\"><script>").to_string();
        assert!(!badge.contains("<script>"), "{badge}");
    }
}
