//! Whoever changes the record is seen: in the middle, at the end, whole incidents, and the marks themselves.

use std::time::Duration;

use muster::domain::operator::Role;

use super::{act, alter, note, tamper, verify, verify_on, world};
use crate::support::{database::Database, site::Site};

async fn refused(database: &Database, statement: &'static str) {
    let refused = sqlx::query(statement).execute(&database.pools.web).await;
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("append-only"), "{statement}: {why}");
}

#[tokio::test]
async fn nothing_is_changed_or_taken_away_by_mistake() {
    let (site, ..) = world().await;
    let database = &site.intake.database;
    for statement in [
        "update audit set reason = 'x'",
        "delete from audit",
        "truncate audit cascade",
        "update audit_anchors set seq = 1",
        "delete from audit_anchors",
        "truncate audit_anchors",
    ] {
        refused(database, statement).await;
    }
    assert_eq!(verify(database).await, None);
}

/// What is done to the record, and what is said of it then.
const CASES: &[(&str, &[&str], &str)] = &[
    (
        "an act is altered",
        &["update audit set reason = 'nothing' where seq = 1"],
        "the audit is broken at #1 (21 Nov 2026 03:00:00 UTC): its hash does not follow",
    ),
    (
        "who did it is altered",
        &["update audit set actor = jsonb_set(actor, '{name}', '\"ben\"') where seq = 2"],
        "the audit is broken at #2 (21 Nov 2026 03:00:00 UTC): its hash does not follow",
    ),
    (
        "an act is made unreadable",
        &["update audit set actor = '{\"by\": \"nobody\"}' where seq = 2"],
        "the audit is broken at #2: its column actor holds",
    ),
    (
        "an act is taken out",
        &["delete from audit where seq = 2"],
        "the audit is broken at #3 (21 Nov 2026 03:00:00 UTC): #2 should stand here",
    ),
    (
        "the last act is taken away",
        &["delete from audit where seq = 3"],
        "the audit is broken at #3: rows up to #3 are missing at the end",
    ),
    (
        "the last act is taken away and the counter put back",
        &["delete from audit where seq = 3", "update audit_head set next_seq = 3"],
        "the audit is broken at #3: the head names another end",
    ),
    (
        "two acts change places",
        &[
            "update audit set seq = 999 where seq = 1",
            "update audit set seq = 1 where seq = 2",
            "update audit set seq = 2 where seq = 999",
        ],
        "the audit is broken at #1 (21 Nov 2026 03:00:00 UTC): its hash does not follow",
    ),
    (
        "an event is altered",
        &["update events set body = jsonb_set(body, '{text}', '\"no\"') where incident_id = 2 and kind = 'note'"],
        "the timeline of INC-2 is broken at #",
    ),
    (
        "who caused an event is altered",
        &["update events set actor = '{\"by\": \"automation\"}' where incident_id = 1 and kind = 'note'"],
        "its hash does not follow from it and the event before",
    ),
    (
        "an event is taken out",
        &["delete from events where incident_id = 1 and seq = 2"],
        "the timeline of INC-1 is broken at #3 (21 Nov 2026 03:00:00 UTC): #2 should stand here",
    ),
    (
        "two events change places",
        &[
            "update events set seq = 1000 where incident_id = 1 and seq = 1",
            "update events set seq = 1 where incident_id = 1 and seq = 2",
            "update events set seq = 2 where incident_id = 1 and seq = 1000",
        ],
        "the timeline of INC-1 is broken at #1",
    ),
    (
        "the end of a timeline is taken away",
        &["delete from events where incident_id = 1 and kind = 'note'"],
        "are missing at the end",
    ),
    (
        "the end of a timeline is taken away, and its incident put back to before",
        &[
            "delete from events where incident_id = 2 and kind = 'note'",
            "update incidents i set next_seq = e.seq + 1, last_hash = e.hash
             from (select seq, hash from events where incident_id = 2 order by seq desc limit 1) e where i.id = 2",
        ],
        "there is no such event any more, and there was when it was marked at 21 Nov 2026 03:00:00 UTC",
    ),
    (
        "the rows of an incident are taken away, but for its events",
        &["delete from incidents where id = 2"],
        "its incident is gone",
    ),
    (
        "a whole incident is taken away",
        &["delete from events where incident_id = 1", "delete from incidents where id = 1"],
        "the timeline of INC-1 is broken at #",
    ),
    (
        "the last incident is taken away",
        &["delete from events where incident_id = 2", "delete from incidents where id = 2"],
        "the timeline of INC-2 is broken at #",
    ),
    (
        "all events of an incident are taken away",
        &["delete from events where incident_id = 1"],
        "the timeline of INC-1 is broken at #1: events up to #",
    ),
    (
        "a mark is edited",
        &["update audit_anchors set hash = decode(repeat('11', 32), 'hex') where incident_id = 1"],
        "the marks that were made with it are not those it names",
    ),
    (
        "a mark is taken away",
        &["delete from audit_anchors where incident_id = 2"],
        "the audit is broken at #3 (21 Nov 2026 03:00:00 UTC): the marks",
    ),
];

#[tokio::test]
async fn every_change_of_the_record_is_seen() {
    let (site, ..) = world().await;
    let pool = &site.intake.database.pools.web;
    for (what, statements, expected) in CASES {
        let mut tx = pool.begin().await.unwrap();
        assert_eq!(verify_on(&mut tx).await, None, "{what}");
        alter(&mut tx, statements).await;
        let broken = verify_on(&mut tx).await;
        let said = broken.map_or_else(|| "nothing".to_owned(), |broken| broken.to_string());
        assert!(said.contains(expected), "{what}: {said}");
    }
}

#[tokio::test]
async fn a_timeline_that_was_written_anew_is_seen_by_its_mark() {
    let (site, ana, _) = world().await;
    let database = &site.intake.database;
    tamper(
        database,
        &[
            "delete from events where incident_id = 1 and kind = 'note'",
            "update incidents i set next_seq = e.seq + 1, last_hash = e.hash
             from (select seq, hash from events where incident_id = 1 order by seq desc limit 1) e where i.id = 1",
        ],
    )
    .await;
    site.clock().advance(Duration::from_secs(5));
    // A story that hangs together in itself, and longer than the one before.
    note(&site, 1, &ana).await;
    note(&site, 1, &ana).await;
    let said = verify(database).await.unwrap().to_string();
    assert!(
        said.contains("another event stands here than the one that was marked"),
        "{said}"
    );
}

#[tokio::test]
async fn only_timelines_that_moved_are_marked_and_none_is_forgotten() {
    let (site, ana, _) = world().await;
    let database = &site.intake.database;
    let marks = async || database.count("select count(*) from audit_anchors").await;
    assert_eq!(marks().await, 2);
    let acts = async || database.count("select count(*) from audit").await;
    assert_eq!(acts().await, 3);
    site.clock().advance(Duration::from_secs(60));
    site.intake.upkeep.keep_audit().await.unwrap();
    assert_eq!((marks().await, acts().await), (2, 3), "nothing moved");
    note(&site, 2, &ana).await;
    note(&site, 2, &ana).await;
    site.clock().advance(Duration::from_secs(60));
    site.intake.upkeep.keep_audit().await.unwrap();
    assert_eq!((marks().await, acts().await), (3, 4));
    let said: String = sqlx::query_scalar("select after ->> 'events' from audit where seq = 4")
        .fetch_one(&database.pools.web)
        .await
        .unwrap();
    assert_eq!(said, "2");
    // What a clock that was slow has hidden from the look at what is new is found by the walk over everything.
    note(&site, 1, &ana).await;
    site.clock().advance(Duration::from_secs(3600));
    sqlx::query("update audit_anchoring set marked_to = now() + interval '1 year'")
        .execute(&database.pools.web)
        .await
        .unwrap();
    site.intake.upkeep.keep_audit().await.unwrap();
    assert_eq!(marks().await, 4);
    assert_eq!(verify(database).await, None);
}

#[tokio::test]
async fn the_walk_goes_on_over_batches_and_the_ends_of_incidents() {
    let (site, ana, _) = world().await;
    let database = &site.intake.database;
    for _ in 0..40 {
        act(&site, &ana, "lb", "a test").await;
    }
    // As many events as two batches and a half, in one timeline between others.
    let now = site.clock().now();
    let events: Vec<_> = (0..2500)
        .map(|n| {
            let text = format!("note {n}");
            let fact = muster::domain::event::IncidentFact::Note { text, tag: None };
            muster::domain::event::NewEvent::by(ana.actor(), fact, now)
        })
        .collect();
    let incident = muster::domain::id::IncidentId(1);
    muster::store::events::append(&mut *site.conn().await, incident, &events, now)
        .await
        .unwrap();
    site.intake.upkeep.keep_audit().await.unwrap();
    assert_eq!(verify(database).await, None);
    tamper(
        database,
        &["update events set body = jsonb_set(body, '{text}', '\"no\"') where incident_id = 1 and seq = 2001"],
    )
    .await;
    let broken = verify(database).await.unwrap();
    assert_eq!((broken.incident, broken.seq), (Some(incident), 2001));
}

#[tokio::test]
async fn what_a_replica_of_the_release_before_writes_joins_the_chain() {
    let site = Site::new().await;
    let name = "ana \"größe\" \\ \u{1}\u{7f}\n\u{2028}";
    let (ana, _) = site.person(name, Role::Approver).await;
    let database = &site.intake.database;
    for (operator, act, subject, reason) in [
        (
            Some(ana.id.0),
            "paused",
            "",
            "quote \" and \\ and \u{8}\u{c}\n\r\t\u{1f}",
        ),
        (None, "source_token_issued", "prom, mst_abcdef…", "<b>"),
        (Some(ana.id.0), "freeze_made", "Release 🚢", "é"),
    ] {
        sqlx::query("insert into standing_acts (at, operator_id, act, subject, reason) values (now(), $1, $2, $3, $4)")
            .bind(operator)
            .bind(act)
            .bind(subject)
            .bind(reason)
            .execute(&database.pools.web)
            .await
            .unwrap();
    }
    act(&site, &ana, "lb", "a new one").await;
    assert_eq!(verify(database).await, None);
    let rows = muster::store::audit::list_standing(&mut *site.conn().await, i64::MAX, 10)
        .await
        .unwrap();
    let who: Vec<String> = rows.iter().map(|row| row.act.actor.to_string()).collect();
    assert_eq!(who, [name, name, "the command line", name]);
}

#[tokio::test]
async fn two_who_act_at_once_stand_one_after_the_other() {
    let (site, ana, _) = world().await;
    let acts: Vec<_> = (0..20)
        .map(|n| act(&site, &ana, "lb", if n % 2 == 0 { "a" } else { "b" }))
        .collect();
    futures_util::future::join_all(acts).await;
    let database = &site.intake.database;
    assert_eq!(database.count("select count(*) from audit").await, 23);
    assert_eq!(database.count("select max(seq) from audit").await, 23);
    assert_eq!(verify(database).await, None);
}
