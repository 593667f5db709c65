//! The pages of people and tokens in a real browser.

use anyhow::Result;
use muster::domain::operator::Role;

use super::{act, page};
use crate::support::{screen::look_at, site::Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_people_fit_a_phone_and_a_desk() -> Result<()> {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let (long, _) = site
        .person(&"a-name-without-any-space-".repeat(4), Role::Approver)
        .await;
    let (gone, _) = site.person("cleo", Role::Responder).await;
    for team in [
        "storage",
        "the-team-of-the-second-region-of-europe-that-is-always-awake",
    ] {
        act(&site, &root, "/settings/teams", &[("name", team)]).await;
    }
    act(
        &site,
        &root,
        "/settings/people",
        &[("name", "dora"), ("role", "viewer")],
    )
    .await;
    act(&site, &root, &page(&gone, "/disable"), &[("reason", "left")]).await;
    for (name, days) in [("nightly report", "90"), (&*"no-space-at-all-".repeat(6), "1")] {
        let fields = [
            ("name", name),
            ("days", days),
            ("scope", "read"),
            ("scope", "sources"),
        ];
        act(&site, &root, "/me/tokens", &fields).await;
    }
    let (long, gone) = (page(&long, ""), page(&gone, ""));
    let pages = [
        ("/settings/people", "people-list"),
        (long.as_str(), "people-show"),
        (gone.as_str(), "people-disabled"),
        ("/me/tokens", "tokens"),
    ];
    look_at(&site, "root", &pages).await
}
