//! Every act writes exactly one row with what it changed, in its own transaction.

use chrono::{DateTime, Utc};
use muster::{
    domain::{
        breaker::BreakerState,
        freeze::AskedFreeze,
        operator::{Actor, Operator, Role, Via},
        routing::AskedRule,
        source::AskedSettings,
    },
    execute::{control, routing},
    sources,
    store::breakers,
};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::verify;
use crate::support::site::Site;

async fn count(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select count(*) from audit")
        .fetch_one(conn)
        .await
        .unwrap()
}

/// Does something twice, the first time in vain; the one row it leaves.
async fn once(site: &Site, does: impl AsyncFn(&mut PgConnection)) -> Value {
    let pool = &site.intake.database.pools.web;
    let before = count(&mut *site.conn().await).await;
    let mut tx = pool.begin().await.unwrap();
    does(&mut tx).await;
    assert_eq!(count(&mut tx).await, before + 1);
    tx.rollback().await.unwrap();
    assert_eq!(
        count(&mut *site.conn().await).await,
        before,
        "undone with what it told of"
    );
    let mut tx = pool.begin().await.unwrap();
    does(&mut tx).await;
    tx.commit().await.unwrap();
    assert_eq!(count(&mut *site.conn().await).await, before + 1);
    sqlx::query_scalar(
        "select jsonb_build_array(kind, object_kind, object_id, before, after, reason, actor -> 'via' ->> 'name')
         from audit order by seq desc limit 1",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn each_act_leaves_one_row_with_before_and_after() {
    let site = Site::new().await;
    let (ana, _) = site.person("ana", Role::Admin).await;
    let ana = Operator {
        via: Via::Token {
            id: 7,
            name: "ci".to_owned(),
            scopes: vec!["oversee".to_owned()],
        },
        ..ana
    };
    let (me, now) = (&ana, site.clock().now());
    let later: DateTime<Utc> = "2026-11-21T05:00:00Z".parse().unwrap();

    let row = once(&site, async |conn| {
        control::pause(conn, "odd", me, now).await.unwrap()
    })
    .await;
    assert_eq!(
        row,
        json!(["paused", "automation", "", {"state": "on"}, {"state": "paused"}, "odd", "ci"])
    );
    let row = once(&site, async |conn| {
        control::resume(conn, "fine", me, now).await.unwrap()
    })
    .await;
    let stood = json!({"state": "paused", "since": "2026-11-21T03:00:00Z", "by": "ana", "reason": "odd"});
    assert_eq!(
        row,
        json!(["resumed", "automation", "", stood, {"state": "on"}, "fine", "ci"])
    );

    let open = BreakerState::Open {
        since: now,
        reason: "timed out".to_owned(),
        retry_at: later,
    };
    let opened = breakers::swap(&mut *site.conn().await, "lb", None, &open, now).await;
    assert!(opened.unwrap());
    let close = async |conn: &mut PgConnection| {
        control::close_breaker(conn, "lb", "works", me, now)
            .await
            .unwrap()
    };
    let row = once(&site, close).await;
    let stood = json!({"state": "open", "since": "2026-11-21T03:00:00Z", "failure": "timed out"});
    assert_eq!(
        row,
        json!(["circuit_closed", "target", "lb", stood, {"state": "closed"}, "works", "ci"])
    );

    let asked = AskedFreeze {
        title: "Release".to_owned(),
        matchers: "env=prod".to_owned(),
        starts_at: None,
        ends_at: Some(later),
    };
    let freeze = async |conn: &mut PgConnection| {
        control::freeze(conn, &asked, "week", me, now)
            .await
            .map(drop)
            .unwrap()
    };
    let row = once(&site, freeze).await;
    let made = json!({
        "title": "Release", "matchers": "env=\"prod\"", "starts_at": "2026-11-21T03:00:00Z",
        "ends_at": "2026-11-21T05:00:00Z",
    });
    assert_eq!(
        (&row[0], &row[3], &row[4]),
        (&json!("freeze_made"), &json!({}), &made)
    );
    let id = muster::domain::id::FreezeId(row[2].as_str().unwrap().parse().unwrap());
    let row = once(&site, async |conn| {
        control::end_freeze(conn, id, "over", me, now).await.unwrap()
    })
    .await;
    assert_eq!(
        (&row[0], &row[3], &row[4]),
        (
            &json!("freeze_ended"),
            &json!({"ends_at": "2026-11-21T05:00:00Z"}),
            &json!({"ends_at": "2026-11-21T03:00:00Z"})
        )
    );

    let asked = AskedRule {
        kind: "threshold".to_owned(),
        title: "Not for one".to_owned(),
        count: Some(3),
        within: "5m".to_owned(),
        ..AskedRule::default()
    };
    let make = async |conn: &mut PgConnection| {
        routing::make(conn, &asked, "prom", "noise", me, now)
            .await
            .map(drop)
            .unwrap();
    };
    let row = once(&site, make).await;
    assert_eq!(
        (&row[0], &row[4]["source"]),
        (&json!("routing_rule_made"), &json!("prom"))
    );
    let terms = &row[4]["terms"];
    assert_eq!(terms, "open only after 3 alerts of a group in 5m");
    let id = muster::domain::id::RoutingRuleId(row[2].as_str().unwrap().parse().unwrap());
    let end = async |conn: &mut PgConnection| routing::end(conn, id, "quiet", me, now).await.unwrap();
    let row = once(&site, end).await;
    assert_eq!((&row[0], &row[3]["terms"]), (&json!("routing_rule_ended"), terms));
    assert_eq!(row[4], json!({"ended_at": "2026-11-21T03:00:00Z"}));

    assert_eq!(verify(&site.intake.database).await, None);
}

#[tokio::test]
async fn acts_on_sources_name_what_changed_and_no_secret() {
    let site = Site::new().await;
    let (ana, _) = site.person("ana", Role::Admin).await;
    let (me, now) = (&ana.actor(), site.clock().now());
    let asked = AskedSettings::default();
    let make = async |conn: &mut PgConnection| {
        sources::make(conn, "team", &asked, &Actor::Terminal, now)
            .await
            .map(drop)
            .unwrap();
    };
    let row = once(&site, make).await;
    assert_eq!(
        (&row[0], &row[2], &row[3]),
        (&json!("source_made"), &json!("team"), &json!({}))
    );
    assert_eq!(
        (&row[4]["format"], &row[4]["storm"]),
        (&json!("alertmanager"), &json!("20 in 10m"))
    );

    let new = AskedSettings {
        stale_after: "1h".to_owned(),
        ..AskedSettings::default()
    };
    let change = async |conn: &mut PgConnection| {
        sources::change(conn, "team", 1, &new, "slow", me, now)
            .await
            .unwrap();
    };
    let row = once(&site, change).await;
    assert_eq!(
        row,
        json!(["source_changed", "source", "team", {"stale_after": "8h10m"}, {"stale_after": "1h"}, "slow", null])
    );
    for (kind, from, to) in [
        ("source_disabled", "open", "disabled"),
        ("source_enabled", "disabled", "open"),
    ] {
        let turn = async |conn: &mut PgConnection| match kind {
            "source_disabled" => sources::disable(conn, "team", "noise", me, now).await.unwrap(),
            _ => sources::enable(conn, "team", "calm", me, now).await.unwrap(),
        };
        let row = once(&site, turn).await;
        assert_eq!(
            (&row[0], &row[3], &row[4]),
            (&json!(kind), &json!({"state": from}), &json!({"state": to}))
        );
    }
    let token = std::cell::RefCell::new(String::new());
    let issue = async |conn: &mut PgConnection| {
        let issued = sources::issue(conn, "team", "eu", me, now).await.unwrap();
        token.replace(issued.token);
    };
    let row = once(&site, issue).await;
    let prefix = token.borrow()[..10].to_owned();
    assert_eq!(
        (&row[0], &row[4]),
        (
            &json!("source_token_issued"),
            &json!({"name": "eu", "prefix": prefix})
        )
    );
    let id: i64 = sqlx::query_scalar("select max(id) from source_tokens")
        .fetch_one(&mut *site.conn().await)
        .await
        .unwrap();
    let revoke =
        async |conn: &mut PgConnection| sources::revoke(conn, "team", id, "lost", me, now).await.unwrap();
    let row = once(&site, revoke).await;
    assert_eq!(
        (&row[0], &row[3]),
        (
            &json!("source_token_revoked"),
            &json!({"name": "eu", "prefix": prefix})
        )
    );

    let all: String = sqlx::query_scalar("select string_agg(a::text, ' ') from audit a")
        .fetch_one(&mut *site.conn().await)
        .await
        .unwrap();
    assert!(!all.contains(&token.borrow()[10..]), "the token is not kept");
    assert_eq!(verify(&site.intake.database).await, None);
}
