//! Sessions: begun anew each time, listed, ended, and what an ended one leaves behind.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use chrono::TimeDelta;
use futures_util::StreamExt;
use muster::{
    domain::{operator::Role, sign_in::NOTICED_WITHIN},
    identity::account,
    web::session::SessionLimits,
};

use super::{acts, opens, sign_in};
use crate::support::site::{PASSWORD, Site};

#[tokio::test]
async fn every_sign_in_begins_a_new_session_and_ends_the_browsers_last() {
    let site = Site::new().await;
    let (_, first) = site.person("ana", Role::Viewer).await;
    let fields = [("name", "ana"), ("password", PASSWORD)];
    // A browser with a cookie of somebody's choosing gets another.
    for chosen in ["muster=chosen-by-a-stranger", &first] {
        let answer = site.post("/login", chosen, &fields).await;
        assert!(answer.cookie() != chosen && opens(&site, &answer.cookie()).await);
        assert!(!opens(&site, chosen).await);
    }
    let cookie = sign_in(&site, "ana", PASSWORD, "").await.cookie();
    let out = site.post("/logout", &cookie, &[]).await;
    assert_eq!(
        out.header("set-cookie"),
        "muster=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    );
    assert!(!opens(&site, &cookie).await);
}

#[tokio::test]
async fn behind_https_the_cookie_is_for_this_host_and_https_alone() {
    let site = Site::with(|state| state.public_url = Some("https://muster.test".parse().unwrap())).await;
    site.person("ana", Role::Viewer).await;
    let answer = sign_in(&site, "ana", PASSWORD, "").await;
    let set = answer.header("set-cookie");
    assert!(set.starts_with("__Host-muster="), "{set}");
    assert!(
        set.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure"),
        "{set}"
    );
    assert!(opens(&site, &answer.cookie()).await);
    let plain = answer.cookie().replace("__Host-", "");
    assert!(
        !opens(&site, &plain).await,
        "the name without the prefix opens nothing"
    );
}

#[tokio::test]
async fn a_session_ends_when_it_is_left_alone_and_when_it_is_old() {
    let limits = SessionLimits {
        idle: TimeDelta::hours(1),
        longest: TimeDelta::hours(10),
    };
    let site = Site::with(|state| state.session_limits = limits).await;
    site.person("ana", Role::Viewer).await;
    let cookie = sign_in(&site, "ana", PASSWORD, "").await.cookie();
    for _ in 0..11 {
        site.clock().advance(Duration::from_secs(50 * 60));
        assert!(opens(&site, &cookie).await, "one in use goes on");
    }
    site.clock().advance(Duration::from_secs(50 * 60));
    assert!(!opens(&site, &cookie).await, "but not for ever");
    let cookie = sign_in(&site, "ana", PASSWORD, "").await.cookie();
    site.clock().advance(Duration::from_secs(3601));
    assert!(!opens(&site, &cookie).await, "one left alone ends");
}

#[tokio::test]
async fn people_see_where_they_are_signed_in_and_end_what_they_like() {
    let site = Site::new().await;
    let (_, here) = site.person("ana", Role::Viewer).await;
    let (_, bens) = site.person("ben", Role::Viewer).await;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/login")
        .header(header::HOST, "muster.test")
        .header(
            header::USER_AGENT,
            format!("Mozilla/5.0 Firefox/140.0 <script> {}", "x".repeat(1000)),
        )
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!(
            "name=ana&password={}",
            PASSWORD.replace(' ', "+")
        )))
        .unwrap();
    let elsewhere = site.send(request).await.cookie();
    let page = site.get("/me", &here).await;
    assert!(page.text.contains("This one") && page.text.contains("Firefox"));
    assert!(page.text.contains("&#60;script&#62;") && !page.text.contains(&"x".repeat(300)));
    assert_eq!(page.text.matches("/end\">").count(), 1, "ben's is not among them");
    let id = page.text.split("/me/sessions/").nth(1).unwrap();
    let id = id.split('/').next().unwrap().to_owned();
    let end = format!("/me/sessions/{id}/end");
    site.post(&end, &bens, &[]).await;
    assert!(opens(&site, &elsewhere).await, "nobody ends another's");
    let ended = site.post(&end, &here, &[]).await;
    assert_eq!(ended.header("location"), "/me?done=session");
    assert!(!opens(&site, &elsewhere).await && opens(&site, &here).await);

    let others = [
        sign_in(&site, "ana", PASSWORD, "").await.cookie(),
        sign_in(&site, "ana", PASSWORD, "").await.cookie(),
    ];
    site.post("/me/sessions/end-others", &here, &[]).await;
    for other in &others {
        assert!(!opens(&site, other).await);
    }
    assert!(opens(&site, &here).await && opens(&site, &bens).await);
    let acts = acts(&site).await;
    assert_eq!(acts.iter().filter(|act| *act == "sessions_revoked").count(), 2);
}

#[tokio::test]
async fn an_open_page_hears_within_seconds_that_its_session_has_ended() {
    let site = Site::new().await;
    let (ana, cookie) = site.person("ana", Role::Viewer).await;
    let mut stream = site.live("/live?scope=incidents&after=0", &cookie).await;
    let mut conn = site.conn().await;
    let ended = account::end_sessions(&mut conn, ana.id, "they left", None, site.clock().now()).await;
    assert_eq!(ended.unwrap(), 1);
    let heard = tokio::time::timeout(NOTICED_WITHIN, async {
        let mut said = String::new();
        while let Some(Ok(bytes)) = stream.next().await {
            said.push_str(&String::from_utf8_lossy(&bytes));
        }
        said
    });
    let said = heard.await.expect("the stream goes on");
    assert!(said.contains("event: gone"), "{said}");
    assert!(!opens(&site, &cookie).await);
}

#[tokio::test]
async fn no_cookie_but_the_very_one_opens_anything() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Viewer).await;
    let token = cookie.strip_prefix("muster=").unwrap();
    let mut tampered = token.to_owned();
    tampered.replace_range(..1, if token.starts_with('A') { "B" } else { "A" });
    for bad in [
        String::new(),
        "muster=".to_owned(),
        format!("muster={tampered}"),
        format!("muster={}", &token[..token.len() - 1]),
        format!("muster={token}x"),
        format!("session={token}"),
        format!("__Host-muster={token}"),
        format!("muster={}", "x".repeat(4000)),
        "muster=' or 1=1 --".to_owned(),
        "muster=%00".to_owned(),
    ] {
        let answer = site.get("/incidents/4?show=notes", &bad).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{bad}");
        assert_eq!(
            answer.header("location"),
            "/login?next=%2Fincidents%2F4%3Fshow%3Dnotes",
            "{bad}"
        );
        assert_eq!(
            (answer.cookie(), answer.text.len()),
            (String::new(), 0),
            "nothing else is said"
        );
    }
}

#[tokio::test]
async fn a_form_sent_after_its_session_ended_gives_the_text_back_and_leads_back() {
    let site = Site::new().await;
    let request = |referer: Option<&str>| {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/incidents/4/notes")
            .header(header::HOST, "muster.test")
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, "muster=ended")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(referer) = referer {
            request = request.header(header::REFERER, referer);
        }
        request
            .body(Body::from("op=1&text=Pool+blue+is+%3Cb%3Edrained%3C%2Fb%3E"))
            .unwrap()
    };
    for (referer, back) in [
        (
            Some("http://muster.test/incidents/4?show=notes"),
            "/login?next=%2Fincidents%2F4%3Fshow%3Dnotes",
        ),
        (None, "/login?next=%2Fincidents%2F4"),
        (Some("http://muster.test//evil.example/"), "/login"),
    ] {
        let answer = site.send(request(referer)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.text.contains("Sign in again: your text is kept"));
        assert!(
            answer
                .text
                .contains("Pool blue is &#60;b&#62;drained&#60;/b&#62;</textarea>")
        );
        assert!(
            answer.text.contains(&format!("href=\"{back}\"")),
            "{}",
            answer.text
        );
    }
    let never = site
        .post(
            "/me/password",
            "muster=ended",
            &[("current", "secret-1"), ("new", "secret-2")],
        )
        .await;
    assert_eq!(never.status, StatusCode::UNAUTHORIZED);
    assert!(!never.text.contains("secret-"), "a password is never shown");
}

#[tokio::test]
async fn a_program_is_told_in_json_that_nobody_is_signed_in() {
    let site = Site::new().await;
    let answer = site.get("/api/v1/incidents", "muster=ended").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"]["code"], "sign_in");
    let answer = site.post_json("/api/v1/incidents/4/notes", "", "{}").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"]["code"], "sign_in");
    let stream = Request::builder()
        .uri("/live?scope=incidents")
        .header(header::HOST, "muster.test")
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .unwrap();
    assert_eq!(site.send(stream).await.status, StatusCode::UNAUTHORIZED);
}
