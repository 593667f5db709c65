//! Passkeys, with an authenticator in a few lines that can be told to lie.

use std::time::Duration;

use axum::http::StatusCode;
use data_encoding::BASE64URL_NOPAD;
use muster::domain::operator::Role;
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::{acts, opens};
use crate::support::site::{Answer, Site};

const ORIGIN: &str = "http://localhost:8080";
const VERIFIED: u8 = 0x05;
const WITH_KEY: u8 = 0x40;

/// A security key with one credential.
struct Authenticator {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    handle: String,
    counter: u32,
    // What it says, so that it can lie.
    origin: &'static str,
    rp: &'static str,
    flags: u8,
    kind: Option<&'static str>,
}

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl Authenticator {
    fn new(id: u8) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            key: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap(),
            id: vec![id; 32],
            handle: String::new(),
            counter: 1,
            origin: ORIGIN,
            rp: "localhost",
            flags: VERIFIED,
            kind: None,
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let kind = self.kind.unwrap_or(kind);
        json!({"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, self.rp.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// What `navigator.credentials.create` returns.
    fn create(&mut self, options: &Value) -> Value {
        self.handle = options["user"]["id"].as_str().unwrap().to_owned();
        let mut data = self.data(self.flags | WITH_KEY);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let point = self.key.public_key().as_ref();
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x64);
        object.extend(b"none");
        object.push(0x67);
        object.extend(b"attStmt");
        object.extend([0xa0, 0x68]);
        object.extend(b"authData");
        object.push(0x58);
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(&self.client_data("webauthn.create", options)),
                "attestationObject": text(&object), "transports": ["internal"],
            },
        })
    }

    /// What `navigator.credentials.get` returns.
    fn get(&mut self, options: &Value) -> Value {
        self.counter += 1;
        let data = self.data(self.flags);
        let client = self.client_data("webauthn.get", options);
        let mut signed = data.clone();
        signed.extend(digest(&SHA256, &client).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(&client), "authenticatorData": text(&data),
                "signature": text(signature.as_ref()), "userHandle": self.handle,
            },
        })
    }
}

async fn here() -> Site {
    Site::with(|state| state.public_url = Some(ORIGIN.parse().unwrap())).await
}

async fn asked(site: &Site, path: &str, cookie: &str) -> Value {
    let answer = site.post_json(path, cookie, "{}").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn add(site: &Site, cookie: &str, credential: &Value, name: &str) -> Answer {
    let body = json!({"credential": credential, "name": name}).to_string();
    site.post_json("/me/passkeys", cookie, &body).await
}

async fn enter(site: &Site, credential: &Value) -> Answer {
    let body = json!({"credential": credential, "next": "/approvals/7?x=1"}).to_string();
    site.post_json("/login/passkey", "", &body).await
}

/// A person with that authenticator.
async fn with_passkey(site: &Site, name: &str, authenticator: &mut Authenticator) -> String {
    let (_, cookie) = site.person(name, Role::Responder).await;
    let options = asked(site, "/me/passkeys/challenge", &cookie).await;
    let added = add(site, &cookie, &authenticator.create(&options), "My key").await;
    assert_eq!(added.status, StatusCode::OK, "{}", added.text);
    cookie
}

#[tokio::test]
async fn a_passkey_signs_its_owner_in_without_a_name_until_it_is_removed() {
    let site = here().await;
    let mut key = Authenticator::new(1);
    let cookie = with_passkey(&site, "Ana Kovač", &mut key).await;
    let (_, bens) = site.person("ben", Role::Viewer).await;
    let options = asked(&site, "/me/passkeys/challenge", &cookie).await;
    assert_eq!(options["rp"]["id"], "localhost");
    assert_eq!(options["user"]["name"], "Ana Kovač");
    assert_eq!(options["excludeCredentials"][0]["id"], text(&key.id));
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");

    let options = asked(&site, "/login/passkey/challenge", "").await;
    assert_eq!(options["userVerification"], "required");
    assert!(
        options["allowCredentials"].as_array().is_none_or(Vec::is_empty),
        "it is discovered"
    );
    let entered = enter(&site, &key.get(&options)).await;
    assert_eq!(entered.status, StatusCode::OK, "{}", entered.text);
    assert_eq!(entered.json()["next"], "/approvals/7?x=1");
    assert!(opens(&site, &entered.cookie()).await);
    let page = site.get("/me", &entered.cookie()).await;
    assert!(page.text.contains("My key") && page.text.contains("last used"));
    assert!(page.text.contains("passkey"));

    // A second one, and the first is removed: by its owner only.
    let mut second = Authenticator::new(2);
    let options = asked(&site, "/me/passkeys/challenge", &cookie).await;
    add(&site, &cookie, &second.create(&options), "Spare").await;
    let id: i64 = sqlx::query_scalar("select id from passkeys where name = 'My key'")
        .fetch_one(&mut *site.conn().await)
        .await
        .unwrap();
    let remove = format!("/me/passkeys/{id}/remove");
    site.post(&remove, &bens, &[]).await;
    let options = asked(&site, "/login/passkey/challenge", "").await;
    assert_eq!(enter(&site, &key.get(&options)).await.status, StatusCode::OK);
    site.post(&remove, &cookie, &[]).await;
    let options = asked(&site, "/login/passkey/challenge", "").await;
    assert_eq!(
        enter(&site, &key.get(&options)).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let options = asked(&site, "/login/passkey/challenge", "").await;
    assert_eq!(enter(&site, &second.get(&options)).await.status, StatusCode::OK);
    let acts = acts(&site).await;
    assert_eq!(acts.iter().filter(|act| *act == "passkey_added").count(), 2);
    assert_eq!(acts.iter().filter(|act| *act == "passkey_removed").count(), 1);
}

#[tokio::test]
async fn what_was_not_signed_here_now_and_by_its_owner_opens_nothing() {
    let site = here().await;
    let mut key = Authenticator::new(1);
    with_passkey(&site, "ana", &mut key).await;
    let mut bens = Authenticator::new(2);
    with_passkey(&site, "ben", &mut bens).await;
    let refused = async |credential: Value, what: &str| {
        let answer = enter(&site, &credential).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{what}: {}",
            answer.text
        );
        assert_eq!(answer.cookie(), "", "{what}");
    };
    let fresh = || asked(&site, "/login/passkey/challenge", "");

    // Nothing stands behind these challenges.
    refused(
        key.get(&json!({"challenge": text(&[7; 16])})),
        "a challenge of nobody's",
    )
    .await;
    refused(key.get(&json!({"challenge": ""})), "no challenge").await;
    let (_, cookie) = site.person("cleo", Role::Viewer).await;
    let adding = asked(&site, "/me/passkeys/challenge", &cookie).await;
    refused(key.get(&adding), "a challenge for adding").await;

    // One challenge is good for one answer, even a bad one.
    let options = fresh().await;
    let mut bad = key.get(&options);
    bad["response"]["signature"] = json!(text(&[1; 70]));
    refused(bad, "another signature").await;
    refused(key.get(&options), "the same challenge after a bad answer").await;
    let options = fresh().await;
    let good = key.get(&options);
    assert_eq!(enter(&site, &good).await.status, StatusCode::OK);
    refused(good, "the very same answer again").await;
    refused(key.get(&options), "another answer to the same").await;
    let options = fresh().await;
    site.clock().advance(Duration::from_secs(301));
    refused(key.get(&options), "after five minutes").await;

    // Signed well, but for something else.
    for (what, origin, rp, flags, kind) in [
        (
            "another origin",
            "https://evil.example",
            "localhost",
            VERIFIED,
            None,
        ),
        (
            "another port",
            "http://localhost:9090",
            "localhost",
            VERIFIED,
            None,
        ),
        ("another host", ORIGIN, "evil.example", VERIFIED, None),
        ("nobody verified", ORIGIN, "localhost", 0x01, None),
        ("nobody present", ORIGIN, "localhost", 0x04, None),
        (
            "for adding",
            ORIGIN,
            "localhost",
            VERIFIED,
            Some("webauthn.create"),
        ),
    ] {
        let options = fresh().await;
        (key.origin, key.rp, key.flags, key.kind) = (origin, rp, flags, kind);
        let credential = key.get(&options);
        refused(credential, what).await;
    }
    (key.origin, key.rp, key.flags, key.kind) = (ORIGIN, "localhost", VERIFIED, None);

    // Signed by somebody else.
    let options = fresh().await;
    let mut mixed = bens.get(&options);
    mixed["response"]["userHandle"] = json!(key.handle);
    refused(mixed, "the handle of another").await;
    let options = fresh().await;
    let mut mixed = bens.get(&options);
    mixed["id"] = json!(text(&key.id));
    mixed["rawId"] = json!(text(&key.id));
    mixed["response"]["userHandle"] = json!(key.handle);
    refused(mixed, "the key of another").await;
    let options = fresh().await;
    let mut unknown = Authenticator::new(9);
    unknown.handle.clone_from(&key.handle);
    refused(unknown.get(&options), "a key nobody has").await;

    // A copy of it that counts by itself.
    key.counter -= 1;
    let options = fresh().await;
    let counted: i64 = i64::from(key.counter);
    key.counter = 1;
    refused(key.get(&options), "a counter that went back").await;
    key.counter = u32::try_from(counted).unwrap() + 5;
    let options = fresh().await;
    let answer = enter(&site, &key.get(&options)).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "and it was not for want of trying: {}",
        answer.text
    );
}

#[tokio::test]
async fn a_passkey_is_added_only_by_a_person_who_just_showed_who_they_are() {
    let site = here().await;
    let (_, ana) = site.person("ana", Role::Viewer).await;
    let (_, ben) = site.person("ben", Role::Viewer).await;
    let mut key = Authenticator::new(1);
    let refused = async |cookie: &str, credential: Value, name: &str, what: &str| {
        let answer = add(&site, cookie, &credential, name).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{what}: {}",
            answer.text
        );
    };
    let fresh = || asked(&site, "/me/passkeys/challenge", &ana);
    let options = fresh().await;
    refused(&ben, key.create(&options), "x", "the challenge of another").await;
    refused(&ana, key.create(&options), "", "no name").await;
    refused(&ana, key.create(&options), &"x".repeat(61), "a long name").await;
    key.origin = "https://evil.example";
    refused(&ana, key.create(&options), "x", "another origin").await;
    key.origin = ORIGIN;
    refused(&ana, key.create(&options), "x", "the same challenge again").await;
    let options = fresh().await;
    key.flags = 0x01;
    refused(&ana, key.create(&options), "x", "nobody verified").await;
    key.flags = VERIFIED;
    let options = asked(&site, "/login/passkey/challenge", "").await;
    let mut made = json!({"challenge": options["challenge"], "user": {"id": text(&[1; 64])}});
    refused(&ana, key.create(&made), "x", "a challenge for signing in").await;
    made["challenge"] = json!(text(&[3; 16]));
    refused(&ana, key.create(&made), "x", "a challenge of nobody's").await;
    let options = fresh().await;
    assert_eq!(
        add(&site, &ana, &key.create(&options), "x").await.status,
        StatusCode::OK
    );
    let options = asked(&site, "/me/passkeys/challenge", &ben).await;
    refused(&ben, key.create(&options), "x", "somebody has it").await;

    site.clock().advance(Duration::from_secs(15 * 60 + 1));
    let stale = site.post_json("/me/passkeys/challenge", &ana, "{}").await;
    assert_eq!(stale.status, StatusCode::FORBIDDEN);
    let codes = site.post("/me/recovery-codes", &ana, &[]).await;
    assert_eq!(codes.status, StatusCode::FORBIDDEN);
    assert!(codes.text.contains("/login?again=yes"), "{}", codes.text);
    let page = site.get("/login?again=yes&next=/me", &ana).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.field("next"), "/me");
}

#[tokio::test]
async fn an_address_without_a_name_says_why_there_are_no_passkeys() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Viewer).await;
    let page = site.get("/me", &cookie).await;
    assert!(page.text.contains("They need https and a name") && !page.text.contains("passkey-add"));
    assert!(!site.get("/login", "").await.text.contains("passkey-sign-in"));
    let refused = site.post_json("/login/passkey/challenge", "", "{}").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}
