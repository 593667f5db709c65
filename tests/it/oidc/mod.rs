//! Signing in by an identity provider: one that lies in every way, and a real one.

mod fake;
mod real;
mod refusals;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::http::StatusCode;
use muster::{
    actions::{Bounds, Outside},
    domain::{operator::Role, target::SecretRef},
    identity::oidc::{Provider, Settings},
    store::operators,
};
use serde_json::json;
use url::Url;

use crate::support::site::{Answer, PASSWORD, Site};
use fake::{Bend, CLIENT, Fake, SECRET};

/// A site whose provider is that one.
async fn site_with(issuer: &str, default_role: Option<Role>, public: &str, secret: &str) -> Site {
    // Each test has a file of its own for the secret.
    let file = std::env::temp_dir().join(format!("muster-oidc-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, secret).unwrap();
    let settings = Settings {
        issuer: issuer.parse().unwrap(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(SecretRef::File(file.to_str().unwrap().to_owned())),
        scopes: vec!["profile".to_owned(), "groups".to_owned()],
        groups_claim: "groups".to_owned(),
        roles: BTreeMap::from([
            ("oncall".to_owned(), Role::Responder),
            ("leads".to_owned(), Role::Approver),
            ("root".to_owned(), Role::Admin),
        ]),
        default_role,
        networks: Vec::new(),
        label: "Example ID".to_owned(),
        callback: format!("{public}/login/provider/back").parse().unwrap(),
    };
    let provider = Provider::new(settings, Arc::new(Outside::new(Bounds::default())));
    let public: Url = public.parse().unwrap();
    Site::with(|state| {
        state.provider = Some(provider);
        state.public_url = Some(public);
    })
    .await
}

/// A site and a provider that can be told to lie.
struct Scene {
    site: Site,
    fake: Fake,
}

impl Scene {
    async fn new(default_role: Option<Role>) -> Self {
        let fake = Fake::start().await;
        let site = site_with(&fake.issuer, default_role, "http://muster.test", SECRET).await;
        assert!(fake.clock.set(site.clock().clone()).is_ok());
        site.person("root", Role::Admin).await;
        Self { site, fake }
    }

    /// Away to the provider; what the browser was sent with, and its cookie.
    async fn away(&self, next: &str) -> (HashMap<String, String>, String) {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("next", next)
            .finish();
        let answer = self.site.get(&format!("/login/provider?{query}"), "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let url: Url = answer.header("location").parse().unwrap();
        assert!(
            url.as_str()
                .starts_with(&format!("{}/authorize?", self.fake.issuer))
        );
        (url.query_pairs().into_owned().collect(), answer.cookie())
    }

    async fn back(&self, code: &str, state: &str, cookie: &str) -> Answer {
        let path = format!("/login/provider/back?code={code}&state={state}");
        self.site.get(&path, cookie).await
    }

    /// The whole way for that subject.
    async fn sign_in(&self, subject: &str, next: &str) -> Answer {
        let (asked, cookie) = self.away(next).await;
        let code = self.fake.grant(subject, &asked);
        self.back(&code, &asked["state"], &cookie).await
    }

    async fn role_of(&self, name: &str) -> Option<Role> {
        let mut conn = self.site.conn().await;
        let found = operators::find_by_name(&mut conn, name).await.unwrap();
        found.map(|(operator, _)| operator.role)
    }
}

fn groups(groups: &[&str]) -> Bend {
    Bend {
        about: json!({"preferred_username": "ana", "groups": groups}),
        ..Bend::default()
    }
}

#[tokio::test]
async fn a_person_of_the_provider_is_made_at_the_first_sign_in_and_lands_on_the_exact_link() {
    let scene = Scene::new(None).await;
    let page = scene.site.get("/login?next=/approvals/7?x=1", "").await;
    assert!(
        page.text
            .contains("href=\"/login/provider?next=%2Fapprovals%2F7%3Fx%3D1\""),
        "{}",
        page.text
    );
    assert!(page.text.contains("Sign in with Example ID"));
    let (asked, cookie) = scene.away("/approvals/7?x=1").await;
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(
        (asked["response_type"].as_str(), asked["client_id"].as_str()),
        ("code", CLIENT)
    );
    assert_eq!(asked["redirect_uri"], "http://muster.test/login/provider/back");
    assert_eq!(asked["scope"], "openid profile groups");
    assert!(asked["state"].len() >= 16 && asked["nonce"].len() >= 16);
    let code = scene.fake.grant("subject-1", &asked);
    let landed = scene.back(&code, &asked["state"], &cookie).await;
    assert_eq!(landed.header("location"), "/approvals/7?x=1", "{}", landed.text);
    assert_eq!(scene.role_of("ana").await, Some(Role::Responder));
    let page = scene.site.get("/me", &landed.cookie()).await;
    assert!(
        page.text.contains(&scene.fake.issuer),
        "the session says who vouched"
    );
    assert!(page.text.contains("You have none here"), "no password was made");
    // The second time it is the same person.
    let again = scene.sign_in("subject-1", "/").await;
    assert_eq!(again.header("location"), "/");
    // Another subject with the same name, and the same address of mail, is somebody else.
    scene.fake.bend(Bend {
        about: json!({"preferred_username": "root", "email": "root@example.com", "email_verified": true, "groups": ["oncall"]}),
        ..Bend::default()
    });
    scene.sign_in("subject-2", "/").await;
    assert_eq!(scene.role_of("root 2").await, Some(Role::Responder));
    assert_eq!(
        scene.role_of("root").await,
        Some(Role::Admin),
        "nobody took the name over"
    );
    let outside = scene.sign_in("subject-1", "https://evil.example/").await;
    assert_eq!(outside.header("location"), "/");
}

#[tokio::test]
async fn groups_say_the_role_anew_at_each_sign_in_and_a_change_ends_the_other_sessions() {
    let scene = Scene::new(None).await;
    scene.fake.bend(groups(&["oncall", "leads", "unknown"]));
    let first = scene.sign_in("subject-1", "/").await.cookie();
    assert_eq!(
        scene.role_of("ana").await,
        Some(Role::Approver),
        "the highest counts"
    );
    let open = async |cookie: &str| scene.site.get("/incidents", cookie).await.status == StatusCode::OK;
    let second = scene.sign_in("subject-1", "/").await.cookie();
    assert!(open(&first).await && open(&second).await, "nothing changed");
    scene.fake.bend(groups(&["oncall"]));
    let third = scene.sign_in("subject-1", "/").await.cookie();
    assert_eq!(scene.role_of("ana").await, Some(Role::Responder));
    assert!(!open(&first).await && !open(&second).await && open(&third).await);
    scene.fake.bend(groups(&["somewhere-else"]));
    let refused = scene.sign_in("subject-1", "/").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("none of your groups there may use Muster"));
    assert!(
        refused.text.contains("name=\"password\""),
        "every other way in stays"
    );
}

#[tokio::test]
async fn without_a_group_the_default_role_counts_when_there_is_one() {
    let scene = Scene::new(Some(Role::Viewer)).await;
    scene.fake.bend(groups(&[]));
    scene.sign_in("subject-1", "/").await;
    assert_eq!(scene.role_of("ana").await, Some(Role::Viewer));
}

#[tokio::test]
async fn who_is_disabled_here_stays_out_whatever_the_provider_says() {
    let scene = Scene::new(None).await;
    scene.sign_in("subject-1", "/").await;
    sqlx::query("update operators set disabled_at = now() where name = 'ana'")
        .execute(&mut *scene.site.conn().await)
        .await
        .unwrap();
    let refused = scene.sign_in("subject-1", "/").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("Your account here is disabled"));
}

#[tokio::test]
async fn the_last_admin_stays_one_whatever_the_groups_say() {
    let scene = Scene::new(None).await;
    scene.fake.bend(groups(&["root"]));
    scene.sign_in("subject-1", "/").await;
    sqlx::query("update operators set disabled_at = now() where name = 'root'")
        .execute(&mut *scene.site.conn().await)
        .await
        .unwrap();
    scene.fake.bend(groups(&["oncall"]));
    let kept = scene.sign_in("subject-1", "/").await;
    assert_eq!(kept.status, StatusCode::SEE_OTHER, "{}", kept.text);
    assert_eq!(scene.role_of("ana").await, Some(Role::Admin));
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_every_other_way_in() {
    let scene = Scene::new(None).await;
    scene.fake.bend(Bend {
        is_down: true,
        ..Bend::default()
    });
    let page = scene.site.get("/login/provider?next=/approvals/7", "").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        page.text
            .contains("Example ID does not answer. Sign in another way")
    );
    assert_eq!(page.field("next"), "/approvals/7");
    let fields = [("name", "root"), ("password", PASSWORD), ("next", "/approvals/7")];
    let landed = scene.site.post("/login", "", &fields).await;
    assert_eq!(landed.header("location"), "/approvals/7");
    scene.fake.bend(Bend::default());
    let (asked, cookie) = scene.away("/").await;
    scene.site.clock().advance(Duration::from_secs(601));
    let code = scene.fake.grant("subject-1", &asked);
    let late = scene.back(&code, &asked["state"], &cookie).await;
    assert_eq!(
        late.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "after ten minutes it is begun anew"
    );
}
