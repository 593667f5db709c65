//! Amazon SNS over HTTPS: an envelope that is a notification or asks to be confirmed, signed by Amazon. What a
//! notification carries is read by `cloudwatch`, or by a mapping.
//!
//! The signature says that the envelope comes from SNS, not from whose topic: compare [`Envelope::topic_arn`] too.
//! Whoever checks it fetches the certificate from [`Envelope::signing_cert_url`] and hands it to
//! [`Envelope::verify`].

use data_encoding::BASE64;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
    pem::PemObject,
};
use url::Url;
use webpki::EndEntityCert;

use super::{
    Content, Fault, Reader, cloudwatch,
    document::{self, Object, fault},
    generic,
};

/// What an envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It carries a message.
    Notification,
    /// A subscription waits to be confirmed.
    SubscriptionConfirmation,
    /// A subscription was ended; the same address would begin it anew.
    UnsubscribeConfirmation,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// An envelope, its texts to the byte as they were signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What it is.
    pub kind: Kind,
    /// Whose topic it comes from.
    pub topic_arn: String,
    /// When SNS took the message, as text: ISO 8601 in UTC.
    pub timestamp: String,
    message: String,
    message_id: String,
    subject: Option<String>,
    subscribe_url: String,
    token: String,
    signature: String,
    signature_version: String,
    signing_cert_url: String,
}

impl Envelope {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let document = document::parse(body)?;
        let root = Object::at(&document, "")?;
        let kinds = [
            Kind::Notification,
            Kind::SubscriptionConfirmation,
            Kind::UnsubscribeConfirmation,
        ];
        let name = root.raw_text("Type")?;
        let kind = kinds
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                root.fault(
                    "Type",
                    "expected an envelope of Amazon SNS; raw message delivery must be off",
                )
            })?;
        let text = |key| root.raw_text(key).map(str::to_owned);
        Ok(Self {
            kind,
            topic_arn: text("TopicArn")?,
            timestamp: text("Timestamp")?,
            message: text("Message")?,
            message_id: text("MessageId")?,
            subject: root.get("Subject").map(|_| text("Subject")).transpose()?,
            subscribe_url: text("SubscribeURL")?,
            token: text("Token")?,
            signature: text("Signature")?,
            signature_version: text("SignatureVersion")?,
            signing_cert_url: text("SigningCertURL")?,
        })
    }

    /// Where the certificate that signed it is: a PEM file on a host of Amazon SNS, or a fault.
    pub fn signing_cert_url(&self) -> Result<Url, Fault> {
        let url = amazon_url("SigningCertURL", &self.signing_cert_url)?;
        match url.path().ends_with(".pem") {
            true => Ok(url),
            false => Err(fault("SigningCertURL", "expected the address of a .pem file")),
        }
    }

    /// Whether this certificate, in PEM, signed it. The certificate is trusted for where it was fetched.
    pub fn verify(&self, certificate: &[u8]) -> Result<(), Fault> {
        let algorithm = match self.signature_version.as_str() {
            "1" => &LEGACY,
            "2" => &CURRENT,
            _ => return Err(fault("SignatureVersion", "expected \"1\" or \"2\"")),
        };
        let signature = BASE64
            .decode(self.signature.as_bytes())
            .map_err(|_| fault("Signature", "not base64"))?;
        let unusable = || fault("SigningCertURL", "does not hold a certificate that can be used");
        let certificate = CertificateDer::from_pem_slice(certificate).map_err(|_| unusable())?;
        EndEntityCert::try_from(&certificate)
            .map_err(|_| unusable())?
            .verify_signature(algorithm, signed_text(self).as_bytes(), &signature)
            .map_err(|_| fault("Signature", "is not Amazon's over this message"))
    }
}

/// The text that Amazon signs: some keys in the order of their names, each name and value on a line.
pub fn signed_text(envelope: &Envelope) -> String {
    let is_notification = envelope.kind == Kind::Notification;
    let only_then = |condition: bool, text| condition.then_some(text);
    [
        ("Message", Some(&envelope.message)),
        ("MessageId", Some(&envelope.message_id)),
        ("Subject", envelope.subject.as_ref().filter(|_| is_notification)),
        (
            "SubscribeURL",
            only_then(!is_notification, &envelope.subscribe_url),
        ),
        ("Timestamp", Some(&envelope.timestamp)),
        ("Token", only_then(!is_notification, &envelope.token)),
        ("TopicArn", Some(&envelope.topic_arn)),
        ("Type", Some(&envelope.kind.name().to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| format!("{name}\n{value}\n")))
    .collect()
}

/// Reads one envelope, signed or not.
pub fn read(body: &[u8], with: &Reader<'_>) -> Result<Content, Fault> {
    let envelope = Envelope::parse(body)?;
    match envelope.kind {
        Kind::SubscriptionConfirmation => Ok(Content::Confirm {
            url: amazon_url("SubscribeURL", &envelope.subscribe_url)?,
        }),
        Kind::UnsubscribeConfirmation => Ok(Content::Nothing("the subscription was ended")),
        Kind::Notification => message(&envelope.message, with).map_err(|inner| Fault {
            place: match inner.place.is_empty() {
                true => "Message".to_owned(),
                false => format!("Message: {}", inner.place),
            },
            ..inner
        }),
    }
}

fn message(message: &str, with: &Reader<'_>) -> Result<Content, Fault> {
    let message = document::parse(message.as_bytes())?;
    match with.mapping {
        _ if cloudwatch::is_alarm(&message) => cloudwatch::read(&message, with),
        Some(mapping) => generic::read_document(&message, mapping, with),
        None => Err(fault(
            "",
            "expected a CloudWatch alarm; other messages need a mapping",
        )),
    }
}

/// An address that Amazon SNS itself answers at: `https://sns.<region>.amazonaws.com`, or `.com.cn`. Anything else in
/// an envelope would send Muster wherever the sender likes.
fn amazon_url(key: &str, text: &str) -> Result<Url, Fault> {
    let refused = || fault(key, "expected an https address at sns.<region>.amazonaws.com");
    let url = Url::parse(text).map_err(|_| refused())?;
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host
        .strip_prefix("sns.")
        .and_then(|rest| rest.strip_suffix(".amazonaws.com"))
        .unwrap_or_default();
    let is_region = |region: &str| {
        !region.is_empty()
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_plain = url.port().is_none() && url.username().is_empty() && url.password().is_none();
    match url.scheme() == "https" && is_plain && is_region(region) {
        true => Ok(url),
        false => Err(refused()),
    }
}

/// An RSA signature of a given strength.
#[derive(Debug)]
struct Rsa(&'static RsaParameters);

/// Version 1: SHA-1, which only Amazon's own key makes bearable. A topic can be set to version 2.
static LEGACY: Rsa = Rsa(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY);
/// Version 2: SHA-256.
static CURRENT: Rsa = Rsa(&RSA_PKCS1_2048_8192_SHA256);

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.0, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    // Only compared by those who read signatures out of certificates, which is not done here.
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_PKCS1_SHA256
    }
}
