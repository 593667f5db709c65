//! What a TLS connection of a target rests on: its own authorities, the certificate Muster shows, the name the server must
//! prove. Read anew at each use, so that a renewed file needs no restart.

use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Identity};
use sqlx::postgres::PgConnectOptions;

use super::{Bounds, Call, client, invalid};
use crate::domain::{
    action::Failure,
    target::{SecretRef, Trust},
};

/// How long an unused connection is kept open by the system before it is asked whether anybody is there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A field of a target whose text is no PEM of the kind it must be.
fn bad_pem(call: &Call<'_>, field: &str, reference: &SecretRef, what: &str) -> Failure {
    let name = String::from(reference.clone());
    invalid(format!("target {}: {field} ({name}) {what}", call.target.name))
}

/// The one client, or one that trusts as the target says.
pub(super) async fn client(call: &Call<'_>, trust: &Trust) -> Result<Client, Failure> {
    if trust.ca.is_none() && trust.client_certificate.is_none() {
        return call.outside.client().cloned();
    }
    let mut builder = builder(call.outside.bounds);
    if let Some(reference) = &trust.ca {
        let pem = call.vault.get(reference)?.reveal();
        let found = Certificate::from_pem_bundle(pem.as_bytes())
            .ok()
            .filter(|found| !found.is_empty())
            .ok_or_else(|| bad_pem(call, "tls.ca", reference, "holds no certificate in PEM"))?;
        builder = builder.tls_certs_only(found);
    }
    if let (Some(certificate), Some(key)) = (&trust.client_certificate, &trust.client_key) {
        let chain = call.vault.get(certificate)?.reveal();
        if !chain.contains("-----BEGIN CERTIFICATE-----") {
            let what = "holds no certificate in PEM";
            return Err(bad_pem(call, "tls.client_certificate", certificate, what));
        }
        let secret = call.vault.get(key)?.reveal();
        if !secret.contains("PRIVATE KEY-----") {
            return Err(bad_pem(
                call,
                "tls.client_key",
                key,
                "holds no private key in PEM",
            ));
        }
        let both = format!("{chain}\n{secret}\n");
        let identity = Identity::from_pem(both.as_bytes());
        builder = builder.identity(identity.map_err(|_| {
            bad_pem(
                call,
                "tls.client_key",
                key,
                "cannot be read together with tls.client_certificate",
            )
        })?);
    }
    builder.build().map_err(|error| {
        // The library names the trouble and repeats nothing of a file.
        invalid(format!(
            "target {}: its tls cannot be used: {}",
            call.target.name,
            super::cause(&error)
        ))
    })
}

/// What every HTTP client of Muster has in common: no redirects by itself, no retries, no proxy of the environment, no
/// connection used twice, every name resolved by us.
pub(super) fn builder(bounds: Bounds) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(bounds.connect.as_duration())
        .tcp_keepalive(KEEPALIVE)
        .http1_max_headers(client::HEADERS_MAX)
        .dns_resolver(std::sync::Arc::new(client::Settled))
        .connector_layer(client::NoteConnected)
}

/// The same for the connection to a database.
pub(super) fn of_database(
    call: &Call<'_>,
    trust: &Trust,
    mut options: PgConnectOptions,
) -> Result<PgConnectOptions, Failure> {
    let pem = |field: &str, reference: &SecretRef, mark: &str, what: &str| {
        let pem = call.vault.get(reference)?.reveal();
        match pem.contains(mark) {
            true => Ok(pem.as_bytes().to_vec()),
            false => Err(bad_pem(call, field, reference, what)),
        }
    };
    const NO_CERTIFICATE: &str = "holds no certificate in PEM";
    if let Some(reference) = &trust.ca {
        let found = pem("tls.ca", reference, "-----BEGIN CERTIFICATE-----", NO_CERTIFICATE)?;
        options = options.ssl_root_cert_from_pem(found);
    }
    if let (Some(certificate), Some(key)) = (&trust.client_certificate, &trust.client_key) {
        let mark = "-----BEGIN CERTIFICATE-----";
        let chain = pem("tls.client_certificate", certificate, mark, NO_CERTIFICATE)?;
        let secret = pem(
            "tls.client_key",
            key,
            "PRIVATE KEY-----",
            "holds no private key in PEM",
        )?;
        options = options
            .ssl_client_cert_from_pem(chain)
            .ssl_client_key_from_pem(secret);
    }
    Ok(options)
}
