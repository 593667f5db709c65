//! Alerts and their episodes, read and written a whole delivery at a time.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    alert::{AlertReport, AlertStatus, Fingerprint, KnownEpisode},
    id::{AlertId, EpisodeId, IncidentId, SourceId},
    incident::IncidentState,
    labels::Labels,
};

/// An alert as the database knows it, locked for this transaction.
#[derive(Clone, Debug)]
pub struct KnownAlert {
    /// Its number.
    pub id: AlertId,
    /// Arrival of the newest delivery that was applied to it.
    pub last_received_at: DateTime<Utc>,
    /// Its latest firing period, if it ever fired.
    pub episode: Option<PlacedEpisode>,
}

/// An alert's latest firing period and the incident it is in.
#[derive(Clone, Debug)]
pub struct PlacedEpisode {
    /// Its number.
    pub id: EpisodeId,
    /// Its times.
    pub known: KnownEpisode,
    /// Where it was placed.
    pub incident: IncidentId,
    /// How that incident stands.
    pub incident_state: IncidentState,
}

/// An episode to be opened.
#[derive(Clone, Debug)]
pub struct NewEpisode {
    /// Which alert.
    pub alert: AlertId,
    /// Start by the sender's clock.
    pub starts_at: DateTime<Utc>,
}

/// Makes the alerts that are not known yet. In order of fingerprint, so that two deliveries cannot wait for each
/// other. Returns nothing: [`lock`] reads them all.
pub async fn insert_unknown(
    conn: &mut PgConnection,
    source: SourceId,
    reports: &[AlertReport],
    received_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let columns = Columns::of(reports);
    sqlx::query!(
        "insert into alerts (source_id, fingerprint, title, labels, annotations, generator_url,
                             first_received_at, last_received_at)
         select $1, r.fingerprint, r.title, r.labels, r.annotations, r.generator_url, $7, 'epoch'
         from unnest($2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::text[])
              as r (fingerprint, title, labels, annotations, generator_url)
         order by r.fingerprint
         on conflict (source_id, fingerprint) do nothing",
        source.0,
        &columns.fingerprints,
        &columns.titles,
        &columns.labels,
        &columns.annotations,
        &columns.generator_urls,
        received_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the alerts of a delivery and reads their latest episodes, in the order of `fingerprints`, which must be
/// sorted.
pub async fn lock(
    conn: &mut PgConnection,
    source: SourceId,
    fingerprints: &[Fingerprint],
) -> Result<Vec<KnownAlert>, StoreError> {
    let texts: Vec<String> = fingerprints.iter().map(Fingerprint::to_string).collect();
    // Two statements: one that waits for a lock reads the locked rows anew, but not those it joins them with.
    sqlx::query!(
        "select id from alerts where source_id = $1 and fingerprint = any($2) order by fingerprint
         for no key update",
        source.0,
        &texts,
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query!(
        r#"select a.id, a.last_received_at, e.id as "episode_id?", e.starts_at as "starts_at?", e.ends_at,
                  (e.refire_due is not null) as "refire_pending?", e.incident_id as "incident_id?",
                  i.state as "incident_state?"
           from alerts a
           left join episodes e on e.id = a.latest_episode_id
           left join incidents i on i.id = e.incident_id
           where a.source_id = $1 and a.fingerprint = any($2)
           order by a.fingerprint"#,
        source.0,
        &texts,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let episode = match (row.episode_id, row.starts_at, row.incident_id, row.incident_state) {
            (Some(id), Some(starts_at), Some(incident), Some(state)) => Some(PlacedEpisode {
                id: EpisodeId(id),
                known: KnownEpisode {
                    starts_at,
                    ends_at: row.ends_at,
                    refire_pending: row.refire_pending.unwrap_or_default(),
                },
                incident: IncidentId(incident),
                incident_state: IncidentState::named(&state)
                    .ok_or_else(|| StoreError::corrupt("incidents", "state", state))?,
            }),
            _ => None,
        };
        Ok(KnownAlert {
            id: AlertId(row.id),
            last_received_at: row.last_received_at,
            episode,
        })
    })
    .collect()
}

/// Brings texts and the arrival time of locked alerts up to date.
pub async fn refresh(
    conn: &mut PgConnection,
    alerts: &[(AlertId, &AlertReport)],
    received_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = alerts.iter().map(|(id, _)| id.0).collect();
    let annotations: Vec<Value> = alerts
        .iter()
        .map(|(_, report)| json(&report.annotations))
        .collect();
    let urls: Vec<String> = alerts
        .iter()
        .map(|(_, report)| report.generator_url.clone())
        .collect();
    sqlx::query!(
        "update alerts a set annotations = r.annotations, generator_url = r.generator_url, last_received_at = $4
         from unnest($1::bigint[], $2::jsonb[], $3::text[]) as r (id, annotations, generator_url)
         where a.id = r.id",
        &ids,
        &annotations,
        &urls,
        received_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Opens episodes in one incident and makes them the latest of their alerts.
pub async fn open_episodes(
    conn: &mut PgConnection,
    incident: IncidentId,
    episodes: &[NewEpisode],
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let alerts: Vec<i64> = episodes.iter().map(|episode| episode.alert.0).collect();
    let starts: Vec<DateTime<Utc>> = episodes.iter().map(|episode| episode.starts_at).collect();
    sqlx::query!(
        "with superseded as (
             update episodes set refire_due = null where alert_id = any($1) and refire_due is not null),
         opened as (
             insert into episodes (alert_id, incident_id, starts_at, opened_at, reason)
             select n.alert_id, $2, n.starts_at, $4, $5
             from unnest($1::bigint[], $3::timestamptz[]) as n (alert_id, starts_at)
             returning id, alert_id)
         update alerts a set latest_episode_id = opened.id from opened where a.id = opened.alert_id",
        &alerts,
        incident.0,
        &starts,
        now,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends open episodes, each at the end its sender named.
pub async fn end_episodes(
    conn: &mut PgConnection,
    episodes: &[(EpisodeId, DateTime<Utc>)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (ids, ends): (Vec<i64>, Vec<DateTime<Utc>>) = episodes.iter().map(|(id, end)| (id.0, *end)).unzip();
    sqlx::query!(
        "update episodes e set ends_at = r.ends_at, ended_at = $3
         from unnest($1::bigint[], $2::timestamptz[]) as r (id, ends_at)
         where e.id = r.id and e.ends_at is null",
        &ids,
        &ends,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a firing alert is reported with a later start; the earliest start stays the one that is shown.
/// `false` when that start was noted before.
pub async fn note_moved_start(
    conn: &mut PgConnection,
    episode: EpisodeId,
    start: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "update episodes set last_start = $2 where id = $1 and $2 > coalesce(last_start, starts_at)",
        episode.0,
        start
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// Notes that ended episodes are said to fire again, to be believed at `due`; a date already set stays. `None`
/// takes the note back.
pub async fn set_refire_due(
    conn: &mut PgConnection,
    episodes: &[EpisodeId],
    due: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = episodes.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update episodes set refire_due = case when $2::timestamptz is null then null
                                               else coalesce(refire_due, $2) end
         where id = any($1) and ends_at is not null",
        &ids,
        due,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An alert whose re-fire is to be believed now.
#[derive(Clone, Debug)]
pub struct DueRefire {
    /// Which alert.
    pub alert: AlertId,
    /// Its ended episode.
    pub episode: EpisodeId,
    /// Where that is.
    pub incident: IncidentId,
    /// What people call the alert.
    pub title: String,
}

/// Locks up to `limit` alerts whose re-fire has lasted.
pub async fn claim_due_refires(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueRefire>, StoreError> {
    Ok(sqlx::query!(
        "select a.id as alert_id, e.id as episode_id, e.incident_id, a.title
         from episodes e join alerts a on a.latest_episode_id = e.id
         where e.refire_due <= $1 order by e.refire_due limit $2
         for no key update of e, a skip locked",
        now,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| DueRefire {
        alert: AlertId(row.alert_id),
        episode: EpisodeId(row.episode_id),
        incident: IncidentId(row.incident_id),
        title: row.title,
    })
    .collect())
}

/// An alert as if it were reported firing now, with the start of its latest episode.
pub async fn as_firing(conn: &mut PgConnection, alert: AlertId) -> Result<AlertReport, StoreError> {
    let row = sqlx::query!(
        "select a.fingerprint, a.labels, a.annotations, a.generator_url, e.starts_at
         from alerts a join episodes e on e.id = a.latest_episode_id where a.id = $1",
        alert.0
    )
    .fetch_one(conn)
    .await?;
    Ok(AlertReport {
        fingerprint: Fingerprint::parse(&row.fingerprint)
            .ok_or_else(|| StoreError::corrupt("alerts", "fingerprint", row.fingerprint))?,
        status: AlertStatus::Firing,
        labels: labels(row.labels)?,
        annotations: labels(row.annotations)?,
        starts_at: row.starts_at,
        ends_at: None,
        lease_until: None,
        generator_url: row.generator_url,
    })
}

/// Opens an ended episode again: the end was none.
pub async fn reopen_episode(conn: &mut PgConnection, episode: EpisodeId) -> Result<(), StoreError> {
    sqlx::query!(
        "update episodes set ends_at = null, ended_at = null, refire_due = null where id = $1",
        episode.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How the members of an incident stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Episodes that fire.
    pub firing: i64,
    /// Ended ones that are said to fire again.
    pub refire_pending: i64,
    /// The last end any sender named.
    pub last_ended_at: Option<DateTime<Utc>>,
}

/// Whether any alert of an incident fires; asked with every delivery, so it counts nothing.
pub async fn any_firing(conn: &mut PgConnection, incident: IncidentId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from episodes where incident_id = $1 and ends_at is null) as "firing!""#,
        incident.0
    )
    .fetch_one(conn)
    .await?)
}

/// Counts the members of an incident.
pub async fn membership(conn: &mut PgConnection, incident: IncidentId) -> Result<Membership, StoreError> {
    Ok(sqlx::query_as!(
        Membership,
        r#"select count(*) filter (where ends_at is null) as "firing!",
                  count(*) filter (where refire_due is not null) as "refire_pending!",
                  max(ends_at) as last_ended_at
           from episodes where incident_id = $1"#,
        incident.0
    )
    .fetch_one(conn)
    .await?)
}

/// One alert of an incident, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MemberAlert {
    /// The alert's number.
    pub alert_id: i64,
    /// 16 hex digits.
    pub fingerprint: String,
    /// What people call it.
    pub title: String,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// Where the rule can be seen; any text, to be checked before it is made a link.
    pub generator_url: String,
    /// Start of its latest episode in the incident.
    pub starts_at: DateTime<Utc>,
    /// End of that, if it has ended.
    pub ends_at: Option<DateTime<Utc>>,
    /// When a delivery last spoke of it.
    pub last_received_at: DateTime<Utc>,
    /// Why it is in this incident.
    pub reason: String,
}

/// The alerts of an incident, firing ones first, at most `limit`.
pub async fn list_members(
    conn: &mut PgConnection,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<MemberAlert>, StoreError> {
    sqlx::query!(
        r#"select a.id, a.fingerprint, a.title, a.labels, a.annotations, a.generator_url, a.last_received_at,
                  e.starts_at, e.ends_at, e.reason
           from (select distinct on (alert_id) * from episodes where incident_id = $1
                 order by alert_id, id desc) e
           join alerts a on a.id = e.alert_id
           order by (e.ends_at is not null), e.starts_at, a.id limit $2"#,
        incident.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(MemberAlert {
            alert_id: row.id,
            fingerprint: row.fingerprint,
            title: row.title,
            labels: labels(row.labels)?,
            annotations: labels(row.annotations)?,
            generator_url: row.generator_url,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            last_received_at: row.last_received_at,
            reason: row.reason,
        })
    })
    .collect()
}

struct Columns {
    fingerprints: Vec<String>,
    titles: Vec<String>,
    labels: Vec<Value>,
    annotations: Vec<Value>,
    generator_urls: Vec<String>,
}

impl Columns {
    fn of(reports: &[AlertReport]) -> Self {
        Self {
            fingerprints: reports
                .iter()
                .map(|report| report.fingerprint.to_string())
                .collect(),
            titles: reports.iter().map(AlertReport::title).collect(),
            labels: reports.iter().map(|report| json(&report.labels)).collect(),
            annotations: reports.iter().map(|report| json(&report.annotations)).collect(),
            generator_urls: reports
                .iter()
                .map(|report| report.generator_url.clone())
                .collect(),
        }
    }
}

fn json(labels: &Labels) -> Value {
    labels
        .0
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect()
}

fn labels(value: Value) -> Result<Labels, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt("alerts", "labels", error))
}
