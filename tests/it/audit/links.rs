//! Links to gates: for one person, for one decision, until the time to decide is over.

use std::time::Duration;

use axum::http::StatusCode;
use muster::{
    domain::{
        id::ApprovalId,
        operator::{Operator, Role},
    },
    web::links::CODE_MARK,
};
use serde_json::{Value, json};

use crate::{
    pages::{fire, waiting_run},
    support::site::{Answer, PASSWORD, Site},
};

struct Gate {
    site: Site,
    ana: Operator,
    ben: String,
    rob: String,
    approval: ApprovalId,
}

impl Gate {
    /// A request that ana's run waits at, ben who may decide and rob who may not.
    async fn new() -> Self {
        let site = Site::new().await;
        let (ana, _) = site.person("ana", Role::Approver).await;
        let (_, ben) = site.person("ben", Role::Approver).await;
        let (_, rob) = site.person("rob", Role::Responder).await;
        fire(&site, "Down", 1).await;
        let (_, approval) = waiting_run(&site, &ana).await;
        Self {
            site,
            ana,
            ben,
            rob,
            approval,
        }
    }

    async fn ask(&self, cookie: &str, name: &str) -> Answer {
        let body = json!({"operator": name}).to_string();
        let path = format!("/api/v1/approvals/{}/links", self.approval);
        self.site.post_json(&path, cookie, &body).await
    }

    /// The address of a new link for ben.
    async fn link(&self) -> String {
        let made = self.ask(&self.rob, "ben").await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        made.json()["url"].as_str().unwrap().to_owned()
    }

    async fn decide(&self, cookie: &str, page: &Answer, code: &str) -> Answer {
        let (op, digest) = (uuid::Uuid::new_v4().to_string(), page.field("digest"));
        let fields = [
            ("op", op.as_str()),
            ("digest", &digest),
            ("code", code),
            ("verdict", "approve"),
        ];
        self.site
            .post(&format!("/approvals/{}/decision", self.approval), cookie, &fields)
            .await
    }

    async fn kinds(&self) -> Vec<(String, String)> {
        sqlx::query_as("select kind, actor ->> 'name' from audit order by seq")
            .fetch_all(&self.site.intake.database.pools.web)
            .await
            .unwrap()
    }

    async fn votes(&self) -> i64 {
        self.site
            .intake
            .database
            .count("select count(*) from votes")
            .await
    }
}

#[tokio::test]
async fn the_right_person_decides_with_it_once_and_the_timeline_says_so() {
    let gate = Gate::new().await;
    let address = gate.link().await;
    let code = address.strip_prefix("/a/").unwrap();
    assert!(code.starts_with(CODE_MARK) && code.len() == 47, "{code}");
    // Not signed in: to the sign-in page, and back by it.
    let stranger = gate.site.get(&address, "").await;
    assert_eq!(stranger.status, StatusCode::SEE_OTHER);
    let login = stranger.header("location").to_owned();
    assert_eq!(login, format!("/login?next=%2Fa%2F{code}"));
    let form = gate.site.get(&login, "").await;
    let fields = [
        ("name", "ben"),
        ("password", PASSWORD),
        ("next", &form.field("next")),
    ];
    let signed_in = gate.site.post("/login", "", &fields).await;
    assert_eq!(signed_in.header("location"), address);

    for _ in 0..2 {
        let page = gate.site.get(&address, &gate.ben).await;
        assert_eq!(page.status, StatusCode::OK, "looking uses nothing up");
        assert_eq!(page.field("code"), code);
    }
    let page = gate.site.get(&address, &gate.ben).await;
    let decided = gate.decide(&gate.ben, &page, code).await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.text);
    let via: Vec<Value> = sqlx::query_scalar(
        "select actor -> 'via' from events where kind in ('gate_approval', 'gate_approved') order by seq",
    )
    .fetch_all(&gate.site.intake.database.pools.web)
    .await
    .unwrap();
    assert_eq!(via, vec![json!({"way": "link", "id": 1}); 2]);

    let again = gate.site.get(&address, &gate.ben).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(
        again
            .text
            .contains("This link was used at 03:00:00 UTC; it is good for one decision."),
        "{}",
        again.text
    );
    let reused = gate.decide(&gate.ben, &page, code).await;
    assert_eq!(reused.status, StatusCode::CONFLICT);
    assert_eq!(gate.votes().await, 1);
    assert_eq!(gate.kinds().await, [("link_made".to_owned(), "rob".to_owned())]);
    let kept: String = sqlx::query_scalar("select string_agg(a::text, '') || (select string_agg(l::text, '') from approval_links l) from audit a")
        .fetch_one(&gate.site.intake.database.pools.web)
        .await
        .unwrap();
    assert!(
        !kept.contains(&code[CODE_MARK.len()..]),
        "the code is nowhere but in its address"
    );
}

#[tokio::test]
async fn somebody_else_is_refused_and_that_is_written_down() {
    let gate = Gate::new().await;
    let address = gate.link().await;
    let code = address.strip_prefix("/a/").unwrap();
    let (_, eve) = gate.site.person("eve", Role::Approver).await;
    for _ in 0..3 {
        let refused = gate.site.get(&address, &eve).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let said =
            "This link was made for ben; you are signed in as eve. Sign out and sign in as the one it is for";
        assert!(refused.text.contains(said), "{}", refused.text);
    }
    let made = ("link_made".to_owned(), "rob".to_owned());
    let refused = ("link_refused".to_owned(), "eve".to_owned());
    assert_eq!(
        gate.kinds().await,
        [made.clone(), refused.clone()],
        "once a minute"
    );
    gate.site.clock().advance(Duration::from_secs(60));
    gate.site.get(&address, &eve).await;
    assert_eq!(gate.kinds().await, [made, refused.clone(), refused]);
    // She may decide there, but not with his code.
    let page = gate
        .site
        .get(&format!("/approvals/{}", gate.approval), &eve)
        .await;
    assert!(!page.text.contains("name=\"code\""), "{}", page.text);
    let decided = gate.decide(&eve, &page, code).await;
    assert_eq!(decided.status, StatusCode::FORBIDDEN);
    assert_eq!(gate.votes().await, 0);
    // He still can.
    let page = gate.site.get(&address, &gate.ben).await;
    assert_eq!(
        gate.decide(&gate.ben, &page, code).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_code_that_was_changed_or_is_over_leads_nowhere() {
    let gate = Gate::new().await;
    let address = gate.link().await;
    let code = address.strip_prefix("/a/").unwrap().to_owned();
    let page = gate.site.get(&address, &gate.ben).await;
    let last = if code.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{last}", &code[..code.len() - 1]);
    let cut = code[..20].to_owned();
    let bare = code[CODE_MARK.len()..].to_owned();
    for wrong in [changed, cut, bare, "msa_".to_owned(), "a".repeat(2000)] {
        let answer = gate.site.get(&format!("/a/{wrong}"), &gate.ben).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{wrong}");
        assert!(answer.text.contains("There is no such link."), "{}", answer.text);
        let decided = gate.decide(&gate.ben, &page, &wrong).await;
        assert_eq!(decided.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    assert_eq!(gate.votes().await, 0);
    gate.site.clock().advance(Duration::from_secs(15 * 60));
    let over = gate.site.get(&address, &gate.ben).await;
    assert_eq!(over.status, StatusCode::CONFLICT);
    assert!(
        over.text
            .contains("This link ended at 03:15:00 UTC, when the time to decide was over."),
        "{}",
        over.text
    );
    let decided = gate.decide(&gate.ben, &page, &code).await;
    assert_eq!(decided.status, StatusCode::CONFLICT);
    assert_eq!(gate.votes().await, 0);
}

#[tokio::test]
async fn a_code_of_one_request_decides_no_other() {
    let gate = Gate::new().await;
    let address = gate.link().await;
    let code = address.strip_prefix("/a/").unwrap();
    let (_, other) = waiting_run(&gate.site, &gate.ana).await;
    let page = gate.site.get(&format!("/approvals/{other}"), &gate.ben).await;
    let (op, digest) = (uuid::Uuid::new_v4().to_string(), page.field("digest"));
    let fields = [
        ("op", op.as_str()),
        ("digest", &digest),
        ("code", code),
        ("verdict", "approve"),
    ];
    let answer = gate
        .site
        .post(&format!("/approvals/{other}/decision"), &gate.ben, &fields)
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(gate.votes().await, 0);
}

#[tokio::test]
async fn a_decision_that_is_refused_does_not_use_the_link_up() {
    let gate = Gate::new().await;
    let address = gate.link().await;
    let code = address.strip_prefix("/a/").unwrap();
    let page = gate.site.get(&address, &gate.ben).await;
    let (op, digest) = (uuid::Uuid::new_v4().to_string(), page.field("digest"));
    let silent = [
        ("op", op.as_str()),
        ("digest", &digest),
        ("code", code),
        ("verdict", "reject"),
    ];
    let path = format!("/approvals/{}/decision", gate.approval);
    let answer = gate.site.post(&path, &gate.ben, &silent).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        gate.decide(&gate.ben, &page, code).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn links_are_made_only_for_people_who_may_decide_while_it_waits() {
    let gate = Gate::new().await;
    let (_, vic) = gate.site.person("vic", Role::Viewer).await;
    let status = async |cookie: &str, name: &str| gate.ask(cookie, name).await.status;
    assert_eq!(status(&vic, "ben").await, StatusCode::FORBIDDEN);
    assert_eq!(status(&gate.rob, "nobody").await, StatusCode::NOT_FOUND);
    let requester = gate.ask(&gate.rob, "ana").await;
    assert_eq!(requester.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        requester.text.contains("could not decide there"),
        "{}",
        requester.text
    );
    assert_eq!(status(&gate.rob, "rob").await, StatusCode::UNPROCESSABLE_ENTITY);
    let made = gate.ask(&gate.rob, "ben").await;
    assert_eq!(made.json()["expires_at"], "2026-11-21T03:15:00Z");
    gate.site.clock().advance(Duration::from_secs(15 * 60));
    assert_eq!(status(&gate.rob, "ben").await, StatusCode::CONFLICT);
    let missing = gate
        .site
        .post_json("/api/v1/approvals/99/links", &gate.rob, "{\"operator\": \"ben\"}")
        .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn programs_get_the_refusals_as_json() {
    let gate = Gate::new().await;
    let request = axum::http::Request::get("/a/msa_wrong")
        .header("cookie", &gate.ben)
        .header("accept", "application/json")
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = gate.site.send(request).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["error"]["message"], "There is no such link.");
}
