//! Correlation: which reports of a delivery mean something new, and which incident they belong to. The desk judges a
//! whole batch in memory; here it is given what the database knows.

pub mod desk;
pub mod rules;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use self::{
    desk::{AlertNow, EpisodeNow, EpisodeRef, Home, IncidentNow, Known, Missing},
    rules::KeyHolder,
};
use crate::{
    domain::{
        alert::AlertReport,
        digest::Digest,
        id::{IncidentId, SourceId},
        span::Span,
    },
    store::{
        StoreError,
        desk::{self as rows, AlertKey, AlertRow},
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
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            hold_down: Span::from_secs(60),
            refire: Span::from_secs(60),
            reopen_within: Span::from_secs(600),
        }
    }
}

/// How often alerts that others make at the same time are looked for.
const LOOKS_MAX: usize = 3;

/// Where new episodes of a sender's group look for an open incident.
pub fn key(source: SourceId, receiver: &str, group_key: &str) -> Digest {
    Digest::of_json(&serde_json::json!([source, receiver, group_key]))
}

/// Locks the alerts that a batch reports, making those that are new.
pub async fn survey(
    conn: &mut PgConnection,
    reports: &BTreeMap<AlertKey, (&AlertReport, DateTime<Utc>)>,
) -> Result<Known, StoreError> {
    let mut known = Known::default();
    let mut open: Vec<AlertKey> = reports.keys().copied().collect();
    for _ in 0..LOOKS_MAX {
        for row in rows::lock_alerts(conn, &open).await? {
            known.alerts.insert((row.source, row.fingerprint), alert(&row));
        }
        open.retain(|key| !known.alerts.contains_key(key));
        if open.is_empty() {
            return Ok(known);
        }
        let fresh: Vec<(SourceId, &AlertReport, DateTime<Utc>)> = open
            .iter()
            .filter_map(|key| reports.get(key).map(|(report, at)| (key.0, *report, *at)))
            .collect();
        for (key, id) in rows::insert_alerts(conn, &fresh).await? {
            let never = AlertNow {
                id,
                last_received_at: DateTime::UNIX_EPOCH,
                episode: None,
            };
            known.alerts.insert(key, never);
            known.made.insert(id);
        }
        open.retain(|key| !known.alerts.contains_key(key));
        if open.is_empty() {
            return Ok(known);
        }
    }
    Err(StoreError::Contended)
}

fn alert(row: &AlertRow) -> AlertNow {
    AlertNow {
        id: row.id,
        last_received_at: row.last_received_at,
        episode: row.episode.map(|episode| EpisodeNow {
            at: EpisodeRef::Known(episode.id),
            known: episode.known,
            last_start: episode.last_start,
            lease_until: episode.lease_until,
            home: Home::Known(episode.incident),
            home_is_open: episode.incident_state.is_open(),
            came_from: episode.came_from,
        }),
    }
}

/// Looks up what a desk was missing: the newest incident of groups, and incidents, which are locked. A group whose
/// incident was merged, or taken out again, between the look and the lock is looked up once more.
pub async fn learn(conn: &mut PgConnection, known: &mut Known, missing: &Missing) -> Result<(), StoreError> {
    let mut ids: Vec<IncidentId> = missing.incidents.iter().copied().collect();
    let mut keys: Vec<Digest> = missing.groups.iter().copied().collect();
    for _ in 0..LOOKS_MAX {
        if !keys.is_empty() {
            let found: HashMap<Digest, KeyHolder> = rows::find_newest_by_keys(conn, &keys).await?;
            // A merged incident is locked as well, so that it stays where it is.
            ids.extend(
                found
                    .values()
                    .flat_map(|holder| [Some(holder.id), holder.through])
                    .flatten(),
            );
            known
                .groups
                .extend(keys.iter().map(|key| (*key, found.get(key).copied())));
        }
        ids.retain(|id| !known.incidents.contains_key(id));
        if !ids.is_empty() {
            for row in rows::lock_incidents(conn, &ids).await? {
                let now = IncidentNow {
                    state: row.state,
                    recover_due: row.recover_due,
                    truncated: row.truncated,
                    detected_at: row.detected_at,
                    lives_in: row.lives_in,
                };
                known.incidents.insert(row.id, now);
            }
        }
        keys.retain(|key| known.has_moved(key));
        if keys.is_empty() {
            return Ok(());
        }
    }
    Err(StoreError::Contended)
}
