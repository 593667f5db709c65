//! The pipeline: a batch of deliveries in, everything that follows from them out, in the caller's one transaction. The
//! whole flow on one screen; slow work is only queued. A batch costs a fixed number of statements, whatever the number
//! of its deliveries and alerts; only what starts by itself is written one by one.

mod held;
mod refires;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use self::write::carry_out;
pub use self::{held::let_held_go, refires::believe_refires};
pub use crate::correlate::Patience;
use crate::{
    correlate::{
        self,
        change::{Effect, GroupName},
        desk::Desk,
        known::{Home, Known, Missing},
    },
    domain::{
        alert::{AlertReport, AlertStatus},
        event::{IncidentFact, NewEvent},
        id::{DeliveryId, IncidentId},
        operator::Actor,
        span::Span,
    },
    intake::Delivery,
    store::{
        StoreError,
        deliveries::{self, Applied, NewDelivery},
        desk::alerts::AlertKey,
        events, heartbeats,
        runbooks::Version,
        sources::Source,
    },
};

/// How often the desk asks for what it is missing.
const LOOKS_MAX: usize = 5;

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
