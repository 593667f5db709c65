//! The demo, as a newcomer meets it: the alert is there, the gate asks, one approval later the fleet works again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster::{
    clock::Clock,
    config,
    demo::Demo,
    domain::approval::Verdict,
    execute::people,
    store::{approvals, operators},
};

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{muster::client, word::word},
};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_recovers_after_one_approval() -> Result<()> {
    let (scratch, clock) = (Scratch::new(), Clock::real());
    let options = config::Demo {
        listen: "127.0.0.1:0".parse()?,
        data: None,
    };
    let demo = Demo::start(&options, scratch.path(), clock.clone()).await?;
    let page = client().get(&demo.link).send().await?;
    ensure!(
        page.status().is_success() && page.text().await?.contains("newcomer"),
        "the link opens"
    );

    demo.break_primary().await?;
    let pool = demo.app.pools.web.clone();
    let asked = wait::until("the gate asks", LONG, async || {
        approvals::list_pending(&mut *pool.acquire().await?, None, 1)
            .await?
            .pop()
            .context("nothing asked")
    })
    .await?;
    assert_eq!(demo.fleet.promotions(), 0);

    let mut tx = pool.begin().await?;
    let (newcomer, _) = operators::find_by_name(&mut tx, "newcomer")
        .await?
        .context("no newcomer")?;
    people::decide(
        &mut tx,
        asked.id,
        &word(Verdict::Approve, asked.digest, ""),
        &newcomer,
        clock.now(),
    )
    .await?;
    tx.commit().await?;
    demo.app.state.wake.changed();

    tokio::time::timeout(LONG, demo.report_recovery(&clock)).await??;
    wait::until("the incident recovers", LONG, async || {
        let resolved: i64 = sqlx::query_scalar("select count(*) from incidents where state = 'resolved'")
            .fetch_one(&pool)
            .await?;
        ensure!(resolved == 1, "not yet");
        Ok(())
    })
    .await?;
    assert_eq!(demo.fleet.promotions(), 1);
    demo.app.stop().await;
    Ok(())
}
