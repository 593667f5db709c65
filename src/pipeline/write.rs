//! What a desk has judged, written: incidents, episodes, alerts, timelines, and what starts by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Outcome, Patience, held};
use crate::{
    correlate::{change::Effect, desk::Desk, known::Home},
    domain::{
        alert::Reading,
        event::{IncidentFact, NewEvent, Tail},
        id::{AlertId, EpisodeId, IncidentId},
        runbook::StartMode,
    },
    execute::start,
    incident::membership,
    matching::{self, Asked},
    store::{
        StoreError,
        desk::{
            alerts::{self, AlertInsert, AlertUpdate, EpisodeInsert, EpisodeUpdate},
            incidents::{self, IncidentInsert, IncidentUpdate},
        },
        events, flaps,
        runbooks::Version,
    },
};

/// Why nothing starts by itself on the alert of a test.
const TEST_HOLDS: &str = "its alert is a test of the source";

/// The incidents of a desk by their numbers.
pub(super) struct Homes(Vec<IncidentId>);

impl Homes {
    pub(super) fn id(&self, home: Home) -> IncidentId {
        match home {
            Home::Known(id) => id,
            Home::New(at) => self.0[at],
        }
    }

    pub(super) fn outcome(&self, effect: &Effect) -> Outcome {
        let readings = effect.readings.iter();
        Outcome {
            incidents: effect.homes.iter().map(|home| self.id(*home)).collect(),
            readings: readings
                .map(|(reading, n)| (Reading::name(*reading), *n))
                .collect(),
            delivery: None,
        }
    }
}

/// Writes what a desk has judged; whether a run or a preflight waits because of it. Nothing starts by itself on what
/// `of_tests` names.
pub(super) async fn carry_out(
    conn: &mut PgConnection,
    desk: Desk<'_>,
    shelf: &[Version],
    patience: &Patience,
    of_tests: &HashSet<Home>,
    now: DateTime<Utc>,
) -> Result<(Homes, bool), StoreError> {
    let homes = Homes(open(conn, &desk, now).await?);
    let flapping = desk.opened.iter().zip(&homes.0);
    let flapping: Vec<IncidentId> = flapping.filter(|(new, _)| new.flaps).map(|(_, id)| *id).collect();
    if !flapping.is_empty() {
        let calm_due = now + patience.flap.calm_after().as_delta();
        flaps::begin(conn, &flapping, calm_due, now).await?;
    }
    write_episodes(conn, &desk, &homes, now).await?;
    let mut facts: BTreeMap<IncidentId, Vec<NewEvent>> = BTreeMap::new();
    for (home, told) in &desk.facts {
        facts
            .entry(homes.id(*home))
            .or_default()
            .extend(told.iter().cloned());
    }
    let asked = asked(&desk, &homes);
    let found = matching::record(conn, &asked, shelf, now).await?;
    for (incident, told) in found.facts {
        facts.entry(incident).or_default().extend(told);
    }
    let recovering = recovering(conn, &desk, &homes, patience, now).await?;
    for (incident, due, _) in &recovering {
        // While it flaps, that is said once and not each time.
        if desk.flaps(*incident, &homes.0) {
            continue;
        }
        let fact = IncidentFact::RecoveryBegan { until: *due };
        let told = facts.entry(*incident).or_default();
        told.push(NewEvent::automatic(fact, now));
    }
    write_incidents(conn, &desk, &homes, &recovering, patience, now).await?;
    tell(conn, &desk, &homes, &facts, now).await?;
    let of_tests: BTreeSet<IncidentId> = of_tests.iter().map(|home| homes.id(*home)).collect();
    let queued = !found.fresh.is_empty();
    for (incident, version) in found.fresh {
        if version.runbook.start != StartMode::Automatic {
            continue;
        }
        match of_tests.contains(&incident) {
            true => start::hold_back(conn, incident, version, TEST_HOLDS.to_owned(), now).await?,
            false => _ = start::begin_automatically(conn, incident, version, now).await?,
        }
    }
    Ok((homes, queued))
}

async fn open(
    conn: &mut PgConnection,
    desk: &Desk<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<IncidentId>, StoreError> {
    if desk.opened.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<IncidentInsert<'_>> = desk
        .opened
        .iter()
        .map(|opening| IncidentInsert {
            title: &opening.title,
            severity: opening.severity,
            source: opening.group.source,
            receiver: opening.group.receiver,
            group_key: opening.group.group_key,
            key: opening.group.key,
            context: membership::context(&opening.worst),
            detected_at: opening.detected_at,
            recurrence_of: opening.recurrence_of,
            truncated: opening.truncated,
        })
        .collect();
    incidents::insert_incidents(conn, &rows, now).await
}

async fn write_episodes(
    conn: &mut PgConnection,
    desk: &Desk<'_>,
    homes: &Homes,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let changed: Vec<EpisodeUpdate> = desk
        .changed
        .iter()
        .map(|(id, change)| EpisodeUpdate {
            id: *id,
            ends_at: change.ends_at,
            refire_due: change.refire_due,
            last_start: change.last_start,
            lease_until: change.lease_until,
        })
        .collect();
    // Before the new ones: an alert has one open episode at a time.
    if !changed.is_empty() {
        alerts::update_episodes(conn, &changed, now).await?;
    }
    let ids = number(conn, desk).await?;
    let opened: Vec<EpisodeInsert<'_>> = desk
        .episodes
        .iter()
        .zip(&ids)
        .map(|(episode, id)| EpisodeInsert {
            id: *id,
            alert: episode.alert,
            incident: episode.home.map(|home| homes.id(home)),
            held_by: episode.held_by,
            starts_at: episode.starts_at,
            ends_at: episode.now.ends_at,
            refire_due: episode.now.refire_due,
            last_start: episode.now.last_start,
            lease_until: episode.now.lease_until,
            reason: &episode.reason,
            came_from: episode.came_from,
        })
        .collect();
    // In the order in which they fired, so the last one stays.
    let latest: HashMap<AlertId, EpisodeId> =
        opened.iter().map(|episode| (episode.alert, episode.id)).collect();
    let news: Vec<AlertUpdate<'_>> = desk
        .news()
        .map(|(id, (report, received_at))| AlertUpdate {
            id,
            report,
            received_at,
            latest: latest.get(&id).copied(),
        })
        .collect();
    if !news.is_empty() {
        alerts::update_alerts(conn, &news).await?;
    }
    let mut written: Vec<AlertInsert<'_>> = desk
        .newcomers()
        .map(|(id, newcomer, (report, last_received_at))| AlertInsert {
            id,
            source: newcomer.source,
            report,
            first_received_at: newcomer.first_received_at,
            last_received_at,
            latest: latest.get(&id).copied(),
        })
        .collect();
    if !written.is_empty() || !opened.is_empty() {
        // Two batches that write the same alerts wait for each other in one order.
        written.sort_by_key(|alert| (alert.source, alert.report.fingerprint));
        alerts::insert_alerts_and_episodes(conn, &written, &opened, now).await?;
    }
    held::write(conn, desk, homes, &ids, now).await
}

/// Numbers for the episodes to be opened, rising in the order in which they fired. Each new alert brought one along.
async fn number(conn: &mut PgConnection, desk: &Desk<'_>) -> Result<Vec<EpisodeId>, StoreError> {
    let needed = desk.episodes.len();
    let mut ids: Vec<EpisodeId> = desk
        .newcomers()
        .map(|(_, newcomer, _)| newcomer.episode)
        .collect();
    if ids.len() < needed {
        ids.extend(alerts::number_episodes(conn, needed - ids.len()).await?);
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The incidents in which alerts fired anew.
fn asked<'a>(desk: &'a Desk<'_>, homes: &Homes) -> Vec<Asked<'a>> {
    let mut asked: Vec<Asked<'a>> = Vec::new();
    let mut at: HashMap<Home, usize> = HashMap::new();
    for fired in &desk.fired {
        let index = *at.entry(fired.home).or_insert_with(|| {
            asked.push(Asked {
                incident: homes.id(fired.home),
                is_new: matches!(fired.home, Home::New(_)),
                alerts: Vec::new(),
            });
            asked.len() - 1
        });
        asked[index].alerts.push((fired.alert, &fired.report.labels));
    }
    asked
}

/// Writes the timelines. The desk knows where those end whose incidents it asked for; the others are locked now.
async fn tell(
    conn: &mut PgConnection,
    desk: &Desk<'_>,
    homes: &Homes,
    facts: &BTreeMap<IncidentId, Vec<NewEvent>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let opened = homes.0.iter().map(|id| (*id, Tail::START));
    let known = facts.keys().filter_map(|id| Some((*id, desk.tail(*id)?)));
    let mut tails: HashMap<IncidentId, Tail> = opened.chain(known).collect();
    let unknown: Vec<IncidentId> = facts
        .keys()
        .filter(|id| !tails.contains_key(id))
        .copied()
        .collect();
    if !unknown.is_empty() {
        tails.extend(events::lock_tails(conn, &unknown).await?);
    }
    let timelines = facts
        .iter()
        .map(|(id, told)| Ok((*id, *tails.get(id).ok_or(StoreError::Contended)?, told.as_slice())))
        .collect::<Result<Vec<_>, StoreError>>()?;
    events::append_at(conn, &timelines, now).await?;
    Ok(())
}

type Recovering = Vec<(IncidentId, DateTime<Utc>, Option<DateTime<Utc>>)>;

/// The incidents whose hold-down begins: every alert has ended by its own resolve. Never while the sender's list was
/// cut, and never on anything but resolves.
async fn recovering(
    conn: &mut PgConnection,
    desk: &Desk<'_>,
    homes: &Homes,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Recovering, StoreError> {
    let eased: Vec<IncidentId> = desk.may_recover.iter().map(|home| homes.id(*home)).collect();
    if eased.is_empty() {
        return Ok(Vec::new());
    }
    let quiet = incidents::find_quiet(conn, &eased).await?;
    Ok(quiet
        .into_iter()
        .map(|(id, ended)| {
            let hold_down = match desk.flaps(id, &homes.0) {
                true => patience.flap.hold_down(patience.hold_down),
                false => patience.hold_down,
            };
            (id, now + hold_down.as_delta(), ended)
        })
        .collect())
}

async fn write_incidents(
    conn: &mut PgConnection,
    desk: &Desk<'_>,
    homes: &Homes,
    recovering: &Recovering,
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let calm_due = now + patience.flap.calm_after().as_delta();
    let mut rows: BTreeMap<IncidentId, IncidentUpdate> = BTreeMap::new();
    let untouched = recovering
        .iter()
        .filter_map(|(id, _, _)| desk.stands(*id, &homes.0));
    let changed = desk.incidents.iter().map(|(id, change)| (*id, *change));
    for (id, change) in untouched.chain(changed) {
        let row = IncidentUpdate {
            id,
            state: change.now.state,
            reopened: change.reopened,
            recover_due: change.now.recover_due,
            recovered_at: None,
            truncated: change.now.truncated,
            detected_at: change.now.detected_at,
            came_back_at: change.came_back.then_some(now),
            flapping_since: change.now.flapping_since,
            calm_due: (change.came_back && change.now.flapping_since.is_some()).then_some(calm_due),
        };
        rows.insert(id, row);
    }
    for (id, due, ended) in recovering {
        if let Some(row) = rows.get_mut(id) {
            (row.recover_due, row.recovered_at) = (Some(*due), *ended);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<IncidentUpdate> = rows.into_values().collect();
    incidents::update_incidents(conn, &rows).await
}
