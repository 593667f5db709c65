//! The main job, whole, with nothing simulated: a Postgres primary is killed; Prometheus notices, Alertmanager posts,
//! Muster confirms, asks, and a person at a browser approves; Muster is killed itself between sending the promotion and
//! storing its answer, and started again; the standby is promoted once, traffic follows, writes work, the alert
//! resolves, the incident recovers, and the postmortem holds every fact in order.
//!
//! `MUSTER_PICTURES=folder` keeps pictures of what the person saw.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;
use muster::{
    domain::id::IncidentId,
    timeline::{
        actions::Actions,
        postmortem::{self, Postmortem},
    },
};
use serde_json::json;

use crate::{
    fleet::{
        Fleet,
        browser::{Browser, Screen},
        postgres::{DATABASE, MUSTER},
        prometheus::WRITES_WORK,
        wait,
    },
    scratch::Scratch,
    support::{
        database::Database,
        muster::{Setup, TOKEN},
    },
};

const PASSWORD: &str = "correct horse battery";
const LONG: Duration = Duration::from_secs(90);

/// The sample runbook as it is shipped, and targets that name this fleet.
fn write_runbooks(folder: &Path, fleet: &Fleet) -> Result<()> {
    let sample = include_str!("../../runbooks/postgres-primary-down.yaml");
    fs::write(folder.join("postgres-primary-down.yaml"), sample)?;
    let postgres = |port: u16| {
        json!({"host": "127.0.0.1", "port": port, "user": MUSTER.user, "database": DATABASE,
               "password": "env:CHECKOUT_PASSWORD"})
    };
    let targets = json!({"targets": [
        {"name": "checkout-primary", "environment": "prod", "postgres": postgres(fleet.primary.port)},
        {"name": "checkout-standby", "environment": "prod", "postgres": postgres(fleet.standby.port)},
        {"name": "checkout-log", "environment": "prod", "file": {"path": fleet.primary.log}},
        {"name": "checkout-lb", "environment": "prod", "haproxy": {"address": fleet.haproxy.admin_address()}},
        {"name": "prom", "prometheus": {"url": fleet.prometheus.url()}},
    ]});
    fs::write(folder.join("targets.yaml"), targets.to_string())?;
    Ok(())
}

fn add_admin(database_url: &str) -> Result<()> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["user", "add", "ana", "--role", "admin"])
        .env("DATABASE_URL", database_url)
        .stdin(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("no stdin")?, PASSWORD.as_bytes())?;
    ensure!(child.wait()?.success(), "ana was not added");
    Ok(())
}

/// The person: one browser, and where its pictures go.
struct Person {
    browser: Browser,
    base: String,
    pictures: Option<PathBuf>,
}

impl Person {
    async fn goes_to(&self, path: &str) -> Result<()> {
        Ok(self.browser.page.goto(&format!("{}{path}", self.base)).await?)
    }

    async fn signs_in(&self) -> Result<()> {
        self.goes_to("/incidents").await?;
        self.types("input[name=name]", "ana").await?;
        self.types("input[name=password]", PASSWORD).await?;
        self.presses("//button[normalize-space()='Sign in']").await?;
        self.sees("//h1").await
    }

    async fn types(&self, field: &str, text: &str) -> Result<()> {
        let field = self.browser.page.wait().for_element(Locator::Css(field)).await?;
        Ok(field.send_keys(text).await?)
    }

    async fn presses(&self, what: &str) -> Result<()> {
        let button = self
            .browser
            .page
            .wait()
            .at_most(LONG)
            .for_element(Locator::XPath(what))
            .await?;
        Ok(button.click().await?)
    }

    /// Waits for it without reloading: what comes later comes by the live stream.
    async fn sees(&self, what: &str) -> Result<()> {
        self.browser
            .page
            .wait()
            .at_most(LONG)
            .for_element(Locator::XPath(what))
            .await
            .with_context(|| format!("never saw {what}"))?;
        Ok(())
    }

    async fn takes_picture(&self, name: &str) -> Result<()> {
        if let Some(folder) = &self.pictures {
            self.browser
                .screenshot_whole(&folder.join(format!("{name}.png")))
                .await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_dead_primary_is_promoted_through_a_gate() -> Result<()> {
    let (database, scratch) = (Database::new().await, Scratch::new());
    let began = Instant::now();
    let stage = |what: &str| println!("{:6.1} s  {what}", began.elapsed().as_secs_f32());

    let mut fleet = Fleet::start().await?;
    write_runbooks(scratch.path(), &fleet)?;
    let mut setup = Setup::new(database.url(), scratch.path());
    setup
        .env
        .push(("CHECKOUT_PASSWORD".to_owned(), MUSTER.password.to_owned()));
    setup.env.push(("MUSTER_HOLD_DOWN".to_owned(), "3s".to_owned()));
    add_admin(&setup.database_url)?;
    let mut muster = setup.start(Some("before:outcome/promote"));
    fleet
        .alert_to(&muster.url("/api/v1/sources/test/alertmanager"), TOKEN)
        .await?;
    let pictures = std::env::var_os("MUSTER_PICTURES").map(PathBuf::from);
    let ana = Person {
        browser: fleet.browser().await?,
        base: muster.url(""),
        pictures,
    };
    wait::until("the pages answer", LONG, async || ana.signs_in().await).await?;
    stage("the fleet is healthy, Muster runs, ana has signed in");

    fleet.kill_primary();
    stage("the primary is killed");
    ana.sees("//li[starts-with(@id, 'inc-')]").await?;
    stage("the incident is on the list");
    ana.takes_picture("list").await?;
    ana.goes_to("/incidents/1").await?;
    ana.sees("//a[starts-with(@href, '/approvals/')]").await?;
    stage("the gate asks");
    assert_eq!(
        fleet.standby.times_asked("pg_promote")?,
        0,
        "nothing is promoted before the gate"
    );
    ana.takes_picture("incident-with-gate").await?;
    ana.presses("//button[normalize-space()='Acknowledge']").await?;
    ana.sees("//*[contains(., 'Acknowledged')]").await?;
    stage("ana has acknowledged");

    ana.browser.screen(Screen::Phone).await?;
    ana.goes_to("/approvals/1").await?;
    ana.takes_picture("approval-on-a-phone").await?;
    ana.presses("//button[@value='approve']").await?;
    stage("ana has approved");

    let died = wait::until("Muster dies with the promotion sent", LONG, async || {
        muster.ended().context("it lives")
    })
    .await?;
    stage(&format!("Muster was killed between sent and stored ({died})"));
    assert_eq!(fleet.standby.times_asked("pg_promote")?, 1);
    muster = setup.start(None);
    ended(&database).await?;
    stage("the run has ended");
    fleet.prometheus.becomes(WRITES_WORK, 1.).await?;
    assert_eq!(
        fleet.standby.times_asked("pg_promote")?,
        1,
        "the promotion is not sent twice"
    );
    assert!(!fleet.standby.is_in_recovery().await?);
    assert_eq!(fleet.haproxy.status("primary").await?, "MAINT");
    stage("writes work through the proxy");
    recovered(&database).await?;
    stage("the alert has resolved and the incident has recovered");

    ana.goes_to("/incidents/1").await?;
    ana.takes_picture("incident-on-a-phone").await?;
    ana.browser.screen(Screen::Desktop).await?;
    ana.goes_to("/incidents/1").await?;
    ana.takes_picture("incident-recovered").await?;
    ana.goes_to("/incidents/1/postmortem").await?;
    ana.sees("//h2[contains(., 'Open questions')]").await?;
    ana.takes_picture("postmortem").await?;
    let errors = ana.browser.console_errors().await?;
    // While Muster was dead, the page's requests were refused; nothing else may have gone wrong.
    let errors: Vec<String> = errors
        .into_iter()
        .filter(|error| !error.contains("net::ERR_"))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    ana.browser.close().await?;

    tells_everything_in_order(&database).await?;
    muster.kill();
    fleet.end();
    stage("the postmortem holds every fact in order");
    Ok(())
}

async fn ended(database: &Database) -> Result<()> {
    wait::until("the run succeeds", LONG, async || {
        let ended = database
            .count("select count(*) from runs where result = 'succeeded'")
            .await;
        ensure!(ended == 1, "{:?}", story(database).await?);
        Ok(())
    })
    .await
}

async fn recovered(database: &Database) -> Result<()> {
    wait::until("the incident recovers", LONG, async || {
        ensure!(
            database
                .count("select count(*) from incidents where state = 'resolved'")
                .await
                == 1
        );
        Ok(())
    })
    .await
}

async fn load(database: &Database) -> Result<Postmortem> {
    let mut conn = database.pools.web.acquire().await?;
    postmortem::load(&mut conn, IncidentId(1))
        .await?
        .context("no incident")
}

async fn story(database: &Database) -> Result<Vec<String>> {
    Ok(load(database)
        .await?
        .story
        .into_iter()
        .map(|row| row.sentence)
        .collect())
}

/// The facts that must be there, in this order; those of one line are of steps that run side by side.
const STORY: [&[&str]; 16] = [
    &["Opened as SEV1"],
    &["Alert fired: PostgresPrimaryDown"],
    &["Runbook postgres-primary-down v1 matched"],
    &["Started postgres-primary-down v1 by itself"],
    &["Is the primary of checkout really gone? done"],
    &[
        "What did it say last? done",
        "Is the standby there to take over? done",
    ],
    &["Promote the standby of checkout? waits for a decision"],
    &["Promote the standby of checkout? approved, 1 of 1"],
    &["Promote the standby of checkout: SQL"],
    &["Promote the standby of checkout: outcome unknown"],
    &["Promote the standby of checkout: done, as its verify probe shows"],
    &["Send traffic to the new primary: done"],
    &["Do writes work through the proxy? done"],
    &["The run succeeded"],
    &["Mitigated"],
    &["Recovered"],
];

async fn tells_everything_in_order(database: &Database) -> Result<()> {
    let postmortem = load(database).await?;
    for row in &postmortem.story {
        println!(
            "  {:>3} {} {:<10} {}",
            row.seq,
            row.occurred_at.format("%H:%M:%S%.3f"),
            row.actor,
            row.sentence
        );
    }
    let mut from = 0;
    for side_by_side in STORY {
        let mut after = from;
        for wanted in side_by_side {
            let rest = &postmortem.story[from..];
            let at = rest.iter().position(|row| row.sentence.starts_with(wanted));
            let at = at.with_context(|| format!("the story lacks \"{wanted}\" in its place"))?;
            after = after.max(from + at + 1);
        }
        from = after;
    }
    ensure!(
        postmortem
            .story
            .iter()
            .any(|row| row.sentence == "Acknowledged" && row.actor == "ana")
    );
    ensure!(postmortem.chain_holds == Some(true));
    let times = &postmortem.times;
    ensure!(times.detected_at <= times.opened_at && times.acknowledged_at < times.mitigated_at);
    ensure!(times.resolved_at.is_some() && times.waits.people_ms > 0);
    let markdown = postmortem.markdown(&Actions::default(), "");
    for heading in [
        "## Summary",
        "## Times",
        "## Runs",
        "## Story",
        "## Open questions",
        "## Actions",
    ] {
        ensure!(markdown.contains(heading), "no {heading}");
    }
    Ok(())
}
