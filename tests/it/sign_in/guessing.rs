//! Guessing: the same words for every wrong try, longer and longer waits, across restarts, and nobody locked out.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use muster::domain::operator::Role;

use super::{acts, sign_in};
use crate::support::site::{PASSWORD, Site};

#[tokio::test]
async fn sign_in_tells_nothing_and_slows_guessing() {
    let site = Site::new().await;
    site.person("ana", Role::Viewer).await;
    let (wrong, nobody) = (
        sign_in(&site, "ana", "x", "").await,
        sign_in(&site, "zoe", "x", "").await,
    );
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.text, nobody.text.replace("value=\"zoe\"", "value=\"ana\""));
    for _ in 0..5 {
        sign_in(&site, "ana", "x", "").await;
        sign_in(&site, "zoe", "x", "").await;
    }
    for name in ["ana", "zoe"] {
        let slowed = sign_in(&site, name, PASSWORD, "").await;
        assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(slowed.header("retry-after"), "2");
        assert!(slowed.text.contains("Try again in 2 s."));
    }
    site.clock().advance(Duration::from_secs(2));
    let good = sign_in(&site, "ana", PASSWORD, "").await;
    assert_eq!(good.status, StatusCode::SEE_OTHER);
    // A name nobody has is not written down: it may be a password.
    let subjects: Vec<String> = sqlx::query_scalar("select distinct subject from standing_acts order by 1")
        .fetch_all(&mut *site.conn().await)
        .await
        .unwrap();
    assert_eq!(subjects, ["", "ana"]);
    assert_eq!(
        acts(&site)
            .await
            .iter()
            .filter(|act| *act == "sign_in_failed")
            .count(),
        12
    );
}

#[tokio::test]
async fn ten_thousand_tries_across_a_restart_come_to_a_handful_of_hashes() {
    const TRIES: usize = 5_000;
    let mut site = Site::new().await;
    site.person("ana", Role::Viewer).await;
    let began = Instant::now();
    let mut looked_at = 0;
    for _ in 0..2 {
        for _ in 0..TRIES {
            let answer = sign_in(&site, "ana", "a guess", "").await;
            looked_at += usize::from(answer.status == StatusCode::UNPROCESSABLE_ENTITY);
        }
        site.restart();
    }
    assert_eq!(looked_at, 6, "five are free, and the sixth brings the first wait");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    // The right password has to wait as well, as long as it was told.
    let slowed = sign_in(&site, "ana", PASSWORD, "").await;
    assert_eq!(slowed.header("retry-after"), "2");
    site.clock().advance(Duration::from_secs(2));
    assert_eq!(
        sign_in(&site, "ana", PASSWORD, "").await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn waits_double_and_many_tries_at_once_gain_nothing() {
    let site = Site::new().await;
    site.person("ana", Role::Viewer).await;
    let at_once = (0..20).map(|_| sign_in(&site, "ana", "a guess", ""));
    let answers = futures_util::future::join_all(at_once).await;
    let looked_at = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(looked_at.count(), 6);
    let mut waits = Vec::new();
    for _ in 0..11 {
        let wait_s: u64 = sign_in(&site, "ana", "x", "")
            .await
            .header("retry-after")
            .parse()
            .unwrap();
        waits.push(wait_s);
        site.clock().advance(Duration::from_secs(wait_s));
        assert_eq!(
            sign_in(&site, "ana", "x", "").await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    // Whoever stays away for an hour begins anew.
    site.clock().advance(Duration::from_secs(3601));
    for _ in 0..6 {
        assert_eq!(
            sign_in(&site, "ana", "x", "").await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
}

#[tokio::test]
async fn a_crowd_delays_a_person_by_a_minute_at_most_and_a_network_is_slowed_as_one() {
    let site = Site::new().await;
    site.person("ana", Role::Viewer).await;
    let guess = async |ip: IpAddr, name: &str, password: &str| {
        let fields = [("name", name), ("password", password)];
        site.post_as(ip, "/login", &fields).await
    };
    // One network, another name each time: an office may mistype 50 times, then it waits, by any of its addresses.
    for number in 0..51_u8 {
        let ip = [198, 51, 100, number].into();
        let answer = guess(ip, &format!("name-{number}"), "x").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{number}");
    }
    let other = guess([198, 51, 100, 200].into(), "ana", PASSWORD).await;
    assert_eq!(other.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        guess([203, 0, 113, 1].into(), "ana", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    // Many networks, one name: each guess at the end of its wait.
    for number in 0..70_u8 {
        let ip: IpAddr = [10, 0, number, 1].into();
        let answer = guess(ip, "ana", "x").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let wait_s: u64 = answer.header("retry-after").parse().unwrap();
            assert!(wait_s <= 60, "{wait_s}");
            site.clock().advance(Duration::from_secs(wait_s));
        }
    }
    site.clock().advance(Duration::from_secs(60));
    assert_eq!(
        guess([192, 0, 2, 7].into(), "ana", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn people_who_get_it_right_do_not_slow_their_office() {
    let site = Site::new().await;
    site.person("ana", Role::Viewer).await;
    for number in 0..60 {
        assert_eq!(
            sign_in(&site, "ana", PASSWORD, "").await.status,
            StatusCode::SEE_OTHER,
            "{number}"
        );
    }
}
