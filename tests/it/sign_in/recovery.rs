//! Recovery codes: shown once, good once, and told of.

use axum::http::StatusCode;
use muster::domain::operator::Role;

use super::{acts, opens};
use crate::support::site::{Answer, Site};

fn codes(page: &Answer) -> Vec<String> {
    let text = page
        .text
        .split("<pre class=\"command\" tabindex=\"0\">")
        .nth(1)
        .unwrap();
    let text = text.split("</pre>").next().unwrap();
    text.lines()
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect()
}

async fn enter(site: &Site, name: &str, code: &str) -> Answer {
    let fields = [("name", name), ("code", code), ("next", "/approvals/7?x=1")];
    site.post("/login/recovery", "", &fields).await
}

#[tokio::test]
async fn ten_codes_are_shown_once_and_each_lets_their_owner_in_once() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Responder).await;
    site.person("ben", Role::Responder).await;
    let first = codes(&site.post("/me/recovery-codes", &cookie, &[]).await);
    let made = codes(&site.post("/me/recovery-codes", &cookie, &[]).await);
    assert_eq!((first.len(), made.len()), (10, 10));
    let page = site.get("/me", &cookie).await;
    assert!(page.text.contains("10 of 10 left"));
    assert!(made.iter().all(|code| !page.text.contains(code)), "shown once");

    for (name, code) in [
        ("ana", first[0].as_str()),
        ("ben", &made[0]),
        ("nobody", &made[0]),
        ("ana", "AAAA-AAAA-AAAA-AAAA"),
        ("ana", ""),
    ] {
        let refused = enter(&site, name, code).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name} {code}");
        assert_eq!(refused.cookie(), "");
    }
    let entered = enter(&site, "ana", &made[3].to_lowercase().replace('-', " ")).await;
    assert_eq!(entered.header("location"), "/approvals/7?x=1", "{}", entered.text);
    assert!(opens(&site, &entered.cookie()).await);
    assert_eq!(
        enter(&site, "ana", &made[3]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let page = site.get("/me", &cookie).await;
    assert!(page.text.contains("9 of 10 left") && page.text.contains("Recovery codes that were used"));
    assert!(
        page.text.contains("from <bdi>192.0.2.7</bdi>") || page.text.contains("from 192.0.2.7"),
        "{}",
        page.text
    );
    assert!(page.text.contains("by recovery code") || page.text.contains("<bdi>recovery code</bdi>"));
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("select code_hash from recovery_codes")
        .fetch_all(&mut *site.conn().await)
        .await
        .unwrap();
    assert!(kept.iter().all(|hash| hash.len() == 32), "only hashes are kept");
    let acts = acts(&site).await;
    assert_eq!(acts.iter().filter(|act| *act == "recovery_code_used").count(), 1);
    assert_eq!(acts.iter().filter(|act| *act == "recovery_codes_made").count(), 2);
}

#[tokio::test]
async fn a_code_is_good_once_however_many_try_it_at_the_same_time() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Responder).await;
    let made = codes(&site.post("/me/recovery-codes", &cookie, &[]).await);
    let answers = futures_util::future::join_all((0..4).map(|_| enter(&site, "ana", &made[0]))).await;
    let ins = answers.iter().filter(|answer| !answer.cookie().is_empty());
    assert_eq!(ins.count(), 1);
}

#[tokio::test]
async fn codes_are_guessed_as_slowly_as_passwords() {
    let site = Site::new().await;
    site.person("ana", Role::Responder).await;
    for _ in 0..6 {
        enter(&site, "ana", "AAAA-AAAA-AAAA-AAAA").await;
    }
    let slowed = enter(&site, "ana", "AAAA-AAAA-AAAA-AAAA").await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(slowed.header("retry-after"), "2");
}
