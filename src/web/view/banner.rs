//! What is wrong with Muster itself, on every page: what, since when, what it means for whoever reads it, and where to go.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    format,
    parts::{Ago, Icon, Said, ago, icon, said},
};
use crate::store::troubles::Trouble;

/// One fault.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<strong>{{ what }}</strong>{% if !name.is_empty() %} {{ name }}{% endif %}{% if let Some(since) = since %}, since {{ since }}{% endif %}: {{ effect }}{% if let Some((href, words)) = link %} <a href="{{ href }}">{{ words }}</a>{% endif %}"#
)]
pub struct Line {
    what: String,
    name: Said,
    since: Option<Ago>,
    effect: &'static str,
    link: Option<(String, &'static str)>,
}

impl HtmlSafe for Line {}

impl Line {
    fn new(
        what: impl Into<String>,
        name: &str,
        since: Option<Ago>,
        effect: &'static str,
        link: Option<(String, &'static str)>,
    ) -> Self {
        Self {
            what: what.into(),
            name: said(name),
            since,
            effect,
            link,
        }
    }

    /// The line of something that the database knows of.
    pub fn of(trouble: &Trouble, may_audit: bool, now: DateTime<Utc>) -> Self {
        match trouble {
            Trouble::Broken(broken) => Self::new(
                "Somebody has changed the record of who decided what:",
                &broken.to_string(),
                None,
                "do not rely on what it says from there on.",
                may_audit.then(|| ("/audit".to_owned(), "Audit")),
            ),
            Trouble::Idle { since } => Self::new(
                "No worker takes the runs that are due",
                "",
                Some(ago(*since, now)),
                "steps stand still, decisions are still taken.",
                Some(("/system".to_owned(), "System")),
            ),
            Trouble::Silent {
                source,
                since,
                incident,
            } => Self::new(
                "Nothing is heard of the source",
                source,
                Some(ago(*since, now)),
                "its alerts may not reach Muster.",
                Some((format!("/incidents/{incident}"), "Its incident")),
            ),
            Trouble::Circuit { target, since, .. } => Self::new(
                "No change is sent to the target",
                target,
                Some(ago(*since, now)),
                "steps that change it wait; checks are still asked.",
                Some((format!("/settings/targets/{target}"), "Its circuit")),
            ),
        }
    }

    /// The line of faults in the files of runbooks and targets.
    pub fn of_files(faults: usize) -> Self {
        let faults = format::count(faults as i64, "fault", "faults");
        Self::new(
            format!("{faults} in the runbook and target files"),
            "",
            None,
            "the last good ones are in use.",
            Some(("/system#files".to_owned(), "Which")),
        )
    }

    /// The line of deliveries that have waited on this machine's disk for so long.
    pub fn of_spool(waiting: TimeDelta, now: DateTime<Utc>) -> Self {
        Self::new(
            "Alerts wait on this machine's disk",
            "",
            Some(ago(now - waiting, now)),
            "they are kept, and reach their incidents late.",
            Some(("/system".to_owned(), "System")),
        )
    }
}

/// All of them: the worst in one line, the others folded behind it.
#[derive(Clone, Debug, Template)]
#[template(path = "banner.html")]
pub struct BannerPart {
    icon: Icon,
    first: Line,
    others: Vec<Line>,
}

impl HtmlSafe for BannerPart {}

impl BannerPart {
    /// `None` while nothing is wrong. The first is the worst.
    pub fn of(lines: Vec<Line>) -> Option<Self> {
        let mut lines = lines.into_iter();
        Some(Self {
            icon: icon("triangle"),
            first: lines.next()?,
            others: lines.collect(),
        })
    }

    fn more(&self) -> String {
        match self.others.len() {
            1 => "and one more fault".to_owned(),
            n => format!("and {n} more faults"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_in_the_line_and_names_are_escaped() {
        let now: DateTime<Utc> = "2026-11-21T03:12:07Z".parse().unwrap();
        assert!(BannerPart::of(Vec::new()).is_none());
        let open = Trouble::Circuit {
            target: "<lb>".to_owned(),
            since: now - TimeDelta::minutes(4),
            reason: "refused".to_owned(),
        };
        let lines = vec![Line::of(&open, false, now), Line::of_files(2)];
        let html = BannerPart::of(lines).unwrap().to_string();
        assert!(
            html.contains("&#60;lb&#62;") && html.contains("4 min ago"),
            "{html}"
        );
        assert!(html.contains("and one more fault"), "{html}");
        assert!(html.find("target").unwrap() < html.find("2 faults in the runbook").unwrap());
    }
}
