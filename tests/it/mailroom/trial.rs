//! Tests of sources through the real path, pasted bodies, and mappings that are checked when they are saved.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use muster::{
    catalog::parse_runbook,
    domain::{
        id::SourceId,
        operator::Role,
        source::{SourceKind, SourceSettings},
    },
    intake::Format,
    receive::{
        Receiver, ReceiverParts,
        spool::record::{Head, Record},
    },
    store::{deliveries::Headers, runbooks, sources},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{generic, post};
use crate::support::{intake, site::Site};

fn stages(way: &Value) -> Vec<(&str, &str)> {
    let stages = way["stages"].as_array().unwrap().iter();
    stages
        .map(|stage| {
            (
                stage["stage"].as_str().unwrap(),
                stage["outcome"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_test_goes_the_real_way_and_leaves_nothing_firing() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let page = site.get("/sources/prom", &ana).await;
    assert!(page.text.contains("action=\"/sources/prom/test\""));
    let shown = post(&site, "/sources/prom/test", &ana, &[]).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    for said in [
        "Muster keeps only hashes of tokens",
        "no token of this source was ever used",
        "1 alert:",
        "committed, as delivery 1",
        "INC-1 “",
        "MusterTest",
        "none applies to INC-1",
        "committed, as delivery 2",
    ] {
        assert!(shown.text.contains(said), "{said}: {}", shown.text);
    }
    let firing = "select count(*) from episodes where ends_at is null";
    assert_eq!(site.intake.database.count(firing).await, 0);
    let marked = "select count(*) from deliveries where is_test and remote = 'Muster'";
    assert_eq!(site.intake.database.count(marked).await, 2);
    let labelled =
        "select count(*) from alerts where labels ? 'muster_test' and labels ->> 'alertname' = 'MusterTest'";
    assert_eq!(site.intake.database.count(labelled).await, 1);
    site.intake.pass(Duration::from_secs(120)).await;
    let open = "select count(*) from incidents where state in ('triggered', 'acknowledged', 'mitigated')";
    assert_eq!(site.intake.database.count(open).await, 0, "it recovers by itself");

    let again = site.post_json("/api/v1/sources/prom/test", &ana, "").await.json();
    assert!(
        again["label"].as_str().unwrap().starts_with("muster_test=\""),
        "{again}"
    );
    assert_eq!(
        again["ways"][0]["incidents"],
        json!([2]),
        "an incident of its own: {again}"
    );
    let (_, vic) = site.person("vic", Role::Viewer).await;
    assert_eq!(
        post(&site, "/sources/prom/test", &vic, &[]).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn every_format_has_a_test() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    for format in SourceKind::ALL {
        let settings = SourceSettings {
            format,
            ..SourceSettings::default()
        };
        site.intake.source_with(&format!("s-{format}"), settings).await;
    }
    site.intake
        .source_with(
            "s-mapped",
            generic(
                json!({"alerts": "data.list", "status": "s", "firing": ["on"], "resolved": ["off"],
                           "labels": {"names": {"alertname": "rule.name"}}, "key": ["id"]}),
            ),
        )
        .await;
    let names = SourceKind::ALL
        .map(|kind| format!("s-{kind}"))
        .into_iter()
        .chain(["s-mapped".to_owned()]);
    for name in names {
        let answer = site
            .post_json(&format!("/api/v1/sources/{name}/test"), &ana, "")
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text);
        for way in answer.json()["ways"].as_array().unwrap() {
            assert_eq!(way["status"], "stored", "{name}: {way}");
            assert_eq!(way["incidents"].as_array().unwrap().len(), 1, "{name}: {way}");
            assert!(stages(way).contains(&("Stored", "ok")), "{name}: {way}");
        }
    }
    let firing = "select count(*) from episodes where ends_at is null";
    assert_eq!(
        site.intake.database.count(firing).await,
        0,
        "each is resolved at once"
    );
}

#[tokio::test]
async fn a_pasted_body_shows_its_alerts_and_keeps_nothing() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let settings = generic(json!({"labels": {"names": {"alertname": "text"}}}));
    site.intake.source_with("json", settings).await;
    let fields = [("sample", r#"{"text": "<i>Disk</i>"}"#), ("mapping", "")];
    let page = site.post("/sources/json/try", &root, &fields).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("alertname=&#60;i&#62;Disk"), "{}", page.text);
    let fields = [("sample", r#"{"text": "x"}"#), ("mapping", r#"{"url": "a..b"}"#)];
    let page = site.post("/sources/json/try", &root, &fields).await;
    assert!(
        page.text.contains("mapping: url: `a..b` is no path"),
        "{}",
        page.text
    );
    let ask = |body: Value| {
        let (site, root) = (&site, &root);
        async move {
            site.post_json("/api/v1/sources/json/try", root, &body.to_string())
                .await
        }
    };
    let read =
        ask(json!({"sample": r#"{"name": "A"}"#, "mapping": {"labels": {"names": {"alertname": "name"}}}}))
            .await;
    assert_eq!(
        read.json()["alerts"][0]["labels"],
        json!({"alertname": "A"}),
        "{}",
        read.text
    );
    let faulty = ask(json!({"sample": "{"})).await;
    assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(faulty.text.contains("ine 1, column 1"), "{}", faulty.text);
    assert_eq!(
        site.intake
            .database
            .count("select count(*) from deliveries")
            .await,
        0
    );
}

#[tokio::test]
async fn a_mapping_that_cannot_work_is_refused_with_its_field() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    for (mapping, said) in [
        (json!({"alert": "x"}), "apping: alert: is no field of a mapping"),
        (
            json!({"labels": {"names": {"host": "hosts["}}}),
            "apping: labels.names.host: `hosts[` is no path",
        ),
    ] {
        let body = json!({"name": "json", "settings": {"format": "generic", "mapping": mapping}});
        let refused = site.post_json("/api/v1/sources", &root, &body.to_string()).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
        assert!(refused.text.contains(said), "{said}: {}", refused.text);
    }
}

#[tokio::test]
async fn the_system_page_tells_of_the_spool() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let page = site.get("/system", &ana).await.text;
    assert!(
        page.contains("no disk to keep deliveries on; 0 batches in memory"),
        "{page}"
    );
}

const AUTOMATIC: &str = r#"
runbook: on-everything
title: Look at it
match: ['alertname="MusterTest"']
start: automatic
steps:
  - id: look
    check: http
    with: { target: shop, method: GET, path: / }
"#;

#[tokio::test]
async fn nothing_starts_by_itself_on_a_test() {
    let (shelf, watched) = watch::channel(Some(Arc::new(Vec::new())));
    let site = Site::with(|state| {
        let parts = ReceiverParts {
            shelf: watched,
            ..intake::parts(state.db.clone(), state.clock.clone())
        };
        state.receiver = Some(Receiver::start(parts));
    })
    .await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let runbook = parse_runbook(AUTOMATIC).unwrap().runbook;
    let now = site.clock().now();
    let version = runbooks::publish(&mut *site.conn().await, &runbook, AUTOMATIC, "a test", now)
        .await
        .unwrap();
    shelf.send_replace(Some(Arc::new(vec![version])));
    let trial = site.post_json("/api/v1/sources/prom/test", &ana, "").await.json();
    let told = trial["ways"][0]["stages"].to_string();
    assert!(told.contains("its alert is a test of the source"), "{told}");
    assert!(told.contains("for INC-1: on-everything version 1"), "{told}");
    assert_eq!(site.intake.database.count("select count(*) from runs").await, 0);

    // The same labels from a sender are nobody's test.
    let body = json!({"receiver": "r", "groupKey": "g", "alerts": [{"status": "firing",
        "labels": {"alertname": "MusterTest", "muster_test": "x"}, "startsAt": "2026-11-21T02:59:00Z"}]});
    let record = Record {
        head: Head {
            source: SourceId(1),
            format: "alertmanager".to_owned(),
            remote: String::new(),
            user_agent: String::new(),
            received_at: now,
            headers: Headers::new(),
            replay_of: None,
            is_test: false,
        },
        body: body.to_string().into_bytes(),
    };
    let source = sources::find_by_name(&mut *site.conn().await, "prom")
        .await
        .unwrap()
        .unwrap();
    let receiver = site.state.receiver.as_ref().unwrap();
    receiver
        .hand_in(Arc::new(source), Format::Alertmanager, record, ())
        .await;
    assert_eq!(site.intake.database.count("select count(*) from runs").await, 1);
}
