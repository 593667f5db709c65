//! The HTTP client: one request, one fresh connection, no redirects, no proxy, a capped answer.
//!
//! Connections are not reused, so "nothing was sent" is never a guess about an idle connection the server had
//! already closed; the connector notes the moment it is connected.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use reqwest::{
    Client, Method,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect, retry,
};
use serde_json::Value;
use tower::{BoxError, Layer, Service};
use url::{Host, Url};

use super::{
    Bounds, Call, Sent,
    address::{self, AddressError, Lookup},
    answer, cause, invalid, refused,
};
use crate::domain::{
    action::{Failure, FailureClass},
    target::{HttpConnection, SecretRef},
};

/// The most of an answer that is read; a step works on a status, not on a download.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The same for log queries, whose lines are cut one by one afterwards.
pub(super) const LOGS_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

tokio::task_local! {
    static SENT: Sent;
}

/// Installs the cryptography every TLS connection uses. Call it first in `main`; more often does no harm.
pub fn install_crypto() {
    // The error only says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn build(bounds: Bounds, lookup: Lookup) -> Result<Client, String> {
    Client::builder()
        .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(bounds.connect.as_duration())
        .tcp_keepalive(Duration::from_secs(15))
        .dns_resolver(Arc::new(Checked(lookup)))
        .connector_layer(NoteConnected)
        .build()
        .map_err(|error| format!("no HTTP client: {}", cause(&error)))
}

/// Resolves only to addresses that may be reached.
struct Checked(Lookup);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.0.clone();
        Box::pin(async move {
            let found = lookup.find(name.as_str()).await?;
            let addrs: Addrs = Box::new(found.into_iter().map(|ip| (ip, 0).into()));
            Ok(addrs)
        })
    }
}

/// Notes on the request's [`Sent`] that its connection, TLS included, is there.
#[derive(Clone, Copy)]
struct NoteConnected;

impl<S> Layer<S> for NoteConnected {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting(inner)
    }
}

#[derive(Clone)]
struct Noting<S>(S);

impl<S, R> Service<R> for Noting<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            if let Ok(Err(too_late)) = SENT.try_with(Sent::mark) {
                return Err(too_late.into());
            }
            Ok(connection)
        })
    }
}

/// One HTTP request, ready to send.
pub(super) struct Message {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    /// Where to stop reading the answer.
    pub(super) answer_bytes_max: usize,
}

/// What came back. The status may be known although the body is not.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The body was longer than what was read.
    pub(super) cut: bool,
    /// The body ended in an error.
    pub(super) broken: Option<String>,
}

/// Sends one message with the target's credentials and the envelope's key and fence.
pub(super) async fn send(call: &Call<'_>, web: &HttpConnection, message: Message) -> Result<Reply, Failure> {
    let client = call
        .outside
        .web
        .as_ref()
        .map_err(|reason| invalid(reason.as_str()))?;
    check_literal(&message.url)?;
    let mut headers = message.headers;
    headers.insert("idempotency-key", header("the key", &call.envelope.key)?);
    headers.insert("muster-fence", HeaderValue::from(call.envelope.fence));
    credentials(call, web, &mut headers)?;
    let mut request = client.request(message.method, message.url).headers(headers);
    if let Some(body) = message.body {
        request = request.body(body);
    }
    let answered = SENT.scope(call.sent.clone(), request.send()).await;
    let mut response = answered.map_err(|error| failure(call, &error))?;
    let mut reply = Reply {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body: Vec::new(),
        cut: false,
        broken: None,
    };
    while !reply.cut {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = message.answer_bytes_max - reply.body.len();
                reply.cut = chunk.len() > room;
                reply.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Ok(None) => break,
            Err(error) => {
                reply.broken = Some(cause(&error));
                break;
            }
        }
    }
    Ok(reply)
}

/// Reads JSON with `GET` or a search by `POST`; any answer but a success is a refusal.
pub(super) async fn read_json(
    call: &Call<'_>,
    web: &HttpConnection,
    message: Message,
) -> Result<Value, Failure> {
    let path = message.url.path().to_owned();
    let reply = send(call, web, message).await?;
    if let Some(reason) = &reply.broken {
        return Err(call.failure(format!("{path}: the answer broke off: {reason}")));
    }
    if !(200..300).contains(&reply.status) {
        return Err(refused(format!(
            "{path} answered {}: {}",
            reply.status,
            excerpt(call, &reply)
        )));
    }
    if reply.cut {
        return Err(refused(format!(
            "{path} answered more than can be read; ask for less"
        )));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|_| refused(format!("{path} answered no JSON: {}", excerpt(call, &reply))))
}

/// The start of a body, for a message.
pub(super) fn excerpt(call: &Call<'_>, reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    let text = match reply.cut {
        true => call.redactor.cut_text(&text),
        false => call.redactor.text(&text),
    };
    answer::cut(text.trim(), 400)
}

/// The URL of `path` below the target's own URL. A path cannot leave it, however it is written.
pub(super) fn below(web: &HttpConnection, path: &str) -> Result<Url, Failure> {
    let base = &web.url;
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
        return Err(invalid("the target's url is not http:// or https://"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(invalid(
            "the target's url holds a login; use its basic: reference",
        ));
    }
    let bad = |why: &str| invalid(format!("with.path {why}"));
    if path.contains(['?', '#']) {
        return Err(bad("holds ? or #; use with.query"));
    }
    if path.contains("://") || path.starts_with("//") {
        return Err(bad("must be a path below the target's url, not a URL"));
    }
    let mut plain = path.to_owned();
    for _ in 0..4 {
        if plain.chars().any(char::is_control) {
            return Err(bad("holds a control character"));
        }
        if plain.split(['/', '\\']).any(|part| part == ".." || part == ".") {
            return Err(bad("holds a .. or . part"));
        }
        plain = percent_decoded(&plain);
    }
    if plain.contains('\\') {
        return Err(bad("holds a backslash"));
    }
    let mut url = base.clone();
    let prefix = base.path().trim_end_matches('/');
    match path.trim_start_matches('/') {
        "" => {}
        rest => url.set_path(&format!("{prefix}/{rest}")),
    }
    match url.origin() == base.origin() && url.path().starts_with(prefix) {
        true => Ok(url),
        false => Err(bad("leaves the target's url")),
    }
}

fn percent_decoded(text: &str) -> String {
    // A space for + does not matter here: only dots, slashes and control characters are looked for.
    url::form_urlencoded::parse(format!("={}", text.replace(['&', '+', '='], "_")).as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// A header value; the failure names what it is for and not the value.
pub(super) fn header(what: &str, value: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(value).map_err(|_| invalid(format!("{what} is not a valid header value")))
}

/// The client does not ask its resolver about addresses, so those are checked here.
pub(super) fn check_literal(url: &Url) -> Result<(), Failure> {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => ip.into(),
        Some(Host::Ipv6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    address::allowed(url.host_str().unwrap_or_default(), ip)?;
    Ok(())
}

fn credentials(call: &Call<'_>, web: &HttpConnection, headers: &mut HeaderMap) -> Result<(), Failure> {
    let mut add = |name: HeaderName, reference: &SecretRef, value: String| {
        let named = format!("secret {}", String::from(reference.clone()));
        let mut value = header(&named, &value)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok::<_, Failure>(())
    };
    for (name, reference) in &web.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("the target's header {name} is not a header name")))?;
        add(parsed, reference, call.vault.get(reference)?.reveal().to_owned())?;
    }
    if let Some(reference) = &web.basic {
        let login = call.vault.get(reference)?.reveal().as_bytes();
        let value = format!("Basic {}", data_encoding::BASE64.encode(login));
        add(AUTHORIZATION, reference, value)?;
    }
    if let Some(reference) = &web.bearer {
        let value = format!("Bearer {}", call.vault.get(reference)?.reveal());
        add(AUTHORIZATION, reference, value)?;
    }
    Ok(())
}

fn failure(call: &Call<'_>, error: &reqwest::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(refusal @ AddressError::Forbidden { .. }) = inner.downcast_ref() {
            return invalid(refusal.to_string());
        }
        if let Some(too_late) = inner.downcast_ref::<Failure>() {
            return too_late.clone();
        }
        source = inner.source();
    }
    if error.is_builder() {
        return invalid(format!("the request cannot be built: {}", cause(error)));
    }
    match call.sent.so_far() {
        true => Failure::new(
            FailureClass::Lost,
            format!("the connection broke before an answer: {}", cause(error)),
        ),
        false => Failure::new(FailureClass::NotSent, format!("cannot connect: {}", cause(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(url: &str) -> HttpConnection {
        HttpConnection {
            url: url.parse().unwrap(),
            bearer: None,
            basic: None,
            headers: Default::default(),
        }
    }

    #[test]
    fn a_path_stays_below_the_targets_url() {
        for (base, path, joined) in [
            ("https://api/v1/", "/failover", "https://api/v1/failover"),
            ("https://api/v1", "", "https://api/v1"),
            ("https://api", "a b/ü", "https://api/a%20b/%C3%BC"),
            ("https://api/?v=2", "x", "https://api/x?v=2"),
            (
                "https://api/v1",
                "group%2Fproject",
                "https://api/v1/group%2Fproject",
            ),
            ("https://api/v1", "a:b@c", "https://api/v1/a:b@c"),
            ("https://api/v1", "..a/b..", "https://api/v1/..a/b.."),
        ] {
            assert_eq!(below(&web(base), path).unwrap().as_str(), joined);
        }
        for path in [
            "..",
            "a/../b",
            "%2e%2e/x",
            "a/%2E./b",
            "%252e%252e/x",
            "a%2f..%2fb",
            "..\\x",
            "a%5c..%5cb",
            "\\\\evil",
            "http://evil/",
            "//evil/x",
            "x?y=1",
            "x#y",
            "a\r\nb",
            "a%0d%0ab",
            ".",
        ] {
            assert!(below(&web("https://api/v1/"), path).is_err(), "{path}");
        }
        for base in ["https://u:p@api/", "ftp://api/", "https://u@api/"] {
            assert!(below(&web(base), "x").is_err(), "{base}");
        }
    }
}
