//! What every handler can reach.

use std::{path::PathBuf, sync::Arc};

use sqlx::PgPool;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{audience::Audiences, forwarded::Proxies, session::SessionLimits, throttle::Throttle};
use crate::{
    catalog::shelf::Faults,
    clock::Clock,
    domain::{
        coverage::{DUE_AFTER_DAYS, days},
        setting::Setting,
        span::Span,
    },
    drill::conductor::Conductor,
    execute::{rehearse::Rehearser, standing::Standing},
    identity::{oidc::Provider, password::Passwords},
    pipeline::Patience,
    receive::Receiver,
    simulate::{Simulator, SimulatorParts},
    store::wake::Wake,
};

/// Live streams at once in one process; each holds memory and a connection of the server, none of the pool's.
pub const LIVE_STREAMS_MAX: usize = 512;
/// Runbooks that people rehearse at once in one process; each asks targets a few things at a time.
pub const REHEARSALS_MAX: usize = 4;

/// The state of the web room; clones share it.
#[derive(Clone)]
pub struct AppState {
    /// The pool of the pages.
    pub db: PgPool,
    /// The time.
    pub clock: Clock,
    /// Tells workers and open pages that something changed.
    pub wake: Wake,
    /// What stands over every run, as this replica saw it last.
    pub standing: Standing,
    /// Goes through runbooks without changing anything.
    pub rehearser: Rehearser,
    /// Places for that.
    pub rehearsals: Arc<Semaphore>,
    /// Hashes and checks passwords, a few at a time.
    pub passwords: Passwords,
    /// Slows down guessing.
    pub throttle: Throttle,
    /// The provider that vouches for people, when one is configured.
    pub provider: Option<Provider>,
    /// How long sessions last.
    pub session_limits: SessionLimits,
    /// Places for live streams.
    pub streams: Arc<Semaphore>,
    /// Those who look at the same incident.
    pub audiences: Audiences,
    /// What is wrong with the runbook and target files, for the banner.
    pub faults: Faults,
    /// Takes deliveries that people send again; `None` where no intake runs.
    pub receiver: Option<Receiver>,
    /// The address people use; decides whether cookies are for https only, and is a trusted origin behind a proxy.
    pub public_url: Option<Url>,
    /// The proxies that are believed about whose request it is.
    pub proxies: Proxies,
    /// Whether Muster has a certificate of its own.
    pub speaks_tls: bool,
    /// Whether it asks its clients for one, so that a source may need it.
    pub asks_clients: bool,
    /// What the server was started with, for people; empty where no command line was read.
    pub settings: Arc<[Setting]>,
    /// Plays drills.
    pub conductor: Conductor,
    /// How long what was practised in a drill counts.
    pub drill_due: Span,
    /// Ends live streams when the process is to stop.
    pub stopping: CancellationToken,
}

impl AppState {
    /// A state over these doors; everything else begins empty.
    pub fn new(db: PgPool, clock: Clock, wake: Wake) -> Self {
        let standing = Standing::new(wake.clone());
        let simulator = Simulator::new(SimulatorParts {
            pool: db.clone(),
            clock: clock.clone(),
            folder: std::env::temp_dir().join(format!("muster-twins-{}", std::process::id())),
            relay: PathBuf::from("muster"),
            is_compressed: false,
            outdoors: None,
        });
        let shelf = watch::Sender::new(None).subscribe();
        let patience = Patience::default();
        Self {
            conductor: Conductor::new(
                db.clone(),
                clock.clone(),
                wake.clone(),
                simulator,
                shelf,
                patience,
            ),
            db,
            rehearser: Rehearser::new(standing.clone(), clock.clone()),
            rehearsals: Arc::new(Semaphore::new(REHEARSALS_MAX)),
            clock,
            standing,
            wake,
            passwords: Passwords::default(),
            throttle: Throttle::default(),
            provider: None,
            session_limits: SessionLimits::default(),
            streams: Arc::new(Semaphore::new(LIVE_STREAMS_MAX)),
            audiences: Audiences::default(),
            faults: Faults::default(),
            receiver: None,
            public_url: None,
            proxies: Proxies::default(),
            speaks_tls: false,
            asks_clients: false,
            settings: Arc::default(),
            drill_due: days(DUE_AFTER_DAYS),
            stopping: CancellationToken::new(),
        }
    }

    /// Lets the intake of this process know at once what was committed about sources and tokens; other processes look
    /// every few seconds.
    pub async fn sources_changed(&self) {
        if let Some(receiver) = &self.receiver {
            receiver.senders.look_now().await;
        }
    }

    /// Whether browsers reach us by https, as far as we were told.
    pub fn is_https(&self) -> bool {
        let is_told = self.public_url.as_ref().map(|url| url.scheme() == "https");
        is_told.unwrap_or(self.speaks_tls)
    }
}
