//! A great deal to show: a timeline of ten thousand events, a story of two thousand on paper, and how soon a browser
//! shows what was committed.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    LENIENCE,
    ground::{Eyes, Ground},
    sight::{self, Shown, percentile},
};

const EVENTS: usize = 10_000;
const ROWS_MAX: i64 = 200;
const OPEN_MAX: Duration = Duration::from_millis(1500);
const APPEND_MAX: Duration = Duration::from_millis(50);
/// From the commit to the row on the screen, for 95 of 100.
const VISIBLE_MAX: Duration = Duration::from_millis(400);
const APPENDS: usize = 40;

const PRINTED: usize = 2_000;
const PRINT_MAX: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_of_ten_thousand_events_opens_and_grows_without_a_hitch() -> Result<()> {
    let ground = Ground::new().await;
    ground.notes(EVENTS).await;
    let eyes = Eyes::of(&ground, &ground.eve).await?;
    let browser = &eyes.browser;
    sight::watch(&eyes).await?;
    browser
        .devtools("Emulation.setCPUThrottlingRate", json!({"rate": 4}))
        .await?;
    eyes.go("/incidents/1").await?;
    // By the page's own clock: the driver of the browser is slowed down as well.
    let opened = "return performance.getEntriesByType('navigation')[0].loadEventEnd || null";
    let opened = eyes.until("it is loaded", opened, Value::Null).await?;
    let opened = Duration::from_secs_f64(opened.as_f64().unwrap_or(f64::MAX) / 1000.0);
    let painted = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0";
    let painted = eyes.run(painted, Value::Null).await?;
    let rows = eyes
        .run(
            "return document.querySelectorAll('#events > *').length",
            Value::Null,
        )
        .await?;
    eyes.live().await?;

    let mut committed = Vec::new();
    for _ in 0..APPENDS {
        let seq = ground.notes(1).await;
        committed.push((seq, sight::now()));
        let there = "return document.getElementById(`e${arguments[0]}`) !== null";
        eyes.until("the row", there, json!(seq)).await?;
    }
    let shown = Shown::of(&eyes).await?;
    let append = percentile(shown.appends(), 95);
    let waits = shown.waits(&committed)?;
    let (half, visible) = (percentile(waits.clone(), 50), percentile(waits, 95));
    println!(
        "{EVENTS} events at a quarter of the speed: opened in {opened:.0?}, first words after {painted} ms, {rows} rows; \
         a row more p95 {append:.0} ms; from commit to sight p50 {half:.0}, p95 {visible:.0} ms"
    );
    ensure!(rows.as_i64() <= Some(ROWS_MAX), "{rows} rows");
    ensure!(opened <= OPEN_MAX * LENIENCE, "opened in {opened:.0?}");
    let ms = |bar: Duration| (bar * LENIENCE).as_secs_f64() * 1000.0;
    ensure!(append <= ms(APPEND_MAX), "a row took {append:.0} ms");
    ensure!(visible <= ms(VISIBLE_MAX), "to be seen took {visible:.0} ms");
    eyes.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paper_holds_every_row_of_two_thousand() -> Result<()> {
    let ground = Ground::new().await;
    ground.notes(PRINTED).await;
    let eyes = Eyes::of(&ground, &ground.eve).await?;
    eyes.go("/incidents/1/postmortem").await?;
    let rows = eyes
        .run(
            "return document.querySelectorAll('.story > li').length",
            Value::Null,
        )
        .await?;
    let begun = Instant::now();
    let printed = eyes
        .browser
        .devtools(
            "Page.printToPDF",
            json!({"preferCSSPageSize": true, "printBackground": false}),
        )
        .await?;
    let took = begun.elapsed();
    let data = printed["data"].as_str().context("no paper came")?;
    let pdf = data_encoding::BASE64.decode(data.as_bytes())?;
    let file = tempfile(&pdf)?;
    let told = Command::new("pdftotext")
        .args(["-layout"])
        .arg(&file)
        .arg("-")
        .output()
        .context("pdftotext is not here; run .ci/install")?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    std::fs::remove_file(&file)?;
    let text = String::from_utf8_lossy(&told.stdout).replace(char::is_whitespace, "");
    let notes = text.matches("Lookedatreplica").count();
    let pages = told.stdout.iter().filter(|byte| **byte == 0x0c).count();
    println!("{notes} of {PRINTED} notes on {pages} sheets in {took:.1?}; {rows} rows on the page");
    ensure!(notes == PRINTED, "{notes} of {PRINTED} notes are on paper");
    ensure!(took <= PRINT_MAX * LENIENCE, "printed in {took:.1?}");
    eyes.close().await
}

fn tempfile(content: &[u8]) -> Result<std::path::PathBuf> {
    let file = std::env::temp_dir().join(format!("muster-bars-{}.pdf", std::process::id()));
    std::fs::write(&file, content)?;
    Ok(file)
}
