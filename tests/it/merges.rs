//! An incident lives on in another one: where its alerts are, where new ones of its group go, and what is given back.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::future::{join, join3};
use muster::{
    catalog,
    domain::{
        event::first_broken_link,
        id::{AlertId, IncidentId, RunId},
        labels::Labels,
        operator::{Operator, Role},
    },
    execute::people,
    incident::{merge, respond::RespondError},
    matching::{self, Asked},
    store::{events, queue, runbooks},
};
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::site::{Answer, Site};

const MINUTE: Duration = Duration::from_secs(60);
const ROUNDS: usize = 25;

const RUNBOOK: &str = r#"
runbook: restart
title: Restart it
match: ['alertname="B"']
start: suggest
steps:
  - id: pause
    wait: 1h
"#;

/// Two people who may act, one sender, and a clock to speak by.
struct Ward {
    site: Site,
    epoch: DateTime<Utc>,
    ana: Operator,
    cookie: String,
}

impl Ward {
    async fn new() -> Self {
        let site = Site::new().await;
        let (ana, cookie) = site.person("ana", Role::Responder).await;
        let epoch = site.clock().now();
        Self {
            site,
            epoch,
            ana,
            cookie,
        }
    }

    fn body(&self, group: &str, name: &str, start: i64, end: Option<i64>) -> Value {
        let at = |second: i64| {
            (self.epoch + TimeDelta::seconds(second)).to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        json!({"receiver": "r", "groupKey": group, "alerts": [{
            "status": if end.is_some() { "resolved" } else { "firing" },
            "labels": {"alertname": name},
            "startsAt": at(start),
            "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), at),
        }]})
    }

    /// Says that alert `name` of a group, which began at `start` seconds, fires, or ended at `end` seconds.
    async fn says(&self, group: &str, name: &str, start: i64, end: Option<i64>) {
        let body = self.body(group, name, start, end);
        let (status, answer) = self.site.intake.post("prom", body.to_string()).await;
        assert!(status.is_success(), "{answer}");
        self.site.clock().advance(Duration::from_secs(1));
    }

    async fn merge(&self, from: i64, into: i64) -> Result<i64, RespondError> {
        let mut tx = self.site.intake.database.pools.web.begin().await.unwrap();
        let now = self.site.clock().now();
        let (from, into) = (IncidentId(from), IncidentId(into));
        let moved = merge::merge(&mut tx, from, into, "the same fault", &self.ana, now).await?;
        tx.commit().await.unwrap();
        Ok(moved)
    }

    async fn unmerge(&self, id: i64) -> Result<i64, RespondError> {
        let mut tx = self.site.intake.database.pools.web.begin().await.unwrap();
        let now = self.site.clock().now();
        let moved = merge::unmerge(&mut tx, IncidentId(id), "", &self.ana, now).await?;
        tx.commit().await.unwrap();
        Ok(moved)
    }

    async fn states(&self) -> Vec<String> {
        sqlx::query_scalar("select state from incidents order by id")
            .fetch_all(&self.site.intake.database.pools.web)
            .await
            .unwrap()
    }

    /// Each firing alert's title and the incident it is in.
    async fn firing(&self) -> Vec<(String, i64)> {
        sqlx::query(
            "select a.title, e.incident_id from episodes e join alerts a on a.id = e.alert_id
             where e.ends_at is null order by a.title",
        )
        .fetch_all(&self.site.intake.database.pools.web)
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
    }

    /// What a timeline says, in sentences; its chain holds.
    async fn story(&self, id: i64) -> Vec<String> {
        let mut conn = self.site.conn().await;
        let told = events::list_after(&mut conn, IncidentId(id), 0, 1000)
            .await
            .unwrap();
        assert_eq!(first_broken_link(IncidentId(id), &told), None);
        told.iter()
            .map(|recorded| muster::domain::sentence::sentence(&recorded.event))
            .collect()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.site.post(path, &self.cookie, fields).await
    }
}

fn named(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect()
}

fn message(done: Result<i64, RespondError>) -> String {
    done.unwrap_err().to_string()
}

#[tokio::test]
async fn what_was_merged_lives_on_in_the_other_and_its_group_goes_there() {
    let ward = Ward::new().await;
    ward.says("a", "A", 0, None).await;
    ward.says("b", "B", 0, None).await;
    assert_eq!(ward.merge(2, 1).await.unwrap(), 1);
    assert_eq!(ward.states().await, ["triggered", "merged"]);
    assert_eq!(ward.firing().await, named(&[("A", 1), ("B", 1)]));
    // A repeat, a new alert of the merged group and a new start of an old one all go where it lives.
    ward.says("b", "B", 0, None).await;
    ward.says("b", "C", 5, None).await;
    ward.says("b", "B", 20, None).await;
    assert_eq!(ward.states().await, ["triggered", "merged"]);
    assert_eq!(ward.firing().await, named(&[("A", 1), ("B", 1), ("C", 1)]));
    // It recovers when the alerts of both have ended, not before.
    ward.says("a", "A", 0, Some(30)).await;
    ward.says("b", "B", 0, Some(31)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["triggered", "merged"]);
    ward.says("b", "C", 5, Some(32)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["resolved", "merged"]);
    // Soon after, the merged group brings the same incident back; long after, it opens one that names it.
    ward.says("b", "C", 200, None).await;
    assert_eq!(ward.states().await, ["triggered", "merged"]);
    ward.says("b", "C", 200, Some(210)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    ward.site.intake.pass(20 * MINUTE).await;
    ward.says("b", "C", 2000, None).await;
    assert_eq!(ward.states().await, ["resolved", "merged", "triggered"]);
    let linked = "select count(*) from incidents where id = 3 and recurrence_of = 1";
    assert_eq!(ward.site.intake.database.count(linked).await, 1);
    let (home, away) = (ward.story(1).await, ward.story(2).await);
    assert!(
        home.contains(&"Took in INC-2, “B”, with 1 alert: the same fault".to_owned()),
        "{home:#?}"
    );
    assert!(
        away.contains(&"Merged into INC-1, with 1 alert: the same fault".to_owned()),
        "{away:#?}"
    );
}

#[tokio::test]
async fn an_old_link_opens_and_the_page_merges_once_and_takes_it_back() {
    let ward = Ward::new().await;
    ward.says("a", "A", 0, None).await;
    ward.says("b", "B", 0, None).await;
    let form = ward.site.get("/incidents/2/merge", &ward.cookie).await;
    assert_eq!(form.status, StatusCode::OK);
    assert!(
        form.text.contains("value=\"1\"") && !form.text.contains("type=\"radio\" name=\"into\" value=\"2\"")
    );
    let found = ward
        .site
        .get("/incidents/2/merge?q=nothing-like-it", &ward.cookie)
        .await;
    assert!(found.text.contains("No other open incident"), "{}", found.text);
    let op = form.field("op");
    let fields = [("op", op.as_str()), ("into", "1"), ("reason", "same disk")];
    // A double click is one merge.
    let (first, second) = join(
        ward.post("/incidents/2/merge", &fields),
        ward.post("/incidents/2/merge", &fields),
    )
    .await;
    assert_eq!(
        (first.status, second.status),
        (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER)
    );
    assert_eq!(ward.states().await, ["triggered", "merged"]);
    let took_in = "select count(*) from events where kind in ('took_in', 'merged_into')";
    assert_eq!(ward.site.intake.database.count(took_in).await, 2);
    let page = ward.site.get("/incidents/2", &ward.cookie).await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "Merged into <a href=\"/incidents/1\">INC-1</a>",
        "same disk",
        "now in <a href=\"/incidents/1\">INC-1</a>",
        "action=\"/incidents/2/unmerge\"",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let home = ward.site.get("/incidents/1", &ward.cookie).await.text;
    assert!(
        home.contains("Took in <a href=\"/incidents/2\">INC-2</a>"),
        "{home}"
    );
    assert!(
        home.contains("came with <a href=\"/incidents/2\">INC-2</a>"),
        "{home}"
    );
    // The same by JSON: what is merged already is not merged again, and is taken out.
    let again = ward
        .site
        .post_json("/api/v1/incidents/2/merge", &ward.cookie, "{\"into\": 1}")
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    let body = ward.site.get("/api/v1/incidents/1", &ward.cookie).await.json();
    assert_eq!(body["merged"], json!([2]));
    assert_eq!(body["alerts"][1]["came_from"], json!(2));
    let out = ward
        .site
        .post_json("/api/v1/incidents/2/unmerge", &ward.cookie, "{}")
        .await;
    assert_eq!(
        (out.status, &out.json()["state"]),
        (StatusCode::OK, &json!("triggered"))
    );
    assert_eq!(ward.firing().await, named(&[("A", 1), ("B", 2)]));
    let viewer = ward.site.person("vic", Role::Viewer).await.1;
    let refused = ward.site.post("/incidents/2/merge", &viewer, &fields).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_chain_is_one_look_and_a_circle_is_refused() {
    let ward = Ward::new().await;
    for (group, name) in [("a", "A"), ("b", "B"), ("c", "C")] {
        ward.says(group, name, 0, None).await;
    }
    ward.merge(3, 2).await.unwrap();
    ward.merge(2, 1).await.unwrap();
    ward.says("c", "D", 5, None).await;
    assert_eq!(
        ward.firing().await,
        named(&[("A", 1), ("B", 1), ("C", 1), ("D", 1)])
    );
    for (from, into, why) in [
        (1, 1, "itself"),
        (1, 2, "INC-2 is merged into INC-1"),
        (1, 3, "INC-3 is merged into INC-1"),
        (3, 1, "INC-3 is merged into INC-1"),
    ] {
        let refusal = message(ward.merge(from, into).await);
        assert!(refusal.contains(why), "{from} into {into}: {refusal}");
    }
    let page = ward.site.get("/incidents/3", &ward.cookie).await.text;
    assert!(
        page.contains("which is merged into <a href=\"/incidents/1\">"),
        "{page}"
    );
    // The middle is taken out with what was merged into it.
    assert_eq!(ward.unmerge(2).await.unwrap(), 3);
    assert_eq!(ward.states().await, ["triggered", "triggered", "merged"]);
    assert_eq!(
        ward.firing().await,
        named(&[("A", 1), ("B", 2), ("C", 2), ("D", 2)])
    );
    ward.says("c", "E", 9, None).await;
    assert_eq!(ward.firing().await[4], ("E".to_owned(), 2));
    assert_eq!(ward.unmerge(3).await.unwrap(), 3);
    assert_eq!(
        ward.firing().await,
        named(&[("A", 1), ("B", 2), ("C", 3), ("D", 3), ("E", 3)])
    );
    assert!(message(ward.unmerge(3).await).contains("not merged"));
}

#[tokio::test]
async fn what_is_taken_out_stands_as_before_with_the_alerts_of_its_group() {
    let ward = Ward::new().await;
    ward.says("a", "A", 0, None).await;
    ward.says("b", "B", 0, None).await;
    let op = ward.site.get("/incidents/2", &ward.cookie).await.field("op");
    ward.post("/incidents/2/acknowledge", &[("op", &op)]).await;
    ward.merge(2, 1).await.unwrap();
    ward.says("b", "C", 5, None).await;
    ward.says("a", "D", 6, None).await;
    ward.says("b", "B", 0, Some(8)).await;
    assert_eq!(ward.unmerge(2).await.unwrap(), 2);
    assert_eq!(ward.states().await, ["triggered", "acknowledged"]);
    assert_eq!(ward.firing().await, named(&[("A", 1), ("C", 2), ("D", 1)]));
    // Each goes on alone.
    ward.says("b", "C", 5, Some(20)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["triggered", "resolved"]);

    // One whose alerts have ended meanwhile is over, and so is the one that has lost its last firing alert.
    ward.says("e", "E", 300, None).await;
    ward.merge(3, 1).await.unwrap();
    ward.says("a", "A", 0, Some(310)).await;
    ward.says("a", "D", 6, Some(310)).await;
    ward.unmerge(3).await.unwrap();
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["resolved", "resolved", "triggered"]);
    ward.says("f", "F", 600, None).await;
    ward.merge(3, 4).await.unwrap();
    ward.says("e", "E", 300, Some(610)).await;
    ward.unmerge(3).await.unwrap();
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(
        ward.states().await,
        ["resolved", "resolved", "resolved", "triggered"]
    );
}

#[tokio::test]
async fn a_merge_ends_the_recovery_of_what_it_brings_firing_alerts_to() {
    let ward = Ward::new().await;
    ward.says("a", "A", 0, None).await;
    ward.says("b", "B", 0, None).await;
    ward.says("a", "A", 0, Some(5)).await;
    ward.merge(2, 1).await.unwrap();
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["triggered", "merged"]);
    // What was over and is said to fire again is believed where it lives.
    ward.says("b", "B", 0, Some(6)).await;
    ward.says("b", "B", 0, None).await;
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["triggered", "merged"]);
    assert_eq!(ward.firing().await, named(&[("B", 1)]));
    assert!(message(ward.merge(2, 1).await).contains("already"));
}

#[tokio::test]
async fn the_group_of_a_merged_incident_that_has_another_one_now_is_not_opened_twice() {
    let ward = Ward::new().await;
    ward.says("a", "A", 0, None).await;
    ward.says("b", "B", 0, None).await;
    ward.merge(2, 1).await.unwrap();
    ward.says("a", "A", 0, Some(5)).await;
    ward.says("b", "B", 0, Some(5)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    ward.site.intake.pass(20 * MINUTE).await;
    ward.says("b", "B", 2000, None).await;
    assert_eq!(ward.states().await, ["resolved", "merged", "triggered"]);
    assert!(message(ward.unmerge(2).await).contains("INC-3 is open for the same group"));
}

#[tokio::test]
async fn a_live_run_goes_on_is_shown_at_both_and_holds_the_end_back() {
    let ward = Ward::new().await;
    ward.says("a", "A", 0, None).await;
    ward.says("b", "B", 0, None).await;
    let run: RunId = {
        let mut conn = ward.site.conn().await;
        let now = ward.site.clock().now();
        let runbook = catalog::parse_runbook(RUNBOOK).unwrap().runbook;
        let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "restart.yaml", now)
            .await
            .unwrap();
        people::start(
            &mut conn,
            IncidentId(2),
            version.id,
            &Default::default(),
            &ward.ana,
            now,
        )
        .await
        .unwrap()
    };
    ward.merge(2, 1).await.unwrap();
    for page in ["/incidents/1", "/incidents/2"] {
        let page = ward.site.get(page, &ward.cookie).await.text;
        assert!(
            page.contains(&format!("/runs/{run}")) && page.contains("Restart it"),
            "{page}"
        );
    }
    let body = ward.site.get("/api/v1/incidents/1", &ward.cookie).await.json();
    assert_eq!(body["runs"], json!([run.0]));
    let mut conn = ward.site.conn().await;
    assert!(queue::has_live_run(&mut conn, IncidentId(1)).await.unwrap());
    ward.says("a", "A", 0, Some(5)).await;
    ward.says("b", "B", 0, Some(5)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["triggered", "merged"], "its run is live");
    sqlx::query("delete from run_queue")
        .execute(&mut *conn)
        .await
        .unwrap();
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(ward.states().await, ["resolved", "merged"]);
}

#[tokio::test]
async fn a_runbook_found_for_the_merged_one_is_not_found_anew_until_it_is_taken_out() {
    let ward = Ward::new().await;
    ward.says("a", "A", 0, None).await;
    ward.says("b", "B", 0, None).await;
    let mut conn = ward.site.conn().await;
    let now = ward.site.clock().now();
    let runbook = catalog::parse_runbook(RUNBOOK).unwrap().runbook;
    let shelf = [
        runbooks::publish(&mut conn, &runbook, RUNBOOK, "restart.yaml", now)
            .await
            .unwrap(),
    ];
    let labels = Labels::from([("alertname", "B")]);
    let asked = |incident| {
        [Asked {
            incident: IncidentId(incident),
            is_new: false,
            alerts: vec![(AlertId(2), &labels)],
        }]
    };
    let found = matching::record(&mut conn, &asked(2), &shelf, now).await.unwrap();
    assert_eq!(found.fresh.len(), 1);
    ward.merge(2, 1).await.unwrap();
    let found = matching::record(&mut conn, &asked(1), &shelf, now).await.unwrap();
    assert!(found.fresh.is_empty(), "what would start by itself has started");
    let page = ward.site.get("/incidents/1", &ward.cookie).await.text;
    assert!(page.contains("/runbooks/restart"), "{page}");
    ward.unmerge(2).await.unwrap();
    let left = &ward.site.intake.database;
    assert_eq!(
        left.count("select count(*) from matches where incident_id = 1")
            .await,
        0
    );
    assert_eq!(
        left.count("select count(*) from matches where incident_id = 2")
            .await,
        1
    );
}

#[tokio::test]
async fn merges_that_cross_end_in_one_of_them() {
    let ward = Ward::new().await;
    for round in 0..ROUNDS as i64 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        ward.says(&a, &a, 0, None).await;
        ward.says(&b, &b, 0, None).await;
        let (left, right) = (2 * round + 1, 2 * round + 2);
        let (one, other) = join(ward.merge(left, right), ward.merge(right, left)).await;
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        let states = ward.states().await.split_off(2 * round as usize);
        assert_eq!(states.iter().filter(|state| *state == "merged").count(), 1);
    }
}

#[tokio::test]
async fn a_delivery_at_the_moment_of_a_merge_is_neither_lost_nor_opens_a_third() {
    let ward = Ward::new().await;
    for round in 0..ROUNDS as i64 {
        let (a, b, c) = (format!("a{round}"), format!("b{round}"), format!("c{round}"));
        ward.says(&a, &a, 0, None).await;
        ward.says(&b, &b, 0, None).await;
        let (home, away) = (2 * round + 1, 2 * round + 2);
        let fresh = ward.body(&b, &c, 5, None).to_string();
        let over = ward.body(&b, &b, 0, Some(6)).to_string();
        let merge = async {
            while let Err(error) = ward.merge(away, home).await {
                let RespondError::Store(error) = error else {
                    panic!("{error}")
                };
                assert!(error.is_conflict(), "{error:?}");
            }
        };
        let intake = &ward.site.intake;
        let (_, fresh, over) = join3(merge, intake.post("prom", fresh), intake.post("prom", over)).await;
        assert!(fresh.0.is_success() && over.0.is_success(), "{fresh:?} {over:?}");
        ward.site.clock().advance(Duration::from_secs(1));
        assert_eq!(ward.states().await.len() as i64, away, "no third incident");
        assert!(
            ward.firing().await.contains(&(c.clone(), home)),
            "the new alert is in the survivor"
        );
        // Whatever came first, the survivor ends with the last alert.
        ward.says(&a, &a, 0, Some(9)).await;
        ward.says(&b, &c, 5, Some(9)).await;
        ward.site.intake.pass(2 * MINUTE).await;
        let states = ward.states().await.split_off(2 * round as usize);
        assert_eq!(states, ["resolved", "merged"], "round {round}");
    }
}

#[tokio::test]
async fn a_delivery_at_the_moment_of_taking_out_stays_with_one_of_the_two() {
    let ward = Ward::new().await;
    for round in 0..ROUNDS as i64 {
        let (a, b, c) = (format!("a{round}"), format!("b{round}"), format!("c{round}"));
        ward.says(&a, &a, 0, None).await;
        ward.says(&b, &b, 0, None).await;
        let (home, away) = (2 * round + 1, 2 * round + 2);
        ward.merge(away, home).await.unwrap();
        let fresh = ward.body(&b, &c, 5, None).to_string();
        let unmerge = async {
            while let Err(error) = ward.unmerge(away).await {
                let RespondError::Store(error) = error else {
                    panic!("{error}")
                };
                assert!(error.is_conflict(), "{error:?}");
            }
        };
        let (_, fresh) = join(unmerge, ward.site.intake.post("prom", fresh)).await;
        assert!(fresh.0.is_success(), "{fresh:?}");
        ward.site.clock().advance(Duration::from_secs(1));
        // The alert of its group came before, and went along, or after, and was placed there.
        let firing = ward.firing().await;
        assert!(
            firing.contains(&(b, away)) && firing.contains(&(c, away)),
            "round {round}: {firing:?}"
        );
        assert_eq!(ward.states().await.len() as i64, away);
    }
}

fn recording(name: &str) -> Vec<String> {
    let path = format!(
        "{}/tests/data/alertmanager/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let requests = recording["requests"].as_array().unwrap().iter();
    requests
        .map(|request| request["body_raw"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_recording_ends_alike_wherever_in_it_its_incident_is_merged() {
    let bodies = recording("02-group-partial-resolve-refire");
    for at in 1..bodies.len() {
        let ward = Ward::new().await;
        ward.says("other", "Other", 0, None).await;
        for (place, body) in bodies.iter().enumerate() {
            if place == at {
                ward.merge(2, 1).await.unwrap();
            }
            let (status, answer) = ward.site.intake.post("prom", body.clone()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            ward.site.clock().advance(Duration::from_millis(1));
        }
        let state = async || {
            let episodes = "select count(*) from episodes";
            (
                ward.states().await,
                ward.firing().await,
                ward.site.intake.database.count(episodes).await,
            )
        };
        ward.site.intake.pass(2 * MINUTE).await;
        let before = state().await;
        assert_eq!(before.0, ["triggered", "merged"], "merged before body {at}");
        assert_eq!(before.1, named(&[("Other", 1)]), "all of the group ended");
        // The whole of it once more changes nothing.
        for body in &bodies {
            let (status, _) = ward.site.intake.post("prom", body.clone()).await;
            assert_eq!(status, StatusCode::OK);
            ward.site.clock().advance(Duration::from_millis(1));
        }
        ward.site.intake.pass(2 * MINUTE).await;
        assert_eq!(state().await, before, "merged before body {at}");
        ward.says("other", "Other", 0, Some(400)).await;
        ward.site.intake.pass(2 * MINUTE).await;
        assert_eq!(ward.states().await, ["resolved", "merged"]);
    }
}
