//! Help: what it lists is what there is.

use axum::http::StatusCode;
use muster::domain::operator::Role;

use crate::support::site::Site;

#[tokio::test]
async fn every_place_that_keys_lead_to_is_listed_and_exists() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let script = include_str!("../../../static/script/keys.js");
    let places = script.split("const PLACES = {").nth(1).unwrap();
    let places = places.split('}').next().unwrap();
    let page = site.get("/help/keys", &ana).await.text;
    let mut seen = 0;
    for place in places.split(',') {
        let (key, path) = place.split_once(':').unwrap();
        let (key, path) = (key.trim(), path.trim().trim_matches('"'));
        assert!(
            page.contains(&format!("<kbd>g</kbd> <kbd>{key}</kbd>")),
            "g {key}"
        );
        assert_eq!(site.get(path, &ana).await.status, StatusCode::OK, "{path}");
        seen += 1;
    }
    assert!(seen >= 6, "the places were found");
    for key in ["?", "/", "j", "k", "[", "]", "a", "p", "n"] {
        assert!(page.contains(&format!("<kbd>{key}</kbd>")), "{key}");
    }
}

#[tokio::test]
async fn the_icon_of_the_tab_says_how_many_decisions_wait() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let page = site.get("/help", &ana).await.text;
    let icon = page.split("<link rel=\"icon\" href=\"").nth(1).unwrap();
    let plain = site.get(icon.split('"').next().unwrap(), "").await;
    assert_eq!(plain.status, StatusCode::OK);
    for (state, sign) in [("3", ">3<"), ("many", ">9+<"), ("fault", ">!<"), ("stale", ">?<")] {
        let icon = site.get(&format!("/static/favicon-{state}.svg"), "").await;
        assert_eq!(icon.header("content-type"), "image/svg+xml", "{state}");
        assert!(icon.text.contains(sign), "{state}");
    }
    let none = site.get("/static/favicon-10.svg", "").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}
