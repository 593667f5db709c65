//! What a drill has exercised of the runbooks that ran in it: kept when it ends, and told on its scorecard.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use sqlx::PgConnection;

use super::score;
use crate::{
    domain::{
        coverage::{Gain, Shown, exercised, gain, items},
        drill::{Depth, name},
        event::{Event, Recorded},
        id::{OperatorId, RunId, VersionId},
        operator::{Actor, Role},
    },
    store::{
        StoreError, coverage,
        drills::Drill,
        operators,
        runbooks::{self, Version},
    },
};

/// Runs of a drill that count.
const RUNS_MAX: i64 = 100;

/// A version that ran in a drill, with the keys of what was exercised of it.
#[derive(Clone, Debug)]
struct Practised {
    version: Version,
    keys: BTreeSet<String>,
}

/// Keeps what a drill has exercised, in the transaction that ends it. A tabletop carries nothing out and covers nothing.
pub(super) async fn record(conn: &mut PgConnection, drill: &Drill) -> Result<(), StoreError> {
    if drill.depth == Depth::Tabletop {
        return Ok(());
    }
    for practised in look(conn, drill).await? {
        let all = items(&practised.version.runbook);
        let exercised: Vec<_> = all
            .iter()
            .filter(|item| practised.keys.contains(&item.key()))
            .collect();
        coverage::insert(conn, drill.id, practised.version.id, &exercised).await?;
    }
    Ok(())
}

/// What a drill has added to the coverage of the runbooks that ran in it, and of those it was to train: by name. What came
/// after it changes nothing of this.
pub(super) async fn gains(
    conn: &mut PgConnection,
    drill: &Drill,
    trains: &[String],
) -> Result<Vec<Gain>, StoreError> {
    let practised = match (&drill.ended, drill.depth) {
        (_, Depth::Tabletop) => Vec::new(),
        (Some(_), _) => kept(conn, drill).await?,
        (None, _) => look(conn, drill).await?,
    };
    let mut newest: BTreeMap<String, Practised> = BTreeMap::new();
    for one in practised {
        // Of two versions that ran in one drill the newer one is told.
        let slug = one.version.runbook.slug.clone();
        let is_newer = newest
            .get(&slug)
            .is_none_or(|other| other.version.number < one.version.number);
        if is_newer {
            newest.insert(slug, one);
        }
    }
    for slug in trains {
        if newest.contains_key(slug) {
            continue;
        }
        if let Some((version, _)) = runbooks::find_newest(conn, slug).await? {
            let keys = BTreeSet::new();
            newest.insert(slug.clone(), Practised { version, keys });
        }
    }
    let of: Vec<_> = newest
        .values()
        .map(|one| (one.version.runbook_id, &one.version.runbook))
        .collect();
    let before = drill.ended.as_ref().map(|(at, ..)| (*at, drill.id));
    let before = coverage::list(conn, &of, before).await?;
    Ok(newest
        .iter()
        .zip(before)
        .map(|((slug, one), before)| gain(slug, one.version.number, before, &one.keys))
        .collect())
}

/// What was kept of a drill that is over.
async fn kept(conn: &mut PgConnection, drill: &Drill) -> Result<Vec<Practised>, StoreError> {
    let mut keys: BTreeMap<VersionId, BTreeSet<String>> = BTreeMap::new();
    for (_, version) in coverage::runs(conn, drill.id, RUNS_MAX).await? {
        keys.entry(version).or_default();
    }
    for (version, key) in coverage::of_drill(conn, drill.id).await? {
        keys.entry(version).or_default().insert(key);
    }
    let mut practised = Vec::new();
    for (id, keys) in keys {
        let version = runbooks::find_version(conn, id).await?;
        practised.extend(version.map(|version| Practised { version, keys }));
    }
    Ok(practised)
}

/// What a drill has exercised up to now, from the timelines of its incidents.
async fn look(conn: &mut PgConnection, drill: &Drill) -> Result<Vec<Practised>, StoreError> {
    let runs = coverage::runs(conn, drill.id, RUNS_MAX).await?;
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let recorded = score::recorded(conn, drill.id).await?;
    let people: BTreeSet<OperatorId> = recorded.iter().filter_map(person).collect();
    let people: Vec<OperatorId> = people.into_iter().collect();
    let roles = operators::roles(conn, &people).await?;
    let mut shown = shown(recorded, &roles);
    let mut practised: BTreeMap<VersionId, Practised> = BTreeMap::new();
    for (run, id) in runs {
        let one = match practised.entry(id) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(place) => {
                let Some(version) = runbooks::find_version(conn, id).await? else {
                    continue;
                };
                let keys = BTreeSet::new();
                place.insert(Practised { version, keys })
            }
        };
        let Some(facts) = shown.remove(&run) else {
            continue;
        };
        match exercised(&one.version.runbook, &facts) {
            Ok(keys) => one.keys.extend(keys),
            // A drill must end whatever its timelines say.
            Err(error) => tracing::error!(
                drill = %name(drill.id),
                run.id = run.0,
                error = &error as &dyn std::error::Error,
                "what a run has exercised cannot be told"
            ),
        }
    }
    Ok(practised.into_values().collect())
}

/// The facts of each run, with the role of the person behind each.
fn shown(mut recorded: Vec<Recorded>, roles: &BTreeMap<OperatorId, Role>) -> BTreeMap<RunId, Vec<Shown>> {
    // A run belongs to one incident, whose numbers are its order.
    recorded.sort_by_key(|event| event.seq);
    let mut shown: BTreeMap<RunId, Vec<Shown>> = BTreeMap::new();
    for event in recorded {
        let role = person(&event).and_then(|person| roles.get(&person).copied());
        if let Event::Run(run, fact) = event.event {
            shown.entry(run).or_default().push(Shown {
                at: event.occurred_at,
                fact,
                role,
            });
        }
    }
    shown
}

fn person(event: &Recorded) -> Option<OperatorId> {
    match &event.actor {
        Actor::Person { id, .. } => Some(*id),
        _ => None,
    }
}
