//! How long an answer of the database is waited for. A connection that went silent, with no reset and no answer, would
//! hold the lane for as long as the longest honest write may take; so the server is asked, over another connection,
//! whether it still works on what was sent.

use std::{
    pin::pin,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::committer::{Committer, Refused};
use crate::store::{StoreError, spool_marks};

/// How long nothing is thought of an answer that does not come.
const QUIET: Duration = Duration::from_millis(1000);
/// The slowest line that is worth waiting for, in bytes of bodies a second.
const SLOWEST: f64 = 4096.0;
/// A write that takes longer than this has an unknown outcome; the mark of the spool tells the next try.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// How often these times are doubled, each after a try that was given up.
const DOUBLINGS_MAX: u32 = 4;

/// The longest that a look into the database is waited for.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// A look into the database that a connection gone silent cannot hold up; an error says that it is away.
pub async fn in_time<T>(look: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(LOOK_MAX, look).await {
        Ok(Err(error)) if !error.is_conflict() => Err(error.again()),
        Ok(looked) => looked,
        Err(_) => Err(late(LOOK_MAX)),
    }
}

fn late(waited: Duration) -> StoreError {
    let text = format!("no answer of the database within {} ms", waited.as_millis());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)).into()
}

impl Committer {
    /// Waits for a write of so many bytes, `given_up` tries of which went unanswered. An error when it will not be
    /// answered.
    pub(super) async fn answered<T>(
        &self,
        write: impl Future<Output = Result<T, Refused>>,
        bytes: usize,
        given_up: u32,
    ) -> Result<T, Refused> {
        let factor = 2_u32.pow(given_up.min(DOUBLINGS_MAX));
        let quiet = (QUIET + Duration::from_secs_f64(bytes as f64 / SLOWEST)) * factor;
        let (mut write, began) = (pin!(write), Instant::now());
        loop {
            tokio::select! {
                result = &mut write => return result,
                () = tokio::time::sleep(quiet.min(WRITE_MAX)) => {}
            }
            let is_late = began.elapsed() >= WRITE_MAX * factor;
            let is_lost = tokio::select! {
                result = &mut write => return result,
                is_lost = self.is_lost() => is_lost,
            };
            if is_lost || is_late {
                metrics::counter!("muster_intake_silences_total").increment(1);
                return Err(late(began.elapsed()).into());
            }
        }
    }

    /// Whether the server says that it does not work on the write any more.
    async fn is_lost(&self) -> bool {
        let backend = self.backend.load(Ordering::Relaxed);
        let asked = async {
            let mut conn = self.pool.acquire().await?;
            spool_marks::end_silent(&mut conn, backend).await
        };
        asked.await.unwrap_or(false)
    }
}
