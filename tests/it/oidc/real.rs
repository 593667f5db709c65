//! A real identity provider, and a person with a browser in between. Skipped, with a line that says so, where there is no
//! node or the provider cannot be had.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;
use nix::sys::signal::Signal;

use super::{SECRET, site_with};
use crate::fleet::{
    browser::{Browser, Screen},
    ports,
    process::{self, Process, Program},
    prometheus::get,
    scratch::Scratch,
};

/// The certified provider, in the last line that runs on every node that is kept up.
const PACKAGE: &str = "oidc-provider@8.8.1";

const NODE: Program = Program {
    names: &["node"],
    package: "nodejs",
};
const NPM: Program = Program {
    names: &["npm"],
    package: "npm",
};

/// The folder with the provider in it, fetched once for all runs; `None` where it cannot be had.
fn fetched() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider");
    if folder.join("node_modules/oidc-provider/package.json").is_file() {
        return Some(folder);
    }
    std::fs::create_dir_all(&folder).ok()?;
    let mut npm = Command::new(NPM.find().ok()?);
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ]);
    npm.arg(&folder).arg(PACKAGE);
    let fetched = npm.output().ok()?;
    fetched.status.success().then_some(folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_by_a_real_provider_and_lands_on_the_exact_link() -> Result<()> {
    let (Some(folder), Ok(node)) = (fetched(), NODE.find()) else {
        println!("skipped: node or {PACKAGE} cannot be had here");
        return Ok(());
    };
    let mut scratch = Scratch::new()?;
    let (port, own) = (ports::free()?, ports::free()?);
    let base = format!("http://localhost:{own}");
    std::fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/oidc/provider.mjs"),
        folder.join("provider.mjs"),
    )?;
    let mut command = process::command(&node, None, Signal::SIGKILL)?;
    command.arg(folder.join("provider.mjs")).arg(port.to_string());
    command.arg(format!("{base}/login/provider/back"));
    let mut provider = Process::start("provider", command, &scratch.log("provider"))?;
    provider
        .ready(Duration::from_secs(30), async || {
            get(port, "/.well-known/openid-configuration", &[])
                .await
                .map(drop)
        })
        .await?;

    let site = site_with(&format!("http://127.0.0.1:{port}"), None, &base, SECRET).await;
    // The provider reads the real time.
    site.clock().set(muster::clock::Clock::real().now());
    site.person("root", muster::domain::operator::Role::Admin).await;
    site.serve_at(own).await;
    let browser = Browser::start(&scratch, "browser").await?;
    browser.screen(Screen::Desktop).await?;
    let page = &browser.page;
    page.goto(&format!("{base}/incidents?state=open&q=a%26b")).await?;
    page.find(Locator::LinkText("Sign in with Example ID"))
        .await?
        .click()
        .await?;
    let name = page.wait().for_element(Locator::Css("input[name=login]")).await?;
    name.send_keys("mia").await?;
    page.find(Locator::Css("input[name=password]"))
        .await?
        .send_keys("whatever")
        .await?;
    page.find(Locator::Css("button[type=submit]"))
        .await?
        .click()
        .await?;
    // Their consent, once.
    page.wait()
        .for_element(Locator::XPath("//button[contains(., 'Continue')]"))
        .await?
        .click()
        .await?;
    page.wait()
        .at_most(Duration::from_secs(20))
        .for_element(Locator::Css("nav[aria-label=Main]"))
        .await
        .context("nobody was let in")?;
    let landed = page.current_url().await?;
    ensure!(
        landed.as_str() == format!("{base}/incidents?state=open&q=a%26b"),
        "{landed}"
    );
    let me = page.find(Locator::Css("header")).await?.text().await?;
    ensure!(me.contains("mia"), "{me}");
    browser.close().await?;
    scratch.ended_well();
    Ok(())
}
