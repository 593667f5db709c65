//! The pages in a real browser: that they fit every screen, and what the editor's script adds while somebody types.

use std::time::Duration;

use anyhow::{Result, ensure};
use fantoccini::{Locator, key::Key};
use muster::domain::run::RunResult;
use serde_json::{Value, json};

use super::{World, text};
use crate::{
    fleet::{browser::Browser, scratch::Scratch},
    support::screen::{look, look_at, sign_in},
};

const SHOP: &str = include_str!("../../../runbooks/web-service-down.yaml");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_runbooks_fit_a_phone_and_a_desk() -> Result<()> {
    let world = World::new().await;
    world.publish(SHOP).await;
    world.publish(&SHOP.replace("timeout: 5s", "timeout: 9s")).await;
    world
        .publish(&text("shop", "Down", "summary: Restart it.\nservices: [shop]\n"))
        .await;
    let incident = world.fire("Down").await;
    world
        .run("shop", incident, Duration::from_secs(41), RunResult::Succeeded)
        .await;
    let pages = [
        ("/runbooks", "runbooks"),
        ("/runbooks/web-service-down", "runbook"),
        ("/runbooks/web-service-down/versions", "runbook-versions"),
        ("/runbooks/web-service-down/diff?a=1&b=2", "runbook-diff"),
        ("/runbooks/web-service-down/plan", "runbook-plan"),
        ("/runbooks/new", "runbook-new"),
        ("/dev/gallery/runbooks/full", "gallery-library"),
        ("/dev/gallery/runbooks/long", "gallery-library-long"),
        ("/dev/gallery/runbooks/filtered", "gallery-library-filtered"),
        ("/dev/gallery/runbooks/empty", "gallery-library-empty"),
        ("/dev/gallery/runbook/full", "gallery-runbook"),
        ("/dev/gallery/runbook/degraded", "gallery-runbook-degraded"),
        ("/dev/gallery/versions/full", "gallery-versions"),
        ("/dev/gallery/diff/full", "gallery-diff"),
        ("/dev/gallery/editor/fault", "gallery-editor-fault"),
        ("/dev/gallery/editor/conflict", "gallery-editor-conflict"),
        ("/dev/gallery/publish/full", "gallery-publish"),
    ];
    look_at(&world.site, "ana", &pages).await
}

/// What the script says of the page, as soon as it is what it should be.
async fn until(browser: &Browser, script: &str, wanted: Value) -> Result<()> {
    let mut last = Value::Null;
    for _ in 0..100 {
        last = browser.page.execute(script, vec![]).await?;
        if last == wanted {
            return Ok(());
        }
        browser
            .page
            .execute_async("setTimeout(arguments[0], 50)", vec![])
            .await?;
    }
    ensure!(last == wanted, "{script}: {last} and not {wanted}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_types_errors_come_and_go_and_a_draft_is_kept() -> Result<()> {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    let base = format!("http://{}", world.site.serve().await);
    let mut scratch = Scratch::new()?;
    let browser = Browser::start(&scratch, "browser").await?;
    sign_in(&browser, &base, "ana").await?;
    let page = &browser.page;
    page.goto(&format!("{base}/runbooks/shop/edit")).await?;
    until(
        &browser,
        "return document.querySelector('.numbered pre')?.textContent.split('\\n').length ?? 0",
        json!(9),
    )
    .await?;

    let field = page.find(Locator::Css("#yaml")).await?;
    let end = "const f = document.getElementById('yaml'); f.focus(); f.setSelectionRange(f.value.length, f.value.length)";
    page.execute(end, vec![]).await?;
    field.send_keys("ownr: me").await?;
    let message = "return document.querySelector('#messages [data-at]')?.dataset.at ?? ''";
    until(&browser, message, json!("9:1")).await?;
    until(
        &browser,
        "return document.getElementById('unsaved').textContent",
        json!("Not saved"),
    )
    .await?;
    let steps = "return document.querySelectorAll('#preview .step').length";
    until(&browser, steps, json!(2)).await?;
    // Tab leaves the field; F8 comes back to where the error is.
    field.send_keys(&Key::Tab.to_string()).await?;
    let focus = "return document.activeElement.id";
    ensure!(
        page.execute(focus, vec![]).await? != json!("yaml"),
        "Tab is caught in the field"
    );
    page.active_element()
        .await?
        .send_keys(&Key::F8.to_string())
        .await?;
    until(&browser, focus, json!("yaml")).await?;
    let caret = "const f = document.getElementById('yaml'); return f.value.length - f.selectionStart";
    until(&browser, caret, json!("ownr: me".len())).await?;

    // What is saved is what is typed, and nothing has moved.
    let keys = format!("{}s{}", char::from(Key::Control), char::from(Key::Null));
    field.send_keys(&keys).await?;
    until(
        &browser,
        "return document.getElementById('unsaved').textContent.slice(0, 11)",
        json!("Draft saved"),
    )
    .await?;
    until(&browser, caret, json!("ownr: me".len())).await?;
    page.execute(end, vec![]).await?;
    for _ in 0..8 {
        field.send_keys(&Key::Backspace.to_string()).await?;
    }
    until(&browser, message, json!("")).await?;
    page.execute(
        "window.onbeforeunload = null; document.getElementById('editor').dataset.sent = '1'",
        vec![],
    )
    .await?;
    page.goto(&format!("{base}/runbooks/shop/edit?draft=1")).await?;
    let source = field_text(&browser).await?;
    ensure!(source.ends_with("ownr: me"), "the draft is {source}");
    look(&browser, "runbook-editor").await?;
    let errors = browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    browser.close().await?;
    scratch.ended_well();
    Ok(())
}

async fn field_text(browser: &Browser) -> Result<String> {
    let text = browser
        .page
        .execute("return document.getElementById('yaml').value", vec![])
        .await?;
    Ok(text.as_str().unwrap_or_default().to_owned())
}
