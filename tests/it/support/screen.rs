//! Pages in a real browser, on a phone and on a desk, light and dark: nothing hangs over the edge, and no rule of the
//! content security policy is broken. `MUSTER_PICTURES=folder` keeps pictures.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use fantoccini::Locator;
use serde_json::json;

use super::site::{PASSWORD, Site};
use crate::fleet::{
    browser::{Browser, Screen},
    scratch::Scratch,
};

/// How far the page is wider than the screen.
const OVER: &str = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";

/// Looks at the page that is open.
pub async fn look(browser: &Browser, name: &str) -> Result<()> {
    let pictures = std::env::var_os("MUSTER_PICTURES").map(PathBuf::from);
    for (screen, suffix) in [(Screen::Phone, "phone"), (Screen::Desktop, "desk")] {
        browser.screen(screen).await?;
        let over = browser.page.execute(OVER, vec![]).await?;
        ensure!(over == json!(0), "{name} on the {suffix} hangs over by {over}");
        let Some(folder) = &pictures else { continue };
        for dark in [true, false] {
            browser.dark(dark).await?;
            let shade = if dark { "dark" } else { "light" };
            let file = folder.join(format!("{name}-{suffix}-{shade}.png"));
            browser.screenshot_whole(&file).await?;
        }
    }
    Ok(())
}

/// Signs somebody in by name and password.
pub async fn sign_in(browser: &Browser, base: &str, person: &str) -> Result<()> {
    let page = &browser.page;
    page.goto(&format!("{base}/login")).await?;
    for (field, text) in [("name", person), ("password", PASSWORD)] {
        let field = page.find(Locator::Css(&format!("input[name={field}]"))).await?;
        field.send_keys(text).await?;
    }
    page.find(Locator::Css("button.primary")).await?.click().await?;
    page.wait()
        .for_element(Locator::Css("nav[aria-label=Main]"))
        .await?;
    Ok(())
}

/// Signs somebody in and looks at these pages: path and name of the picture.
pub async fn look_at(site: &Site, person: &str, pages: &[(&str, &str)]) -> Result<()> {
    let base = format!("http://{}", site.serve().await);
    let mut scratch = Scratch::new()?;
    let browser = Browser::start(&scratch, "browser").await?;
    sign_in(&browser, &base, person).await?;
    for (path, name) in pages {
        browser.page.goto(&format!("{base}{path}")).await?;
        look(&browser, name).await?;
    }
    let errors = browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    browser.close().await?;
    scratch.ended_well();
    Ok(())
}
