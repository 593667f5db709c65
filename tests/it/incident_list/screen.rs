//! The list in a real browser: nothing hangs over the edge, rows freeze while any is ticked, ticks survive Back, and the
//! keys do what they say.

use std::time::Duration;

use anyhow::{Result, ensure};
use fantoccini::{Locator, key::Key};
use serde_json::json;

use super::Desk;
use crate::{
    fleet::{browser::Browser, scratch::Scratch},
    support::{screen::look, site::PASSWORD},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Whether a script's answer becomes true.
async fn becomes(browser: &Browser, script: &str) -> Result<()> {
    let body = format!(
        "const done = arguments[0], look = () => ({script}) ? done(true) : setTimeout(look, 50); look();"
    );
    let waiting = browser.page.execute_async(&body, vec![]);
    let found = tokio::time::timeout(PATIENCE, waiting).await;
    ensure!(matches!(found, Ok(Ok(_))), "never true: {script}");
    Ok(())
}

async fn types(browser: &Browser, keys: &str) -> Result<()> {
    let active = browser.page.active_element().await?;
    Ok(active.send_keys(keys).await?)
}

#[tokio::test]
async fn the_list_on_a_phone_and_on_a_desk_with_its_keys() -> Result<()> {
    let desk = Desk::new().await;
    desk.five().await;
    let base = format!("http://{}", desk.site.serve().await);
    let mut scratch = Scratch::new()?;
    let browser = Browser::start(&scratch, "list").await?;
    let page = &browser.page;
    page.goto(&format!("{base}/login?next=/incidents")).await?;
    for (field, text) in [("name", "ana"), ("password", PASSWORD)] {
        let field = page.find(Locator::Css(&format!("input[name={field}]"))).await?;
        field.send_keys(text).await?;
    }
    page.find(Locator::Css("button.primary")).await?.click().await?;
    page.wait().for_element(Locator::Css("#inc-5")).await?;
    for (path, name) in [
        ("/incidents", "incident-list"),
        ("/incidents?q=sevv:1+stat:open", "incident-list-fault"),
        ("/incidents?q=service:none", "incident-list-filtered"),
        ("/incidents/new", "incident-new"),
        ("/incidents/resolve?q=state:open&all=yes", "incident-resolve-many"),
        ("/incidents/assign?q=state:open&all=yes", "incident-assign-many"),
        ("/incidents/merge?q=state:open&all=yes", "incident-merge-many"),
    ] {
        page.goto(&format!("{base}{path}")).await?;
        look(&browser, name).await?;
    }

    // Moved to by key and ticked by key: from here on the rows stay as they are.
    page.goto(&format!("{base}/incidents?q=state:open")).await?;
    becomes(
        &browser,
        "document.getElementById('live-word').textContent.startsWith('Live')",
    )
    .await?;
    types(&browser, "jx").await?;
    becomes(
        &browser,
        "document.querySelector('[name=id][value=\"5\"]').checked",
    )
    .await?;
    desk.act("/incidents/2/acknowledge", &[]).await;
    desk.fire("Another", json!({})).await;
    desk.site.state.wake.changed();
    becomes(
        &browser,
        "document.getElementById('live-word').textContent.startsWith('List paused')",
    )
    .await?;
    becomes(
        &browser,
        "document.getElementById('found').textContent.startsWith('5 ')",
    )
    .await?;
    let row = page
        .execute("return document.getElementById('inc-2').textContent", vec![])
        .await?;
    ensure!(
        !row.to_string().contains("has it") || row.to_string().contains("nobody"),
        "{row}"
    );
    types(&browser, "x").await?;
    becomes(
        &browser,
        "document.getElementById('inc-2').textContent.includes('ana has it')",
    )
    .await?;
    // The new row waits behind a button.
    becomes(
        &browser,
        "document.getElementById('new-rows')?.textContent.startsWith('1 new')",
    )
    .await?;
    page.find(Locator::Css("#new-rows")).await?.click().await?;
    becomes(&browser, "document.getElementById('inc-6') !== null").await?;

    // Ticks are still there after a look at an incident.
    page.find(Locator::Css("[name=id][value='1']"))
        .await?
        .click()
        .await?;
    page.find(Locator::Css("#inc-3 > a")).await?.click().await?;
    page.wait().for_element(Locator::Css("#timeline")).await?;
    page.back().await?;
    becomes(
        &browser,
        "document.querySelector('[name=id][value=\"1\"]')?.checked",
    )
    .await?;
    // What is ticked is acknowledged by one key.
    page.find(Locator::Css("#inc-5 > a"))
        .await?
        .send_keys("a")
        .await?;
    becomes(
        &browser,
        "document.getElementById('result')?.textContent.includes('1 incident acknowledged')",
    )
    .await?;
    types(&browser, "c").await?;
    page.wait().for_element(Locator::Css("#title")).await?;
    page.active_element()
        .await?
        .send_keys(&Key::Escape.to_string())
        .await?;

    let errors = browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    browser.close().await?;
    scratch.ended_well();
    Ok(())
}
