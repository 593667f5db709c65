//! What a search finds, how a wrong one is answered, and what the page says when there is nothing.

use axum::http::StatusCode;
use muster::domain::operator::Role;
use serde_json::json;

use super::{Desk, address, rows};
use crate::pages::{fire, waiting_run};

#[tokio::test]
async fn each_kind_of_term_finds_what_it_says() {
    let desk = Desk::new().await;
    desk.five().await;
    for (query, found) in [
        ("", vec![5, 4, 3, 2, 1]),
        ("state:open", vec![5, 3, 2, 1]),
        ("state:resolved", vec![4]),
        ("-state:open", vec![4]),
        ("sev:1", vec![3, 1]),
        ("sev:1,2", vec![3, 2, 1]),
        ("-sev:1 state:open", vec![5, 2]),
        ("owner:me", vec![3]),
        ("owner:ana", vec![3]),
        ("owner:Ana sev:2", vec![]),
        ("owner:nobody state:open", vec![5, 2, 1]),
        ("-owner:nobody", vec![3]),
        ("service:checkout", vec![2, 1]),
        ("service:checkout,mail -sev:2", vec![3, 1]),
        ("-service:checkout state:open", vec![5, 3]),
        ("label:region=eu", vec![4, 1]),
        ("label:region=eu label:service=checkout", vec![1]),
        ("-label:region=eu -service:mail", vec![5, 2]),
        ("source:prom", vec![5, 4, 3, 2, 1]),
        ("-source:prom", vec![]),
        ("source:nobody-sends", vec![]),
        ("has:run", vec![]),
        ("-has:run sev:2", vec![2]),
        ("-is:drill sev:2", vec![2]),
        ("is:drill", vec![]),
        ("-is:flapping -is:running -is:waiting -is:folded sev:2", vec![2]),
        ("inc-4", vec![4]),
        ("INC-4 INC-2", vec![4, 2]),
        ("-INC-4 -INC-5 -sev:1", vec![2]),
        // A name of an alert is found by the words in it, a word by its beginning.
        ("database", vec![1]),
        ("DATA down", vec![1]),
        ("lat", vec![2]),
        ("\"above 2\"", vec![2]),
        ("-disk -queue -checkout -latency", vec![5]),
        ("o'clock", vec![5]),
        ("\"quoted & odd\"", vec![5]),
        ("x\\y", vec![]),
        ("is:waiting -is:waiting", vec![]),
    ] {
        assert_eq!(desk.found(query).await, found, "{query}");
    }
}

#[tokio::test]
async fn a_wrong_term_is_named_with_its_column_and_the_right_ones_still_count() {
    let desk = Desk::new().await;
    desk.five().await;
    let html = desk.get(&address("sev:1 stat:open")).await.text;
    assert!(
        html.contains("Column 7, <code><bdi>stat:open</bdi></code>"),
        "{html}"
    );
    assert!(
        html.contains("href=\"/incidents?q=sev%3A1+state%3Aopen\">Search with <code><bdi>state:open</bdi>"),
        "{html}"
    );
    assert_eq!(rows(&html), [3, 1]);
    let html = desk.get(&address("sevv:1")).await.text;
    assert!(html.contains("The list below is what is open."), "{html}");
    assert_eq!(rows(&html), [5, 3, 2, 1]);
    let html = desk.get(&address("owner:anna sev:1")).await.text;
    assert!(
        html.contains("nobody is called \"anna\"") || html.contains("nobody is called &#34;anna&#34;"),
        "{html}"
    );
    assert!(
        html.contains("href=\"/incidents?q=owner%3Aana+sev%3A1\""),
        "{html}"
    );
    let hostile = "</script><img src=x>:\"\u{202e}";
    let html = desk.get(&address(hostile)).await.text;
    assert!(!html.contains("<img"), "{html}");
    desk.get("/incidents?q=%00a%00").await;
}

#[tokio::test]
async fn filters_count_what_they_lead_to_and_pages_keep_the_filter() {
    let desk = Desk::new().await;
    desk.five().await;
    let html = desk.get("/incidents").await.text;
    for (link, count) in [
        (
            "/incidents?q=state%3Aopen+sev%3A1",
            "SEV1</bdi> <span class=\"no\">2",
        ),
        (
            "/incidents?q=state%3Aresolved",
            "Resolved</bdi> <span class=\"no\">1",
        ),
        (
            "/incidents?q=state%3Aopen+owner%3Ame",
            "Mine</bdi> <span class=\"no\">1",
        ),
        (
            "/incidents?q=state%3Aopen+service%3Acheckout",
            "checkout</bdi> <span class=\"no\">2",
        ),
    ] {
        let link = format!("href=\"{link}\"");
        let after = html
            .split(&link)
            .nth(1)
            .unwrap_or_else(|| panic!("no {link}: {html}"));
        let word = after.split("</a>").next().unwrap();
        assert!(word.contains(count), "{link}: {word}");
    }
    assert!(html.contains("id=\"found\">4 incidents"), "{html}");
    for n in 0..60 {
        desk.fire(&format!("Storm {n}"), json!({"service": "storm"}))
            .await;
    }
    let query = "service:storm state:open";
    let first = desk.get(&address(query)).await.text;
    assert_eq!(rows(&first).len(), 50);
    let older = "/incidents?q=service%3Astorm+state%3Aopen&#38;before=";
    let before = first.split(older).nth(1).unwrap().split('"').next().unwrap();
    let second = desk
        .get(&format!("{}&before={before}", address(query)))
        .await
        .text;
    assert_eq!(rows(&second).len(), 10);
    assert!(rows(&first).iter().all(|id| !rows(&second).contains(id)));
    assert!(second.contains("Back to the newest"), "{second}");
}

#[tokio::test]
async fn an_empty_page_says_why_it_is_empty() {
    let desk = Desk::new().await;
    let html = desk.get("/incidents").await.text;
    assert!(
        html.contains("No incident yet.") && html.contains("href=\"/sources\""),
        "{html}"
    );
    desk.fire("Down", json!({})).await;
    desk.act("/incidents/1/resolve", &[("reason", "gone")]).await;
    let html = desk.get("/incidents").await.text;
    assert!(
        html.contains("No open incidents.") && html.contains("Last: INC-1, ") && html.contains("in 24 h: 1."),
        "{html}"
    );
    let html = desk.get(&address("sev:1 service:nothing")).await.text;
    assert!(
        html.contains("No incident matches this search.") && html.contains("Clear: show what is open"),
        "{html}"
    );
    assert_eq!(
        desk.site.get("/incidents?before=x", &desk.ana).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn when_the_list_fails_what_needs_me_still_stands() {
    let desk = Desk::new().await;
    let (eve, _) = desk.site.person("eve", Role::Approver).await;
    let (_, max) = desk.site.person("max", Role::Approver).await;
    fire(&desk.site, "Down", 1).await;
    waiting_run(&desk.site, &eve).await;
    sqlx::query("alter table incidents drop column words")
        .execute(&mut *desk.site.conn().await)
        .await
        .unwrap();
    let html = desk.site.get("/incidents", &max).await.text;
    assert!(html.contains("The incidents could not be read"), "{html}");
    assert!(
        html.contains("<h2>Needs me</h2>") && html.contains("Drain pool blue?"),
        "{html}"
    );
    assert!(html.contains("Try again"), "{html}");
}

#[tokio::test]
async fn what_is_folded_is_hidden_only_where_its_parent_is_seen() {
    let desk = Desk::new().await;
    desk.five().await;
    sqlx::query("update incidents set folded_under = 1 where id = 2")
        .execute(&mut *desk.site.conn().await)
        .await
        .unwrap();
    assert_eq!(desk.found("state:open").await, [5, 3, 1]);
    assert_eq!(desk.found("sev:2").await, [2], "a search finds it all the same");
    assert_eq!(desk.found("is:folded").await, [2]);
    assert_eq!(desk.found("-is:folded sev:1").await, [3, 1]);
    let html = desk.get(&address("sev:2")).await.text;
    assert!(
        html.contains("folded under <a href=\"/incidents/1\">INC-1</a>"),
        "{html}"
    );
}

#[tokio::test]
async fn a_viewer_is_offered_no_act() {
    let desk = Desk::new().await;
    desk.five().await;
    let (_, vic) = desk.site.person("vic", Role::Viewer).await;
    let html = desk.site.get("/incidents", &vic).await.text;
    assert_eq!(rows(&html), [5, 3, 2, 1]);
    assert!(
        !html.contains("type=\"checkbox\" name=\"id\"") && !html.contains("/incidents/new"),
        "{html}"
    );
    for path in ["/incidents/bulk", "/incidents/new"] {
        let refused = desk
            .act_as(&vic, path, &[("act", "acknowledge"), ("id", "1")])
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_program_searches_as_the_page_does_and_is_told_of_a_wrong_term() {
    let desk = Desk::new().await;
    desk.five().await;
    let encoded =
        |query: &str| -> String { url::form_urlencoded::byte_serialize(query.as_bytes()).collect() };
    for query in [
        "sev:1",
        "state:open",
        "owner:me",
        "service:checkout,mail -sev:2",
        "database",
        "",
        "INC-4 INC-2",
    ] {
        let path = format!("/api/v1/incidents?q={}", encoded(query));
        let rows = desk.get(&path).await.json();
        let ids: Vec<i64> = rows["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, desk.found(query).await, "{query}");
    }
    let first = desk.get("/api/v1/incidents?q=state:open&limit=2").await.json();
    assert_eq!(first["next"], 3);
    let rest = desk
        .get("/api/v1/incidents?q=state:open&limit=2&before=3")
        .await
        .json();
    assert_eq!(
        (&rest["rows"][0]["id"], &rest["rows"][1]["id"], &rest["next"]),
        (&json!(2), &json!(1), &json!(null))
    );
    for (query, told) in [
        ("sev:1 stat:open", "column 7: stat:open: "),
        ("sev:1 stat:open", "did you mean state:open?"),
        ("owner:anna", "column 1: owner:anna: "),
    ] {
        let path = format!("/api/v1/incidents?q={}", encoded(query));
        let answer = desk.site.get(&path, &desk.ana).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        assert!(
            answer.json()["error"]["message"].as_str().unwrap().contains(told),
            "{}",
            answer.text
        );
    }
    let both = desk
        .site
        .get("/api/v1/incidents?q=sev:1&state=all", &desk.ana)
        .await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST);
}
