//! The pipeline: one delivery in, everything that follows from it out, in the caller's one transaction. The whole
//! flow on one screen; slow work is only queued.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    correlate::{
        self, Sighting,
        rules::{Placement, place},
    },
    domain::{
        alert::{AlertReport, AlertStatus, Reading},
        event::{IncidentFact, NewEvent},
        id::{AlertId, EpisodeId, IncidentId},
        labels::Labels,
        operator::Actor,
        runbook::StartMode,
        span::Span,
    },
    execute::start,
    incident::membership::{self, Group},
    intake::Delivery,
    matching,
    store::{
        StoreError, alerts,
        deliveries::{self, NewDelivery},
        events, heartbeats, incidents, preflights,
        runbooks::Version,
        sources::Source,
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

/// How often a group looks for its incident while others open and end it.
const LOOKS_MAX: usize = 5;

/// What a delivery led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Incidents it opened, moved or added to.
    pub incidents: BTreeSet<IncidentId>,
    /// How many alerts it reported, by what each report meant.
    pub readings: BTreeMap<&'static str, usize>,
}

/// Takes one delivery: keeps it raw, reads every report, places what is new, ends what is over, matches runbooks,
/// starts those that start by themselves. Commit, then answer 2xx.
pub async fn receive(
    conn: &mut PgConnection,
    source: &Source,
    raw: NewDelivery<'_>,
    delivery: &Delivery,
    shelf: &[Version],
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Outcome, StoreError> {
    deliveries::insert_applied(conn, source.id, raw, delivery.alerts.len()).await?;
    let actor = Actor::Source {
        id: source.id,
        name: source.name.clone(),
    };
    if let Some(within) = source.heartbeat_within {
        return beat(conn, source, delivery, within, raw.received_at, now).await;
    }
    let sightings = correlate::survey(conn, source.id, &delivery.alerts, raw.received_at).await?;
    let mut outcome = Outcome::default();
    for sighting in &sightings {
        *outcome
            .readings
            .entry(reading_name(sighting.reading))
            .or_default() += 1;
    }
    let key = correlate::key(source.id, &delivery.receiver, &delivery.group_key);
    let group = Group {
        source: source.id,
        receiver: &delivery.receiver,
        group_key: &delivery.group_key,
        key,
    };

    for (incident, ended) in ended(&sightings) {
        membership::leave(conn, incident, &ended, &actor, now).await?;
        outcome.incidents.insert(incident);
    }
    settle_refires(conn, &sightings, patience, &mut outcome, now).await?;
    note_moved_starts(conn, &sightings, &actor, &mut outcome, now).await?;

    for (home, alerts) in new_episodes(&sightings) {
        let (incident, is_new) = find_home(conn, home, group, &alerts, patience, &actor, now).await?;
        outcome.incidents.insert(incident);
        let labels: Vec<(AlertId, &Labels)> =
            alerts.iter().map(|(id, report)| (*id, &report.labels)).collect();
        for version in matching::record(conn, incident, shelf, &labels, is_new, now).await? {
            preflights::insert(conn, incident, version.id, now).await?;
            if version.runbook.start == StartMode::Automatic {
                start::begin_automatically(conn, incident, version, now).await?;
            }
        }
    }
    let touched: BTreeSet<IncidentId> = sightings
        .iter()
        .filter_map(Sighting::open_incident)
        .chain(outcome.incidents.iter().copied())
        .collect();
    for incident in touched {
        note_truncation(conn, incident, delivery, &mut outcome, now).await?;
        membership::consider_recovery(conn, incident, patience.hold_down, now).await?;
    }
    Ok(outcome)
}

/// A heartbeat source: each firing body is a sign of life, and nothing else.
async fn beat(
    conn: &mut PgConnection,
    source: &Source,
    delivery: &Delivery,
    within: Span,
    received_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::default();
    for report in delivery
        .alerts
        .iter()
        .filter(|report| report.status == AlertStatus::Firing)
    {
        let due = received_at + within.as_delta();
        let title = report.title();
        let raised = heartbeats::beat(
            conn,
            source.id,
            report.fingerprint,
            &title,
            &report.labels,
            received_at,
            due,
        )
        .await?;
        if let Some(incident) = raised {
            let heard = IncidentFact::HeartbeatHeard { name: title };
            events::append(conn, incident, &[NewEvent::automatic(heard, now)], now).await?;
            outcome.incidents.insert(incident);
        }
    }
    Ok(outcome)
}

type Ended<'a> = Vec<(EpisodeId, DateTime<Utc>, &'a AlertReport)>;

fn ended<'a>(sightings: &[Sighting<'a>]) -> BTreeMap<IncidentId, Ended<'a>> {
    let mut by_incident: BTreeMap<IncidentId, Ended<'a>> = BTreeMap::new();
    for sighting in sightings
        .iter()
        .filter(|sighting| sighting.reading == Reading::Ended)
    {
        if let (Some(episode), Some(end)) = (&sighting.episode, sighting.report.ends_at) {
            by_incident
                .entry(episode.incident)
                .or_default()
                .push((episode.id, end, sighting.report));
        }
    }
    by_incident
}

/// New episodes by where they must go: the open incident their alert is in, or `None` for wherever the group goes.
fn new_episodes<'a>(
    sightings: &[Sighting<'a>],
) -> BTreeMap<Option<IncidentId>, Vec<(AlertId, &'a AlertReport)>> {
    let mut by_home: BTreeMap<Option<IncidentId>, Vec<(AlertId, &'a AlertReport)>> = BTreeMap::new();
    for sighting in sightings
        .iter()
        .filter(|sighting| sighting.reading == Reading::NewEpisode)
    {
        by_home
            .entry(sighting.open_incident())
            .or_default()
            .push((sighting.alert, sighting.report));
    }
    by_home
}

/// Puts new episodes into the incident they belong to, which is opened or brought back when it must be.
async fn find_home(
    conn: &mut PgConnection,
    home: Option<IncidentId>,
    group: Group<'_>,
    alerts: &[(AlertId, &AlertReport)],
    patience: &Patience,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<(IncidentId, bool), StoreError> {
    if let Some(incident) = home {
        membership::join(
            conn,
            incident,
            alerts,
            "it is in this open incident already",
            actor,
            now,
        )
        .await?;
        return Ok((incident, false));
    }
    let reports: Vec<&AlertReport> = alerts.iter().map(|(_, report)| *report).collect();
    for _ in 0..LOOKS_MAX {
        let newest = incidents::lock_newest_by_key(conn, group.key).await?;
        let placement = place(newest.as_ref(), patience.reopen_within, now);
        let reason = placement.reason();
        let (incident, is_new) = match placement {
            Placement::Join(incident) | Placement::Reopen(incident) => (incident, false),
            Placement::Open { recurrence_of } => {
                match membership::open(conn, group, &reports, recurrence_of, reason, actor, now).await? {
                    Some(incident) => (incident, true),
                    // Another delivery of this group opened it between the look and the insert: look again.
                    None => continue,
                }
            }
        };
        membership::join(conn, incident, alerts, reason, actor, now).await?;
        return Ok((incident, is_new));
    }
    Err(StoreError::Contended)
}

/// Believes re-fires that have lasted, at most `limit`; returns how many. One whose incident is still the group's
/// comes back there; otherwise it is a new episode and goes wherever the group goes now.
pub async fn believe_refires(
    conn: &mut PgConnection,
    patience: &Patience,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let due = alerts::claim_due_refires(conn, now, limit).await?;
    for refire in &due {
        let group = incidents::group(conn, refire.incident).await?;
        let newest = incidents::lock_newest_by_key(conn, group.key).await?;
        let is_still_home = match incidents::lock(conn, refire.incident).await? {
            Some(incident) if incident.state.is_open() => true,
            _ => place(newest.as_ref(), patience.reopen_within, now) == Placement::Reopen(refire.incident),
        };
        if is_still_home {
            membership::believe_refire(conn, refire, now).await?;
            continue;
        }
        let report = alerts::as_firing(conn, refire.alert).await?;
        let group = Group {
            source: group.source,
            receiver: &group.receiver,
            group_key: &group.group_key,
            key: group.key,
        };
        find_home(
            conn,
            None,
            group,
            &[(refire.alert, &report)],
            patience,
            &Actor::Automation,
            now,
        )
        .await?;
    }
    Ok(due.len())
}

/// A report that fires with the start of an ended episode is noted and believed when it lasts; a resolve after it
/// takes the note back.
async fn settle_refires(
    conn: &mut PgConnection,
    sightings: &[Sighting<'_>],
    patience: &Patience,
    outcome: &mut Outcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let of = |reading: Reading| {
        sightings
            .iter()
            .filter(move |sighting| sighting.reading == reading)
    };
    let withdrawn: Vec<EpisodeId> = of(Reading::RefireWithdrawn)
        .filter_map(Sighting::episode_id)
        .collect();
    if !withdrawn.is_empty() {
        alerts::set_refire_due(conn, &withdrawn, None).await?;
    }
    let pending: Vec<EpisodeId> = of(Reading::RefirePending)
        .filter_map(Sighting::episode_id)
        .collect();
    if pending.is_empty() {
        return Ok(());
    }
    let due = now + patience.refire.as_delta();
    alerts::set_refire_due(conn, &pending, Some(due)).await?;
    let mut fresh: BTreeMap<IncidentId, Vec<&AlertReport>> = BTreeMap::new();
    for sighting in of(Reading::RefirePending) {
        if let Some(episode) = sighting
            .episode
            .as_ref()
            .filter(|episode| !episode.known.refire_pending)
        {
            fresh.entry(episode.incident).or_default().push(sighting.report);
        }
    }
    for (incident, reports) in fresh {
        let names = membership::names(reports.iter().copied());
        let fact = IncidentFact::RefirePending {
            count: reports.len(),
            names,
            due,
        };
        events::append(conn, incident, &[NewEvent::automatic(fact, now)], now).await?;
        outcome.incidents.insert(incident);
    }
    Ok(())
}

async fn note_moved_starts(
    conn: &mut PgConnection,
    sightings: &[Sighting<'_>],
    actor: &Actor,
    outcome: &mut Outcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for sighting in sightings
        .iter()
        .filter(|sighting| sighting.reading == Reading::StartMoved)
    {
        let Some(episode) = &sighting.episode else {
            continue;
        };
        if !alerts::note_moved_start(conn, episode.id, sighting.report.starts_at).await? {
            continue;
        }
        let fact = IncidentFact::StartMoved {
            name: sighting.report.title(),
            from: episode.known.starts_at,
            to: sighting.report.starts_at,
        };
        events::append(
            conn,
            episode.incident,
            &[NewEvent::by(actor.clone(), fact, now)],
            now,
        )
        .await?;
        outcome.incidents.insert(episode.incident);
    }
    Ok(())
}

async fn note_truncation(
    conn: &mut PgConnection,
    id: IncidentId,
    delivery: &Delivery,
    outcome: &mut Outcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(incident) = incidents::lock(conn, id).await? else {
        return Ok(());
    };
    // A later body that is complete again does not bring back what an earlier one hid.
    let hidden = delivery.truncated.max(incident.truncated_alerts);
    if hidden == incident.truncated_alerts || !incident.state.is_open() {
        return Ok(());
    }
    incidents::set_truncated(conn, id, hidden).await?;
    if incident.recover_due.is_some() {
        incidents::break_recovery(conn, id, false).await?;
    }
    let fact = IncidentFact::Truncated { hidden };
    events::append(conn, id, &[NewEvent::automatic(fact, now)], now).await?;
    outcome.incidents.insert(id);
    Ok(())
}

fn reading_name(reading: Reading) -> &'static str {
    match reading {
        Reading::NewEpisode => "new",
        Reading::StillFiring => "still_firing",
        Reading::StartMoved => "start_moved",
        Reading::RefirePending => "refire_pending",
        Reading::OldFiring => "old_firing",
        Reading::Ended => "ended",
        Reading::EndedAgain => "ended_again",
        Reading::RefireWithdrawn => "refire_withdrawn",
        Reading::OldResolve => "old_resolve",
        Reading::UnknownResolve => "unknown_resolve",
        Reading::Superseded => "superseded",
    }
}
