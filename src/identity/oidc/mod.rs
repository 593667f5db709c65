//! Signing in by an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! The provider is asked anew for its description and keys at each sign-in: they are few, and a key it withdrew must not
//! open anything. What is bound to the browser (state, nonce, the verifier of PKCE) stands in a cookie of that browser
//! for [`FLOW`], and each way back is taken once. Issuer and subject are the person; an address of mail, which can pass to
//! somebody else, joins nothing. What they may do here comes from their groups, read anew each time.

mod person;
mod proof;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    AdditionalClaims, AsyncHttpClient, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge,
    RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::IdentityError;
use crate::{
    actions::{Outside, Secret},
    domain::{action::Failure, network::Network, operator::Role, target::SecretRef},
    store::StoreError,
};

/// How long somebody may take at their provider.
pub const FLOW: TimeDelta = TimeDelta::minutes(10);
/// By how much the provider's clock may differ from ours.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// How a provider is configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who vouches: the address its tokens name, to the letter; a slash at its end is a letter.
    pub issuer: String,
    /// What Muster is called there.
    pub client_id: String,
    /// Where Muster's secret there is kept; without one, PKCE alone protects the code.
    pub client_secret: Option<SecretRef>,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    /// The role that a group gives; of several the highest.
    pub roles: BTreeMap<String, Role>,
    /// The role of who is in none of them; without one they are refused.
    pub default_role: Option<Role>,
    /// Networks besides public ones in which its addresses may be.
    pub networks: Vec<Network>,
    /// What its button says.
    pub label: String,
    /// Where people come back to.
    pub callback: Url,
}

/// A provider that vouches for people.
#[derive(Clone)]
pub struct Provider {
    settings: Arc<Settings>,
    outside: Arc<Outside>,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer as a provider should.
    #[error("{label} cannot be asked now")]
    Away {
        /// What its button says.
        label: String,
        /// For the log.
        reason: String,
    },
    /// What came back proves nothing; the reason is for the log.
    #[error("what came back from the provider proves nothing: {0}")]
    Refused(String),
    /// They are known there, and may not use Muster.
    #[error("{0}")]
    NotAllowed(String),
    /// Anything else.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl From<StoreError> for ProviderError {
    fn from(error: StoreError) -> Self {
        Self::Identity(error.into())
    }
}

fn refused(reason: impl std::fmt::Display) -> ProviderError {
    ProviderError::Refused(reason.to_string())
}

/// The claims of a token that the standard does not name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Extra(serde_json::Map<String, Value>);

impl AdditionalClaims for Extra {}

type Fields = IdTokenFields<
    Extra,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type OidcClient = Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What binds a sign-in to the browser that began it; it stands in a cookie there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flow {
    state: String,
    nonce: String,
    verifier: String,
    /// Where they go afterwards.
    pub next: String,
    /// When it began; a browser may keep a cookie for longer than it was told.
    began: DateTime<Utc>,
}

/// What the provider's answer says in the address.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    /// What exchanges for a token.
    #[serde(default)]
    pub code: String,
    /// What was sent there.
    #[serde(default)]
    pub state: String,
    /// Why there is no code.
    #[serde(default)]
    pub error: String,
    /// Who answers, where a provider says so (RFC 9207).
    #[serde(default)]
    pub iss: String,
}

/// Somebody a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Who they are there.
    pub subject: String,
    /// What they would like to be called.
    pub name: String,
    /// What they may do here.
    pub role: Role,
}

impl Provider {
    /// A provider of these settings.
    pub fn new(settings: Settings, outside: Arc<Outside>) -> Self {
        Self {
            settings: Arc::new(settings),
            outside,
        }
    }

    /// What its button says.
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    /// Who vouches, as it stands in tokens.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    fn away(&self, reason: impl std::fmt::Display) -> ProviderError {
        ProviderError::Away {
            label: self.settings.label.clone(),
            reason: reason.to_string(),
        }
    }

    /// Begins a sign-in: where the browser goes, and what it keeps until it comes back.
    pub async fn begin(&self, next: &str, now: DateTime<Utc>) -> Result<(Url, Flow), ProviderError> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        let flow = Flow {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            next: next.to_owned(),
            began: now,
        };
        Ok((url, flow))
    }

    /// Asks for the provider's description and keys, and makes the client of them.
    async fn client(&self) -> Result<OidcClient, ProviderError> {
        let issuer = IssuerUrl::new(self.issuer().to_owned()).map_err(|error| self.away(error))?;
        let http = self.http()?;
        let found = CoreProviderMetadata::discover_async(issuer, &http)
            .await
            .map_err(|error| self.away(chain(&error)))?;
        let secret = match &self.settings.client_secret {
            None => None,
            Some(reference) => {
                let secret = Secret::resolve(reference)
                    .await
                    .map_err(|error| self.away(error))?;
                Some(ClientSecret::new(secret.reveal().to_owned()))
            }
        };
        let id = ClientId::new(self.settings.client_id.clone());
        let back = RedirectUrl::from_url(self.settings.callback.clone());
        Ok(Client::from_provider_metadata(found, id, secret).set_redirect_uri(back))
    }

    /// Requests of the library, over our own way out.
    fn http(
        &self,
    ) -> Result<
        impl for<'c> AsyncHttpClient<'c, Error = Failure, Future: Send> + Send + Sync + use<>,
        ProviderError,
    > {
        let issuer = Url::parse(self.issuer()).map_err(|error| self.away(error))?;
        let outside = Arc::clone(&self.outside);
        let settings = Arc::clone(&self.settings);
        Ok(move |request| outside.ask_provider(request, &issuer, &settings.networks))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
