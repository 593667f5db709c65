//! One sign of life: a `GET` of an address that is itself a secret, since whoever knows it can send one too.

use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use super::{Outside, Secret, cause, client, invalid, redact::Redactor, refused};
use crate::domain::{
    action::{Failure, FailureClass},
    span::Span,
    target::SecretRef,
};

impl Outside {
    /// Fetches the address that the reference leads to, and takes any 2xx for a yes. Nothing of the address is in what
    /// comes back.
    pub async fn ping(&self, address: &SecretRef, within: Span) -> Result<(), Failure> {
        let limit: Duration = within.as_duration();
        let late = Failure::new(FailureClass::Lost, format!("no answer within {within}"));
        timeout(limit, self.try_ping(address)).await.unwrap_or(Err(late))
    }

    async fn try_ping(&self, address: &SecretRef) -> Result<(), Failure> {
        let secret = Secret::resolve(address).await?;
        let url = Url::parse(secret.reveal().trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| invalid("what the reference leads to is no http:// or https:// address"))?;
        client::check_literal(&url)?;
        let parts = [
            Secret::new(url.path()),
            Secret::new(url.query().unwrap_or_default()),
        ];
        let redactor = Redactor::new(parts.iter().chain([&secret]));
        let web = self.web.as_ref().map_err(|reason| invalid(reason.as_str()))?;
        let answer = web.get(url).send().await.map_err(|error| {
            let error = error.without_url();
            Failure::new(
                FailureClass::Lost,
                redactor.text(&format!("not answered: {}", cause(&error))),
            )
        })?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(refused(format!("answered {}", answer.status().as_u16()))),
        }
    }
}
