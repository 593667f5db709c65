//! What else is wrong with a service.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::IncidentId,
    incident::{IncidentState, Severity},
};

/// An open incident of a service, as another one's page names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The service that its first alert named.
    pub service: String,
    /// Which.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// Who took it.
    pub owner: Option<String>,
}

/// The open incidents of these services besides `except`, at most `limit` of each, the worst and newest first. A drill has
/// those of the same drill beside it, what is real has what is real.
pub async fn list_open(
    conn: &mut PgConnection,
    services: &[String],
    except: IncidentId,
    limit: i64,
) -> Result<Vec<Other>, StoreError> {
    sqlx::query!(
        r#"select s.name as "service!", i.id, i.title, i.severity, i.state, i.opened_at, o.name as "owner?"
           from unnest($1::text[]) s (name)
           cross join lateral (
               select * from incidents i
               where i.service = left(s.name, 200) and i.state in ('triggered', 'acknowledged', 'mitigated') and i.id <> $2
                 and i.drill_id is not distinct from (select o.drill_id from incidents o where o.id = $2)
               order by i.severity, i.id desc limit $3) i
           left join operators o on o.id = i.acknowledged_by
           order by s.name, i.severity, i.id desc"#,
        services,
        except.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Other {
            service: row.service,
            id: IncidentId(row.id),
            title: row.title,
            severity: Severity::numbered(row.severity)
                .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
            state: IncidentState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("incidents", "state", row.state))?,
            opened_at: row.opened_at,
            owner: row.owner,
        })
    })
    .collect()
}
