//! Passkeys: WebAuthn with discoverable credentials, so that nobody types a name, and with the person verified by the
//! authenticator, so that a passkey alone is two factors.
//!
//! The checks of the standard are those of the crate `webauthn_rp`. What is ours: a challenge stands in Postgres, is
//! taken away by the first answer that names it, good or bad, and is good for [`CHALLENGE`]; the origin is the one this
//! Muster is reached at and no other; the counter must grow where an authenticator counts.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use url::{Host, Url};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication64, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions, PublicKeyCredentialCreationOptions, Registration,
    RegistrationServerState,
    bin::{Decode, Encode},
    request::{
        AsciiDomain, PublicKeyCredentialDescriptor, RpId,
        auth::AuthenticationVerificationOptions,
        register::{
            PublicKeyCredentialUserEntity, RegistrationVerificationOptions, USER_HANDLE_MAX_LEN,
            UserHandle64, Username,
        },
    },
    response::{
        AuthTransports, CredentialId,
        register::{CompressedPubKey, DynamicState, StaticState},
    },
};

use super::{IdentityError, note};
use crate::{
    domain::{audit::ActKind, id::OperatorId, operator::Operator},
    store::{
        StoreError,
        passkeys::{self, NewPasskey},
    },
};

/// How long an authenticator may take to sign a challenge.
pub const CHALLENGE: TimeDelta = TimeDelta::minutes(5);
/// Challenges that may wait to be signed at once: a stranger can ask for them.
const CHALLENGES_MAX: i64 = 10_000;
/// Passkeys of one person.
pub const PASSKEYS_MAX: usize = 20;
/// Characters of a passkey's name.
pub const NAME_CHARS_MAX: usize = 60;

/// The key as it is read back.
type Key = CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>;

/// Why a passkey was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The answer is not what was asked for; the reason is for the log.
    #[error("the authenticator's answer was refused: {0}")]
    Refused(String),
    /// The challenge is unknown, was answered before, or is too old.
    #[error("this took too long, or was answered already")]
    Stale,
    /// Too many wait to be signed, or this person has too many.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// Somebody has this passkey already.
    #[error("this passkey was added already")]
    Known,
    /// Anything else.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl From<StoreError> for PasskeyError {
    fn from(error: StoreError) -> Self {
        Self::Identity(error.into())
    }
}

fn refused(reason: impl std::fmt::Display) -> PasskeyError {
    PasskeyError::Refused(reason.to_string())
}

/// Where passkeys are made and used: one host, by one origin.
#[derive(Debug)]
pub struct Place {
    rp: RpId,
    origin: String,
}

impl Place {
    /// The place behind an address. `None` where browsers know no passkeys: at a bare address of the network, and
    /// without https anywhere but on this machine.
    pub fn of(url: &Url) -> Option<Self> {
        let Some(Host::Domain(domain)) = url.host() else {
            return None;
        };
        let is_here = domain == "localhost" || domain.ends_with(".localhost");
        if url.scheme() != "https" && !is_here {
            return None;
        }
        Some(Self {
            rp: RpId::Domain(AsciiDomain::try_from(domain.to_owned()).ok()?),
            origin: url.origin().ascii_serialization(),
        })
    }
}

/// What the browser of a person is asked who adds a passkey: the options of `navigator.credentials.create`.
pub async fn begin_adding(
    conn: &mut PgConnection,
    place: &Place,
    person: &Operator,
    now: DateTime<Utc>,
) -> Result<Value, PasskeyError> {
    bound(conn, now).await?;
    let theirs = passkeys::list_credentials(conn, person.id).await?;
    if theirs.len() >= PASSKEYS_MAX {
        return Err(PasskeyError::TooMany("passkeys; remove one first"));
    }
    let handle = handle_of(conn, person.id).await?;
    let known = theirs
        .into_iter()
        .map(|id| {
            Ok(PublicKeyCredentialDescriptor {
                id: CredentialId::decode(id).map_err(refused)?,
                transports: AuthTransports::decode(0).map_err(refused)?,
            })
        })
        .collect::<Result<Vec<_>, PasskeyError>>()?;
    let entity = PublicKeyCredentialUserEntity {
        name: Username::try_from("person").map_err(refused)?,
        id: &handle,
        display_name: None,
    };
    let options = PublicKeyCredentialCreationOptions::passkey(&place.rp, entity, known);
    let (server, client) = options.start_ceremony().map_err(refused)?;
    let mut options = serde_json::to_value(&client).map_err(refused)?;
    // The library takes fewer characters in a name than we do; it is only shown.
    for field in ["name", "displayName"] {
        options["user"][field] = Value::from(person.name.as_str());
    }
    options["rp"]["name"] = Value::from("Muster");
    let state = server.encode().map_err(refused)?;
    let challenge = challenge_of(&options)?;
    passkeys::insert_challenge(conn, &challenge, Some(person.id), &state, now + CHALLENGE).await?;
    Ok(options)
}

/// The handle of a person, made when there is none yet.
async fn handle_of(conn: &mut PgConnection, person: OperatorId) -> Result<UserHandle64, PasskeyError> {
    let made = UserHandle64::new();
    let kept = passkeys::handle(conn, person, made.as_ref()).await?;
    let kept: [u8; USER_HANDLE_MAX_LEN] = kept
        .try_into()
        .map_err(|_| StoreError::corrupt("operators", "passkey_handle", "not 64 bytes"))?;
    UserHandle64::decode(kept).map_err(|never| refused(format!("{never:?}")))
}

async fn bound(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), PasskeyError> {
    match passkeys::count_challenges(conn, now).await? < CHALLENGES_MAX {
        true => Ok(()),
        false => Err(PasskeyError::TooMany("people sign in at this moment; try again")),
    }
}

/// The bytes of the challenge in options for a browser.
fn challenge_of(options: &Value) -> Result<Vec<u8>, PasskeyError> {
    let text = options["challenge"].as_str().unwrap_or_default();
    data_encoding::BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(refused)
}

/// An answer whose challenge was taken away, so that nobody can answer it again.
pub struct Answered<R, S> {
    response: R,
    state: S,
}

/// Takes the challenge of a new passkey of that person away. Call it outside a transaction: a refusal later on must not
/// give the challenge back.
pub async fn answer_adding(
    conn: &mut PgConnection,
    person: OperatorId,
    credential: &Value,
    now: DateTime<Utc>,
) -> Result<Answered<Registration, RegistrationServerState<USER_HANDLE_MAX_LEN>>, PasskeyError> {
    let json = serde_json::to_vec(credential).map_err(refused)?;
    let response = Registration::from_json_relaxed(&json).map_err(refused)?;
    let challenge = response.challenge_relaxed().map_err(refused)?;
    let state = passkeys::take_challenge(conn, &challenge.0.to_le_bytes(), Some(person), now)
        .await?
        .ok_or(PasskeyError::Stale)?;
    let state = RegistrationServerState::decode(&state).map_err(refused)?;
    Ok(Answered { response, state })
}

/// Checks a new passkey and keeps it under that name.
pub async fn add(
    conn: &mut PgConnection,
    place: &Place,
    person: OperatorId,
    name: &str,
    answered: Answered<Registration, RegistrationServerState<USER_HANDLE_MAX_LEN>>,
    now: DateTime<Utc>,
) -> Result<(), PasskeyError> {
    let options = RegistrationVerificationOptions::<&str, &str> {
        allowed_origins: &[place.origin.as_str()],
        // An authenticator may say more than it was asked.
        error_on_unsolicited_extensions: false,
        ..RegistrationVerificationOptions::default()
    };
    let made = answered
        .state
        .verify(&place.rp, &answered.response, &options)
        .map_err(refused)?;
    let static_state = made.static_state().encode().map_err(refused)?;
    let dynamic_state = made
        .dynamic_state()
        .encode()
        .map_err(|never| refused(format!("{never:?}")))?;
    let id = made.id();
    let passkey = NewPasskey {
        operator: person,
        credential_id: id.as_ref(),
        name,
        static_state: &static_state,
        dynamic_state: &dynamic_state,
    };
    if !passkeys::insert(conn, &passkey, now).await? {
        return Err(PasskeyError::Known);
    }
    Ok(note(conn, ActKind::PasskeyAdded, name, "", Some(person), now).await?)
}

/// Removes a passkey of a person; `false` when they have none of that number.
pub async fn remove(
    conn: &mut PgConnection,
    person: OperatorId,
    id: i64,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(name) = passkeys::delete(conn, person, id).await? else {
        return Ok(false);
    };
    note(conn, ActKind::PasskeyRemoved, &name, "", Some(person), now).await?;
    Ok(true)
}

/// What a browser is asked that signs somebody in: the options of `navigator.credentials.get`.
pub async fn begin_sign_in(
    conn: &mut PgConnection,
    place: &Place,
    now: DateTime<Utc>,
) -> Result<Value, PasskeyError> {
    bound(conn, now).await?;
    let options = DiscoverableCredentialRequestOptions::passkey(&place.rp);
    let (server, client) = options.start_ceremony().map_err(refused)?;
    let options = serde_json::to_value(&client).map_err(refused)?;
    let state = server.encode().map_err(refused)?;
    passkeys::insert_challenge(conn, &challenge_of(&options)?, None, &state, now + CHALLENGE).await?;
    Ok(options)
}

/// Takes the challenge of a sign-in away. Call it outside a transaction, as [`answer_adding`].
pub async fn answer_sign_in(
    conn: &mut PgConnection,
    credential: &Value,
    now: DateTime<Utc>,
) -> Result<Answered<DiscoverableAuthentication64, DiscoverableAuthenticationServerState>, PasskeyError> {
    let json = serde_json::to_vec(credential).map_err(refused)?;
    let response = DiscoverableAuthentication64::from_json_relaxed(&json).map_err(refused)?;
    let challenge = response.challenge_relaxed().map_err(refused)?;
    let state = passkeys::take_challenge(conn, &challenge.0.to_le_bytes(), None, now)
        .await?
        .ok_or(PasskeyError::Stale)?;
    let state = DiscoverableAuthenticationServerState::decode(&state).map_err(refused)?;
    Ok(Answered { response, state })
}

/// Checks who signed, in the transaction that lets them in.
pub async fn sign_in(
    conn: &mut PgConnection,
    place: &Place,
    answered: Answered<DiscoverableAuthentication64, DiscoverableAuthenticationServerState>,
    now: DateTime<Utc>,
) -> Result<OperatorId, PasskeyError> {
    let response = &answered.response;
    let id = response.raw_id();
    let handle = response.response().user_handle();
    let kept = passkeys::find_locked(conn, id.as_ref(), handle.as_ref())
        .await?
        .ok_or_else(|| refused("nobody has this passkey"))?;
    let static_state: StaticState<Key> =
        StaticState::decode(kept.static_state.as_slice()).map_err(refused)?;
    let dynamic_state: [u8; 7] = kept
        .dynamic_state
        .try_into()
        .map_err(|_| StoreError::corrupt("passkeys", "dynamic_state", "not 7 bytes"))?;
    let dynamic_state = DynamicState::decode(dynamic_state).map_err(refused)?;
    let mut credential =
        AuthenticatedCredential::new(id, handle, static_state, dynamic_state).map_err(refused)?;
    let options = AuthenticationVerificationOptions::<&str, &str> {
        allowed_origins: &[place.origin.as_str()],
        error_on_unsolicited_extensions: false,
        ..AuthenticationVerificationOptions::default()
    };
    answered
        .state
        .verify(&place.rp, response, &mut credential, &options)
        .map_err(refused)?;
    let state = credential
        .dynamic_state()
        .encode()
        .map_err(|never| refused(format!("{never:?}")))?;
    passkeys::used(conn, kept.id, &state, now).await?;
    Ok(kept.operator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_live_where_browsers_allow_them() {
        let origin = |url: &str| Place::of(&url.parse().unwrap()).map(|place| place.origin);
        assert_eq!(
            origin("https://muster.example/x"),
            Some("https://muster.example".to_owned())
        );
        assert_eq!(
            origin("http://localhost:8080"),
            Some("http://localhost:8080".to_owned())
        );
        for nowhere in [
            "http://muster.example",
            "http://127.0.0.1:8080",
            "https://[::1]/",
            "https://192.0.2.7",
            "http://localhost.evil.example",
        ] {
            assert_eq!(origin(nowhere), None, "{nowhere}");
        }
    }
}
