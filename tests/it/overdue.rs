//! What a start finds overdue: each kind counted, with how late it is, before anything of it is handled.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use muster::{
    domain::{
        id::{RunId, StepId},
        overdue::{LateIncident, LateRun, Timer},
        run::{RunFact, Settled},
        span::Span,
        step::Effect,
    },
    store::{boots, queue},
};
use serde_json::json;

use crate::support::starts::{AWAY, Bench, HOSTILE, failed, opened};

#[tokio::test]
async fn everything_that_is_overdue_is_counted_with_how_late_it_is() {
    let bench = Bench::new().await;
    let site = &bench.site;
    let gone = bench.start().await.replica;
    let (incident, t) = (bench.incident(HOSTILE).await, bench.now());
    let at = |seconds: i64| t + TimeDelta::seconds(seconds);

    // Timers of runs.
    let retry = bench.run(incident, vec![failed("strike", at(60))], at(60)).await;
    let until = |until| RunFact::WaitBegan {
        step: "pause".into(),
        until,
    };
    let waited = bench.run(incident, vec![until(at(70))], at(70)).await;
    let gated = bench.run(incident, vec![], at(80)).await;
    let undecided = bench.approval(gated, false, at(80)).await;
    let ready = bench.run(incident, vec![], at(5)).await;
    let asked = RunFact::ManualAsked {
        step: "strike".into(),
        instruction: "look".to_owned(),
        due: None,
    };
    let looked = bench.run(incident, vec![asked], at(90)).await;
    bench.run(incident, vec![until(at(9000))], at(9000)).await;
    {
        let mut conn = site.conn().await;
        bench
            .note(&mut conn, incident, gated, vec![opened(undecided, at(80))])
            .await;
        let waits = "update run_queue set state = 2 where run_id = $1";
        sqlx::query(waits)
            .bind(gated.0)
            .execute(&mut *conn)
            .await
            .unwrap();
    }

    // Approvals: one not used, one whose step has run, one that is good for long.
    let unused = bench.run(incident, vec![until(at(9000))], at(9000)).await;
    let unused_approval = bench.approval(unused, true, at(100)).await;
    let used = bench.run(incident, vec![until(at(9000))], at(9000)).await;
    bench.approval(used, true, at(100)).await;
    let good = bench.run(incident, vec![until(at(9000))], at(9000)).await;
    bench.approval(good, true, at(9000)).await;

    // Attempts that were cut off, and one whose run somebody could still hold.
    let once = bench.run(incident, vec![], at(9000)).await;
    bench.begun(once, gone, "strike", "once").await;
    let repeatable = bench.run(incident, vec![], at(9000)).await;
    bench.begun(repeatable, gone, "strike", "idempotent").await;
    bench.begun(used, gone, "strike", "once").await;
    let done = RunFact::StepSucceeded {
        step: "strike".into(),
        attempt: 1,
        summary: "done".to_owned(),
        settled: Settled::Answer,
    };
    let mut conn = site.conn().await;
    bench.note(&mut conn, incident, used, vec![done]).await;
    for sql in [
        "update attempts set state = 'succeeded', finished_at = started_at where run_id = $1",
        "update run_queue set state = 2, owner = null where run_id = $1",
    ] {
        sqlx::query(sql).bind(used.0).execute(&mut *conn).await.unwrap();
    }

    // A heartbeat, a recovery, a re-fire.
    site.intake.source("watchdog", Some(Span::from_secs(60))).await;
    let beat = json!({"receiver": "r", "groupKey": "w", "alerts": [{
        "status": "firing", "labels": {"alertname": HOSTILE}, "startsAt": "2026-11-21T02:00:00Z"}]});
    let (status, _) = site.intake.post("watchdog", beat.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let recovering = bench.incident("Ends").await;
    bench.say("Ends", Some(t)).await;
    let refired = bench.incident("Flaps").await;
    bench.say("Flaps", Some(t)).await;
    let refires = "update episodes set refire_due = $1 where incident_id = $2";
    sqlx::query(refires)
        .bind(at(30))
        .bind(refired.0)
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);

    site.clock().advance(Duration::from_secs(1));
    bench.all_die_for(AWAY).await;
    // Came in while the next one starts.
    bench.run(incident, vec![], bench.now()).await;
    let boot = bench.start().await;
    let report = &boot.report;
    assert_eq!(report.open_incidents, 3);
    assert_eq!(report.unknown.count, 1);
    assert_eq!(
        (report.unknown.items[0].run, report.unknown.items[0].effect),
        (once, Effect::Once)
    );
    assert_eq!(report.repeated.count, 1);
    assert_eq!(report.repeated.items[0].run, repeatable);
    let taken: Vec<RunId> = report.taken.items.iter().map(|taken| taken.run).collect();
    assert_eq!((report.taken.count, taken), (2, vec![once, repeatable]));

    let lapsed: Vec<_> = report
        .approvals
        .items
        .iter()
        .map(|lapsed| (lapsed.approval, lapsed.unused))
        .collect();
    assert_eq!(lapsed, [(undecided, false), (unused_approval, true)]);
    assert_eq!(report.approvals.count, 2);
    assert_eq!(
        (report.heartbeats.count, report.heartbeats.items[0].due),
        (1, at(60))
    );

    let late = |run, timer, step: Option<&str>, seconds| LateRun {
        run,
        incident,
        timer,
        step: step.map(StepId::from),
        due: at(seconds),
    };
    assert_eq!(
        report.timers.items,
        [
            late(ready, Timer::Ready, None, 5),
            late(retry, Timer::Retry, Some("strike"), 60),
            late(waited, Timer::Wait, Some("pause"), 70),
            late(gated, Timer::Gate, Some("ask"), 80),
            late(looked, Timer::Look, None, 90),
        ]
    );
    assert_eq!(report.timers.count, 5);
    let due = |late: &LateIncident| (late.incident, late.due);
    assert_eq!(
        report.recoveries.items.iter().map(due).collect::<Vec<_>>(),
        [(recovering, at(60)), (refired, at(60))]
    );
    assert_eq!(
        report.refires.items.iter().map(due).collect::<Vec<_>>(),
        [(refired, at(30))]
    );

    // The page says how late, and shows outside text as text.
    let page = bench.page(&format!("/system/boots/{}", boot.id)).await;
    for words in [
        "Muster was away for 5 min",
        "1 attempt was cut off that may not be repeated",
        "the next attempt of strike was due at",
        "the wait pause was over at",
        "the time to decide at ask was over at",
        "<strong>4 min 1 s late</strong>",
        "was approved and not used by",
        "was not decided by",
        "was to be taken for recovered at",
        "was not heard by",
        "2 runs were left behind, with 1 attempt",
        &format!("href=\"/approvals/{undecided}\""),
        &format!("href=\"/runs/{once}\""),
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert_eq!(page.matches("<script").count(), 1, "only our own script");
    for mark in ["<img", " style=", " onclick=", "\u{202e}"] {
        assert!(!page.contains(mark), "{mark}");
    }
    let order = [
        "What needs you now",
        "What expired",
        "Timers that fired late",
        "What was taken over",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|heading| page.find(&format!("<h2>{heading}")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test]
async fn counts_are_exact_and_lists_are_cut() {
    let bench = Bench::new().await;
    bench.start().await;
    let incident = bench.incident("Down").await;
    bench.run(incident, vec![], bench.now()).await;
    let copies = "with made as (
            insert into runs (incident_id, runbook_id, version_id, mode, requested_by, inputs, context, started_at)
            select incident_id, runbook_id, version_id, mode, requested_by, inputs, context, started_at
            from runs, generate_series(1, 119) returning id, incident_id, started_at)
        insert into run_queue (run_id, incident_id, state, due) select id, incident_id, 0, started_at from made";
    sqlx::query(copies)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    bench.site.clock().advance(Duration::from_secs(1));
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    assert_eq!(
        (boot.report.timers.count, boot.report.timers.items.len()),
        (120, 100)
    );
    let listed = boots::list(&mut *bench.site.conn().await, i64::MAX, 1)
        .await
        .unwrap();
    assert_eq!(
        (listed[0].report.timers.count, listed[0].report.timers.items.len()),
        (120, 0)
    );
}

#[tokio::test]
async fn what_is_counted_is_not_handled_before() {
    let bench = Bench::new().await;
    bench.start().await;
    let incident = bench.incident("Down").await;
    let run = bench
        .run(incident, vec![failed("strike", bench.now())], bench.now())
        .await;
    bench.site.clock().advance(Duration::from_secs(1));
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    let mut conn = bench.site.conn().await;
    let claims = queue::claim(
        &mut conn,
        boot.replica,
        bench.now(),
        chrono::DateTime::default(),
        10,
    )
    .await
    .unwrap();
    assert_eq!(
        claims.iter().map(|claim| claim.claim.run).collect::<Vec<_>>(),
        [run]
    );
    assert_eq!(
        bench.find(boot.id).await.report.timers.count,
        1,
        "what was found stays found"
    );
}
