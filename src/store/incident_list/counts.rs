//! How many incidents each filter of the list leads to.

use serde_json::Value;
use sqlx::PgConnection;

use super::wanted::{Wanted, found};
use crate::{
    domain::{id::OperatorId, search::Trait},
    store::StoreError,
};

/// Incidents that are counted at most; there may be more.
pub const COUNTED_MAX: i64 = 1000;

/// How many of the wanted incidents are how; of the newest [`COUNTED_MAX`] when there are more.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// All together.
    pub all: i64,
    /// Whether there are more than were counted.
    pub is_cut: bool,
    /// By name of the state.
    pub states: Vec<(String, i64)>,
    /// By number of the severity.
    pub severities: Vec<(String, i64)>,
    /// By name of the service, the most first.
    pub services: Vec<(String, i64)>,
    /// By `me`, `nobody` and `other`.
    pub owners: Vec<(String, i64)>,
    /// With a run, live or over.
    pub ran: i64,
    /// With a decision that waits.
    pub waiting: i64,
}

/// Counts the wanted incidents.
pub async fn count(conn: &mut PgConnection, wanted: &Wanted, me: OperatorId) -> Result<Counts, StoreError> {
    let rows = found!(
        "with found as materialized (
             select i.id, i.state, i.severity::text, i.service,
                    case when i.acknowledged_by is null then 'nobody' when i.acknowledged_by = $25 then 'me'
                         else 'other' end as owner ",
        " order by i.id desc limit $26)
        select case when grouping(f.state) = 0 then 'state' when grouping(f.severity) = 0 then 'severity'
                    when grouping(f.service) = 0 then 'service' when grouping(f.owner) = 0 then 'owner'
                    else 'all' end as \"kind!\",
               coalesce(f.state, f.severity, f.service, f.owner) as value, count(*) as \"n!\",
               count(r.id) as \"ran!\",
               count(*) filter (where f.id = any(array(select incident_id from approvals where state = 'pending')))
                   as \"waiting!\"
        from found f left join lateral (select r.id from runs r where r.incident_id = f.id limit 1) r on true
        group by grouping sets ((f.state), (f.severity), (f.service), (f.owner), ())
        order by count(*) desc, 2",
        wanted,
        me.0,
        COUNTED_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    let mut counts = Counts::default();
    for row in rows {
        let into = match (row.kind.as_str(), &row.value) {
            ("state", _) => &mut counts.states,
            ("severity", _) => &mut counts.severities,
            ("service", Some(_)) => &mut counts.services,
            ("owner", _) => &mut counts.owners,
            ("all", _) => {
                counts.is_cut = row.n > COUNTED_MAX;
                counts.all = row.n.min(COUNTED_MAX);
                (counts.ran, counts.waiting) = (row.ran, row.waiting);
                continue;
            }
            _ => continue,
        };
        into.push((row.value.unwrap_or_default(), row.n));
    }
    Ok(counts)
}

/// The wanted incidents counted, and those that each filter would lead to instead.
#[derive(Clone, Debug, Default)]
pub struct Facets {
    /// What is wanted.
    pub base: Counts,
    /// The same in the other states.
    pub other_states: Option<Counts>,
    /// The same with the other severities.
    pub other_severities: Option<Counts>,
    /// The same whoever's.
    pub any_owner: Option<Counts>,
    /// The same of any service.
    pub any_service: Option<Counts>,
}

/// Counts what is wanted and what is one filter away.
pub async fn facets(conn: &mut PgConnection, wanted: &Wanted, me: OperatorId) -> Result<Facets, StoreError> {
    Ok(Facets {
        base: count(conn, wanted, me).await?,
        other_states: count_some(conn, wanted.other_states(), me).await?,
        other_severities: count_some(conn, wanted.other_severities(), me).await?,
        any_owner: count_some(conn, wanted.any_owner(), me).await?,
        any_service: count_some(conn, wanted.any_service(), me).await?,
    })
}

async fn count_some(
    conn: &mut PgConnection,
    wanted: Option<Wanted>,
    me: OperatorId,
) -> Result<Option<Counts>, StoreError> {
    match wanted {
        Some(wanted) => count(conn, &wanted, me).await.map(Some),
        None => Ok(None),
    }
}
