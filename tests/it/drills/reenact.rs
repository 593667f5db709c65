//! A real incident is played again as a drill: on its pages, by people, and unattended; and an action item that demands it
//! is closed by nothing less.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::ensure;
use axum::{Json, Router, extract::State, http::StatusCode, routing};
use muster::{
    cli::drill::theatre::Theatre,
    clock::Clock,
    domain::{
        action_item::ItemState,
        approval::Verdict,
        drill::Depth,
        id::{DrillId, IncidentId, OperatorId, RunId, ScenarioVersionId},
        operator::{Actor, Role},
        sign_in::{Arrival, Way},
        target::Targets,
    },
    drill::{
        self, DrillError, NewPlan,
        items::{self, Draft},
        reenact,
    },
    execute::people,
    incident::respond,
    simulate::{Simulator, SimulatorParts},
    store::{
        action_items::{self, Closing, Origin, Wanted},
        approvals, operators, scenarios,
    },
    web::session::{self, SessionLimits},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::stage::{SOON, Stage};
use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{database::Database, site::Site, word::word},
};

/// It looks, asks, mends once, and proves it.
const RUNBOOK: &str = r#"
runbook: mend
title: Mend it
match: ['alertname="Broken", env="prod"']
start: automatic
steps:
  - id: look
    phase: detect
    check: http
    with: { target: app, path: /state }
    expect: not result.body.up
  - id: ask
    gate: { approvals: 1, roles: [approver] }
  - id: mend
    phase: restore
    call: http
    with: { target: app, method: POST, path: /mend }
    effect: once
    verify: { check: http, with: { target: app, path: /state }, expect: result.body.up, until: { every: 200ms, within: 5s } }
  - id: proof
    phase: verify
    check: http
    with: { target: app, path: /state }
    expect: result.body.up
"#;
/// What it asks besides from one day on.
const ASKS_MORE: &str = "  - { id: backup, phase: detect, check: http, with: { target: app, path: /backup }, on_failure: continue }\n  - id: ask\n";

const SCENARIO: &str = r#"
scenario: scene
title: Another one
summary: It is there because a stage has one.
brief: Nothing is real.
length: 30m
runbooks: [mend]
world:
  services:
    app: { state: { up: false } }
twins:
  app: { http: { answers: [{ path: "*", body: { up: false } }] } }
alerts:
  - { labels: { alertname: Broken, env: prod }, while: not app.up }
expected:
  - { id: take, acknowledge: true, within: 10m }
"#;

/// A real service that is broken until somebody mends it.
async fn service() -> u16 {
    let up = Arc::new(AtomicBool::new(false));
    let state = |State(up): State<Arc<AtomicBool>>| async move {
        Json(json!({"up": up.load(Ordering::SeqCst), "note": "{{ not a place }}"}))
    };
    let mend = |State(up): State<Arc<AtomicBool>>| async move {
        up.store(true, Ordering::SeqCst);
        StatusCode::ACCEPTED
    };
    let router = Router::new()
        .route("/state", routing::get(state))
        .route("/mend", routing::post(mend))
        .with_state(up);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn stage() -> Stage {
    let port = service().await;
    let targets = format!("targets:\n  - {{ name: app, http: {{ url: \"http://127.0.0.1:{port}/\" }} }}\n");
    Stage::new(&[("mend", RUNBOOK)], SCENARIO, &targets).await
}

/// People do what there is to do, on the real night and in the drill alike.
impl Stage {
    async fn acknowledge(&self, incident: IncidentId) {
        let mut tx = self.database.pools.web.begin().await.unwrap();
        respond::acknowledge(&mut tx, incident, &self.person, self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn approve(&self, incident: IncidentId) {
        let pending = wait::until("the gate asks", SOON, async || {
            let all = approvals::list_pending(&mut *self.conn().await, Some(incident), 10).await?;
            all.into_iter()
                .next()
                .ok_or_else(|| anyhow::anyhow!("it does not"))
        })
        .await
        .unwrap();
        let mut tx = self.database.pools.web.begin().await.unwrap();
        let word = word(Verdict::Approve, pending.digest, "it is down");
        people::decide(&mut tx, pending.id, &word, &self.person, self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn resolve(&self, incident: IncidentId) {
        let mut tx = self.database.pools.web.begin().await.unwrap();
        respond::resolve(&mut tx, incident, &self.person, "it works", self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// A real night from its alert to its end.
    async fn night(&self) -> (IncidentId, RunId) {
        let labels = json!({"alertname": "Broken", "env": "prod", "service": "app"});
        self.alert_with(labels.clone(), json!({"summary": "The app is {{ broken }}"}))
            .await;
        let incident = self.incident(None).await;
        self.acknowledge(incident).await;
        self.approve(incident).await;
        let run = self.run(incident).await;
        assert_eq!(self.over(run).await, "succeeded");
        let group = format!("{{}}:{{{labels}}}");
        let body = json!({"receiver": "r", "groupKey": group, "alerts": [{
            "status": "resolved", "labels": labels, "startsAt": self.now(), "endsAt": self.now(),
        }]});
        self.muster.stores(&body).await;
        self.counts("select count(*) from episodes where ended_at is not null", 1)
            .await;
        self.resolve(incident).await;
        (incident, run)
    }

    async fn again(&self, incident: IncidentId) -> (ScenarioVersionId, String, Vec<String>) {
        let mut tx = self.database.pools.web.begin().await.unwrap();
        let (version, written) = reenact::make(
            &mut tx,
            incident,
            &Targets::default(),
            &Actor::Automation,
            self.now(),
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        (version, written.text, written.gaps)
    }

    async fn play(&self, version: ScenarioVersionId) -> DrillId {
        let plan = NewPlan {
            version,
            depth: Depth::Simulated,
            seed: 7,
            trainer: None,
            players: &[],
            planned_for: None,
        };
        let mut tx = self.database.pools.web.begin().await.unwrap();
        let id = drill::plan(&mut tx, &plan, self.now()).await.unwrap();
        drill::start(&mut tx, id, None, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        let incident = self.incident(Some(id)).await;
        self.acknowledge(incident).await;
        self.approve(incident).await;
        let run = self.run(incident).await;
        assert_eq!(
            self.over(run).await,
            "succeeded",
            "{}",
            self.story(incident).await
        );
        id
    }

    async fn item(&self, incident: IncidentId, text: &str) -> muster::domain::id::ActionItemId {
        let draft = Draft {
            origin: Origin::Incident(incident),
            text: text.to_owned(),
            owner: self.person.id,
            due: None,
            proof: Some(incident),
        };
        let mut tx = self.database.pools.web.begin().await.unwrap();
        let id = items::make(&mut tx, &draft, &self.person, self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn close(&self, id: muster::domain::id::ActionItemId) -> Result<(), DrillError> {
        let simulator = Simulator::new(SimulatorParts {
            pool: self.database.pools.web.clone(),
            clock: Clock::real(),
            folder: self.setup.runbooks.with_extension("judged"),
            relay: PathBuf::from(env!("CARGO_BIN_EXE_muster")),
            is_compressed: false,
            outdoors: None,
        });
        let mut tx = self.database.pools.web.begin().await.unwrap();
        let now = self.now();
        items::close(
            &mut tx,
            &simulator,
            id,
            ItemState::Done,
            "it is",
            &self.person,
            now,
        )
        .await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    /// The pages over the same database.
    async fn site(&self) -> (Site, String) {
        let pool = self.database.pools.web.clone();
        let site = Site::with(|state| {
            state.conductor.simulator = Simulator::new(SimulatorParts {
                pool: pool.clone(),
                clock: Clock::real(),
                folder: self.setup.runbooks.with_extension("looked-at"),
                relay: PathBuf::from(env!("CARGO_BIN_EXE_muster")),
                is_compressed: false,
                outdoors: None,
            });
            state.db = pool;
            state.clock = Clock::real();
        })
        .await;
        let cookie = self.cookie(self.person.id).await;
        (site, cookie)
    }

    /// The session of somebody.
    async fn cookie(&self, person: OperatorId) -> String {
        let mut conn = self.conn().await;
        let (way, arrival) = (Way::Password, Arrival::default());
        let limits = SessionLimits::default();
        let cookie = session::begin(&mut conn, person, &way, &arrival, limits, false, self.now())
            .await
            .unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_night_is_played_again_and_proves_what_it_has_to() {
    let stage = stage().await;
    let (incident, _) = stage.night().await;
    let asked = "select count(*) from probe_answers where command like 'GET %/state%'";
    assert!(
        stage.database.count(asked).await >= 1,
        "how a probe was asked is kept"
    );
    let unproven = stage.item(incident, "Ask the service before mending it").await;
    let other = stage.item(incident, "Write down how it was mended").await;
    let refused = stage.close(unproven).await.unwrap_err().to_string();
    assert!(
        refused.contains(&format!("INC-{incident} must pass as a drill first")),
        "{refused}"
    );

    // The page offers it; the form makes the scenario, and the same night is the same version.
    let (site, cookie) = stage.site().await;
    let list = site.get("/drills", &cookie).await.text;
    assert!(list.contains(&format!("Re-enact INC-{incident}")), "{list}");
    let postmortem = site
        .get(&format!("/incidents/{incident}/postmortem"), &cookie)
        .await
        .text;
    for words in [
        "Re-enact as a drill",
        "Ask the service before mending it",
        "played again</a> must pass",
    ] {
        assert!(postmortem.contains(words), "{words}: {postmortem}");
    }
    let (op, number) = (Uuid::new_v4().to_string(), incident.to_string());
    let made = site
        .post("/drills/reenact", &cookie, &[("op", &op), ("incident", &number)])
        .await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let page = format!("/drills/scenarios/inc-{incident}");
    assert_eq!(made.header("location"), page);
    let (version, text, gaps) = stage.again(incident).await;
    assert_eq!(stage.again(incident).await.0, version);
    assert_eq!(gaps, [""; 0]);
    let numbers = "select count(*) from scenario_versions v join scenarios s on s.id = v.scenario_id
                   where s.incident_id is not null";
    assert_eq!(stage.database.count(numbers).await, 1);
    let launch = site.get(&page, &cookie).await.text;
    assert!(
        launch.contains("Begin a drill") && launch.contains("twin (http)"),
        "{launch}"
    );
    let file = site.get(&format!("{page}/file"), &cookie).await;
    assert_eq!(file.text, text);
    assert!(
        text.contains("a-real-secret").eq(&false) && text.contains("reenacts: INC-"),
        "{text}"
    );

    let document = format!("/incidents/{incident}/postmortem.md");
    let actions = site.get(&document, &cookie).await.text;
    assert!(
        actions.contains("played again must pass, and no drill of it counts yet"),
        "{actions}"
    );

    let drill = stage.play(version).await;
    let practised = stage.incident(Some(drill)).await;
    wait::until("the alerts of the night end", SOON, async || {
        let told = "select count(*) from drill_log where body ->> 'inject' = 'alerts-over'";
        ensure!(stage.database.count(told).await == 1, "they do not");
        Ok(())
    })
    .await
    .unwrap();
    stage.resolve(practised).await;
    let ended = wait::until("the drill ends", SOON, async || {
        let ended = stage.drill(drill).await.ended;
        ended.ok_or_else(|| anyhow::anyhow!("it goes on"))
    })
    .await
    .unwrap();
    let card = stage.score(drill).await;
    assert!(card.score.passes(), "{ended:?} {:#?}", card.score.shortfalls());
    assert_eq!(stage.canary.connections(), 0);

    // Beside the real night, on the page and as JSON.
    let shown = site.get(&format!("/drills/{drill}/score"), &cookie).await.text;
    for words in [
        "Compared with the real night",
        "Gate <bdi>ask</bdi>",
        "approved after",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let told: Value = site
        .get(&format!("/api/v1/drills/{drill}/score"), &cookie)
        .await
        .json();
    assert_eq!(told["reenacts"], json!(incident));
    assert_eq!(
        told["compared"]["gates"][0]["drill"]["word"], "approved",
        "{told}"
    );
    assert_eq!(told["compared"]["not_recorded"], json!([]));
    assert!(told["compared"]["times"][0]["real"].is_string(), "{told}");

    // What leaves Muster as a document says so, while the item is still open.
    let actions = site.get(&document, &cookie).await.text;
    let passed = format!("played again passed in [DRILL-{drill}](");
    assert!(
        actions.contains(&passed) && actions.contains("- [ ] ") && actions.contains("who: "),
        "{actions}"
    );

    // Now it is proven, once.
    stage.close(unproven).await.unwrap();
    let again = stage.close(unproven).await.unwrap_err().to_string();
    assert!(again.contains("done already"), "{again}");
    let asked = Wanted {
        incident: Some(incident),
        ..Wanted::default()
    };
    let all = action_items::list(&mut *stage.conn().await, &asked, 10)
        .await
        .unwrap();
    assert_eq!(
        all.iter().map(|item| item.proven_by).collect::<Vec<_>>(),
        [None, Some(drill)]
    );
    let audited = "select count(*) from audit where kind like 'action_item_%'";
    assert_eq!(stage.database.count(audited).await, 3);

    // The database itself takes no drill of before the item was made, and none of another time's runbook.
    let late = stage.item(incident, "Later than the drill").await;
    let closing = Closing {
        state: ItemState::Done,
        proven_by: Some(drill),
        remark: "",
    };
    let early = action_items::close(
        &mut *stage.conn().await,
        late,
        &closing,
        stage.person.id,
        stage.now(),
    )
    .await;
    assert!(early.unwrap_err().breaks("action_items_are_proven"));
    fs::write(
        stage.setup.runbooks.join("mend.yaml"),
        RUNBOOK.replace("  - id: ask\n", ASKS_MORE),
    )
    .unwrap();
    stage.counts("select count(*) from runbook_versions", 2).await;
    let stale = stage.close(other).await.unwrap_err();
    assert!(
        matches!(&stale, DrillError::Refused(text) if text.contains("runbooks that are in use")),
        "{stale}"
    );

    // Today's runbook asks what nobody asked that night, and that is told.
    let (version, ..) = stage.again(incident).await;
    let current = scenarios::find(&mut *stage.conn().await, version)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(current.slug, format!("inc-{incident}"));
    let drill = stage.play(version).await;
    stage.end(drill).await;
    let shown = site.get(&format!("/drills/{drill}/score"), &cookie).await.text;
    assert!(
        shown.contains("asked what nobody asked on the real night"),
        "{shown}"
    );
    assert!(
        shown.contains("<bdi>app</bdi>: <code><bdi>/backup</bdi></code>"),
        "{shown}"
    );
    let run = stage.run(stage.incident(Some(drill)).await).await;
    let told = format!("not recorded in INC-{incident}: /backup");
    let sent = stage.attempts(run).await;
    assert!(sent.iter().any(|one| one.back.contains(&told)), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_of_a_night_is_a_file_that_plays_unattended() {
    let stage = stage().await;
    let (incident, _) = stage.night().await;
    let (_, text, _) = stage.again(incident).await;
    let (database, scratch) = (Database::new().await, Scratch::new());
    let folder = scratch.path().join("runbooks");
    fs::create_dir_all(folder.join("drills")).unwrap();
    fs::write(folder.join("mend.yaml"), RUNBOOK).unwrap();
    fs::write(folder.join("drills/night.yaml"), &text).unwrap();
    let relay = PathBuf::from(env!("CARGO_BIN_EXE_muster"));
    let options = database.url().parse().unwrap();
    let theatre = Theatre::open(&options, &folder, relay, scratch.path().join("twins"))
        .await
        .unwrap();
    let all = theatre.scenarios().await.unwrap();
    assert_eq!(all.len(), 1, "{text}");
    let card = theatre.play(all[0].id, 7, None).await.unwrap();
    theatre.close().await;
    assert!(card.score.passes(), "{:#?}\n{text}", card.score.shortfalls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scenario_of_an_incident_is_taken_out_of_use_and_brought_back() {
    let stage = stage().await;
    let (incident, _) = stage.night().await;
    let (_, text, _) = stage.again(incident).await;
    let (site, cookie) = stage.site().await;
    let page = format!("/drills/scenarios/inc-{incident}");
    let shelve = async |way: &str, page: &str, cookie: &str| {
        let op = Uuid::new_v4().to_string();
        site.post(&format!("{page}/{way}"), cookie, &[("op", &op)]).await
    };
    // A responder may not, and is not asked.
    let eve = operators::insert(&mut *stage.conn().await, "eve", "", Role::Responder, stage.now())
        .await
        .unwrap()
        .unwrap();
    let eve = stage.cookie(eve).await;
    let denied = shelve("retire", &page, &eve).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN, "{}", denied.text);
    assert!(!site.get(&page, &eve).await.text.contains("Take it out of use"));

    assert!(site.get(&page, &cookie).await.text.contains("Take it out of use"));
    let retired = shelve("retire", &page, &cookie).await;
    assert_eq!(retired.status, StatusCode::SEE_OTHER, "{}", retired.text);
    let shown = site.get(&page, &cookie).await.text;
    assert!(
        shown.contains("Out of use") && shown.contains("Bring it back") && !shown.contains("Begin a drill"),
        "{shown}"
    );
    assert_eq!(site.get(&format!("{page}/file"), &cookie).await.text, text);
    let link = format!("href=\"{page}\"");
    let list = site.get("/drills", &cookie).await.text;
    assert!(!list.contains(&link) && list.contains("shelf=retired"), "{list}");
    assert!(
        site.get("/drills?shelf=retired", &cookie)
            .await
            .text
            .contains(&link)
    );
    let (op, name) = (Uuid::new_v4().to_string(), format!("inc-{incident}"));
    let fields = [
        ("op", &*op),
        ("scenario", &*name),
        ("depth", "simulated"),
        ("start", "now"),
    ];
    let planned = site.post("/drills", &cookie, &fields).await;
    assert_eq!(planned.status, StatusCode::NOT_FOUND, "{}", planned.text);
    let (op, number) = (Uuid::new_v4().to_string(), incident.to_string());
    let again = site
        .post("/drills/reenact", &cookie, &[("op", &op), ("incident", &number)])
        .await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", again.text);
    assert!(again.text.contains("was taken out of use"), "{}", again.text);
    // Twice is once, and a scenario of a file goes with its file.
    assert_eq!(
        shelve("retire", &page, &cookie).await.status,
        StatusCode::CONFLICT
    );
    let of_file = shelve("retire", "/drills/scenarios/scene", &cookie).await;
    assert_eq!(of_file.status, StatusCode::CONFLICT, "{}", of_file.text);

    let back = shelve("restore", &page, &cookie).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    assert!(site.get("/drills", &cookie).await.text.contains(&link));
    assert_eq!(site.get(&format!("{page}/file"), &cookie).await.text, text);
    let audited = "select count(*) from audit where kind in ('scenario_retired', 'scenario_restored')";
    assert_eq!(stage.database.count(audited).await, 2);

    // A page of scenarios goes on after the last name of the one before.
    let further = site.get("/drills?after=inc", &cookie).await.text;
    assert!(
        further.contains(&link) && further.contains("/drills/scenarios/scene"),
        "{further}"
    );
    let further = site.get("/drills?after=scene", &cookie).await.text;
    assert!(
        !further.contains(&link) && further.contains("No more."),
        "{further}"
    );
}

#[tokio::test]
async fn what_cannot_be_played_again_is_refused_in_words() {
    let stage = stage().await;
    stage.alert(json!({"alertname": "Broken", "env": "prod"})).await;
    let incident = stage.incident(None).await;
    let mut conn = stage.conn().await;
    let refused = reenact::make(
        &mut conn,
        incident,
        &Targets::default(),
        &Actor::Automation,
        stage.now(),
    )
    .await;
    let told = refused.unwrap_err().to_string();
    assert!(
        told.contains("is triggered; it is played again once it is resolved"),
        "{told}"
    );
    let nobody = reenact::make(
        &mut conn,
        IncidentId(999),
        &Targets::default(),
        &Actor::Automation,
        stage.now(),
    )
    .await;
    assert!(matches!(nobody, Err(DrillError::NotFound("incident"))));
}
