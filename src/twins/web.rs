//! Twins that speak HTTP: one request a connection, which is all that actions ask for.

use std::{convert::Infallible, fmt, io, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, DATE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use super::{Asked, Reply, alertmanager, logs, metrics, post::Desk};

/// The longest body of a request.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most of a request that is held before its body.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long a request may take to arrive.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// What is behind the web server.
pub(super) enum Kind {
    Http,
    Prometheus,
    Loki,
    Elasticsearch,
    Alertmanager(alertmanager::Memory),
}

/// One request, read whole.
pub(super) struct Question {
    pub(super) method: String,
    /// With the query string.
    pub(super) path: String,
    pub(super) body: String,
}

impl Question {
    /// The path alone.
    pub(super) fn place(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// A value of the query string.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        let (_, query) = self.path.split_once('?')?;
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    fn only_reads(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }

    pub(super) fn asked(self) -> Asked {
        Asked::Web {
            method: self.method,
            path: self.path,
            body: self.body,
        }
    }
}

/// How a request ends.
pub(super) enum End {
    /// With an answer; `None` for one without a body.
    Said { status: u16, body: Option<Value> },
    /// The connection breaks.
    Broken,
    /// Not at all.
    Never,
}

impl End {
    pub(super) fn json(body: Value) -> Self {
        Self::Said {
            status: 200,
            body: Some(body),
        }
    }

    pub(super) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::Said {
            status,
            body: Some(Value::String(text.into())),
        }
    }

    /// What every service makes of a reply that is no answer of its own. `refusal` is the status of a refusal.
    pub(super) fn of(desk: &Desk, reply: Reply, refusal: u16) -> Self {
        match reply {
            Reply::Web {
                status: status @ 200..=599,
                body,
            } => Self::Said {
                status,
                body: Some(body),
            },
            Reply::Done => Self::Said {
                status: 204,
                body: None,
            },
            Reply::Refused(why) => Self::text(refusal, why),
            Reply::Lost => Self::Broken,
            Reply::Silence => Self::Never,
            _ => Self::text(500, desk.unfit()),
        }
    }
}

pub(super) async fn serve(desk: &Desk, kind: &Kind, stream: TcpStream) -> io::Result<()> {
    let service = service_fn(|request| respond(desk, kind, request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection breaks")
    }
}

impl std::error::Error for Broken {}

async fn respond(
    desk: &Desk,
    kind: &Kind,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Broken> {
    let (head, body) = request.into_parts();
    let body = timeout(REQUEST_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let end = match body {
        Ok(Ok(body)) => {
            let question = Question {
                method: head.method.as_str().to_owned(),
                path: head
                    .uri
                    .path_and_query()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            };
            answer(desk, kind, question).await
        }
        Ok(Err(_)) | Err(_) => End::text(413, "the body is too long, or does not end"),
    };
    match end {
        End::Said { status, body } => response(desk, status, body).map_err(|_| Broken),
        End::Broken => Err(Broken),
        End::Never => match std::future::pending::<Infallible>().await {},
    }
}

async fn answer(desk: &Desk, kind: &Kind, question: Question) -> End {
    match kind {
        Kind::Http => {
            let refusal = if question.only_reads() { 500 } else { 409 };
            End::of(desk, desk.ask(question.asked()).await, refusal)
        }
        Kind::Prometheus => metrics::answer(desk, question).await,
        Kind::Loki => logs::loki(desk, question).await,
        Kind::Elasticsearch => logs::elasticsearch(desk, question).await,
        Kind::Alertmanager(memory) => alertmanager::answer(desk, memory, question).await,
    }
}

fn response(desk: &Desk, status: u16, body: Option<Value>) -> hyper::http::Result<Response<Full<Bytes>>> {
    let now = desk.oracle.now().format("%a, %d %b %Y %H:%M:%S GMT");
    let response = Response::builder().status(status).header(DATE, now.to_string());
    match body {
        Some(Value::String(text)) => response
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Full::from(text)),
        Some(tree) => response
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(tree.to_string())),
        None => response.body(Full::default()),
    }
}

/// What a service says of a path it does not have.
pub(super) fn nothing_there(question: &Question) -> End {
    End::Said {
        status: 404,
        body: Some(json!({"error": format!("{} is not here", question.place())})),
    }
}
