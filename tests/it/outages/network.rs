//! Faults between Muster and its database: F12 a commit whose answer is lost, F18 a slow or narrow line, F21 connections
//! that fell silent.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{
    Bench, is_full,
    proxy::{Line, Trap},
    report::{Row, percentile},
    server::LONG,
};
use crate::fleet::wait;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_not_done_twice_and_silence_is_noticed() {
    let bench = Bench::new("silence").await;
    bench.history.forget_times();

    // F12.
    let cuts = if is_full() { 200 } else { 15 };
    for cut in 1..=cuts {
        bench.proxy.trap(Trap::CutCommit, 1);
        while bench.proxy.fired().commits.load(Ordering::SeqCst) < cut {
            let answers = bench.history.burst(8, 4).await;
            assert!(
                answers.iter().all(|sent| matches!(sent.status, Some(200 | 202))),
                "{answers:?}"
            );
        }
    }
    bench.is_usable().await;
    bench.drains(LONG).await;
    let fired = bench.proxy.fired().commits.load(Ordering::SeqCst);
    bench
        .checked(Row {
            fault: "F12 cut after COMMIT",
            fired,
            remark: String::new(),
        })
        .await;

    // F21, in the commit and in the middle of a transaction, which holds its locks.
    for (fault, trap) in [
        ("F21 silent in commit", Trap::HushCommit),
        ("F21 silent in a transaction", Trap::HushQuery),
    ] {
        let before = hushed(&bench);
        let rounds = if is_full() { 20 } else { 1 };
        let mut worst = Duration::ZERO;
        for _ in 0..rounds {
            bench.proxy.trap(trap, 1);
            let began = Instant::now();
            let first = bench.history.post().await;
            assert!(matches!(first, Some(200 | 202)), "{first:?}");
            bench.is_usable().await;
            worst = worst.max(began.elapsed());
        }
        bench.drains(LONG).await;
        let fired = hushed(&bench) - before;
        assert!(
            worst < Duration::from_secs(if is_full() { 4 } else { 10 }),
            "{worst:?}\n{}",
            bench.setup.logged()
        );
        let remark = format!("usable again after at most {} ms", worst.as_millis());
        bench.checked(Row { fault, fired, remark }).await;
    }

    // F21: everything is silent for a while; the old connections stay so.
    bench.proxy.line(Line::Silent);
    let answers = bench.history.burst(8, 4).await;
    assert!(answers.iter().all(|sent| sent.status == Some(202)), "{answers:?}");
    bench.proxy.line(Line::Good);
    let usable = bench.is_usable().await;
    bench.drains(LONG).await;
    let fired = bench.proxy.fired().bytes.load(Ordering::SeqCst);
    let remark = format!("usable {} ms after the fault", usable.as_millis());
    bench
        .checked(Row {
            fault: "F21 everything silent",
            fired,
            remark,
        })
        .await;
    assert!(
        usable < Duration::from_secs(if is_full() { 3 } else { 8 }),
        "{usable:?}"
    );
}

fn hushed(bench: &Bench) -> usize {
    let fired = bench.proxy.fired();
    fired.commits.load(Ordering::SeqCst) + fired.queries.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_to_the_database_slows_no_answer_beyond_the_wait_for_it() {
    let bench = Bench::new("slow").await;
    bench.history.forget_times();
    let long = Duration::from_secs(if is_full() { 60 } else { 2 });
    for (fault, line) in [
        ("F18 200 ms each way", Line::Slow(Duration::from_millis(200))),
        ("F18 2 s each way", Line::Slow(Duration::from_secs(2))),
        ("F18 64 kbit/s", Line::Narrow(8_000.0)),
    ] {
        let before = bench.proxy.fired().bytes.load(Ordering::SeqCst);
        bench.proxy.line(line);
        let answers = bench.history.stream(10.0, long).await;
        assert!(
            answers.iter().all(|sent| matches!(sent.status, Some(200 | 202))),
            "{answers:?}"
        );
        // The deadline of 1.5 s, and what a busy machine adds.
        let worst = percentile(&answers, 100);
        assert!(worst < Duration::from_millis(3500), "{worst:?}");
        bench.proxy.line(Line::Good);
        let began = Instant::now();
        wait::until("all is stored", Duration::from_secs(60), async || {
            anyhow::ensure!(bench.files("spool").is_empty());
            Ok(())
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", bench.setup.logged()));
        let remark = format!("drained {} ms after it", began.elapsed().as_millis());
        let fired = bench.proxy.fired().bytes.load(Ordering::SeqCst) - before;
        bench.checked(Row { fault, fired, remark }).await;
    }
}
