//! How a person wants their pages.

use axum::http::StatusCode;
use muster::domain::operator::Role;

use crate::support::site::Site;

const CHOSEN: [(&str, &str); 4] = [
    ("theme", "night"),
    ("text", "130"),
    ("keys", "alt"),
    ("clocks", "both"),
];
const SHOWN: &str =
    r#"<html lang="en" data-theme="night" data-text="130" data-keys="alt" data-clocks="both">"#;
const USUAL: &str = r#"<html lang="en">"#;

#[tokio::test]
async fn a_choice_holds_on_every_page_and_in_every_browser_of_its_person_and_of_nobody_else() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, ben) = site.person("ben", Role::Responder).await;
    assert!(site.get("/incidents", &ana).await.text.contains(USUAL));
    let kept = site.post("/me/preferences", &ana, &CHOSEN).await;
    assert_eq!(kept.header("location"), "/me?done=preferences#preferences");
    for path in ["/incidents", "/me", "/help/keys", "/system"] {
        let page = site.get(path, &ana).await.text;
        assert!(page.contains(SHOWN), "{path}");
        assert!(
            page.contains(r#"<meta name="color-scheme" content="dark">"#),
            "{path}"
        );
        assert!(site.get(path, &ben).await.text.contains(USUAL), "{path}");
    }
    let form = site.get("/me", &ana).await.text;
    for (field, value) in CHOSEN {
        assert!(
            form.contains(&format!("name=\"{field}\" value=\"{value}\" checked")),
            "{field}"
        );
    }

    // The browser remembers it for the pages before anybody is known, and for those without a database.
    let look = kept.cookie();
    assert!(site.get("/login", &look).await.text.contains(SHOWN));
    assert!(site.get("/login", "").await.text.contains(USUAL));
    let form = [("name", "ana"), ("password", crate::support::site::PASSWORD)];
    let signed_in = site.post("/login", "", &form).await;
    let cookies = signed_in.headers.get_all("set-cookie").iter();
    assert!(
        cookies
            .map(|cookie| cookie.to_str().unwrap())
            .any(|cookie| cookie.starts_with(&look))
    );
    site.intake.database.pools.web.close().await;
    let page = site.get("/incidents", &format!("{ana}; {look}")).await;
    assert!(page.text.contains(SHOWN), "{}", page.text);
}

#[tokio::test]
async fn only_what_is_offered_can_be_chosen_and_a_cookie_is_no_way_into_a_page() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Viewer).await;
    for (field, value) in [
        ("theme", "pink"),
        ("text", "500"),
        ("keys", ""),
        ("clocks", "mars"),
    ] {
        let mut form = CHOSEN;
        for pair in form.iter_mut().filter(|pair| pair.0 == field) {
            pair.1 = value;
        }
        let answer = site.post("/me/preferences", &ana, &form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}={value}");
    }
    assert!(site.get("/me", &ana).await.text.contains(USUAL));
    for cookie in [
        "muster-look=\"><script>",
        "muster-look=night.130.alt.both.x",
        "muster-look=",
    ] {
        let page = site.get("/login", cookie).await.text;
        assert!(page.contains(USUAL), "{cookie}");
    }
}
