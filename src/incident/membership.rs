//! An incident that opens, recovers and comes back by a timer's word; what deliveries do to it is judged at the desk.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::{
    domain::{
        alert::{AlertReport, headline},
        digest::Digest,
        event::{IncidentFact, NewEvent},
        flap::FlapLimits,
        id::{IncidentId, SourceId},
        incident::{IncidentMove, IncidentState, Severity},
        operator::Actor,
        span::Span,
    },
    store::{
        StoreError,
        alerts::{self, DueRefire, LeaseOver},
        events, flaps,
        incidents::{self, NewIncident},
    },
};

/// How many names an event about many alerts holds.
const NAMES_MAX: usize = 10;

/// A group of a sender that needs an incident.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// Who sends.
    pub source: SourceId,
    /// The sender's receiver, raw.
    pub receiver: &'a str,
    /// The sender's group key, raw.
    pub group_key: &'a str,
    /// Where it is found again.
    pub key: Digest,
}

/// What runbooks see of the alert that opened an incident.
pub fn context(report: &AlertReport) -> Value {
    json!({"labels": report.labels, "annotations": report.annotations})
}

/// Opens an incident for a group; `None` when another delivery did so first.
pub async fn open(
    conn: &mut PgConnection,
    group: Group<'_>,
    reports: &[&AlertReport],
    recurrence_of: Option<IncidentId>,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<Option<IncidentId>, StoreError> {
    let worst = reports.iter().min_by_key(|report| Severity::of(&report.labels));
    let Some(worst) = worst else { return Ok(None) };
    let severity = Severity::of(&worst.labels);
    let title = headline(&worst.labels, &worst.annotations);
    let new = NewIncident {
        title: &title,
        severity,
        source: group.source,
        receiver: group.receiver,
        group_key: group.group_key,
        correlation_key: group.key,
        context: context(worst),
        detected_at: reports.iter().map(|report| report.starts_at).min().unwrap_or(now),
        recurrence_of,
    };
    let Some(id) = incidents::insert(conn, &new, now).await? else {
        return Ok(None);
    };
    let opened = IncidentFact::Opened {
        title,
        severity,
        reason: reason.to_owned(),
    };
    let mut facts = vec![NewEvent::by(actor.clone(), opened, now)];
    facts.extend(recurrence_of.map(|of| NewEvent::automatic(IncidentFact::Recurrence { of }, now)));
    events::append(conn, id, &facts, now).await?;
    Ok(Some(id))
}

/// Brings an incident back that was over, or that recovers as soon as nothing fires and nothing may; another one stays
/// as it is.
async fn come_back(
    conn: &mut PgConnection,
    id: IncidentId,
    name: &str,
    flap: FlapLimits,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(incident) = incidents::lock(conn, id).await? else {
        return Ok(());
    };
    let name = name.to_owned();
    let flapped = incident.flapping_since.is_some();
    let was_quiet = alerts::membership(conn, id).await?.firing == 0 && incident.truncated_alerts == 0;
    let fact = match incident.state.after(IncidentMove::Reopen) {
        Some(state) => {
            incidents::set_state(conn, id, state, None, now).await?;
            incidents::break_recovery(conn, id, false).await?;
            Some(IncidentFact::Reopened { name })
        }
        None if incident.state.is_open() && was_quiet => {
            incidents::break_recovery(conn, id, true).await?;
            // While it flaps that is said once, not each time.
            (!flapped).then_some(IncidentFact::RecoveryBroken { name })
        }
        None => return Ok(()),
    };
    let mut facts: Vec<IncidentFact> = fact.into_iter().collect();
    let mut since = incident.flapping_since;
    if !flapped {
        let histories = flaps::histories(conn, &[id]).await?;
        let times = histories.into_values().flatten().chain([now]);
        if let Some(seen) = flap.seen(&times.collect::<Vec<_>>(), now) {
            since = Some(now);
            facts.push(IncidentFact::Flapping {
                times: seen.times,
                first_at: seen.first_at,
                last_at: seen.last_at,
                calm_after: flap.calm_after(),
            });
        }
    }
    let calm_due = since.map(|_| now + flap.calm_after().as_delta());
    flaps::come_back(conn, id, since, calm_due, now).await?;
    let facts: Vec<NewEvent> = facts
        .into_iter()
        .map(|fact| NewEvent::automatic(fact, now))
        .collect();
    events::append(conn, id, &facts, now).await?;
    Ok(())
}

/// Recovers incidents whose hold-down is over, at most `limit`; returns them. One whose alert is said to fire again
/// waits until that is settled.
pub async fn recover_due(
    conn: &mut PgConnection,
    hold_down: Span,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<IncidentId>, StoreError> {
    let mut recovered = Vec::new();
    for (id, ended_at) in incidents::claim_recovered(conn, now, limit).await? {
        let members = alerts::membership(conn, id).await?;
        if members.firing > 0 || members.refire_pending > 0 {
            incidents::begin_recovery(conn, id, now + hold_down.as_delta(), ended_at).await?;
            continue;
        }
        incidents::set_state(conn, id, IncidentState::Resolved, None, now).await?;
        let ended_at = ended_at.unwrap_or(now);
        let fact = IncidentFact::Recovered { ended_at };
        events::append(conn, id, &[NewEvent::automatic(fact, now)], now).await?;
        recovered.push(id);
    }
    Ok(recovered)
}

/// A re-fire has lasted: the end was none, and the incident comes back if it was over.
pub async fn believe_refire(
    conn: &mut PgConnection,
    refire: &DueRefire,
    incident: IncidentId,
    flap: FlapLimits,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    come_back(conn, incident, &refire.title, flap, now).await?;
    alerts::reopen_episode(conn, refire.episode).await?;
    let fact = IncidentFact::AlertsFired {
        count: 1,
        names: vec![refire.title.clone()],
        reason: "it kept firing after its end".to_owned(),
    };
    events::append(conn, incident, &[NewEvent::automatic(fact, now)], now).await?;
    Ok(())
}

/// Ends alerts whose senders have not renewed them in time, `grace` after their leases, at most `limit`; returns how
/// many. An incident in which nothing fires any more begins to recover.
pub async fn end_leases(
    conn: &mut PgConnection,
    grace: Span,
    hold_down: Span,
    flap: FlapLimits,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let over = alerts::end_leases(conn, now - grace.as_delta(), limit, now).await?;
    let mut by_incident: BTreeMap<IncidentId, Vec<&LeaseOver>> = BTreeMap::new();
    for ended in &over {
        // One that a rule holds is in none.
        if let Some(incident) = ended.incident {
            by_incident.entry(incident).or_default().push(ended);
        }
    }
    for (id, ended) in by_incident {
        let Some(incident) = incidents::lock(conn, id).await? else {
            continue;
        };
        let names = ended.iter().take(NAMES_MAX).map(|ended| ended.title.clone());
        let fact = IncidentFact::LeasesOver {
            count: ended.len(),
            names: names.collect(),
        };
        let mut facts = vec![NewEvent::automatic(fact, now)];
        let may_recover =
            incident.state.is_open() && incident.recover_due.is_none() && incident.truncated_alerts == 0;
        let members = alerts::membership(conn, id).await?;
        if may_recover && members.firing == 0 && members.refire_pending == 0 {
            let flaps = incident.flapping_since.is_some();
            let quiet_for = if flaps {
                flap.hold_down(hold_down)
            } else {
                hold_down
            };
            let until = now + quiet_for.as_delta();
            incidents::begin_recovery(conn, id, until, members.last_ended_at).await?;
            if !flaps {
                facts.push(NewEvent::automatic(IncidentFact::RecoveryBegan { until }, now));
            }
        }
        events::append(conn, id, &facts, now).await?;
    }
    Ok(over.len())
}

/// Says of incidents that have not come back for long enough that they are calm, at most `limit`; returns how many.
pub async fn calm_down(conn: &mut PgConnection, limit: i64, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let calm = flaps::calm_down(conn, now, limit).await?;
    for (id, times) in &calm {
        let fact = IncidentFact::CalmAgain { times: *times };
        events::append(conn, *id, &[NewEvent::automatic(fact, now)], now).await?;
    }
    Ok(calm.len())
}
