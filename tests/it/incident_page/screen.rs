//! The page in a real browser, on a phone and on a desk, in every state of the gallery.

use anyhow::Result;
use muster::domain::operator::Role;

use crate::{
    pages::fire,
    support::{screen::look_at, site::Site},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_an_incident_fits_a_phone_and_a_desk_in_every_state() -> Result<()> {
    let site = Site::new().await;
    site.person("root", Role::Admin).await;
    fire(&site, "Down", 12).await;
    let states = [
        "triggered",
        "full",
        "away",
        "undo",
        "recovering",
        "resolved",
        "merged",
        "empty",
        "filtered-empty",
        "long",
        "fault",
        "viewer",
        "correct",
        "correct-again",
    ];
    let mut pages = vec![("/incidents/1".to_owned(), "incident-real".to_owned())];
    pages.extend(states.map(|state| {
        (
            format!("/dev/gallery/incident/{state}"),
            format!("incident-{state}"),
        )
    }));
    let pages: Vec<(&str, &str)> = pages
        .iter()
        .map(|(path, name)| (path.as_str(), name.as_str()))
        .collect();
    look_at(&site, "root", &pages).await
}
