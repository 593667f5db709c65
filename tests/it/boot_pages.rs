//! The pages of starts: where things stand now, and how people find them.

use std::time::Duration;

use axum::http::StatusCode;
use muster::{
    domain::run::{RunFact, UnknownChoice},
    store::boots,
};
use serde_json::{Value, json};

use crate::support::starts::{AWAY, Bench, HOSTILE, MINUTE};

#[tokio::test]
async fn the_page_shows_where_things_stand_now() {
    let bench = Bench::new().await;
    let gone = bench.start().await.replica;
    let incident = bench.incident("Down").await;
    let run = bench.run(incident, vec![], bench.now()).await;
    bench.begun(run, gone, "strike", "once").await;
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    let path = format!("/system/boots/{}", boot.id);
    let json = format!("/api/v1/boots/{}", boot.id);
    assert!(bench.page(&path).await.contains("To be settled"));

    let unknown = RunFact::OutcomeUnknown {
        step: "strike".into(),
        attempt: 1,
        reason: HOSTILE.to_owned(),
    };
    bench
        .note(&mut *bench.site.conn().await, incident, run, vec![unknown])
        .await;
    let page = bench.page(&path).await;
    assert!(
        page.contains("Outcome unknown") && page.contains("1 step needs you"),
        "{page}"
    );
    assert_eq!(
        bench.site.get(&json, &bench.cookie).await.json()["awaiting_person"],
        1
    );

    let decided = RunFact::UnknownDecided {
        step: "strike".into(),
        choice: UnknownChoice::MarkDone,
        evidence: "I looked".to_owned(),
    };
    bench
        .note(&mut *bench.site.conn().await, incident, run, vec![decided])
        .await;
    let page = bench.page(&path).await;
    assert!(
        page.contains("I looked") && page.contains("Nothing now."),
        "{page}"
    );
    assert_eq!(
        bench.site.get(&json, &bench.cookie).await.json()["awaiting_person"],
        0
    );
}

#[tokio::test]
async fn people_find_the_report_from_the_list_the_system_and_the_banner() {
    let bench = Bench::new().await;
    bench.incident("Down").await;
    bench.start().await;
    assert!(!bench.page("/incidents").await.contains("class=\"banner\""));
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    let link = format!("href=\"/system/boots/{}\"", boot.id);
    for path in ["/incidents", "/system", "/system/boots"] {
        let page = bench.page(path).await;
        assert!(
            page.contains(&link) && page.contains("Muster was away for 5 min"),
            "{path}: {page}"
        );
    }
    // A restart after it changes nothing about the outage.
    bench.all_die_for(Duration::from_secs(20)).await;
    bench.start().await;
    bench.site.clock().advance(28 * MINUTE);
    assert!(bench.page("/incidents").await.contains(&link));
    bench.site.clock().advance(2 * MINUTE);
    assert!(!bench.page("/incidents").await.contains("class=\"banner\""));

    for path in ["/system/boots", "/system/boots/1"] {
        let stranger = bench.site.get(path, "").await;
        assert_eq!(stranger.status, StatusCode::SEE_OTHER, "{path}");
    }
    assert_eq!(
        bench.site.get("/system/boots/99", &bench.cookie).await.status,
        StatusCode::NOT_FOUND
    );
    let list = bench
        .site
        .get("/api/v1/boots?limit=2", &bench.cookie)
        .await
        .json();
    let ids: Vec<&Value> = list["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["id"])
        .collect();
    assert_eq!((ids, &list["next"]), (vec![&json!(3), &json!(2)], &json!(2)));
    let full = bench.site.get("/api/v1/boots/2", &bench.cookie).await.json();
    assert_eq!(
        (&full["company"], &full["clean_stop"]),
        (&json!("alone"), &json!(false))
    );
    assert_eq!(full["away_ms"].as_i64().unwrap() / 10_000, 30);
    assert_eq!(full["report"]["open_incidents"], 1);
    let missing = bench.site.get("/api/v1/boots/99", &bench.cookie).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_list_goes_on_on_further_pages_and_old_starts_are_forgotten() {
    let bench = Bench::new().await;
    let boot = bench.start().await;
    let copies =
        "insert into boots (replica_id, started_at, last_alive_at, clean_stop, company, rivals, report)
                  select replica_id, started_at, last_alive_at, clean_stop, company, rivals, report
                  from boots, generate_series(1, 60)";
    sqlx::query(copies)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    let page = bench.page("/system/boots").await;
    assert_eq!(page.matches("First start").count(), 50);
    assert!(page.contains("href=\"/system/boots?before=12\""), "{page}");
    let page = bench.page("/system/boots?before=12").await;
    assert_eq!(page.matches("First start").count(), 11);
    assert!(!page.contains("?before="), "{page}");

    let many = "insert into boots (replica_id, started_at, clean_stop, company, rivals, report)
                select 1, now(), false, 'alone', '{}', '{}' from generate_series(1, 1000)";
    sqlx::query(many)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    let newest = bench.start().await;
    assert_eq!(
        bench
            .site
            .intake
            .database
            .count("select count(*) from boots")
            .await,
        1000
    );
    assert!(
        boots::find(&mut *bench.site.conn().await, boot.id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(bench.find(newest.id).await.id, newest.id);
}
