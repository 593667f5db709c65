//! What drills have covered of a runbook, on its page; what a new version un-drills; what a drill has gained.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    parts::{Ago, Badge, Said, ago, said},
};
use crate::{
    domain::{
        coverage::{Coverage, Drilled, Gain, Item, Loss, Standing, Tally, asks_for},
        drill,
    },
    store::scenarios::ScenarioVersion,
    web::error::sentence,
};

/// A coverage in a few words: `coverage 7 of 9, 2 undrilled by changes since v14`.
pub fn words(tally: &Tally) -> String {
    let lost = match tally.since {
        Some(since) => format!(", {} undrilled by changes since v{since}", tally.undrilled),
        None => String::new(),
    };
    format!("coverage {} of {}{lost}", tally.covered, tally.of)
}

/// A drill in which something was practised.
#[derive(Clone, Debug)]
pub struct LastRow {
    /// Its scorecard.
    pub href: String,
    /// `DRILL-17`
    pub name: String,
    /// Number of the version that ran there.
    pub number: i32,
    /// When.
    pub at: Ago,
}

impl LastRow {
    fn of(drilled: &Drilled, now: DateTime<Utc>) -> Self {
        Self {
            href: format!("/drills/{}/score", drilled.drill),
            name: drill::name(drilled.drill),
            number: drilled.number,
            at: ago(drilled.at, now),
        }
    }
}

/// The section on a runbook's page.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/_coverage.html")]
pub struct CoveragePart {
    /// All of it in a few words.
    words: String,
    is_bare: bool,
    /// What is not covered, what was once first.
    open: Vec<OpenRow>,
    /// What is.
    covered: Vec<(Said, LastRow)>,
    /// Scenarios that train it: name and title.
    scenarios: Vec<(String, Said)>,
}

impl HtmlSafe for CoveragePart {}

/// Something that is not covered.
#[derive(Clone, Debug)]
struct OpenRow {
    item: Said,
    badge: Badge,
    /// The drill that covered it before it changed.
    last: Option<LastRow>,
    /// Scenarios that ask for just this: name and title.
    asked: Vec<(String, Said)>,
}

impl CoveragePart {
    /// The section of a version, with the scenarios that train it.
    pub fn of(coverage: &Coverage, training: &[ScenarioVersion], now: DateTime<Utc>) -> Self {
        let title = |version: &ScenarioVersion| (version.slug.clone(), said(&version.scenario.title));
        let mut open = Vec::new();
        let mut covered = Vec::new();
        for (item, standing) in &coverage.lines {
            let (badge, last) = match standing {
                Standing::Covered(drilled) => {
                    covered.push((said(&item.to_string()), LastRow::of(drilled, now)));
                    continue;
                }
                Standing::Undrilled(drilled) => (
                    Badge::new("sev3", "triangle", "Changed since"),
                    Some(LastRow::of(drilled, now)),
                ),
                Standing::Never => (Badge::new("quiet", "barred", "Never"), None),
            };
            open.push(OpenRow {
                item: said(&item.to_string()),
                badge,
                last,
                asked: training
                    .iter()
                    .filter(|version| asks_for(&version.scenario, item))
                    .map(title)
                    .collect(),
            });
        }
        open.sort_by_key(|row| row.last.is_none());
        let tally = coverage.tally();
        Self {
            words: sentence(&words(&tally)),
            is_bare: tally.covered + tally.undrilled == 0,
            open,
            covered,
            scenarios: training.iter().map(title).collect(),
        }
    }
}

/// What a new version un-drills.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/_loss.html")]
pub struct LossPart {
    words: String,
    lost: Vec<(Said, LastRow)>,
    new: Vec<Said>,
}

impl HtmlSafe for LossPart {}

impl LossPart {
    /// The part.
    pub fn of(loss: &Loss, now: DateTime<Utc>) -> Self {
        let (before, after) = (&loss.before, &loss.after);
        let is_bare = before.covered + after.covered == 0;
        let words = match loss.lost.len() {
            _ if is_bare => "No drill has covered anything of it, so there is nothing to lose.".to_owned(),
            0 => format!(
                "Nothing: drills cover {} of {}, before {} of {}.",
                after.covered, after.of, before.covered, before.of
            ),
            _ => format!(
                "Drills cover {} of {}, and {} of {} after it.",
                before.covered, before.of, after.covered, after.of
            ),
        };
        let lost = loss.lost.iter();
        Self {
            words,
            lost: lost
                .map(|(item, drilled)| (said(&item.to_string()), LastRow::of(drilled, now)))
                .collect(),
            // Of a runbook that nobody has practised all is new.
            new: match is_bare {
                true => Vec::new(),
                false => loss.new.iter().map(words_of).collect(),
            },
        }
    }
}

fn words_of(item: &Item) -> Said {
    said(&item.to_string())
}

/// What a drill has added to the coverage of one runbook.
#[derive(Clone, Debug)]
pub struct GainRow {
    /// The runbook.
    pub slug: String,
    /// Number of the version.
    pub number: i32,
    /// `9 of 16 exercised, 3 for the first time`
    pub words: String,
    /// What it has exercised, each with whether it was for the first time.
    pub shown: Vec<(Said, Option<Badge>)>,
    /// What no drill covers yet.
    pub left: Vec<Said>,
}

impl From<&Gain> for GainRow {
    fn from(gain: &Gain) -> Self {
        let mut words = format!("{} of {} exercised", gain.exercised(), gain.of());
        if !gain.first.is_empty() {
            words.push_str(&format!(", {} for the first time", gain.first.len()));
        }
        if !gain.kept.is_empty() {
            let more = format::count(gain.kept.len() as i64, "more is", "more are");
            words.push_str(&format!("; {more} covered by drills before it"));
        }
        let first = gain.first.iter().map(|item| {
            let badge = Badge::new("done", "check", "First time");
            (words_of(item), Some(badge))
        });
        let again = gain.again.iter().map(|item| (words_of(item), None));
        Self {
            slug: gain.slug.clone(),
            number: gain.number,
            words,
            shown: first.chain(again).collect(),
            left: gain.left.iter().map(words_of).collect(),
        }
    }
}
