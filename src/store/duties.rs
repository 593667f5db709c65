//! Who has taken on what in an incident.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    duty::Duty,
    id::{IncidentId, OperatorId},
};

/// Somebody who has a duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which duty.
    pub duty: Duty,
    /// Who has it.
    pub operator: OperatorId,
    /// Their name.
    pub name: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Who has which duty, in the order of [`Duty::ALL`].
pub async fn list(conn: &mut PgConnection, incident: IncidentId) -> Result<Vec<Holder>, StoreError> {
    let rows = sqlx::query!(
        "select d.duty, d.operator_id, d.since, o.name
         from incident_duties d join operators o on o.id = d.operator_id where d.incident_id = $1",
        incident.0
    )
    .fetch_all(conn)
    .await?;
    let mut holders = rows
        .into_iter()
        .map(|row| {
            Ok(Holder {
                duty: Duty::named(&row.duty)
                    .ok_or_else(|| StoreError::corrupt("incident_duties", "duty", row.duty))?,
                operator: OperatorId(row.operator_id),
                name: row.name,
                since: row.since,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    holders.sort_by_key(|holder| holder.duty);
    Ok(holders)
}

/// Gives a duty of a locked incident to somebody.
pub async fn give(
    conn: &mut PgConnection,
    incident: IncidentId,
    duty: Duty,
    to: OperatorId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into incident_duties (incident_id, duty, operator_id, since) values ($1, $2, $3, $4)
         on conflict (incident_id, duty) do update set operator_id = excluded.operator_id, since = excluded.since",
        incident.0,
        duty.name(),
        to.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a duty of a locked incident from whoever has it.
pub async fn clear(conn: &mut PgConnection, incident: IncidentId, duty: Duty) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from incident_duties where incident_id = $1 and duty = $2",
        incident.0,
        duty.name()
    )
    .execute(conn)
    .await?;
    Ok(())
}
