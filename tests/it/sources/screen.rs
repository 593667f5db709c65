//! The pages of sources in a real browser, on a phone and on a desk: nothing hangs over the edge, and no rule of the content
//! security policy is broken. `MUSTER_PICTURES=folder` keeps pictures of them.

use anyhow::{Result, ensure};
use fantoccini::Locator;
use muster::domain::operator::Role;
use serde_json::json;

use super::{BODY, deliver};
use crate::{
    fleet::{
        browser::{Browser, Screen},
        scratch::Scratch,
    },
    support::site::{PASSWORD, Site},
};

/// How far the page is wider than the screen.
const OVER: &str = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_sources_fit_a_phone_and_a_desk() -> Result<()> {
    let site = Site::new().await;
    site.person("root", Role::Admin).await;
    let long = "prometheus-of-the-checkout-team-in-the-second-region-of-europe";
    site.intake.source(long, None).await;
    deliver(&site, "prom", "a-token-of-a-test-prom", BODY).await;
    deliver(&site, "prom", "a-token-of-a-test-prom", "{\"no\": 1").await;
    deliver(&site, "prom", "wrong", BODY).await;
    let base = format!("http://{}", site.serve().await);
    let mut scratch = Scratch::new()?;
    let browser = Browser::start(&scratch, "browser").await?;
    let pictures = std::env::var_os("MUSTER_PICTURES").map(std::path::PathBuf::from);
    let page = &browser.page;
    page.goto(&format!("{base}/login")).await?;
    for (field, text) in [("name", "root"), ("password", PASSWORD)] {
        let field = page.find(Locator::Css(&format!("input[name={field}]"))).await?;
        field.send_keys(text).await?;
    }
    page.find(Locator::Css("button.primary")).await?.click().await?;
    page.wait()
        .for_element(Locator::Css("nav[aria-label=Main]"))
        .await?;
    for (path, name) in [
        ("/sources", "list"),
        ("/sources/new", "new"),
        ("/sources/prom", "show"),
        (&format!("/sources/{long}"), "long"),
    ] {
        for (screen, suffix) in [(Screen::Desktop, "desk"), (Screen::Phone, "phone")] {
            browser.screen(screen).await?;
            page.goto(&format!("{base}{path}")).await?;
            if let Some(folder) = &pictures {
                browser
                    .screenshot_whole(&folder.join(format!("source-{name}-{suffix}.png")))
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
