//! The alerts that a batch reports, and their firing periods.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::{super::StoreError, state_of};
use crate::domain::{
    alert::{AlertReport, Fingerprint, KnownEpisode},
    id::{AlertId, EpisodeId, IncidentId, RoutingRuleId, SourceId},
    incident::IncidentState,
    labels::Labels,
};

/// An alert as the database knows it, locked for this transaction.
#[derive(Clone, Copy, Debug)]
pub struct AlertRow {
    /// Who reports it.
    pub source: SourceId,
    /// Which of theirs.
    pub fingerprint: Fingerprint,
    /// Its number.
    pub id: AlertId,
    /// Arrival of the newest delivery that was applied to it.
    pub last_received_at: DateTime<Utc>,
    /// Its latest firing period, if it ever fired.
    pub episode: Option<EpisodeRow>,
}

/// An alert's latest firing period and the incident it is in.
#[derive(Clone, Copy, Debug)]
pub struct EpisodeRow {
    /// Its number.
    pub id: EpisodeId,
    /// Its times.
    pub known: KnownEpisode,
    /// Where it was placed and how that incident stands; `None` for one that a rule holds.
    pub home: Option<(IncidentId, IncidentState)>,
    /// The incident its group has, when that one is merged into this one.
    pub came_from: Option<IncidentId>,
}

/// The alerts of a batch.
#[derive(Clone, Debug, Default)]
pub struct Surveyed {
    /// Those that are known, locked.
    pub alerts: Vec<AlertRow>,
    /// Numbers for those that are not, each with one for a firing period.
    pub numbers: Vec<(AlertId, EpisodeId)>,
}

/// Which alert.
pub type AlertKey = (SourceId, Fingerprint);

/// Locks alerts and reads their latest episodes; those that are not known are numbered, each with a number for a firing
/// period. `keys` are sorted, so that two batches cannot wait for each other.
pub async fn lock_alerts(conn: &mut PgConnection, keys: &[AlertKey]) -> Result<Surveyed, StoreError> {
    let sources: Vec<i64> = keys.iter().map(|(source, _)| source.0).collect();
    let prints: Vec<String> = keys.iter().map(|(_, print)| print.to_string()).collect();
    // Two statements: one that waits for a lock reads the locked rows anew, but not those it joins them with.
    let found = sqlx::query!(
        r#"with locked as materialized (
               select a.id from unnest($1::bigint[], $2::text[]) as k (source_id, fingerprint)
               join alerts a on a.source_id = k.source_id and a.fingerprint = k.fingerprint
               order by a.source_id, a.fingerprint for no key update of a)
           select id as "alert!", null::bigint as episode from locked
           union all
           select nextval('alerts_id_seq'), nextval('episodes_id_seq')
           from generate_series(1, cardinality($1::bigint[]) - (select count(*) from locked))"#,
        &sources,
        &prints,
    )
    .fetch_all(&mut *conn)
    .await?;
    let (mut locked, mut numbers) = (Vec::new(), Vec::new());
    for row in found {
        match row.episode {
            None => locked.push(row.alert),
            Some(episode) => numbers.push((AlertId(row.alert), EpisodeId(episode))),
        }
    }
    let alerts = match locked.is_empty() {
        true => Vec::new(),
        false => read_alerts(conn, &locked).await?,
    };
    Ok(Surveyed { alerts, numbers })
}

async fn read_alerts(conn: &mut PgConnection, locked: &[i64]) -> Result<Vec<AlertRow>, StoreError> {
    sqlx::query!(
        r#"select a.source_id, a.fingerprint, a.id, a.last_received_at, e.id as "episode_id?",
                  e.starts_at as "starts_at?", e.ends_at, e.last_start, e.lease_until,
                  e.refire_due,
                  e.incident_id as "incident_id?", i.state as "incident_state?", e.came_from
           from unnest($1::bigint[]) as k (id)
           join alerts a on a.id = k.id
           left join episodes e on e.id = a.latest_episode_id
           left join incidents i on i.id = e.incident_id"#,
        locked,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let home = match (row.incident_id, row.incident_state) {
            (Some(incident), Some(state)) => Some((IncidentId(incident), state_of(&state)?)),
            _ => None,
        };
        let episode = match (row.episode_id, row.starts_at) {
            (Some(id), Some(starts_at)) => Some(EpisodeRow {
                id: EpisodeId(id),
                known: KnownEpisode {
                    starts_at,
                    ends_at: row.ends_at,
                    refire_due: row.refire_due,
                    last_start: row.last_start,
                    lease_until: row.lease_until,
                },
                home,
                came_from: row.came_from.map(IncidentId),
            }),
            _ => None,
        };
        Ok(AlertRow {
            source: SourceId(row.source_id),
            fingerprint: Fingerprint::parse(&row.fingerprint)
                .ok_or_else(|| StoreError::corrupt("alerts", "fingerprint", row.fingerprint))?,
            id: AlertId(row.id),
            last_received_at: row.last_received_at,
            episode,
        })
    })
    .collect()
}

/// Takes numbers for further firing periods.
pub async fn number_episodes(conn: &mut PgConnection, count: usize) -> Result<Vec<EpisodeId>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"select nextval('episodes_id_seq') as "id!" from generate_series(1, $1::int)"#,
        count as i32
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(EpisodeId).collect())
}

/// An alert to be written for the first time.
#[derive(Clone, Copy, Debug)]
pub struct AlertInsert<'a> {
    /// The number it was given.
    pub id: AlertId,
    /// Who reports it.
    pub source: SourceId,
    /// The newest word of it.
    pub report: &'a AlertReport,
    /// Arrival of the first one.
    pub first_received_at: DateTime<Utc>,
    /// Arrival of the newest one.
    pub last_received_at: DateTime<Utc>,
    /// Its newest firing period, if it has one.
    pub latest: Option<EpisodeId>,
}

/// What is new of a locked alert.
#[derive(Clone, Copy, Debug)]
pub struct AlertUpdate<'a> {
    /// Which.
    pub id: AlertId,
    /// The newest word of it.
    pub report: &'a AlertReport,
    /// Its arrival.
    pub received_at: DateTime<Utc>,
    /// Its newest firing period, when it is another one than before.
    pub latest: Option<EpisodeId>,
}

/// Brings locked alerts up to date.
pub async fn update_alerts(conn: &mut PgConnection, alerts: &[AlertUpdate<'_>]) -> Result<(), StoreError> {
    let ids: Vec<i64> = alerts.iter().map(|alert| alert.id.0).collect();
    let annotations: Vec<Json<&Labels>> = alerts
        .iter()
        .map(|alert| Json(&alert.report.annotations))
        .collect();
    let urls: Vec<&str> = alerts
        .iter()
        .map(|alert| alert.report.generator_url.as_str())
        .collect();
    let received: Vec<DateTime<Utc>> = alerts.iter().map(|alert| alert.received_at).collect();
    let latest: Vec<Option<i64>> = alerts.iter().map(|alert| alert.latest.map(|id| id.0)).collect();
    sqlx::query!(
        "update alerts a set annotations = r.annotations, generator_url = r.generator_url, last_received_at = r.at,
                latest_episode_id = coalesce(r.latest, a.latest_episode_id)
         from unnest($1::bigint[], $2::jsonb[], $3::text[], $4::timestamptz[], $5::bigint[])
              as r (id, annotations, generator_url, at, latest)
         where a.id = r.id",
        &ids,
        &annotations as &[Json<&Labels>],
        &urls as &[&str],
        &received,
        &latest as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What becomes of an episode.
#[derive(Clone, Copy, Debug)]
pub struct EpisodeUpdate {
    /// Which.
    pub id: EpisodeId,
    /// Its end, by the sender.
    pub ends_at: Option<DateTime<Utc>>,
    /// When its re-fire is believed, when one is pending.
    pub refire_due: Option<DateTime<Utc>>,
    /// The latest start named while it fired.
    pub last_start: Option<DateTime<Utc>>,
    /// When it ends unless it is reported again.
    pub lease_until: Option<DateTime<Utc>>,
}

/// Writes what becomes of episodes whose alerts are locked.
pub async fn update_episodes(
    conn: &mut PgConnection,
    episodes: &[EpisodeUpdate],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = episodes.iter().map(|episode| episode.id.0).collect();
    let ends: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.ends_at).collect();
    let due: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.refire_due).collect();
    let starts: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.last_start).collect();
    let leases: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.lease_until).collect();
    sqlx::query!(
        "update episodes e set ends_at = n.ends_at, refire_due = n.refire_due, last_start = n.last_start,
                lease_until = n.lease_until, ended_at = case when n.ends_at is not null then coalesce(e.ended_at, $1) end
         from unnest($2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
              as n (id, ends_at, refire_due, last_start, lease_until)
         where e.id = n.id",
        now,
        &ids,
        &ends as &[Option<DateTime<Utc>>],
        &due as &[Option<DateTime<Utc>>],
        &starts as &[Option<DateTime<Utc>>],
        &leases as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An episode to be opened; it may be over already.
#[derive(Clone, Copy, Debug)]
pub struct EpisodeInsert<'a> {
    /// The number it was given.
    pub id: EpisodeId,
    /// Of which alert.
    pub alert: AlertId,
    /// In which incident; `None` for one that is held.
    pub incident: Option<IncidentId>,
    /// The rule that holds or held it.
    pub held_by: Option<RoutingRuleId>,
    /// Start by the sender's clock.
    pub starts_at: DateTime<Utc>,
    /// Its end, by the sender.
    pub ends_at: Option<DateTime<Utc>>,
    /// When its re-fire is believed, when one is pending.
    pub refire_due: Option<DateTime<Utc>>,
    /// The latest start named while it fired.
    pub last_start: Option<DateTime<Utc>>,
    /// When it ends unless it is reported again.
    pub lease_until: Option<DateTime<Utc>>,
    /// Why it is there.
    pub reason: &'a str,
    /// The incident its group has, when that one is merged into this one.
    pub came_from: Option<IncidentId>,
}

/// Writes new alerts and opens firing periods, which know each other by the numbers they were given.
/// [`StoreError::Contended`] when another transaction has written one of the alerts meanwhile.
pub async fn insert_alerts_and_episodes(
    conn: &mut PgConnection,
    alerts: &[AlertInsert<'_>],
    episodes: &[EpisodeInsert<'_>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let alert_ids: Vec<i64> = alerts.iter().map(|alert| alert.id.0).collect();
    let sources: Vec<i64> = alerts.iter().map(|alert| alert.source.0).collect();
    let reports = || alerts.iter().map(|alert| alert.report);
    let prints: Vec<String> = reports().map(|report| report.fingerprint.to_string()).collect();
    let titles: Vec<String> = reports().map(AlertReport::title).collect();
    let labels: Vec<Json<&Labels>> = reports().map(|report| Json(&report.labels)).collect();
    let annotations: Vec<Json<&Labels>> = reports().map(|report| Json(&report.annotations)).collect();
    let urls: Vec<&str> = reports().map(|report| report.generator_url.as_str()).collect();
    let first_received: Vec<DateTime<Utc>> = alerts.iter().map(|alert| alert.first_received_at).collect();
    let last_received: Vec<DateTime<Utc>> = alerts.iter().map(|alert| alert.last_received_at).collect();
    let latest: Vec<Option<i64>> = alerts.iter().map(|alert| alert.latest.map(|id| id.0)).collect();
    let ids: Vec<i64> = episodes.iter().map(|episode| episode.id.0).collect();
    let of: Vec<i64> = episodes.iter().map(|episode| episode.alert.0).collect();
    let number = |id: Option<IncidentId>| id.map(|id| id.0);
    let incidents: Vec<Option<i64>> = episodes.iter().map(|episode| number(episode.incident)).collect();
    let from: Vec<Option<i64>> = episodes.iter().map(|episode| number(episode.came_from)).collect();
    let rules: Vec<Option<i64>> = episodes
        .iter()
        .map(|episode| episode.held_by.map(|id| id.0))
        .collect();
    let starts: Vec<DateTime<Utc>> = episodes.iter().map(|episode| episode.starts_at).collect();
    let ends: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.ends_at).collect();
    let due: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.refire_due).collect();
    let last: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.last_start).collect();
    let leases: Vec<Option<DateTime<Utc>>> = episodes.iter().map(|episode| episode.lease_until).collect();
    let reasons: Vec<&str> = episodes.iter().map(|episode| episode.reason).collect();
    let written = sqlx::query_scalar!(
        r#"with written as (
             insert into alerts (id, source_id, fingerprint, title, labels, annotations, generator_url,
                                 first_received_at, last_received_at, latest_episode_id)
             overriding system value
             select r.id, r.source_id, r.fingerprint, r.title, r.labels, r.annotations, r.generator_url, r.first_at,
                    r.last_at, r.latest
             from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::text[],
                         $9::timestamptz[], $10::timestamptz[], $11::bigint[])
                  as r (id, source_id, fingerprint, title, labels, annotations, generator_url, first_at, last_at,
                        latest)
             on conflict (source_id, fingerprint) do nothing
             returning id),
         opened as (
             insert into episodes (id, alert_id, incident_id, starts_at, ends_at, refire_due, last_start, opened_at,
                                   ended_at, reason, lease_until, held_by, came_from)
             overriding system value
             select n.id, n.alert_id, n.incident_id, n.starts_at, n.ends_at, n.refire_due, n.last_start, $1,
                    case when n.ends_at is not null then $1::timestamptz end, n.reason, n.lease_until, n.held_by,
                    n.came_from
             from unnest($12::bigint[], $13::bigint[], $14::bigint[], $15::timestamptz[], $16::timestamptz[],
                         $17::timestamptz[], $18::timestamptz[], $19::text[], $20::timestamptz[], $21::bigint[],
                         $22::bigint[])
                  as n (id, alert_id, incident_id, starts_at, ends_at, refire_due, last_start, reason, lease_until,
                        held_by, came_from))
         select count(*) as "count!" from written"#,
        now,
        &alert_ids,
        &sources,
        &prints,
        &titles,
        &labels as &[Json<&Labels>],
        &annotations as &[Json<&Labels>],
        &urls as &[&str],
        &first_received,
        &last_received,
        &latest as &[Option<i64>],
        &ids,
        &of,
        &incidents as &[Option<i64>],
        &starts,
        &ends as &[Option<DateTime<Utc>>],
        &due as &[Option<DateTime<Utc>>],
        &last as &[Option<DateTime<Utc>>],
        &reasons as &[&str],
        &leases as &[Option<DateTime<Utc>>],
        &rules as &[Option<i64>],
        &from as &[Option<i64>],
    )
    .fetch_one(conn)
    .await?;
    match written == alerts.len() as i64 {
        true => Ok(()),
        false => Err(StoreError::Contended),
    }
}
