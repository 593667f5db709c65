//! These rooms in a real browser.

use anyhow::Result;
use muster::domain::operator::Role;

use crate::support::{screen::look_at, site::Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rooms_around_the_incident_fit_a_phone_and_a_desk() -> Result<()> {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let large = [
        ("theme", "system"),
        ("text", "130"),
        ("keys", "on"),
        ("clocks", "both"),
    ];
    site.post("/me/preferences", &root, &large).await;
    let pages = [
        ("/me", "rooms-account-large"),
        ("/setup/checks", "rooms-checks-large"),
        ("/settings/targets", "rooms-targets-empty-large"),
        ("/system", "rooms-system-large"),
        ("/settings", "rooms-settings-large"),
        ("/dev/gallery/targets/full", "rooms-targets"),
        ("/dev/gallery/targets/long", "rooms-targets-long"),
        ("/dev/gallery/target/open", "rooms-target-open"),
        ("/dev/gallery/target/answers", "rooms-target-answers"),
        ("/dev/gallery/system/full", "rooms-system"),
        ("/dev/gallery/system/degraded", "rooms-system-degraded"),
        ("/dev/gallery/settings/full", "rooms-settings"),
        ("/dev/gallery/first_steps/checks", "rooms-first-steps"),
        ("/dev/gallery/first_steps/ready", "rooms-ready"),
        ("/dev/gallery/help/words", "rooms-help"),
        ("/dev/gallery/help/keys", "rooms-keys"),
        ("/dev/gallery/help/night", "rooms-night"),
        ("/dev/gallery/banner/one", "rooms-banner"),
        ("/dev/gallery/banner/all", "rooms-banner-all"),
        ("/dev/gallery/database/away", "rooms-away"),
    ];
    look_at(&site, "root", &pages).await
}
