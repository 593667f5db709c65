//! A failover that loses commits: the standby that takes over had not heard of the last ones, for which every sender has
//! its 200.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{
    Bench, is_full,
    proxy::Line,
    report::Row,
    server::{LONG, Server},
};
use crate::fleet::wait;

/// How many deliveries the database has.
async fn stored(server: &Server) -> i64 {
    sqlx::query_scalar("select count(*) from deliveries where outcome = 'applied'")
        .fetch_one(&mut server.connect().await)
        .await
        .unwrap()
}

/// A standby that has heard of everything so far, and of nothing after it.
async fn left_behind(bench: &Bench, name: &str) -> Server {
    let (data, log) = (
        bench.scratch.path().join(name),
        bench.scratch.path().join(format!("{name}.log")),
    );
    let standby = bench.server.standby(&data, &log).await;
    let known = stored(&bench.server).await;
    wait::until("the standby has all of it", LONG, async || {
        let has = stored(&standby).await;
        anyhow::ensure!(has == known, "{has} of {known}");
        Ok(())
    })
    .await
    .unwrap();
    // It hears nothing any more.
    let gone = "alter system set primary_conninfo = ''";
    let mut conn = standby.connect().await;
    sqlx::raw_sql(gone).execute(&mut conn).await.unwrap();
    sqlx::raw_sql("select pg_reload_conf()")
        .execute(&mut conn)
        .await
        .unwrap();
    wait::until("the standby stops to listen", LONG, async || {
        let receivers: i64 = sqlx::query_scalar("select count(*) from pg_stat_wal_receiver")
            .fetch_one(&mut conn)
            .await?;
        anyhow::ensure!(receivers == 0);
        Ok(())
    })
    .await
    .unwrap();
    standby
}

/// The primary dies, the standby takes over and connections lead to it.
async fn takes_over(bench: &mut Bench, standby: Server) -> i64 {
    bench.proxy.line(Line::Closed);
    bench.server.end(Signal::SIGKILL);
    standby.run("select pg_promote(true, 30)").await;
    let has = stored(&standby).await;
    bench.proxy.leads_to(standby.port);
    bench.server = standby;
    bench.proxy.line(Line::Good);
    has
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failover_loses_is_stored_again_once() {
    let mut bench = Bench::new("lost").await;
    bench.history.forget_times();
    let count = if is_full() { 1_000 } else { 60 };

    // While Muster runs.
    let standby = left_behind(&bench, "standby").await;
    let answers = bench.history.burst(count, 8).await;
    assert!(answers.iter().all(|sent| sent.status == Some(200)), "{answers:?}");
    let had = stored(&bench.server).await;
    let has = takes_over(&mut bench, standby).await;
    let lost = (had - has) as usize;
    bench.is_usable().await;
    bench.drains(LONG).await;
    let remark = format!("{lost} of {had} commits lost, all stored again");
    bench
        .checked(Row {
            fault: "F10 failover loses commits",
            fired: lost,
            remark,
        })
        .await;

    // Nothing is sent after it: Muster looks by itself.
    let standby = left_behind(&bench, "second").await;
    bench.history.burst(count, 8).await;
    let had = stored(&bench.server).await;
    let has = takes_over(&mut bench, standby).await;
    let lost = (had - has) as usize;
    wait::until("what was lost is there again", LONG, async || {
        let now = stored(&bench.server).await;
        anyhow::ensure!(now == had, "{now} of {had}");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", bench.setup.logged()));
    let remark = format!("{lost} of {had} commits lost, found without a delivery");
    bench
        .checked(Row {
            fault: "F10 failover, nobody sends",
            fired: lost,
            remark,
        })
        .await;

    // Muster dies with the primary; the next process finds what the last one had.
    let standby = left_behind(&bench, "third").await;
    bench.history.burst(count, 8).await;
    let had = stored(&bench.server).await;
    bench.muster = None;
    let has = takes_over(&mut bench, standby).await;
    let lost = (had - has) as usize;
    bench.starts().await;
    bench.drains(Duration::from_secs(60)).await;
    let remark = format!("{lost} of {had} commits lost, found by the next start");
    bench
        .checked(Row {
            fault: "F10 failover and a restart",
            fired: lost,
            remark,
        })
        .await;
}
