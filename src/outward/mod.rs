//! What Muster says to others besides the steps of runs: silences that people asked for, questions about alerts that
//! nobody spoke of for long, and its own sign of life.
//!
//! Work is rows that are due; a pass takes no input but the database, may be repeated at will, on any replica, and holds
//! no connection while somebody outside is asked. Each claim is a lease, and whoever dies with one is followed by
//! another.

pub mod heartbeat;
mod questions;
mod silences;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    actions::World,
    clock::Clock,
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        span::Span,
        step::ActionKind,
        target::Targets,
    },
    store::{StoreError, wake::Wake},
};

/// The longest pause between two passes.
const POLL: Duration = Duration::from_secs(1);
/// How often alerts that were not heard of are looked for: their limits are a minute and more.
const QUESTIONS_EVERY: Span = Span::from_secs(15);
/// How long one request may take in all.
const REQUEST_MAX: Span = Span::from_secs(20);
/// How long a claim lasts; then whoever held it counts as dead.
const LEASE: Span = Span::from_secs(60);
/// How long a node must be up before it is believed that an alert it does not list is over: after a start its memory is
/// empty, and senders repeat themselves each minute or so.
pub const SETTLED_AFTER: Span = Span::from_secs(600);

/// Incidents asked about in one pass.
const INCIDENTS_MAX: usize = 50;

// A request and the write of what came of it fit into the lease.
const _: () = assert!(REQUEST_MAX.as_millis() + 10_000 < LEASE.as_millis());

/// What these passes need to know.
#[derive(Clone)]
pub struct Outward {
    /// Connections.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Tells others that something changed, and this loop that something is wanted.
    pub wake: Wake,
    /// The outside world.
    pub world: Arc<dyn World>,
    /// The targets as the file says now.
    pub targets: watch::Receiver<Arc<Targets>>,
    /// How long an incident in which nothing fires waits before it has recovered.
    pub hold_down: Span,
    /// How long a node must be up to be believed; [`SETTLED_AFTER`] but for tests.
    pub settled_after: Span,
    /// When this process began to listen: what nobody could report before that is not held against a sender.
    pub listening_since: DateTime<Utc>,
}

impl Outward {
    /// Passes again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut questions_due = self.clock.now();
        while !stop.is_cancelled() {
            self.after(self.pass().await);
            if self.clock.now() >= questions_due {
                questions_due = self.clock.now() + QUESTIONS_EVERY.as_delta();
                self.after(self.ask_all().await);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep(POLL) => {}
            }
        }
    }

    fn after(&self, passed: Result<usize, StoreError>) {
        match passed {
            Ok(0) => {}
            Ok(_) => self.wake.changed(),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what is to be said to others waits"
            ),
        }
    }

    /// Carries out the silences that are due; returns how many.
    pub async fn pass(&self) -> Result<usize, StoreError> {
        self.carry_out_silences().await
    }

    /// Asks about everything that may be asked about now, one incident after the other; returns of how many alerts and
    /// cut lists that was.
    pub async fn ask_all(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        for _ in 0..INCIDENTS_MAX {
            let (quiet, cut) = (self.ask_about_quiet().await, self.ask_about_cut().await);
            let more = quiet? + cut?;
            count += more;
            if more == 0 {
                break;
            }
        }
        Ok(count)
    }

    /// Sends one request to a target of the kind alertmanager.
    async fn send(
        &self,
        target: &str,
        with: serde_json::Value,
        key: &str,
        fence: i64,
        read_only: bool,
    ) -> Result<Outcome, Failure> {
        let targets = Arc::clone(&self.targets.borrow());
        let found = targets
            .find(target, ActionKind::Alertmanager)
            .map_err(|problem| Failure::new(FailureClass::Invalid, problem))?;
        let request = Rendered {
            action: ActionKind::Alertmanager,
            target: target.to_owned(),
            with,
        };
        let envelope = Envelope {
            key: key.to_owned(),
            fence,
            timeout: REQUEST_MAX,
            not_after: None,
            read_only,
        };
        self.world.perform(found, &request, &envelope).await
    }
}
