//! Signing in by an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! The provider is asked anew for its description and keys at each sign-in: they are few, and a key it withdrew must not
//! open anything. What is bound to the browser (state, nonce, the verifier of PKCE) stands in a cookie of that browser
//! for [`FLOW`], and each way back is taken once. Issuer and subject are the person; an address of mail, which can pass to
//! somebody else, joins nothing. What they may do here comes from their groups, read anew each time.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use url::Url;

use super::{IdentityError, code::token_digest, note};
use crate::{
    actions::{Outside, Secret},
    domain::{audit::ActKind, id::OperatorId, network::Network, operator::Role, target::SecretRef},
    store::{StoreError, identities, sessions},
};

/// How long somebody may take at their provider.
pub const FLOW: TimeDelta = TimeDelta::minutes(10);
/// By how much the provider's clock may differ from ours.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// The longest subject that is taken, in bytes: the standard allows 255.
const SUBJECT_BYTES_MAX: usize = 255;
/// Characters of a person's name.
const NAME_CHARS_MAX: usize = 100;
/// Names that are tried when others have the wanted one.
const NAMES_TRIED: usize = 20;

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

/// How a provider is configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who vouches: the address its tokens name, to the letter.
    pub issuer: Url,
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

    /// Who vouches, as it stands in tokens. An address without a path has no slash at its end, where none was written.
    pub fn issuer(&self) -> String {
        let text = self.settings.issuer.as_str();
        match self.settings.issuer.path() {
            "/" => text.trim_end_matches('/').to_owned(),
            _ => text.to_owned(),
        }
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
        let issuer = IssuerUrl::new(self.issuer()).map_err(|error| self.away(error))?;
        let http = self.http();
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
    ) -> impl for<'c> openidconnect::AsyncHttpClient<'c, Error = crate::domain::action::Failure, Future: Send>
    + Send
    + Sync {
        let outside = Arc::clone(&self.outside);
        let settings = Arc::clone(&self.settings);
        move |request| outside.ask_provider(request, &settings.issuer, &settings.networks)
    }

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
        let http = self.http();
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

    /// Takes the way back, finds or makes the person, and gives them the role of their groups; in the transaction that
    /// lets them in.
    pub async fn admit(
        &self,
        conn: &mut PgConnection,
        flow: &Flow,
        vouched: &Vouched,
        now: DateTime<Utc>,
    ) -> Result<OperatorId, ProviderError> {
        let issuer = self.issuer();
        if !identities::take_return(conn, token_digest(&flow.state), now + FLOW).await? {
            return Err(refused("this way back was taken before"));
        }
        let Some(known) = identities::find(conn, &issuer, &vouched.subject).await? else {
            return self.make(conn, &issuer, vouched, now).await;
        };
        if known.is_disabled {
            return Err(ProviderError::NotAllowed(
                "Your account here is disabled. An admin of Muster can enable it.".to_owned(),
            ));
        }
        identities::used(conn, &issuer, &vouched.subject, now).await?;
        if known.role != vouched.role && identities::set_role(conn, known.operator, vouched.role).await? {
            // What the old role opened ends with it.
            sessions::end_all(conn, known.operator).await?;
            let how = format!("{} to {} by groups at {issuer}", known.role, vouched.role);
            note(conn, ActKind::RoleChanged, "", &how, Some(known.operator), now).await?;
        }
        Ok(known.operator)
    }

    async fn make(
        &self,
        conn: &mut PgConnection,
        issuer: &str,
        vouched: &Vouched,
        now: DateTime<Utc>,
    ) -> Result<OperatorId, ProviderError> {
        let wanted = shown_name(&vouched.name);
        for number in 1..=NAMES_TRIED {
            // Somebody of that name is somebody else: a name proves nothing.
            let name = match number {
                1 => wanted.clone(),
                number => format!("{wanted} {number}"),
            };
            if let Some(person) = identities::insert_person(conn, &name, vouched.role, now).await? {
                identities::insert(conn, issuer, &vouched.subject, person, now).await?;
                note(conn, ActKind::PersonMade, &name, issuer, Some(person), now).await?;
                return Ok(person);
            }
        }
        Err(ProviderError::NotAllowed(format!(
            "{NAMES_TRIED} people here are called {wanted} already. An admin of Muster can rename one."
        )))
    }
}

/// A name as it can stand in lists, with room for a number.
fn shown_name(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    let cut: String = plain.trim().chars().take(NAME_CHARS_MAX - 4).collect();
    match cut.trim() {
        "" => "somebody".to_owned(),
        name => name.to_owned(),
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
