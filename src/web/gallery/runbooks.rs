//! The library, the page of a runbook, its versions.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Specimen, frame, now, operator};
use crate::{
    catalog::{parse_runbook, parse_targets},
    domain::{
        self,
        coverage::{Coverage, Drilled, Item, Loss, Standing, Tally, items},
        digest::Digest,
        id::{DrillId, IncidentId, RunId, StepId, VersionId},
        incident::Severity,
        run::RunResult,
        runbook::Runbook,
        target::Targets,
        timing::Took,
        track::{Check, LastDrill, LastRun, Track},
    },
    store::{
        matches::MatchedIncident, runbooks::Version, runs::RunLine, scenarios::ScenarioVersion,
        versions::Numbered,
    },
    web::{
        runbooks::LibraryQuery,
        view::{
            coverage::{CoveragePart, LossPart},
            layout::Place,
            library::{LibraryFilter, LibraryPage, LibraryRow, count, is_wanted},
            parts::{ago, said},
            proposal::WaitingRow,
            runbook::{RunbookPage, Subject, Trust},
            versions::{Compared, DiffPage, VersionsPage},
        },
    },
};

pub(super) const SHOP: &str = include_str!("../../../runbooks/web-service-down.yaml");
const CHECKOUT: &str = include_str!("../../../runbooks/postgres-primary-down.yaml");
const TARGETS: &str = include_str!("../../../runbooks/targets.yaml");

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let specimen = |page, state, html| Specimen { page, state, html };
    vec![
        specimen("runbooks", "full", || {
            library(&LibraryQuery::default(), shelf()?)?.render()
        }),
        specimen("runbooks", "long", || {
            library(&LibraryQuery::default(), long()?)?.render()
        }),
        specimen("runbooks", "filtered", || {
            let query = LibraryQuery {
                q: "kubernetes".to_owned(),
                ..LibraryQuery::default()
            };
            library(&query, shelf()?)?.render()
        }),
        specimen("runbooks", "empty", || {
            library(&LibraryQuery::default(), Vec::new())?.render()
        }),
        specimen("runbook", "full", || {
            runbook(CHECKOUT, Some(&good()), true)?.render()
        }),
        specimen("runbook", "never-run", || runbook(SHOP, None, false)?.render()),
        specimen("runbook", "degraded", || {
            runbook(SHOP, Some(&broken()), true)?.render()
        }),
        specimen("runbook", "old-version", || {
            let page = runbook(SHOP, Some(&good()), true)?;
            RunbookPage {
                badge: crate::web::view::parts::Badge::new("quiet", "clock", "Not in use"),
                number: 12,
                other: Some(14),
                ..page
            }
            .render()
        }),
        specimen("versions", "full", || {
            let rows: Vec<Numbered> = (10..=14).rev().map(numbered).collect();
            VersionsPage::of(
                page("Versions"),
                "web-service-down",
                "Web service does not answer",
                &rows,
                true,
                now(),
            )
            .render()
        }),
        specimen("diff", "full", || {
            let text = careless();
            let (old, new) = (version(SHOP, 13)?, version(&text, 14)?);
            let (a, b) = (numbered(13), numbered(14));
            let side = |version, source, line| Compared {
                version,
                source,
                line,
            };
            let loss = loss(&old.runbook, &new.runbook);
            let old_side = side(&old, SHOP, &a);
            let new_side = side(&new, &text, &b);
            DiffPage::of(page("v13 → v14"), old_side, new_side, loss, now()).render()
        }),
        specimen("diff", "same", || {
            let (old, a) = (version(SHOP, 13)?, numbered(13));
            let side = Compared {
                version: &old,
                source: SHOP,
                line: &a,
            };
            let loss = LossPart::of(&Loss::default(), now());
            DiffPage::of(page("v13 → v13"), side, side, loss, now()).render()
        }),
    ]
}

pub(super) fn page(title: &str) -> crate::web::view::layout::Frame {
    frame(title, Place::Runbooks)
}

pub(super) fn hours_ago(hours: i64) -> DateTime<Utc> {
    now() - TimeDelta::hours(hours)
}

/// A sample that cannot be read is told like any page that cannot be made.
pub(super) fn read(source: &str) -> askama::Result<Runbook> {
    let parsed = parse_runbook(source).map_err(|faults| {
        let first = faults.first().map_or_else(String::new, ToString::to_string);
        askama::Error::custom(std::io::Error::other(first))
    })?;
    Ok(parsed.runbook)
}

fn version(source: &str, number: i32) -> askama::Result<Version> {
    Ok(Version {
        id: VersionId(i64::from(number)),
        runbook_id: 1,
        number,
        digest: Digest::of_bytes(source.as_bytes()),
        runbook: read(source)?,
        created_at: hours_ago(72),
    })
}

pub(super) fn targets() -> Targets {
    parse_targets(TARGETS).unwrap_or_default()
}

/// The shop's runbook after somebody was in a hurry: no gate, no proof, and it looks longer.
pub(super) fn careless() -> String {
    let gate = SHOP.find("  - id: ask").unwrap_or_default();
    let drain = SHOP.find("  - id: drain").unwrap_or_default();
    let text = format!("{}{}", &SHOP[..gate], &SHOP[drain..]);
    text.replace("go_to: answers } #", "go_to: answers } # as before:")
        .replace("timeout: 5s", "timeout: 30s")
        .replace("start: suggest", "start: automatic")
        .replace("locks: [service/shop]\n", "")
}

/// The coverage of a runbook whose items were drilled one after the other, but for every fifth; of those drilled, every
/// fourth has changed since when it has `changed`.
pub(super) fn coverage(runbook: &Runbook, changed: bool) -> Coverage {
    let stand = |(item, at): (Item, i64)| {
        let drilled = Drilled {
            drill: DrillId(12 + at % 3),
            number: 13,
            at: hours_ago(24 * (at + 1)),
        };
        let standing = match at {
            at if at % 5 == 4 => Standing::Never,
            at if changed && at % 4 == 3 => Standing::Undrilled(drilled),
            _ => Standing::Covered(drilled),
        };
        (item, standing)
    };
    Coverage {
        lines: items(runbook).into_iter().zip(0..).map(stand).collect(),
    }
}

/// What a new version un-drills.
pub(super) fn loss(old: &Runbook, new: &Runbook) -> LossPart {
    let found = domain::coverage::loss(&coverage(old, false), &coverage(new, true));
    LossPart::of(&found, now())
}

/// A runbook that has worked often.
pub fn good() -> Track {
    Track {
        last: Some(LastRun {
            number: 14,
            at: hours_ago(72),
            result: Some(RunResult::Succeeded),
        }),
        drill: Some(LastDrill {
            drill: DrillId(14),
            number: 14,
            at: hours_ago(24),
            result: Some(RunResult::Succeeded),
            is_over: true,
            is_whole: true,
        }),
        coverage: Some(Tally {
            covered: 7,
            of: 9,
            undrilled: 2,
            since: Some(13),
        }),
        is_due: true,
        ended: 7,
        worked: 6,
        median: Some(TimeDelta::seconds(41)),
        check: Some(Check {
            at: hours_ago(1),
            missing: None,
            broken: None,
        }),
        has_matched: true,
    }
}

fn broken() -> Track {
    Track {
        last: Some(LastRun {
            number: 13,
            at: hours_ago(5),
            result: Some(RunResult::Failed),
        }),
        ended: 2,
        worked: 1,
        check: Some(Check {
            at: hours_ago(2),
            missing: Some("secret env:SUPERVISOR_TOKEN is not set".to_owned()),
            broken: Some("secret env:SUPERVISOR_TOKEN is not set".to_owned()),
        }),
        ..good()
    }
}

type Shelf = Vec<(Version, Option<Track>)>;

fn shelf() -> askama::Result<Shelf> {
    Ok(vec![
        (version(CHECKOUT, 14)?, Some(good())),
        (version(SHOP, 14)?, Some(broken())),
        (
            version(
                "runbook: disk\ntitle: Make room on a disk\nsteps: [{ id: pause, wait: 1s }]\n",
                1,
            )?,
            None,
        ),
    ])
}

fn long() -> askama::Result<Shelf> {
    let title =
        "Postgres primary of the checkout in the second data centre does not answer, and its standby lags";
    let text = CHECKOUT.replacen("title: ", &format!("title: {title} "), 1);
    Ok(vec![(version(&text, 1204)?, Some(broken()))])
}

fn library(query: &LibraryQuery, shelf: Shelf) -> askama::Result<LibraryPage> {
    let versions: Vec<Version> = shelf.iter().map(|(version, _)| version.clone()).collect();
    let tracks: BTreeMap<String, Track> = shelf
        .into_iter()
        .filter_map(|(version, track)| Some((version.runbook.slug, track?)))
        .collect();
    let rows: Vec<LibraryRow> = versions
        .iter()
        .filter(|version| is_wanted(query, &version.runbook, tracks.get(&version.runbook.slug)))
        .map(|version| LibraryRow::of(version, tracks.get(&version.runbook.slug), now()))
        .collect();
    Ok(LibraryPage {
        frame: page("Runbooks"),
        filter: LibraryFilter::of(query, &versions),
        count: count(rows.len(), versions.len()),
        is_bare: versions.is_empty(),
        waiting: match versions.len() {
            3 => vec![waiting(true), waiting(false)],
            _ => Vec::new(),
        },
        rows,
        may_publish: true,
    })
}

fn waiting(is_mine: bool) -> WaitingRow {
    WaitingRow {
        href: "/runbooks/web-service-down/proposals/9".to_owned(),
        slug: if is_mine {
            "web-service-down"
        } else {
            "disk-filling"
        }
        .to_owned(),
        by: if is_mine {
            "Ben".to_owned()
        } else {
            operator().name
        },
        since: ago(hours_ago(3), now()),
        note: said("Ask the health route for longer; it was slow last time"),
        is_mine,
    }
}

fn numbered(number: i32) -> Numbered {
    Numbered {
        number,
        origin: "the browser".to_owned(),
        current: number == 14,
        by: (number != 12).then(|| "Ben".to_owned()),
        note: if number == 13 { "Restart only once" } else { "" }.to_owned(),
        published_at: hours_ago(24 * i64::from(15 - number)),
        last: (number != 14).then(|| (RunId(100), hours_ago(50), Some(RunResult::Succeeded))),
    }
}

fn runbook(source: &str, track: Option<&Track>, has_run: bool) -> askama::Result<RunbookPage> {
    let version = version(source, 14)?;
    let timings: Vec<Took> = version
        .runbook
        .all_steps()
        .filter(|_| has_run)
        .flat_map(|step| times(&step.id))
        .collect();
    let run = |id: i64, result| RunLine {
        id: RunId(id),
        incident: IncidentId(204),
        incident_title: "Checkout DB down".to_owned(),
        slug: version.runbook.slug.clone(),
        title: version.runbook.title.clone(),
        number: 13,
        requested_by: Some("Ben".to_owned()),
        started_at: hours_ago(id),
        finished_at: Some(hours_ago(id) + TimeDelta::seconds(41)),
        result: Some(result),
    };
    let runs = [run(72, RunResult::Succeeded), run(90, RunResult::Failed)];
    let matched = [(204, Severity::Sev1), (198, Severity::Sev2)].map(|(id, severity)| MatchedIncident {
        id: IncidentId(id),
        title: "Checkout DB down".to_owned(),
        severity,
        number: 13,
        at: hours_ago(id - 190),
    });
    let versions: Vec<Numbered> = (12..=14).rev().map(numbered).collect();
    let subject = Subject {
        version: &version,
        source,
        current: Some(14),
        track,
        coverage: match track {
            Some(_) => CoveragePart::of(&coverage(&version.runbook, has_run), &training(), now()),
            None => CoveragePart::of(&Coverage::bare(&version.runbook), &[], now()),
        },
        timings: &timings,
        matched: if has_run { &matched } else { &[] },
        versions: &versions,
        runs: if has_run { &runs } else { &[] },
        open: &[],
        targets: &targets(),
    };
    let trust = Trust {
        waiting: vec![waiting(true)],
        may_publish: true,
        may_start: true,
        scenarios: vec![(
            "checkout-primary-dead".to_owned(),
            said("The checkout database loses its primary"),
        )],
    };
    let page = RunbookPage::of(page(&version.runbook.title), &subject, trust, now());
    Ok(RunbookPage {
        open: vec![(
            "/incidents/204/runs/new".to_owned(),
            "INC-204".to_owned(),
            said("Checkout DB down"),
        )],
        ..page
    })
}

/// The sample scenario that trains the checkout's runbook.
fn training() -> Vec<ScenarioVersion> {
    super::drills::version().into_iter().collect()
}

fn times(step: &StepId) -> impl Iterator<Item = Took> {
    let seconds = [4, 5, 4, 7, 31, 6, 5];
    seconds.into_iter().zip(1..).map(|(seconds, run)| Took {
        run: RunId(run),
        step: step.clone(),
        length: TimeDelta::seconds(seconds),
        worked: seconds != 31,
    })
}
