//! The page of a runbook says everything the file says, in words.

use muster::{catalog::parse_runbook, domain::operator::Role, store::runbooks};

use crate::support::site::Site;

const SAMPLE: &str = include_str!("../../runbooks/web-service-down.yaml");

#[tokio::test]
async fn the_page_shows_where_a_run_goes_on_and_what_it_does_at_the_end() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Viewer).await;
    let runbook = parse_runbook(SAMPLE).unwrap().runbook;
    let mut conn = site.conn().await;
    runbooks::publish(
        &mut conn,
        &runbook,
        SAMPLE,
        "web-service-down.yaml",
        site.clock().now(),
    )
    .await
    .unwrap();
    let list = site.get("/runbooks", &cookie).await;
    assert!(list.text.contains("7 steps, 1 at the end"), "{}", list.text);
    let page = site.get("/runbooks/web-service-down", &cookie).await.text;
    let (steps, end) = page.split_once("<h2>At the end</h2>").unwrap();
    for words in [
        "<dt>on failure</dt><dd>the run goes on at answers</dd>",
        "<dt>waits for</dt><dd>nothing: it begins at once</dd>",
        "<dt>if nobody decides</dt><dd>the run goes on at answers</dd>",
        "1 approval by responder and approver",
    ] {
        assert!(steps.contains(words), "{words}");
    }
    assert!(end.contains("id=\"step-traffic-again\"") && end.contains("<span class=\"no\">8</span>"));
    assert!(!steps.contains("step-traffic-again"));
}
