//! The real actions against their twins, with an oracle that says what a test wants.

mod command;
mod every;
mod postgres;
mod proxy;
mod silences;
mod web;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Asked, Closed, Oracle, Post, Reply, open};
use crate::{
    actions::{Bounds, Outside},
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        program::Program,
        span::Span,
        target::{
            AlertmanagerConnection, CommandConnection, Connection, HttpConnection, PostgresConnection,
            SecretRef, Target, Tls, Trust,
        },
    },
};

/// Long enough never to be reached by a test that does not mean to.
const PLENTY: Span = Span::from_secs(30);
/// For tests that wait until the time is over.
const SHORT: Span = Span::from_millis(400);

/// An oracle that answers by a function and remembers what it was asked.
struct Script {
    says: Box<dyn Fn(&Asked) -> Reply + Send + Sync>,
    heard: Mutex<Vec<(String, Asked)>>,
    now: Mutex<DateTime<Utc>>,
}

impl Script {
    fn new(says: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            says: Box::new(says),
            heard: Mutex::default(),
            now: Mutex::new("2026-03-01T12:00:00Z".parse().unwrap()),
        })
    }

    /// What it was asked since it was last looked at.
    fn heard(&self) -> Vec<(String, Asked)> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }
}

impl Oracle for Script {
    fn ask<'a>(&'a self, target: &'a str, asked: Asked) -> BoxFuture<'a, Reply> {
        let reply = (self.says)(&asked);
        self.heard.lock().unwrap().push((target.to_owned(), asked));
        Box::pin(async move { reply })
    }

    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("muster-twins-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A twin and what is needed to act on it.
struct Stage {
    script: Arc<Script>,
    post: Post,
    real: Connection,
    folder: Folder,
}

impl Stage {
    async fn open(real: Connection, says: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let folder = Folder::new();
        let script = Script::new(says);
        let oracle: Arc<dyn Oracle> = Arc::clone(&script) as _;
        let relay = command::stand_in(&folder.0);
        let post = open("thing", &real, oracle, &folder.0, &relay).await.unwrap();
        Self {
            script,
            post,
            real,
            folder,
        }
    }

    /// One that gives the same answer to everything.
    async fn saying(real: Connection, reply: Reply) -> Self {
        Self::open(real, move |_| reply.clone()).await
    }

    fn target(&self) -> Target {
        target(self.post.connection(&self.real))
    }

    async fn go(&self, with: Value) -> Result<Outcome, Failure> {
        perform(&self.target(), with, &envelope(PLENTY)).await
    }

    async fn look(&self, with: Value) -> Result<Outcome, Failure> {
        perform(&self.target(), with, &reading()).await
    }
}

fn target(connection: Connection) -> Target {
    Target::new("thing", connection)
}

fn envelope(timeout: Span) -> Envelope {
    Envelope {
        key: "run-7/promote".to_owned(),
        fence: 42,
        timeout,
        not_after: None,
        read_only: false,
    }
}

fn reading() -> Envelope {
    Envelope {
        read_only: true,
        ..envelope(PLENTY)
    }
}

async fn perform(target: &Target, with: Value, envelope: &Envelope) -> Result<Outcome, Failure> {
    let request = Rendered {
        action: target.kind(),
        target: target.name.clone(),
        with,
    };
    let outside = Outside::new(Bounds::default());
    outside.perform(target, &request, envelope).await
}

/// A secret that no test could read: whoever needs it fails.
fn secret() -> SecretRef {
    SecretRef::File("/no/such/secret".to_owned())
}

/// A service far away, with everything that a twin must not have.
fn far(path: &str) -> HttpConnection {
    let mut web = HttpConnection::new(format!("https://real.example:8443/{path}?x=1").parse().unwrap());
    web.bearer = Some(secret());
    web.headers.insert("x-key".to_owned(), secret());
    web.tls.ca = Some(secret());
    web.redirects = 3;
    web
}

fn database() -> Connection {
    Connection::Postgres(PostgresConnection {
        host: "real.example".to_owned(),
        port: 5432,
        user: "app".to_owned(),
        database: Some("shop".to_owned()),
        password: Some(secret()),
        tls: Tls::VerifyFull,
        trust: Trust {
            ca: Some(secret()),
            ..Trust::default()
        },
    })
}

fn proxy() -> Connection {
    Connection::Haproxy {
        address: "unix:/run/haproxy/admin.sock".to_owned(),
    }
}

fn log() -> Connection {
    Connection::File {
        path: "/var/log/app.log".to_owned(),
    }
}

fn alertmanager() -> Connection {
    Connection::Alertmanager(AlertmanagerConnection {
        nodes: vec![far("am"), far("am")],
    })
}
