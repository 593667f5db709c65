//! Signatures of senders that sign their bodies with a secret they share with Muster.

use crate::{
    actions::secret::Secret,
    domain::action::Failure,
    intake::{Format, sign},
    store::sources::Source,
};

/// Where a sender of any JSON puts the HMAC-SHA256 of its body, in hex.
pub const HEADER: &str = "x-muster-signature";

/// Whether the secret of a source can be read; `None` for one that has none.
pub async fn secret(source: &Source) -> Option<Result<(), Failure>> {
    let reference = source.settings.sign_with.as_ref()?;
    Some(Secret::resolve(reference).await.map(drop))
}

/// Whether a body is signed as its source asks; one that asks for nothing takes any. `header` gives the value of a
/// header. An error when the secret cannot be read now.
pub async fn is_right(
    source: &Source,
    format: Format,
    header: impl Fn(&str) -> Option<String>,
    body: &[u8],
) -> Result<bool, Failure> {
    let Some(reference) = &source.settings.sign_with else {
        return Ok(true);
    };
    let secret = Secret::resolve(reference).await?;
    let secret = secret.reveal().as_bytes();
    Ok(match format {
        Format::Pagerduty => {
            header("x-pagerduty-signature").is_some_and(|said| sign::pagerduty(secret, body, &said))
        }
        Format::Grafana => header("x-grafana-alerting-signature").is_some_and(|said| {
            let timestamp = header("x-grafana-alerting-timestamp");
            sign::grafana(secret, timestamp.as_deref(), body, &said)
        }),
        _ => header(HEADER).is_some_and(|said| sign::grafana(secret, None, body, &said)),
    })
}
