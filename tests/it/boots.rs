//! Starts of Muster: how long nobody was there, who was beside whom, and who is told of it.

use std::time::Duration;

use chrono::TimeDelta;
use muster::{
    domain::{
        boot::Company,
        event::first_broken_link,
        id::IncidentId,
        operator::Role,
        sign_in::{Arrival, Way},
    },
    store::{boots, events, replicas},
    upkeep,
    web::session::{self, SessionLimits},
};
use serde_json::json;
use sqlx::Connection;

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{
        database::Database,
        ledger::Ledger,
        muster::{Setup, client},
        starts::{AWAY, Bench, MINUTE, register, start},
    },
};

/// About so long: the database's clock goes on while a test does.
fn is_about(length: Option<TimeDelta>, wanted: Duration) -> bool {
    let over = length.unwrap() - TimeDelta::from_std(wanted).unwrap();
    (TimeDelta::zero()..TimeDelta::seconds(5)).contains(&over)
}

#[tokio::test]
async fn the_first_start_is_no_outage() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    let boot = bench.start().await;
    assert_eq!(
        (boot.company, boot.away(), boot.is_outage()),
        (Company::Alone, None, false)
    );
    assert_eq!(bench.told(incident).await, []);
    assert!(
        bench
            .page("/system")
            .await
            .contains("nothing is known of a Muster before it")
    );
}

#[tokio::test]
async fn a_clean_stop_and_a_start_are_as_far_apart_as_nobody_was_there() {
    let bench = Bench::new().await;
    let first = bench.start().await;
    replicas::end(&mut *bench.site.conn().await, first.replica)
        .await
        .unwrap();
    let age =
        "update replicas set stopped_at = clock_timestamp() - $1, last_seen_at = clock_timestamp() - 2 * $1";
    bench.age(age, AWAY).await;
    let boot = bench.start().await;
    assert_eq!((boot.company, boot.clean_stop), (Company::Alone, true));
    assert!(is_about(boot.away(), AWAY), "{boot:?}");
    assert!(
        boot.sentence().ends_with("UTC (it was stopped cleanly)."),
        "{}",
        boot.sentence()
    );
    assert_eq!(bench.find(boot.id).await, boot);
}

#[tokio::test]
async fn a_killed_one_was_last_there_when_it_renewed_its_lease() {
    let bench = Bench::new().await;
    let first = bench.start().await;
    assert!(
        replicas::renew(&mut *bench.site.conn().await, first.replica)
            .await
            .unwrap()
    );
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    assert_eq!((boot.company, boot.clean_stop), (Company::Alone, false));
    // The lease went on for ten seconds; the one that held it did not.
    assert!(is_about(boot.away(), AWAY), "{boot:?}");
    assert!(
        boot.sentence().starts_with("Muster was away for 5 min"),
        "{}",
        boot.sentence()
    );
    assert!(
        boot.sentence().ends_with("UTC (it was killed)."),
        "{}",
        boot.sentence()
    );
}

#[tokio::test]
async fn one_of_a_release_that_noted_no_sign_of_life_is_known_by_its_lease() {
    let bench = Bench::new().await;
    let mut conn = bench.site.conn().await;
    let older = "insert into replicas (started_at, lease_until) values
                 (now() - interval '9 h', now() - interval '50 s'), (now() - interval '1 h', 'epoch')";
    sqlx::query(older).execute(&mut *conn).await.unwrap();
    drop(conn);
    let boot = bench.start().await;
    assert!(is_about(boot.away(), MINUTE), "{boot:?}");
    // Of a clean stop no time is known, so no outage is claimed.
    let mut conn = bench.site.conn().await;
    sqlx::query("delete from replicas where lease_until <> 'epoch'")
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);
    assert_eq!(bench.start().await.away(), None);
}

#[tokio::test]
async fn two_replicas_that_start_at_once_make_one_outage() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    bench.start().await;
    bench.all_die_for(AWAY).await;

    let now = bench.now();
    let mut conn = bench.site.conn().await;
    let mut tx = conn.begin().await.unwrap();
    let found = boots::look(&mut tx).await.unwrap();
    let second = tokio::spawn({
        let pool = bench.site.intake.database.pools.engine.clone();
        async move { start(&mut pool.acquire().await.unwrap(), now).await }
    });
    // The second stands at the lock before the first has registered.
    wait::until("the second waits", MINUTE, async || {
        let waiting = "select count(*) from pg_locks where not granted and relation = 'boots'::regclass";
        anyhow::ensure!(bench.site.intake.database.count(waiting).await == 1);
        Ok(())
    })
    .await
    .unwrap();
    let first = register(&mut tx, &found, now).await;
    tx.commit().await.unwrap();
    upkeep::tell_of_outages(&mut conn, now).await.unwrap();
    let second = second.await.unwrap();
    assert!(first.is_outage(), "{first:?}");
    assert_eq!((second.company, second.away()), (Company::Unsettled, None));

    // The first lives, so the second was beside it.
    bench
        .age(
            "update replicas set started_at = started_at - $1",
            Duration::from_secs(12),
        )
        .await;
    assert!(replicas::renew(&mut conn, first.replica).await.unwrap());
    bench.upkeep().await;
    let second = bench.find(second.id).await;
    assert_eq!(
        (second.company, second.away()),
        (Company::Beside, Some(TimeDelta::zero()))
    );
    assert_eq!(bench.told(incident).await, [first.id]);
}

#[tokio::test]
async fn a_replica_beside_a_live_one_reports_no_outage() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    let run = bench.run(incident, Vec::new(), bench.now()).await;
    let first = bench.start().await;
    bench.begun(run, first.replica, "strike", "once").await;
    bench.site.clock().advance(MINUTE);
    let second = bench.start().await;
    assert_eq!(second.company, Company::Unsettled);
    assert!(!second.is_outage());
    let page = bench.page(&format!("/system/boots/{}", second.id)).await;
    assert!(
        page.contains("shows in a few seconds") && !page.contains("What needs you now"),
        "{page}"
    );

    // Too early to tell, then the first is heard of again.
    bench.upkeep().await;
    assert_eq!(bench.find(second.id).await.company, Company::Unsettled);
    bench
        .age(
            "update replicas set started_at = started_at - $1",
            Duration::from_secs(12),
        )
        .await;
    assert!(
        replicas::renew(&mut *bench.site.conn().await, first.replica)
            .await
            .unwrap()
    );
    bench.upkeep().await;
    let second = bench.find(second.id).await;
    assert_eq!(
        (second.company, second.away()),
        (Company::Beside, Some(TimeDelta::zero()))
    );
    assert!(
        second.report.is_empty(),
        "what a live one works on is not overdue"
    );
    assert_eq!(bench.told(incident).await, []);
    let page = bench.page(&format!("/system/boots/{}", second.id)).await;
    assert!(page.contains("beside another that was at work"), "{page}");
}

#[tokio::test]
async fn one_that_stopped_cleanly_after_the_start_was_there() {
    let bench = Bench::new().await;
    let first = bench.start().await;
    let second = bench.start().await;
    let mut conn = bench.site.conn().await;
    replicas::end(&mut conn, first.replica).await.unwrap();
    replicas::prune(&mut conn).await.unwrap();
    bench
        .age(
            "update replicas set started_at = started_at - $1",
            Duration::from_secs(12),
        )
        .await;
    bench.upkeep().await;
    assert_eq!(bench.find(second.id).await.company, Company::Beside);
}

#[tokio::test]
async fn a_kill_and_a_start_within_the_lease_are_told_apart_from_company() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    let run = bench.run(incident, Vec::new(), bench.now()).await;
    let first = bench.start().await;
    bench.begun(run, first.replica, "strike", "once").await;
    // The first is dead by now, and its lease does not know.
    let second = bench.start().await;
    // The second dies as well, at once; a third comes.
    let third = bench.start().await;
    assert_eq!(
        (second.company, third.company),
        (Company::Unsettled, Company::Unsettled)
    );
    bench
        .age(
            "update replicas set started_at = started_at - $1, last_seen_at = last_seen_at - $1,
               lease_until = lease_until - $1",
            Duration::from_secs(12),
        )
        .await;
    bench.upkeep().await;
    let (second, third) = (bench.find(second.id).await, bench.find(third.id).await);
    for boot in [&second, &third] {
        assert_eq!(
            (boot.company, boot.clean_stop, boot.is_outage()),
            (Company::Alone, false, false),
            "{boot:?}"
        );
        assert!(boot.away().unwrap() < TimeDelta::seconds(5), "{boot:?}");
    }
    // Each reports what its own predecessor held.
    assert_eq!((second.report.unknown.count, second.report.taken.count), (1, 1));
    assert_eq!((third.report.unknown.count, third.report.taken.count), (0, 0));
    let page = bench.page(&format!("/system/boots/{}", second.id)).await;
    assert!(
        page.contains("What needs you now") && page.contains("attempt 1 of strike"),
        "{page}"
    );
}

#[tokio::test]
async fn every_open_incident_is_told_once_and_its_chain_holds() {
    let bench = Bench::new().await;
    bench.start().await;
    let mut incidents = Vec::new();
    // More than are told in one transaction.
    for number in 0..52 {
        incidents.push(bench.incident(&format!("Down {number}")).await);
    }
    let over = incidents[3];
    let mut conn = bench.site.conn().await;
    let now = bench.now();
    muster::incident::respond::resolve(&mut conn, over, &bench.ana, "over", now)
        .await
        .unwrap();
    bench.all_die_for(AWAY).await;

    // A start that breaks off after one transaction.
    let mut tx = conn.begin().await.unwrap();
    let found = boots::look(&mut tx).await.unwrap();
    let boot = register(&mut tx, &found, bench.now()).await;
    tx.commit().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(boots::tell(&mut tx, bench.now()).await.unwrap(), 50);
    tx.commit().await.unwrap();
    drop(conn);
    // What opens later knows of no outage; what is left is told by whoever comes next.
    let later = bench.incident("Later").await;
    bench.upkeep().await;
    bench.upkeep().await;
    for incident in incidents {
        let wanted = if incident == over { vec![] } else { vec![boot.id] };
        assert_eq!(bench.told(incident).await, wanted, "INC-{incident}");
    }
    assert_eq!(bench.told(later).await, []);

    // The usual timeline and the postmortem say so.
    let since = boot.last_alive_at.unwrap().format("%H:%M:%S").to_string();
    for path in [
        "/incidents/1",
        "/incidents/1/postmortem",
        "/incidents/1/postmortem.md",
    ] {
        let page = bench.page(path).await.replace("\\_", "_");
        assert!(
            page.contains("Muster was away for 5 min") && page.contains(&since),
            "{path}: {page}"
        );
    }

    // A restart is no outage.
    bench.all_die_for(Duration::from_secs(25)).await;
    let restart = bench.start().await;
    assert_eq!((restart.company, restart.is_outage()), (Company::Alone, false));
    assert_eq!(bench.told(IncidentId(1)).await, [boot.id]);
}

const WAITS: &str = r#"
runbook: waits
title: Wait, then strike
match: ['alertname="Broken"']
start: automatic
steps:
  - id: look
    check: http
    with: { target: ledger, path: /look }
  - id: ask
    gate: { decide_within: 1s }
    title: Go on?
  - id: strike
    call: http
    with: { target: ledger, method: POST, path: /strike }
    effect: once
"#;

/// The whole program: killed at an open gate, started again five minutes later by its leases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_says_after_its_start_how_long_it_was_away_and_what_expired() {
    let (database, scratch, ledger) = (Database::new().await, Scratch::new(), Ledger::start().await);
    let targets = format!(
        "targets:\n  - name: ledger\n    http: {{ url: \"http://{}/\" }}\n",
        ledger.address
    );
    std::fs::write(scratch.path().join("waits.yaml"), WAITS).unwrap();
    std::fs::write(scratch.path().join("targets.yaml"), targets).unwrap();
    let setup = Setup::new(database.url(), scratch.path());
    // Dies right after the commit that opens the gate, so nobody decides.
    let mut muster = setup.start(Some("after:gate-opened/ask"));
    for (name, end) in [
        ("Ends", "0001-01-01T00:00:00Z"),
        ("Ends", "2026-11-21T02:30:00Z"),
        ("Broken", "0001-01-01T00:00:00Z"),
    ] {
        let status = if end.starts_with('0') {
            "firing"
        } else {
            "resolved"
        };
        let alert = json!({"status": status, "labels": {"alertname": name}, "startsAt": "2026-11-21T02:00:00Z",
                           "endsAt": end});
        muster
            .stores(&json!({"receiver": "r", "groupKey": name, "alerts": [alert]}))
            .await;
    }
    wait::until("it dies at the gate", MINUTE, async || {
        anyhow::ensure!(muster.ended().is_some(), "{}", setup.logged());
        Ok(())
    })
    .await
    .unwrap();
    let mut conn = database.pools.background.acquire().await.unwrap();
    for sql in [
        "update replicas set lease_until = lease_until - interval '5 min', last_seen_at = last_seen_at - interval '5 min'",
        "update run_queue set due = due - interval '2 s'",
        "update approvals set decide_by = decide_by - interval '2 s'",
        "update incidents set recover_due = now() - interval '2 s' where recover_due is not null",
    ] {
        sqlx::query(sql).execute(&mut *conn).await.unwrap();
    }
    let now = muster::clock::Clock::real().now();
    let ana = muster::store::operators::insert(&mut conn, "ana", "none", Role::Viewer, now)
        .await
        .unwrap()
        .unwrap();
    let (way, from) = (Way::Password, Arrival::default());
    let cookie = session::begin(&mut conn, ana, &way, &from, SessionLimits::default(), false, now)
        .await
        .unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();

    let muster = setup.start(None);
    let page = wait::until("the start is written down", MINUTE, async || {
        let page = client()
            .get(muster.url("/system/boots/2"))
            .header("cookie", &cookie)
            .send()
            .await?;
        let (is_there, text) = (page.status().is_success(), page.text().await?);
        // The gate was closed after it was counted, and the page tells both.
        anyhow::ensure!(
            is_there && text.contains("Ended at its gate"),
            "{text}\n{}",
            setup.logged()
        );
        let recovered = "select count(*) from events where kind = 'recovered'";
        anyhow::ensure!(database.count(recovered).await == 1);
        Ok(text)
    })
    .await
    .unwrap();
    for words in [
        "Muster was away for 5 min",
        "(it was killed)",
        "was not decided by",
        "Go on?",
        "Expired",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // What follows from the outage stands after it: of a run, and of a timer that belongs to none.
    for (incident, follows) in [(1, "recovered"), (2, "gate_expired")] {
        let incident = IncidentId(incident);
        let timeline = events::list_after(&mut conn, incident, 0, 100).await.unwrap();
        assert_eq!(first_broken_link(incident, &timeline), None);
        let kinds: Vec<String> = timeline.iter().map(|recorded| recorded.event.kind()).collect();
        let place = |kind: &str| kinds.iter().position(|found| found == kind);
        assert!(place("muster_was_down").is_some(), "{kinds:?}");
        assert!(place("muster_was_down") < place(follows), "{kinds:?}");
    }
    assert_eq!(ledger.entries(), []);
}
