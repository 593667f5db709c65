//! Re-fires that have lasted: an alert that ended and was then said to fire with its old start.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{LOOKS_MAX, Patience, write::carry_out};
use crate::{
    correlate::{
        self,
        change::GroupName,
        desk::Desk,
        rules::{Placement, place},
    },
    incident::membership,
    store::{self, StoreError, alerts, incidents, runbooks::Version},
};

/// Believes re-fires that have lasted, at most `limit`; returns how many. One whose incident is still the group's
/// comes back there; otherwise it is a new episode and goes wherever the group goes now.
pub async fn believe_refires(
    conn: &mut PgConnection,
    shelf: &[Version],
    patience: &Patience,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let due = alerts::claim_due_refires(conn, now, limit).await?;
    for refire in &due {
        let group = match refire.group_of {
            Some(incident) => incidents::group(conn, incident).await?,
            None => match store::held::find_group(conn, refire.episode).await? {
                Some(group) => group,
                None => {
                    return Err(StoreError::corrupt(
                        "held",
                        "episode_id",
                        format!("none of {}", refire.episode),
                    ));
                }
            },
        };
        if let Some(incident) = refire.incident {
            let newest = incidents::lock_newest_by_key(conn, group.key).await?;
            let is_still_home = match incidents::lock(conn, incident).await? {
                Some(incident) if incident.state.is_open() => true,
                _ => place(newest.as_ref(), patience.reopen_within, now) == Placement::Reopen(incident),
            };
            if is_still_home {
                membership::believe_refire(conn, refire, incident, patience.flap, now).await?;
                continue;
            }
        }
        let report = alerts::as_firing(conn, refire.alert).await?;
        let name = name(&group);
        let key = (group.source, report.fingerprint);
        let mut known = correlate::survey(conn, &BTreeMap::from([(key, (&report, now))])).await?;
        for look in 0.. {
            let mut desk = Desk::new(known.clone(), *patience, now);
            desk.believe(name, &report);
            if desk.missing.is_empty() {
                carry_out(conn, desk, shelf, patience, &HashSet::new(), now).await?;
                break;
            }
            if look == LOOKS_MAX {
                return Err(StoreError::Contended);
            }
            correlate::learn(conn, &mut known, &desk.missing, now).await?;
        }
    }
    Ok(due.len())
}

fn name(group: &incidents::Group) -> GroupName<'_> {
    GroupName {
        source: group.source,
        receiver: &group.receiver,
        group_key: &group.group_key,
        key: group.key,
        truncated: 0,
    }
}
