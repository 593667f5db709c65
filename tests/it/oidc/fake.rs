//! An identity provider that lies as it is told to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use data_encoding::BASE64URL_NOPAD;
use muster::clock::Clock;
use ring::{
    digest, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

pub const CLIENT: &str = "muster";
pub const SECRET: &str = "the client's secret";

/// How a token is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// As it should be.
    Well,
    /// By a key that the provider does not have.
    OtherKey,
    /// Not at all, and it says so.
    None,
    /// With the public key as a shared secret.
    PublicAsSecret,
    /// With the client's secret.
    ClientSecret,
    /// Well, and then the claims are changed.
    ThenChanged,
    /// Well, and then cut.
    Cut,
    /// Without a third part.
    TwoParts,
}

/// What is wrong with the next answers.
#[derive(Clone)]
pub struct Bend {
    pub header: fn(&mut Value),
    pub claims: fn(&mut Value, i64),
    pub sign: Sign,
    /// The whole answer of the token endpoint.
    pub answer: fn(&mut Value),
    /// The description of the provider.
    pub description: fn(&mut Value),
    /// The token endpoint sends elsewhere.
    pub redirects: bool,
    /// What is said about the person.
    pub about: Value,
    pub is_down: bool,
}

impl Default for Bend {
    fn default() -> Self {
        Self {
            header: |_| {},
            claims: |_, _| {},
            sign: Sign::Well,
            answer: |_| {},
            description: |_| {},
            redirects: false,
            about: json!({"preferred_username": "ana", "groups": ["oncall"]}),
            is_down: false,
        }
    }
}

struct Grant {
    challenge: String,
    nonce: String,
    subject: String,
}

struct Inner {
    bend: Bend,
    grants: HashMap<String, Grant>,
}

/// The provider.
#[derive(Clone)]
pub struct Fake {
    pub issuer: String,
    /// Whose time is written into tokens.
    pub clock: Arc<OnceLock<Clock>>,
    key: Arc<EcdsaKeyPair>,
    other: Arc<EcdsaKeyPair>,
    inner: Arc<Mutex<Inner>>,
}

fn new_key() -> Arc<EcdsaKeyPair> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    Arc::new(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
}

fn encoded(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

impl Fake {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let fake = Self {
            issuer: format!("http://{address}"),
            clock: Arc::default(),
            key: new_key(),
            other: new_key(),
            inner: Arc::new(Mutex::new(Inner {
                bend: Bend::default(),
                grants: HashMap::new(),
            })),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/me", get(about))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub fn bend(&self, bend: Bend) {
        self.inner.lock().unwrap().bend = bend;
    }

    /// Somebody signed in there, with what the browser brought along; returns the code.
    pub fn grant(&self, subject: &str, asked: &HashMap<String, String>) -> String {
        let code = uuid::Uuid::new_v4().to_string();
        let grant = Grant {
            challenge: asked["code_challenge"].clone(),
            nonce: asked["nonce"].clone(),
            subject: subject.to_owned(),
        };
        self.inner.lock().unwrap().grants.insert(code.clone(), grant);
        code
    }

    fn public(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256",
            "x": BASE64URL_NOPAD.encode(&point[1..33]), "y": BASE64URL_NOPAD.encode(&point[33..]),
        })
    }

    fn signed(&self, header: &Value, claims: &Value, sign: Sign) -> String {
        let text = format!("{}.{}", encoded(header), encoded(claims));
        let by = |key: &EcdsaKeyPair| {
            let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            BASE64URL_NOPAD.encode(signature.as_ref())
        };
        let shared = |secret: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            BASE64URL_NOPAD.encode(hmac::sign(&key, text.as_bytes()).as_ref())
        };
        match sign {
            Sign::Well => format!("{text}.{}", by(&self.key)),
            Sign::OtherKey => format!("{text}.{}", by(&self.other)),
            Sign::None => format!("{text}."),
            Sign::PublicAsSecret => format!("{text}.{}", shared(self.key.public_key().as_ref())),
            Sign::ClientSecret => format!("{text}.{}", shared(SECRET.as_bytes())),
            Sign::ThenChanged => {
                let mut changed = claims.clone();
                changed["sub"] = json!("somebody-else");
                format!("{}.{}.{}", encoded(header), encoded(&changed), by(&self.key))
            }
            Sign::Cut => format!("{text}.{}", &by(&self.key)[..40]),
            Sign::TwoParts => text,
        }
    }
}

async fn describe(State(fake): State<Fake>) -> Response {
    let bend = fake.inner.lock().unwrap().bend.clone();
    if bend.is_down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let issuer = &fake.issuer;
    let mut description = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/me"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
    });
    (bend.description)(&mut description);
    Json(description).into_response()
}

async fn keys(State(fake): State<Fake>) -> Json<Value> {
    Json(json!({"keys": [fake.public()]}))
}

async fn about(State(fake): State<Fake>, headers: axum::http::HeaderMap) -> Json<Value> {
    let subject = headers["authorization"]
        .to_str()
        .unwrap()
        .replace("Bearer access-of-", "");
    let mut about = fake.inner.lock().unwrap().bend.about.clone();
    if about.get("sub").is_none() {
        about["sub"] = json!(subject);
    }
    Json(about)
}

async fn token(State(fake): State<Fake>, Form(form): Form<HashMap<String, String>>) -> Response {
    let (bend, grant) = {
        let mut inner = fake.inner.lock().unwrap();
        // A code is good once.
        let grant = inner.grants.remove(form.get("code").map_or("", String::as_str));
        (inner.bend.clone(), grant)
    };
    if bend.redirects {
        return Redirect::temporary(&format!("{}/token", fake.issuer)).into_response();
    }
    let refused = || (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    let Some(grant) = grant else {
        return refused();
    };
    let verifier = form.get("code_verifier").map_or("", String::as_str);
    let challenge = digest::digest(&digest::SHA256, verifier.as_bytes());
    if BASE64URL_NOPAD.encode(challenge.as_ref()) != grant.challenge {
        return refused();
    }
    let now = fake.clock.get().unwrap().now().timestamp();
    let mut header = json!({"alg": "ES256", "kid": "one", "typ": "JWT"});
    match bend.sign {
        Sign::None => header = json!({"alg": "none"}),
        Sign::PublicAsSecret | Sign::ClientSecret => header = json!({"alg": "HS256"}),
        _ => {}
    }
    (bend.header)(&mut header);
    let mut claims = json!({
        "iss": fake.issuer, "sub": grant.subject, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": grant.nonce,
    });
    (bend.claims)(&mut claims, now);
    let mut answer = json!({
        "access_token": format!("access-of-{}", grant.subject), "token_type": "Bearer", "expires_in": 300,
        "id_token": fake.signed(&header, &claims, bend.sign),
    });
    (bend.answer)(&mut answer);
    Json(answer).into_response()
}
