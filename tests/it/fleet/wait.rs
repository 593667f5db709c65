//! Waiting for something to become true, by looking again and again until a deadline.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, timeout_at};

const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` succeeds, and says why the last look did not when `within` has passed.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    let mut reason = anyhow::anyhow!("the first look did not come back");
    loop {
        match timeout_at(deadline, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => reason = error,
            Err(_) => return Err(reason).with_context(|| format!("{what}: not within {within:?}")),
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(reason).with_context(|| format!("{what}: not within {within:?}"));
        }
        sleep(PAUSE).await;
    }
}
