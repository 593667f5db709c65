//! What stands over every run, with two replicas on one database: circuits, the pause, freezes.

mod circuits;
mod pages;
mod pause;
mod starts;

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    domain::{
        freeze::AskedFreeze,
        id::FreezeId,
        operator::{Operator, Role},
    },
    execute::{control, people::PeopleError},
    store::{operators, pool::Pools},
};
use sqlx::PgConnection;

/// So many seconds after the time at which these tests begin.
fn at(seconds: i64) -> DateTime<Utc> {
    "2026-11-21T03:12:07Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

async fn person(conn: &mut PgConnection, name: &str, role: Role) -> Operator {
    let id = operators::insert(conn, name, "no password", role, at(0))
        .await
        .unwrap()
        .unwrap();
    let name = name.to_owned();
    Operator {
        teams: Vec::new(),
        via: muster::domain::operator::Via::Session,
        id,
        name,
        role,
    }
}

fn asked(title: &str, matchers: &str, ends_at: DateTime<Utc>) -> AskedFreeze {
    AskedFreeze {
        title: title.to_owned(),
        matchers: matchers.to_owned(),
        starts_at: None,
        ends_at: Some(ends_at),
    }
}

async fn freeze(
    pools: &Pools,
    asked: &AskedFreeze,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<FreezeId, PeopleError> {
    let mut tx = pools.web.begin().await.unwrap();
    let made = control::freeze(&mut tx, asked, reason, by, now).await?;
    tx.commit().await.unwrap();
    Ok(made)
}
