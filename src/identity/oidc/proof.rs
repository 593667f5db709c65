//! What the provider's answer proves: the token behind it, checked claim by claim.

use chrono::{DateTime, Utc};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, Nonce, OAuth2TokenResponse, PkceCodeVerifier, TokenResponse,
    UserInfoClaims,
    core::{CoreGenderClaim, CoreJwsSigningAlgorithm},
};
use serde_json::Value;

use super::{Answer, Extra, FLOW, Flow, Provider, ProviderError, SKEW, Vouched, chain, refused};
use crate::{domain::operator::Role, identity::code::token_digest};

/// The longest subject that is taken, in bytes: the standard allows 255.
const SUBJECT_BYTES_MAX: usize = 255;
/// Signatures that are believed. Only those by a key of two halves: with a shared secret, whoever can check could sign.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

impl Provider {
    /// What the provider's answer proves, checked against what this browser kept. Call it outside a transaction: it asks
    /// the provider.
    pub async fn finish(
        &self,
        flow: &Flow,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<Vouched, ProviderError> {
        self.check_answer(flow, answer, now)?;
        let client = self.client().await?;
        let http = self.http()?;
        let tokens = client
            .exchange_code(AuthorizationCode::new(answer.code.clone()))
            .map_err(|error| self.away(error))?
            .set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()))
            .request_async(&http)
            .await
            .map_err(|error| refused(chain(&error)))?;
        let token = tokens.id_token().ok_or_else(|| refused("no id token came"))?;
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || now)
            .set_issue_time_verifier_fn(move |issued| issued_lately(issued, now));
        let claims = token
            .claims(&verifier, &Nonce::new(flow.nonce.clone()))
            .map_err(|error| refused(chain(&error)))?;
        // The library leaves these to us.
        if claims
            .authorized_party()
            .is_some_and(|party| party.as_str() != self.settings.client_id)
        {
            return Err(refused("the token was made for another client (azp)"));
        }
        let extra = &claims.additional_claims().0;
        if let Some(from) = extra.get("nbf") {
            let from = from.as_f64().ok_or_else(|| refused("nbf is no time"))?;
            if from > (now + SKEW).timestamp() as f64 {
                return Err(refused("the token is not good yet (nbf)"));
            }
        }
        if let Some(expected) = claims.access_token_hash() {
            let made = token
                .signing_alg()
                .ok()
                .zip(token.signing_key(&verifier).ok())
                .and_then(|(algorithm, key)| {
                    AccessTokenHash::from_token(tokens.access_token(), algorithm, key).ok()
                });
            if made.as_ref() != Some(expected) {
                return Err(refused(
                    "the access token is not the one the id token names (at_hash)",
                ));
            }
        }
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.contains('\0') {
            return Err(refused("the subject cannot be one"));
        }
        let mut groups = extra.get(&self.settings.groups_claim).cloned();
        let mut name = claims
            .preferred_username()
            .map(|name| name.as_str().to_owned())
            .or_else(|| Some(claims.name()?.get(None)?.as_str().to_owned()));
        if (groups.is_none() || name.is_none()) && client.user_info_url().is_some() {
            let about: UserInfoClaims<Extra, CoreGenderClaim> = client
                .user_info(tokens.access_token().clone(), Some(claims.subject().clone()))
                .map_err(|error| self.away(error))?
                .request_async(&http)
                .await
                .map_err(|error| refused(chain(&error)))?;
            groups = groups.or_else(|| {
                about
                    .additional_claims()
                    .0
                    .get(&self.settings.groups_claim)
                    .cloned()
            });
            name = name
                .or_else(|| Some(about.preferred_username()?.as_str().to_owned()))
                .or_else(|| Some(about.name()?.get(None)?.as_str().to_owned()));
        }
        Ok(Vouched {
            subject: subject.to_owned(),
            name: name.unwrap_or_else(|| subject.to_owned()),
            role: self.role_of(groups.as_ref())?,
        })
    }

    fn check_answer(&self, flow: &Flow, answer: &Answer, now: DateTime<Utc>) -> Result<(), ProviderError> {
        // Compared by digest, so that how long it takes tells nothing.
        if token_digest(&flow.state) != token_digest(&answer.state) {
            return Err(refused("the state is not the one this browser was sent with"));
        }
        if now - flow.began > FLOW || flow.began > now {
            return Err(refused("it took too long"));
        }
        if !answer.iss.is_empty() && answer.iss != self.issuer() {
            return Err(refused("another issuer answered"));
        }
        if !answer.error.is_empty() {
            let said: String = answer
                .error
                .chars()
                .filter(|c| c.is_ascii_graphic())
                .take(100)
                .collect();
            return Err(refused(format!("it said {said}")));
        }
        match answer.code.is_empty() {
            true => Err(refused("no code came")),
            false => Ok(()),
        }
    }

    /// The highest role that the groups give.
    fn role_of(&self, groups: Option<&Value>) -> Result<Role, ProviderError> {
        let groups: Vec<&str> = match groups {
            Some(Value::String(group)) => vec![group],
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let roles = groups.iter().filter_map(|group| self.settings.roles.get(*group));
        roles.copied().max().or(self.settings.default_role).ok_or_else(|| {
            ProviderError::NotAllowed(format!(
                "{} knows you, but none of your groups there may use Muster. Whoever keeps the groups can add you to \
                 one that may.",
                self.settings.label
            ))
        })
    }
}

/// Whether a token was made for this sign-in, as far as its time can say.
fn issued_lately(issued: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), String> {
    if issued > now + SKEW {
        return Err("the token was made in the future (iat)".to_owned());
    }
    match now - issued > FLOW + SKEW {
        true => Err("the token was made long ago (iat)".to_owned()),
        false => Ok(()),
    }
}
