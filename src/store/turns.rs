//! Turns: everything a worker writes about its run at one moment, many runs in one statement and one commit.
//!
//! A turn is written whole or not at all. The statement itself checks that the worker still has its claim (fence), that
//! no person acted since it planned (acts), and that each incident's timeline ends where the chain of the new events
//! begins. The last is a guess, kept from the write before: usually right, and then one statement is the whole
//! transaction. A wrong guess writes nothing for that incident; it is made anew, at the latest under the row's lock.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::{
    StoreError,
    attempts::{EndedAttempt, NewAttempt},
    queue::Claim,
};
use crate::domain::{
    digest::Digest,
    event::{Event, NewEvent, chain},
    id::IncidentId,
    run::RunResult,
};

/// Incidents whose timeline's end is remembered; far more than have live runs.
const HEADS_MAX: usize = 20_000;
/// Guesses before the incident's row is locked first.
const GUESSES: usize = 2;

/// What a worker writes about its run at one moment.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The claim it is written under.
    pub claim: Claim,
    /// Acts of people the plan has seen.
    pub acts: i64,
    /// When it happened; what the worker remembers of it must be what is stored.
    pub at: DateTime<Utc>,
    /// What the timeline says.
    pub events: Vec<NewEvent>,
    /// Attempts that may be sent once this is committed.
    pub started: Vec<NewAttempt>,
    /// Attempts that are over.
    pub ended: Vec<EndedAttempt>,
    /// What becomes of the claim.
    pub then: Then,
}

/// What becomes of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The worker goes on.
    Hold,
    /// The run waits until then, or until somebody acts.
    LetGo(DateTime<Utc>),
    /// The run is over. It holds no locks and asks nobody.
    Finish(RunResult),
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is committed.
    Written,
    /// A person acted since: nothing was written; plan anew.
    Moved,
    /// The claim is over: nothing was written, and nothing may be.
    Fenced,
}

/// Where the timelines of incidents ended when this writer last wrote or looked.
#[derive(Debug, Default)]
pub struct Heads(HashMap<IncidentId, Head>);

#[derive(Clone, Copy, Debug)]
struct Head {
    next_seq: i64,
    hash: Digest,
}

/// Writes turns of different runs; the answers stand in the order of the turns. One turn that the database refuses
/// does not keep the others from being written.
pub async fn write(
    conn: &mut PgConnection,
    heads: &mut Heads,
    turns: &[Turn],
) -> Vec<Result<Verdict, StoreError>> {
    let mut verdicts = vec![None; turns.len()];
    let all = write_all(conn, heads, turns, &mut verdicts).await;
    let all = match all {
        // The error of a lone turn is its own, whatever kind it is.
        Err(error) if matches!(verdicts[..], [None]) => return vec![Err(error)],
        all => all,
    };
    let mut told = Vec::with_capacity(turns.len());
    for (turn, verdict) in turns.iter().zip(verdicts) {
        told.push(match (verdict, &all) {
            // What is committed is never written again, whatever happened to the others.
            (Some(verdict), _) => Ok(verdict),
            (None, Err(error)) if turns.len() > 1 && !error.is_unavailable() => {
                let mut alone = [None];
                let written = write_all(conn, heads, std::slice::from_ref(turn), &mut alone).await;
                written.and_then(|()| alone[0].ok_or(StoreError::Contended))
            }
            (None, Err(error)) => Err(error.again()),
            (None, Ok(())) => Err(StoreError::Contended),
        });
    }
    told
}

async fn write_all(
    conn: &mut PgConnection,
    heads: &mut Heads,
    turns: &[Turn],
    verdicts: &mut [Option<Verdict>],
) -> Result<(), StoreError> {
    if heads.0.len() > HEADS_MAX {
        heads.0.clear();
    }
    for round in 0.. {
        let open: Vec<usize> = (0..turns.len()).filter(|&at| verdicts[at].is_none()).collect();
        if open.is_empty() {
            break;
        }
        let of_incidents: Vec<i64> = distinct(open.iter().map(|&at| turns[at].claim.incident));
        let written = match round < GUESSES {
            true => {
                let unknown: Vec<i64> = of_incidents
                    .iter()
                    .copied()
                    .filter(|id| !heads.0.contains_key(&IncidentId(*id)))
                    .collect();
                heads.look(conn, &unknown).await?;
                statement(conn, heads, turns, &open).await
            }
            false => {
                let mut tx = conn.begin().await?;
                // Runs before incidents, as everybody does.
                let runs: Vec<i64> = open.iter().map(|&at| turns[at].claim.run.0).collect();
                lock_runs(&mut tx, &runs).await?;
                heads.lock(&mut tx, &of_incidents).await?;
                let written = statement(&mut tx, heads, turns, &open).await?;
                tx.commit().await?;
                Ok(written)
            }
        };
        let written = written.inspect_err(|_| heads.forget(&of_incidents))?;
        let mut left = Vec::new();
        for at in open {
            match written.get(&turns[at].claim.incident) {
                Some(head) => {
                    heads.0.insert(turns[at].claim.incident, *head);
                    verdicts[at] = Some(Verdict::Written);
                }
                None => left.push(at),
            }
        }
        heads.forget(&distinct(left.iter().map(|&at| turns[at].claim.incident)));
        judge(conn, turns, &left, verdicts).await?;
    }
    Ok(())
}

async fn lock_runs(conn: &mut PgConnection, runs: &[i64]) -> Result<(), StoreError> {
    sqlx::query!(
        "select run_id from run_queue where run_id = any($1) order by run_id for no key update",
        runs
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

fn distinct(incidents: impl Iterator<Item = IncidentId>) -> Vec<i64> {
    let mut ids: Vec<i64> = incidents.map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Which of the turns that were not written can never be; the others had a wrong guess, or stood beside one of these.
async fn judge(
    conn: &mut PgConnection,
    turns: &[Turn],
    left: &[usize],
    verdicts: &mut [Option<Verdict>],
) -> Result<(), StoreError> {
    if left.is_empty() {
        return Ok(());
    }
    let runs: Vec<i64> = left.iter().map(|&at| turns[at].claim.run.0).collect();
    let rows: HashMap<i64, (i64, i64)> = sqlx::query!(
        "select run_id, fence, acts from run_queue where run_id = any($1) and state = 1",
        &runs
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (row.run_id, (row.fence, row.acts)))
    .collect();
    for &at in left {
        let turn = &turns[at];
        verdicts[at] = match rows.get(&turn.claim.run.0) {
            Some((fence, acts)) if *fence == turn.claim.fence => {
                (*acts != turn.acts).then_some(Verdict::Moved)
            }
            _ => Some(Verdict::Fenced),
        };
    }
    Ok(())
}

impl Heads {
    fn forget(&mut self, incidents: &[i64]) {
        for id in incidents {
            self.0.remove(&IncidentId(*id));
        }
    }

    async fn look(&mut self, conn: &mut PgConnection, incidents: &[i64]) -> Result<(), StoreError> {
        if incidents.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            "select id, next_seq, last_hash from incidents where id = any($1)",
            incidents
        )
        .fetch_all(conn)
        .await?;
        for row in rows {
            self.keep(row.id, row.next_seq, &row.last_hash)?;
        }
        Ok(())
    }

    async fn lock(&mut self, conn: &mut PgConnection, incidents: &[i64]) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            "select id, next_seq, last_hash from incidents where id = any($1) order by id for no key update",
            incidents
        )
        .fetch_all(conn)
        .await?;
        for row in rows {
            self.keep(row.id, row.next_seq, &row.last_hash)?;
        }
        Ok(())
    }

    fn keep(&mut self, id: i64, next_seq: i64, hash: &[u8]) -> Result<(), StoreError> {
        let hash = Digest::from_slice(hash)
            .ok_or_else(|| StoreError::corrupt("incidents", "last_hash", "not 32 bytes"))?;
        self.0.insert(IncidentId(id), Head { next_seq, hash });
        Ok(())
    }
}

/// Writes the open turns in one statement; returns the incidents whose turns are all written, with their new ends.
async fn statement(
    conn: &mut PgConnection,
    heads: &Heads,
    turns: &[Turn],
    open: &[usize],
) -> Result<HashMap<IncidentId, Head>, StoreError> {
    let mut rows = Rows::default();
    let mut after: BTreeMap<IncidentId, (Head, i32)> = BTreeMap::new();
    for &at in open {
        let turn = &turns[at];
        let incident = turn.claim.incident;
        let head = *heads
            .0
            .get(&incident)
            .ok_or_else(|| StoreError::corrupt("run_queue", "incident_id", incident))?;
        let (end, count) = after.entry(incident).or_insert((head, 0));
        *count += 1;
        rows.push(turn, end)?;
    }
    let ids: Vec<i64> = after.keys().map(|id| id.0).collect();
    let expected: Vec<i64> = after
        .keys()
        .map(|id| heads.0.get(id).map_or(0, |head| head.next_seq))
        .collect();
    let next_seqs: Vec<i64> = after.values().map(|(head, _)| head.next_seq).collect();
    let hashes: Vec<&[u8]> = after.values().map(|(head, _)| &head.hash.0[..]).collect();
    let counts: Vec<i32> = after.values().map(|(_, count)| *count).collect();
    let written = sqlx::query_scalar!(
        r#"with t as (
               select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[],
                                    $6::text[], $12::timestamptz[])
                        as t (run_id, fence, acts, incident_id, due, result, at)),
           r as materialized (
               select q.run_id, t.incident_id, t.due, t.result, t.at
               from t join run_queue q on q.run_id = t.run_id and q.fence = t.fence and q.acts = t.acts
               where q.state = 1 order by q.run_id for no key update of q),
           h as (
               select * from unnest($7::bigint[], $8::bigint[], $9::bigint[], $10::bytea[], $11::int[])
                        as h (incident_id, expected, next_seq, last_hash, turns)),
           i as materialized (
               select i.id from h join incidents i on i.id = h.incident_id and i.next_seq = h.expected
               where h.turns = (select count(*) from r where r.incident_id = h.incident_id)
               order by i.id for no key update of i),
           numbered as (
               update incidents n set next_seq = h.next_seq, last_hash = h.last_hash
               from h join i on i.id = h.incident_id
               where n.id = h.incident_id and h.next_seq > h.expected),
           told as (
               insert into events (incident_id, seq, run_id, kind, body, actor, occurred_at, recorded_at, hash)
               select e.incident_id, e.seq, e.run_id, e.body ->> 'kind', e.body, e.actor, e.occurred_at, e.at, e.hash
               from unnest($13::bigint[], $14::bigint[], $15::bigint[], $16::jsonb[], $17::jsonb[],
                           $18::timestamptz[], $19::bytea[], $35::timestamptz[])
                    as e (incident_id, seq, run_id, body, actor, occurred_at, hash, at)
               join i on i.id = e.incident_id),
           begun as (
               insert into attempts (run_id, step, attempt, effect, permit, idempotency_key, fence, request, command,
                                     state, started_at)
               select s.run_id, s.step, s.attempt, s.effect, s.permit, s.key, s.fence, s.request, s.command, 'started',
                      r.at
               from unnest($20::bigint[], $21::text[], $22::int[], $23::text[], $24::int[], $25::text[],
                           $26::bigint[], $27::jsonb[], $28::text[])
                    as s (run_id, step, attempt, effect, permit, key, fence, request, command)
               join r on r.run_id = s.run_id join i on i.id = r.incident_id),
           over as (
               update attempts a set state = e.state, result = coalesce(e.result, a.result), summary = e.summary,
                                     finished_at = r.at, freed = (e.state = 'failed')
               from unnest($29::bigint[], $30::text[], $31::int[], $32::text[], $33::jsonb[], $34::text[])
                    as e (run_id, step, attempt, state, result, summary)
               join r on r.run_id = e.run_id join i on i.id = r.incident_id
               where a.run_id = e.run_id and a.step = e.step and a.attempt = e.attempt
                 and a.state in ('started', 'unknown')),
           let_go as (
               update run_queue q set state = 2, owner = null, due = r.due, faults = 0, fault = ''
               from r join i on i.id = r.incident_id where q.run_id = r.run_id and r.due is not null),
           gone as (
               delete from run_queue q using r join i on i.id = r.incident_id
               where q.run_id = r.run_id and r.result is not null),
           finished as (
               update runs n set finished_at = r.at, result = r.result
               from r join i on i.id = r.incident_id where n.id = r.run_id and r.result is not null)
           select id from i"#,
        &rows.run,
        &rows.fence,
        &rows.acts,
        &rows.incident,
        &rows.due as &[Option<DateTime<Utc>>],
        &rows.result as &[Option<&str>],
        &ids,
        &expected,
        &next_seqs,
        &hashes as &[&[u8]],
        &counts,
        &rows.at,
        &rows.events.incident,
        &rows.events.seq,
        &rows.events.run as &[Option<i64>],
        &rows.events.body,
        &rows.events.actor,
        &rows.events.occurred_at,
        &rows.events.hash,
        &rows.started.run,
        &rows.started.step as &[&str],
        &rows.started.attempt,
        &rows.started.effect as &[&str],
        &rows.started.permit,
        &rows.started.key as &[&str],
        &rows.started.fence,
        &rows.started.request,
        &rows.started.command as &[&str],
        &rows.ended.run,
        &rows.ended.step as &[&str],
        &rows.ended.attempt,
        &rows.ended.state as &[&str],
        &rows.ended.result as &[Option<Value>],
        &rows.ended.summary as &[&str],
        &rows.events.at,
    )
    .fetch_all(conn)
    .await?;
    Ok(written
        .into_iter()
        .filter_map(|id| {
            let id = IncidentId(id);
            after.get(&id).map(|(head, _)| (id, *head))
        })
        .collect())
}

/// The turns, column by column, as the statement takes them.
#[derive(Default)]
struct Rows<'a> {
    run: Vec<i64>,
    fence: Vec<i64>,
    acts: Vec<i64>,
    incident: Vec<i64>,
    at: Vec<DateTime<Utc>>,
    due: Vec<Option<DateTime<Utc>>>,
    result: Vec<Option<&'a str>>,
    events: EventRows,
    started: StartedRows<'a>,
    ended: EndedRows<'a>,
}

#[derive(Default)]
struct EventRows {
    incident: Vec<i64>,
    seq: Vec<i64>,
    run: Vec<Option<i64>>,
    body: Vec<Value>,
    actor: Vec<Value>,
    occurred_at: Vec<DateTime<Utc>>,
    hash: Vec<Vec<u8>>,
    at: Vec<DateTime<Utc>>,
}

#[derive(Default)]
struct StartedRows<'a> {
    run: Vec<i64>,
    step: Vec<&'a str>,
    attempt: Vec<i32>,
    effect: Vec<&'a str>,
    permit: Vec<i32>,
    key: Vec<&'a str>,
    fence: Vec<i64>,
    request: Vec<Value>,
    command: Vec<&'a str>,
}

#[derive(Default)]
struct EndedRows<'a> {
    run: Vec<i64>,
    step: Vec<&'a str>,
    attempt: Vec<i32>,
    state: Vec<&'a str>,
    result: Vec<Option<Value>>,
    summary: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, turn: &'a Turn, end: &mut Head) -> Result<(), StoreError> {
        let run = turn.claim.run.0;
        self.run.push(run);
        self.fence.push(turn.claim.fence);
        self.acts.push(turn.acts);
        self.incident.push(turn.claim.incident.0);
        self.at.push(turn.at);
        let (due, result) = match turn.then {
            Then::Hold => (None, None),
            Then::LetGo(due) => (Some(due), None),
            Then::Finish(result) => (None, Some(result.name())),
        };
        self.due.push(due);
        self.result.push(result);
        for event in &turn.events {
            end.hash = chain(end.hash, turn.claim.incident, end.next_seq, event, turn.at);
            self.events.incident.push(turn.claim.incident.0);
            self.events.seq.push(end.next_seq);
            self.events.run.push(match &event.event {
                Event::Run(run, _) => Some(run.0),
                Event::Incident(_) => None,
            });
            self.events.body.push(event.event.body());
            self.events
                .actor
                .push(serde_json::to_value(&event.actor).unwrap_or_default());
            self.events.occurred_at.push(event.occurred_at);
            self.events.hash.push(end.hash.0.to_vec());
            self.events.at.push(turn.at);
            end.next_seq += 1;
        }
        for attempt in &turn.started {
            self.started.run.push(run);
            self.started.step.push(&attempt.step.0);
            self.started.attempt.push(attempt.number as i32);
            self.started.effect.push(attempt.effect.name());
            self.started.permit.push(attempt.permit as i32);
            self.started.key.push(&attempt.key);
            self.started.fence.push(turn.claim.fence);
            self.started.request.push(
                serde_json::to_value(&attempt.request)
                    .map_err(|error| StoreError::corrupt("attempts", "request", error))?,
            );
            self.started.command.push(&attempt.command);
        }
        for ended in &turn.ended {
            self.ended.run.push(run);
            self.ended.step.push(&ended.step.0);
            self.ended.attempt.push(ended.attempt as i32);
            self.ended.state.push(ended.end.name());
            self.ended.result.push(ended.result.clone());
            self.ended.summary.push(&ended.summary);
        }
        Ok(())
    }
}
