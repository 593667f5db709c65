//! Firing alerts of which nothing was heard for too long: told of once, and settled by Alertmanager's word or a person's.
//! Nothing is asked from here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::respond::RespondError;
use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::{AlertId, IncidentId},
        operator::Operator,
        span::Span,
    },
    store::{
        StoreError, alerts, events, incidents,
        staleness::{self, Quiet},
    },
};

/// How many names an event about many alerts holds.
const NAMES_MAX: usize = 10;
/// The longest reason of a person, in characters.
const REASON_CHARS_MAX: usize = 2000;

fn names(quiet: &[&Quiet]) -> Vec<String> {
    quiet
        .iter()
        .take(NAMES_MAX)
        .map(|one| one.title.clone())
        .collect()
}

/// Tells people once of up to `limit` alerts that nobody else can be asked about; returns of how many.
pub async fn tell_untold(
    conn: &mut PgConnection,
    listening_since: DateTime<Utc>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let quiet = staleness::claim_untold(conn, listening_since, now, limit).await?;
    let mut by_incident: BTreeMap<IncidentId, Vec<&Quiet>> = BTreeMap::new();
    for one in &quiet {
        by_incident.entry(one.incident).or_default().push(one);
    }
    for (incident, quiet) in by_incident {
        tell(conn, incident, &quiet, "", now).await?;
    }
    Ok(quiet.len())
}

/// Tells people of those they were not told of yet; `reason` is why nobody else could say.
pub async fn tell(
    conn: &mut PgConnection,
    incident: IncidentId,
    quiet: &[&Quiet],
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let untold: Vec<&Quiet> = quiet.iter().copied().filter(|one| !one.is_told).collect();
    let Some(last_heard_at) = untold.iter().map(|one| one.heard_at).max() else {
        return Ok(());
    };
    staleness::set_told(conn, &untold, now).await?;
    let fact = IncidentFact::AlertsStale {
        count: untold.len(),
        names: names(&untold),
        last_heard_at,
        reason: reason.to_owned(),
    };
    events::append(conn, incident, &[NewEvent::automatic(fact, now)], now).await?;
    Ok(())
}

/// What Alertmanager said of quiet alerts of one incident: those it no longer lists are over, the others fire. An alert
/// that was heard of meanwhile stays as it is. Returns how many ended.
pub async fn settle(
    conn: &mut PgConnection,
    incident: IncidentId,
    (over, firing): (&[&Quiet], &[&Quiet]),
    target: &str,
    hold_down: Span,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let mut facts = Vec::new();
    let ended = staleness::end(conn, over, now).await?;
    let ended: Vec<&Quiet> = over
        .iter()
        .copied()
        .filter(|one| ended.contains(&one.episode))
        .collect();
    if !ended.is_empty() {
        let fact = IncidentFact::AlertsSettled {
            count: ended.len(),
            names: names(&ended),
            reason: format!("Alertmanager {target} no longer lists it"),
        };
        facts.push(NewEvent::automatic(fact, now));
        facts.extend(ease(conn, incident, hold_down, now).await?);
    }
    if !firing.is_empty() {
        staleness::vouch(conn, firing, now).await?;
        // What goes on as it was is told only to those who were told to doubt it.
        let doubted: Vec<&Quiet> = firing.iter().copied().filter(|one| one.is_told).collect();
        if !doubted.is_empty() {
            let fact = IncidentFact::StillFiring {
                count: doubted.len(),
                names: names(&doubted),
                reason: format!("Alertmanager {target} lists it"),
            };
            facts.push(NewEvent::automatic(fact, now));
        }
    }
    if !facts.is_empty() {
        events::append(conn, incident, &facts, now).await?;
    }
    Ok(ended.len())
}

/// What the sender left out of its list is over as well: the incident may recover again.
pub async fn settle_cut(
    conn: &mut PgConnection,
    incident: IncidentId,
    target: &str,
    hold_down: Span,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(locked) = incidents::lock(conn, incident).await? else {
        return Ok(false);
    };
    let members = alerts::membership(conn, incident).await?;
    if locked.truncated_alerts == 0 || members.firing > 0 || members.refire_pending > 0 {
        return Ok(false);
    }
    incidents::set_truncated(conn, incident, 0).await?;
    let fact = IncidentFact::TruncationSettled {
        hidden: locked.truncated_alerts,
        reason: format!("Alertmanager {target} lists no alert of this group"),
    };
    let mut facts = vec![NewEvent::automatic(fact, now)];
    facts.extend(ease(conn, incident, hold_down, now).await?);
    events::append(conn, incident, &facts, now).await?;
    Ok(true)
}

/// A person says that an alert is over.
pub async fn declare_over(
    conn: &mut PgConnection,
    incident: IncidentId,
    alert: AlertId,
    by: &Operator,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let quiet = lock(conn, incident, alert).await?;
    let reason = checked(reason)?;
    staleness::end(conn, &[&quiet], now).await?;
    let fact = IncidentFact::AlertsSettled {
        count: 1,
        names: vec![quiet.title.clone()],
        reason: reason.to_owned(),
    };
    let mut facts = vec![NewEvent::by(by.actor(), fact, now)];
    // A person's word needs no time to prove itself.
    facts.extend(ease(conn, incident, Span::from_millis(0), now).await?);
    events::append(conn, incident, &facts, now).await?;
    Ok(())
}

/// A person says that an alert still fires.
pub async fn declare_firing(
    conn: &mut PgConnection,
    incident: IncidentId,
    alert: AlertId,
    by: &Operator,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let quiet = lock(conn, incident, alert).await?;
    let reason = checked(reason)?;
    staleness::vouch(conn, &[&quiet], now).await?;
    let fact = IncidentFact::StillFiring {
        count: 1,
        names: vec![quiet.title.clone()],
        reason: reason.to_owned(),
    };
    events::append(conn, incident, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}

fn checked(reason: &str) -> Result<&str, RespondError> {
    let reason = reason.trim();
    match reason.chars().count() <= REASON_CHARS_MAX && !reason.contains('\0') {
        true => Ok(reason),
        false => Err(RespondError::Refused {
            message: format!("write at most {REASON_CHARS_MAX} characters, without U+0000"),
        }),
    }
}

async fn lock(conn: &mut PgConnection, incident: IncidentId, alert: AlertId) -> Result<Quiet, RespondError> {
    // As a delivery has it: alerts before incidents.
    let quiet = staleness::lock_firing(conn, incident, alert).await?;
    incidents::lock(conn, incident)
        .await?
        .ok_or(RespondError::NotFound)?;
    quiet.ok_or_else(|| RespondError::Moved {
        message: "this alert does not fire in this incident".to_owned(),
    })
}

/// Begins the recovery of an incident in which nothing fires any more; the fact that says so.
async fn ease(
    conn: &mut PgConnection,
    id: IncidentId,
    hold_down: Span,
    now: DateTime<Utc>,
) -> Result<Option<NewEvent>, StoreError> {
    let Some(incident) = incidents::lock(conn, id).await? else {
        return Ok(None);
    };
    let members = alerts::membership(conn, id).await?;
    let may = incident.state.is_open() && incident.recover_due.is_none() && incident.truncated_alerts == 0;
    if !may || members.firing > 0 {
        return Ok(None);
    }
    let until = now + hold_down.as_delta();
    incidents::begin_recovery(conn, id, until, members.last_ended_at).await?;
    Ok(Some(NewEvent::automatic(
        IncidentFact::RecoveryBegan { until },
        now,
    )))
}
