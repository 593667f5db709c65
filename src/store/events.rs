//! The timeline: appending to it under the incident's lock, and reading it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    digest::Digest,
    event::{Event, NewEvent, Recorded, Tail, chain},
    id::{ApprovalId, IncidentId, RunId, StepId},
    run::RunFact,
};

/// Appends to an incident's timeline: takes its row lock, numbers the events, links them to the chain. Returns the
/// number of the last one. Every change of state calls this in its own transaction.
pub async fn append(
    conn: &mut PgConnection,
    incident: IncidentId,
    events: &[NewEvent],
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    append_all(conn, &[(incident, events)], now)
        .await?
        .pop()
        .ok_or(StoreError::Contended)
}

/// The same for many incidents, each named once, whose rows are locked in the order of their numbers.
pub async fn append_all(
    conn: &mut PgConnection,
    timelines: &[(IncidentId, &[NewEvent])],
    now: DateTime<Utc>,
) -> Result<Vec<i64>, StoreError> {
    let ids: Vec<IncidentId> = timelines.iter().map(|(incident, _)| *incident).collect();
    let tails = lock_tails(conn, &ids).await?;
    let timelines = timelines
        .iter()
        .map(|(incident, events)| {
            let tail = tails.get(incident).ok_or(sqlx::Error::RowNotFound)?;
            Ok((*incident, *tail, *events))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    append_at(conn, &timelines, now).await
}

/// Locks incidents in the order of their numbers and reads where their timelines end.
pub async fn lock_tails(
    conn: &mut PgConnection,
    incidents: &[IncidentId],
) -> Result<HashMap<IncidentId, Tail>, StoreError> {
    let ids: Vec<i64> = incidents.iter().map(|incident| incident.0).collect();
    sqlx::query!(
        "select id, next_seq, last_hash from incidents where id = any($1) order by id for no key update",
        &ids
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok((IncidentId(row.id), tail(row.next_seq, &row.last_hash)?)))
    .collect()
}

/// Where a timeline ends, from its incident's row.
pub(super) fn tail(next: i64, last_hash: &[u8]) -> Result<Tail, StoreError> {
    let link = Digest::from_slice(last_hash)
        .ok_or_else(|| StoreError::corrupt("incidents", "last_hash", "not 32 bytes"))?;
    Ok(Tail { next, link })
}

/// Appends to timelines whose incidents this transaction has locked or made, and whose ends are known since then.
pub async fn append_at(
    conn: &mut PgConnection,
    timelines: &[(IncidentId, Tail, &[NewEvent])],
    now: DateTime<Utc>,
) -> Result<Vec<i64>, StoreError> {
    let ids: Vec<i64> = timelines.iter().map(|(incident, ..)| incident.0).collect();
    let mut columns = Columns::default();
    let (mut next_seqs, mut last_hashes) = (Vec::new(), Vec::new());
    for (incident, tail, events) in timelines {
        let mut link = tail.link;
        for (seq, event) in (tail.next..).zip(*events) {
            link = chain(link, *incident, seq, event, now);
            columns.push(*incident, seq, event, link);
        }
        next_seqs.push(tail.next + events.len() as i64);
        last_hashes.push(link.0.to_vec());
    }
    sqlx::query!(
        "with moved as (
             update incidents i set next_seq = n.next_seq, last_hash = n.last_hash
             from unnest($1::bigint[], $2::bigint[], $3::bytea[]) as n (id, next_seq, last_hash) where i.id = n.id)
         insert into events (incident_id, seq, run_id, kind, body, actor, occurred_at, recorded_at, hash)
         select e.incident_id, e.seq, e.run_id, e.body ->> 'kind', e.body, e.actor, e.occurred_at, $4, e.hash
         from unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::jsonb[], $9::jsonb[], $10::timestamptz[],
                     $11::bytea[])
              as e (incident_id, seq, run_id, body, actor, occurred_at, hash)",
        &ids,
        &next_seqs,
        &last_hashes,
        now,
        &columns.incidents,
        &columns.seqs,
        &columns.runs as &[Option<i64>],
        &columns.bodies,
        &columns.actors,
        &columns.occurred,
        &columns.hashes,
    )
    .execute(conn)
    .await?;
    Ok(next_seqs.into_iter().map(|next| next - 1).collect())
}

#[derive(Default)]
struct Columns {
    incidents: Vec<i64>,
    seqs: Vec<i64>,
    runs: Vec<Option<i64>>,
    bodies: Vec<Value>,
    actors: Vec<Value>,
    occurred: Vec<DateTime<Utc>>,
    hashes: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, incident: IncidentId, seq: i64, event: &NewEvent, hash: Digest) {
        self.incidents.push(incident.0);
        self.seqs.push(seq);
        self.runs.push(match &event.event {
            Event::Run(run, _) => Some(run.0),
            Event::Incident(_) => None,
        });
        self.bodies.push(event.event.body());
        self.actors
            .push(serde_json::to_value(&event.actor).unwrap_or_default());
        self.occurred.push(event.occurred_at);
        self.hashes.push(hash.0.to_vec());
    }
}

pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) run_id: Option<i64>,
    pub(super) body: Value,
    pub(super) actor: Value,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) recorded_at: DateTime<Utc>,
    pub(super) hash: Vec<u8>,
}

impl TryFrom<Row> for Recorded {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.seq,
            event: Event::from_body(row.run_id.map(RunId), row.body)
                .map_err(|error| StoreError::corrupt("events", "body", error))?,
            actor: serde_json::from_value(row.actor)
                .map_err(|error| StoreError::corrupt("events", "actor", error))?,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            hash: Digest::from_slice(&row.hash)
                .ok_or_else(|| StoreError::corrupt("events", "hash", "not 32 bytes"))?,
        })
    }
}

/// Events after `after`, in order, at most `limit`.
pub async fn list_after(
    conn: &mut PgConnection,
    incident: IncidentId,
    after: i64,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where incident_id = $1 and seq > $2 order by seq limit $3",
        incident.0,
        after,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect()
}

/// The facts of a run, in order. A run's length is bounded by its runbook's steps and their attempts.
pub async fn run_log(
    conn: &mut PgConnection,
    run: RunId,
) -> Result<Vec<(DateTime<Utc>, RunFact)>, StoreError> {
    Ok(run_logs(conn, &[run]).await?.remove(&run).unwrap_or_default())
}

/// The facts of several runs, each in order.
pub async fn run_logs(
    conn: &mut PgConnection,
    runs: &[RunId],
) -> Result<HashMap<RunId, Vec<(DateTime<Utc>, RunFact)>>, StoreError> {
    let ids: Vec<i64> = runs.iter().map(|run| run.0).collect();
    let mut logs: HashMap<RunId, Vec<(DateTime<Utc>, RunFact)>> = HashMap::new();
    for row in sqlx::query!(
        r#"select run_id as "run_id!", recorded_at, body from events where run_id = any($1) order by run_id, seq"#,
        &ids
    )
    .fetch_all(conn)
    .await?
    {
        let fact =
            serde_json::from_value(row.body).map_err(|error| StoreError::corrupt("events", "body", error))?;
        logs.entry(RunId(row.run_id)).or_default().push((row.recorded_at, fact));
    }
    Ok(logs)
}

/// What people did to a run, the newest first, at most `limit`.
pub async fn run_acts(conn: &mut PgConnection, run: RunId, limit: i64) -> Result<Vec<Recorded>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where run_id = $1 and actor ->> 'by' = 'person' order by seq desc limit $2",
        run.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect()
}

/// What happened to one step of a run, the newest first, at most `limit`.
pub async fn step_log(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where run_id = $1 and body ->> 'step' = $2 order by seq desc limit $3",
        run.0,
        step.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect()
}

/// What people asked about a request, the oldest first, at most the newest `limit`.
pub async fn list_questions(
    conn: &mut PgConnection,
    incident: IncidentId,
    approval: ApprovalId,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let mut found: Vec<Recorded> = sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where incident_id = $1 and kind = 'question_asked' and (body ->> 'approval')::bigint = $2
         order by seq desc limit $3",
        incident.0,
        approval.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect::<Result<_, _>>()?;
    found.reverse();
    Ok(found)
}
