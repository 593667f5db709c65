//! Marks of where the timelines stood: which have moved since, keeping the marks, and comparing them with what stands
//! there now.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{audit::Mark, digest::Digest, id::IncidentId};

/// "anchor" in ASCII: one replica makes marks at a time.
const TURN: i64 = 0x616e_6368_6f72;

/// How far the marks have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchoring {
    /// What was recorded before is marked; `None` before the first mark.
    pub marked_to: Option<DateTime<Utc>>,
    /// The walk over all timelines, which goes round for ever, has come to this incident.
    pub walked_to: IncidentId,
}

/// Takes the turn to make marks until the transaction ends; `None` when another replica has it.
pub async fn take_turn(conn: &mut PgConnection) -> Result<Option<Anchoring>, StoreError> {
    let has_turn = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "has_turn!""#, TURN)
        .fetch_one(&mut *conn)
        .await?;
    if !has_turn {
        return Ok(None);
    }
    let row = sqlx::query!("select marked_to, walked_to from audit_anchoring")
        .fetch_one(conn)
        .await?;
    Ok(Some(Anchoring {
        marked_to: row.marked_to,
        walked_to: IncidentId(row.walked_to),
    }))
}

/// Writes down how far the marks have come.
pub async fn set(conn: &mut PgConnection, anchoring: Anchoring) -> Result<(), StoreError> {
    sqlx::query!(
        "update audit_anchoring set marked_to = $1, walked_to = $2",
        anchoring.marked_to,
        anchoring.walked_to.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A timeline that moved, and how many events that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it stands.
    pub mark: Mark,
    /// Events since its last mark.
    pub events: i64,
}

struct Row {
    id: i64,
    seq: i64,
    last_hash: Vec<u8>,
    events: i64,
}

impl TryFrom<Row> for Moved {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            mark: mark(row.id, row.seq, &row.last_hash)?,
            events: row.events,
        })
    }
}

fn mark(incident: i64, seq: i64, hash: &[u8]) -> Result<Mark, StoreError> {
    Ok(Mark {
        incident: IncidentId(incident),
        seq,
        hash: Digest::from_slice(hash)
            .ok_or_else(|| StoreError::corrupt("audit_anchors", "hash", "not 32 bytes"))?,
    })
}

/// Timelines with events recorded at `since` or later that are not marked where they stand, by incident, at most `limit`.
pub async fn moved_since(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Moved>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select i.id, i.next_seq - 1 as "seq!", i.last_hash, i.next_seq - 1 - coalesce(a.seq, 0) as "events!"
           from (select distinct incident_id from events where recorded_at >= $1) m
           join incidents i on i.id = m.incident_id
           left join lateral (select seq from audit_anchors where incident_id = i.id order by seq desc limit 1) a on true
           where coalesce(a.seq, 0) < i.next_seq - 1 order by i.id limit $2"#,
        since,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Moved::try_from)
    .collect()
}

/// Timelines of incidents after that one, marked or not, by incident, at most `limit`.
pub async fn list_after(
    conn: &mut PgConnection,
    after: IncidentId,
    limit: i64,
) -> Result<Vec<Moved>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select i.id, i.next_seq - 1 as "seq!", i.last_hash, i.next_seq - 1 - coalesce(a.seq, 0) as "events!"
           from incidents i
           left join lateral (select seq from audit_anchors where incident_id = i.id order by seq desc limit 1) a on true
           where i.id > $1 order by i.id limit $2"#,
        after.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Moved::try_from)
    .collect()
}

/// Keeps the marks of one act.
pub async fn insert(conn: &mut PgConnection, act: i64, marks: &[Mark]) -> Result<(), StoreError> {
    let incidents: Vec<i64> = marks.iter().map(|mark| mark.incident.0).collect();
    let seqs: Vec<i64> = marks.iter().map(|mark| mark.seq).collect();
    let hashes: Vec<Vec<u8>> = marks.iter().map(|mark| mark.hash.0.to_vec()).collect();
    sqlx::query!(
        "insert into audit_anchors (audit_seq, incident_id, seq, hash)
         select $1, m.incident_id, m.seq, m.hash
         from unnest($2::bigint[], $3::bigint[], $4::bytea[]) as m (incident_id, seq, hash)",
        act,
        &incidents,
        &seqs,
        &hashes
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The marks of one act, in the order of their incidents, at most `limit`.
pub async fn of_act(conn: &mut PgConnection, act: i64, limit: i64) -> Result<Vec<Mark>, StoreError> {
    sqlx::query!(
        "select incident_id, seq, hash from audit_anchors where audit_seq = $1 order by incident_id limit $2",
        act,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| mark(row.incident_id, row.seq, &row.hash))
    .collect()
}

/// A mark at which the timeline does not hold any more what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Whose timeline.
    pub incident: IncidentId,
    /// The number of the event.
    pub seq: i64,
    /// When it was marked.
    pub marked_at: DateTime<Utc>,
    /// Whether another event stands there now, rather than none.
    pub is_replaced: bool,
}

/// The first mark of the incidents from `from` to before `to` at which the timeline is not what it was.
pub async fn first_missed(
    conn: &mut PgConnection,
    from: IncidentId,
    to: IncidentId,
) -> Result<Option<Missed>, StoreError> {
    let row = sqlx::query!(
        r#"select a.incident_id, a.seq, t.at, e.seq is not null as "is_replaced!"
           from audit_anchors a join audit t on t.seq = a.audit_seq
           left join events e on e.incident_id = a.incident_id and e.seq = a.seq
           where a.incident_id >= $1 and a.incident_id < $2 and e.hash is distinct from a.hash
           order by a.incident_id, a.seq limit 1"#,
        from.0,
        to.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Missed {
        incident: IncidentId(row.incident_id),
        seq: row.seq,
        marked_at: row.at,
        is_replaced: row.is_replaced,
    }))
}
