//! Folding: many incidents for which one of them stands in the list. A statement each, whatever their number.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{DrillId, IncidentId, SourceId},
    incident::IncidentState,
    source::FoldRule,
    span::Span,
};

/// An incident as folding sees it, locked.
#[derive(Clone, Copy, Debug)]
pub struct Leaf {
    /// Which.
    pub id: IncidentId,
    /// How it stands.
    pub state: IncidentState,
    /// The one that stands for it.
    pub folded_under: Option<IncidentId>,
    /// The drill it belongs to.
    pub drill: Option<DrillId>,
}

/// Locks these incidents and those folded under them, in the order of their numbers, at most `limit`.
pub async fn lock_all(
    conn: &mut PgConnection,
    ids: &[IncidentId],
    limit: i64,
) -> Result<Vec<Leaf>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "select id, state, folded_under, drill_id from incidents where id = any($1) or folded_under = any($1)
         order by id limit $2 for no key update",
        &ids,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Leaf {
            id: IncidentId(row.id),
            state: IncidentState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("incidents", "state", row.state))?,
            folded_under: row.folded_under.map(IncidentId),
            drill: row.drill_id.map(DrillId),
        })
    })
    .collect()
}

/// Folds locked incidents under another locked one.
pub async fn fold(
    conn: &mut PgConnection,
    parent: IncidentId,
    children: &[IncidentId],
) -> Result<(), StoreError> {
    let children: Vec<i64> = children.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update incidents set folded_under = $1, stands_alone = false where id = any($2)",
        parent.0,
        &children
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets locked incidents stand for themselves; no rule folds them again.
pub async fn unfold(conn: &mut PgConnection, children: &[IncidentId]) -> Result<(), StoreError> {
    let children: Vec<i64> = children.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update incidents set folded_under = null, stands_alone = true where id = any($1)",
        &children
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The open incidents of a source that were opened since then and stand for themselves, at most `limit`, the first
/// ones first; without those that stand for others, and without `parent`.
pub async fn find_of_source(
    conn: &mut PgConnection,
    source: SourceId,
    since: DateTime<Utc>,
    parent: IncidentId,
    limit: i64,
) -> Result<Vec<IncidentId>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select i.id from incidents i
         where i.source_id = $1 and i.opened_at > $2 and i.id <> $3 and i.folded_under is null
           and i.state in ('triggered', 'acknowledged', 'mitigated')
           and not exists (select from incidents c where c.folded_under = i.id)
         order by i.id limit $4",
        source.0,
        since,
        parent.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(IncidentId)
    .collect())
}

/// A source whose incidents are to be folded now.
#[derive(Clone, Debug)]
pub struct Stormy {
    /// Which.
    pub source: SourceId,
    /// Its name.
    pub name: String,
    /// Its rule.
    pub rule: FoldRule,
    /// The incident that stands for the others: the one that does already, or the first of the storm.
    pub parent: IncidentId,
    /// Those that are to be folded under it, the first ones first.
    pub children: Vec<IncidentId>,
}

/// Claims sources that have opened more incidents lately than their rule lets stand, at most `limit`, with at most
/// `children` of each. Another replica that looks at the same time passes them by.
pub async fn claim_storms(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
    children: i64,
) -> Result<Vec<Stormy>, StoreError> {
    let claimed = sqlx::query!(
        r#"select s.id, s.name, s.fold_over as "over!", s.fold_within_ms as within_ms
           from sources s
           where s.fold_over is not null
             and (select count(*) from (
                      select from incidents i
                      where i.source_id = s.id and i.opened_at > $1::timestamptz - s.fold_within_ms * interval '1 millisecond'
                      limit s.fold_over + 1) n) > s.fold_over
           order by s.id limit $2 for no key update of s skip locked"#,
        now,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut stormy = Vec::new();
    for row in claimed {
        let rule = FoldRule {
            over: row.over.unsigned_abs(),
            within: Span::from_millis(row.within_ms.unsigned_abs()),
        };
        let since = now - rule.within.as_delta();
        let found = sqlx::query!(
            r#"with lately as (
                   select i.id, i.folded_under, i.stands_alone, i.state from incidents i
                   where i.source_id = $1 and i.opened_at > $2),
               parent as (
                   select coalesce(
                       (select p.id from lately l join incidents p on p.id = l.folded_under
                        where p.folded_under is null and p.state in ('triggered', 'acknowledged', 'mitigated')
                        order by p.id limit 1),
                       (select min(l.id) from lately l
                        where l.folded_under is null and not l.stands_alone
                          and l.state in ('triggered', 'acknowledged', 'mitigated'))) as id)
               select p.id as "parent!", l.id as "child!" from parent p
               join lately l on l.id <> p.id and l.folded_under is null and not l.stands_alone
                    and l.state in ('triggered', 'acknowledged', 'mitigated')
               where not exists (select from incidents c where c.folded_under = l.id)
               order by l.id limit $3"#,
            row.id,
            since,
            children
        )
        .fetch_all(&mut *conn)
        .await?;
        let Some(first) = found.first() else { continue };
        stormy.push(Stormy {
            source: SourceId(row.id),
            name: row.name,
            rule,
            parent: IncidentId(first.parent),
            children: found.iter().map(|row| IncidentId(row.child)).collect(),
        });
    }
    Ok(stormy)
}

/// How many incidents are folded under one, and how many of them are open.
pub async fn count_below(conn: &mut PgConnection, id: IncidentId) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query!(
        r#"select count(*) as "all!",
                  count(*) filter (where state in ('triggered', 'acknowledged', 'mitigated')) as "open!"
           from incidents where folded_under = $1"#,
        id.0
    )
    .fetch_one(conn)
    .await?;
    Ok((row.all, row.open))
}
