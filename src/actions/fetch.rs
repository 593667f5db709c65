//! Getting a small public file: a certificate, or the answer to a confirmation. No credentials go along, no redirect is
//! followed, and no address inside is reached, since nobody here named the address: a sender did.

use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use super::{Outside, address::Said, cause, client, invalid, refused};
use crate::domain::{
    action::{Failure, FailureClass},
    network::Network,
};

/// How long it may take in all.
const FETCH_MAX: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes; a certificate has about two thousand.
const FETCH_BYTES_MAX: usize = 64 * 1024;

/// Whatever gets public files: the real outside, or a double of a test.
pub trait Fetch: Send + Sync {
    /// What stands at an address; any answer but a success, and one of more than 64 KiB, is a failure.
    fn get<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<u8>, Failure>>;
}

impl Fetch for Outside {
    fn get<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<u8>, Failure>> {
        Box::pin(self.fetch(url, &[]))
    }
}

impl Outside {
    /// The same, for an address that somebody who configures Muster allowed to be in one of these networks.
    pub async fn fetch(&self, url: &Url, networks: &[Network]) -> Result<Vec<u8>, Failure> {
        tokio::time::timeout(FETCH_MAX, get(self, url, networks))
            .await
            .unwrap_or_else(|_| Err(lost(format!("no answer within {} s", FETCH_MAX.as_secs()))))
    }
}

async fn get(outside: &Outside, url: &Url, networks: &[Network]) -> Result<Vec<u8>, Failure> {
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it is no http:// or https:// address without a login"));
    }
    let addresses = client::addresses(&outside.reach(networks), url, Said::Elsewhere).await?;
    let client = outside.client()?;
    let request = client
        .get(url.clone())
        .build()
        .map_err(|error| invalid(cause(&error)))?;
    let answered = client::send_to(client, request, addresses, None).await;
    let mut response = answered.map_err(|error| lost(cause(&error)))?;
    if !response.status().is_success() {
        return Err(refused(format!("it answered {}", response.status().as_u16())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(cause(&error)))? {
        if body.len() + chunk.len() > FETCH_BYTES_MAX {
            return Err(refused(format!(
                "its answer is longer than {FETCH_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn lost(message: String) -> Failure {
    Failure::new(FailureClass::Lost, message)
}
