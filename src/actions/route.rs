//! The road of one HTTP request: to addresses that were checked before, and to nothing else, whatever the client would
//! find by itself; and the moment its connection is there.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tower::{BoxError, Layer, Service};
use url::Url;

use super::{
    Sent,
    address::{Reach, Said},
    invalid,
};
use crate::domain::action::Failure;

tokio::task_local! {
    static ROUTE: Route;
}

/// Where the request of this task goes: to one of these addresses, all of them checked.
struct Route {
    addresses: Vec<SocketAddr>,
    /// Told when the connection is there.
    sent: Option<Sent>,
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
