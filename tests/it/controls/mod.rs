//! Every word of people over gates, runs and steps: through the form a page really shows and as JSON, with a real engine
//! that carries the run on and a target that counts.

mod asked;
mod careful;
mod gates;
mod glass;
mod named;
mod resume;
mod runs;
mod screen;
mod shown;
mod step_pages;
mod target;
mod trust;
mod unknown;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use muster::{
    actions::{Bounds, Outside},
    catalog::{parse_runbook, parse_targets},
    domain::{
        id::{ApprovalId, RunId},
        operator::Role,
        run::{RunFact, RunResult},
        target::Targets,
    },
    execute::{
        engine::{Engine, EngineLimits},
        worker,
    },
    store::{self, approvals, events, operators, runbooks},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::target::Target;
use crate::{
    fleet::wait,
    support::site::{Answer, Site},
};

const LONG: Duration = Duration::from_secs(30);
const HOSTILE: &str = "</p><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}gnp";

/// The pages and an engine over one database, and the people who act.
struct Bench {
    site: Site,
    target: Target,
    targets: watch::Sender<Arc<Targets>>,
    engine: Arc<Engine>,
    /// Starts every run.
    ben: String,
    /// Approvers.
    ana: String,
    eve: String,
    /// A responder and a viewer.
    rob: String,
    vic: String,
}

fn targets(target: &Target) -> Arc<Targets> {
    let source = format!(
        "targets:\n  - {{ name: web, http: {{ url: \"http://{0}/\" }} }}\n  - {{ name: away, http: {{ url: \"http://127.0.0.1:9/\" }} }}\n",
        target.address
    );
    Arc::new(parse_targets(&source).unwrap())
}

impl Bench {
    /// An open incident and nothing that runs yet.
    async fn new() -> Self {
        let (site, target) = (Site::new().await, Target::start().await);
        let alert = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
            "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
        }]});
        let (status, answer) = site.intake.post("prom", alert.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let (_, ben) = site.person("ben", Role::Admin).await;
        let (_, ana) = site.person("ana", Role::Approver).await;
        let (_, eve) = site.person("eve", Role::Approver).await;
        let (_, rob) = site.person("rob", Role::Responder).await;
        let (_, vic) = site.person("vic", Role::Viewer).await;
        let targets = watch::Sender::new(targets(&target));
        let mut conn = site.conn().await;
        let engine = Arc::new(Engine::new(
            site.intake.database.pools.engine.clone(),
            Arc::new(Outside::new(Bounds::default())),
            site.state.standing.clone(),
            site.clock().clone(),
            site.state.wake.clone(),
            targets.subscribe(),
            operators::installation(&mut conn).await.unwrap(),
            EngineLimits::default(),
            worker::register(&mut conn).await.unwrap(),
        ));
        drop(conn);
        tokio::spawn(worker::run(engine.clone()));
        Self {
            site,
            target,
            targets,
            engine,
            ben,
            ana,
            eve,
            rob,
            vic,
        }
    }

    /// Publishes the source as the newest version of its runbook.
    async fn publish(&self, source: &str) {
        let runbook = parse_runbook(source)
            .unwrap_or_else(|faults| panic!("{faults:?}"))
            .runbook;
        let now = self.site.clock().now();
        runbooks::publish(&mut *self.site.conn().await, &runbook, source, "a test", now)
            .await
            .unwrap();
    }

    /// Publishes a runbook, and ben starts a run of it.
    async fn start(&self, source: &str) -> RunId {
        self.publish(source).await;
        let slug = parse_runbook(source).unwrap().runbook.slug;
        let made = self
            .json("/incidents/1/runs", &self.ben, json!({"runbook": slug}))
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        RunId(made.json()["run"].as_i64().unwrap())
    }

    /// The open request, once there is one other than `not`.
    async fn asked(&self, not: Option<ApprovalId>) -> ApprovalId {
        wait::until("a gate asks", LONG, async || {
            self.engine.wake.changed();
            let pending = approvals::list_pending(&mut *self.site.conn().await, None, 10).await?;
            let new = pending.iter().find(|approval| Some(approval.id) != not);
            Ok(new.ok_or_else(|| anyhow::anyhow!("nothing is asked"))?.id)
        })
        .await
        .unwrap()
    }

    /// The facts of a run, once one of them is as wanted.
    async fn until(&self, run: RunId, what: &str, is_it: impl Fn(&RunFact) -> bool) -> Vec<RunFact> {
        wait::until(what, LONG, async || {
            self.engine.wake.changed();
            let facts = self.facts(run).await;
            anyhow::ensure!(facts.iter().any(&is_it), "{facts:#?}");
            Ok(facts)
        })
        .await
        .unwrap()
    }

    async fn facts(&self, run: RunId) -> Vec<RunFact> {
        let log = events::run_log(&mut *self.site.conn().await, run).await.unwrap();
        log.into_iter().map(|(_, fact)| fact).collect()
    }

    /// How the run ended, once it has.
    async fn result(&self, run: RunId) -> RunResult {
        wait::until("the run ends", LONG, async || {
            self.engine.wake.changed();
            let found = store::runs::find(&mut *self.site.conn().await, run).await?;
            let result = found.and_then(|run| run.result);
            match result {
                Some(result) => Ok(result),
                None => anyhow::bail!("{:#?}", self.facts(run).await),
            }
        })
        .await
        .unwrap()
    }

    async fn page(&self, path: &str, cookie: &str) -> String {
        let answer = self.site.get(path, cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.text
    }

    /// Sends the form with this action as the page shows it, with what a person typed.
    async fn submit(&self, page: &str, action: &str, cookie: &str, typed: &[(&str, &str)]) -> Answer {
        let html = self.page(page, cookie).await;
        let hidden = form(&html, action).unwrap_or_else(|| panic!("no form {action} on {page}: {html}"));
        self.send(action, cookie, &hidden, typed).await
    }

    /// Sends a form with hidden fields that were read before.
    async fn send(
        &self,
        action: &str,
        cookie: &str,
        hidden: &[(String, String)],
        typed: &[(&str, &str)],
    ) -> Answer {
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<(&str, &str)> = hidden.chain(typed.iter().copied()).collect();
        self.site.post(action, cookie, &fields).await
    }

    /// The same, for a form that is accepted.
    async fn does(&self, page: &str, action: &str, cookie: &str, typed: &[(&str, &str)]) {
        let answer = self.submit(page, action, cookie, typed).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{action}: {}", answer.text);
    }

    async fn json(&self, path: &str, cookie: &str, body: Value) -> Answer {
        let path = format!("/api/v1{path}");
        self.site.post_json(&path, cookie, &body.to_string()).await
    }

    async fn get_json(&self, path: &str) -> Value {
        let answer = self.site.get(&format!("/api/v1{path}"), &self.vic).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json()
    }

    /// Approves at the gate's page.
    async fn approve(&self, approval: ApprovalId, cookie: &str) {
        let page = format!("/approvals/{approval}");
        self.does(
            &page,
            &format!("{page}/decision"),
            cookie,
            &[("verdict", "approve")],
        )
        .await;
    }

    async fn digest(&self, approval: ApprovalId) -> Value {
        self.get_json(&format!("/approvals/{approval}")).await["digest"].clone()
    }

    async fn state(&self, approval: ApprovalId) -> String {
        let body = self.get_json(&format!("/approvals/{approval}")).await;
        body["state"].as_str().unwrap().to_owned()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.engine.stopping.cancel();
    }
}

/// The hidden fields of the form with this action.
fn form(html: &str, action: &str) -> Option<Vec<(String, String)>> {
    let start = html.find(&format!("action=\"{action}\""))?;
    let form = html[start..].split("</form>").next()?;
    let attribute = |tag: &str, name: &str| {
        let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        Some(tag[start..].split('"').next()?.to_owned())
    };
    let inputs = form.split("<input type=\"hidden\"").skip(1);
    inputs
        .map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
        .collect()
}

/// An act of nobody: fields as a form sends them, with an operation of its own.
fn op() -> (String, String) {
    ("op".to_owned(), uuid::Uuid::new_v4().to_string())
}
