//! The first admin: made once, with the code from the log.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use muster::{store::operators, web::session::token_digest};

use super::opens;
use crate::support::site::{Answer, PASSWORD, Site};

async fn with_code(code: &str) -> Site {
    let site = Site::new().await;
    let until = site.clock().now() + TimeDelta::hours(1);
    operators::replace_setup_code(&mut *site.conn().await, token_digest(code), until)
        .await
        .unwrap();
    site
}

async fn set_up(site: &Site, code: &str, name: &str, password: &str) -> Answer {
    let fields = [("code", code), ("name", name), ("password", password)];
    site.post("/setup", "", &fields).await
}

async fn admins(site: &Site) -> i64 {
    sqlx::query_scalar("select count(*) from operators")
        .fetch_one(&mut *site.conn().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_first_admin_is_made_once_with_the_code() {
    let site = with_code("the-code").await;
    assert_eq!(site.get("/login", "").await.header("location"), "/setup");
    let wrong = set_up(&site, "another", "ana", PASSWORD).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("wrong or too old"));
    for bad in ["short", "password1234", "anaanaana1"] {
        let refused = set_up(&site, "the-code", "ana", bad).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        assert!(!refused.text.contains(bad), "a password is never shown again");
    }
    let made = set_up(&site, "the-code", "ana", PASSWORD).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    assert!(opens(&site, &made.cookie()).await);
    let again = set_up(&site, "the-code", "ben", PASSWORD).await;
    assert_eq!(again.header("location"), "/login");
    assert_eq!((again.cookie(), admins(&site).await), (String::new(), 1));
}

#[tokio::test]
async fn a_code_that_is_too_old_makes_nobody() {
    let site = with_code("the-code").await;
    site.clock().advance(Duration::from_secs(3601));
    let late = set_up(&site, "the-code", "ana", PASSWORD).await;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(admins(&site).await, 0);
    // The next start makes another, and with it the old one is gone for good.
    let until = site.clock().now() + TimeDelta::hours(1);
    operators::replace_setup_code(&mut *site.conn().await, token_digest("newer"), until)
        .await
        .unwrap();
    assert_eq!(
        set_up(&site, "the-code", "ana", PASSWORD).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        set_up(&site, "newer", "ana", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn of_two_who_race_with_the_code_exactly_one_becomes_admin() {
    let site = with_code("the-code").await;
    let (ana, ben) = tokio::join!(
        set_up(&site, "the-code", "ana", PASSWORD),
        set_up(&site, "the-code", "ben", PASSWORD)
    );
    let ins = [&ana, &ben].map(|answer| !answer.cookie().is_empty());
    assert!(ins[0] != ins[1], "{} {}", ana.text, ben.text);
    let loser = if ins[0] { &ben } else { &ana };
    assert_eq!(loser.header("location"), "/login", "{}", loser.text);
    assert_eq!(admins(&site).await, 1);
}

#[tokio::test]
async fn guessing_the_code_is_slowed_down() {
    let site = with_code("the-code").await;
    for number in 0..6 {
        set_up(&site, &format!("guess-{number}"), "ana", PASSWORD).await;
    }
    let slowed = set_up(&site, "the-code", "ana", PASSWORD).await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(slowed.header("retry-after"), "2");
    assert_eq!(admins(&site).await, 0);
}
