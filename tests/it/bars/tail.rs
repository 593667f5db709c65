//! An output of a hundred thousand lines that goes on: its end is there at once, and following it costs next to nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{LENIENCE, ground::Eyes};
use crate::outputs::{Press, step};

const LINES: i64 = 100_000;
const TAIL_MAX: Duration = Duration::from_secs(1);
const IN_PAGE_MAX: i64 = 2_000;
/// Per cent of the time that the tab works while it follows.
const WORK_MAX: f64 = 10.0;
/// Three times as much on a machine that does other work beside.
const WORK_LENIENCE: f64 = 3.0;
/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(6);

const SEEN: &str = r##"
const lines = [...document.querySelectorAll("#lines > [id]")].map((line) => Number(line.id.slice(1)));
const log = document.getElementById("lines");
return { first: lines[0], last: lines.at(-1), count: lines.length,
  gapless: lines.every((line, at) => line === lines[0] + at),
  atEnd: log.scrollTop + log.clientHeight >= log.scrollHeight - 2,
  right: [...document.querySelectorAll("#lines > [id] > code")].every((code) =>
    code.textContent.startsWith("the end") || Number(code.textContent.slice(5, 12)) === Number(code.parentElement.id.slice(1))) };
"##;

/// Seconds that the tab has worked: in all, and what for.
async fn seconds_of_work(eyes: &Eyes) -> Result<[f64; 4]> {
    let told = eyes.browser.devtools("Performance.getMetrics", json!({})).await?;
    let metrics = told["metrics"].as_array().context("no figures")?;
    let seconds = |name: &str| {
        let found = metrics.iter().find(|one| one["name"] == name)?;
        found["value"].as_f64()
    };
    let names = [
        "TaskDuration",
        "ScriptDuration",
        "LayoutDuration",
        "RecalcStyleDuration",
    ];
    Ok(names.map(|name| seconds(name).unwrap_or(f64::MAX)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_hundred_thousand_lines_is_seen_at_once_and_followed_for_little() -> Result<()> {
    let press = Press::new(16 << 20).await;
    // Fifty lines every quarter of a second, then a burst, then the end.
    let script = format!(
        "seq -f 'line %07.0f of an output that goes on for long' 1 {LINES}; n={LINES}; \
         while [ ! -e {0}/stop ]; do \
           seq -f 'line %07.0f of an output that goes on for long' $((n + 1)) $((n + 50)); n=$((n + 50)); sleep 0.25; \
         done; \
         seq -f 'line %07.0f of an output that goes on for long' $((n + 1)) $((n + 5000)); sleep 0.3; echo 'the end'",
        press.folder.path().display()
    );
    let run = press.print(&script).await;
    press.page(run, "", &["lines 100,", " of 100,"]).await;
    let eyes = Eyes::open(format!("http://{}", press.site.serve().await)).await?;
    eyes.become_(&press.reader).await?;
    eyes.browser.devtools("Performance.enable", json!({})).await?;
    eyes.go("/").await?;

    let begun = Instant::now();
    eyes.go(&step(run, "")).await?;
    let there = "const log = document.getElementById('lines'); \
                 return log?.lastElementChild?.getBoundingClientRect().height > 0 && log.scrollTop > 0";
    eyes.until("the tail", there, Value::Null).await?;
    let opened = begun.elapsed();
    eyes.live().await?;

    let before = eyes.run(SEEN, Value::Null).await?;
    let (work, begun) = (seconds_of_work(&eyes).await?, Instant::now());
    tokio::time::sleep(WATCHED).await;
    let (done, took) = (seconds_of_work(&eyes).await?, begun.elapsed().as_secs_f64());
    let [share, script, layout, style] = std::array::from_fn(|at| (done[at] - work[at]) / took * 100.0);
    let after = eyes.run(SEEN, Value::Null).await?;
    let line = |seen: &Value, name: &str| seen[name].as_i64().unwrap_or_default();
    let came = line(&after, "last") - line(&before, "last");
    println!(
        "tail of {LINES} lines in {opened:.0?}; {came} lines followed for {share:.1} % of the time (script {script:.1}, \
         layout {layout:.1}, style {style:.1}); {} in the page",
        line(&after, "count")
    );
    ensure!(opened <= TAIL_MAX * LENIENCE, "opened in {opened:.0?}");
    ensure!(came > 500, "only {came} lines came");
    ensure!(
        share <= WORK_MAX * WORK_LENIENCE,
        "{:.1} % of the time",
        share * 100.0
    );
    for seen in [&before, &after] {
        ensure!(
            seen["gapless"] == true && seen["right"] == true && seen["atEnd"] == true,
            "{seen}"
        );
        ensure!(line(seen, "count") <= IN_PAGE_MAX, "{seen}");
    }

    // Whoever scrolls up reads in peace, is told how much came, and gets there with one press.
    eyes.run("document.getElementById('lines').scrollTop = 200", Value::Null)
        .await?;
    let jump = "return /^Jump to newest \\([1-9]/.test(document.getElementById('jump')?.textContent ?? '')";
    eyes.until("it says how many are new", jump, Value::Null).await?;
    let place = "return document.getElementById('lines').scrollTop";
    ensure!(
        eyes.run(place, Value::Null).await? == json!(200),
        "the place was lost"
    );
    press.let_go("stop");
    let burst = "const words = document.getElementById('jump').textContent.replaceAll(/\\D/g, ''); return Number(words) > 5000";
    eyes.until("the burst is counted", burst, Value::Null).await?;
    ensure!(
        eyes.run(place, Value::Null).await? == json!(200),
        "the place was lost"
    );
    let seen = eyes.run(SEEN, Value::Null).await?;
    ensure!(
        seen["gapless"] == true && line(&seen, "count") <= IN_PAGE_MAX,
        "{seen}"
    );
    eyes.click("#jump").await?;
    let ended = "return document.getElementById('lines').lastElementChild?.textContent.includes('the end')";
    eyes.until("the end", ended, Value::Null).await?;
    let seen = eyes.run(SEEN, Value::Null).await?;
    ensure!(
        seen["gapless"] == true && seen["right"] == true && seen["atEnd"] == true,
        "{seen}"
    );
    let gone = "return document.getElementById('jump') === null && !document.getElementById('log-foot').textContent.includes('running')";
    eyes.until("it is over", gone, Value::Null).await?;

    // Earlier lines come to where they belong.
    let first = line(&seen, "first");
    eyes.click("#earlier").await?;
    let earlier = "return Number(document.querySelector('#lines > [id]').id.slice(1)) === arguments[0]";
    eyes.until("500 earlier lines", earlier, json!(first - 500))
        .await?;
    let seen = eyes.run(SEEN, Value::Null).await?;
    ensure!(seen["gapless"] == true && seen["right"] == true, "{seen}");

    let file = press.file(run).await;
    let total = line(&seen, "last");
    ensure!(
        file.lines().count() as i64 == total,
        "{} of {total}",
        file.lines().count()
    );
    let numbers = file
        .lines()
        .zip(1..total)
        .all(|(text, at)| text[5..12].parse() == Ok(at));
    ensure!(
        numbers && file.ends_with("the end\n"),
        "lines are lost or doubled"
    );
    let errors = eyes.browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    eyes.close().await
}
