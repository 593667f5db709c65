//! Asking an identity provider: its description, its keys, a code for a token. No redirect is followed, and nothing but
//! https is spoken, except on this machine's own loopback when the provider is configured to be there.

use std::{future::Future, net::IpAddr, time::Duration};

use openidconnect::{HttpRequest, HttpResponse};
use url::{Host, Url};

use super::{
    Outside,
    address::{Reach, Said},
    cause, client, invalid, refused,
};
use crate::domain::{
    action::{Failure, FailureClass},
    network::Network,
};

/// How long one answer may take in all: somebody waits for it.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// The longest answer that is read, in bytes; a set of keys has a few thousand.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

impl Outside {
    /// Sends one request of a sign-in to the provider of this issuer, whose addresses may be in these networks besides
    /// public ones. Only the issuer's own host may be named by its address; where else the provider sends us is its word.
    pub fn ask_provider(
        &self,
        request: HttpRequest,
        issuer: &Url,
        networks: &[Network],
    ) -> impl Future<Output = Result<HttpResponse, Failure>> + Send + use<> {
        let (client, reach, issuer) = (self.web.clone(), self.reach(networks), issuer.clone());
        async move {
            let client = client.map_err(invalid)?;
            tokio::time::timeout(ANSWER_MAX, ask(&client, &reach, request, &issuer))
                .await
                .unwrap_or_else(|_| Err(lost(format!("no answer within {} s", ANSWER_MAX.as_secs()))))
        }
    }
}

/// Whether an address is on this machine's own loopback.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

async fn ask(
    client: &reqwest::Client,
    reach: &Reach,
    request: HttpRequest,
    issuer: &Url,
) -> Result<HttpResponse, Failure> {
    let request = reqwest::Request::try_from(request).map_err(|error| invalid(cause(&error)))?;
    let url = request.url();
    let is_plain_here = url.scheme() == "http" && is_loopback(issuer) && is_loopback(url);
    if url.scheme() != "https" && !is_plain_here {
        return Err(invalid(format!(
            "{} is not https",
            url.host_str().unwrap_or("the address")
        )));
    }
    let said = match url.host() == issuer.host() {
        true => Said::Configured,
        false => Said::Elsewhere,
    };
    let addresses = client::addresses(reach, url, said).await?;
    let mut response = client::send_to(client, request, addresses, None)
        .await
        .map_err(|error| lost(cause(&error)))?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    if status.is_redirection() {
        return Err(refused(format!(
            "it answered {} and wants to be asked elsewhere",
            status.as_u16()
        )));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(cause(&error)))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(refused(format!(
                "its answer is longer than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

fn lost(message: String) -> Failure {
    Failure::new(FailureClass::Lost, message)
}
