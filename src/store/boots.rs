//! Boots: what each start found, and the incidents that are told that Muster was away.
//!
//! A start holds the table's lock from its look at the others until it has registered and written its boot, so of
//! several that start at once the first finds nobody and the others find the first.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{StoreError, events, overdue, replicas::LEASE};
use crate::domain::{
    boot::{Boot, Company, Found, LastHeard, OUTAGE_MIN},
    event::{IncidentFact, NewEvent},
    id::{BootId, IncidentId, ReplicaId},
    operator::Actor,
    overdue::Report,
};

/// Boots that are kept.
const KEPT: i64 = 1000;
/// Incidents told in one transaction: their timelines are locked until its end.
const TELL_BATCH: i64 = 50;
/// Boots settled in one pass.
const SETTLE_BATCH: i64 = 10;
/// How long after its end a lease is taken for over, as runs are taken over.
const LEASE_GRACE_S: f64 = 1.0;

// A start that had to be settled ends no outage that incidents are told of: they were told, or not, at the start.
const _: () = assert!(LEASE.as_millis() < OUTAGE_MIN.as_millis());

/// Looks who is there, under the lock that lets one start at a time do so. To be followed by the registration and
/// [`insert`] in the same transaction.
pub async fn look(conn: &mut PgConnection) -> Result<Found, StoreError> {
    sqlx::query!("lock table boots in share row exclusive mode")
        .execute(&mut *conn)
        .await?;
    let leases = sqlx::query!(
        r#"select count(*) as "count!",
                  coalesce(array_agg(p.id order by p.id) filter (where not exists (
                      select from boots b where p.id = any(b.rivals))), '{}') as "rivals!"
           from replicas p where p.lease_until > clock_timestamp()"#
    )
    .fetch_one(&mut *conn)
    .await?;
    // A replica of a release that notes no sign of life is known by its lease; of its clean stop no time is known.
    let last = sqlx::query!(
        r#"select (extract(epoch from clock_timestamp() - h.at) * 1e6)::bigint as "ago_us!",
                  stopped_at is not null as "stopped!"
           from replicas, lateral (select coalesce(stopped_at, last_seen_at,
               case when lease_until > 'epoch' then lease_until - make_interval(secs => $1) end) as at) h
           where h.at is not null order by h.at desc limit 1"#,
        LEASE.as_millis() as f64 / 1000.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(Found {
        any_lease: leases.count > 0,
        rivals: leases.rivals.into_iter().map(ReplicaId).collect(),
        last: last.map(|last| LastHeard {
            ago: TimeDelta::microseconds(last.ago_us.max(0)),
            stopped: last.stopped,
        }),
    })
}

/// Writes down a start of a process that began at `born`: what it found, what is overdue at `now`, and which incidents
/// are to be told of an outage.
pub async fn insert(
    conn: &mut PgConnection,
    replica: ReplicaId,
    found: &Found,
    born: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Boot, StoreError> {
    let company = found.company();
    let last_alive_at = match company {
        Company::Beside => Some(now),
        Company::Alone | Company::Unsettled => found.last.map(|last| now - last.ago),
    };
    let report = match company {
        Company::Beside => Report::default(),
        Company::Alone | Company::Unsettled => overdue::report(conn, &found.rivals, born, now).await?,
    };
    let rivals: Vec<i64> = found.rivals.iter().map(|replica| replica.0).collect();
    let mut boot = Boot {
        id: BootId(0),
        replica,
        started_at: now,
        last_alive_at,
        clean_stop: found.last.is_some_and(|last| last.stopped),
        company,
        report,
    };
    let kept = to_json(&boot.report)?;
    boot.id = BootId(
        sqlx::query_scalar!(
            "insert into boots (replica_id, started_at, last_alive_at, clean_stop, company, rivals, report, tell_through)
             values ($1, $2, $3, $4, $5, $6, $7, case when $8 then (select max(id) from incidents) end)
             returning id",
            replica.0,
            now,
            boot.last_alive_at,
            boot.clean_stop,
            company.name(),
            &rivals,
            kept,
            boot.is_outage()
        )
        .fetch_one(&mut *conn)
        .await?,
    );
    sqlx::query!(
        "delete from boots where id <= (select id from boots order by id desc offset $1 limit 1)",
        KEPT
    )
    .execute(conn)
    .await?;
    Ok(boot)
}

fn to_json(report: &Report) -> Result<Value, StoreError> {
    serde_json::to_value(report).map_err(|error| StoreError::corrupt("boots", "report", error))
}

/// Writes into the next open incidents that Muster was away, in the caller's transaction; returns how many. Zero when
/// none is owed that word. A start that breaks off in the middle leaves the rest to whoever calls next.
pub async fn tell(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let Some(owed) = sqlx::query!(
        r#"select id, started_at, last_alive_at, clean_stop, told_through, tell_through as "tell_through!"
           from boots where tell_through is not null order by id limit 1 for no key update skip locked"#
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(0);
    };
    let incidents = sqlx::query_scalar!(
        "select id from incidents
         where id > $1 and id <= $2 and state in ('triggered', 'acknowledged', 'mitigated') order by id limit $3",
        owed.told_through,
        owed.tell_through,
        TELL_BATCH
    )
    .fetch_all(&mut *conn)
    .await?;
    let fact = IncidentFact::MusterWasDown {
        since: owed.last_alive_at.unwrap_or(owed.started_at),
        until: owed.started_at,
        clean_stop: owed.clean_stop,
        boot: BootId(owed.id),
    };
    let event = NewEvent {
        event: fact.into(),
        actor: Actor::Automation,
        occurred_at: owed.started_at,
    };
    for incident in &incidents {
        events::append(conn, IncidentId(*incident), std::slice::from_ref(&event), now).await?;
    }
    let is_done = (incidents.len() as i64) < TELL_BATCH;
    sqlx::query!(
        "update boots set told_through = coalesce($2, told_through),
             tell_through = case when $3 then null else tell_through end
         where id = $1",
        owed.id,
        incidents.last().copied(),
        is_done
    )
    .execute(conn)
    .await?;
    Ok(incidents.len())
}

/// Settles the boots that met a lease, once it has been renewed or is over: nobody of those heard of again means that
/// they were dead already. Returns how many.
pub async fn settle(conn: &mut PgConnection) -> Result<usize, StoreError> {
    let lease_s = LEASE.as_millis() as f64 / 1000.0;
    let settled = sqlx::query!(
        "with ready as (
             select b.id, (me.id is null or exists (
                        select from replicas r where r.id = any(b.rivals) and coalesce(r.stopped_at, r.last_seen_at,
                            r.lease_until - make_interval(secs => $1)) > me.started_at)) as were_there
             from boots b left join replicas me on me.id = b.replica_id
             where b.company = 'unsettled'
               and (me.id is null or me.started_at < clock_timestamp() - make_interval(secs => $1 + $2))
             order by b.id limit $3 for no key update of b skip locked)
         update boots b set rivals = '{}',
             company = case when were_there then 'beside' else 'alone' end,
             last_alive_at = case when were_there then b.started_at else b.last_alive_at end,
             report = case when were_there then '{}' else b.report end
         from ready where ready.id = b.id",
        lease_s,
        LEASE_GRACE_S,
        SETTLE_BATCH
    )
    .execute(conn)
    .await?;
    Ok(settled.rows_affected() as usize)
}

struct Row {
    id: i64,
    replica_id: i64,
    started_at: DateTime<Utc>,
    last_alive_at: Option<DateTime<Utc>>,
    clean_stop: bool,
    company: String,
    report: Value,
}

impl TryFrom<Row> for Boot {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: BootId(row.id),
            replica: ReplicaId(row.replica_id),
            started_at: row.started_at,
            last_alive_at: row.last_alive_at,
            clean_stop: row.clean_stop,
            company: Company::named(&row.company)
                .ok_or_else(|| StoreError::corrupt("boots", "company", row.company))?,
            report: serde_json::from_value(row.report)
                .map_err(|error| StoreError::corrupt("boots", "report", error))?,
        })
    }
}

/// One boot with its whole report.
pub async fn find(conn: &mut PgConnection, id: BootId) -> Result<Option<Boot>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, replica_id, started_at, last_alive_at, clean_stop, company, report from boots where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Boot::try_from)
    .transpose()
}

/// Boots before `before`, the newest first, at most `limit`, their reports without items. First page with `i64::MAX`.
pub async fn list(conn: &mut PgConnection, before: i64, limit: i64) -> Result<Vec<Boot>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select id, replica_id, started_at, last_alive_at, clean_stop, company,
                  (select coalesce(jsonb_object_agg(key, case jsonb_typeof(value) when 'object' then value - 'items'
                                                         else value end), '{}')
                   from jsonb_each(report)) as "report!"
           from boots where id < $1 order by id desc limit $2"#,
        before,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Boot::try_from)
    .collect()
}

/// The newest boot after `since` that ended an outage worth telling, its report left out.
pub async fn find_outage_since(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Option<Boot>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select id, replica_id, started_at, last_alive_at, clean_stop, company, '{}'::jsonb as "report!"
           from boots
           where started_at > $1 and company = 'alone'
             and started_at - last_alive_at >= make_interval(secs => $2)
           order by id desc limit 1"#,
        since,
        OUTAGE_MIN.as_millis() as f64 / 1000.0
    )
    .fetch_optional(conn)
    .await?
    .map(Boot::try_from)
    .transpose()
}
