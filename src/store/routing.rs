//! Rules about what new episodes open: made, listed and ended by people, asked by correlation.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    freeze::line,
    id::{OperatorId, RoutingRuleId, SourceId},
    matcher::Matcher,
    routing::{NewRule, RoutingRule, Rules, Terms},
};

/// Rules that stand at once: all of them are read when a new episode comes.
pub const RULES_MAX: i64 = 100;

struct Row {
    id: i64,
    title: String,
    source_id: Option<i64>,
    source: Option<String>,
    matchers: String,
    place: i32,
    terms: Value,
    reason: String,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for RoutingRule {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let matchers = match row.matchers.as_str() {
            "" => Vec::new(),
            line => Matcher::parse_list(line)
                .map_err(|error| StoreError::corrupt("routing_rules", "matchers", error))?,
        };
        let terms: Terms = serde_json::from_value(row.terms)
            .map_err(|error| StoreError::corrupt("routing_rules", "terms", error))?;
        Ok(Self {
            id: RoutingRuleId(row.id),
            title: row.title,
            source: row.source_id.map(SourceId),
            source_name: row.source,
            matchers,
            place: row.place,
            terms,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
        })
    }
}

/// The rules that stand, in the order in which they are asked. Never more than [`RULES_MAX`].
pub async fn list(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Rules, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select r.id, r.title, r.source_id, s.name as "source?", r.matchers, r.place, r.terms, r.reason,
                  o.name as created_by, r.created_at
           from routing_rules r join operators o on o.id = r.created_by left join sources s on s.id = r.source_id
           where r.ended_at is null and (r.ends_at is null or r.ends_at > $1) order by r.id limit $2"#,
        now,
        RULES_MAX
    )
    .fetch_all(conn)
    .await?;
    let rules: Result<Vec<RoutingRule>, StoreError> = rows.into_iter().map(RoutingRule::try_from).collect();
    Ok(Rules::new(rules?))
}

/// Keeps a rule; `None` when there are [`RULES_MAX`] already. Holds off others that make one until the caller's
/// transaction ends, so that the count is right.
pub async fn insert(
    conn: &mut PgConnection,
    rule: &NewRule,
    source: Option<SourceId>,
    reason: &str,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<Option<RoutingRuleId>, StoreError> {
    sqlx::query!("lock table routing_rules in share row exclusive mode")
        .execute(&mut *conn)
        .await?;
    let terms = serde_json::to_value(&rule.terms)
        .map_err(|error| StoreError::corrupt("routing_rules", "terms", error))?;
    let ends_at = match &rule.terms {
        Terms::Maintenance { schedule } => schedule.ends_at(),
        _ => None,
    };
    let id = sqlx::query_scalar!(
        "insert into routing_rules (title, source_id, matchers, place, kind, terms, ends_at, reason, created_at,
                                    created_by)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
         where (select count(*) from routing_rules where ended_at is null and (ends_at is null or ends_at > $9)) < $11
         returning id",
        rule.title,
        source.map(|source| source.0),
        line(&rule.matchers),
        rule.place,
        rule.terms.kind(),
        terms,
        ends_at,
        reason,
        now,
        by.0,
        RULES_MAX
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(RoutingRuleId))
}

/// Ends a rule; returns its title, or `None` when it is over or there is none. What it holds is due at once.
pub async fn end(
    conn: &mut PgConnection,
    id: RoutingRuleId,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let title = sqlx::query_scalar!(
        "update routing_rules set ended_at = $3, ended_by = $2
         where id = $1 and ended_at is null and (ends_at is null or ends_at > $3) returning title",
        id.0,
        by.0,
        now
    )
    .fetch_optional(&mut *conn)
    .await?;
    if title.is_some() {
        sqlx::query!(
            "update held set due = $2 where rule_id = $1 and due > $2",
            id.0,
            now
        )
        .execute(conn)
        .await?;
    }
    Ok(title)
}

/// Whether there was ever a rule of that number.
pub async fn exists(conn: &mut PgConnection, id: RoutingRuleId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from routing_rules where id = $1) as "exists!""#,
        id.0
    )
    .fetch_one(conn)
    .await?)
}
