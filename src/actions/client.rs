//! The HTTP client: one request, one fresh connection to an address that was checked, no proxy, a capped answer.
//!
//! Connections are not reused, so "nothing was sent" is never a guess about an idle connection the server had
//! already closed; the connector notes the moment it is connected. A redirect is followed only when the target says so,
//! only for what reads, and leaves every credential behind as soon as it leads away from the target's own origin.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use reqwest::{
    Client, Method, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use serde_json::Value;
use tower::{BoxError, Layer, Service};
use url::Url;

use super::{
    Bounds, Call, Sent,
    address::{Reach, Said},
    answer, cause, invalid, refused, trust,
};
use crate::domain::{
    action::{Failure, FailureClass},
    target::{HttpConnection, SecretRef},
};

/// The most of an answer that is read; a step works on a status, not on a download.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The same for log queries, whose lines are cut one by one afterwards.
pub(super) const LOGS_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most headers of an answer.
pub(super) const HEADERS_MAX: usize = 100;
/// The most bytes all headers of an answer may have.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// The longest address a redirect may lead to.
const LOCATION_BYTES_MAX: usize = 4096;

tokio::task_local! {
    static ROUTE: Route;
}

/// Where the request of this task goes: to one of these addresses, all of them checked.
struct Route {
    addresses: Vec<SocketAddr>,
    /// Told when the connection is there.
    sent: Option<Sent>,
}

/// Installs the cryptography every TLS connection uses. Call it first in `main`; more often does no harm.
pub fn install_crypto() {
    // The error only says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn build(bounds: Bounds) -> Result<Client, String> {
    trust::builder(bounds)
        .build()
        .map_err(|error| format!("no HTTP client: {}", cause(&error)))
}

/// Knows no names: it answers with what was found and checked before, and nothing else.
pub(super) struct Settled;

impl Resolve for Settled {
    fn resolve(&self, _: Name) -> Resolving {
        let settled = ROUTE.try_with(|route| route.addresses.clone());
        Box::pin(async move {
            let addresses = settled.map_err(|_| "no address was checked for this request")?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// Notes on the request's [`Sent`] that its connection, TLS included, is there.
#[derive(Clone, Copy)]
pub(super) struct NoteConnected;

impl<S> Layer<S> for NoteConnected {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting(inner)
    }
}

#[derive(Clone)]
pub(super) struct Noting<S>(S);

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
            let marked = ROUTE.try_with(|route| route.sent.as_ref().map_or(Ok(()), Sent::mark));
            if let Ok(Err(too_late)) = marked {
                return Err(too_late.into());
            }
            Ok(connection)
        })
    }
}

/// Sends one request to an address that may be reached, and gives the head of the answer.
pub(super) async fn send_to(
    client: &Client,
    request: reqwest::Request,
    addresses: Vec<SocketAddr>,
    sent: Option<Sent>,
) -> Result<Response, reqwest::Error> {
    let route = Route { addresses, sent };
    ROUTE.scope(route, client.execute(request)).await
}

/// The addresses of a URL's host, if they may be reached. The client takes an address in a URL as it is and asks nobody, so
/// it must have been here before.
pub(super) async fn addresses(reach: &Reach, url: &Url, said: Said) -> Result<Vec<SocketAddr>, Failure> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(invalid("the address has no host"));
    };
    Ok(reach.find(host, port, said).await?)
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

/// Sends one message with the target's credentials and the envelope's key and fence, and follows as many redirects as
/// the target allows.
pub(super) async fn send(call: &Call<'_>, web: &HttpConnection, message: Message) -> Result<Reply, Failure> {
    let is_safe = matches!(message.method, Method::GET | Method::HEAD);
    let redirects = if is_safe { web.redirects } else { 0 };
    let bytes_max = web
        .answer_bytes_max
        .map_or(message.answer_bytes_max, |max| max as usize);
    let mut trip = Trip {
        url: message.url.clone(),
        is_home: true,
    };
    let mut followed = 0;
    let response = loop {
        let response = trip.once(call, web, &message).await?;
        let bytes: usize = response
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if bytes > HEADER_BYTES_MAX {
            let told = format!("it answered with more than {HEADER_BYTES_MAX} bytes of headers");
            return Err(if is_safe {
                refused(told)
            } else {
                call.failure(told)
            });
        }
        let elsewhere = match redirects {
            0 => None,
            _ => elsewhere(&response),
        };
        let Some(location) = elsewhere else { break response };
        if followed == redirects {
            return Err(refused(format!(
                "more than {redirects} redirects, one after the other"
            )));
        }
        followed += 1;
        trip = trip.next(web, &location)?;
    };
    Ok(read(response, bytes_max).await)
}

/// Where an answer says to ask the same instead.
fn elsewhere(response: &Response) -> Option<HeaderValue> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get(LOCATION).filter(|_| is_redirect).cloned()
}

/// One request on its way through redirects.
struct Trip {
    url: Url,
    /// Whether it never left the target's own scheme, host and port: only then it carries anything of the target's.
    is_home: bool,
}

impl Trip {
    async fn once(
        &self,
        call: &Call<'_>,
        web: &HttpConnection,
        message: &Message,
    ) -> Result<Response, Failure> {
        let said = match self.is_home {
            true => Said::Configured,
            false => Said::Elsewhere,
        };
        let addresses = addresses(&call.reach(), &self.url, said).await?;
        let mut headers = HeaderMap::new();
        let mut url = self.url.clone();
        let client = match self.is_home {
            true => {
                headers.clone_from(&message.headers);
                headers.insert("idempotency-key", header("the key", &call.envelope.key)?);
                headers.insert("muster-fence", HeaderValue::from(call.envelope.fence));
                credentials(call, web, &mut headers)?;
                if let Some(name) = web.tls.server_name.as_deref().filter(|_| url.scheme() == "https") {
                    // The name to be proven is the one of the URL; the service still hears what it is called.
                    let host = header("the target's host", &authority(&url))?;
                    headers.insert(HOST, host);
                    url.set_host(Some(name))
                        .map_err(|_| invalid("the target's tls.server_name is not a name"))?;
                }
                trust::client(call, &web.tls).await?
            }
            false => call.outside.client()?.clone(),
        };
        let mut request = client.request(message.method.clone(), url).headers(headers);
        if let Some(body) = &message.body {
            request = request.body(body.clone());
        }
        let request = request.build().map_err(|error| failure(call, &error))?;
        let answered = send_to(&client, request, addresses, Some(call.sent.clone())).await;
        answered.map_err(|error| failure(call, &error))
    }

    /// The trip to where a redirect leads.
    fn next(&self, web: &HttpConnection, location: &HeaderValue) -> Result<Self, Failure> {
        let bad = |why: &str| refused(format!("the redirect is not followed: {why}"));
        let text = location.to_str().map_err(|_| bad("it is no address"))?;
        if text.len() > LOCATION_BYTES_MAX {
            return Err(bad("its address is too long"));
        }
        let mut url = self.url.join(text).map_err(|_| bad("it is no address"))?;
        url.set_fragment(None);
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(bad("it leads to something else than http:// or https://"));
        }
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Err(bad("it leads from https:// to http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("its address holds a login"));
        }
        let is_home = self.is_home && url.origin() == web.url.origin();
        Ok(Self { url, is_home })
    }
}

/// Host and port as a `Host` header has them.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

async fn read(mut response: Response, bytes_max: usize) -> Reply {
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
                let room = bytes_max - reply.body.len();
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
    reply
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
        HttpConnection::new(url.parse().unwrap())
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
