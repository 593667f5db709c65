//! What pages ask about drills besides the drills themselves: when each scenario was played last, what goes on for whom,
//! and whether anything is new.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    drill::{DrillState, EndKind},
    id::{DrillId, IncidentId, OperatorId},
    span::Span,
};

/// The last drill of a scenario that began.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The scenario's name.
    pub slug: String,
    /// The drill.
    pub drill: DrillId,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Why it was over; `None` while it goes on.
    pub end: Option<EndKind>,
}

/// The last drill of each scenario that began, by name.
pub async fn last(conn: &mut PgConnection) -> Result<Vec<Played>, StoreError> {
    sqlx::query!(
        r#"select distinct on (s.slug) s.slug, d.id, d.started_at as "started_at!", d.end_kind
           from drills d join scenario_versions v on v.id = d.version_id join scenarios s on s.id = v.scenario_id
           where d.started_at is not null order by s.slug, d.id desc"#
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let end = match row.end_kind {
            None => None,
            Some(kind) => Some(
                EndKind::named(&kind).ok_or_else(|| StoreError::corrupt("drills", "end_kind", &kind))?,
            ),
        };
        Ok(Played {
            slug: row.slug,
            drill: DrillId(row.id),
            started_at: row.started_at,
            end,
        })
    })
    .collect()
}

/// A scenario to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub slug: String,
    /// What people call it.
    pub title: String,
    /// How long it takes.
    pub length: Span,
}

/// The shortest scenario, as long as nobody has ever planned a drill.
pub async fn offer(conn: &mut PgConnection) -> Result<Option<Offer>, StoreError> {
    let rows = sqlx::query!(
        r#"select s.slug, v.definition ->> 'title' as "title!", v.definition ->> 'length' as "length!"
           from scenarios s join scenario_versions v on v.id = s.current_version_id
           where not exists (select from drills) order by s.slug limit 500"#
    )
    .fetch_all(conn)
    .await?;
    let offers = rows.into_iter().map(|row| {
        Ok(Offer {
            slug: row.slug,
            title: row.title,
            length: row
                .length
                .parse()
                .map_err(|error| StoreError::corrupt("scenario_versions", "definition", error))?,
        })
    });
    let offers: Vec<Offer> = offers.collect::<Result<_, StoreError>>()?;
    Ok(offers.into_iter().min_by_key(|offer| offer.length))
}

/// A drill that somebody plays in or leads, and that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct GoingOn {
    /// The drill.
    pub drill: DrillId,
    /// What is played.
    pub title: String,
    /// How it stands.
    pub state: DrillState,
    /// When it shall begin.
    pub planned_for: Option<DateTime<Utc>>,
    /// The newest of its incidents.
    pub incident: Option<IncidentId>,
    /// Whether it waits for their word that they come.
    pub asks: bool,
}

/// The drills that this person plays in or leads and that are not over, the oldest first, at most `limit`.
pub async fn going_on(
    conn: &mut PgConnection,
    me: OperatorId,
    limit: i64,
) -> Result<Vec<GoingOn>, StoreError> {
    sqlx::query!(
        r#"select d.id, v.definition ->> 'title' as "title!", d.state, d.planned_for,
                  (select max(i.id) from incidents i where i.drill_id = d.id) as incident,
                  exists (select from drill_players p
                          where p.drill_id = d.id and p.operator_id = $1 and p.comes is null) as "asks!"
           from drills d join scenario_versions v on v.id = d.version_id
           where d.state <> 'ended'
                 and (d.trainer = $1
                      or exists (select from drill_players p where p.drill_id = d.id and p.operator_id = $1))
           order by d.id limit $2"#,
        me.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(GoingOn {
            drill: DrillId(row.id),
            title: row.title,
            state: DrillState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("drills", "state", &row.state))?,
            planned_for: row.planned_for,
            incident: row.incident.map(IncidentId),
            asks: row.asks && row.state == DrillState::Planned.name(),
        })
    })
    .collect()
}

/// A drill as it stands in a calendar.
#[derive(Clone, Debug, PartialEq)]
pub struct Appointment {
    /// The drill.
    pub drill: DrillId,
    /// What is played.
    pub title: String,
    /// What the players are told.
    pub brief: String,
    /// How long it is planned to take.
    pub length: Span,
    /// When it begins, or began.
    pub at: DateTime<Utc>,
    /// Whether it was called off.
    pub is_cancelled: bool,
}

/// Drills with a time: those that are planned, the soonest first, at most `limit`; or only this one, however it stands.
pub async fn appointments(
    conn: &mut PgConnection,
    only: Option<DrillId>,
    limit: i64,
) -> Result<Vec<Appointment>, StoreError> {
    sqlx::query!(
        r#"select d.id, v.definition ->> 'title' as "title!", v.definition ->> 'brief' as "brief!",
                  v.definition ->> 'length' as "length!", coalesce(d.started_at, d.planned_for) as "at!",
                  coalesce(d.end_kind = 'cancelled', false) as "is_cancelled!"
           from drills d join scenario_versions v on v.id = d.version_id
           where coalesce(d.started_at, d.planned_for) is not null
                 and (d.id = $1 or $1::bigint is null and d.state = 'planned')
           order by 5, d.id limit $2"#,
        only.map(|drill| drill.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Appointment {
            drill: DrillId(row.id),
            title: row.title,
            brief: row.brief,
            length: row
                .length
                .parse()
                .map_err(|error| StoreError::corrupt("scenario_versions", "definition", error))?,
            at: row.at,
            is_cancelled: row.is_cancelled,
        })
    })
    .collect()
}

/// What changes whenever something of a drill does: equal while nothing happened. `None` when there is no such drill.
pub async fn pulse(conn: &mut PgConnection, id: DrillId) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select d.state || '-' || d.next_seq || '-'
                  || (select count(*) filter (where p.comes) || '-' || count(*) filter (where not p.comes)
                      from drill_players p where p.drill_id = d.id) || '-'
                  || (select coalesce(sum(i.next_seq), 0) from incidents i where i.drill_id = d.id) as "pulse!"
           from drills d where d.id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?)
}
