//! The library: every runbook with what its past says of it, and the filters that find one.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format,
    layout::Frame,
    parts::{Said, said},
    proposal::WaitingRow,
    runbook::{start, steps},
    track::TrackPart,
};
use crate::{
    domain::{runbook::Runbook, track::Track},
    store::runbooks::Version,
    web::runbooks::LibraryQuery,
};

/// The library.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/list.html")]
pub struct LibraryPage {
    /// The frame.
    pub frame: Frame,
    /// The filters.
    pub filter: LibraryFilter,
    /// The runbooks that the filters leave.
    pub rows: Vec<LibraryRow>,
    /// How many there are, in words.
    pub count: String,
    /// Whether there is none at all, filtered or not.
    pub is_bare: bool,
    /// Versions that wait for review, those that wait for this person first.
    pub waiting: Vec<WaitingRow>,
    /// Whether this person may publish a new one.
    pub may_publish: bool,
}

impl LibraryPage {
    fn waiting_words(&self) -> String {
        let mine = self.waiting.iter().filter(|row| row.is_mine).count();
        match mine {
            0 => "Waiting for others to review".to_owned(),
            mine => format!(
                "{} for your review",
                format::count(mine as i64, "version waits", "versions wait")
            ),
        }
    }
}

/// The filters as they are set, and what can be chosen.
#[derive(Clone, Debug)]
pub struct LibraryFilter {
    /// Words to look for.
    pub q: String,
    /// Services, each with whether it is chosen.
    pub services: Vec<(String, bool)>,
    /// Teams, each with whether it is chosen.
    pub owners: Vec<(String, bool)>,
    /// What to show: value, words, whether it is chosen.
    pub shows: Vec<(&'static str, &'static str, bool)>,
    /// What is filtered by, in words; nothing when everything is shown.
    pub words: Option<String>,
}

/// What the library can be narrowed to, by the past of its runbooks: value and words.
const SHOWS: [(&str, &str); 6] = [
    ("", "all runbooks"),
    ("failing", "those whose last check failed"),
    ("unchecked", "those never checked"),
    ("unmatched", "those that never matched"),
    ("unrun", "those that never ran"),
    ("due", "those due for a drill"),
];

impl LibraryFilter {
    /// The filters of a query over these runbooks.
    pub fn of(query: &LibraryQuery, shelf: &[Version]) -> Self {
        let chosen = |mut names: Vec<String>, chosen: &str| -> Vec<(String, bool)> {
            names.sort_unstable();
            names.dedup();
            let mark = |name: String| {
                let is_chosen = name == chosen;
                (name, is_chosen)
            };
            names.into_iter().map(mark).collect()
        };
        let runbooks = shelf.iter().map(|version| &version.runbook);
        let services = runbooks.clone().flat_map(|runbook| runbook.services.clone());
        let owners = runbooks.filter_map(|runbook| runbook.owner.clone());
        let show = SHOWS
            .iter()
            .find(|(value, _)| *value == query.show && !value.is_empty());
        let mut words = Vec::new();
        if !query.q.trim().is_empty() {
            words.push(format!("“{}”", query.q.trim()));
        }
        if !query.service.is_empty() {
            words.push(format!("the service {}", query.service));
        }
        if !query.owner.is_empty() {
            words.push(format!("kept by {}", query.owner));
        }
        words.extend(show.map(|(_, words)| (*words).to_owned()));
        Self {
            q: query.q.clone(),
            services: chosen(services.collect(), &query.service),
            owners: chosen(owners.collect(), &query.owner),
            shows: SHOWS
                .iter()
                .map(|(value, words)| (*value, *words, *value == query.show))
                .collect(),
            words: (!words.is_empty()).then(|| format::listed(&words)),
        }
    }
}

/// Whether a runbook is among those that are asked for.
pub fn is_wanted(query: &LibraryQuery, runbook: &Runbook, track: Option<&Track>) -> bool {
    let words = query.q.to_lowercase();
    let text = format!(
        "{} {} {} {}",
        runbook.slug,
        runbook.title,
        runbook.summary,
        runbook.services.join(" ")
    )
    .to_lowercase();
    let nothing = Track::default();
    let track = track.unwrap_or(&nothing);
    words.split_whitespace().all(|word| text.contains(word))
        && (query.service.is_empty() || runbook.services.contains(&query.service))
        && (query.owner.is_empty() || runbook.owner.as_deref() == Some(&query.owner))
        && match query.show.as_str() {
            "failing" => track.is_failing(),
            "unchecked" => track.check.is_none(),
            "unmatched" => !track.has_matched,
            "unrun" => track.last.is_none(),
            "due" => track.is_due,
            _ => true,
        }
}

/// One runbook.
#[derive(Clone, Debug)]
pub struct LibraryRow {
    /// Its slug.
    pub slug: String,
    /// What it is called.
    pub title: Said,
    /// When to use it and what it does.
    pub summary: Said,
    /// What its past says of it.
    pub track: TrackPart,
    /// How it starts.
    pub start: &'static str,
    /// How many steps.
    pub steps: String,
    /// What it restores.
    pub services: String,
    /// The team that keeps it.
    pub owner: Option<String>,
    /// That no alert ever led to it, though it waits for some.
    pub never_matched: bool,
}

impl LibraryRow {
    /// The row of a current version.
    pub fn of(version: &Version, track: Option<&Track>, now: DateTime<Utc>) -> Self {
        let runbook = &version.runbook;
        Self {
            slug: runbook.slug.clone(),
            title: said(&runbook.title),
            summary: said(&runbook.summary),
            track: TrackPart::of(track, version.number, now),
            start: start(runbook.start),
            steps: steps(runbook),
            services: runbook.services.join(", "),
            owner: runbook.owner.clone(),
            never_matched: !runbook.triggers.is_empty() && !track.is_some_and(|track| track.has_matched),
        }
    }
}

/// How many are shown, in words that do not pretend that these are all.
pub fn count(shown: usize, all: usize) -> String {
    let all_words = format::count(all as i64, "runbook", "runbooks");
    match shown == all {
        true => all_words,
        false => format!("{shown} of {all_words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::parse_runbook, domain::track::Check};

    #[test]
    fn a_filter_leaves_what_it_says() {
        let source = "runbook: drain-host\ntitle: Drain a host\nowner: web\nservices: [shop]\n\
                      steps: [{ id: pause, wait: 1s }]\n";
        let runbook = parse_runbook(source).unwrap().runbook;
        let failing = Track {
            check: Some(Check {
                at: DateTime::UNIX_EPOCH,
                missing: None,
                broken: Some("down".to_owned()),
            }),
            ..Track::default()
        };
        let query = |field: &str, value: &str| -> LibraryQuery {
            serde_json::from_value(serde_json::json!({ field: value })).unwrap()
        };
        for (field, value, track, wanted) in [
            ("q", "", None, true),
            ("q", " HOST drain", None, true),
            ("q", "drain shop", None, true),
            ("q", "drain cache", None, false),
            ("service", "shop", None, true),
            ("service", "sho", None, false),
            ("owner", "web", None, true),
            ("owner", "db", None, false),
            ("show", "failing", None, false),
            ("show", "failing", Some(&failing), true),
            ("show", "unchecked", None, true),
            ("show", "unchecked", Some(&failing), false),
            ("show", "unmatched", None, true),
            ("show", "nonsense", None, true),
        ] {
            let found = is_wanted(&query(field, value), &runbook, track);
            assert_eq!(found, wanted, "{field}={value}");
        }
    }
}
