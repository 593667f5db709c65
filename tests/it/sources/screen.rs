//! The pages of sources in a real browser.

use anyhow::Result;
use muster::domain::operator::Role;

use super::{BODY, deliver};
use crate::support::{screen::look_at, site::Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_sources_fit_a_phone_and_a_desk() -> Result<()> {
    let site = Site::new().await;
    site.person("root", Role::Admin).await;
    let long = "prometheus-of-the-checkout-team-in-the-second-region-of-europe";
    site.intake.source(long, None).await;
    deliver(&site, "prom", "a-token-of-a-test-prom", BODY).await;
    deliver(&site, "prom", "a-token-of-a-test-prom", "{\"no\": 1").await;
    deliver(&site, "prom", "wrong", BODY).await;
    let page = format!("/sources/{long}");
    let pages = [
        ("/sources", "source-list"),
        ("/sources/new", "source-new"),
        ("/sources/prom", "source-show"),
        (page.as_str(), "source-long"),
        ("/dev/gallery/sources/full", "source-hours"),
    ];
    look_at(&site, "root", &pages).await
}
