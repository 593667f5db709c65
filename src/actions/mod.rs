//! The outside world: every outgoing connection and every program Muster starts begins here and nowhere else.
//!
//! [`Outside::perform`] carries one rendered request to its target. What comes back is redacted, capped and always
//! an object with `ok`; what goes wrong says how far it got, because that decides whether it may be repeated:
//! nothing was sent, it was lost on the way, or the target refused.
//!
//! A request is read by its action's `Ask`, which refuses unknown and ill-typed inputs; the same `Ask` describes
//! itself to people, so a gate page shows what will be sent and not a second rendering of it.

mod answer;
mod inputs;

mod address;
mod cage;
mod client;
mod fetch;
mod flow;
mod ground;
mod redact;
mod route;
pub mod secret;
mod trust;

mod alertmanager;
mod command;
mod elasticsearch;
mod file;
mod haproxy;
mod http;
mod lines;
mod loki;
mod ping;
mod postgres;
mod prometheus;
pub mod provider;
mod sandbox;
mod tcp;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

pub use address::Lookup;
pub use answer::RESULT_BYTES_MAX;
pub use cage::Cage;
pub use client::install_crypto;
pub use fetch::Fetch;
pub use flow::Listener;
pub use ground::{Ground, Grounds, Hold, NoDrills};
pub use redact::Redactor;
pub use secret::{Secret, SecretStore};

use crate::domain::{
    action::{Envelope, Failure, FailureClass, Outcome, Rendered},
    network::Network,
    span::Span,
    step::ActionKind,
    target::{Connection, Target},
};
use address::{Own, Reach};
use secret::{Machine, Vault};

/// What limits every action, whatever its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long one address may take to accept a connection.
    pub connect: Span,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Span::from_secs(5),
        }
    }
}

/// Whatever carries a request out: the real outside, a drill's twins.
pub trait World: Send + Sync {
    /// Carries one rendered request to its target and answers within the envelope's time.
    fn perform<'a>(
        &'a self,
        target: &'a Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<Outcome, Failure>>;

    /// The same; what is written on the way, if it takes a while, is heard as it comes.
    fn perform_heard<'a>(
        &'a self,
        target: &'a Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
        _listener: &'a dyn Listener,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        self.perform(target, request, envelope)
    }
}

impl World for Outside {
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

/// The way out. Cheap to clone; built once, it holds the one HTTP client.
#[derive(Clone)]
pub struct Outside {
    web: Result<reqwest::Client, String>,
    lookup: Lookup,
    own: Own,
    secrets: Arc<dyn SecretStore>,
    bounds: Bounds,
    cage: Option<Cage>,
}

/// Whether anything has gone out yet: what makes a timeout `NotSent` or `Lost`.
#[derive(Clone)]
struct Sent {
    begun: Arc<AtomicBool>,
    not_after: Option<std::time::Instant>,
}

impl Sent {
    fn nothing_yet(envelope: &Envelope) -> Self {
        Self {
            begun: Arc::default(),
            not_after: envelope.not_after,
        }
    }

    /// Called when everything is ready and the next thing is to send. The last look at the lease is here: whatever came
    /// before, such as finding and reaching the target, may have taken long.
    fn mark(&self) -> Result<(), Failure> {
        if self.not_after.is_some_and(|end| end <= std::time::Instant::now()) {
            return Err(Failure::new(
                FailureClass::NotSent,
                "the lease ended before the target was reached; nothing was sent",
            ));
        }
        self.begun.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn so_far(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }
}

/// One request on its way, with all an action needs to carry it out.
struct Call<'a> {
    outside: &'a Outside,
    target: &'a Target,
    request: &'a Rendered,
    envelope: &'a Envelope,
    vault: &'a Vault,
    redactor: &'a Redactor,
    /// Who hears what is written on the way.
    listener: Option<&'a dyn Listener>,
    sent: &'a Sent,
    /// The shorter of what the step and what the target allows.
    limit: Duration,
    deadline: Instant,
}

impl Outside {
    /// Opens the way out. Without certificate authorities on the machine everything but HTTP still works.
    pub fn new(bounds: Bounds) -> Self {
        Self::with_lookup(bounds, Lookup::system())
    }

    /// The same with another resolver than the machine's.
    pub fn with_lookup(bounds: Bounds, lookup: Lookup) -> Self {
        install_crypto();
        Self {
            web: client::build(bounds),
            lookup,
            own: Own::default(),
            secrets: Arc::new(Machine),
            bounds,
            cage: None,
        }
    }

    /// The same, with secrets from another store than the environment and the files of this machine.
    pub fn with_secrets(self, secrets: Arc<dyn SecretStore>) -> Self {
        Self { secrets, ..self }
    }

    /// The same, with nothing to be reached but what is inside of the cage, and without any secret.
    pub fn caged(bounds: Bounds, cage: Cage) -> Self {
        Self {
            cage: Some(cage),
            secrets: Arc::new(cage::NoSecrets),
            ..Self::new(bounds)
        }
    }

    /// Keeps everything sent from here, and from every copy, away from a door of Muster's own: its listener, its database.
    /// A host as it is configured, with its port; a listener on every address may say `0.0.0.0`. A target that names the
    /// address itself may still be aimed at it.
    pub fn keep_off(&self, host: &str, port: u16) {
        self.own.add(host, port);
    }

    /// What may be reached besides public addresses.
    fn reach(&self, networks: &[Network]) -> Reach {
        Reach {
            lookup: self.lookup.clone(),
            own: self.own.clone(),
            networks: networks.into(),
            cage: self.cage.clone(),
        }
    }

    fn client(&self) -> Result<&reqwest::Client, Failure> {
        self.web.as_ref().map_err(|reason| invalid(reason.as_str()))
    }

    /// Carries out one request, within the shorter of the step's and the target's time.
    pub async fn perform(
        &self,
        target: &Target,
        request: &Rendered,
        envelope: &Envelope,
    ) -> Result<Outcome, Failure> {
        self.carry(target, request, envelope, None).await
    }

    async fn carry(
        &self,
        target: &Target,
        request: &Rendered,
        envelope: &Envelope,
        listener: Option<&dyn Listener>,
    ) -> Result<Outcome, Failure> {
        let limit = envelope.timeout.min(target.timeout_max).as_duration();
        let deadline = Instant::now() + limit;
        let sent = Sent::nothing_yet(envelope);
        if let Some(cage) = &self.cage {
            cage.admits_connection(&target.connection)?;
        }
        let vault = timeout_at(deadline, Vault::open(target, &*self.secrets))
            .await
            .unwrap_or_else(|_| Err(too_late(&sent, limit)))?;
        let redactor = vault.redactor();
        let call = Call {
            outside: self,
            target,
            request,
            envelope,
            vault: &vault,
            redactor: &redactor,
            listener,
            sent: &sent,
            limit,
            deadline,
        };
        // A program keeps the deadline itself, since ending it takes a moment longer; this only backs it up.
        let patience = match request.action {
            ActionKind::Command => deadline + command::ENDING_MAX,
            _ => deadline,
        };
        timeout_at(patience, call.dispatch())
            .await
            .unwrap_or_else(|_| Err(too_late(&sent, limit)))
            .map(|outcome| answer::tidy(&redactor, outcome))
            .map_err(|failure| answer::tidy_failure(&redactor, failure))
    }
}

impl Call<'_> {
    async fn dispatch(&self) -> Result<Outcome, Failure> {
        match (self.request.action, &self.target.connection) {
            (ActionKind::Http, Connection::Http(web)) => http::perform(self, web).await,
            (ActionKind::Tcp, Connection::Tcp { address }) => tcp::perform(self, address).await,
            (ActionKind::Postgres, Connection::Postgres(database)) => postgres::perform(self, database).await,
            (ActionKind::Prometheus, Connection::Prometheus(web)) => prometheus::perform(self, web).await,
            (ActionKind::Alertmanager, Connection::Alertmanager(cluster)) => {
                alertmanager::perform(self, cluster).await
            }
            (ActionKind::Haproxy, Connection::Haproxy { address }) => haproxy::perform(self, address).await,
            (ActionKind::Loki, Connection::Loki(web)) => loki::perform(self, web).await,
            (ActionKind::Elasticsearch, Connection::Elasticsearch(web)) => {
                elasticsearch::perform(self, web).await
            }
            (ActionKind::File, Connection::File { path }) => file::perform(self, path).await,
            (ActionKind::Command, Connection::Command(host)) => command::perform(self, host).await,
            (action, _) => Err(mismatch(self.target, action)),
        }
    }

    /// What this target may reach.
    fn reach(&self) -> Reach {
        self.outside.reach(&self.target.networks)
    }

    /// How an error on an open or opening connection counts.
    fn failure(&self, message: impl Into<String>) -> Failure {
        match self.sent.so_far() {
            true => Failure::new(FailureClass::Lost, message),
            false => Failure::new(FailureClass::NotSent, message),
        }
    }
}

/// The rendered command as people see it at a gate and in plan mode. It holds no secret; a request that cannot be
/// sent says why.
pub fn describe(target: &Target, request: &Rendered) -> String {
    try_describe(target, request).unwrap_or_else(|failure| {
        let text = format!(
            "{} on {} cannot be sent: {failure}",
            request.action.name(),
            target.name
        );
        Redactor::default().text(&text)
    })
}

/// The same, or why the request cannot be sent as it is written.
pub fn try_describe(target: &Target, request: &Rendered) -> Result<String, Failure> {
    let redactor = Redactor::default();
    let text = match (request.action, &target.connection) {
        (ActionKind::Http, Connection::Http(web)) => http::describe(web, &request.with),
        (ActionKind::Tcp, Connection::Tcp { address }) => tcp::describe(address, &request.with),
        (ActionKind::Postgres, Connection::Postgres(database)) => {
            postgres::describe(&target.name, database, &request.with)
        }
        (ActionKind::Prometheus, Connection::Prometheus(web)) => {
            prometheus::describe(&target.name, web, &request.with)
        }
        (ActionKind::Alertmanager, Connection::Alertmanager(_)) => {
            alertmanager::describe(&target.name, &request.with)
        }
        (ActionKind::Haproxy, Connection::Haproxy { .. }) => haproxy::describe(&request.with),
        (ActionKind::Loki, Connection::Loki(web)) => loki::describe(&target.name, web, &request.with),
        (ActionKind::Elasticsearch, Connection::Elasticsearch(web)) => {
            elasticsearch::describe(&target.name, web, &request.with)
        }
        (ActionKind::File, Connection::File { path }) => file::describe(path, &request.with),
        (ActionKind::Command, Connection::Command(host)) => command::describe(host, &request.with),
        (action, _) => Err(mismatch(target, action)),
    };
    text.map(|text| redactor.text(&text))
        .map_err(|failure| answer::tidy_failure(&redactor, failure))
}

fn too_late(sent: &Sent, limit: Duration) -> Failure {
    let limit = Span::from_millis(limit.as_millis().try_into().unwrap_or(u64::MAX));
    match sent.so_far() {
        true => Failure::new(
            FailureClass::Lost,
            format!("sent, but no full answer within {limit}"),
        ),
        false => Failure::new(
            FailureClass::NotSent,
            format!("no connection within {limit}; nothing was asked of the target"),
        ),
    }
}

fn mismatch(target: &Target, action: ActionKind) -> Failure {
    invalid(format!(
        "target {} is of kind {}, not {}",
        target.name,
        target.kind().name(),
        action.name()
    ))
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Invalid, message)
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Refused, message)
}

/// The innermost cause of an error: what a person can act on.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
