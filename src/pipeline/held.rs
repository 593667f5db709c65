//! What rules of people hold: written with its batch, let go when its time comes.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    LOOKS_MAX, Patience,
    write::{Homes, carry_out},
};
use crate::{
    correlate::{
        self,
        change::GroupName,
        desk::Desk,
        known::{EpisodeRef, Home},
    },
    domain::{alert::AlertReport, id::EpisodeId},
    intake::sample,
    store::{
        StoreError,
        desk::alerts::AlertKey,
        held::{self, Held, HeldInsert, HeldRouted},
        runbooks::Version,
    },
};

/// Keeps what is held and where what was held goes. `made` are the numbers of the desk's episodes.
pub(super) async fn write(
    conn: &mut PgConnection,
    desk: &Desk<'_>,
    homes: &Homes,
    made: &[EpisodeId],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let held: Vec<HeldInsert<'_>> = desk
        .holds
        .iter()
        .filter_map(|hold| {
            let episode = match hold.at {
                EpisodeRef::Known(id) => (!desk.routed.contains_key(&id)).then_some(id)?,
                EpisodeRef::New(at) => {
                    let is_held = desk.episodes.get(at)?.home.is_none();
                    is_held.then(|| made.get(at).copied())??
                }
            };
            Some(HeldInsert {
                episode,
                alert: hold.alert,
                source: hold.group.source,
                receiver: hold.group.receiver,
                group_key: hold.group.group_key,
                key: hold.group.key,
                truncated: hold.group.truncated,
                rule: hold.rule,
                counts: hold.counts,
                due: hold.due,
            })
        })
        .collect();
    if !held.is_empty() {
        held::hold(conn, &held, now).await?;
    }
    let routed: Vec<HeldRouted<'_>> = desk
        .routed
        .iter()
        .map(|(episode, routed)| HeldRouted {
            episode: *episode,
            incident: homes.id(routed.home),
            reason: &routed.reason,
            came_from: routed.came_from,
        })
        .collect();
    if !routed.is_empty() {
        held::let_go(conn, &routed).await?;
    }
    Ok(())
}

/// Where alerts go that say of themselves that they are a test: only that is known of what was held, and nothing starts by
/// itself on a test.
fn tests(desk: &Desk<'_>, due: &[Held]) -> HashSet<Home> {
    due.iter()
        .filter(|held| !held.report.labels.get(sample::LABEL).is_empty())
        .filter_map(|held| Some(desk.routed.get(&held.episode)?.home))
        .collect()
}

/// Lets alerts go whose windows are over or that were held to be counted for long enough, at most `limit`; returns how
/// many. One that still fires is placed as if it came now; one that has ended is forgotten.
pub async fn let_held_go(
    conn: &mut PgConnection,
    shelf: &[Version],
    patience: &Patience,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let ended = held::forget_ended(conn, now, limit).await?;
    let seen = held::find_due(conn, now, limit).await?;
    if seen.is_empty() {
        return Ok(ended as usize);
    }
    let reports: BTreeMap<AlertKey, (&AlertReport, DateTime<Utc>)> = seen
        .iter()
        .map(|held| ((held.source, held.report.fingerprint), (&*held.report, now)))
        .collect();
    let mut known = correlate::survey(conn, &reports).await?;
    // The lock is newer than the look: what is due now and locked.
    let mut due: Vec<Held> = held::find_due(conn, now, limit).await?;
    due.retain(|held| reports.contains_key(&(held.source, held.report.fingerprint)));
    for look in 0.. {
        let mut desk = Desk::new(known.clone(), *patience, now);
        for held in &due {
            let name = GroupName {
                source: held.source,
                receiver: &held.receiver,
                group_key: &held.group_key,
                key: held.key,
                truncated: held.truncated,
            };
            desk.let_go(name, held);
        }
        if desk.missing.is_empty() {
            let of_tests = tests(&desk, &due);
            carry_out(conn, desk, shelf, patience, &of_tests, now).await?;
            break;
        }
        if look == LOOKS_MAX {
            return Err(StoreError::Contended);
        }
        correlate::learn(conn, &mut known, &desk.missing, now).await?;
    }
    Ok(ended as usize + due.len())
}
