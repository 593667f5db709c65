//! The audit: appending to its chain under the lock of its head, and reading it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    audit::{Act, ActKind, Fields, Object, Origin, RecordedAct, chain},
    digest::Digest,
    event::Tail,
};

/// Appends an act, in the transaction that does it; returns its number. The head stays locked until that transaction
/// ends, so this comes after every other lock.
pub async fn insert(conn: &mut PgConnection, act: &Act, now: DateTime<Utc>) -> Result<i64, StoreError> {
    let head = sqlx::query!("select next_seq, last_hash from audit_head for update")
        .fetch_one(&mut *conn)
        .await?;
    let last = digest(&head.last_hash)?;
    let link = chain(last, head.next_seq, act, now);
    let json = |fields: &Fields| serde_json::to_value(fields).unwrap_or_default();
    sqlx::query!(
        "with moved as (update audit_head set next_seq = $1::bigint + 1, last_hash = $13)
         insert into audit (seq, at, actor, kind, object_kind, object_id, object, before, after, reason, session,
                            address, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        head.next_seq,
        now,
        serde_json::to_value(&act.actor).unwrap_or_default(),
        act.kind,
        act.object.kind,
        act.object.id,
        act.object.name,
        json(&act.before),
        json(&act.after),
        act.reason,
        act.origin.session,
        act.origin.address,
        &link.0[..]
    )
    .execute(conn)
    .await?;
    Ok(head.next_seq)
}

fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    Digest::from_slice(bytes).ok_or_else(|| StoreError::corrupt("audit", "hash", "not 32 bytes"))
}

struct Row {
    seq: i64,
    at: DateTime<Utc>,
    actor: Value,
    kind: String,
    object_kind: String,
    object_id: String,
    object: String,
    before: Value,
    after: Value,
    reason: String,
    session: Option<String>,
    address: Option<String>,
    hash: Vec<u8>,
}

impl TryFrom<Row> for RecordedAct {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = |column| move |error: serde_json::Error| StoreError::corrupt("audit", column, error);
        Ok(Self {
            seq: row.seq,
            at: row.at,
            act: Act {
                actor: serde_json::from_value(row.actor).map_err(corrupt("actor"))?,
                kind: row.kind,
                object: Object {
                    kind: row.object_kind,
                    id: row.object_id,
                    name: row.object,
                },
                before: serde_json::from_value(row.before).map_err(corrupt("before"))?,
                after: serde_json::from_value(row.after).map_err(corrupt("after"))?,
                reason: row.reason,
                origin: Origin {
                    session: row.session,
                    address: row.address,
                },
            },
            hash: digest(&row.hash)?,
        })
    }
}

/// Where the chain ends, by its head.
pub async fn tail(conn: &mut PgConnection) -> Result<Tail, StoreError> {
    let head = sqlx::query!("select next_seq, last_hash from audit_head")
        .fetch_one(conn)
        .await?;
    Ok(Tail {
        next: head.next_seq,
        link: digest(&head.last_hash)?,
    })
}

/// Acts from that number on, in order, at most `limit`: the chain to be gone through again.
pub async fn list_from(
    conn: &mut PgConnection,
    seq: i64,
    limit: i64,
) -> Result<Vec<RecordedAct>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, at, actor, kind, object_kind, object_id, object, before, after, reason, session, address, hash
         from audit where seq >= $1 order by seq limit $2",
        seq,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(RecordedAct::try_from)
    .collect()
}

/// What was done to what stands over every run, the newest first, before that number, at most `limit`.
pub async fn list_standing(
    conn: &mut PgConnection,
    before: i64,
    limit: i64,
) -> Result<Vec<RecordedAct>, StoreError> {
    let kinds = ActKind::STANDING.map(|kind| kind.name().to_owned());
    sqlx::query_as!(
        Row,
        "select seq, at, actor, kind, object_kind, object_id, object, before, after, reason, session, address, hash
         from audit where kind <> 'timelines_marked' and seq < $1 and kind = any($2) order by seq desc limit $3",
        before,
        &kinds[..],
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(RecordedAct::try_from)
    .collect()
}

/// A place between decisions, which stand in the order of their times; before it are those that are older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at: DateTime<Utc>,
    /// Number of the incident in whose timeline it is; 0 for the audit.
    pub incident: i64,
    /// The number there.
    pub seq: i64,
}

/// Which decisions are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Name of who decided.
    pub name: Option<String>,
    /// What kind of actor decided, as [`crate::domain::operator::Actor`] is tagged.
    pub by: Option<String>,
    /// Name of the kind.
    pub kind: Option<String>,
    /// Name or id of the object, for acts.
    pub object: Option<String>,
    /// The incident, for events.
    pub incident: Option<i64>,
    /// Not older than this.
    pub from: Option<DateTime<Utc>>,
}

/// Acts before a place, the newest first, at most `limit`. The marks of timelines are no decisions.
pub async fn list_before(
    conn: &mut PgConnection,
    wanted: &Wanted,
    place: Place,
    limit: i64,
) -> Result<Vec<RecordedAct>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, at, actor, kind, object_kind, object_id, object, before, after, reason, session, address, hash
         from audit
         where kind <> 'timelines_marked' and at <= $1 and (at, 0::bigint, seq) < ($1, $2, $3)
               and ($4::text is null or actor ->> 'name' = $4) and ($5::text is null or actor ->> 'by' = $5)
               and ($6::text is null or kind = $6) and ($7::text is null or object = $7 or object_id = $7)
               and ($8::timestamptz is null or at >= $8)
         order by at desc, seq desc limit $9",
        place.at,
        place.incident,
        place.seq,
        wanted.name,
        wanted.by,
        wanted.kind,
        wanted.object,
        wanted.from,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(RecordedAct::try_from)
    .collect()
}
