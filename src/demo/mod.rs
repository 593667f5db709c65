//! `muster demo`: the main job on a simulated fleet. Everything but the fleet is the real thing: the private Postgres,
//! the intake, the engine, the gate, the pages.

pub mod fleet;

use std::{path::Path, time::Duration};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    app::App,
    clock::Clock,
    config::{self, Database, Serve},
    domain::{id::SourceId, operator::Role, span::Span},
    identity::password::Passwords,
    store::{operators, sources, tokens},
    web::session::{new_token, token_digest},
};
use fleet::Fleet;

const RUNBOOK: &str = include_str!("../../runbooks/demo/checkout-primary-down.yaml");
/// The drill a newcomer plays: a scenario of eight minutes with its runbook. Its twins need no targets.
const DRILL: &str = include_str!("../../runbooks/drills/checkout-primary-dead.yaml");
const DRILLED: &str = include_str!("../../runbooks/postgres-primary-down.yaml");
/// How long the printed link signs a newcomer in.
const LINK: TimeDelta = TimeDelta::hours(1);
/// How long after writes work again the demo's monitoring says so.
const MONITOR: Duration = Duration::from_secs(2);

/// A running demo.
pub struct Demo {
    /// Muster itself.
    pub app: App,
    /// What it acts on.
    pub fleet: Fleet,
    /// Signs the newcomer in and lands on the incidents.
    pub link: String,
    token: String,
    began: DateTime<Utc>,
}

impl Demo {
    /// Starts Muster and the fleet in `folder`.
    pub async fn start(demo: &config::Demo, folder: &Path, clock: Clock) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join("runbooks"))?;
        let fleet = Fleet::start(folder).await.context("starting the fleet")?;
        std::fs::write(folder.join("runbooks/checkout-primary-down.yaml"), RUNBOOK)?;
        std::fs::create_dir_all(folder.join("runbooks/drills"))?;
        std::fs::write(folder.join("runbooks/postgres-primary-down.yaml"), DRILLED)?;
        std::fs::write(folder.join("runbooks/drills/checkout-primary-dead.yaml"), DRILL)?;
        std::fs::write(folder.join("runbooks/targets.yaml"), fleet.targets())?;

        let mut config = Serve::over(Database {
            database_url: None,
            data: folder.to_owned(),
        });
        config.listen = demo.listen;
        config.runbooks = folder.join("runbooks");
        config.targets = None;
        config.sources = Vec::new();
        // A newcomer should see the recovery without waiting a minute for it.
        config.hold_down = Span::from_secs(5);
        let app = App::start(config, clock.clone(), None).await?;
        app.ready().await;

        let began = clock.now();
        let mut conn = app.pools.web.acquire().await?;
        let password = Passwords::default()
            .hash(new_token()?)
            .await
            .context("hashing a password")?;
        let newcomer = match operators::insert(&mut conn, "newcomer", &password, Role::Admin, began).await? {
            Some(id) => id,
            None => {
                operators::find_by_name(&mut conn, "newcomer")
                    .await?
                    .context("the newcomer is gone")?
                    .0
                    .id
            }
        };
        let (code, token) = (new_token()?, new_token()?);
        operators::insert_sign_in_code(&mut conn, token_digest(&code), newcomer, began + LINK).await?;
        let source: SourceId = sources::upsert(&mut conn, "demo", None, began).await?;
        // A folder that was used before: nobody knows the tokens of that process any more.
        for lost in tokens::list(&mut conn, source).await? {
            tokens::revoke(&mut conn, source, lost.id, began).await?;
        }
        sources::insert_token(&mut conn, source, token_digest(&token), began).await?;
        drop(conn);
        let link = format!("{}/enter/{code}", app.url());
        Ok(Self {
            app,
            fleet,
            link,
            token,
            began,
        })
    }

    /// Kills the fleet's primary and reports it, as Alertmanager would.
    pub async fn break_primary(&self) -> anyhow::Result<()> {
        self.fleet.kill_primary();
        self.post(self.alert("firing", None)).await
    }

    /// Waits until writes work again, then reports the alert as resolved.
    pub async fn report_recovery(&self, clock: &Clock) -> anyhow::Result<()> {
        self.fleet.writes_ok().wait_for(|ok| *ok).await?;
        tokio::time::sleep(MONITOR).await;
        self.post(self.alert("resolved", Some(clock.now()))).await
    }

    fn alert(&self, status: &str, ended: Option<DateTime<Utc>>) -> Value {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let labels = json!({
            "alertname": "CheckoutPrimaryDown", "cluster": "checkout", "env": "demo", "severity": "critical",
        });
        let annotations = json!({"summary": "Checkout database primary does not answer"});
        json!({
            "version": "4", "receiver": "muster", "status": status, "truncatedAlerts": 0,
            "groupKey": format!("{{}}:{{alertname=\"CheckoutPrimaryDown\", demo=\"{}\"}}", self.began.timestamp()),
            "groupLabels": {"alertname": "CheckoutPrimaryDown"},
            "commonLabels": labels, "commonAnnotations": annotations, "externalURL": "http://127.0.0.1:9093",
            "alerts": [{
                "status": status, "labels": labels, "annotations": annotations, "startsAt": text(self.began),
                "endsAt": ended.map_or("0001-01-01T00:00:00Z".to_owned(), text), "generatorURL": "",
            }],
        })
    }

    async fn post(&self, body: Value) -> anyhow::Result<()> {
        let url = format!("{}/api/v1/sources/demo/alertmanager", self.app.url());
        crate::actions::install_crypto();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client
            .post(url)
            .bearer_auth(&self.token)
            .json(&body)
            .send()
            .await?;
        anyhow::ensure!(
            answer.status().is_success(),
            "the intake answered {}",
            answer.status()
        );
        Ok(())
    }
}

/// Runs the demo until Ctrl-C, telling the newcomer what happens.
pub async fn run(demo: &config::Demo, stopped: impl Future<Output = ()>) -> anyhow::Result<()> {
    let clock = Clock::real();
    let folder = match &demo.data {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("muster-demo-{}", std::process::id())),
    };
    let running = Demo::start(demo, &folder, clock.clone()).await?;
    running.break_primary().await?;
    say(&format!(
        "\nThe primary of the demo's checkout database has just died, and its alert has been posted.\n\n  \
         Open  {}\n\nIt signs you in, once. Open the incident, read the evidence, approve the failover, watch the standby\n\
         take over, then read the postmortem. Afterwards practise such a night as a drill: {}/drills\nCtrl-C ends the demo.\n",
        running.link,
        running.app.url()
    ));
    let recovery = async {
        match running.report_recovery(&clock).await {
            Ok(()) => {
                say("Writes work again: the alert is resolved. The incident recovers in a few seconds.")
            }
            Err(error) => say(&format!("The recovery could not be reported: {error:#}")),
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = stopped => {}
        () = recovery => {}
    }
    running.app.stop().await;
    if demo.data.is_none() {
        std::fs::remove_dir_all(&folder).context("removing the demo's folder")?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the demo talks to the person at the terminal")]
fn say(text: &str) {
    println!("{text}");
}
