//! Carrying out the silences that people asked for: made once, ended when they say so, over when their time is.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{LEASE, Outward};
use crate::{
    domain::{
        action::{Failure, FailureClass},
        silence::{SHORTEST, SilenceState},
        span::Span,
    },
    incident::silencing::{self, Came},
    store::{
        StoreError,
        silences::{self, Silence},
    },
};

/// Silences carried out in one pass.
const BATCH: i64 = 5;
/// How often one is tried before it is given up.
const TRIES_MAX: i32 = 6;
/// The first pause between two tries; each further one is twice as long.
const PAUSE_FIRST: Span = Span::from_secs(5);

impl Outward {
    pub(super) async fn carry_out_silences(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let claimed = silences::claim(&mut conn, now, now + LEASE.as_delta(), BATCH).await?;
        drop(conn);
        for silence in &claimed {
            let came = self.carry_out(silence).await;
            let now = self.clock.now();
            let mut tx = self.pool.begin().await?;
            silencing::settle(&mut tx, silence, &came, now).await?;
            tx.commit().await?;
            let outcome = match &came {
                Came::Made(_) => "made",
                Came::Over => "over",
                Came::Later(..) => "later",
                Came::GivenUp(..) => "given_up",
            };
            metrics::counter!("muster_silences_total", "outcome" => outcome).increment(1);
        }
        Ok(claimed.len())
    }

    async fn carry_out(&self, silence: &Silence) -> Came {
        match silence.state {
            SilenceState::Asked => self.make(silence).await,
            SilenceState::Ending => self.end(silence).await,
            // Its time is over, which Alertmanager sees by itself.
            SilenceState::Holds | SilenceState::Failed | SilenceState::Over => Came::Over,
        }
    }

    /// The same key with each try, so that one whose answer was lost is found and not made again.
    async fn make(&self, silence: &Silence) -> Came {
        let now = self.clock.now();
        let left = (silence.until - now).num_milliseconds();
        let left = Span::from_millis(u64::try_from(left).unwrap_or(0));
        if left < SHORTEST && silence.tries > 1 {
            let reason = format!("{}; its time was over before it could be made", silence.problem);
            return Came::GivenUp(reason, true);
        }
        let with = json!({"silence": {
            "matchers": silence.matchers,
            "duration": left.max(SHORTEST).to_string(),
            "comment": silence.comment,
        }});
        let tried = self
            .send(
                &silence.target,
                with,
                &silence.key,
                i64::from(silence.tries),
                false,
            )
            .await;
        match tried {
            Ok(outcome) => match outcome.result["id"].as_str() {
                Some(id) => Came::Made(id.to_owned()),
                None => Came::GivenUp("the answer does not say what it is called".to_owned(), true),
            },
            Err(failure) => after(silence, failure, now),
        }
    }

    async fn end(&self, silence: &Silence) -> Came {
        let with = json!({"expire": silencing::name(silence)});
        let tried = self
            .send(
                &silence.target,
                with,
                &silence.key,
                i64::from(silence.tries),
                false,
            )
            .await;
        match tried {
            Ok(_) => Came::Over,
            Err(failure) => after(silence, failure, self.clock.now()),
        }
    }
}

/// Another try, or none: what cannot work as it is asked is never sent again.
fn after(silence: &Silence, failure: Failure, now: DateTime<Utc>) -> Came {
    let is_last = silence.tries >= TRIES_MAX;
    match failure.class {
        FailureClass::Invalid => Came::GivenUp(failure.message, false),
        class if is_last => Came::GivenUp(failure.message, class == FailureClass::Lost),
        _ => {
            let doublings = u32::try_from(silence.tries - 1).unwrap_or(0);
            let pause = Span::from_millis(PAUSE_FIRST.as_millis() << doublings.min(6));
            Came::Later(now + pause.as_delta(), failure.message)
        }
    }
}
