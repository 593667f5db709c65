//! What runbooks act on, on its pages.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use chrono::TimeDelta;
use muster::{
    catalog,
    domain::{action::FailureClass, operator::Role},
    store::openings,
};
use tokio::{net::TcpListener, sync::watch};

use super::post;
use crate::support::site::Site;

/// A site whose file names these targets; `door` is one that answers.
async fn with_targets() -> (Site, TcpListener) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shut = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (open_at, shut_at) = (door.local_addr().unwrap(), shut.local_addr().unwrap());
    drop(shut);
    let file = format!(
        "targets:
  - name: door
    environment: prod
    tcp: {{ address: '{open_at}' }}
  - name: shut
    tcp: {{ address: '{shut_at}' }}
  - name: shop
    http: {{ url: 'https://shop.example/a-path-with-hunter2', bearer: 'env:NOBODY_SETS_THIS' }}
  - name: tools
    command: {{ programs: [{{ path: /bin/true }}] }}
"
    );
    let targets = catalog::parse_targets(&file).unwrap_or_else(|faults| panic!("{faults:?}"));
    let site = Site::with(|state| state.rehearser.targets = watch::channel(Arc::new(targets)).1).await;
    (site, door)
}

async fn fail(site: &Site, target: &str, times: usize) {
    let failure = Some((FailureClass::NotSent, "connection refused"));
    for _ in 0..times {
        let now = site.clock().now();
        site.state
            .standing
            .report(&site.state.db, target, failure, now)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_list_says_what_is_sent_to_whom() {
    let (site, _door) = with_targets().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    fail(&site, "door", 3).await;
    fail(&site, "shut", 5).await;
    let page = site.get("/settings/targets", &vic).await.text;
    let held = page
        .split("No change is sent to these")
        .nth(1)
        .unwrap()
        .split("</section>")
        .next()
        .unwrap();
    assert!(
        held.contains("shut") && held.contains("Open") && held.contains("connection refused"),
        "{held}"
    );
    assert!(!held.contains("door"));
    assert!(
        page.contains("3 of 5 failures in a row") && page.contains("4 targets"),
        "{page}"
    );
    let later = site.get("/settings/targets?after=shop", &vic).await.text;
    let rows = later.split("Further ones").nth(1).unwrap();
    assert!(
        rows.contains("tools") && !rows.contains("/settings/targets/door"),
        "{rows}"
    );
}

#[tokio::test]
async fn a_target_is_asked_without_harm_and_its_circuit_hears_nothing_of_it() {
    let (site, _door) = with_targets().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    for (name, said) in [
        ("door", "It answers"),
        ("shut", "It does not answer"),
        ("shop", "A credential is missing"),
        ("tools", "Credentials can be read"),
    ] {
        let path = format!("/settings/targets/{name}");
        assert!(
            !site.get(&path, &vic).await.text.contains("/test\""),
            "a viewer is offered nothing"
        );
        let refused = post(&site, &format!("{path}/test"), &vic, &[]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let page = post(&site, &format!("{path}/test"), &rob, &[]).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert!(page.text.contains(said), "{name}: {}", page.text);
        assert!(page.text.contains("no failure lately"), "{name}: {}", page.text);
        assert!(!page.text.contains("hunter2"), "a path may hold a secret");
    }
    let none = post(&site, "/settings/targets/nobody/test", &rob, &[]).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_circuit_is_closed_with_a_reason_and_its_history_stays() {
    let (site, _door) = with_targets().await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    fail(&site, "shut", 5).await;
    let since = site.clock().now();
    site.clock().advance(Duration::from_secs(90));
    let (page, close) = ("/settings/targets/shut", "/settings/targets/shut/close");
    assert!(!site.get(page, &rob).await.text.contains(close));
    assert!(site.get(page, &ana).await.text.contains(close));
    let forbidden = post(&site, close, &rob, &[("reason", "x")]).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let silent = post(&site, close, &ana, &[("reason", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let closed = post(&site, close, &ana, &[("reason", "the cable is back")]).await;
    assert_eq!(closed.header("location"), page, "{}", closed.text);
    let shown = site.get(page, &ana).await.text;
    for said in [
        "Steps are sent to it",
        "Open 1 time in the last 7 days, 1 min 30 s in all.",
        "connection refused",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let mut conn = site.conn().await;
    let kept = openings::list(&mut conn, "shut", since - TimeDelta::days(7), 10)
        .await
        .unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].opened_at, kept[0].closed_at),
        (since, Some(site.clock().now()))
    );
    let later = since + openings::KEPT + TimeDelta::days(1);
    assert_eq!(openings::prune(&mut conn, later, 10).await.unwrap(), 1);
}

#[tokio::test]
async fn a_circuit_is_held_open_by_hand_and_no_answer_closes_it() {
    let (site, _door) = with_targets().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    let (page, open) = ("/settings/targets/door", "/settings/targets/door/open");
    assert!(!site.get(page, &vic).await.text.contains(open));
    assert!(site.get(page, &rob).await.text.contains(open));
    let forbidden = post(&site, open, &vic, &[("reason", "x")]).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let silent = post(&site, open, &rob, &[("reason", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let nobody = post(&site, "/settings/targets/nobody/open", &rob, &[("reason", "x")]).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    let held = post(&site, open, &rob, &[("reason", "the network team moves it")]).await;
    assert_eq!(held.header("location"), page, "{}", held.text);
    let again = post(&site, open, &rob, &[("reason", "me too")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);

    // What is only read still comes back with an answer, long after; and every replica knows from the database.
    site.clock().advance(Duration::from_secs(3600));
    site.state
        .standing
        .refresh(&mut *site.conn().await)
        .await
        .unwrap();
    let now = site.clock().now();
    let standing = &site.state.standing;
    standing.report(&site.state.db, "door", None, now).await.unwrap();
    let refused = standing.admit(&site.state.db, "door", now).await.unwrap_err();
    assert!(refused.to_string().contains("held open by hand"), "{refused}");
    let shown = site.get(page, &ana).await.text;
    for said in [
        "Somebody holds it open by hand",
        "the network team moves it",
        "/settings/targets/door/close",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let listed = site.get("/settings/targets", &vic).await.text;
    assert!(listed.contains("Held open"), "{listed}");
    let closed = post(
        &site,
        "/settings/targets/door/close",
        &ana,
        &[("reason", "it stands again")],
    )
    .await;
    assert_eq!(closed.header("location"), page, "{}", closed.text);
    standing.refresh(&mut *site.conn().await).await.unwrap();
    standing.admit(&site.state.db, "door", now).await.unwrap();
    let audit = site.get("/audit", &ana).await.text;
    for said in ["opened the circuit of", "closed the circuit of"] {
        assert!(audit.contains(said), "{said}: {audit}");
    }
}

#[tokio::test]
async fn without_a_target_the_page_says_how_one_is_written() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let page = site.get("/settings/targets", &vic).await.text;
    let samples: String = page
        .split("<pre class=\"command\" tabindex=\"0\">")
        .skip(1)
        .map(|part| part.split("</pre>").next().unwrap().to_owned() + "\n")
        .collect();
    let read = catalog::parse_targets(&samples).unwrap_or_else(|faults| panic!("{faults:?}\n{samples}"));
    assert_eq!(read.0.len(), 3, "what is offered can be pasted");
}
