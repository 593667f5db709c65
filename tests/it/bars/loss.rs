//! A page that is open through a bad night of its network shows, in the end, exactly the rows of the database.
//! `MUSTER_BREAKS=1000` is the long form.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    cutter::{Cutter, Mood, wait},
    ground::{Eyes, Ground},
};

/// Breaks of the network in an ordinary run.
const BREAKS: usize = 60;

/// The longest time until a page has a stream again: the longest pause between two tries, and the try.
const BACK: Duration = Duration::from_secs(20);

/// The rows on the page, and on the older pages it leads to.
const ROWS: &str = r##"
const done = arguments[arguments.length - 1];
(async () => {
  const rows = [...document.querySelectorAll("#events > [id]")].map((row) => Number(row.id.slice(1)));
  const onPage = rows.length;
  let older = document.getElementById("older")?.href;
  while (older) {
    const html = await (await fetch(older)).text();
    rows.push(...[...html.matchAll(/<li id="e(\d+)"/g)].map((found) => Number(found[1])));
    older = /id="older" href="([^"]*)"/.exec(html)?.[1].replaceAll("&amp;", "&").replaceAll("&#38;", "&");
  }
  done({ rows, onPage });
})();
"##;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_and_none_comes_twice_however_often_the_stream_breaks() -> Result<()> {
    let breaks = std::env::var("MUSTER_BREAKS")
        .ok()
        .map_or(Ok(BREAKS), |told| told.parse())?;
    let mut ground = Ground::new().await;
    let cutter = Cutter::before(ground.site.serve().await).await?;
    let eyes = Eyes::open(format!("http://{}", cutter.address)).await?;
    eyes.become_(&ground.eve.1).await?;
    eyes.go("/incidents/1").await?;
    eyes.live().await?;
    let mut chance = fastrand::Rng::with_seed(7);
    let begun = std::time::Instant::now();
    let mut kinds = [0_usize; 6];
    for number in 0..breaks {
        let (streams, refused) = (cutter.streams(), cutter.refused());
        ground.notes(chance.usize(1..4)).await;
        // The server's restart is dear; the others share the rest.
        let kind = if number % 20 == 19 { 5 } else { chance.usize(0..5) };
        kinds[kind] += 1;
        match kind {
            0 => cutter.cut(),
            1 => {
                cutter.cut_after(chance.i64(0..6000));
                let is_cut = || cutter.streams() > streams;
                ground.notes(2).await;
                if wait("the bytes are spent", Duration::from_millis(600), is_cut)
                    .await
                    .is_err()
                {
                    cutter.cut();
                }
            }
            2 | 3 => {
                cutter.treat_with(if kind == 2 { Mood::BadGateway } else { Mood::Closed });
                cutter.cut();
                ground.notes(1).await;
                wait("it tries again", BACK, || cutter.refused() > refused).await?;
                cutter.treat_with(Mood::Fair);
            }
            4 => {
                cutter.silence();
                ground.notes(2).await;
                tokio::time::sleep(Duration::from_millis(chance.u64(0..200))).await;
                cutter.cut();
            }
            _ => {
                ground.site.state.stopping.cancel();
                ground.site.state.stopping = tokio_util::sync::CancellationToken::new();
                ground.site.restart();
                cutter.lead_to(ground.site.serve().await);
                cutter.cut();
            }
        }
        wait("it has a stream again", BACK, || cutter.streams() > streams).await?;
    }
    // Once with nothing but its own watch to tell it that the line is dead.
    let streams = cutter.streams();
    cutter.silence();
    ground.notes(1).await;
    wait("it noticed the silence", Duration::from_secs(40), || {
        cutter.streams() > streams
    })
    .await?;

    let last = ground.notes(1).await;
    let there = "return document.getElementById(`e${arguments[0]}`) !== null";
    eyes.until("the last row", there, json!(last)).await?;
    let told = eyes.browser.page.execute_async(ROWS, vec![Value::Null]).await?;
    let rows: Vec<i64> = serde_json::from_value(told["rows"].clone())?;
    let shown = ground.shown().await;
    let once: BTreeSet<i64> = rows.iter().copied().collect();
    let missing: Vec<&i64> = shown.iter().filter(|seq| !once.contains(seq)).collect();
    println!(
        "{breaks} breaks (cut, in a message, 502, closed, silent, restart: {kinds:?}) in {:.0?}; {} rows, {} of them \
         on the page: {} missing, {} doubled",
        begun.elapsed(),
        rows.len(),
        told["onPage"],
        missing.len(),
        rows.len() - once.len(),
    );
    ensure!(missing.is_empty(), "missing: {missing:?}");
    ensure!(rows == shown, "not as the database has them: {rows:?}");
    ensure!(begun.elapsed() < BACK * breaks as u32, "the page did not keep up");
    eyes.close().await
}
