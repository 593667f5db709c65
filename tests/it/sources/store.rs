//! Rows of sources and of their tokens.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    domain::{
        digest::Digest,
        operator::Actor,
        source::{AskedSettings, FoldRule, SourceKind, SourceSettings, Storm},
        span::Span,
        target::SecretRef,
    },
    sources::{self as acts, SourceError},
    store::{
        audit,
        sources::{self, KnownSource},
        tokens::{self, NewToken},
    },
};
use serde_json::json;

use super::make;
use crate::support::database::Database;

fn at(seconds: i64) -> DateTime<Utc> {
    "2026-11-21T03:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

fn token(text: &str) -> NewToken<'static> {
    NewToken {
        hash: Digest::of_bytes(text.as_bytes()),
        name: "a test",
        prefix: "mst_abcdef",
    }
}

fn unusual() -> SourceSettings {
    SourceSettings {
        format: SourceKind::Generic,
        correlate_by: vec!["cluster".to_owned(), "größe".to_owned()],
        stale_after: None,
        heartbeat_within: Some(Span::from_secs(300)),
        storm: Storm {
            starts: 3,
            within: Span::from_secs(60),
        },
        storm_fold: Some(FoldRule {
            over: 20,
            within: Span::from_secs(90),
        }),
        sign_with: Some(SecretRef::File("/run/secrets/hook".to_owned())),
        mapping: Some(json!({"title": "a"})),
        topic_arn: None,
        alertmanager: None,
        client_name: Some("sender.internal".to_owned()),
    }
}

#[tokio::test]
async fn settings_come_back_as_they_were_written_and_only_from_the_revision_that_was_read() {
    let database = Database::new().await;
    let mut conn = database.pools.web.acquire().await.unwrap();
    let id = make(&database.pools, "team").await;
    let found = sources::find_by_name(&mut conn, "team").await.unwrap().unwrap();
    assert_eq!((found.settings, found.revision), (SourceSettings::default(), 1));

    assert!(sources::update(&mut conn, id, 1, &unusual()).await.unwrap());
    assert!(
        !sources::update(&mut conn, id, 1, &SourceSettings::default())
            .await
            .unwrap()
    );
    let found = sources::find_by_name(&mut conn, "team").await.unwrap().unwrap();
    assert_eq!((&found.settings, found.revision), (&unusual(), 2));
    assert_eq!(found.heartbeat_within, Some(Span::from_secs(300)));
    assert_eq!(sources::list(&mut conn).await.unwrap(), [found]);

    // A declaration at start that says nothing of a heartbeat leaves it alone.
    sources::upsert(&mut conn, "team", None, at(0)).await.unwrap();
    sources::upsert(&mut conn, "team", Some(Span::from_secs(300)), at(0))
        .await
        .unwrap();
    let same = sources::find_by_name(&mut conn, "team").await.unwrap().unwrap();
    assert_eq!((same.settings, same.revision), (unusual(), 2));
    sources::upsert(&mut conn, "team", Some(Span::from_secs(60)), at(0))
        .await
        .unwrap();
    let other = sources::find_by_name(&mut conn, "team").await.unwrap().unwrap();
    assert_eq!(
        (other.heartbeat_within, other.revision),
        (Some(Span::from_secs(60)), 3)
    );
}

#[tokio::test]
async fn the_database_refuses_settings_that_no_rule_allows() {
    let database = Database::new().await;
    make(&database.pools, "team").await;
    for wrong in [
        "format = 'nagios'",
        "correlate_by = '{a,null}'",
        "correlate_by = '{a,b,c,d,e,f,g,h,i,j,k}'",
        "stale_after_ms = 59999",
        "storm_starts = 0",
        "storm_within_ms = 999",
        "sign_with = 'env:HOOK'",
        "format = 'grafana', sign_with = 'hunter2'",
        "mapping = '{}'",
        "client_name = ''",
        "client_name = repeat('x', 254)",
        "format = 'generic', mapping = '[]'",
    ] {
        let statement = format!("update sources set {wrong}");
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&database.pools.web)
            .await;
        let code = refused.unwrap_err().into_database_error().unwrap();
        assert!(code.is_check_violation(), "{wrong}: {code}");
    }
}

#[tokio::test]
async fn of_tokens_issued_at_once_two_win_and_a_revoked_one_makes_room() {
    let database = Database::new().await;
    let id = make(&database.pools, "team").await;
    let issuing: Vec<_> = (0..8)
        .map(|n| {
            let pool = database.pools.web.clone();
            tokio::spawn(async move {
                let mut tx = pool.begin().await.unwrap();
                let issued =
                    acts::issue(&mut tx, "team", &format!("sender {n}"), &Actor::Terminal, at(0)).await;
                tx.commit().await.unwrap();
                issued
            })
        })
        .collect();
    let mut won = Vec::new();
    for issued in issuing {
        match issued.await.unwrap() {
            Ok(issued) => won.push(issued),
            Err(SourceError::Moved { message }) => assert!(message.contains("revoke one"), "{message}"),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(won.len(), 2);
    let mut conn = database.pools.web.acquire().await.unwrap();
    let live = tokens::list(&mut conn, id).await.unwrap();
    assert_eq!(live.len(), 2);
    for issued in &won {
        let known = live.iter().find(|token| token.id == issued.id).unwrap();
        assert!(
            issued.token.starts_with(&known.prefix) && known.prefix.len() == 10,
            "{known:?}"
        );
        let hash = Digest::of_bytes(issued.token.as_bytes());
        assert!(
            sources::find_by_token(&mut conn, "team", hash)
                .await
                .unwrap()
                .is_some()
        );
    }
    // Without the lock the index would still hold.
    let third = "insert into source_tokens (source_id, token_hash, slot, created_at)
                 values (1, sha256('x'), $1, now())";
    for slot in [1, 2, 3, 0] {
        assert!(
            sqlx::query(third).bind(slot).execute(&mut *conn).await.is_err(),
            "{slot}"
        );
    }

    let gone = won[0].id;
    acts::revoke(&mut conn, "team", gone, "moved house", &Actor::Terminal, at(1))
        .await
        .unwrap();
    let again = acts::revoke(&mut conn, "team", gone, "moved house", &Actor::Terminal, at(1)).await;
    assert!(matches!(again, Err(SourceError::Moved { .. })), "{again:?}");
    let hash = Digest::of_bytes(won[0].token.as_bytes());
    assert_eq!(
        sources::find_by_token(&mut conn, "team", hash).await.unwrap(),
        None
    );
    acts::issue(&mut conn, "team", "the next", &Actor::Terminal, at(1))
        .await
        .unwrap();
    // A token belongs to its source.
    make(&database.pools, "other").await;
    let foreign = acts::revoke(&mut conn, "other", won[1].id, "x", &Actor::Terminal, at(1)).await;
    assert!(matches!(foreign, Err(SourceError::NotFound(_))), "{foreign:?}");
}

#[tokio::test]
async fn a_token_issued_while_another_one_is_gets_the_place_beside_it() {
    const WAITING: &str = "select count(*) from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock'";
    let database = Database::new().await;
    let id = make(&database.pools, "team").await;
    let mut first = database.pools.web.begin().await.unwrap();
    acts::issue(&mut first, "team", "one", &Actor::Terminal, at(0))
        .await
        .unwrap();
    let pool = database.pools.background.clone();
    let second = tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        let issued = acts::issue(&mut tx, "team", "two", &Actor::Terminal, at(0)).await;
        tx.commit().await.unwrap();
        issued
    });
    let waits = async { while database.count(WAITING).await == 0 {} };
    let waits = tokio::time::timeout(Duration::from_secs(20), waits).await;
    waits.expect("the second waits for the first");
    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
    let mut conn = database.pools.web.acquire().await.unwrap();
    assert_eq!(tokens::list(&mut conn, id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_declared_token_is_taken_once_and_gives_way_to_two_others() {
    let database = Database::new().await;
    let id = make(&database.pools, "team").await;
    let mut conn = database.pools.web.acquire().await.unwrap();
    let hash = |text: &str| Digest::of_bytes(text.as_bytes());
    for _ in 0..2 {
        assert!(
            sources::insert_token(&mut conn, id, hash("a"), at(0))
                .await
                .unwrap()
        );
    }
    assert!(
        sources::insert_token(&mut conn, id, hash("b"), at(0))
            .await
            .unwrap()
    );
    assert!(
        !sources::insert_token(&mut conn, id, hash("c"), at(0))
            .await
            .unwrap()
    );
    let first = tokens::list(&mut conn, id).await.unwrap().remove(0);
    tokens::revoke(&mut conn, id, first.id, at(1))
        .await
        .unwrap()
        .unwrap();
    assert!(
        sources::insert_token(&mut conn, id, hash("a"), at(2))
            .await
            .unwrap()
    );
    let opened = sources::find_by_token(&mut conn, "team", hash("a"))
        .await
        .unwrap();
    assert_eq!(opened, None, "what a person revoked stays revoked");
}

#[tokio::test]
async fn tokens_from_before_there_was_a_limit_stay_live_and_leave_no_room() {
    let database = Database::new().await;
    let id = make(&database.pools, "team").await;
    let mut conn = database.pools.web.acquire().await.unwrap();
    let old = "insert into source_tokens (source_id, token_hash, slot, carried_over, created_at)
               select $1, sha256(n::text::bytea), n, n > 2, now() from generate_series(1, 3) n returning id";
    let ids: Vec<i64> = sqlx::query_scalar(old)
        .bind(id.0)
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    let third = Digest::of_bytes(b"3");
    assert!(
        sources::find_by_token(&mut conn, "team", third)
            .await
            .unwrap()
            .is_some()
    );
    for id_of in &ids[..2] {
        assert_eq!(
            tokens::insert(&mut conn, id, token("new"), at(0)).await.unwrap(),
            None
        );
        tokens::revoke(&mut conn, id, *id_of, at(1))
            .await
            .unwrap()
            .unwrap();
    }
    assert!(
        tokens::insert(&mut conn, id, token("new"), at(2))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        tokens::insert(&mut conn, id, token("newer"), at(2))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_snapshot_knows_every_open_source_and_its_live_tokens() {
    let database = Database::new().await;
    let mut conn = database.pools.web.acquire().await.unwrap();
    assert_eq!(sources::snapshot(&mut conn).await.unwrap(), []);
    let (a, _, c) = (
        make(&database.pools, "a").await,
        make(&database.pools, "b").await,
        make(&database.pools, "c").await,
    );
    sources::update(&mut conn, a, 1, &unusual()).await.unwrap();
    let one = tokens::insert(&mut conn, a, token("one"), at(0))
        .await
        .unwrap()
        .unwrap();
    tokens::insert(&mut conn, a, token("two"), at(0))
        .await
        .unwrap()
        .unwrap();
    tokens::insert(&mut conn, c, token("three"), at(0))
        .await
        .unwrap()
        .unwrap();
    let known = async |conn: &mut sqlx::PgConnection| -> Vec<(String, Vec<Digest>)> {
        let found: Vec<KnownSource> = sources::snapshot(conn).await.unwrap();
        let found = found.into_iter();
        found
            .map(|known| (known.source.name, known.token_hashes))
            .collect()
    };
    let hashes = |texts: &[&str]| -> Vec<Digest> {
        texts
            .iter()
            .map(|text| Digest::of_bytes(text.as_bytes()))
            .collect()
    };
    assert_eq!(
        known(&mut conn).await,
        [
            ("a".to_owned(), hashes(&["one", "two"])),
            ("b".to_owned(), vec![]),
            ("c".to_owned(), hashes(&["three"])),
        ]
    );
    assert_eq!(
        sources::snapshot(&mut conn).await.unwrap()[0].source.settings,
        unusual()
    );
    tokens::revoke(&mut conn, a, one, at(1)).await.unwrap().unwrap();
    acts::disable(&mut conn, "c", "noise", &Actor::Terminal, at(1))
        .await
        .unwrap();
    assert_eq!(
        known(&mut conn).await,
        [("a".to_owned(), hashes(&["two"])), ("b".to_owned(), vec![])]
    );
    let three = Digest::of_bytes(b"three");
    assert_eq!(sources::find_by_token(&mut conn, "c", three).await.unwrap(), None);
    acts::enable(&mut conn, "c", "quiet now", &Actor::Terminal, at(2))
        .await
        .unwrap();
    assert!(
        sources::find_by_token(&mut conn, "c", three)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn use_of_a_token_is_noted_once_a_minute_for_many_at_once() {
    let database = Database::new().await;
    let mut conn = database.pools.web.acquire().await.unwrap();
    let id = make(&database.pools, "team").await;
    for text in ["one", "two"] {
        tokens::insert(&mut conn, id, token(text), at(0))
            .await
            .unwrap()
            .unwrap();
    }
    let [one, two, nobody] = ["one", "two", "nobody"].map(|text| Digest::of_bytes(text.as_bytes()));
    let used = async |conn: &mut sqlx::PgConnection| -> Vec<Option<DateTime<Utc>>> {
        let live = tokens::list(conn, id).await.unwrap();
        live.into_iter().map(|token| token.last_used_at).collect()
    };
    sources::note_used(&mut conn, &[]).await.unwrap();
    assert_eq!(used(&mut conn).await, [None, None]);
    // Of one token that was used twice the later use counts.
    sources::note_used(&mut conn, &[(one, at(5)), (one, at(9)), (nobody, at(9))])
        .await
        .unwrap();
    assert_eq!(used(&mut conn).await, [Some(at(9)), None]);
    sources::note_used(&mut conn, &[(one, at(68)), (two, at(10))])
        .await
        .unwrap();
    assert_eq!(used(&mut conn).await, [Some(at(9)), Some(at(10))]);
    sources::note_used(&mut conn, &[(one, at(69)), (two, at(3))])
        .await
        .unwrap();
    assert_eq!(used(&mut conn).await, [Some(at(69)), Some(at(10))]);

    // A row that somebody else is writing is passed over, not waited for.
    let mut other = database.pools.background.begin().await.unwrap();
    sources::note_used(&mut other, &[(one, at(200))]).await.unwrap();
    sources::note_used(&mut conn, &[(one, at(200)), (two, at(200))])
        .await
        .unwrap();
    assert_eq!(used(&mut conn).await, [Some(at(69)), Some(at(200))]);
    other.commit().await.unwrap();
    assert_eq!(used(&mut conn).await, [Some(at(200)), Some(at(200))]);
}

#[tokio::test]
async fn every_act_is_written_down_with_what_it_changed() {
    let database = Database::new().await;
    let mut conn = database.pools.web.acquire().await.unwrap();
    make(&database.pools, "team").await;
    let asked = AskedSettings {
        correlate_by: vec!["cluster".to_owned()],
        ..AskedSettings::default()
    };
    acts::change(
        &mut conn,
        "team",
        1,
        &asked,
        "one cluster, one incident",
        &Actor::Terminal,
        at(1),
    )
    .await
    .unwrap();
    // Saved as it was: nothing happened.
    acts::change(&mut conn, "team", 2, &asked, "again", &Actor::Terminal, at(1))
        .await
        .unwrap();
    let stale = acts::change(&mut conn, "team", 1, &asked, "late", &Actor::Terminal, at(1)).await;
    assert!(matches!(stale, Err(SourceError::Moved { .. })), "{stale:?}");
    let silent = acts::disable(&mut conn, "team", " \n", &Actor::Terminal, at(1)).await;
    assert!(matches!(silent, Err(SourceError::Faulty(_))), "{silent:?}");
    let done = audit::list_standing(&mut conn, i64::MAX, 10).await.unwrap();
    let done: Vec<_> = done
        .iter()
        .map(|row| &row.act)
        .map(|act| format!("{} {} {}: {}", act.actor, act.kind, act.subject(), act.reason))
        .collect();
    assert_eq!(
        done,
        [
            "the command line source_changed team: correlate_by none → cluster: one cluster, one incident",
            "the command line source_made team: Alertmanager",
        ]
    );
}
