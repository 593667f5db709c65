//! A hundred people look at one incident while twenty things a second happen in it: each sees each of them, once. How soon
//! is told here, and held by `cargo bench --bench live`, in a build that is as fast as the one people use.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use muster::domain::operator::Role;
use serde_json::json;
use tokio::{task::JoinSet, time::interval};

use super::{
    ground::{Eyes, Ground, PATIENCE},
    sight::{self, Shown, percentile},
};

/// Those beside the browser that looks.
const VIEWERS: usize = 99;
/// People they are: each has several windows.
const PEOPLE: usize = 33;
const EVENTS: usize = 200;
const PER_SECOND: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_people_see_each_of_twenty_events_a_second_once() -> Result<()> {
    let ground = Ground::new().await;
    let eyes = Eyes::of(&ground, &ground.eve).await?;
    sight::watch(&eyes).await?;
    eyes.go("/incidents/1").await?;
    eyes.live().await?;

    let live = live_address(&ground.site.get("/incidents/1", &ground.eve.1).await.text)?;
    let last = ground.shown().await.first().copied().unwrap_or(0) + EVENTS as i64;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut viewers = JoinSet::new();
    let mut cookies = Vec::new();
    for number in 0..PEOPLE {
        cookies.push(
            ground
                .site
                .person(&format!("viewer-{number}"), Role::Responder)
                .await
                .1,
        );
    }
    for number in 0..VIEWERS {
        let request = client
            .get(format!("{}{live}", eyes.base))
            .header("cookie", &cookies[number % PEOPLE]);
        let answer = request.send().await?.error_for_status()?;
        viewers.spawn(watched(answer, last));
    }

    let mut beat = interval(Duration::from_secs(1) / PER_SECOND);
    let mut committed = Vec::new();
    for _ in 0..EVENTS {
        beat.tick().await;
        let seq = ground.notes(1).await;
        committed.push((seq, sight::now()));
    }
    let there = "return document.getElementById(`e${arguments[0]}`) !== null";
    eyes.until("the last row", there, json!(last)).await?;
    let shown = Shown::of(&eyes).await?;
    let seen = shown.waits(&committed)?;

    let mut heard = Vec::new();
    while let Some(viewer) = viewers.join_next().await {
        let rows = viewer??;
        let once: BTreeSet<i64> = rows.iter().map(|(seq, _)| *seq).collect();
        ensure!(once.len() == rows.len(), "a row came twice");
        for (seq, at) in &committed {
            let row = rows.iter().find(|(row, _)| row == seq);
            heard.push(row.with_context(|| format!("event {seq} did not come"))?.1 - at);
        }
    }
    let figures = |times: &[f64]| [50, 95, 99].map(|percent| percentile(times.to_vec(), percent));
    let (on_screen, on_lines) = (figures(&seen), figures(&heard));
    println!(
        "{} viewers, {PER_SECOND} events/s: in the browser p50 {:.0}, p95 {:.0}, p99 {:.0} ms; over all streams p50 {:.0}, \
         p95 {:.0}, p99 {:.0} ms",
        VIEWERS + 1,
        on_screen[0],
        on_screen[1],
        on_screen[2],
        on_lines[0],
        on_lines[1],
        on_lines[2],
    );
    eyes.close().await
}

/// The address that the page keeps itself up to date by.
fn live_address(page: &str) -> Result<String> {
    let (_, rest) = page.split_once("data-live=\"").context("the page is not live")?;
    let (address, _) = rest.split_once('"').context("the address has no end")?;
    Ok(address.replace("&amp;", "&").replace("&#38;", "&"))
}

/// The rows that come over this stream up to `last`, each with when it came.
async fn watched(answer: reqwest::Response, last: i64) -> Result<Vec<(i64, f64)>> {
    let mut pieces = answer.bytes_stream();
    let (mut text, mut rows) = (String::new(), Vec::new());
    let read = async {
        while rows.last().is_none_or(|(seq, _)| *seq < last) {
            let piece = pieces.next().await.context("the stream ended")??;
            text.push_str(&String::from_utf8_lossy(&piece));
            let now = sight::now();
            let Some(end) = text.rfind("\n\n") else { continue };
            let mut fresh = Vec::new();
            for message in text[..end]
                .split("\n\n")
                .filter(|message| message.contains("\"events\""))
            {
                let ids = message.split("<li id=\\\"e").skip(1);
                let seqs = ids.filter_map(|rest| rest.split('\\').next()?.parse::<i64>().ok());
                fresh.extend(seqs.map(|seq| (seq, now)));
            }
            fresh.sort_by_key(|(seq, _)| *seq);
            rows.extend(fresh);
            text.drain(..end + 2);
        }
        anyhow::Ok(rows)
    };
    tokio::time::timeout(PATIENCE * 2, read).await?
}
