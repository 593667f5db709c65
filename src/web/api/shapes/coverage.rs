//! What drills have covered of runbooks: of a version, by one drill, and what is due.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::{
        coverage::{Coverage, Drilled, Due, Gain, Item, Standing, Tally},
        drill::name,
    },
    web::drills::due::DueRunbook,
};

/// A coverage in a few numbers.
#[derive(Serialize, ToSchema)]
pub struct TallyBody {
    /// Items that drills have covered as they are.
    pub covered: usize,
    /// All items.
    pub of: usize,
    /// Items that were covered and have changed since.
    pub undrilled: usize,
}

impl From<Tally> for TallyBody {
    fn from(tally: Tally) -> Self {
        Self {
            covered: tally.covered,
            of: tally.of,
            undrilled: tally.undrilled,
        }
    }
}

/// What drills have covered of one version of a runbook.
#[derive(Serialize, ToSchema)]
pub struct CoverageBody {
    /// The runbook's name.
    pub runbook: String,
    /// Number of the version.
    pub version: i32,
    /// In a few numbers.
    #[serde(flatten)]
    pub tally: TallyBody,
    /// Everything of it that can be practised, in the order of its steps.
    pub items: Vec<ItemBody>,
}

/// One thing that can be practised.
#[derive(Serialize, ToSchema)]
pub struct ItemBody {
    /// Its name, the same in every version: `ask/approved`.
    pub key: String,
    /// In words.
    pub words: String,
    /// `covered`, `undrilled` (what defines it has changed since), `never`
    pub standing: &'static str,
    /// The newest drill that has exercised it; absent when none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<LastBody>,
}

/// A drill in which something was exercised.
#[derive(Serialize, ToSchema)]
pub struct LastBody {
    /// Its number.
    pub drill: i64,
    /// `DRILL-17`
    pub key: String,
    /// Number of the version that ran there.
    pub version: i32,
    /// When the drill was over.
    pub at: DateTime<Utc>,
}

impl From<&Drilled> for LastBody {
    fn from(drilled: &Drilled) -> Self {
        Self {
            drill: drilled.drill.0,
            key: name(drilled.drill),
            version: drilled.number,
            at: drilled.at,
        }
    }
}

impl CoverageBody {
    /// The coverage of a version.
    pub fn of(runbook: String, version: i32, coverage: &Coverage) -> Self {
        let item = |(item, standing): &(Item, Standing)| {
            let (standing, last) = match standing {
                Standing::Covered(drilled) => ("covered", Some(drilled)),
                Standing::Undrilled(drilled) => ("undrilled", Some(drilled)),
                Standing::Never => ("never", None),
            };
            ItemBody {
                key: item.key(),
                words: item.to_string(),
                standing,
                last: last.map(LastBody::from),
            }
        };
        Self {
            runbook,
            version,
            tally: coverage.tally().into(),
            items: coverage.lines.iter().map(item).collect(),
        }
    }
}

/// What one drill has added to the coverage of a runbook. Items are named by their keys.
#[derive(Serialize, ToSchema)]
pub struct GainBody {
    /// The runbook's name.
    pub runbook: String,
    /// Number of the version that ran, or of the one in use when none did.
    pub version: i32,
    /// How many items the drill has exercised.
    pub exercised: usize,
    /// All items.
    pub of: usize,
    /// Exercised by no drill before it.
    pub first: Vec<String>,
    /// Exercised once more.
    pub again: Vec<String>,
    /// Covered by drills before it only.
    pub kept: Vec<String>,
    /// Not covered yet.
    pub left: Vec<String>,
}

impl From<&Gain> for GainBody {
    fn from(gain: &Gain) -> Self {
        let keys = |items: &[Item]| items.iter().map(Item::key).collect();
        Self {
            runbook: gain.slug.clone(),
            version: gain.number,
            exercised: gain.exercised(),
            of: gain.of(),
            first: keys(&gain.first),
            again: keys(&gain.again),
            kept: keys(&gain.kept),
            left: keys(&gain.left),
        }
    }
}

/// A runbook that is due for a drill.
#[derive(Serialize, ToSchema)]
pub struct DueBody {
    /// The runbook's name.
    pub runbook: String,
    /// What it is called.
    pub title: String,
    /// Number of the version in use.
    pub version: i32,
    /// `never`, `changed`, `old`
    pub reason: &'static str,
    /// How many items are due.
    pub items: usize,
    /// Number of the newest version under which changed items were drilled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i32>,
    /// When the oldest of old items was exercised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<DateTime<Utc>>,
    /// Its coverage.
    pub coverage: TallyBody,
    /// Scenarios that train it, by name.
    pub scenarios: Vec<String>,
}

impl From<DueRunbook> for DueBody {
    fn from(found: DueRunbook) -> Self {
        let (reason, items, since, oldest) = match found.due {
            Due::Never => ("never", found.tally.of, None, None),
            Due::Undrilled {
                items: Reverse(items),
                since,
            } => ("changed", items, Some(since), None),
            Due::Old { at, items } => ("old", items, None, Some(at)),
        };
        Self {
            runbook: found.slug,
            title: found.title,
            version: found.number,
            reason,
            items,
            since,
            oldest,
            coverage: found.tally.into(),
            scenarios: found.scenarios.into_iter().map(|(slug, _)| slug).collect(),
        }
    }
}
