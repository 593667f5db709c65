//! One sign of life: a `GET` of an address that is itself a secret, since whoever knows it can send one too.

use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use super::{Outside, Secret, address::Said, cause, client, invalid, redact::Redactor, refused};
use crate::domain::{
    action::{Failure, FailureClass},
    network::Network,
    span::Span,
    target::SecretRef,
};

impl Outside {
    /// Fetches the address that the reference leads to, and takes any 2xx for a yes. Nothing of the address is in what
    /// comes back. Its name may stand for addresses in these networks besides public ones.
    pub async fn ping(&self, address: &SecretRef, networks: &[Network], within: Span) -> Result<(), Failure> {
        let limit: Duration = within.as_duration();
        let late = Failure::new(FailureClass::Lost, format!("no answer within {within}"));
        timeout(limit, self.try_ping(address, networks))
            .await
            .unwrap_or(Err(late))
    }

    async fn try_ping(&self, address: &SecretRef, networks: &[Network]) -> Result<(), Failure> {
        let secret = Secret::resolve_in(&*self.secrets, address).await?;
        let url = Url::parse(secret.reveal().trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| invalid("what the reference leads to is no http:// or https:// address"))?;
        let reach = self.reach(networks);
        let addresses = client::addresses(&reach, &url, Said::Configured).await;
        let parts = [
            Secret::new(url.path()),
            Secret::new(url.query().unwrap_or_default()),
        ];
        let redactor = Redactor::new(parts.iter().chain([&secret]));
        let hidden = |class, text: &str| Failure::new(class, redactor.text(text));
        let addresses = addresses.map_err(|failure| hidden(failure.class, &failure.message))?;
        let web = self.client()?;
        let lost = |error: reqwest::Error| {
            let error = error.without_url();
            hidden(FailureClass::Lost, &format!("not answered: {}", cause(&error)))
        };
        let request = web.get(url).build().map_err(lost)?;
        let answer = client::send_to(web, request, addresses, None)
            .await
            .map_err(lost)?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(refused(format!("answered {}", answer.status().as_u16()))),
        }
    }
}
