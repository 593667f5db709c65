//! The pipeline: a batch of deliveries in, everything that follows from them out, in the caller's one transaction. The
//! whole flow on one screen; slow work is only queued. A batch costs a fixed number of statements, whatever the number
//! of its deliveries and alerts; only what starts by itself is written one by one.

mod held;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

pub use self::held::let_held_go;
pub use crate::correlate::Patience;
use crate::{
    correlate::{
        self,
        desk::{Desk, Effect, GroupName, Home, Known, Missing},
        rules::{Placement, place},
    },
    domain::{
        alert::{AlertReport, AlertStatus, Reading},
        event::{IncidentFact, NewEvent, Tail},
        id::{AlertId, DeliveryId, EpisodeId, IncidentId},
        operator::Actor,
        runbook::StartMode,
        span::Span,
    },
    execute::start,
    incident::membership,
    intake::Delivery,
    matching::{self, Asked},
    store::{
        self, StoreError, alerts,
        deliveries::{self, Applied, NewDelivery},
        desk::{
            self as rows, AlertInsert, AlertKey, AlertUpdate, EpisodeInsert, EpisodeUpdate, IncidentInsert,
            IncidentUpdate,
        },
        events, flaps, heartbeats, incidents,
        runbooks::Version,
        sources::Source,
    },
};

/// How often the desk asks for what it is missing.
const LOOKS_MAX: usize = 5;
/// Why nothing starts by itself on the alert of a test.
const TEST_HOLDS: &str = "its alert is a test of the source";

/// One delivery, read.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Who sent it.
    pub source: &'a Source,
    /// As it came.
    pub raw: NewDelivery<'a>,
    /// What it says, group by group.
    pub groups: &'a [Delivery],
    /// What else there is to say of it: alerts of it that cannot be used.
    pub remark: &'a str,
}

/// What a delivery led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Incidents it opened, moved or added to.
    pub incidents: BTreeSet<IncidentId>,
    /// How many alerts it reported, by what each report meant.
    pub readings: BTreeMap<&'static str, usize>,
    /// What keeps it as it came.
    pub delivery: Option<DeliveryId>,
}

/// What a batch led to.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Delivery by delivery.
    pub outcomes: Vec<Outcome>,
    /// Whether a run or a preflight waits because of it.
    pub queued: bool,
}

/// Takes deliveries in the order they arrived: keeps them raw, reads every report, places what is new, ends what is
/// over, matches runbooks, starts those that start by themselves. Commit, then answer 2xx.
pub async fn receive(
    conn: &mut PgConnection,
    posts: &[Post<'_>],
    shelf: &[Version],
    patience: &Patience,
    now: DateTime<Utc>,
) -> Result<Received, StoreError> {
    if posts.is_empty() {
        return Ok(Received::default());
    }
    let mut effects = vec![Effect::default(); posts.len()];
    let known = correlate::survey(conn, &reports(posts)).await?;
    let desk = judge(conn, posts, known, patience, &mut effects, now).await?;
    let of_tests: HashSet<Home> = posts
        .iter()
        .zip(&effects)
        .filter(|(post, _)| post.raw.is_test)
        .flat_map(|(_, effect)| effect.homes.iter().copied())
        .collect();
    let (homes, queued) = carry_out(conn, desk, shelf, patience, &of_tests, now).await?;
    let mut outcomes: Vec<Outcome> = effects.iter().map(|effect| homes.outcome(effect)).collect();
    for (post, outcome) in posts.iter().zip(&mut outcomes) {
        if let Some(within) = post.source.heartbeat_within {
            beat(conn, post, within, outcome, now).await?;
        }
    }
    keep(conn, posts, &mut outcomes).await?;
    Ok(Received { outcomes, queued })
}

/// Keeps them as they came, with what they led to.
async fn keep(
    conn: &mut PgConnection,
    posts: &[Post<'_>],
    outcomes: &mut [Outcome],
) -> Result<(), StoreError> {
    let applied: Vec<Applied<'_>> = posts
        .iter()
        .zip(outcomes.iter())
        .map(|(post, outcome)| Applied {
            source: post.source.id,
            new: post.raw,
            alerts: post.groups.iter().map(|group| group.alerts.len()).sum(),
            remark: post.remark,
            incidents: outcome.incidents.iter().copied().collect(),
        })
        .collect();
    let kept = deliveries::insert_applied(conn, &applied).await?;
    for (outcome, delivery) in outcomes.iter_mut().zip(kept) {
        outcome.delivery = Some(delivery);
    }
    Ok(())
}

/// Every alert that is reported, with its first report. A heartbeat's are signs of life and nothing else.
fn reports<'a>(posts: &[Post<'a>]) -> BTreeMap<AlertKey, (&'a AlertReport, DateTime<Utc>)> {
    let mut reports = BTreeMap::new();
    for post in posts.iter().filter(|post| post.source.heartbeat_within.is_none()) {
        for report in post.groups.iter().flat_map(|group| &group.alerts) {
            let key = (post.source.id, report.fingerprint);
            reports.entry(key).or_insert((report, post.raw.received_at));
        }
    }
    reports
}

/// Judges the batch, as often as it takes to know everything that matters.
async fn judge<'a>(
    conn: &mut PgConnection,
    posts: &[Post<'a>],
    mut known: Known,
    patience: &Patience,
    effects: &mut [Effect],
    now: DateTime<Utc>,
) -> Result<Desk<'a>, StoreError> {
    let foreseen = foresee(posts, &known);
    if !foreseen.is_empty() {
        correlate::learn(conn, &mut known, &foreseen, now).await?;
    }
    for _ in 0..LOOKS_MAX {
        let mut desk = Desk::new(known.clone(), *patience, now);
        for (post, effect) in posts.iter().zip(effects.iter_mut()) {
            *effect = Effect::default();
            if post.source.heartbeat_within.is_some() {
                continue;
            }
            let actor = actor(post.source);
            for group in post.groups {
                let name = GroupName {
                    source: post.source.id,
                    receiver: &group.receiver,
                    group_key: &group.group_key,
                    key: correlate::key(post.source.id, &group.receiver, &group.group_key),
                    truncated: group.truncated,
                };
                desk.take(name, &actor, &group.alerts, post.raw.received_at, effect);
            }
        }
        desk.settle();
        if desk.missing.is_empty() {
            return Ok(desk);
        }
        correlate::learn(conn, &mut known, &desk.missing, now).await?;
    }
    Err(StoreError::Contended)
}

/// What the desk is sure to miss: an alert that nobody spoke of before needs a place. It is looked up before the first
/// judgement, which then is the last one for most batches.
fn foresee(posts: &[Post<'_>], known: &Known) -> Missing {
    let mut missing = Missing::default();
    for post in posts {
        for group in post.groups {
            let is_new = |report: &AlertReport| {
                let alert = known.alerts.get(&(post.source.id, report.fingerprint));
                report.status == AlertStatus::Firing
                    && alert.is_some_and(|alert| known.unwritten.contains_key(&alert.id))
            };
            if group.alerts.iter().any(is_new) {
                missing.rules = true;
                missing
                    .groups
                    .insert(correlate::key(post.source.id, &group.receiver, &group.group_key));
            }
        }
    }
    missing
}

fn actor(source: &Source) -> Actor {
    Actor::Source {
        id: source.id,
        name: source.name.clone(),
    }
}

/// The incidents of a desk by their numbers.
struct Homes(Vec<IncidentId>);

impl Homes {
    fn id(&self, home: Home) -> IncidentId {
        match home {
            Home::Known(id) => id,
            Home::New(at) => self.0[at],
        }
    }

    fn outcome(&self, effect: &Effect) -> Outcome {
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
async fn carry_out(
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
    rows::insert_incidents(conn, &rows, now).await
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
        rows::update_episodes(conn, &changed, now).await?;
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
        rows::update_alerts(conn, &news).await?;
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
        rows::insert_alerts_and_episodes(conn, &written, &opened, now).await?;
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
        ids.extend(rows::number_episodes(conn, needed - ids.len()).await?);
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
    let quiet = rows::find_quiet(conn, &eased).await?;
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
    rows::update_incidents(conn, &rows).await
}

/// A heartbeat source: each firing body is a sign of life, and nothing else.
async fn beat(
    conn: &mut PgConnection,
    post: &Post<'_>,
    within: Span,
    outcome: &mut Outcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (source, received_at) = (post.source, post.raw.received_at);
    let reports = post.groups.iter().flat_map(|group| &group.alerts);
    for report in reports.filter(|report| report.status == AlertStatus::Firing) {
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
    Ok(())
}

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
