//! The whole of Muster, put together: the only file that sees every floor. Builds each thing once, starts the loops,
//! and stops them in the order that loses nothing.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    actions::{Bounds, Outside, Secret},
    catalog::shelf::{Librarian, Shelf},
    clock::Clock,
    config::{Database, Serve},
    domain::{coverage, digest::Digest, flap::FlapLimits},
    drill::{conductor::Conductor, game_day::Keeper},
    execute::{
        engine::{Engine, EngineLimits, Lease},
        preflight::Preflights,
        rehearse::Rehearser,
        standing::Standing,
        worker,
    },
    identity::oidc::{Provider, Settings},
    outward::{Outward, SETTLED_AFTER, heartbeat::OwnHeartbeat},
    pipeline::Patience,
    receive::{ReceiverParts, spool::folder::SpoolLimits},
    simulate::{Outdoors, Simulator, SimulatorParts},
    store::{
        boots,
        embedded::Embedded,
        migrate, operators,
        pool::{PoolSizes, Pools},
        sources,
        wake::Wake,
    },
    upkeep::{self, Upkeep},
    web::{
        self, health,
        hooks::{HookLimits, Hooks},
        server,
        session::{SessionLimits, new_token, token_digest},
        state::AppState,
        tls::{Tls, TlsFiles},
    },
};

/// How long the one-time code of a first run is good.
const SETUP_CODE: TimeDelta = TimeDelta::hours(24);
/// The pause between two tries to reach a database that is away at start.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// A database, with the private server behind it when Muster started one.
pub struct OpenDatabase {
    /// How to connect.
    pub options: PgConnectOptions,
    embedded: Option<Embedded>,
}

impl OpenDatabase {
    /// Uses the configured database, or starts the private one.
    pub async fn open(config: &Database) -> anyhow::Result<Self> {
        match &config.database_url {
            Some(url) => {
                // The text may hold a password, so it is not repeated.
                let options = PgConnectOptions::from_str(url).context("DATABASE_URL cannot be read")?;
                Ok(Self {
                    options,
                    embedded: None,
                })
            }
            None => {
                let embedded = Embedded::start(&config.data).await?;
                Ok(Self {
                    options: embedded.connect_options(),
                    embedded: Some(embedded),
                })
            }
        }
    }

    /// Stops the private server, if there is one. Close the pools before.
    pub async fn close(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// A running Muster.
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
    /// `http`, or `https` when it has a certificate.
    scheme: &'static str,
    /// What its pages reach.
    pub state: AppState,
    /// Its runbooks and targets.
    pub shelf: Shelf,
    /// Its connections.
    pub pools: Pools,
    database: OpenDatabase,
    ready: watch::Receiver<bool>,
    stop: CancellationToken,
    engine_stop: CancellationToken,
    server: JoinHandle<server::Drained>,
    background: JoinHandle<()>,
}

impl App {
    /// Starts everything. Returns as soon as it listens; a database that is away is waited for in the background
    /// while pages and senders are told so.
    pub async fn start(
        config: Serve,
        clock: Clock,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let born = clock.now();
        let tls = open_tls(&config)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let database = OpenDatabase::open(&config.database).await?;
        let pools = Pools::new(&database.options, &PoolSizes::default());
        let wake = Wake::default();
        let stop = CancellationToken::new();
        let engine_stop = CancellationToken::new();
        let shelf = Shelf::default();

        let mut state = AppState::new(pools.web.clone(), clock.clone(), wake.clone());
        state.faults = shelf.faults.clone();
        state.public_url = config.public_url.clone();
        state.session_limits = SessionLimits {
            idle: config.session_idle.as_delta(),
            longest: config.session_max.as_delta(),
        };
        state.proxies = config.trusted_proxies.clone().into();
        state.speaks_tls = tls.is_some();
        state.asks_clients = tls.is_some() && config.tls_client_ca.is_some();
        state.rehearser.targets = shelf.targets.subscribe();
        let outside = Outside::new(Bounds::default());
        outside.keep_off(database.options.get_host(), database.options.get_port());
        state.rehearser.world = Arc::new(outside.clone());
        state.provider = open_provider(&config, &outside);
        state.drill_due = coverage::days(config.drill_due_days);
        state.settings = config.settings.clone().into();
        state.stopping = stop.clone();
        let patience = Patience {
            hold_down: config.hold_down,
            refire: config.refire,
            reopen_within: config.reopen_within,
            flap: FlapLimits::default(),
        };
        let simulator = Simulator::new(SimulatorParts {
            pool: pools.background.clone(),
            clock: clock.clone(),
            folder: twins_folder(&config)?,
            relay: config.relay.clone().map_or_else(std::env::current_exe, Ok)?,
            is_compressed: false,
            outdoors: outdoors(&config, &shelf, &outside),
        });
        state.rehearser.grounds = Arc::new(simulator.clone());
        state.conductor = Conductor::new(
            pools.background.clone(),
            clock.clone(),
            wake.clone(),
            simulator.clone(),
            shelf.versions.subscribe(),
            patience,
        );
        let hook_limits = HookLimits {
            body_bytes_max: config.body_max,
            ..HookLimits::default()
        };
        let parts = ReceiverParts {
            pool: pools.intake.clone(),
            clock: clock.clone(),
            wake: wake.clone(),
            shelf: shelf.versions.subscribe(),
            patience,
            spool: Some(config.spool_folder()),
            spool_limits: SpoolLimits {
                bytes_max: config.spool_max,
                ..SpoolLimits::default()
            },
            web: Arc::new(outside.clone()),
        };
        let hooks = Hooks::new(parts, hook_limits);
        state.receiver = Some(hooks.receiver());
        let health = health::router(pools.web.clone(), metrics, hooks.receiver());
        let router = web::whole(state.clone(), hooks.router().merge(health));

        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}; choose another with --listen", config.listen))?;
        let address = listener.local_addr()?;
        outside.keep_off(&address.ip().to_string(), address.port());
        let limits = server::Limits {
            drain: Duration::from_secs(3),
            ..server::Limits::default()
        };
        if let Some(tls) = &tls {
            tokio::spawn(tls.clone().watch(stop.clone()));
        }
        let server = tokio::spawn(server::serve(listener, tls, router, stop.clone(), limits));
        let (is_ready, ready) = watch::channel(false);
        let background = Background {
            is_ready,
            options: database.options.clone(),
            pools: pools.clone(),
            clock,
            wake,
            standing: state.standing.clone(),
            rehearser: state.rehearser.clone(),
            outside,
            conductor: state.conductor.clone(),
            shelf: shelf.clone(),
            patience,
            config,
            url: format!("{scheme}://{address}"),
            engine_stop: engine_stop.clone(),
            born,
        };
        let background = tokio::spawn(background.run());
        tracing::info!(%address, "listening");
        Ok(Self {
            address,
            scheme,
            state,
            shelf,
            pools,
            database,
            ready,
            stop,
            engine_stop,
            server,
            background,
        })
    }

    /// Where people and senders reach it from this machine.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Waits until the database is migrated and the engine works.
    pub async fn ready(&self) {
        // An error means that the background has ended, so nothing will come.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }

    /// Stops in the order that loses nothing: no new runs are claimed and attempts that are out are waited for while
    /// pages and intake still answer; then these; then the database.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.engine_stop.cancel();
        if let Err(error) = self.background.await {
            tracing::error!(%error, "the background broke off");
        }
        self.stop.cancel();
        if let Ok(drained) = self.server.await
            && drained.cut > 0
        {
            tracing::info!(cut = drained.cut, "connections were cut at the end of the drain");
        }
        if tokio::time::timeout(Duration::from_secs(5), self.pools.close())
            .await
            .is_err()
        {
            tracing::warn!("connections to the database were still in use");
        }
        self.database.close().await;
        tracing::info!("stopped");
    }
}

/// Where twins of drills that are files are kept: an absolute path.
fn twins_folder(config: &Serve) -> anyhow::Result<PathBuf> {
    let folder = config.database.data.join("twins");
    std::path::absolute(&folder).with_context(|| format!("cannot tell where {} is", folder.display()))
}

/// What game days are played with, when they are allowed here.
fn outdoors(config: &Serve, shelf: &Shelf, outside: &Outside) -> Option<Outdoors> {
    Some(Outdoors {
        host: config.game_day_host.clone()?,
        targets: shelf.targets.subscribe(),
        world: Arc::new(outside.clone()),
    })
}

/// The identity provider, when one is configured.
fn open_provider(config: &Serve, outside: &Outside) -> Option<Provider> {
    let asked = &config.oidc;
    let issuer = asked.oidc_issuer.clone()?;
    let settings = Settings {
        client_id: asked.oidc_client_id.clone()?,
        client_secret: asked.oidc_client_secret.clone(),
        scopes: asked.oidc_scopes.clone(),
        groups_claim: asked.oidc_groups_claim.clone(),
        roles: asked.oidc_roles.iter().cloned().collect(),
        default_role: asked.oidc_default_role,
        networks: asked.oidc_networks.clone(),
        label: asked.oidc_name.clone().unwrap_or_else(|| issuer.clone()),
        callback: config.public_url.as_ref()?.join("/login/provider/back").ok()?,
        issuer,
    };
    Some(Provider::new(settings, Arc::new(outside.clone())))
}

/// The server's side of TLS, when it has a certificate.
fn open_tls(config: &Serve) -> anyhow::Result<Option<Tls>> {
    let (Some(certificate), Some(key)) = (&config.tls_cert, &config.tls_key) else {
        return Ok(None);
    };
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_authorities: config.tls_client_ca.clone(),
    };
    Ok(Some(Tls::read(files)?))
}

/// Everything that runs without being asked, once the database is there.
struct Background {
    is_ready: watch::Sender<bool>,
    options: PgConnectOptions,
    pools: Pools,
    clock: Clock,
    wake: Wake,
    standing: Standing,
    rehearser: Rehearser,
    /// The way out, which everything shares.
    outside: Outside,
    conductor: Conductor,
    shelf: Shelf,
    patience: Patience,
    config: Serve,
    /// Where it listens, as an address to open.
    url: String,
    engine_stop: CancellationToken,
    /// When this process began.
    born: DateTime<Utc>,
}

impl Background {
    async fn run(self) {
        let prepared = loop {
            match self.prepare().await {
                Ok(prepared) => break prepared,
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the database cannot be used yet; trying again"
                    );
                }
            }
            tokio::select! {
                () = self.engine_stop.cancelled() => return,
                () = tokio::time::sleep(DATABASE_PAUSE) => {}
            }
        };
        let engine = Arc::new(prepared);
        let loops = CancellationToken::new();
        let (passed, timers) = watch::channel(self.clock.now());
        let listening_since = self.clock.now();
        let upkeep = Upkeep {
            passed,
            pool: self.pools.background.clone(),
            clock: self.clock.clone(),
            wake: self.wake.clone(),
            patience: self.patience,
            shelf: self.shelf.versions.subscribe(),
            listening_since,
            keep_deliveries: self.config.keep_deliveries,
            deliveries_bytes_max: self.config.deliveries_max,
        };
        let upkeep = tokio::spawn(upkeep.run(loops.clone()));
        let wake = tokio::spawn(
            self.wake
                .clone()
                .run(self.pools.background.clone(), loops.clone()),
        );
        let librarian = tokio::spawn(self.librarian().run(loops.clone()));
        // On the engine's connections: what keeps the timers busy must not keep a pause from being seen.
        let standing = self.standing.clone();
        let standing =
            tokio::spawn(standing.run(self.pools.engine.clone(), self.clock.clone(), loops.clone()));
        let preflights = tokio::spawn(self.preflights().run(loops.clone()));
        let drills = tokio::spawn(self.conductor.clone().run(loops.clone()));
        let game_days = tokio::spawn(Keeper::new(self.conductor.clone()).run(loops.clone()));
        let outward = tokio::spawn(self.outward(listening_since).run(loops.clone()));
        let heartbeat = self.own_heartbeat(&engine, timers);
        let heartbeat = tokio::spawn({
            let loops = loops.clone();
            async move {
                if let Some(heartbeat) = heartbeat {
                    heartbeat.run(loops).await;
                }
            }
        });
        let stopping = engine.stopping.clone();
        let worker = tokio::spawn(worker::run(engine));
        self.is_ready.send_replace(true);
        self.engine_stop.cancelled().await;
        stopping.cancel();
        if let Err(error) = worker.await {
            tracing::error!(%error, "the worker broke off");
        }
        loops.cancel();
        let _ = tokio::join!(
            upkeep, wake, librarian, standing, preflights, drills, game_days, outward, heartbeat
        );
    }

    fn outward(&self, listening_since: DateTime<Utc>) -> Outward {
        Outward {
            pool: self.pools.background.clone(),
            clock: self.clock.clone(),
            wake: self.wake.clone(),
            world: self.rehearser.world.clone(),
            targets: self.shelf.targets.subscribe(),
            hold_down: self.patience.hold_down,
            settled_after: SETTLED_AFTER,
            listening_since,
        }
    }

    fn own_heartbeat(
        &self,
        engine: &Arc<Engine>,
        timers: watch::Receiver<DateTime<Utc>>,
    ) -> Option<OwnHeartbeat> {
        let replica = engine.clone();
        Some(OwnHeartbeat {
            pool: self.pools.intake.clone(),
            clock: self.clock.clone(),
            outside: self.outside.clone(),
            address: self.config.heartbeat_url.clone()?,
            networks: self.config.heartbeat_networks.clone(),
            every: self.config.heartbeat_every,
            replica: Box::new(move || replica.replica()),
            worker: engine.looked.subscribe(),
            timers,
        })
    }

    fn preflights(&self) -> Preflights {
        Preflights {
            pool: self.pools.background.clone(),
            rehearser: self.rehearser.clone(),
            wake: self.wake.clone(),
            clock: self.clock.clone(),
        }
    }

    fn librarian(&self) -> Librarian {
        Librarian {
            folder: self.config.runbooks.clone(),
            targets: self.config.targets.clone(),
            shelf: self.shelf.clone(),
            pool: self.pools.background.clone(),
            clock: self.clock.clone(),
        }
    }

    /// Registers this start and writes down what it found. Everything is counted before the worker begins, and open
    /// incidents hear of an outage before anything else happens to them.
    async fn register(&self, conn: &mut PgConnection) -> anyhow::Result<Lease> {
        let mut tx = conn.begin().await?;
        let found = boots::look(&mut tx).await?;
        let lease = worker::register(&mut tx).await?;
        let boot = boots::insert(&mut tx, lease.replica, &found, self.born, self.clock.now()).await?;
        tx.commit().await?;
        match boot.is_outage() {
            true => tracing::warn!(
                boot.id = boot.id.0,
                "{} See /system/boots/{}",
                boot.sentence(),
                boot.id
            ),
            false => tracing::info!(boot.id = boot.id.0, "{}", boot.sentence()),
        }
        if let Err(error) = upkeep::tell_of_outages(conn, self.clock.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "not every incident says yet that Muster was away; upkeep will try again"
            );
        }
        Ok(lease)
    }

    async fn prepare(&self) -> anyhow::Result<Engine> {
        migrate::run(&self.options).await.context("migrating")?;
        let mut conn = self.pools.background.acquire().await?;
        let now = self.clock.now();
        for declared in &self.config.sources {
            let secret = Secret::resolve(&declared.token)
                .await
                .map_err(|problem| anyhow::anyhow!("the token of source {}: {problem}", declared.name))?;
            let id = sources::upsert(&mut conn, &declared.name, declared.heartbeat, now).await?;
            let token = Digest::of_bytes(secret.reveal().as_bytes());
            if !sources::insert_token(&mut conn, id, token, now).await? {
                tracing::warn!(
                    "two other tokens open source {}, so the declared one does not: revoke one of them on its page",
                    declared.name
                );
            }
        }
        if operators::none_exists(&mut conn).await? {
            let code = new_token()?;
            operators::replace_setup_code(&mut conn, token_digest(&code), now + SETUP_CODE).await?;
            let base = self.config.public_url.as_ref().map_or_else(
                || self.url.clone(),
                |url| url.as_str().trim_end_matches('/').to_owned(),
            );
            tracing::warn!("nobody can sign in yet: open {base}/setup and enter the one-time code {code}");
        }
        self.librarian().pass(None).await?;
        // Before anything is begun: a pause outlives the process that took it.
        self.standing.refresh(&mut conn).await?;
        let installation = operators::installation(&mut conn).await?;
        let lease = self.register(&mut conn).await?;
        let limits = EngineLimits {
            runs_at_once: self.config.runs_at_once,
            drain: self.config.drain.as_duration(),
            lock_wait: self.config.lock_wait,
            output_bytes: usize::from(self.config.output_mib) << 20,
        };
        let mut engine = Engine::new(
            self.pools.engine.clone(),
            self.rehearser.world.clone(),
            self.standing.clone(),
            self.clock.clone(),
            self.wake.clone(),
            self.shelf.targets.subscribe(),
            installation,
            limits,
            lease,
        );
        engine.grounds = Arc::new(self.conductor.simulator.clone());
        Ok(engine)
    }
}
