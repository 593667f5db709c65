//! Something to look at, and a person who looks: pages over a database with an incident, a run that waits at a gate,
//! runbooks and a source in it, and a browser in which somebody is signed in.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use fantoccini::Locator;
use muster::{
    catalog,
    domain::{
        event::{IncidentFact, NewEvent},
        id::{ApprovalId, IncidentId, RunId},
        operator::{Actor, Operator, Role},
    },
    store::events,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::{
    fleet::{browser::Browser, scratch::Scratch},
    pages,
    support::site::Site,
};

/// The incident that everything is about.
pub const INCIDENT: IncidentId = IncidentId(1);
/// How long something that must come may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Browsers that are measured do not run beside each other.
static TURN: Mutex<()> = Mutex::const_new(());

/// The pages, and who works there.
pub struct Ground {
    pub site: Site,
    /// An admin, with her cookie.
    pub ana: (Operator, String),
    /// An approver.
    pub ben: (Operator, String),
    /// A responder.
    pub eve: (Operator, String),
    pub run: RunId,
    pub approval: ApprovalId,
}

impl Ground {
    pub async fn new() -> Self {
        let targets = "targets: [{ name: prom, tcp: { address: 'localhost:9090' } }]";
        let targets = Arc::new(catalog::parse_targets(targets).unwrap());
        let site = Site::with(|state| state.rehearser.targets = watch::channel(targets).1).await;
        let ana = site.person("ana", Role::Admin).await;
        let ben = site.person("ben", Role::Approver).await;
        let eve = site.person("eve", Role::Responder).await;
        pages::fire(&site, "CheckoutDatabaseDown", 12).await;
        let (run, approval) = pages::waiting_run(&site, &eve.0).await;
        Self {
            site,
            ana,
            ben,
            eve,
            run,
            approval,
        }
    }

    /// Writes this many notes at once; returns the number of the last one.
    pub async fn notes(&self, count: usize) -> i64 {
        let now = self.site.clock().now();
        let actor = || Actor::Person {
            id: self.eve.0.id,
            name: self.eve.0.name.clone(),
            via: self.eve.0.via.clone(),
        };
        let notes: Vec<NewEvent> = (0..count)
            .map(|number| {
                let text = format!("Looked at replica {number}: it is {} s behind.", number % 97);
                NewEvent::by(actor(), IncidentFact::Note { text, tag: None }, now)
            })
            .collect();
        let mut conn = self.site.conn().await;
        let mut last = 0;
        for batch in notes.chunks(1000) {
            last = events::append(&mut conn, INCIDENT, batch, now).await.unwrap();
        }
        drop(conn);
        self.site.state.wake.told();
        last
    }

    /// The numbers of all events that the timeline shows, the newest first.
    pub async fn shown(&self) -> Vec<i64> {
        let mut conn = self.site.conn().await;
        let filter = muster::web::view::lens::Filter::read("");
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let batch = events::list_after(&mut conn, INCIDENT, after, 1000)
                .await
                .unwrap();
            let Some(last) = batch.last() else { break };
            after = last.seq;
            let shown = batch.iter().filter(|recorded| filter.shows(&recorded.event));
            all.extend(shown.map(|recorded| recorded.seq));
        }
        all.reverse();
        all
    }
}

/// A browser, alone on the machine.
pub struct Eyes {
    pub browser: Browser,
    pub base: String,
    scratch: Scratch,
    _turn: MutexGuard<'static, ()>,
}

impl Eyes {
    pub async fn open(base: String) -> Result<Self> {
        let turn = TURN.lock().await;
        let scratch = Scratch::new()?;
        Ok(Self {
            browser: Browser::start(&scratch, "browser").await?,
            base,
            scratch,
            _turn: turn,
        })
    }

    /// Opens the pages of this ground as this person.
    pub async fn of(ground: &Ground, (_, cookie): &(Operator, String)) -> Result<Self> {
        let eyes = Self::open(format!("http://{}", ground.site.serve().await)).await?;
        eyes.become_(cookie).await?;
        Ok(eyes)
    }

    /// Takes this person's place, whoever was here before.
    pub async fn become_(&self, cookie: &str) -> Result<()> {
        let (name, value) = cookie.split_once('=').context("a cookie has a name")?;
        let cookie = json!({"name": name, "value": value, "url": self.base, "httpOnly": true});
        let set = self.browser.devtools("Network.setCookie", cookie).await?;
        ensure!(set["success"] == true, "the cookie was not taken: {set}");
        Ok(())
    }

    pub async fn go(&self, path: &str) -> Result<()> {
        Ok(self.browser.page.goto(&format!("{}{path}", self.base)).await?)
    }

    pub async fn run(&self, script: &str, argument: Value) -> Result<Value> {
        Ok(self.browser.page.execute(script, vec![argument]).await?)
    }

    /// What `script` tells once it is not `null` or `false`; it is asked again and again.
    pub async fn until(&self, what: &str, script: &str, argument: Value) -> Result<Value> {
        let begun = std::time::Instant::now();
        loop {
            let told = self.run(script, argument.clone()).await?;
            if !matches!(told, Value::Null | Value::Bool(false)) {
                return Ok(told);
            }
            if begun.elapsed() > PATIENCE {
                let page = self.run("return document.body.innerText", Value::Null).await?;
                anyhow::bail!("never: {what}\n{}", page.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the page says that it is live.
    pub async fn live(&self) -> Result<()> {
        let script = "return document.getElementById('live-word')?.textContent.startsWith('Live')";
        self.until("the page is live", script, Value::Null)
            .await
            .map(drop)
    }

    pub async fn click(&self, css: &str) -> Result<()> {
        let element = self.browser.page.wait().for_element(Locator::Css(css)).await?;
        Ok(element.click().await?)
    }

    /// Ends the browser and leaves nothing.
    pub async fn close(mut self) -> Result<()> {
        self.browser.close().await?;
        self.scratch.ended_well();
        Ok(())
    }
}
