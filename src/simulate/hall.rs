//! The hall of one drill: its twins, and the way of a request to them.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::{
    Simulator, TRIES_MAX, TRY_PAUSE, reply,
    world::{Live, WorldError},
};
use crate::{
    actions::{Listener, World},
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        drill::{DrillFact, DrillState, name, twin_mark},
        id::DrillId,
        simulation::{Rules, Simulation, Standing, WorldFault},
        span::Span,
        target::{Connection, Target, Targets},
    },
    store::{
        StoreError,
        drills::{self, Drill},
    },
    twins::{self, Asked, Closed, Oracle, Post, Reply},
};

/// The most of a question that is kept.
const ASKED_CHARS_MAX: usize = 500;
/// How long a twin may take to answer, in real time, while time is compressed.
const ANSWER_MAX: Span = Span::from_secs(60);

pub(super) struct Hall {
    id: DrillId,
    seed: u64,
    rules: Arc<Rules>,
    targets: Arc<Targets>,
    closed: Closed,
    folder: PathBuf,
    simulator: Simulator,
    posts: Mutex<BTreeMap<String, Arc<Post>>>,
    live: Mutex<Option<Live>>,
}

impl Hall {
    pub(super) fn new(
        id: DrillId,
        seed: u64,
        rules: Arc<Rules>,
        closed: Closed,
        folder: PathBuf,
        simulator: Simulator,
    ) -> Self {
        let named = |(target, twin): (&String, &crate::domain::scenario::Twin)| {
            let mut known = twin.target.clone();
            // Under this name it has its own circuit, and stands at gates.
            known.name = format!("{}{target}", twin_mark(id));
            (target.clone(), known)
        };
        Self {
            id,
            seed,
            targets: Arc::new(Targets(rules.scenario.twins.iter().map(named).collect())),
            rules,
            closed,
            folder,
            simulator,
            posts: Mutex::default(),
            live: Mutex::default(),
        }
    }

    pub(super) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    pub(super) fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }

    /// The world as it is stored, now.
    pub(super) async fn world(&self, conn: &mut PgConnection) -> Result<Simulation, WorldError> {
        let drill = self.drill(conn).await?;
        self.world_of(conn, &drill).await
    }

    async fn drill(&self, conn: &mut PgConnection) -> Result<Drill, StoreError> {
        drills::find(conn, self.id)
            .await?
            .ok_or_else(|| StoreError::corrupt("drills", "id", self.id))
    }

    fn age(&self, drill: &Drill) -> Span {
        let now = self.simulator.parts().clock.now();
        drill.clock.map_or(Span::from_secs(0), |clock| clock.age(now))
    }

    async fn world_of(&self, conn: &mut PgConnection, drill: &Drill) -> Result<Simulation, WorldError> {
        let mut live = self.live.lock().await;
        let kept = match live.take() {
            Some(kept) => kept,
            None => Live::begin(self.rules.clone(), self.seed)?,
        };
        // One that cannot go on is not kept half way.
        let kept = live.insert(kept);
        match kept.catch_up(conn, self.id, self.age(drill)).await {
            Ok(world) => Ok(world.clone()),
            Err(error) => {
                *live = None;
                Err(error)
            }
        }
    }

    /// The name by which the scenario knows a target of this drill.
    fn twin_of<'a>(&self, target: &'a Target) -> Option<&'a str> {
        let plain = target.name.strip_prefix(&twin_mark(self.id))?;
        self.targets.0.contains_key(plain).then_some(plain)
    }

    async fn post(self: &Arc<Self>, target: &str) -> std::io::Result<Arc<Post>> {
        let mut posts = self.posts.lock().await;
        if let Some(post) = posts.get(target) {
            return Ok(post.clone());
        }
        let known = &self.targets.0[target];
        let oracle: Arc<dyn Oracle> = Arc::new(Voice(self.clone()));
        let relay = &self.simulator.parts().relay;
        let post = twins::open(target, &known.connection, oracle, &self.folder, relay).await?;
        if let Some(address) = address(&post.connection(&Connection::Tcp {
            address: String::new(),
        })) {
            self.simulator.0.cage.let_in(address);
        }
        let post = Arc::new(post);
        posts.insert(target.to_owned(), post.clone());
        Ok(post)
    }

    async fn carry(
        self: &Arc<Self>,
        target: &Target,
        request: &Rendered,
        envelope: &Envelope,
        listener: Option<&dyn Listener>,
    ) -> Result<Outcome, Failure> {
        let refused = |message: String| Failure::new(FailureClass::Invalid, message);
        let Some(plain) = self.twin_of(target) else {
            return Err(refused(format!(
                "{} has no twin in {}; nothing of a drill leaves it",
                target.name,
                name(self.id)
            )));
        };
        let not_sent = |error: String| Failure::new(FailureClass::NotSent, error);
        let standing = {
            let parts = self.simulator.parts();
            let mut conn = parts
                .pool
                .acquire()
                .await
                .map_err(|error| not_sent(error.to_string()))?;
            let drill = self
                .drill(&mut conn)
                .await
                .map_err(|error| not_sent(error.to_string()))?;
            if drill.state != DrillState::Running {
                return Err(not_sent(format!("{} is {}", name(self.id), drill.state.name())));
            }
            let world = self.world_of(&mut conn, &drill).await.map_err(unsimulated)?;
            world.standing(plain).map_err(|fault| unsimulated(fault.into()))?
        };
        let post = self
            .post(plain)
            .await
            .map_err(|error| not_sent(format!("the twin of {plain} cannot be opened: {error}")))?;
        let mut led = target.clone();
        led.connection = match standing {
            Standing::Down => {
                let closed = self.closed.connection(&target.connection);
                if let Some(address) = address(&self.closed.connection(&Connection::Tcp {
                    address: String::new(),
                })) {
                    self.simulator.0.cage.let_in(address);
                }
                match closed {
                    Connection::File { .. } => Connection::File {
                        path: self.folder.join("gone").display().to_string(),
                    },
                    closed => closed,
                }
            }
            Standing::Up | Standing::Hangs => post.connection(&target.connection),
        };
        if standing == Standing::Up {
            post.refresh()
                .await
                .map_err(|error| not_sent(format!("the twin of {plain} cannot be written: {error}")))?;
        }
        if standing == Standing::Hangs && self.simulator.parts().is_compressed {
            let limit = envelope.timeout.min(target.timeout_max);
            let message = format!("sent, but no full answer within {limit}");
            return Err(Failure::new(FailureClass::Lost, message));
        }
        let mut envelope = envelope.clone();
        if self.simulator.parts().is_compressed {
            // Real seconds say nothing there: on a busy machine a twin that answers must not count as one that hangs.
            envelope.timeout = envelope.timeout.max(ANSWER_MAX);
            led.timeout_max = led.timeout_max.max(ANSWER_MAX);
        }
        let outside = &self.simulator.0.outside;
        let sent = match listener {
            Some(listener) => World::perform_heard(outside, &led, request, &envelope, listener).await,
            None => World::perform(outside, &led, request, &envelope).await,
        };
        // What people and expressions read is the name they know, not the socket of the day.
        let known = |text: String| without_sockets(text, &led, target);
        match sent {
            Ok(outcome) => {
                let result = serde_json::from_str(&known(outcome.result.to_string()));
                Ok(Outcome {
                    result: result.unwrap_or(outcome.result),
                    summary: known(outcome.summary),
                })
            }
            Err(failure) => Err(Failure {
                message: known(failure.message),
                ..failure
            }),
        }
    }

    /// Asks the world. What that changes is stored before anybody hears the answer, in the order of the drill's log.
    async fn ask(&self, target: &str, asked: &Asked) -> Reply {
        for _ in 0..TRIES_MAX {
            match self.try_ask(target, asked).await {
                Ok(reply) => return reply,
                Err(WorldError::Fault(fault)) => return Reply::Refused(fault.to_string()),
                Err(WorldError::Store(error)) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        target,
                        "a twin asks again"
                    );
                    tokio::time::sleep(TRY_PAUSE).await;
                }
            }
        }
        Reply::Lost
    }

    async fn try_ask(&self, target: &str, asked: &Asked) -> Result<Reply, WorldError> {
        let pool = &self.simulator.parts().pool;
        let mut conn = pool.acquire().await.map_err(StoreError::from)?;
        let drill = self.drill(&mut conn).await?;
        let world = self.world_of(&mut conn, &drill).await?;
        if world.standing(target)? == Standing::Hangs {
            return Ok(Reply::Silence);
        }
        let said = reply::say(&world, target, asked)?;
        if said.changes.is_empty() && !said.is_unrecorded {
            return Ok(said.reply);
        }
        drop(conn);
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        let Some(drill) = drills::lock(&mut tx, self.id).await? else {
            return Ok(Reply::Lost);
        };
        if drill.state != DrillState::Running {
            return Ok(Reply::Refused(format!(
                "{} is {}",
                name(self.id),
                drill.state.name()
            )));
        }
        // Asked again under the lock: something may have happened in between.
        let world = self.world_of(&mut tx, &drill).await?;
        let said = reply::say(&world, target, asked)?;
        let mut after = world.clone();
        after.apply(&said.changes)?;
        self.note(&mut tx, &drill, target, asked, &said).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(said.reply)
    }

    async fn note(
        &self,
        conn: &mut PgConnection,
        drill: &Drill,
        target: &str,
        asked: &Asked,
        said: &reply::Said,
    ) -> Result<(), StoreError> {
        let now = self.simulator.parts().clock.now();
        let (target, asked) = (
            target.to_owned(),
            reply::words(asked).chars().take(ASKED_CHARS_MAX).collect(),
        );
        let fact = match said.is_unrecorded {
            true => DrillFact::NotRecorded { target, asked },
            false => DrillFact::Acted {
                target,
                asked,
                set: said.changes.clone(),
            },
        };
        drills::append(conn, self.id, self.age(drill), None, &[fact], now).await?;
        drills::set_due(conn, self.id, now).await
    }
}

/// What twins hear the world through.
struct Voice(Arc<Hall>);

impl Oracle for Voice {
    fn ask<'a>(&'a self, target: &'a str, asked: Asked) -> BoxFuture<'a, Reply> {
        Box::pin(async move { self.0.ask(target, &asked).await })
    }

    fn now(&self) -> DateTime<Utc> {
        self.0.simulator.parts().clock.now()
    }
}

impl World for Arc<Hall> {
    fn perform<'a>(
        &'a self,
        target: &'a Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(self.carry(target, request, envelope, None))
    }

    fn perform_heard<'a>(
        &'a self,
        target: &'a Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
        listener: &'a dyn Listener,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(self.carry(target, request, envelope, Some(listener)))
    }
}

fn unsimulated(error: WorldError) -> Failure {
    let class = match error {
        WorldError::Fault(WorldFault { .. }) => FailureClass::Invalid,
        WorldError::Store(_) => FailureClass::NotSent,
    };
    Failure::new(class, format!("the world of the drill: {error}"))
}

fn address(connection: &Connection) -> Option<SocketAddr> {
    match connection {
        Connection::Tcp { address } => address.parse().ok(),
        _ => None,
    }
}

/// The same text with the name of a twin wherever its socket stood.
fn without_sockets(text: String, led: &Target, target: &Target) -> String {
    let (Some(socket), Some(known)) = (place(&led.connection), place(&target.connection)) else {
        return text;
    };
    let bare = |place: &str| place.trim_start_matches("http://").to_owned();
    text.replace(&socket, &known)
        .replace(&bare(&socket), &bare(&known))
}

/// Where a connection goes, as messages name it.
fn place(connection: &Connection) -> Option<String> {
    Some(match connection {
        Connection::Tcp { address } | Connection::Haproxy { address } => address.clone(),
        Connection::Postgres(database) => format!("{}:{}", database.host, database.port),
        Connection::Http(web)
        | Connection::Prometheus(web)
        | Connection::Loki(web)
        | Connection::Elasticsearch(web) => web.url.as_str().trim_end_matches('/').to_owned(),
        Connection::Alertmanager(cluster) => cluster
            .nodes
            .first()?
            .url
            .as_str()
            .trim_end_matches('/')
            .to_owned(),
        Connection::File { path } => path.clone(),
        Connection::Command(_) => return None,
    })
}
