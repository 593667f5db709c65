//! Every page in every state, as a person meets it: light and dark, on a desk and on a phone, with twice the text. Pages
//! come from the route table and specimens from the gallery, so that a new one is walked without anybody adding it here.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Result, ensure};
use axum::http::{Method, StatusCode};
use muster::{
    domain::id::ReplicaId,
    identity::account,
    store::boots,
    web::{self, gallery},
};
use serde_json::json;

use super::{
    axe::{Axe, Look},
    ground::{Eyes, Ground},
};

const MEASURE: &str = include_str!("../../data/bars/measure.js");

/// Routes that are no pages of their own, by how they begin.
const NO_PAGES: &[&str] = &[
    "/api/",
    "/dev/",
    "/static/",
    "/live",
    "/healthz",
    "/readyz",
    "/metrics",
    "/login/provider",
];

/// Pages of things that are not on this ground; specimens of the gallery stand for them.
const ELSEWHERE: &[&str] = &[
    // It leads on to the gate.
    "/a/{code}",
    // A run that has ended, and a file of targets.
    "/runs/{id}/resume",
    "/settings/targets/{name}",
    // A step that has begun.
    "/runs/{id}/steps/{step}/output",
    // A scenario and a drill of it.
    "/drills/scenarios/{slug}",
    "/drills/{id}",
    "/drills/{id}/score",
];

/// How routes end that give a file and not a page.
const FILES: &[&str] = &[".ics", "/file"];

/// Something that a page does not keep.
struct Fault {
    page: String,
    at: &'static str,
    what: String,
}

/// How a page is looked at: width, height, whether that is a phone.
const DESK: (u32, u32, bool) = (1280, 900, false);
const PHONE: (u32, u32, bool) = (360, 740, true);
const SMALLEST: (u32, u32, bool) = (320, 640, true);

struct Walker {
    eyes: Eyes,
    axe: Option<Axe>,
    pictures: Option<PathBuf>,
    faults: Vec<Fault>,
    looks: usize,
}

impl Walker {
    fn fault(&mut self, page: &str, at: &'static str, what: String) {
        self.faults.push(Fault {
            page: page.to_owned(),
            at,
            what,
        });
    }

    async fn screen(&self, (width, height, mobile): (u32, u32, bool)) -> Result<()> {
        self.eyes.browser.resize(width, height, 1, mobile).await
    }

    async fn rules(&mut self, page: &str, at: &'static str, look: Look) -> Result<()> {
        self.looks += 1;
        let Some(axe) = &self.axe else { return Ok(()) };
        for broken in axe.look(&self.eyes, look).await? {
            let what = format!("{}: {} — {}", broken.rule, broken.help, broken.target);
            self.fault(page, at, what);
        }
        Ok(())
    }

    async fn measure(&mut self, page: &str, at: &'static str, asked: serde_json::Value) -> Result<()> {
        let found = self.eyes.run(MEASURE, asked).await?;
        for what in serde_json::from_value::<Vec<String>>(found)? {
            self.fault(page, at, what);
        }
        Ok(())
    }

    async fn picture(&self, page: &str, at: &str) -> Result<()> {
        let Some(folder) = &self.pictures else {
            return Ok(());
        };
        let name = page.trim_matches('/').replace(['/', '?', '='], "-");
        let file = folder.join(format!("{name}-{at}.png"));
        self.eyes.browser.screenshot_whole(&file).await
    }

    async fn page(&mut self, page: &str) -> Result<()> {
        self.screen(DESK).await?;
        self.eyes.browser.dark(false).await?;
        self.eyes.go(page).await?;
        if let Some(axe) = &self.axe {
            axe.bring(&self.eyes).await?;
        }
        self.rules(page, "desk light", Look::Whole).await?;
        self.measure(page, "desk light", json!({"targets": true})).await?;
        self.picture(page, "desk-light").await?;
        self.eyes.browser.dark(true).await?;
        self.rules(page, "desk dark", Look::Colours).await?;
        self.picture(page, "desk-dark").await?;

        self.screen(PHONE).await?;
        self.picture(page, "phone-dark").await?;
        let asked = json!({"targets": true, "actions": true, "unfold": true});
        self.measure(page, "phone", asked).await?;
        self.rules(page, "phone dark", Look::Colours).await?;
        self.eyes.browser.dark(false).await?;
        self.rules(page, "phone light", Look::Whole).await?;
        self.picture(page, "phone-light-unfolded").await?;

        self.screen(SMALLEST).await?;
        self.measure(page, "320 px", json!({})).await?;
        self.screen(PHONE).await?;
        self.measure(page, "phone, text twice as large", json!({"double": true}))
            .await?;
        for error in self.eyes.browser.console_errors().await? {
            // A page that says that something is missing or not allowed comes with that status.
            if !error.contains("the server responded with a status of 4") {
                self.fault(page, "console", error);
            }
        }
        Ok(())
    }

    /// Everything that was found, in one table.
    fn end(self) -> Result<()> {
        let mut table = String::new();
        for Fault { page, at, what } in &self.faults {
            _ = writeln!(table, "{page:<44} {at:<28} {what}");
        }
        ensure!(self.faults.is_empty(), "{} faults\n{table}", self.faults.len());
        Ok(())
    }
}

/// The address of a page on this ground.
async fn address(ground: &Ground, path: &str) -> Result<String> {
    if path.starts_with("/enter/") {
        let mut conn = ground.site.conn().await;
        let code = account::invite(&mut conn, ground.eve.0.id, None, ground.site.clock().now()).await?;
        return Ok(path.replace("{code}", &code));
    }
    let id = match path.split('/').nth(1) {
        Some("runs") => ground.run.to_string(),
        Some("approvals" | "a") => ground.approval.to_string(),
        Some("settings") => ground.eve.0.id.0.to_string(),
        _ => "1".to_owned(),
    };
    let mut address = path.to_owned();
    for (name, value) in [
        ("{id}", id.as_str()),
        ("{run}", &ground.run.to_string()),
        ("{slug}", "drain"),
        ("{name}", "prom"),
        ("{step}", "drain"),
        ("{n}", "1"),
    ] {
        address = address.replace(name, value);
    }
    Ok(address)
}

/// What only some pages show: a proposal, and a start.
async fn furnish(ground: &Ground) -> Result<()> {
    let yaml = |title: &str| {
        format!("runbook: shop\ntitle: {title}\nreview: 1\nsteps: [{{ id: pause, wait: 1s }}]\n")
    };
    for title in ["Shop", "Shop again"] {
        let body = json!({"yaml": yaml(title), "note": "why"}).to_string();
        let answer = ground
            .site
            .post_json("/api/v1/runbooks", &ground.ben.1, &body)
            .await;
        ensure!(answer.status.is_success(), "{}", answer.text);
    }
    let now = ground.site.clock().now();
    let mut conn = ground.site.conn().await;
    let mut tx = sqlx::Connection::begin(&mut *conn).await?;
    let replica: i64 =
        sqlx::query_scalar("insert into replicas (started_at, lease_until) values ($1, $1) returning id")
            .bind(now)
            .fetch_one(&mut *tx)
            .await?;
    let found = boots::look(&mut tx).await?;
    boots::insert(&mut tx, ReplicaId(replica), &found, now, now).await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_in_every_state_keeps_the_bars() -> Result<()> {
    let ground = Ground::new().await;
    furnish(&ground).await?;
    let note = ground.notes(1).await;
    let mut walker = Walker {
        axe: Axe::fetched()?,
        eyes: Eyes::of(&ground, &ground.ana).await?,
        pictures: std::env::var_os("MUSTER_PICTURES").map(PathBuf::from),
        faults: Vec::new(),
        looks: 0,
    };
    let only = std::env::var("MUSTER_BARS_ONLY").unwrap_or_default();

    let mut pages: Vec<String> = Vec::new();
    for specimen in gallery::specimens() {
        pages.push(format!("/dev/gallery/{}/{}", specimen.page, specimen.state));
    }
    pages.push("/nowhere".to_owned());
    for route in web::table() {
        let is_page = !NO_PAGES.iter().any(|start| route.path.starts_with(start))
            && !FILES.iter().any(|end| route.path.ends_with(end));
        if route.method != Method::GET || !is_page || ELSEWHERE.contains(&route.path.as_str()) {
            continue;
        }
        let page = match &*route.path {
            "/runbooks/{slug}/proposals/{id}" => "/runbooks/shop/proposals/1".to_owned(),
            "/incidents/{id}/notes/{seq}" => format!("/incidents/1/notes/{note}"),
            path => address(&ground, path).await?,
        };
        let answer = ground.site.get(&page, &ground.ana.1).await;
        let is_html = answer.header("content-type").starts_with("text/html");
        match answer.status {
            StatusCode::NOT_FOUND => {
                let status = answer.status;
                let what = format!(
                    "answers {status}: give this ground something to show in {}",
                    file!()
                );
                walker.fault(&page, "", what);
            }
            status if is_html && !status.is_redirection() => pages.push(page),
            _ => {}
        }
    }
    pages.retain(|page| page.contains(&only));
    let begun = std::time::Instant::now();
    for page in &pages {
        walker.page(page).await?;
    }
    println!(
        "{} pages, {} looks of axe, {:.0?}",
        pages.len(),
        walker.looks,
        begun.elapsed()
    );
    walker.end()
}
