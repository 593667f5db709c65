//! The page, the file and the JSON: who may see them, what they hold, and what hostile text becomes.

use std::{collections::BTreeSet, time::Duration};

use axum::http::StatusCode;
use muster::{domain::id::IncidentId, domain::operator::Role, incident::respond};
use serde_json::{Value, json};

use super::{HOSTILE, act, note, tamper, world};
use crate::support::site::Site;

#[tokio::test]
async fn it_is_for_approvers() {
    let (site, _, ana) = world().await;
    let paths = ["/audit", "/audit/export?format=csv", "/api/v1/audit"];
    for (name, role) in [("vic", Role::Viewer), ("rob", Role::Responder)] {
        let (_, cookie) = site.person(name, role).await;
        for path in paths {
            let answer = site.get(path, &cookie).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name} {path}");
            assert!(!answer.text.contains("it was a cable"), "{name} {path}");
        }
        assert!(
            !site
                .get("/incidents", &cookie)
                .await
                .text
                .contains("href=\"/audit\"")
        );
    }
    for path in paths {
        let answer = site.get(path, &ana).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.text.contains("it was a cable"), "{path}");
    }
    assert!(
        site.get("/incidents", &ana)
            .await
            .text
            .contains("href=\"/audit\"")
    );
    let stranger = site.get("/audit", "").await;
    assert_eq!(stranger.header("location"), "/login?next=%2Faudit");
}

#[tokio::test]
async fn both_kinds_of_decisions_stand_in_one_list_and_are_filtered() {
    let (site, ana, cookie) = world().await;
    site.clock().advance(Duration::from_secs(60));
    let now = site.clock().now();
    let mut conn = site.conn().await;
    respond::acknowledge(&mut conn, IncidentId(2), &ana, now)
        .await
        .unwrap();
    drop(conn);
    act(&site, &ana, "lb", HOSTILE).await;

    let get = async |query: &str| {
        let answer = site.get(&format!("/api/v1/audit{query}"), &cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
        answer.json()["rows"].as_array().unwrap().clone()
    };
    let kinds = async |query: &str| {
        let rows = get(query).await;
        rows.iter()
            .map(|row| row["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // Notes are no decisions, nor are marks.
    assert_eq!(
        kinds("").await,
        ["acknowledged", "circuit_closed", "resumed", "paused"]
    );
    assert_eq!(kinds("?kind=paused").await, ["paused"]);
    assert_eq!(kinds("?object=inc-2").await, ["acknowledged"]);
    assert_eq!(kinds("?object=INC-1").await, Vec::<String>::new());
    assert_eq!(kinds("?object=lb").await, ["circuit_closed"]);
    assert_eq!(
        kinds("?actor=ana&from=2026-11-21T03:01").await,
        ["acknowledged", "circuit_closed"]
    );
    assert_eq!(kinds("?to=2026-11-21T03:01:00Z").await, ["resumed", "paused"]);
    assert_eq!(kinds("?actor=ben").await, Vec::<String>::new());
    assert_eq!(kinds("?actor=Muster").await, Vec::<String>::new());
    let row = &get("?kind=acknowledged").await[0];
    assert_eq!(
        (
            &row["who"],
            &row["via"],
            &row["before"],
            &row["after"],
            &row["incident"]
        ),
        (
            &json!("ana"),
            &json!("session"),
            &json!("triggered"),
            &json!("acknowledged"),
            &json!(2)
        )
    );
    let row = &get("?kind=resumed").await[0];
    assert_eq!(
        (&row["before"]["reason"], &row["after"]),
        (&json!("the network is odd"), &json!({"state": "on"}))
    );
    for wrong in ["?from=yesterday", "?before=5", "?to=99999-01-01"] {
        let answer = site.get(&format!("/api/v1/audit{wrong}"), &cookie).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }

    let page = site.get("/audit", &cookie).await.text;
    for said in [
        "paused all automation",
        "via session",
        "<bdi>state paused</bdi>",
        "href=\"/incidents/2#e",
        "Audit: 3 acts, unbroken, checked to the end",
        "Unbroken",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    assert!(
        !page.contains("<script>alert") && !page.contains("<img src=x"),
        "{page}"
    );
    assert!(page.contains("⟨U+202E⟩"), "{page}");
    let hostile = format!(
        "/audit?actor={}",
        url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>()
    );
    let filtered = site.get(&hostile, &cookie).await.text;
    assert!(filtered.contains("No decision is like that."), "{filtered}");
    assert!(
        !filtered.contains("<script>alert") && filtered.contains("Show all decisions"),
        "{filtered}"
    );
}

#[tokio::test]
async fn before_anybody_has_decided_the_page_says_so() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Approver).await;
    let page = site.get("/audit", &cookie).await.text;
    assert!(page.contains("Nobody has decided anything yet."), "{page}");
    assert!(page.contains("Not checked to the end yet"), "{page}");
    let page = site.get("/audit?kind=paused", &cookie).await.text;
    assert!(page.contains("No decision is like that."), "{page}");
    let answer = site.get("/api/v1/audit", &cookie).await.json();
    assert_eq!(answer, json!({"rows": []}));
    let file = site.get("/audit/export?format=jsonl", &cookie).await;
    assert_eq!(file.text, "");
}

#[tokio::test]
async fn pages_of_the_list_meet_without_gap_or_double_over_equal_times() {
    let (site, ana, cookie) = world().await;
    // All at one moment, in the audit and in two timelines.
    let mut conn = site.conn().await;
    let now = site.clock().now();
    for incident in [1, 2] {
        let fact = |n| muster::domain::event::IncidentFact::Mitigated {
            reason: format!("try {n}"),
        };
        let events: Vec<_> = (0..60)
            .map(|n| muster::domain::event::NewEvent::by(ana.actor(), fact(n), now))
            .collect();
        muster::store::events::append(&mut conn, IncidentId(incident), &events, now)
            .await
            .unwrap();
    }
    drop(conn);
    for n in 0..90 {
        act(&site, &ana, "lb", &format!("{n}")).await;
    }
    for limit in [100, 7] {
        let (mut seen, mut count, mut before) = (BTreeSet::new(), 0, String::new());
        loop {
            let answer = site
                .get(&format!("/api/v1/audit?limit={limit}&before={before}"), &cookie)
                .await
                .json();
            for row in answer["rows"].as_array().unwrap() {
                count += 1;
                seen.insert((
                    row["incident"].as_i64().unwrap_or(0),
                    row["seq"].as_i64().unwrap(),
                ));
            }
            match answer.get("next").and_then(Value::as_str) {
                Some(next) => before = next.to_owned(),
                None => break,
            }
        }
        assert_eq!((count, seen.len()), (212, 212), "by {limit}");
    }
    let page = site.get("/audit", &cookie).await.text;
    assert_eq!(page.matches("via session").count(), 100);
    let older = page
        .split("<a href=\"/audit?before=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let page = site.get(&format!("/audit?before={older}"), &cookie).await.text;
    assert_eq!(page.matches("via session").count(), 100);
    assert!(page.contains(">Newest</a>"), "{page}");
}

/// The cells of a file as a spreadsheet reads them.
fn cells(file: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = file.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => cell.extend(chars.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\r', false) => {}
            ('\n', false) => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (c, _) => cell.push(c),
        }
    }
    rows
}

#[tokio::test]
async fn a_file_has_every_row_and_no_formula() {
    let (site, _, cookie) = world().await;
    let (eve, _) = site.person("=cmd|' /C calc'!A0", Role::Approver).await;
    for reason in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a\"b,c\r\n=1", HOSTILE] {
        act(&site, &eve, "=HYPERLINK(\"http://evil.example\")", reason).await;
    }
    let file = site.get("/audit/export?format=csv", &cookie).await;
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"muster-audit.csv\""
    );
    assert!(file.header("content-type").starts_with("text/csv"));
    let rows = cells(&file.text);
    assert_eq!(rows.len(), 1 + 7 + 2);
    for row in &rows {
        assert_eq!(row.len(), 13, "{row:?}");
        for cell in row {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
        }
    }
    assert_eq!(rows[1][1], "'=cmd|' /C calc'!A0");
    let file = site.get("/audit/export?format=jsonl&kind=paused", &cookie).await;
    let lines: Vec<Value> = file
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["after"]["state"]),
        (&json!("paused"), &json!("paused"))
    );
    let wrong = site.get("/audit/export?format=xls", &cookie).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_broken_chain_stands_on_every_page_until_it_holds_again() {
    let (site, ana, cookie) = world().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let database = &site.intake.database;
    let said = "Somebody has changed the record of who decided what";
    assert!(!site.get("/incidents", &vic).await.text.contains(said));
    tamper(database, &["update audit set reason = 'nothing' where seq = 1"]).await;
    site.clock().advance(Duration::from_secs(60));
    site.intake.upkeep.keep_audit().await.unwrap();
    for (path, cookie) in [("/incidents", &vic), ("/incidents/1", &vic), ("/audit", &cookie)] {
        let page = site.get(path, cookie).await.text;
        assert!(page.contains(said), "{path}");
        assert!(
            page.contains("the audit is broken at #1 (21 Nov 2026 03:00:00 UTC)"),
            "{page}"
        );
    }
    tamper(
        database,
        &["update audit set reason = 'the network is odd' where seq = 1"],
    )
    .await;
    tamper(database, &["update events set body = '{\"kind\": \"note\", \"text\": \"no\"}' where incident_id = 2 and kind = 'note'"]).await;
    site.intake.upkeep.keep_audit().await.unwrap();
    let page = site.get("/audit", &cookie).await.text;
    assert!(page.contains("the timeline of INC-2 is broken at #"), "{page}");
    assert!(page.contains("Audit: 3 acts, unbroken"), "{page}");
    tamper(database, &["update events set body = '{\"kind\": \"note\", \"text\": \"it was like that\"}' where incident_id = 2 and kind = 'note'"]).await;
    note(&site, 2, &ana).await;
    site.intake.upkeep.keep_audit().await.unwrap();
    assert!(!site.get("/incidents", &vic).await.text.contains(said));
}
