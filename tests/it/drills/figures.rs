//! What is counted of the real past and the real present leaves drills out, and says of them what they were.

use chrono::{DateTime, Utc};
use muster::{
    domain::{incident::Severity, run::RunResult, search, track::Mark},
    store::{
        calls,
        incident_list::{self, Names, Wanted},
        incidents, matches, past_alerts, queue, runbooks, runs, services, sources, timings, tracks,
    },
    timeline::{actions::Actions, postmortem},
};
use serde_json::json;
use sqlx::Connection;

use super::stage::Stage;

const RUNBOOK: &str = r#"
runbook: short
title: Short
services: [app]
match: ['alertname="Short"']
start: automatic
steps:
  - { id: ask, check: http, with: { target: web, path: / } }
"#;

const SCENARIO: &str = r#"
scenario: short
title: Short
summary: One look.
brief: Nothing is real.
length: 10m
runbooks: [short]
world:
  services:
    app: { state: { up: true } }
twins:
  web: { http: { answers: [{ path: "*", status: 200, body: {} }] } }
alerts:
  - labels: { alertname: Short, service: app, severity: critical }
    annotations: {}
    while: app.up
expected:
  - { id: take, acknowledge: true, within: 5m }
"#;

const TARGETS: &str = r#"
targets:
  - { name: web, http: { url: "http://127.0.0.1:REAL_PORT/" } }
"#;

async fn found(stage: &Stage, typed: &str) -> Vec<i64> {
    let mut tx = stage.database.pools.web.begin().await.unwrap();
    incident_list::plan_by_values(&mut tx).await.unwrap();
    let filter = search::read(typed).0.filter();
    let mut wanted = Wanted::of(&filter, stage.person.id, &Names::default());
    incident_list::look_up_words(&mut tx, &mut wanted, i64::MAX)
        .await
        .unwrap();
    let ids = incident_list::page_ids(&mut tx, &wanted, i64::MAX, 100)
        .await
        .unwrap();
    ids.into_iter().map(|id| id.0).collect()
}

#[tokio::test]
async fn the_figures_of_what_is_real_leave_drills_out() {
    let stage = Stage::new(&[("short", RUNBOOK)], SCENARIO, TARGETS).await;
    let drill = stage.begin().await;
    let practised = stage.incident(Some(drill)).await;
    let run = stage.run(practised).await;
    assert_eq!(stage.over(run).await, "succeeded");
    let mut conn = stage.conn().await;
    let version = runbooks::list_current(&mut conn).await.unwrap().remove(0);
    let slug = [version.runbook.slug.clone()];

    // Nothing real has happened.
    let pulse = incidents::pulse(&mut conn, false).await.unwrap();
    assert_eq!((pulse.open, pulse.events, pulse.newest), (0, 0, 0));
    assert_eq!(incidents::pulse(&mut conn, true).await.unwrap().open, 1);
    assert!(!incident_list::any(&mut conn).await.unwrap());
    let day = DateTime::<Utc>::UNIX_EPOCH;
    assert_eq!(incident_list::alerts_since(&mut conn, day).await.unwrap().0, 0);
    assert_eq!(queue::count(&mut conn).await.unwrap(), 0);
    assert_eq!(
        runs::record(&mut conn, version.runbook_id)
            .await
            .unwrap()
            .finished,
        0
    );
    assert!(runs::records(&mut conn).await.unwrap().is_empty());
    assert!(
        runs::list_of_runbook(&mut conn, version.runbook_id, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        matches::list_of_runbook(&mut conn, version.runbook_id, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        timings::list(&mut conn, version.runbook_id)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(past_alerts::list(&mut conn, day, 10).await.unwrap().is_empty());
    assert!(calls::list(&mut conn, "web", 10).await.unwrap().is_empty());
    assert!(
        sources::list(&mut conn)
            .await
            .unwrap()
            .iter()
            .all(|source| !source.name.starts_with("drill"))
    );
    // A word, unlike a number, finds only what was asked for.
    assert!(found(&stage, "short").await.is_empty());
    assert_eq!(found(&stage, "short is:drill").await, [practised.0]);
    assert_eq!(found(&stage, &format!("INC-{practised}")).await, [practised.0]);

    // The track tells the drill as a drill.
    let track = &tracks::list(&mut conn, &slug).await.unwrap()[&slug[0]];
    assert_eq!((track.last, track.ended, track.has_matched), (None, 0, false));
    assert_eq!(
        track.check, None,
        "that twins answered says nothing of the real targets"
    );
    let marks = track.marks(version.number);
    assert_eq!(marks[0], Mark::NeverRun);
    let Mark::LastDrill {
        other,
        result,
        is_cut_short,
        ..
    } = marks[1]
    else {
        panic!("{marks:?}");
    };
    assert_eq!(
        (other, result, is_cut_short),
        (None, Some(RunResult::Succeeded), false)
    );

    // A real one beside it is alone among what is real, and the drill is not.
    stage
        .alert(json!({"alertname": "Other", "service": "app", "severity": "warning"}))
        .await;
    let real = stage.incident(None).await;
    let of_app = ["app".to_owned()];
    assert!(
        services::list_open(&mut conn, &of_app, real, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        services::list_open(&mut conn, &of_app, practised, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(incidents::pulse(&mut conn, false).await.unwrap().open, 1);
    assert_eq!(found(&stage, "").await, [real.0]);
    let bad = incidents::find(&mut conn, practised).await.unwrap().unwrap();
    assert_eq!(bad.severity, Severity::Sev1, "and yet nothing real is");
    assert_eq!(incidents::find_open_sev1(&mut conn).await.unwrap(), None);

    // What leaves Muster as a document says what it was.
    let mut tx = conn.begin().await.unwrap();
    let document = postmortem::load(&mut tx, practised)
        .await
        .unwrap()
        .unwrap()
        .markdown(&Actions::default(), "");
    assert!(
        document.starts_with(&format!("# DRILL-{drill} · Postmortem: INC-{practised}")),
        "{document}"
    );
    assert!(document.contains("DRILL: nothing of this was real"), "{document}");
    let document = postmortem::load(&mut tx, real)
        .await
        .unwrap()
        .unwrap()
        .markdown(&Actions::default(), "");
    assert!(!document.contains("DRILL"), "{document}");
    drop(tx);

    stage.end(drill).await;
    let marks = tracks::list(&mut conn, &slug).await.unwrap()[&slug[0]].marks(version.number);
    let Mark::LastDrill { is_cut_short, .. } = marks[1] else {
        panic!("{marks:?}");
    };
    assert!(is_cut_short, "it was ended by hand");
}
