//! A target that writes down what reaches it: the outside world's own account of each key. It is told how to answer,
//! and nothing it does depends on what Muster thinks.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, Response},
};
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use muster::clock::Clock;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::{TcpListener, TcpStream};

/// Longer than anybody waits for an answer.
const HANG: Duration = Duration::from_secs(120);

/// One thing that reached the target, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub key: String,
    pub fence: i64,
    pub at: DateTime<Utc>,
    /// It only asked: a `GET`.
    pub reading: bool,
    /// The work was done.
    pub done: bool,
    /// Whether another session of the database could read at this moment that the attempt has begun. `None` when no
    /// database was named, for a question, or when it could not be asked.
    pub recorded: Option<bool>,
}

/// What the target is asked, as far as it may choose its answer by it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    /// How often this method and path have come before.
    pub before: usize,
}

/// How the target treats one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Waits, does the work, waits again, and says that it is done.
    Done { before: Duration, after: Duration },
    /// Does the work and hangs up without a word.
    Lost,
    /// Does the work and answers this status.
    Confused(u16),
    /// Answers this status and does nothing.
    Refused(u16),
    /// Does nothing and never answers.
    Hang,
}

impl Answer {
    /// Done at once.
    pub const AT_ONCE: Self = Self::Done {
        before: Duration::ZERO,
        after: Duration::ZERO,
    };
}

/// Chooses how to treat a request.
pub type Manner = Arc<dyn Fn(&Asked<'_>) -> Answer + Send + Sync>;

/// The running target.
#[derive(Clone)]
pub struct Ledger {
    pub address: SocketAddr,
    manner: Manner,
    witness: Option<PgPool>,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Ledger {
    /// A target that does at once whatever it is asked.
    pub async fn start() -> Self {
        Self::with(Arc::new(|_| Answer::AT_ONCE), None).await
    }

    /// A target with manners of its own. With a database it looks there for the start of each attempt before it does
    /// anything: what another session can read was committed.
    pub async fn with(manner: Manner, witness: Option<PgPool>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ledger = Self {
            address: listener.local_addr().unwrap(),
            manner,
            witness,
            entries: Arc::default(),
        };
        let server = ledger.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        ledger
    }

    /// The line of a targets file that names it.
    pub fn targets(&self) -> String {
        format!(
            "targets:\n  - name: ledger\n    http: {{ url: \"http://{}/\" }}\n",
            self.address
        )
    }

    /// What changed something, in order.
    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap();
        entries.iter().filter(|entry| !entry.reading).cloned().collect()
    }

    /// Everything that came, questions too, in order.
    pub fn everything(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// How often each key came, by path.
    pub fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries() {
            *counts.entry((entry.path, entry.key)).or_default() += 1;
        }
        counts
    }

    async fn serve(self, stream: TcpStream) {
        let service = service_fn(|request| self.take(request));
        // A caller that goes away in the middle is nothing to report: what it asked is written down.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    /// An error makes the connection end without an answer.
    async fn take(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        body.collect().await.map_err(io::Error::other)?;
        let path = parts.uri.path().trim_start_matches('/').to_owned();
        let (place, answer) = self.write_down(&parts.method, path, &parts.headers);
        // A task of its own: the work goes on when the caller is killed.
        let work = tokio::spawn(self.clone().treat(place, answer));
        let status = match work.await.map_err(io::Error::other)? {
            Some(status) => status,
            None => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        let body = json!({"done": self.is_done(place)}).to_string();
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        response.body(Full::from(body)).map_err(io::Error::other)
    }

    fn write_down(&self, method: &Method, path: String, headers: &HeaderMap) -> (usize, Answer) {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let reading = *method == Method::GET;
        let mut entries = self.entries.lock().unwrap();
        let is_same = |entry: &&Entry| entry.reading == reading && entry.path == path;
        let before = entries.iter().filter(is_same).count();
        let answer = (self.manner)(&Asked {
            method,
            path: &path,
            before,
        });
        entries.push(Entry {
            key: header("idempotency-key").to_owned(),
            // No fence is an old one.
            fence: header("muster-fence").parse().unwrap_or(-1),
            at: Clock::real().now(),
            reading,
            done: false,
            recorded: None,
            path,
        });
        (entries.len() - 1, answer)
    }

    /// Treats a request as was chosen; returns the status to answer, or nothing.
    async fn treat(self, place: usize, answer: Answer) -> Option<u16> {
        self.look_for_intent(place).await;
        match answer {
            Answer::Done { before, after } => {
                tokio::time::sleep(before).await;
                self.mark_done(place);
                tokio::time::sleep(after).await;
                Some(200)
            }
            Answer::Lost => {
                self.mark_done(place);
                None
            }
            Answer::Confused(status) => {
                self.mark_done(place);
                Some(status)
            }
            Answer::Refused(status) => Some(status),
            Answer::Hang => {
                tokio::time::sleep(HANG).await;
                None
            }
        }
    }

    async fn look_for_intent(&self, place: usize) {
        let Some(pool) = &self.witness else { return };
        let (key, fence) = {
            let entries = self.entries.lock().unwrap();
            let entry = &entries[place];
            if entry.reading {
                return;
            }
            (entry.key.clone(), entry.fence.to_string())
        };
        let recorded = sqlx::query_scalar(
            "select exists (select from events where kind = 'step_started'
                            and body ->> 'key' = $1 and body ->> 'fence' = $2)",
        )
        .bind(key)
        .bind(fence)
        .fetch_one(pool)
        .await
        .ok();
        self.entries.lock().unwrap()[place].recorded = recorded;
    }

    fn mark_done(&self, place: usize) {
        self.entries.lock().unwrap()[place].done = true;
    }

    /// Whether anything was done at the path of this request: what a question is answered.
    fn is_done(&self, place: usize) -> bool {
        let entries = self.entries.lock().unwrap();
        let path = &entries[place].path;
        entries
            .iter()
            .any(|entry| !entry.reading && entry.done && entry.path == *path)
    }
}
