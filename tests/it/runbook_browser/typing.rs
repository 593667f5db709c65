//! The editor in a real browser: what its script adds while somebody types.

use anyhow::Result;

use super::{World, text};
use crate::support::screen;

#[tokio::test]
#[ignore = "placeholder"]
async fn the_pages_fit_every_screen() -> Result<()> {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    screen::look_at(&world.site, "ana", &[("/runbooks", "library")]).await
}
