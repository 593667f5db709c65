//! Signing in lands on the exact link, and never outside.

use muster::{domain::operator::Role, identity::account, store::operators, web::session::token_digest};

use super::sign_in;
use crate::support::site::{PASSWORD, Site};

/// Where nobody may be sent.
const OUTSIDE: [&str; 22] = [
    "https://evil.example/",
    "HTTPS://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "/\0/evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/a/..//evil.example",
    "/%2e%2e//evil.example",
    "http:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    "http://muster.test@evil.example/",
    " //evil.example",
];

/// Links that people follow.
const INSIDE: [&str; 5] = [
    "/incidents/204",
    "/approvals/7?x=1&y=%2F%2Fevil.example",
    "/incidents?state=open&q=caf%C3%A9",
    "/runs/9/steps/2/unknown",
    "/%2f%2fevil.example",
];

#[tokio::test]
async fn every_way_in_lands_on_the_exact_link_and_never_outside() {
    let site = Site::new().await;
    let (ana, _) = site.person("ana", Role::Viewer).await;
    let now = site.clock().now();
    let mut conn = site.conn().await;
    let mut links = INSIDE.map(|link| (link, link)).to_vec();
    links.extend(OUTSIDE.map(|link| (link, "/")));
    for (index, (asked, landed)) in links.into_iter().enumerate() {
        let by_password = sign_in(&site, "ana", PASSWORD, asked).await;
        assert_eq!(by_password.header("location"), landed, "{asked:?}");
        // Somebody who is signed in already goes on at once.
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("next", asked)
            .finish();
        let already = site.get(&format!("/login?{query}"), &by_password.cookie()).await;
        assert_eq!(already.header("location"), landed, "{asked:?}");

        let code = format!("link-{index}");
        let until = now + account::INVITATION;
        operators::insert_sign_in_code(&mut conn, token_digest(&code), ana.id, until)
            .await
            .unwrap();
        let by_link = site.post(&format!("/enter/{code}?{query}"), "", &[]).await;
        assert_eq!(by_link.header("location"), landed, "{asked:?}");
    }
}

#[tokio::test]
async fn a_link_from_a_chat_is_kept_through_the_sign_in_page() {
    let site = Site::new().await;
    site.person("ana", Role::Viewer).await;
    let sent = site.get("/incidents?state=open&q=a%26b", "").await;
    let page = site.get(sent.header("location"), "").await;
    let next = page.field("next").replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(next, "/incidents?state=open&q=a%26b");
    let landed = sign_in(&site, "ana", PASSWORD, &next).await;
    assert_eq!(landed.header("location"), "/incidents?state=open&q=a%26b");
    assert!(
        page.text
            .contains("/login/recovery?next=%2Fincidents%3Fstate%3Dopen%26q%3Da%2526b")
    );
}
