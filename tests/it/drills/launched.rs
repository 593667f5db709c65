//! Game days by their pages: begun from the launch form by a person who reads what will really be done, refused where none
//! is played; two faults over one thing; a fault that nobody can see end and that an admin declares over.

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Child, Command},
};

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use fantoccini::Locator;
use muster::{
    domain::{id::DrillId, operator::Role},
    identity::password::Passwords,
    store::operators,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::redirect::Policy;
use serde_json::json;
use uuid::Uuid;

use super::{
    game_day::{LOOK, closed, fault_is},
    stage::{SOON, Stage},
};
use crate::{
    fleet::{browser::Browser, scratch, wait},
    scratch::Scratch,
    support::{screen, site::PASSWORD},
};

const SCENARIO: &str = "
scenario: small
title: Small
summary: S
brief: B
length: 5m
runbooks: [look]
world: { services: { app: { state: { up: true } } } }
game_day:
  targets: { app: drill-app, other: drill-other }
  measures:
    - { check: tcp, with: { target: app }, set: { app.up: '{{ result.ok }}' } }
  steady: app.up
alerts: [{ labels: { alertname: Ill }, while: not app.up }]
injects:
  - { id: first, title: It hangs, after: 1s, fault: { target: app, cause: hang, for: 1m } }
SECOND
expected: [{ id: take, acknowledge: true, within: 1m }]
";
const HERE: [(&str, &str); 1] = [("MUSTER_GAME_DAY_HOST", "here")];

/// A process that only waits, with its pid file and a link to that.
struct Sleeper {
    child: Child,
    folder: Scratch,
}

impl Sleeper {
    fn new() -> Result<Self> {
        let folder = Scratch::new();
        symlink("pid", folder.path().join("link"))?;
        let mut sleeper = Self {
            child: Command::new("sleep").arg("600").spawn()?,
            folder,
        };
        sleeper.write()?;
        Ok(sleeper)
    }

    /// The same under another number, once it was killed.
    fn again(&mut self) -> Result<()> {
        self.child.wait()?;
        self.child = Command::new("sleep").arg("600").spawn()?;
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        Ok(fs::write(
            self.folder.path().join("pid"),
            format!("{}\n", self.child.id()),
        )?)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn is_still(&self) -> Result<bool> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        Ok(stat.contains(") T "))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Two targets; the second names the first one's process by another path.
fn targets(sleeper: &Sleeper, harm: &str) -> String {
    let target = |name: &str, pid_file: &str| {
        let mut fault = json!({"pid_file": sleeper.path(pid_file), "name": "sleep"});
        if harm == "kill" {
            fault["restore"] = json!(["/bin/sh", "-c", "echo the disk is broken; exit 3"]);
        }
        json!({"name": name, "environment": "drill", "tcp": {"address": "127.0.0.1:REAL_PORT"},
               "faults": {"hang": {harm: fault}}})
    };
    json!({"targets": [target("drill-app", "pid"), target("drill-other", "link")]}).to_string()
}

async fn stage(targets: &str, second: &str, settings: &[(&str, &str)]) -> Stage {
    let scenario = SCENARIO.replace("SECOND\n", second);
    let stage = Stage::with(&[("look", LOOK)], &scenario, targets, settings).await;
    let published = "select count(*) from scenarios where current_version_id is not null";
    stage.counts(published, 1).await;
    stage
}

/// Somebody who is signed in and fills in forms.
struct Person {
    client: reqwest::Client,
    base: String,
    cookie: String,
}

impl Person {
    async fn sign_in(stage: &Stage, name: &str) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
        let mut person = Self {
            client: client.build()?,
            base: stage.muster.url(""),
            cookie: String::new(),
        };
        let fields = [("name", name), ("password", PASSWORD)];
        let answer = person.send("/login", &fields).await?;
        let set = answer
            .headers()
            .get("set-cookie")
            .context("nobody is signed in")?;
        person.cookie = set.to_str()?.split(';').next().unwrap_or_default().to_owned();
        Ok(person)
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Result<reqwest::Response> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request
            .header("cookie", &self.cookie)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        Ok(request.body(body).send().await?)
    }

    /// Sends a form; its answer.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<(StatusCode, String)> {
        let op = Uuid::new_v4().to_string();
        let fields: Vec<(&str, &str)> = [("op", op.as_str())].into_iter().chain(fields.to_vec()).collect();
        let answer = self.send(path, &fields).await?;
        Ok((answer.status(), answer.text().await?))
    }

    async fn read(&self, path: &str) -> Result<String> {
        let request = self.client.get(format!("{}{path}", self.base));
        Ok(request
            .header("cookie", &self.cookie)
            .send()
            .await?
            .text()
            .await?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_reads_what_will_be_done_and_begins_the_game_day_in_a_browser() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let stage = stage(&targets(&sleeper, "pause"), "", &HERE).await;
    let base = stage.muster.url("");
    let files = scratch::Scratch::new()?;
    let browser = Browser::start(&files, "browser").await?;
    screen::sign_in(&browser, &base, "ana").await?;
    let page = &browser.page;
    page.goto(&format!("{base}/drills/scenarios/small")).await?;
    let told = page.find(Locator::Css("#breaks")).await?.text().await?;
    for words in [
        "This is real.",
        "On the machine here",
        "drill-app",
        "makes the process sleep of",
        &sleeper.path("pid"),
        "for at most 1 min",
    ] {
        ensure!(told.contains(words), "{words} is not said: {told}");
    }
    ensure!(!sleeper.is_still()?, "reading breaks nothing");
    screen::look(&browser, "game-day-launch").await?;
    page.find(Locator::Css("form[action='/drills'] button.primary"))
        .await?
        .click()
        .await?;
    page.wait().for_element(Locator::Css("#drill-faults")).await?;
    let address = page.current_url().await?;
    let id = DrillId(address.path().rsplit('/').next().context("no drill")?.parse()?);
    fault_is(&stage, id, "caused").await?;
    ensure!(sleeper.is_still()?, "it is really broken");
    wait::until("the console says so", SOON, async || {
        let told = page.find(Locator::Css("#drill-faults")).await?.text().await?;
        ensure!(told.contains("hang of app stands"), "{told}");
        Ok(())
    })
    .await?;
    screen::look(&browser, "game-day-stands").await?;
    browser.close().await?;
    stage.end(id).await;
    closed(&stage, id, || {}).await?;
    ensure!(!sleeper.is_still()?, "it goes on");
    Ok(())
}

#[tokio::test]
async fn where_no_game_day_is_played_the_form_says_so_and_begins_none() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let stage = stage(&targets(&sleeper, "pause"), "", &[]).await;
    let ana = Person::sign_in(&stage, "ana").await?;
    let page = ana.read("/drills/scenarios/small").await?;
    ensure!(page.contains("This Muster plays no game days"), "{page}");
    ensure!(!page.contains("This is real."), "{page}");
    let fields = [("scenario", "small"), ("depth", "game_day"), ("start", "now")];
    let (status, page) = ana.post("/drills", &fields).await?;
    ensure!(status == StatusCode::UNPROCESSABLE_ENTITY, "{status}: {page}");
    ensure!(page.contains("start it with --game-day-host"), "{page}");
    ensure!(stage.database.count("select count(*) from drills").await == 0);
    Ok(())
}

#[tokio::test]
async fn a_second_fault_over_the_same_thing_is_refused_and_the_first_goes_on() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let second =
        "  - { id: second, title: Again, after: 4s, fault: { target: other, cause: hang, for: 1m } }\n";
    let stage = stage(&targets(&sleeper, "pause"), second, &HERE).await;
    let id = stage.begin().await;
    let error: String = wait::until("the second was looked at", SOON, async || {
        let found =
            sqlx::query_scalar("select error from drill_faults where inject = 'second' and state = 'failed'");
        found
            .fetch_optional(&mut *stage.conn().await)
            .await?
            .with_context(|| stage.setup.logged())
    })
    .await?;
    let pid_file = fs::canonicalize(sleeper.path("pid"))?;
    ensure!(
        error
            == format!(
                "the process of {} is under another fault until that is over: hang of drill-app in {}",
                pid_file.display(),
                muster::domain::drill::name(id)
            ),
        "{error}"
    );
    ensure!(
        sleeper.is_still()?,
        "the first was not taken back with the second"
    );
    // Nobody can write it otherwise, whatever looks before.
    let other = sqlx::query(
        "insert into drill_faults (drill_id, inject, target, cause, target_name, lasting_ms, state, what, planned_at,
                                   due, host, acts_on)
         select drill_id, 'third', target, cause, 'drill-third', lasting_ms, 'causing', what, planned_at, due, host, acts_on
         from drill_faults where inject = 'first'",
    );
    let refused = other.execute(&mut *stage.conn().await).await.unwrap_err();
    ensure!(refused.to_string().contains("drill_faults_apart"), "{refused}");
    stage.end(id).await;
    closed(&stage, id, || {}).await?;
    ensure!(!sleeper.is_still()?, "the first is taken back");
    Ok(())
}

#[tokio::test]
async fn a_fault_that_nobody_can_see_end_is_declared_over_by_an_admin_and_blocks_nobody_any_more()
-> Result<()> {
    let mut sleeper = Sleeper::new()?;
    let stage = stage(&targets(&sleeper, "kill"), "", &HERE).await;
    let hash = Passwords::default().hash(PASSWORD.to_owned()).await?;
    let mut conn = stage.conn().await;
    operators::insert(&mut conn, "ben", &hash, Role::Responder, stage.now()).await?;
    drop(conn);
    let (ana, ben) = (
        Person::sign_in(&stage, "ana").await?,
        Person::sign_in(&stage, "ben").await?,
    );
    let id = stage.begin().await;
    fault_is(&stage, id, "caused").await?;
    let page = format!("/drills/{id}");
    let declare = format!("{page}/declare-over");
    let words = [("inject", "first"), ("reason", "I have looked: it is <gone>")];

    let standing = ana.read(&page).await?;
    ensure!(
        standing.contains("What is known of <bdi>hang of app</bdi>") && !standing.contains("Declare it over"),
        "what Muster has in hand is not declared over: {standing}"
    );
    let (status, refused) = ana.post(&declare, &words).await?;
    ensure!(status == StatusCode::UNPROCESSABLE_ENTITY, "{status}: {refused}");
    stage.end(id).await;
    wait::until("it was tried in vain", SOON, async || {
        let page = ana.read(&page).await?;
        ensure!(page.contains("Declare it over"), "{page}");
        ensure!(page.contains("the disk is broken"), "{page}");
        ensure!(
            page.contains("drill-app") && page.contains(&sleeper.path("pid")),
            "{page}"
        );
        Ok(())
    })
    .await?;
    let (status, refused) = ben.post(&declare, &words).await?;
    ensure!(status == StatusCode::FORBIDDEN, "{status}: {refused}");
    let (status, refused) = ana
        .post(&declare, &[("inject", "first"), ("reason", " ")])
        .await?;
    ensure!(status == StatusCode::UNPROCESSABLE_ENTITY, "{status}: {refused}");
    let (status, done) = ana.post(&declare, &words).await?;
    ensure!(status == StatusCode::SEE_OTHER, "{status}: {done}");
    let (status, _) = ana.post(&declare, &words).await?;
    ensure!(status == StatusCode::CONFLICT, "{status}: it is over");

    fault_is(&stage, id, "declared").await?;
    let told = ana.read(&page).await?;
    ensure!(
        told.contains("was declared over, which nobody saw: I have looked: it is &#60;gone&#62;"),
        "{told}"
    );
    let audit = ana.read("/audit").await?;
    ensure!(
        audit.contains("declared a real fault over that nobody saw end")
            && audit.contains("hang of drill-app"),
        "{audit}"
    );
    closed(&stage, id, || {}).await?;
    let cleanup = stage
        .score(id)
        .await
        .score
        .cleanup
        .context("nothing was broken")?;
    ensure!(!cleanup.is_proven(), "nobody saw it: {cleanup:?}");
    ensure!((cleanup.faults.done, cleanup.faults.of) == (0, 1));

    sleeper.again()?;
    let next = stage.begin().await;
    fault_is(&stage, next, "caused").await?;
    Ok(())
}
