//! Silences that people asked for: what is wanted, and what became of it. A claim is counted, so that of two that carry
//! one out only the newer one writes what it found.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{IncidentId, OperatorId, SilenceId},
    silence::SilenceState,
};

/// A silence to be made.
#[derive(Clone, Debug)]
pub struct NewSilence<'a> {
    /// For the alerts of which incident.
    pub incident: IncidentId,
    /// Name of the Alertmanager.
    pub target: &'a str,
    /// One line of matchers.
    pub matchers: &'a str,
    /// What stands in Alertmanager, but for the key.
    pub comment: &'a str,
    /// What it is found again by.
    pub key: &'a str,
    /// Who wants it.
    pub by: OperatorId,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// A silence as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Its number.
    pub id: SilenceId,
    /// For the alerts of which incident.
    pub incident: IncidentId,
    /// Name of the Alertmanager.
    pub target: String,
    /// One line of matchers.
    pub matchers: String,
    /// What stands in Alertmanager, but for the key.
    pub comment: String,
    /// What it is found again by.
    pub key: String,
    /// Where it stands.
    pub state: SilenceState,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// Who wants it.
    pub asked_by: String,
    /// Until when.
    pub until: DateTime<Utc>,
    /// What Alertmanager calls it, once it is known.
    pub remote_id: Option<String>,
    /// How often it was claimed since it was last asked for: what a write goes by.
    pub tries: i32,
    /// Why the last try came to nothing; empty when it did not.
    pub problem: String,
    /// Who wants it ended before its time.
    pub end_asked_by: Option<String>,
    /// When it was over, or given up.
    pub ended_at: Option<DateTime<Utc>>,
}

struct Row {
    id: i64,
    incident_id: i64,
    target: String,
    matchers: String,
    comment: String,
    key: String,
    state: String,
    asked_at: DateTime<Utc>,
    asked_by: String,
    until: DateTime<Utc>,
    remote_id: Option<String>,
    tries: i32,
    problem: String,
    end_asked_by: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Silence {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: SilenceId(row.id),
            incident: IncidentId(row.incident_id),
            target: row.target,
            matchers: row.matchers,
            comment: row.comment,
            key: row.key,
            state: SilenceState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("silences", "state", row.state))?,
            asked_at: row.asked_at,
            asked_by: row.asked_by,
            until: row.until,
            remote_id: row.remote_id,
            tries: row.tries,
            problem: row.problem,
            end_asked_by: row.end_asked_by,
            ended_at: row.ended_at,
        })
    }
}

/// The target that is the Alertmanager of the incident's source, if it has one.
pub async fn target_of(conn: &mut PgConnection, incident: IncidentId) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select s.alertmanager from incidents i join sources s on s.id = i.source_id where i.id = $1",
        incident.0
    )
    .fetch_optional(conn)
    .await?
    .flatten())
}

/// Keeps a silence that somebody wants; `None` when its key was used before.
pub async fn insert(
    conn: &mut PgConnection,
    new: &NewSilence<'_>,
    now: DateTime<Utc>,
) -> Result<Option<SilenceId>, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into silences (incident_id, target, matchers, comment, key, state, asked_at, asked_by, until, due)
         values ($1, $2, $3, $4, $5, 'asked', $6, $7, $8, $6) on conflict (key) do nothing returning id",
        new.incident.0,
        new.target,
        new.matchers,
        new.comment,
        new.key,
        now,
        new.by.0,
        new.until
    )
    .fetch_optional(conn)
    .await?
    .map(SilenceId))
}

/// Silences of an incident that are wanted or hold.
pub async fn count_live(conn: &mut PgConnection, incident: IncidentId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from silences where incident_id = $1 and due is not null"#,
        incident.0
    )
    .fetch_one(conn)
    .await?)
}

/// The silences of an incident, the newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<Silence>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select s.id, s.incident_id, s.target, s.matchers, s.comment, s.key, s.state, s.asked_at,
                  o.name as asked_by, s.until, s.remote_id, s.tries, s.problem, e.name as "end_asked_by?",
                  s.ended_at
           from silences s join operators o on o.id = s.asked_by
           left join operators e on e.id = s.end_asked_by
           where s.incident_id = $1 order by s.id desc limit $2"#,
        incident.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Silence::try_from)
    .collect()
}

/// Locks one silence.
pub async fn lock(conn: &mut PgConnection, id: SilenceId) -> Result<Option<Silence>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select s.id, s.incident_id, s.target, s.matchers, s.comment, s.key, s.state, s.asked_at,
                  o.name as asked_by, s.until, s.remote_id, s.tries, s.problem, e.name as "end_asked_by?",
                  s.ended_at
           from silences s join operators o on o.id = s.asked_by
           left join operators e on e.id = s.end_asked_by
           where s.id = $1 for no key update of s"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Silence::try_from)
    .transpose()
}

/// Asks for the end of one that holds, or that may stand there although it was given up.
pub async fn ask_end(
    conn: &mut PgConnection,
    id: SilenceId,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update silences set state = 'ending', due = $3, tries = 0, problem = '', end_asked_by = $2, ended_at = null
         where id = $1 and state in ('holds', 'failed')",
        id.0,
        by.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Claims what is due, until `lease`, at most `limit`: to be made, to be ended, or over by its time.
pub async fn claim(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    lease: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Silence>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"with mine as (
               select id, asked_by, end_asked_by from silences where due <= $1 order by due limit $3
               for no key update skip locked)
           update silences s set due = $2, tries = s.tries + 1
           from mine join operators o on o.id = mine.asked_by left join operators e on e.id = mine.end_asked_by
           where s.id = mine.id
           returning s.id, s.incident_id, s.target, s.matchers, s.comment, s.key, s.state, s.asked_at,
                     o.name as asked_by, s.until, s.remote_id, s.tries, s.problem, e.name as "end_asked_by?",
                     s.ended_at"#,
        now,
        lease,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Silence::try_from)
    .collect()
}

/// A claimed one was made, or found to be there.
pub async fn set_made(
    conn: &mut PgConnection,
    claimed: &Silence,
    remote_id: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update silences set state = 'holds', remote_id = $3, due = until, tries = 0, problem = ''
         where id = $1 and tries = $2 and state = 'asked'",
        claimed.id.0,
        claimed.tries,
        remote_id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A claimed one is tried again at `due`.
pub async fn put_off(
    conn: &mut PgConnection,
    claimed: &Silence,
    due: DateTime<Utc>,
    problem: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update silences set due = $3, problem = $4 where id = $1 and tries = $2 and due is not null",
        claimed.id.0,
        claimed.tries,
        due,
        problem
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A claimed one is given up, or the end of it: one that is known to hold goes on holding.
pub async fn give_up(
    conn: &mut PgConnection,
    claimed: &Silence,
    problem: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update silences set problem = $3, tries = 0,
             state = case when remote_id is null then 'failed' else 'holds' end,
             due = case when remote_id is null then null else greatest(until, $4) end,
             ended_at = case when remote_id is null then $4 end
         where id = $1 and tries = $2 and state in ('asked', 'ending')",
        claimed.id.0,
        claimed.tries,
        problem,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A claimed one is over.
pub async fn set_over(
    conn: &mut PgConnection,
    claimed: &Silence,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update silences set state = 'over', due = null, ended_at = $3, problem = ''
         where id = $1 and tries = $2 and state in ('ending', 'holds')",
        claimed.id.0,
        claimed.tries,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
