//! The versions of a runbook: the list, from which any two can be compared, and the comparison.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    coverage::LossPart,
    diff::DiffView,
    layout::Frame,
    parts::{Ago, At, Badge, Said, ago, at, said},
};
use crate::{
    domain::runbook::Runbook,
    store::{runbooks::Version, versions::Numbered},
};

/// One version.
#[derive(Clone, Debug)]
pub struct VersionRow {
    /// Its number.
    pub number: i32,
    /// Number of the one before it, if there is one.
    pub before: Option<i32>,
    /// When it was published last.
    pub at: At,
    /// Where it came from.
    pub origin: Said,
    /// Who published it, when that was a person.
    pub by: Option<Said>,
    /// What they said with it.
    pub note: Said,
    /// Whether matching uses it.
    pub current: bool,
    /// Its newest run: where to, how it ended, when it began.
    pub last: Option<(String, Badge, Ago)>,
}

impl VersionRow {
    /// The row of a version.
    pub fn of(line: &Numbered, now: DateTime<Utc>) -> Self {
        Self {
            number: line.number,
            before: (line.number > 1).then(|| line.number - 1),
            at: at(line.published_at, now),
            origin: said(&line.origin),
            by: line.by.as_deref().map(said),
            note: said(&line.note),
            current: line.current,
            last: line.last.map(|(run, began, result)| {
                let running = || Badge::new("running", "play", "Running");
                (
                    format!("/runs/{run}"),
                    result.map_or_else(running, Badge::from),
                    ago(began, now),
                )
            }),
        }
    }
}

/// The list.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/versions.html")]
pub struct VersionsPage {
    /// The frame.
    pub frame: Frame,
    /// The runbook's slug.
    pub slug: String,
    /// What it is called.
    pub title: Said,
    /// The versions, the newest first.
    pub rows: Vec<VersionRow>,
    /// The two that are chosen to be compared at first: the older one, the newer one.
    pub chosen: (i32, i32),
    /// Where the older ones are.
    pub next: Option<String>,
}

impl VersionsPage {
    /// The page of some versions; `has_more` when there are older ones.
    pub fn of(
        frame: Frame,
        slug: &str,
        title: &str,
        versions: &[Numbered],
        has_more: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let number = |at: usize| versions.get(at).map(|line| line.number);
        let newest = number(0).unwrap_or_default();
        let oldest = versions.last().map(|line| line.number);
        Self {
            frame,
            slug: slug.to_owned(),
            title: said(title),
            rows: versions.iter().map(|line| VersionRow::of(line, now)).collect(),
            chosen: (number(1).unwrap_or(newest), newest),
            next: oldest
                .filter(|_| has_more)
                .map(|before| format!("/runbooks/{slug}/versions?before={before}")),
        }
    }
}

/// Two versions compared.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/diff.html")]
pub struct DiffPage {
    /// The frame.
    pub frame: Frame,
    /// The runbook's slug.
    pub slug: String,
    /// What it is called.
    pub title: Said,
    /// The two, the one compared from first.
    pub sides: [VersionRow; 2],
    /// What the second has otherwise.
    pub difference: DiffView,
    /// What the second un-drills.
    pub loss: LossPart,
}

/// One side of a comparison, as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The version.
    pub version: &'a Version,
    /// Its source as written.
    pub source: &'a str,
    /// What became of it.
    pub line: &'a Numbered,
}

impl DiffPage {
    /// The page of two versions of one runbook.
    pub fn of(
        frame: Frame,
        old: Compared<'_>,
        new: Compared<'_>,
        loss: LossPart,
        now: DateTime<Utc>,
    ) -> Self {
        let runbook: &Runbook = &new.version.runbook;
        Self {
            frame,
            loss,
            slug: runbook.slug.clone(),
            title: said(&runbook.title),
            sides: [VersionRow::of(old.line, now), VersionRow::of(new.line, now)],
            difference: DiffView::between(
                (Some(&old.version.runbook), old.source),
                (Some(runbook), new.source),
            ),
        }
    }
}
