//! Game days: real faults on real servers. The primary of the fleet is killed; people fail over for real; what was broken
//! is taken back whatever ends the drill, and by whoever is left.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster::{
    domain::{
        drill::{DrillState, EndKind},
        id::DrillId,
        score::Verdict,
    },
    drill::autopilot::Autopilot,
    store::scenarios,
};
use serde_json::json;
use sqlx::Row;

use super::stage::{Canary, SOON, Stage};
use crate::fleet::{
    Fleet,
    postgres::{DATABASE, MUSTER},
    wait,
};

const RUNBOOK: &str = include_str!("../../../runbooks/postgres-primary-down.yaml");
const SCENARIO: &str = include_str!("../../../runbooks/drills/checkout-game-day.yaml");
const LONG: Duration = Duration::from_secs(150);

/// The drill targets of the sample, which here are this fleet.
fn targets(fleet: &Fleet) -> Result<String> {
    let postgres = |port: u16| {
        json!({"host": "127.0.0.1", "port": port, "user": MUSTER.user, "database": DATABASE,
               "password": "env:DRILL_PASSWORD"})
    };
    let process = json!({
        "pid_file": fleet.primary.pid_file(), "name": "postgres", "restore": fleet.primary.starting_words()?,
    });
    let targets = json!({"targets": [
        {"name": "drill-primary", "environment": "drill", "postgres": postgres(fleet.primary.port),
         "faults": {"kill": {"for_max": "15m", "kill": process}}},
        {"name": "drill-standby", "environment": "drill", "postgres": postgres(fleet.standby.port)},
        {"name": "drill-log", "environment": "drill", "file": {"path": fleet.primary.log}},
        {"name": "drill-lb", "environment": "drill", "haproxy": {"address": fleet.haproxy.admin_address()}},
        {"name": "drill-prom", "environment": "drill", "prometheus": {"url": fleet.prometheus.url()}},
    ]});
    Ok(targets.to_string())
}

async fn stage(fleet: &Fleet, scenario: &str) -> Result<Stage> {
    let settings = [
        ("MUSTER_GAME_DAY_HOST", "here"),
        ("DRILL_PASSWORD", MUSTER.password),
    ];
    let runbooks = [("postgres-primary-down", RUNBOOK)];
    Ok(Stage::with(&runbooks, scenario, &targets(fleet)?, &settings).await)
}

/// How the fault of a drill stands, once it has one that stands so.
pub(super) async fn fault_is(stage: &Stage, id: DrillId, wanted: &str) -> Result<()> {
    wait::until(wanted, SOON, async || {
        let row = sqlx::query("select state, error from drill_faults where drill_id = $1")
            .bind(id.0)
            .fetch_optional(&mut *stage.conn().await)
            .await?
            .context("there is none")?;
        let (state, error): (String, String) = (row.get("state"), row.get("error"));
        ensure!(
            state == wanted,
            "it is {state}: {error}: {}",
            stage.setup.logged()
        );
        Ok(())
    })
    .await
}

/// Waits until nothing of a drill is left.
pub(super) async fn closed(stage: &Stage, id: DrillId, mut look: impl FnMut()) -> Result<()> {
    wait::until("the drill is put aside", LONG, async || {
        look();
        let is_closed: bool = sqlx::query_scalar("select closed_at is not null from drills where id = $1")
            .bind(id.0)
            .fetch_one(&mut *stage.conn().await)
            .await?;
        ensure!(
            is_closed,
            "{:?}: {}",
            stage.drill(id).await.state,
            stage.setup.logged()
        );
        Ok(())
    })
    .await
}

/// What proves that a drill left nothing behind: its own word, and the servers themselves.
async fn left_nothing(stage: &Stage, fleet: &mut Fleet, id: DrillId, killed: u32) -> Result<()> {
    // What nobody waits for keeps its number, and Postgres will not start beside it.
    closed(stage, id, || _ = fleet.primary.is_running()).await?;
    let score = stage.score(id).await.score;
    let cleanup = score.cleanup.context("nothing was broken")?;
    ensure!(cleanup.is_proven(), "{cleanup:?}");
    ensure!((cleanup.faults.done, cleanup.faults.of) == (1, 1));
    let open = stage
        .database
        .count("select count(*) from drill_faults where over_at is null")
        .await;
    ensure!(open == 0, "{open} faults may stand");
    let now = fleet.primary.postmaster().context("the primary does not run")?;
    ensure!(now != killed, "the primary was never killed");
    fleet.primary.connect(&MUSTER, DATABASE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_failed_over_by_people_and_runs_again_afterwards() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let stage = stage(&fleet, SCENARIO).await?;
    let killed = fleet.primary.postmaster().context("no primary")?;
    let id = stage.begin().await;
    fault_is(&stage, id, "caused").await?;
    ensure!(fleet.primary.postmaster() != Some(killed), "it is really dead");

    let mut conn = stage.conn().await;
    let version = stage.drill(id).await.version;
    let scenario = scenarios::find(&mut conn, version)
        .await?
        .context("no scenario")?
        .scenario;
    let mut people = Autopilot::new(&mut conn, &scenario, None, stage.now()).await?;
    drop(conn);
    wait::until("the drill is over", LONG, async || {
        people
            .act(&stage.database.pools.web, &stage.simulator, id, stage.now())
            .await?;
        let drill = stage.drill(id).await;
        ensure!(drill.state == DrillState::Ended, "{}", stage.setup.logged());
        Ok(())
    })
    .await?;
    let (_, why, reason) = stage.drill(id).await.ended.context("not ended")?;
    ensure!(why == EndKind::Finished, "{why}: {reason}");
    ensure!(fleet.standby.times_asked("pg_promote")? == 1);
    ensure!(
        !fleet.standby.is_in_recovery().await?,
        "the standby has taken over for real"
    );
    ensure!(fleet.haproxy.status("primary").await? == "MAINT");

    left_nothing(&stage, &mut fleet, id, killed).await?;
    let score = stage.score(id).await.score;
    for expected in &score.expected {
        ensure!(expected.verdict() == Verdict::InTime, "{expected:?}");
    }
    drop(stage);
    fleet.end();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_rule_ends_a_game_day_and_what_was_broken_is_mended() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let because = "Nobody shall practise tonight";
    let stops = format!("stop:\n  - {{ when: not primary.up, because: {because} }}\n");
    let scenario = format!("{}{stops}", SCENARIO.split("stop:\n").next().unwrap());
    let stage = stage(&fleet, &scenario).await?;
    let killed = fleet.primary.postmaster().context("no primary")?;
    let id = stage.begin().await;
    left_nothing(&stage, &mut fleet, id, killed).await?;
    let (_, why, reason) = stage.drill(id).await.ended.context("not ended")?;
    ensure!(
        (why, reason.as_str()) == (EndKind::Rule, because),
        "{why}: {reason}"
    );
    ensure!(fleet.standby.is_in_recovery().await?, "nobody failed over");
    drop(stage);
    fleet.end();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_muster_dies_its_guard_mends_and_the_next_muster_sees_that_it_did() -> Result<()> {
    let mut fleet = Fleet::start().await?;
    let mut stage = stage(&fleet, SCENARIO).await?;
    let killed = fleet.primary.postmaster().context("no primary")?;
    let id = stage.begin().await;
    fault_is(&stage, id, "caused").await?;
    stage.muster.kill();
    wait::until("the guard has mended it", SOON, async || {
        _ = fleet.primary.is_running();
        let now = fleet.primary.postmaster().context("the primary does not run")?;
        ensure!(now != killed);
        fleet.primary.connect(&MUSTER, DATABASE).await.map(drop)
    })
    .await?;
    fault_is(&stage, id, "caused")
        .await
        .context("nobody was there to say so")?;
    stage.muster = stage.setup.start(None);
    fault_is(&stage, id, "undone").await?;
    ensure!(
        stage.drill(id).await.state == DrillState::Running,
        "people decide how it goes on"
    );
    stage.end(id).await;
    left_nothing(&stage, &mut fleet, id, killed).await?;
    drop(stage);
    fleet.end();
    Ok(())
}

/// A runbook that looks at one target.
pub(super) const LOOK: &str = "
runbook: look
title: Look
match: ['alertname=\"Ill\"']
steps:
  - { id: look, check: tcp, with: { target: app } }
";
const SMALL: &str = "
scenario: small
title: Small
summary: S
brief: B
length: 5m
runbooks: [look]
world: { services: { app: { state: { up: false } } } }
game_day:
  targets: { app: drill-app }
  measures:
    - { check: tcp, with: { target: app }, set: { app.up: '{{ result.ok }}' } }
  steady: app.up
alerts: [{ labels: { alertname: Ill }, while: not app.up }]
injects:
  - { id: hang, title: It hangs, fault: { target: app, cause: hang, for: 1m } }
expected: [{ id: take, acknowledge: true, within: 1m }]
";
const SMALL_TARGETS: &str = "
targets:
  - name: drill-app
    environment: drill
    tcp: { address: '127.0.0.1:REAL_PORT' }
    faults: { hang: { pause: { pid_file: /run/no-such-thing.pid, name: app } } }
";

/// How a drill of the small scenario ended, and what its log says.
async fn ended(stage: &Stage, id: DrillId) -> Result<(EndKind, String)> {
    wait::until("the drill is over", SOON, async || {
        let (_, why, reason) = stage.drill(id).await.ended.context("it goes on")?;
        Ok((why, reason))
    })
    .await
}

#[tokio::test]
async fn a_fault_that_cannot_be_caused_is_told_before_anything_is_broken() -> Result<()> {
    let settings = [("MUSTER_GAME_DAY_HOST", "here")];
    let stage = Stage::with(&[("look", LOOK)], SMALL, SMALL_TARGETS, &settings).await;
    let id = stage.begin().await;
    let (why, reason) = ended(&stage, id).await?;
    ensure!(why == EndKind::NotSteady, "{why}: {reason}");
    ensure!(
        reason == "hang of app: /run/no-such-thing.pid names no running process called app",
        "{reason}"
    );
    closed(&stage, id, || {}).await?;
    ensure!(
        stage.score(id).await.score.cleanup.is_none(),
        "nothing was broken"
    );
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_no_drill_target_any_more_is_not_even_looked_at() -> Result<()> {
    let settings = [("MUSTER_GAME_DAY_HOST", "here")];
    let stage = Stage::with(&[("look", LOOK)], SMALL, SMALL_TARGETS, &settings).await;
    stage
        .counts(
            "select count(*) from scenarios where current_version_id is not null",
            1,
        )
        .await;
    // The scenario was fine when it was published.
    let real = "targets: [{ name: drill-app, environment: prod, tcp: { address: '127.0.0.1:REAL_PORT' } }]";
    std::fs::write(stage.setup.runbooks.join("targets.yaml"), stage.canary.fill(real))?;
    wait::until("the file is read again", SOON, async || {
        let said = "target drill-app is not of the environment drill";
        ensure!(stage.setup.logged().contains(said));
        Ok(())
    })
    .await?;
    let id = stage.begin().await;
    let (why, reason) = ended(&stage, id).await?;
    ensure!(why == EndKind::NotSteady, "{why}: {reason}");
    ensure!(reason.contains("app.up is false"), "{reason}");
    ensure!(stage.canary.connections() == 0, "something real was connected to");
    Ok(())
}

const ASTRAY: &str = "
runbook: look
title: Look
match: ['alertname=\"Ill\"']
start: automatic
inputs:
  where: { from: annotations.where, required: true }
steps:
  - { id: look, check: tcp, with: { target: app } }
  - { id: astray, check: tcp, with: { target: '{{ inputs.where }}' } }
";

/// Names that the targets file knows and the game day does not: something real, and the drill target's own name.
#[tokio::test]
async fn a_run_of_a_game_day_reaches_the_targets_of_its_map_and_nothing_else() -> Result<()> {
    for stray in ["stranger", "drill-app"] {
        let other = Canary::new().await;
        let alert = format!(
            "alerts: [{{ labels: {{ alertname: Ill }}, annotations: {{ where: {stray} }}, while: app.up }}]\n"
        );
        let kept = SMALL
            .lines()
            .filter(|line| !line.starts_with("alerts:") && !line.contains("hang"));
        let kept: Vec<&str> = kept.filter(|line| !line.starts_with("injects:")).collect();
        let scenario = format!("{}\n{alert}", kept.join("\n"));
        let real = format!(
            "  - {{ name: stranger, environment: prod, tcp: {{ address: '127.0.0.1:{}' }} }}\n",
            other.port
        );
        let targets = format!("{SMALL_TARGETS}{real}");
        let settings = [("MUSTER_GAME_DAY_HOST", "here")];
        let stage = Stage::with(&[("look", ASTRAY)], &scenario, &targets, &settings).await;
        let id = stage.begin().await;
        let incident = stage.incident(Some(id)).await;
        let run = stage.run(incident).await;
        ensure!(stage.over(run).await == "failed", "{stray} is not reached");
        let sent = stage.attempts(run).await;
        ensure!(
            sent.iter()
                .any(|one| one.step == "look" && one.state == "succeeded"),
            "{sent:?}"
        );
        ensure!(stage.canary.connections() > 0, "the drill target is really there");
        ensure!(other.connections() == 0, "something real was connected to");
        let story = stage.story(incident).await;
        ensure!(story.contains("nothing of a drill leaves it"), "{story}");
    }
    Ok(())
}

#[tokio::test]
async fn where_no_game_days_are_allowed_none_begins() -> Result<()> {
    let stage = Stage::new(&[("look", LOOK)], SMALL, SMALL_TARGETS).await;
    let id = stage.begin().await;
    sqlx::query("update drills set started_at = started_at - interval '2 minutes' where id = $1")
        .bind(id.0)
        .execute(&mut *stage.conn().await)
        .await?;
    let (why, reason) = ended(&stage, id).await?;
    ensure!(why == EndKind::NotSteady, "{why}: {reason}");
    ensure!(reason.contains("--game-day-host"), "{reason}");
    ensure!(stage.canary.connections() == 0, "something real was connected to");
    Ok(())
}
