//! The pages of gates, runs and resumption in a real browser, on a phone and on a desk: nothing hangs over the edge, every
//! control can be hit, no rule of the content security policy is broken, and a page that is open hears what others did.
//!
//! `MUSTER_PICTURES=folder` keeps pictures of them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;
use muster::domain::{id::RunId, run::RunFact};
use serde_json::json;

use super::{Bench, LONG};
use crate::{
    fleet::{
        browser::{Browser, Screen},
        scratch::Scratch,
    },
    support::site::PASSWORD,
};

const SENT_BACK: &str = r#"
runbook: sent-back
title: Drain the blue pool
summary: Takes one pool out of the balancer.
steps:
  - { id: look, check: http, with: { target: web, path: /ok/look }, title: Traffic on the pool }
  - id: ask
    gate: { people: [ana, eve], decide_within: 15m, use_within: 10m, on_expiry: { go_to: tell } }
    impact: Half of the capacity is gone for about two minutes.
    title: Drain the blue pool?
  - id: drain
    call: http
    with: { target: web, method: POST, path: /ok/drain }
    undo: { call: http, with: { target: web, method: DELETE, path: /ok/drain } }
    title: Drain blue
  - { id: tell, manual: Tell the shop team on their channel what happened }
"#;

const LOST: &str = r#"
runbook: lost
title: Restart the checkout service
steps:
  - id: ask
    gate: { use_within: 10m }
    title: Restart checkout?
  - id: restart
    call: http
    with: { target: web, method: POST, path: /lost/restart }
    effect: once
"#;

const BACK: &str = r#"
runbook: back
title: Move traffic away
steps:
  - id: hosts
    check: http
    with: { target: web, path: /list/12 }
  - id: ask
    gate: { use_within: 10m }
    title: Drain every host?
  - id: drain
    for_each: { in: steps.hosts.result.body, max: 200, at_once: 8 }
    call: http
    with: { target: web, method: POST, path: "/ok/{{ index }}" }
    undo: { call: http, with: { target: web, method: DELETE, path: "/ok/{{ index }}" } }
  - id: plain
    call: http
    with: { target: web, method: POST, path: /ok/plain }
    title: Tell the balancer to reload its very long list of hosts that it keeps in memory
  - { id: look, manual: Look whether the other site carries it }
finally:
  - { id: tell, call: http, with: { target: web, method: POST, path: /held/tell }, title: Tell the channel }
"#;

const BROKEN: &str = r#"
runbook: broken
title: Fail over the checkout database
steps:
  - { id: look, check: http, with: { target: web, path: /ok/look }, title: Replica lag }
  - { id: first, call: http, with: { target: web, method: POST, path: /ok/first }, title: Fence the old primary }
  - { id: second, call: http, with: { target: web, method: POST, path: /fail/second }, title: Promote the standby }
  - { id: tell, manual: Tell the team }
"#;

/// A person at a browser.
struct Watcher {
    browser: Browser,
    base: String,
    pictures: Option<PathBuf>,
}

impl Watcher {
    async fn goes_to(&self, path: &str) -> Result<()> {
        Ok(self.browser.page.goto(&format!("{}{path}", self.base)).await?)
    }

    async fn sees(&self, what: &str) -> Result<()> {
        let wait = self.browser.page.wait().at_most(LONG);
        wait.for_element(Locator::XPath(what))
            .await
            .with_context(|| format!("never saw {what}"))?;
        Ok(())
    }

    async fn types(&self, field: &str, text: &str) -> Result<()> {
        let field = self.browser.page.wait().for_element(Locator::Css(field)).await?;
        Ok(field.send_keys(text).await?)
    }

    async fn presses(&self, what: &str) -> Result<()> {
        let button = self.browser.page.wait().for_element(Locator::XPath(what)).await?;
        Ok(button.click().await?)
    }

    async fn signs_in(&self, name: &str) -> Result<()> {
        self.goes_to("/incidents").await?;
        self.types("input[name=name]", name).await?;
        self.types("input[name=password]", PASSWORD).await?;
        self.presses("//button[normalize-space()='Sign in']").await?;
        self.sees("//h1").await
    }

    /// Looks at a page on both screens with everything unfolded.
    async fn looks_at(&self, path: &str, name: &str) -> Result<()> {
        for (screen, suffix) in [(Screen::Desktop, "desk"), (Screen::Phone, "phone")] {
            self.browser.screen(screen).await?;
            self.goes_to(path).await?;
            self.picture(&format!("{name}-{suffix}")).await?;
            let found = self.browser.page.execute(MEASURE, vec![]).await?;
            ensure!(
                found["over"] == json!(0),
                "{path} on the {suffix} hangs over by {found}"
            );
            ensure!(
                found["small"] == json!([]),
                "{path} on the {suffix}: too small: {found}"
            );
            self.picture(&format!("{name}-{suffix}-unfolded")).await?;
        }
        Ok(())
    }

    async fn picture(&self, name: &str) -> Result<()> {
        if let Some(folder) = &self.pictures {
            self.browser
                .screenshot_whole(&folder.join(format!("{name}.png")))
                .await?;
        }
        Ok(())
    }
}

/// Unfolds everything; tells by how much the page is wider than the screen, and which controls are smaller than a finger
/// may hit.
const MEASURE: &str = r#"
for (const details of document.querySelectorAll("main details")) details.open = true;
const over = Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth);
const small = [...document.querySelectorAll("main button, main select, main input:not([type=hidden]):not([type=radio]), main .button")]
  .map((node) => [node.getBoundingClientRect().height, node.textContent.trim().slice(0, 40), node.closest(".row-acts, .pinned") ? 24 : 43.5])
  .filter(([height, , least]) => height > 0 && height < least);
return { over, small };
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_fits_a_phone_and_a_desk() -> Result<()> {
    let bench = Bench::new().await;
    let mut scratch = Scratch::new()?;
    let watcher = Watcher {
        browser: Browser::start(&scratch, "browser").await?,
        base: format!("http://{}", bench.site.serve().await),
        pictures: std::env::var_os("MUSTER_PICTURES").map(PathBuf::from),
    };
    watcher.signs_in("ana").await?;

    let sent_back = bench.start(SENT_BACK).await;
    let first = bench.asked(None).await;
    watcher.looks_at(&format!("/approvals/{first}"), "gate").await?;
    watcher
        .looks_at(&format!("/approvals/{first}/break-glass"), "break-glass")
        .await?;
    watcher.looks_at("/approvals", "inbox-waiting").await?;

    // The page of the run is open while somebody else sends the gate back; then one press lets it go on.
    watcher.goes_to(&format!("/runs/{sent_back}")).await?;
    let body =
        json!({"digest": bench.digest(first).await, "note": "the replica is 40 s behind, wait for it"});
    let sent = bench
        .json(&format!("/approvals/{first}/send-back"), &bench.eve, body)
        .await;
    ensure!(sent.status == 200, "{}", sent.text);
    watcher
        .sees("//p[contains(., 'Paused by') and contains(., '40 s behind')]")
        .await?;
    watcher
        .looks_at(&format!("/runs/{sent_back}"), "run-paused")
        .await?;
    watcher
        .presses(&format!(
            "//button[normalize-space()='Let run {sent_back} go on']"
        ))
        .await?;
    let second = bench.asked(Some(first)).await;
    watcher
        .goes_to(&format!("/approvals/{second}/break-glass"))
        .await?;
    watcher
        .types("textarea[name=reason]", "the shop is down and nobody answers")
        .await?;
    watcher
        .presses("//button[starts-with(normalize-space(), 'Open alone')]")
        .await?;
    watcher.sees("//*[contains(., 'To be reviewed')]").await?;
    let drained = |fact: &RunFact| matches!(fact, RunFact::ManualAsked { .. });
    bench.until(sent_back, "it has gone on", drained).await;
    watcher
        .looks_at(&format!("/approvals/{second}"), "gate-opened-alone")
        .await?;
    watcher
        .looks_at(&format!("/runs/{sent_back}"), "run-by-hand")
        .await?;

    let lost = bench.start(LOST).await;
    let asked = bench.asked(None).await;
    bench.approve(asked, &bench.ana).await;
    let unknown = |fact: &RunFact| matches!(fact, RunFact::OutcomeUnknown { .. });
    bench.until(lost, "the answer is lost", unknown).await;
    watcher.looks_at(&format!("/runs/{lost}"), "run-unknown").await?;
    watcher.looks_at("/incidents/1", "incident").await?;

    let back = bench.start(BACK).await;
    let asked = bench.asked(None).await;
    bench.approve(asked, &bench.eve).await;
    bench.until(back, "it asks", drained).await;
    watcher.looks_at(&format!("/runs/{back}"), "run-items").await?;
    bench
        .json(
            &format!("/runs/{back}/undo"),
            &bench.rob,
            json!({"reason": "wrong site"}),
        )
        .await;
    let again = bench.asked(Some(asked)).await;
    bench.approve(again, &bench.eve).await;
    let ending = |fact: &RunFact| matches!(fact, RunFact::StepStarted { step, .. } if step.0 == "tell");
    bench.until(back, "it runs its last step", ending).await;
    watcher
        .looks_at(&format!("/runs/{back}"), "run-taken-back")
        .await?;

    let broken = bench.start(BROKEN).await;
    bench.result(broken).await;
    bench.publish(&BROKEN.replace("/fail/second", "/ok/second")).await;
    watcher
        .looks_at(&format!("/runs/{broken}/resume?version=2"), "resume")
        .await?;
    watcher
        .goes_to(&format!("/runs/{broken}/resume?version=2"))
        .await?;
    watcher
        .presses("//button[normalize-space()='Go on with v2']")
        .await?;
    watcher.sees("//p[contains(., 'It goes on where')]").await?;
    let next = bench.get_json(&format!("/runs/{broken}")).await["continued_by"].clone();
    let next = RunId(next.as_i64().context("nobody went on")?);
    bench.until(next, "it has gone on", drained).await;
    watcher
        .looks_at(&format!("/runs/{next}"), "run-continued")
        .await?;
    watcher.looks_at("/approvals", "inbox-review").await?;

    let errors = watcher.browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    watcher.browser.close().await?;
    scratch.ended_well();
    Ok(())
}
