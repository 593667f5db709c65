//! The pages while the database is away.

use axum::http::StatusCode;
use muster::domain::operator::Role;

use super::post;
use crate::support::site::Site;

#[tokio::test]
async fn whoever_reads_is_told_what_goes_on_and_the_page_tries_again_by_itself() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    site.intake.database.pools.web.close().await;
    for path in [
        "/incidents",
        "/incidents/204?show=all",
        "/settings/targets",
        "/help",
    ] {
        let page = site.get(path, &ana).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        for said in [
            "The database does not answer",
            "<meta http-equiv=\"refresh\" content=\"10\">",
            "Senders of alerts are told to send again",
            "You stay signed in",
        ] {
            assert!(page.text.contains(said), "{said} on {path}");
        }
        let retry = format!("<a class=\"button primary\" href=\"{path}\">Try again</a>");
        assert!(page.text.contains(&retry), "{path}: {}", page.text);
    }
}

#[tokio::test]
async fn whoever_wrote_something_keeps_it_and_no_page_reloads_over_it() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    site.intake.database.pools.web.close().await;
    let form = [("text", "the pump is dry"), ("reason", "")];
    let page = post(&site, "/incidents/204/notes", &ana, &form).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("the pump is dry"));
    assert!(!page.text.contains("http-equiv=\"refresh\""));
}
