//! A gate on a phone, opened from a link by somebody who is signed in.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::ground::{Eyes, Ground};

const PLACES: &str = r##"
const bar = [...document.querySelectorAll("body *")].filter((node) => getComputedStyle(node).position === "fixed" && node.offsetHeight && !node.closest(".updates") && !node.matches(".skip"));
const floor = Math.min(innerHeight, ...bar.map((node) => node.getBoundingClientRect().top));
const box = (css) => document.querySelector(css)?.getBoundingClientRect();
const seen = (box, floor) => Boolean(box) && box.height > 0 && box.top >= 0 && box.bottom <= floor + 0.5;
const approve = box("button.approve, button[value=approve]"), reject = box("button.reject, button[value=reject]");
return {
  effect: seen(box("#facts h1"), floor),
  reason: seen(box("input[name=reason], textarea[name=reason]"), floor),
  approve: seen(approve, innerHeight), reject: seen(reject, innerHeight),
  apart: approve && reject ? Math.max(Math.abs(reject.left - approve.right), Math.abs(reject.top - approve.bottom), approve.left - reject.right) : 0,
  scrolled: scrollY,
};
"##;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_is_approved_from_a_phone_in_three_taps() -> Result<()> {
    let ground = Ground::new().await;
    let eyes = Eyes::of(&ground, &ground.ben).await?;
    eyes.browser.resize(360, 640, 2, true).await?;
    eyes.go(&format!("/approvals/{}", ground.approval)).await?;
    if let Some(folder) = std::env::var_os("MUSTER_PICTURES") {
        let file = std::path::Path::new(&folder).join("bars-gate-first-screen.png");
        eyes.browser.screenshot(&file).await?;
    }
    let places = eyes.run(PLACES, Value::Null).await?;
    println!("{places}");
    for what in ["effect", "reason", "approve", "reject"] {
        ensure!(
            places[what] == json!(true),
            "{what} is not on the first screen: {places}"
        );
    }
    ensure!(places["apart"].as_f64() >= Some(16.0), "{places}");
    let mut taps = 0;
    for what in ["label.phrase, .phrases label", "button[value=approve]"] {
        eyes.click(what).await?;
        taps += 1;
    }
    let decided =
        "return !document.querySelector('button[value=approve]') && document.readyState === 'complete'";
    eyes.until("it is decided", decided, Value::Null).await?;
    let given = ground
        .site
        .intake
        .database
        .count("select count(*) from votes where verdict = 'approve'")
        .await;
    ensure!(given == 1 && taps <= 3, "{given} given after {taps} taps");
    eyes.close().await
}
