//! What an open list hears.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use serde_json::json;

use super::Desk;

/// Listens until something was said.
async fn hear(stream: &mut BodyDataStream, until: &str) -> String {
    let mut heard = String::new();
    let listening = async {
        while !heard.contains(until) {
            let bytes = stream.next().await.unwrap().unwrap();
            heard.push_str(&String::from_utf8_lossy(&bytes));
        }
    };
    let is_heard = tokio::time::timeout(Duration::from_secs(20), listening)
        .await
        .is_ok();
    assert!(is_heard, "never heard {until}: {heard}");
    heard
}

/// Where the page listens, from the page itself.
fn stream_of(html: &str) -> String {
    let address = html
        .split("data-live=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    address.replace("&#38;", "&").replace("&amp;", "&")
}

#[tokio::test]
async fn an_open_list_hears_of_what_its_search_finds_and_of_nothing_else() {
    let desk = Desk::new().await;
    desk.five().await;
    let page = desk
        .get("/incidents?q=service%3Acheckout+state%3Aopen")
        .await
        .text;
    let mut stream = desk.site.live(&stream_of(&page), &desk.ana).await;
    hear(&mut stream, "event: tick").await;
    desk.act("/incidents/1/acknowledge", &[]).await;
    let heard = hear(&mut stream, "\"target\":\"list\"").await;
    let list = heard.split("\"target\":\"list\"").nth(1).unwrap();
    assert!(
        list.contains("ana</bdi> has it") && list.contains("inc-2") && !list.contains("inc-3"),
        "{list}"
    );
    assert!(
        heard.contains("\"target\":\"filters\""),
        "the counts come along: {heard}"
    );

    desk.fire("Another of mail", json!({"service": "mail"})).await;
    desk.fire("Another of checkout", json!({"service": "checkout"}))
        .await;
    desk.site.state.wake.changed();
    let heard = hear(&mut stream, "inc-7").await;
    assert!(!heard.contains("inc-6"), "{heard}");
}
