//! Passwords: renewed, changed, chosen by invitation.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
use axum::http::StatusCode;
use muster::{domain::operator::Role, identity::account, store::operators};

use super::{acts, opens, sign_in};
use crate::support::site::{PASSWORD, Site};

const NEW: &str = "seven goats on a roof";

#[tokio::test]
async fn a_hash_made_with_older_parameters_is_renewed_at_sign_in() {
    let site = Site::new().await;
    let (ana, _) = site.person("ana", Role::Viewer).await;
    let weak = Params::new(19 * 1024, 2, 1, None).unwrap();
    let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak)
        .hash_password(PASSWORD.as_bytes())
        .unwrap()
        .to_string();
    let mut conn = site.conn().await;
    operators::set_password(&mut conn, ana.id, &old, None)
        .await
        .unwrap();
    sign_in(&site, "ana", "a wrong one", "").await;
    assert_eq!(
        operators::find_password(&mut conn, ana.id).await.unwrap(),
        Some(old)
    );
    for _ in 0..2 {
        assert_eq!(
            sign_in(&site, "ana", PASSWORD, "").await.status,
            StatusCode::SEE_OTHER
        );
        let hash = operators::find_password(&mut conn, ana.id)
            .await
            .unwrap()
            .unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=47104,t=2,p=1$"), "{hash}");
    }
}

#[tokio::test]
async fn changing_the_password_needs_the_old_one_and_ends_every_other_session() {
    let site = Site::new().await;
    let (_, here) = site.person("ana", Role::Viewer).await;
    let elsewhere = sign_in(&site, "ana", PASSWORD, "").await.cookie();
    let change = async |current: &str, new: &str| {
        let fields = [("current", current), ("new", new)];
        site.post("/me/password", &here, &fields).await
    };
    for (current, new, words) in [
        ("another one", NEW, "it is another one"),
        (PASSWORD, "short", "at least 10"),
        (PASSWORD, "password2026", "guessers try this one first"),
        (PASSWORD, "ana.muster.1", "little more than your name"),
    ] {
        let refused = change(current, new).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{new}");
        assert!(refused.text.contains(words), "{new}: {}", refused.text);
        assert!(!refused.text.contains(&format!("\"{new}\"")), "never shown again");
    }
    assert!(opens(&site, &here).await && opens(&site, &elsewhere).await);
    let changed = change(PASSWORD, NEW).await;
    assert_eq!(
        changed.header("location"),
        "/me?done=password",
        "{}",
        changed.text
    );
    let now_here = changed.cookie();
    assert!(now_here != here && opens(&site, &now_here).await);
    assert!(!opens(&site, &here).await && !opens(&site, &elsewhere).await);
    assert_eq!(
        sign_in(&site, "ana", PASSWORD, "").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(sign_in(&site, "ana", NEW, "").await.status, StatusCode::SEE_OTHER);
    assert!(acts(&site).await.contains(&"password_changed".to_owned()));
}

#[tokio::test]
async fn an_open_browser_is_no_place_to_guess_the_password() {
    let site = Site::new().await;
    let (_, here) = site.person("ana", Role::Viewer).await;
    let guess = async || {
        let fields = [("current", "a guess"), ("new", NEW)];
        site.post("/me/password", &here, &fields).await.status
    };
    for _ in 0..6 {
        assert_eq!(guess().await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(guess().await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_invitation_lets_a_person_choose_a_password_once() {
    let site = Site::new().await;
    let (ana, old) = site.person("ana", Role::Responder).await;
    let now = site.clock().now();
    let mut conn = site.conn().await;
    let first = account::invite(&mut conn, ana.id, None, now).await.unwrap();
    let code = account::invite(&mut conn, ana.id, None, now).await.unwrap();
    let (first, link) = (
        format!("/enter/{first}"),
        format!("/enter/{code}?next=/deliveries"),
    );
    assert_eq!(
        site.get(&first, "").await.status,
        StatusCode::NOT_FOUND,
        "a newer one replaces it"
    );
    for _ in 0..3 {
        let page = site.get(&link, "").await;
        assert!(page.text.contains("Choose a password") && page.text.contains("ana"));
        assert_eq!(page.cookie(), "", "opening it does nothing");
    }
    let refused = site.post(&link, "", &[("password", "ana-muster-2026")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(opens(&site, &old).await);
    let fields = [("password", NEW)];
    let (one, two) = tokio::join!(site.post(&link, "", &fields), site.post(&link, "", &fields));
    let good = [&one, &two]
        .into_iter()
        .filter(|answer| !answer.cookie().is_empty());
    let good: Vec<_> = good.collect();
    assert_eq!(good.len(), 1, "{} {}", one.text, two.text);
    assert_eq!(good[0].header("location"), "/deliveries");
    assert!(opens(&site, &good[0].cookie()).await);
    assert!(
        !opens(&site, &old).await,
        "what the old password opened has ended"
    );
    assert_eq!(site.get(&link, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(sign_in(&site, "ana", NEW, "").await.status, StatusCode::SEE_OTHER);
    let code = account::invite(&mut conn, ana.id, None, now).await.unwrap();
    site.clock().advance(Duration::from_secs(3 * 86_400 + 1));
    let late = site.get(&format!("/enter/{code}"), "").await;
    assert_eq!(late.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_signs_in_by_password_who_never_chose_one() {
    let site = Site::new().await;
    let (ana, _) = site.person("ana", Role::Viewer).await;
    let forget = sqlx::query("update operators set password_hash = null where id = $1").bind(ana.id.0);
    forget.execute(&mut *site.conn().await).await.unwrap();
    for password in ["", PASSWORD, "null"] {
        let answer = sign_in(&site, "ana", password, "").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text.contains("Name or password is wrong."));
    }
}
