//! What Amazon SNS asks of a receiver besides storing: the signature of every envelope is checked with Amazon's
//! certificate, and a subscription is confirmed by a GET of the address that a signed envelope names. Certificates and
//! confirmations are only ever fetched from Amazon's own hosts, which [`crate::intake::sns`] checks.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use url::Url;

use crate::{actions::Fetch, intake::sns::Envelope, store::sources::Source};

/// Certificates kept; Amazon has one a region, and exchanges it rarely.
const CERTIFICATES_MAX: usize = 32;
/// How long one is used before it is fetched again.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 3600);

type Certificates = HashMap<Url, (Instant, Arc<Vec<u8>>)>;

/// What was found of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Amazon's, over this envelope, and of a topic the source takes.
    Right,
    /// Not so; why.
    Wrong(String),
    /// Nobody can tell now; why.
    Unknown(String),
}

/// Checks envelopes and confirms subscriptions.
pub struct Notary {
    web: Arc<dyn Fetch>,
    certificates: Mutex<Certificates>,
}

impl fmt::Debug for Notary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notary")
    }
}

impl Notary {
    /// One that fetches by this way.
    pub fn new(web: Arc<dyn Fetch>) -> Self {
        Self {
            web,
            certificates: Mutex::default(),
        }
    }

    /// Whether Amazon signed this body, and whether its topic is the one the source takes. A body that is no envelope is
    /// left to whoever reads it, who refuses it.
    pub async fn check(&self, source: &Source, body: &[u8]) -> Found {
        let Ok(envelope) = Envelope::parse(body) else {
            return Found::Right;
        };
        if let Some(topic) = &source.settings.topic_arn
            && *topic != envelope.topic_arn
        {
            return Found::Wrong(format!("this source takes messages of {topic} only"));
        }
        let url = match envelope.signing_cert_url() {
            Ok(url) => url,
            Err(fault) => return Found::Wrong(fault.to_string()),
        };
        let certificate = match self.certificate(&url).await {
            Ok(certificate) => certificate,
            Err(why) => {
                return Found::Unknown(format!(
                    "Amazon's certificate cannot be fetched from {}: {why}",
                    url.host_str().unwrap_or_default()
                ));
            }
        };
        match envelope.verify(&certificate) {
            Ok(()) => Found::Right,
            Err(fault) => Found::Wrong(fault.to_string()),
        }
    }

    /// Confirms a subscription; the address comes from an envelope whose signature is right.
    pub async fn confirm(&self, url: &Url) -> Result<(), String> {
        let answered = self.web.get(url).await;
        answered.map(drop).map_err(|failure| failure.message)
    }

    async fn certificate(&self, url: &Url) -> Result<Arc<Vec<u8>>, String> {
        let kept = self.lock().get(url).cloned();
        if let Some((since, certificate)) = kept
            && since.elapsed() < CERTIFICATE_LIFE
        {
            return Ok(certificate);
        }
        let fetched = self.web.get(url).await.map_err(|failure| failure.message)?;
        let certificate = Arc::new(fetched);
        let mut certificates = self.lock();
        if certificates.len() >= CERTIFICATES_MAX {
            certificates.clear();
        }
        certificates.insert(url.clone(), (Instant::now(), certificate.clone()));
        Ok(certificate)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Certificates> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
