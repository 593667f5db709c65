//! The page of the audit in a real browser, on a phone and on a desk: nothing hangs over the edge. `MUSTER_PICTURES=folder`
//! keeps pictures of it.

use anyhow::{Result, ensure};
use fantoccini::Locator;
use serde_json::json;

use super::{HOSTILE, act, tamper, world};
use crate::{
    fleet::{
        browser::{Browser, Screen},
        scratch::Scratch,
    },
    support::site::PASSWORD,
};

/// How far the page is wider than the screen.
const OVER: &str = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_fits_a_phone_and_a_desk() -> Result<()> {
    let (site, ana, _) = world().await;
    act(&site, &ana, &"a-target-with-a-long-name".repeat(4), HOSTILE).await;
    act(&site, &ana, "lb", &"nospaceatall".repeat(30)).await;
    tamper(
        &site.intake.database,
        &["update audit set reason = 'x' where seq = 1"],
    )
    .await;
    site.intake.upkeep.keep_audit().await?;
    let base = format!("http://{}", site.serve().await);
    let mut scratch = Scratch::new()?;
    let browser = Browser::start(&scratch, "browser").await?;
    let pictures = std::env::var_os("MUSTER_PICTURES").map(std::path::PathBuf::from);
    let page = &browser.page;
    page.goto(&format!("{base}/login")).await?;
    for (field, text) in [("name", "ana"), ("password", PASSWORD)] {
        let field = page.find(Locator::Css(&format!("input[name={field}]"))).await?;
        field.send_keys(text).await?;
    }
    page.find(Locator::Css("button.primary")).await?.click().await?;
    page.wait()
        .for_element(Locator::Css("nav[aria-label=Main]"))
        .await?;
    for (path, name) in [
        ("/audit", "list"),
        ("/audit?kind=source_made&actor=nobody", "none"),
    ] {
        for (screen, suffix) in [(Screen::Desktop, "desk"), (Screen::Phone, "phone")] {
            browser.screen(screen).await?;
            page.goto(&format!("{base}{path}")).await?;
            if let Some(folder) = &pictures {
                browser
                    .screenshot_whole(&folder.join(format!("audit-{name}-{suffix}.png")))
                    .await?;
            }
            let over = page.execute(OVER, vec![]).await?;
            ensure!(over == json!(0), "{path} on the {suffix} hangs over by {over}");
        }
    }
    let errors = browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    browser.close().await?;
    scratch.ended_well();
    Ok(())
}
