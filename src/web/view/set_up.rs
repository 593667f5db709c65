//! The steps after the first admin is made: is it well, do alerts arrive, what next.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    check::Check,
    layout::Frame,
    parts::{Ago, Badge, Said, ago, said},
};
use crate::store::sources::{Pulse, Source};

/// What is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether anybody may send.
    pub has_source: bool,
    /// Whether anything was ever delivered, and is kept.
    pub has_delivery: bool,
    /// Runbooks in use.
    pub runbooks: usize,
    /// Targets in their file.
    pub targets: usize,
    /// People, disabled ones included.
    pub people: usize,
}

/// All steps, with where this one stands.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<nav aria-label="First steps"><ol class="steps-line">{% for step in steps %}<li{% if step.is_here %} aria-current="step"{% endif %}>{{ step.badge }} {% if let Some(href) = step.href %}<a href="{{ href }}">{{ step.name }}</a>{% else %}{{ step.name }}{% endif %}</li>{% endfor %}</ol></nav>"#
)]
struct StepsPart {
    steps: Vec<StepLink>,
}

impl HtmlSafe for StepsPart {}

#[derive(Clone, Debug)]
struct StepLink {
    name: &'static str,
    href: Option<&'static str>,
    badge: Badge,
    is_here: bool,
}

impl StepsPart {
    /// With the one of that number as the one that is shown.
    fn of(facts: &Facts, here: usize) -> Self {
        let steps = [
            ("First admin", None, true),
            ("Checks", Some("/setup/checks"), false),
            ("Alerts", Some("/setup/alerts"), facts.has_delivery),
            ("Ready", Some("/setup/ready"), false),
        ];
        let link =
            |(at, (name, href, is_done)): (usize, (&'static str, Option<&'static str>, bool))| StepLink {
                name,
                href: href.filter(|_| at != here),
                badge: match (is_done, at == here) {
                    (true, _) => Badge::new("done", "check", "Done"),
                    (false, true) => Badge::new("running", "play", "Now"),
                    (false, false) => Badge::new("quiet", "circle-open", "Open"),
                },
                is_here: at == here,
            };
        Self {
            steps: steps.into_iter().enumerate().map(link).collect(),
        }
    }
}

/// Is this installation well?
#[derive(Clone, Debug, Template)]
#[template(path = "set_up/checks.html")]
pub struct ChecksStep {
    frame: Frame,
    steps: StepsPart,
    checks: Vec<Check>,
}

impl ChecksStep {
    /// The step.
    pub fn of(frame: Frame, facts: &Facts, checks: Vec<Check>) -> Self {
        Self {
            frame,
            steps: StepsPart::of(facts, 1),
            checks,
        }
    }
}

/// A sender, and whether anything of it has arrived.
#[derive(Clone, Debug)]
pub struct Sender {
    name: String,
    format: &'static str,
    last: Option<Ago>,
    is_open: bool,
}

impl Sender {
    /// The sender.
    pub fn of(source: &Source, pulse: &Pulse, now: DateTime<Utc>) -> Self {
        Self {
            name: source.name.clone(),
            format: source.settings.format.title(),
            last: pulse.last_delivery_at.map(|last| ago(last, now)),
            is_open: source.disabled_at.is_none(),
        }
    }

    fn said(&self) -> Said {
        said(&self.name)
    }
}

/// Do alerts arrive?
#[derive(Clone, Debug, Template)]
#[template(path = "set_up/alerts.html")]
pub struct AlertsStep {
    frame: Frame,
    steps: StepsPart,
    senders: Vec<Sender>,
    has_delivery: bool,
}

impl AlertsStep {
    /// The step.
    pub fn of(frame: Frame, facts: &Facts, senders: Vec<Sender>) -> Self {
        Self {
            frame,
            steps: StepsPart::of(facts, 2),
            senders,
            has_delivery: facts.has_delivery,
        }
    }

    fn op(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// What next?
#[derive(Clone, Debug, Template)]
#[template(path = "set_up/ready.html")]
pub struct ReadyStep {
    frame: Frame,
    steps: StepsPart,
    left: Vec<Left>,
}

/// One more thing that a team needs.
#[derive(Clone, Debug)]
struct Left {
    badge: Badge,
    words: String,
    advice: &'static str,
    href: &'static str,
    link: &'static str,
}

impl ReadyStep {
    /// The step.
    pub fn of(frame: Frame, facts: &Facts) -> Self {
        let left = |is_done: bool, words: String, advice, (href, link)| Left {
            badge: match is_done {
                true => Badge::new("done", "check", "There"),
                false => Badge::new("sev3", "circle-open", "Missing"),
            },
            words,
            advice,
            href,
            link,
        };
        let count = |n: usize, one, many| super::format::count(n as i64, one, many);
        Self {
            steps: StepsPart::of(facts, 3),
            left: vec![
                left(
                    facts.has_delivery,
                    match facts.has_delivery {
                        true => "Alerts arrive".to_owned(),
                        false => "No alert has arrived yet".to_owned(),
                    },
                    "Without them nothing ever opens.",
                    ("/setup/alerts", "Alerts"),
                ),
                left(
                    facts.targets > 0,
                    count(facts.targets, "target", "targets"),
                    "What runbooks act on. Steps that only ask a person need none.",
                    ("/settings/targets", "Targets"),
                ),
                left(
                    facts.runbooks > 0,
                    count(facts.runbooks, "runbook", "runbooks"),
                    "Start with one that only looks: checks and a step that asks a person.",
                    ("/runbooks", "Runbooks"),
                ),
                left(
                    facts.people > 1,
                    count(facts.people, "person", "people"),
                    "A gate wants somebody else than who asked; with one person it stays shut.",
                    ("/settings/people", "Invite people"),
                ),
            ],
            frame,
        }
    }
}
