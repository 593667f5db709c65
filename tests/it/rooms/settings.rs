//! What the server was started with, the people at its gates, and the empty list of sources.

use muster::{
    catalog::parse_runbook,
    config::{Cli, Command},
    domain::operator::Role,
    store::runbooks,
};

use crate::support::site::Site;

const RUNBOOK: &str = "
runbook: failover
title: Failover
steps:
  - id: ask
    gate: { roles: [approver] }
  - id: look
    manual: Look at it
";

#[tokio::test]
async fn settings_show_values_and_origins_and_no_password() {
    let line = [
        "muster",
        "serve",
        "--hold-down",
        "90s",
        "--database-url",
        "postgres://m:hunter2@db/m",
    ];
    let Command::Serve(serve) = Cli::read_from(line).command else {
        panic!("not serve");
    };
    let site = Site::with(|state| state.settings = serve.settings.clone().into()).await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let page = site.get("/settings", &rob).await.text;
    for said in [
        "--hold-down",
        "MUSTER_HOLD_DOWN",
        "<bdi>90s</bdi>",
        "<bdi>60s</bdi>",
        "from the command line",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("hunter2"));
    let page = site.get("/settings", &vic).await.text;
    assert!(page.contains("/settings/targets") && !page.contains("--hold-down"));
    assert!(
        !page.contains("href=\"/settings/people\""),
        "a viewer is led nowhere in vain"
    );
}

#[tokio::test]
async fn people_see_who_may_decide_at_what() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    site.person("ana", Role::Approver).await;
    let (vic, _) = site.person("vic", Role::Viewer).await;
    let runbook = parse_runbook(RUNBOOK)
        .unwrap_or_else(|faults| panic!("{faults:?}"))
        .runbook;
    let (mut conn, now) = (site.conn().await, site.clock().now());
    runbooks::publish(&mut conn, &runbook, RUNBOOK, "a test", now)
        .await
        .unwrap();
    let page = site.get("/settings/people", &root).await.text;
    let row = |name: &str| {
        let row = page.split(&format!("<bdi>{name}</bdi>")).nth(1).unwrap();
        row.split("</li>").next().unwrap().to_owned()
    };
    assert!(row("ana").contains("may decide at every gate"), "{page}");
    assert!(row("vic").contains("may decide at no gate"), "{page}");
    let page = site
        .get(&format!("/settings/people/{}", vic.id), &root)
        .await
        .text;
    assert!(page.contains("no gate of the runbooks in use"), "{page}");
}

#[tokio::test]
async fn an_empty_list_of_sources_shows_what_senders_need() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    assert!(!site.get("/sources", &root).await.text.contains("webhook_configs"));
    sqlx::query("truncate sources cascade")
        .execute(&mut *site.conn().await)
        .await
        .unwrap();
    let page = site.get("/sources", &root).await.text;
    for said in [
        "webhook_configs",
        "http://muster.test/api/v1/sources/alertmanager/alertmanager",
        "THE-TOKEN",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
}
