//! Silences from the incident page and the JSON interface, in a real Alertmanager.

use std::{sync::Arc, sync::atomic::AtomicUsize, time::Duration};

use axum::http::StatusCode;
use muster::{
    actions::{Bounds, Outside},
    domain::operator::Role,
};
use serde_json::{Value, json};

use super::world::{Bench, Lossy};
use crate::fleet::ports;

const FIRES: &str = "select count(*) from episodes where ends_at is null";

async fn burning() -> Bench {
    let bench = Bench::with_node(0).await;
    bench
        .post(
            json!({"alertname": "Down", "cluster": "a\"b", "instance": "db-1"}),
            true,
        )
        .await;
    bench.counts(FIRES, 1).await;
    bench
}

/// What the page proposes and a person sends.
async fn ask(bench: &Bench) -> String {
    let page = bench.site.get("/incidents/1", &bench.cookie).await.text;
    let form = page.split("id=\"silence\"").nth(1).expect("the form");
    let op = form.split("name=\"op\" value=\"").nth(1).unwrap();
    let op = op.split('"').next().unwrap().to_owned();
    let proposed = form.split("spellcheck=\"false\">\n").nth(1).unwrap();
    let proposed = proposed.split("</textarea>").next().unwrap();
    let proposed = proposed.replace("&#34;", "\"").replace("&#92;", "\\");
    let fields = [
        ("op", op.as_str()),
        ("matchers", &proposed),
        ("duration", "2h"),
        ("comment", "we drain <it>"),
    ];
    let done = bench
        .site
        .post("/incidents/1/silences", &bench.cookie, &fields)
        .await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    proposed
}

#[tokio::test]
async fn a_silence_from_the_page_holds_in_alertmanager_until_a_person_ends_it() {
    let bench = burning().await;
    let proposed = ask(&bench).await;
    assert_eq!(
        proposed,
        "alertname=\"Down\"\ncluster=\"a\\\"b\"\ninstance=\"db-1\""
    );
    assert_eq!(
        bench.ask("silences").await.unwrap(),
        json!([]),
        "a page sends nothing itself"
    );
    let outward = bench.outward();
    assert_eq!(outward.pass().await.unwrap(), 1);
    assert_eq!(outward.pass().await.unwrap(), 0);

    let there = bench.ask("silences").await.unwrap();
    let [silence] = there.as_array().unwrap().as_slice() else {
        panic!("{there}")
    };
    let comment = silence["comment"].as_str().unwrap();
    assert!(
        comment.starts_with("we drain <it> (ana, INC-1) [muster "),
        "{comment}"
    );
    assert_eq!(silence["matchers"][1]["value"], "a\"b");
    let alerts = bench.ask("alerts").await.unwrap();
    assert_eq!(alerts[0]["status"]["state"], "suppressed");
    let page = bench.site.get("/incidents/1", &bench.cookie).await.text;
    let id = silence["id"].as_str().unwrap();
    assert!(
        page.contains(id) && page.contains("Silenced"),
        "it says that it holds"
    );
    assert_eq!(bench.told("asked for by ana").await, 1);

    let full = bench.site.get("/api/v1/incidents/1", &bench.cookie).await.json();
    assert_eq!(full["silences"][0]["state"], "holds");
    let expire = format!(
        "/api/v1/incidents/1/silences/{}/expire",
        full["silences"][0]["id"]
    );
    let done = bench.site.post_json(&expire, &bench.cookie, "").await;
    assert_eq!(done.status, StatusCode::ACCEPTED, "{}", done.text);
    assert_eq!(outward.pass().await.unwrap(), 1);
    let again = bench.site.post_json(&expire, &bench.cookie, "").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let there = bench.ask("silences").await.unwrap();
    assert_eq!(there[0]["status"]["state"], "expired");
    assert_eq!(bench.told("is over, ended by ana").await, 1);
    let alerts = bench.ask("alerts").await.unwrap();
    assert_eq!(alerts[0]["status"]["state"], "active");
    bench.end();
}

#[tokio::test]
async fn a_silence_whose_answers_were_lost_is_found_and_not_made_again() {
    let bench = burning().await;
    ask(&bench).await;
    let mut outward = bench.outward();
    outward.world = Arc::new(Lossy {
        outside: Outside::new(Bounds::default()),
        losses: AtomicUsize::new(2),
    });
    for _ in 0..2 {
        assert_eq!(outward.pass().await.unwrap(), 1);
        assert_eq!(bench.told("holds in am").await, 0);
        bench.clock().advance(Duration::from_secs(30));
    }
    assert_eq!(outward.pass().await.unwrap(), 1);
    assert_eq!(bench.told("holds in am").await, 1);
    let there = bench.ask("silences").await.unwrap();
    assert_eq!(there.as_array().unwrap().len(), 1, "{there}");

    // Over by its own time: told, and Alertmanager needs no word of it.
    bench.clock().advance(Duration::from_secs(3 * 3600));
    assert_eq!(outward.pass().await.unwrap(), 1);
    assert_eq!(bench.told("The time of silence").await, 1);
    assert_eq!(bench.text("select state from silences").await, "over");
    bench.end();
}

#[tokio::test]
async fn an_alertmanager_that_is_away_is_tried_again_and_then_given_up() {
    let bench = burning().await;
    ask(&bench).await;
    let outward = bench.outward_to(&[ports::free().unwrap()]);
    let mut tries = 0;
    while bench.text("select state from silences").await == "asked" {
        tries += outward.pass().await.unwrap();
        bench.clock().advance(Duration::from_secs(301));
        assert!(tries < 20, "it never gives up");
    }
    assert!(tries > 3, "{tries}");
    assert_eq!(bench.told("No silence of").await, 1);
    let page = bench.site.get("/incidents/1", &bench.cookie).await.text;
    assert!(
        page.contains("Not silenced") && page.contains("cannot connect"),
        "it says why"
    );
    assert_eq!(bench.ask("silences").await.unwrap(), json!([]));
    bench.end();
}

#[tokio::test]
async fn what_would_silence_everything_or_nobody_asked_for_is_refused() {
    let bench = burning().await;
    let (_, viewer) = bench.site.person("eve", Role::Viewer).await;
    let body = |matchers: &str, duration: &str, comment: &str| {
        json!({"matchers": matchers, "duration": duration, "comment": comment}).to_string()
    };
    let path = "/api/v1/incidents/1/silences";
    for (body, words) in [
        (body("env!=\"dev\"", "1h", "x"), "everything"),
        (body("a=\"b\"", "soon", "x"), "how long"),
        (body("a=\"b\"", "5s", "x"), "from 1m"),
        (body("a=\"b\"", "1h", " "), "Say why"),
        (body("a=~\"(\"", "1h", "x"), "regular expression"),
    ] {
        let refused = bench.site.post_json(path, &bench.cookie, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(refused.text.contains(words), "{body}: {}", refused.text);
    }
    let good = body("a=\"b\"", "1h", "x");
    let denied = bench.site.post_json(path, &viewer, &good).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    let page = bench.site.get("/incidents/1", &viewer).await.text;
    assert!(!page.contains("Silence these alerts"));

    let keyed: Value = json!({"matchers": "a=\"b\"", "duration": "1h", "comment": "x",
        "key": "0198c0de-0000-7000-8000-000000000001"});
    let first = bench
        .site
        .post_json(path, &bench.cookie, &keyed.to_string())
        .await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    let second = bench
        .site
        .post_json(path, &bench.cookie, &keyed.to_string())
        .await;
    assert_eq!(second.status, StatusCode::CONFLICT, "one wish is one silence");

    let mut conn = bench.site.conn().await;
    sqlx::query("update sources set alertmanager = null")
        .execute(&mut *conn)
        .await
        .unwrap();
    let refused = bench.site.post_json(path, &bench.cookie, &good).await;
    assert!(refused.text.contains("names no Alertmanager"), "{}", refused.text);
    bench.end();
}
