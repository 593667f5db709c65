//! How far the chains have been gone through again, and the first fault that was found.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{audit::Broken, digest::Digest, event::Tail, id::IncidentId};

/// What is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// The audit.
    Acts,
    /// The timelines of all incidents, one after the other.
    Timelines,
}

impl Chain {
    fn name(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Timelines => "timelines",
        }
    }
}

/// How a chain was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The incident whose timeline the walk is in; 0 for the audit, and before the first.
    pub incident: IncidentId,
    /// The end of what the walk has seen of it.
    pub tail: Tail,
    /// Links that the walk has seen in all.
    pub walked: i64,
    /// The last walk that reached the end and found no fault: how many links it saw, and when.
    pub whole: Option<(i64, DateTime<Utc>)>,
    /// The first fault, until a walk finds none.
    pub broken: Option<Broken>,
}

/// How a chain was found last. With the turn to go on with it, until the transaction ends, when `has_turn` is asked for;
/// `None` when another replica has the turn.
pub async fn find(
    conn: &mut PgConnection,
    chain: Chain,
    has_turn: bool,
) -> Result<Option<Check>, StoreError> {
    if has_turn {
        let taken = sqlx::query_scalar!(
            "select chain from audit_checks where chain = $1 for update skip locked",
            chain.name()
        );
        if taken.fetch_optional(&mut *conn).await?.is_none() {
            return Ok(None);
        }
    }
    let row = sqlx::query!(
        "select incident_id, seq, link, walked, whole_links, whole_at, broken from audit_checks where chain = $1",
        chain.name()
    )
    .fetch_one(conn)
    .await?;
    let broken = row.broken.map(serde_json::from_value::<Broken>).transpose();
    Ok(Some(Check {
        incident: IncidentId(row.incident_id),
        tail: Tail {
            next: row.seq + 1,
            link: Digest::from_slice(&row.link)
                .ok_or_else(|| StoreError::corrupt("audit_checks", "link", "not 32 bytes"))?,
        },
        walked: row.walked,
        whole: row.whole_links.zip(row.whole_at),
        broken: broken.map_err(|error| StoreError::corrupt("audit_checks", "broken", error))?,
    }))
}

/// Writes down how a chain was found.
pub async fn set(conn: &mut PgConnection, chain: Chain, check: &Check) -> Result<(), StoreError> {
    let broken = check.broken.as_ref().map(serde_json::to_value).transpose();
    let broken = broken.map_err(|error| StoreError::corrupt("audit_checks", "broken", error))?;
    sqlx::query!(
        "update audit_checks set incident_id = $2, seq = $3, link = $4, walked = $5, whole_links = $6, whole_at = $7,
                                 broken = $8
         where chain = $1",
        chain.name(),
        check.incident.0,
        check.tail.next - 1,
        &check.tail.link.0[..],
        check.walked,
        check.whole.map(|(links, _)| links),
        check.whole.map(|(_, at)| at),
        broken
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The first fault that stands, of either chain.
pub async fn first_broken(conn: &mut PgConnection) -> Result<Option<Broken>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select broken as "broken!" from audit_checks where broken is not null order by chain limit 1"#
    )
    .fetch_optional(conn)
    .await?;
    found
        .map(serde_json::from_value)
        .transpose()
        .map_err(|error| StoreError::corrupt("audit_checks", "broken", error))
}
