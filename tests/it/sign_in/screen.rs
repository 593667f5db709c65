//! Signing in and one's own account in a real browser with an authenticator, on a phone and on a desk, light and dark.
//! `MUSTER_PICTURES=folder` keeps pictures.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use fantoccini::Locator;
use muster::{domain::operator::Role, identity::account};
use serde_json::json;

use crate::{
    fleet::{
        browser::{Browser, Screen},
        ports,
        scratch::Scratch,
    },
    support::site::{PASSWORD, Site},
};

/// How far the page is wider than the screen.
const OVER: &str = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";

/// Looks at the page that is open: nothing hangs over, and there are pictures of it when they are wanted.
async fn look(browser: &Browser, name: &str) -> Result<()> {
    let pictures = std::env::var_os("MUSTER_PICTURES").map(PathBuf::from);
    for (screen, suffix) in [(Screen::Phone, "phone"), (Screen::Desktop, "desk")] {
        browser.screen(screen).await?;
        let over = browser.page.execute(OVER, vec![]).await?;
        ensure!(over == json!(0), "{name} on the {suffix} hangs over by {over}");
        for dark in [true, false] {
            browser.dark(dark).await?;
            if let Some(folder) = &pictures {
                let shade = if dark { "dark" } else { "light" };
                let file = folder.join(format!("sign-in-{name}-{suffix}-{shade}.png"));
                browser.screenshot_whole(&file).await?;
            }
        }
    }
    Ok(())
}

async fn press(browser: &Browser, css: &str) -> Result<()> {
    Ok(browser
        .page
        .wait()
        .for_element(Locator::Css(css))
        .await?
        .click()
        .await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_adds_a_passkey_and_signs_in_with_it_in_a_real_browser() -> Result<()> {
    let mut scratch = Scratch::new()?;
    let port = ports::free()?;
    let base = format!("http://localhost:{port}");
    let public = base.parse()?;
    let site = Site::with(|state| state.public_url = Some(public)).await;
    let (ana, _) = site.person("Ana Kovač", Role::Responder).await;
    site.serve_at(port).await;
    let browser = Browser::start(&scratch, "browser").await?;
    browser.authenticator().await?;
    let page = &browser.page;

    page.goto(&format!("{base}/me")).await?;
    page.wait()
        .for_element(Locator::Css("#passkey-sign-in:not([hidden])"))
        .await?;
    look(&browser, "login").await?;
    page.goto(&format!("{base}/login/recovery?next=/me")).await?;
    look(&browser, "recovery").await?;
    let code = account::invite(&mut *site.conn().await, ana.id, None, site.clock().now()).await?;
    page.goto(&format!("{base}/enter/{code}")).await?;
    look(&browser, "invitation").await?;

    page.goto(&format!("{base}/login?next=/me")).await?;
    for (field, text) in [("name", "Ana Kovač"), ("password", PASSWORD)] {
        let field = page.find(Locator::Css(&format!("input[name={field}]"))).await?;
        field.send_keys(text).await?;
    }
    press(&browser, "form.stack:not(#passkey-sign-in) button.primary").await?;
    press(&browser, "#passkey-add:not([hidden]) button").await?;
    page.wait()
        .for_element(Locator::XPath(
            "//p[@role='status'][contains(., 'passkey is added')]",
        ))
        .await?;
    press(&browser, "form[action='/me/recovery-codes'] button").await?;
    page.wait().for_element(Locator::Css("#codes-head")).await?;
    look(&browser, "codes").await?;
    page.goto(&format!("{base}/me")).await?;
    look(&browser, "me").await?;

    // Out, and in again to an exact link, without typing a name.
    page.execute(
        "document.querySelector(\"form[action='/logout']\").requestSubmit()",
        vec![],
    )
    .await?;
    page.wait()
        .for_element(Locator::Css("#passkey-sign-in:not([hidden])"))
        .await?;
    page.goto(&format!("{base}/incidents?state=open")).await?;
    press(&browser, "#passkey-sign-in:not([hidden]) button").await?;
    page.wait()
        .for_element(Locator::Css("nav[aria-label=Main]"))
        .await?;
    let landed = page.current_url().await?;
    ensure!(
        landed.as_str() == format!("{base}/incidents?state=open"),
        "{landed}"
    );
    page.goto(&format!("{base}/me")).await?;
    let sessions = page.find(Locator::Css("#sessions")).await?.text().await?;
    ensure!(sessions.contains("by passkey"), "{sessions}");
    let errors = browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    browser.close().await?;
    scratch.ended_well();
    Ok(())
}
