//! The page of the audit in a real browser.

use anyhow::Result;

use super::{HOSTILE, act, tamper, world};
use crate::support::screen::look_at;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_fits_a_phone_and_a_desk() -> Result<()> {
    let (site, ana, _) = world().await;
    act(&site, &ana, &"a-target-with-a-long-name".repeat(4), HOSTILE).await;
    act(&site, &ana, "lb", &"nospaceatall".repeat(30)).await;
    tamper(
        &site.intake.database,
        &["update audit set reason = 'x' where seq = 1"],
    )
    .await;
    site.intake.upkeep.keep_audit().await?;
    let pages = [
        ("/audit", "audit-list"),
        ("/audit?kind=source_made&actor=nobody", "audit-none"),
    ];
    look_at(&site, "ana", &pages).await
}
