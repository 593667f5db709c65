//! Correlation: which reports of a delivery mean something new, and which incident they belong to. The desk judges a
//! whole batch in memory; here it is given what the database knows.

pub mod change;
pub mod desk;
pub mod flap;
pub mod known;
mod open;
pub mod route;
pub mod rules;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use self::{
    known::{AlertNow, EpisodeNow, EpisodeRef, Home, IncidentNow, Known, Missing, Newcomer},
    rules::KeyHolder,
};
use crate::{
    domain::{
        alert::AlertReport,
        digest::Digest,
        flap::FlapLimits,
        id::{IncidentId, SourceId},
        span::Span,
    },
    store::{
        StoreError,
        desk::{
            alerts::{self, AlertKey, AlertRow},
            incidents::{self, IncidentRow},
        },
        flaps,
        held::{self, Held},
        routing,
    },
};

/// How long Muster waits before it believes what it is told.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long every alert must stay ended before an incident recovers.
    pub hold_down: Span,
    /// How long an ended alert must be said to fire with its old start before that is believed.
    pub refire: Span,
    /// How long after its end a group comes back into the same incident.
    pub reopen_within: Span,
    /// How often an incident may come back before it flaps.
    pub flap: FlapLimits,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            hold_down: Span::from_secs(60),
            refire: Span::from_secs(60),
            reopen_within: Span::from_secs(600),
            flap: FlapLimits::default(),
        }
    }
}

/// Where new episodes of a sender's group look for an open incident.
pub fn key(source: SourceId, receiver: &str, group_key: &str) -> Digest {
    Digest::of_json(&serde_json::json!([source, receiver, group_key]))
}

/// Locks the alerts that a batch reports, and numbers those that are new. Another transaction may do the same at the same
/// time: the later one finds that out when it writes them.
pub async fn survey(
    conn: &mut PgConnection,
    reports: &BTreeMap<AlertKey, (&AlertReport, DateTime<Utc>)>,
) -> Result<Known, StoreError> {
    let mut known = Known::default();
    let keys: Vec<AlertKey> = reports.keys().copied().collect();
    let surveyed = alerts::lock_alerts(conn, &keys).await?;
    for row in &surveyed.alerts {
        known.alerts.insert((row.source, row.fingerprint), alert(row));
    }
    let fresh: Vec<(&AlertKey, DateTime<Utc>)> = reports
        .iter()
        .filter(|(key, _)| !known.alerts.contains_key(key))
        .map(|(key, (_, at))| (key, *at))
        .collect();
    for ((key, first_received_at), (id, episode)) in fresh.into_iter().zip(surveyed.numbers) {
        let never = AlertNow {
            id,
            last_received_at: DateTime::UNIX_EPOCH,
            episode: None,
        };
        known.alerts.insert(*key, never);
        let newcomer = Newcomer {
            source: key.0,
            first_received_at,
            episode,
        };
        known.unwritten.insert(id, newcomer);
    }
    Ok(known)
}

fn alert(row: &AlertRow) -> AlertNow {
    AlertNow {
        id: row.id,
        last_received_at: row.last_received_at,
        episode: row.episode.map(|episode| EpisodeNow {
            at: EpisodeRef::Known(episode.id),
            known: episode.known,
            home: episode.home.map(|(incident, _)| Home::Known(incident)),
            home_is_open: episode.home.is_some_and(|(_, state)| state.is_open()),
            came_from: episode.came_from,
        }),
    }
}

/// Looks up what a desk was missing: the newest incident of groups, and incidents, which are locked; the rules of people,
/// and what they hold to be counted.
pub async fn learn(
    conn: &mut PgConnection,
    known: &mut Known,
    missing: &Missing,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if missing.rules {
        known.rules = Some(Arc::new(routing::list(conn, now).await?));
    }
    if !missing.waiting.is_empty() {
        let keys: Vec<Digest> = missing.waiting.iter().copied().collect();
        wait_for(conn, known, &keys).await?;
    }
    find_homes(conn, known, missing).await?;
    if !missing.histories.is_empty() {
        let ids: Vec<IncidentId> = missing.histories.iter().copied().collect();
        known.histories.extend(flaps::histories(conn, &ids).await?);
    }
    Ok(())
}

/// Locks the newest incident of each group, and what else was asked for. A merged one is locked as well as the one it
/// lives on in, so that it stays there.
async fn find_homes(conn: &mut PgConnection, known: &mut Known, missing: &Missing) -> Result<(), StoreError> {
    let mut through: Vec<(Digest, IncidentId, IncidentId)> = Vec::new();
    if !missing.groups.is_empty() {
        let keys: Vec<Digest> = missing.groups.iter().copied().collect();
        known.groups.extend(keys.iter().map(|key| (*key, None)));
        for (key, row) in incidents::lock_newest_by_keys(conn, &keys).await? {
            match row.lives_in {
                Some(home) => through.push((key, row.id, home)),
                None => _ = known.groups.insert(key, Some(holder(&row, None))),
            }
            known.incidents.insert(row.id, incident(&row));
        }
    }
    let mut ids: Vec<IncidentId> = missing.incidents.iter().copied().collect();
    ids.extend(through.iter().map(|(.., home)| *home));
    ids.retain(|id| !known.incidents.contains_key(id) || through.iter().any(|(.., home)| home == id));
    if ids.is_empty() {
        return Ok(());
    }
    let locked = incidents::lock_incidents(conn, &ids).await?;
    for row in &locked {
        known.incidents.insert(row.id, incident(row));
    }
    for (key, merged, home) in through {
        let row = locked.iter().find(|row| row.id == home);
        let home = row
            .filter(|row| row.lives_in.is_none())
            .ok_or(StoreError::Contended)?;
        known.groups.insert(key, Some(holder(home, Some(merged))));
    }
    Ok(())
}

fn holder(row: &IncidentRow, through: Option<IncidentId>) -> KeyHolder {
    KeyHolder {
        id: row.id,
        state: row.state,
        resolved_at: row.resolved_at,
        through,
    }
}

fn incident(row: &IncidentRow) -> IncidentNow {
    IncidentNow {
        state: row.state,
        recover_due: row.recover_due,
        truncated: row.truncated,
        detected_at: row.detected_at,
        flapping_since: row.flapping_since,
        tail: row.tail,
    }
}

/// Learns what waits to be counted with these groups. Its alerts are locked like those of the batch: what this batch
/// takes along cannot end unseen.
async fn wait_for(conn: &mut PgConnection, known: &mut Known, keys: &[Digest]) -> Result<(), StoreError> {
    held::lock_groups(conn, keys).await?;
    let mut found = held::find_by_groups(conn, keys).await?;
    let mut strangers: Vec<AlertKey> = found
        .iter()
        .map(|held| (held.source, held.report.fingerprint))
        .collect();
    strangers.retain(|key| !known.alerts.contains_key(key));
    if !strangers.is_empty() {
        strangers.sort_unstable();
        for row in alerts::lock_alerts(conn, &strangers).await?.alerts {
            known.alerts.insert((row.source, row.fingerprint), alert(&row));
        }
        // The lock is newer than the look.
        found = held::find_by_groups(conn, keys).await?;
    }
    let mut waiting: HashMap<Digest, Vec<Held>> = keys.iter().map(|key| (*key, Vec::new())).collect();
    for held in found {
        waiting.entry(held.key).or_default().push(held);
    }
    known.waiting.extend(waiting);
    Ok(())
}
