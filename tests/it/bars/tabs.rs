//! Eight windows on one incident, all of them looked at, over HTTP/1.1, where a browser opens six connections to a host:
//! none keeps another waiting, and all hear what happens.

use std::time::Duration;

use anyhow::{Result, ensure};
use muster::web::state::LIVE_STREAMS_MAX;
use serde_json::{Value, json};

use super::{
    LENIENCE,
    cutter::wait,
    ground::{Eyes, Ground, PATIENCE},
};

const TABS: usize = 8;
/// Streams that one browser may hold.
const STREAMS_MAX: usize = 3;
/// The longest time a form may take to be taken.
const POST_MAX: Duration = Duration::from_millis(500);

/// Sends the note as the page's own form would; tells how long that took, in milliseconds.
const POST: &str = r#"
const [text, done] = arguments;
const form = document.querySelector("form[action$='/notes']");
const fields = new URLSearchParams(new FormData(form));
fields.set("text", text);
const begun = performance.now();
fetch(form.action, { method: "POST", body: fields, redirect: "manual" })
  .then((answer) => done([performance.now() - begun, answer.type === "opaqueredirect"]), (error) => done(String(error)));
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_windows_on_one_incident_keep_nobody_waiting() -> Result<()> {
    let ground = Ground::new().await;
    let eyes = Eyes::of(&ground, &ground.eve).await?;
    let page = &eyes.browser.page;
    let mut windows = vec![page.window().await?];
    eyes.go("/incidents/1").await?;
    while windows.len() < TABS {
        let window = page.new_window(false).await?.handle;
        page.switch_to_window(window.clone()).await?;
        eyes.go("/incidents/1").await?;
        windows.push(window);
    }
    let mut slowest = Duration::ZERO;
    for (number, window) in windows.iter().enumerate() {
        page.switch_to_window(window.clone()).await?;
        let hidden = eyes.run("return document.hidden", Value::Null).await?;
        ensure!(hidden == false, "every window is looked at");
        eyes.live().await?;
        let told = page
            .execute_async(POST, vec![json!(format!("from window {number}"))])
            .await?;
        ensure!(told[1] == true, "{told}");
        slowest = slowest.max(Duration::from_secs_f64(
            told[0].as_f64().unwrap_or(f64::MAX) / 1000.0,
        ));
    }
    // Beside the streams there is now and then a page that asks once.
    let held = || LIVE_STREAMS_MAX - ground.site.state.streams.available_permits();
    wait("three streams", PATIENCE, || held() <= STREAMS_MAX).await?;
    let streams = held();
    println!("{TABS} windows, {streams} streams: the slowest form took {slowest:.0?}");
    ensure!(slowest <= POST_MAX * LENIENCE, "a form took {slowest:.0?}");
    ensure!(streams > 0, "nobody streams");

    let last = ground.notes(1).await;
    let there = "return document.getElementById(`e${arguments[0]}`) !== null";
    for window in windows {
        page.switch_to_window(window).await?;
        eyes.until("what happened last", there, json!(last)).await?;
    }
    eyes.close().await
}

#[tokio::test]
async fn a_page_that_nobody_looks_at_asks_for_little() {
    let ground = Ground::new().await;
    let told = ground.site.get("/live/badge", &ground.ben.1).await;
    assert!(told.text.len() <= 200, "{}", told.text);
    let told = told.json();
    assert_eq!((&told["waiting"], &told["database"]), (&json!(1), &json!(true)));
    let before = told["newest"].clone();
    ground.notes(1).await;
    let told = ground.site.get("/live/badge", &ground.ben.1).await.json();
    assert_ne!(told["newest"], before);
    // Who asked for the run does not decide about it.
    let told = ground.site.get("/live/badge", &ground.eve.1).await.json();
    assert_eq!(told["waiting"], 0);
}

#[tokio::test]
async fn a_page_without_a_stream_hears_the_same_in_one_answer() {
    let ground = Ground::new().await;
    let page = ground.site.get("/incidents/1", &ground.eve.1).await.text;
    let live = page
        .split("data-live=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let live = live.replace("&amp;", "&").replace("&#38;", "&");
    let last = ground.notes(1).await;
    // The answer ends by itself.
    let told = ground
        .site
        .get(&format!("{live}&once=yes"), &ground.eve.1)
        .await
        .text;
    assert!(told.contains(&format!("id=\\\"e{last}\\\"")), "{told}");
    let place = told.find("event: patch").unwrap();
    assert!(told.find("event: tick").unwrap() > place, "{told}");
}
