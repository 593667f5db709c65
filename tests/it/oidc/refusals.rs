//! Whatever proves nothing lets nobody in.

use axum::http::StatusCode;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{
    Scene,
    fake::{Bend, Sign},
};

fn bad_tokens() -> Vec<(&'static str, Bend)> {
    let claims = |change: fn(&mut Value, i64)| Bend {
        claims: change,
        ..Bend::default()
    };
    let header = |change: fn(&mut Value)| Bend {
        header: change,
        ..Bend::default()
    };
    let sign = |sign: Sign| Bend {
        sign,
        ..Bend::default()
    };
    let answer = |change: fn(&mut Value)| Bend {
        answer: change,
        ..Bend::default()
    };
    fn without(claims: &mut Value, name: &str) {
        claims.as_object_mut().unwrap().remove(name);
    }
    vec![
        (
            "another issuer",
            claims(|c, _| c["iss"] = json!("https://evil.example")),
        ),
        (
            "an issuer with a slash",
            claims(|c, _| c["iss"] = json!(format!("{}/", c["iss"].as_str().unwrap()))),
        ),
        ("no issuer", claims(|c, _| without(c, "iss"))),
        ("another audience", claims(|c, _| c["aud"] = json!("another"))),
        (
            "the audience in capitals",
            claims(|c, _| c["aud"] = json!("MUSTER")),
        ),
        ("no audience", claims(|c, _| without(c, "aud"))),
        ("nobody as audience", claims(|c, _| c["aud"] = json!([]))),
        (
            "another audience beside",
            claims(|c, _| c["aud"] = json!(["muster", "another"])),
        ),
        ("another party", claims(|c, _| c["azp"] = json!("another"))),
        ("another nonce", claims(|c, _| c["nonce"] = json!("another"))),
        ("no nonce", claims(|c, _| without(c, "nonce"))),
        ("expired", claims(|c, now| c["exp"] = json!(now - 1))),
        ("expired this second", claims(|c, now| c["exp"] = json!(now))),
        ("no end", claims(|c, _| without(c, "exp"))),
        ("an end in words", claims(|c, _| c["exp"] = json!("never"))),
        ("not good yet", claims(|c, now| c["nbf"] = json!(now + 3600))),
        ("good from some word on", claims(|c, _| c["nbf"] = json!("soon"))),
        (
            "made in the future",
            claims(|c, now| c["iat"] = json!(now + 3600)),
        ),
        ("made long ago", claims(|c, now| c["iat"] = json!(now - 3600))),
        ("no time of making", claims(|c, _| without(c, "iat"))),
        ("no subject", claims(|c, _| without(c, "sub"))),
        ("an empty subject", claims(|c, _| c["sub"] = json!(""))),
        (
            "an endless subject",
            claims(|c, _| c["sub"] = json!("x".repeat(256))),
        ),
        (
            "a subject with a zero",
            claims(|c, _| c["sub"] = json!("a\u{0}b")),
        ),
        ("a number as subject", claims(|c, _| c["sub"] = json!(7))),
        (
            "another access token",
            claims(|c, _| c["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ),
        ("signed by nobody", sign(Sign::None)),
        ("the public key as a secret", sign(Sign::PublicAsSecret)),
        ("the client's own secret", sign(Sign::ClientSecret)),
        ("another key", sign(Sign::OtherKey)),
        ("changed after signing", sign(Sign::ThenChanged)),
        ("half a signature", sign(Sign::Cut)),
        ("no signature", sign(Sign::TwoParts)),
        ("a key nobody has", header(|h| h["kid"] = json!("two"))),
        ("another algorithm named", header(|h| h["alg"] = json!("RS256"))),
        ("none named and signed", header(|h| h["alg"] = json!("none"))),
        ("something critical", header(|h| h["crit"] = json!(["b64"]))),
        ("another kind of token", header(|h| h["typ"] = json!("at+jwt"))),
        ("no token at all", answer(|a| without(a, "id_token"))),
        ("no words", answer(|a| *a = json!("no"))),
        (
            "the token endpoint elsewhere",
            Bend {
                redirects: true,
                ..Bend::default()
            },
        ),
        (
            "about somebody else",
            Bend {
                about: json!({"sub": "somebody-else", "groups": ["root"]}),
                ..Bend::default()
            },
        ),
    ]
}

#[tokio::test]
async fn no_bad_token_lets_anybody_in() {
    let scene = Scene::new(None).await;
    let cases = bad_tokens();
    assert!(cases.len() >= 25);
    for (what, bend) in cases {
        scene.fake.bend(bend);
        let answer = scene.sign_in("subject-1", "/").await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{what}: {}",
            answer.text
        );
        assert!(!answer.header("set-cookie").starts_with("muster="), "{what}");
        assert_eq!(scene.role_of("ana").await, None, "{what}");
    }
    // And it was not for want of trying.
    scene.fake.bend(Bend::default());
    assert_eq!(
        scene.sign_in("subject-1", "/").await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_way_back_belongs_to_one_browser_and_is_taken_once() {
    let scene = Scene::new(None).await;
    let refused = |answer: &crate::support::site::Answer, what: &str| {
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{what}: {}",
            answer.text
        );
        assert!(!answer.header("set-cookie").starts_with("muster="), "{what}");
    };
    let (asked, cookie) = scene.away("/").await;
    let (other, others) = scene.away("/").await;
    let code = |asked| scene.fake.grant("subject-1", asked);
    refused(&scene.back(&code(&asked), &asked["state"], "").await, "no cookie");
    refused(
        &scene.back(&code(&asked), &asked["state"], &others).await,
        "the cookie of another",
    );
    refused(
        &scene.back(&code(&asked), &other["state"], &cookie).await,
        "the state of another",
    );
    refused(&scene.back(&code(&asked), "", &cookie).await, "no state");
    refused(&scene.back("", &asked["state"], &cookie).await, "no code");
    refused(
        &scene.back(&code(&other), &asked["state"], &cookie).await,
        "a code somebody else got",
    );
    refused(
        &scene.back("made-up", &asked["state"], &cookie).await,
        "a code nobody got",
    );
    let path = |extra: &str| format!("/login/provider/back?state={}&{extra}", asked["state"]);
    let said_no = scene.site.get(&path("error=access_denied"), &cookie).await;
    refused(&said_no, "the provider said no");
    let mixed = path(&format!("code={}&iss=https://evil.example", code(&asked)));
    refused(&scene.site.get(&mixed, &cookie).await, "another issuer answers");

    // Without PKCE, or with a cookie whose verifier was changed, the code is worth nothing.
    let kept = cookie.split_once('=').unwrap().1;
    let mut flow: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(kept.as_bytes()).unwrap()).unwrap();
    for verifier in ["", "made-up-and-long-enough-to-be-a-verifier-of-someone"] {
        flow["verifier"] = json!(verifier);
        let bent = format!(
            "muster-flow={}",
            BASE64URL_NOPAD.encode(flow.to_string().as_bytes())
        );
        refused(
            &scene.back(&code(&asked), &asked["state"], &bent).await,
            "no PKCE",
        );
    }
    refused(
        &scene
            .back(&code(&asked), &asked["state"], "muster-flow=nonsense")
            .await,
        "a broken cookie",
    );

    let good = code(&asked);
    let landed = scene.back(&good, &asked["state"], &cookie).await;
    assert_eq!(landed.status, StatusCode::SEE_OTHER, "{}", landed.text);
    refused(
        &scene.back(&good, &asked["state"], &cookie).await,
        "the same code again",
    );
    refused(
        &scene.back(&code(&asked), &asked["state"], &cookie).await,
        "the same way back with a new code",
    );
}

#[tokio::test]
async fn a_description_that_names_others_is_not_believed() {
    let scene = Scene::new(None).await;
    let bends: [(&str, fn(&mut Value)); 3] = [
        ("another issuer", |d| d["issuer"] = json!("https://evil.example")),
        ("keys without https elsewhere", |d| {
            d["jwks_uri"] = json!("http://192.0.2.1/keys")
        }),
        ("no keys", |d| {
            d.as_object_mut().unwrap().remove("jwks_uri");
        }),
    ];
    for (what, description) in bends {
        scene.fake.bend(Bend {
            description,
            ..Bend::default()
        });
        let page = scene.site.get("/login/provider", "").await;
        assert_eq!(
            page.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{what}: {}",
            page.text
        );
    }
    scene.fake.bend(Bend {
        description: |d| d["token_endpoint"] = json!("http://192.0.2.1/token"),
        ..Bend::default()
    });
    let answer = scene.sign_in("subject-1", "/").await;
    assert_eq!(
        answer.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a token endpoint without https"
    );
}
