//! Plan mode on its page and as JSON: who may look, who may ask, and what is shown.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use futures_util::StreamExt;
use muster::domain::operator::Role;
use serde_json::json;
use tokio::sync::watch;

use super::{Target, WHOLE, fire, hooks, replica, targets};
use crate::support::site::Site;

const HOSTILE: &str = "</pre><script>alert(1)</script>\u{202e}";
const PATH: &str = "/runbooks/whole/plan?incident=1";

/// Pages over an incident of pool `blue` that the runbook has matched.
async fn site(target: &Target) -> Site {
    let targets = Arc::new(targets(target));
    let site = Site::with(|state| state.rehearser.targets = watch::channel(targets).1).await;
    let (hooks, _) = hooks(&site.intake, WHOLE).await;
    fire(&hooks, "blue").await;
    site
}

#[tokio::test]
async fn a_viewer_may_look_and_a_responder_may_ask() {
    let target = Target::start().await;
    let site = site(&target).await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (_, rob) = site.person("rob", Role::Responder).await;

    let page = site.get(PATH, &vic).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        !page.text.contains("<form method=\"post\" action=\"/runbooks/"),
        "{}",
        page.text
    );
    assert!(page.text.contains("needs the role responder"));
    let fields = [("version", "1"), ("incident", "1"), ("input.pool", "blue")];
    let path = "/runbooks/whole/plan";
    assert_eq!(site.post(path, &vic, &fields).await.status, StatusCode::FORBIDDEN);
    let body = json!({"incident": 1}).to_string();
    let api = "/api/v1/runbooks/whole/plan";
    assert_eq!(
        site.post_json(api, &vic, &body).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        site.post_from("cross-site", path, &rob, &fields).await.status,
        StatusCode::FORBIDDEN
    );
    assert!(target.reads().is_empty(), "{:?}", target.reads());

    let page = site.get(PATH, &rob).await;
    assert_eq!(
        (page.field("input.pool").as_str(), page.field("incident").as_str()),
        ("blue", "1")
    );
    let planned = site.post(path, &rob, &fields).await;
    assert_eq!(planned.status, StatusCode::OK);
    for part in [
        "All 6 steps can work",
        "Would send",
        "Done already",
        "Holds",
        "Would ask",
        "/restart/a",
    ] {
        assert!(planned.text.contains(part), "{part}: {}", planned.text);
    }
    let planned = site.post_json(api, &rob, &body).await;
    assert_eq!(planned.status, StatusCode::OK);
    let planned = planned.json();
    assert_eq!(planned["headline"], "All 6 steps can work");
    assert_eq!(
        (&planned["broken"], &planned["version"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(planned["steps"][0]["verdict"]["says"]["says"], "holds");
    assert_eq!(target.changes(), 0);
    // Nothing of it is an event of the incident.
    let kinds = site
        .intake
        .database
        .count("select count(*) from events where kind like '%plan%'")
        .await;
    assert_eq!(kinds, 0);
}

#[tokio::test]
async fn the_form_keeps_what_was_typed_and_shows_hostile_text_as_text() {
    let target = Target::start().await;
    let site = site(&target).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let path = "/runbooks/whole/plan";
    let page = site.get(path, &rob).await;
    assert!(
        page.text.contains("name=\"labels\""),
        "without an incident labels are typed"
    );
    let fields = [
        ("version", "1"),
        ("input.pool", HOSTILE),
        ("render", "yes"),
        ("labels", "a=b\n c = d\n\n"),
    ];
    let planned = site.post(path, &rob, &fields).await;
    assert_eq!(planned.status, StatusCode::OK);
    assert!(planned.text.contains("nothing was asked") && target.reads().is_empty());
    assert_eq!(
        planned.text.matches("<script").count(),
        1,
        "only our own: {}",
        planned.text
    );
    assert!(
        planned
            .text
            .contains("Restart &#60;/pre&#62;&#60;script&#62;alert(1)&#60;/script&#62;⟨U+202E⟩?")
    );
    assert!(planned.text.contains("a=b\n c = d"));
    for (fields, status) in [
        (vec![("version", "9")], StatusCode::NOT_FOUND),
        (vec![("version", "x")], StatusCode::BAD_REQUEST),
        (vec![("incident", "99")], StatusCode::NOT_FOUND),
        (vec![("labels", "no pair")], StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(site.post(path, &rob, &fields).await.status, status, "{fields:?}");
    }
    assert_eq!(
        site.get("/runbooks/nobody/plan", &rob).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn only_a_few_people_plan_at_once() {
    let target = Target::start().await;
    let site = site(&target).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let _all = site.state.rehearsals.acquire_many(4).await.unwrap();
    let full = site
        .post("/runbooks/whole/plan", &rob, &[("incident", "1")])
        .await;
    assert_eq!(full.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(full.header("retry-after"), "5");
    assert!(target.reads().is_empty());
}

#[tokio::test]
async fn the_pages_around_it_lead_to_it() {
    let target = Target::start().await;
    let site = site(&target).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    for (page, link) in [
        ("/runbooks/whole", "/runbooks/whole/plan?version=1"),
        (
            "/incidents/1/runs/new?runbook=whole",
            "/runbooks/whole/plan?incident=1&#38;version=1",
        ),
        ("/incidents/1", "/runbooks/whole/plan?incident=1&#38;version=1"),
    ] {
        let page = site.get(page, &rob).await;
        assert!(
            page.text.contains(&format!("href=\"{link}\"")),
            "{link}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn an_incident_says_in_one_line_what_its_preflight_found() {
    let target = Target::start().await;
    let site = site(&target).await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let page = site.get("/incidents/1", &vic).await;
    assert!(
        page.text.contains("Finding out which steps can work"),
        "{}",
        page.text
    );
    let address = page
        .text
        .split("data-live=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let address = address.replace("&#38;", "&");
    let api = "/api/v1/runbooks/whole/plan?incident=1";
    assert_eq!(site.get(api, &vic).await.status, StatusCode::NOT_FOUND);
    assert!(
        site.get(PATH, &vic)
            .await
            .text
            .contains("Reload in a few seconds")
    );

    let mut stream = site.live(&address, &vic).await;
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        String::from_utf8(next.unwrap().unwrap().unwrap().to_vec()).unwrap()
    };
    // The page is as it should be, so there is nothing to send but the first tick.
    assert!(next().await.contains("event: tick"));
    assert!(replica(&site.intake, targets(&target)).pass().await.unwrap());
    site.state.wake.told();
    loop {
        let sent = next().await;
        assert!(!sent.contains("event: tick"), "{sent}");
        if sent.contains("All 6 steps can work") {
            break;
        }
    }

    site.clock().advance(Duration::from_secs(40));
    let page = site.get("/incidents/1", &vic).await;
    let line = page
        .text
        .split("All 6 steps can work</bdi></a>")
        .nth(1)
        .unwrap_or_else(|| panic!("{}", page.text));
    assert!(line.contains(">40 s ago<"), "{line}");
    let report = site.get(PATH, &vic).await;
    assert!(
        report.text.contains("Would send") && report.text.contains("/restart/a"),
        "{}",
        report.text
    );
    assert_eq!(
        site.get(api, &vic).await.json()["headline"],
        "All 6 steps can work"
    );
    assert_eq!(target.changes(), 0);
}
