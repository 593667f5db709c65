//! Faults of the database server: F5 connections ended and a fast restart, F6 a crash, F7 away for long, F8 away at start.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    Bench, is_full,
    report::{Row, percentile},
    server::LONG,
};
use crate::{fleet::wait, support::muster::client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_ends_restarts_or_crashes_costs_no_delivery() {
    let mut bench = Bench::new("ends").await;
    bench.history.forget_times();

    // F5: every connection is ended again and again.
    let load = tokio::spawn({
        let history = bench.history.clone();
        async move { history.burst(600, 8).await }
    });
    let mut ended = 0;
    let mut conn = bench.server.connect().await;
    while !load.is_finished() {
        let hit: i64 = sqlx::query_scalar(
            "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
             where application_name = 'muster intake'",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        ended += hit as usize;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(conn);
    let answers = load.await.unwrap();
    assert!(
        answers.iter().all(|sent| matches!(sent.status, Some(200 | 202))),
        "{answers:?}"
    );
    let usable = bench.is_usable().await;
    bench.drains(LONG).await;
    let remark = format!("usable in {} ms", usable.as_millis());
    bench
        .checked(Row {
            fault: "F5 connections ended",
            fired: ended,
            remark,
        })
        .await;

    // F5 and F6: stopped fast, stopped at once, and crashed, each in the middle of a load.
    for (fault, signal) in [
        ("F5 fast restart", Signal::SIGINT),
        ("F6 kill -9 of all of Postgres", Signal::SIGKILL),
    ] {
        let load = tokio::spawn({
            let history = bench.history.clone();
            async move { history.stream(50.0, Duration::from_secs(2)).await }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        bench.server.end(signal);
        let is_dead = !bench.server.is_running();
        bench.server.start().await;
        let back = Instant::now();
        let answers = load.await.unwrap();
        assert!(
            answers.iter().all(|sent| matches!(sent.status, Some(200 | 202))),
            "{answers:?}"
        );
        bench.is_usable().await;
        bench.drains(LONG).await;
        let spooled = answers.iter().filter(|sent| sent.status == Some(202)).count();
        let remark = format!(
            "{spooled} spooled, all stored {} ms after it was back",
            back.elapsed().as_millis()
        );
        bench
            .checked(Row {
                fault,
                fired: usize::from(is_dead),
                remark,
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_long_is_waited_for_with_fast_answers_and_a_start_without_it_accepts() {
    let mut bench = Bench::new("away").await;
    bench.history.forget_times();

    // F7.
    bench.server.end(Signal::SIGINT);
    let (rate, long) = match is_full() {
        true => (50.0, Duration::from_secs(600)),
        false => (50.0, Duration::from_secs(3)),
    };
    let answers = bench.history.stream(rate, long).await;
    assert!(answers.iter().all(|sent| sent.status == Some(202)), "{answers:?}");
    let p99 = percentile(&answers, 99);
    // The first ones find out that it is away.
    assert!(
        p99 < Duration::from_millis(if is_full() { 50 } else { 1000 }),
        "{p99:?}"
    );
    let spooled = answers.len();
    bench.server.start().await;
    let drained = bench.drains(Duration::from_secs(60)).await;
    let remark = format!("{spooled} spooled, drained in {:.1} s", drained.as_secs_f64());
    bench
        .checked(Row {
            fault: "F7 away at 50/s",
            fired: spooled,
            remark,
        })
        .await;

    if !is_full() {
        // As many as ten minutes bring, as far as the machine lets them come, in less time.
        bench.server.end(Signal::SIGINT);
        let answers = bench.history.burst(2_000, 16).await;
        assert!(answers.iter().all(|sent| sent.status == Some(202)));
        bench.server.start().await;
        let drained = bench.drains(Duration::from_secs(60)).await;
        let remark = format!(
            "{} spooled, drained in {:.1} s",
            answers.len(),
            drained.as_secs_f64()
        );
        bench
            .checked(Row {
                fault: "F7 away, 2,000 as fast as they come",
                fired: answers.len(),
                remark,
            })
            .await;
    }

    // F8: what the killed process knew of its senders the next one knows.
    bench.server.end(Signal::SIGINT);
    let accepted = bench.history.post().await;
    assert_eq!(accepted, Some(202));
    bench.muster = None;
    let began = Instant::now();
    bench.muster = Some(bench.setup.start(None));
    wait::until("it accepts without its database", LONG, async || {
        let status = bench.history.post().await;
        anyhow::ensure!(status == Some(202), "{status:?}");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", bench.setup.logged()));
    let serving = began.elapsed();
    assert!(
        serving < Duration::from_secs(if is_full() { 2 } else { 8 }),
        "{serving:?}"
    );
    let muster = bench.muster.as_ref().unwrap();
    let ready = client().get(muster.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let wrong = client()
        .post(muster.url("/api/v1/sources/test/alertmanager"))
        .bearer_auth("not-the-token")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 503, "an unknown token may be a new one");
    let burst = bench.history.burst(20, 4).await;
    assert!(burst.iter().all(|sent| sent.status == Some(202)), "{burst:?}");
    use std::os::unix::fs::PermissionsExt;
    let snapshot = bench.spool().join("senders/known.json");
    assert_eq!(
        std::fs::metadata(&snapshot).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let content = std::fs::read_to_string(&snapshot).unwrap();
    assert!(!content.contains(crate::support::muster::TOKEN), "only hashes");
    bench.server.start().await;
    bench.is_usable().await;
    bench.drains(LONG).await;
    let remark = format!("accepts {} ms after its start", serving.as_millis());
    bench
        .checked(Row {
            fault: "F8 start without database",
            fired: 1 + burst.len(),
            remark,
        })
        .await;
}
