//! A version that others must look at: who counts, against what, and two at once.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use chrono::TimeDelta;
use muster::{
    catalog::parse_runbook,
    domain::token::{PERSONAL_MARK, RANDOM_BYTES, Token},
    store::{
        api_tokens::{self, NewApiToken},
        operators, runbooks,
    },
};
use serde_json::{Value, json};

use super::{Desk, text};
use crate::support::site::Answer;

const ONE: &str = "review: 1\n";
const TWO: &str = "review: 2\n";

impl Desk {
    /// A proposal as anybody sees it.
    pub(super) async fn proposal(&self, id: i64) -> Value {
        let path = format!("/api/v1/runbooks/shop/proposals/{id}");
        let answer = self.site.get(&path, &self.rob).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    /// Approves what is shown now.
    pub(super) async fn approve(&self, id: i64, cookie: &str) -> Answer {
        let shown = self.proposal(id).await;
        self.approve_as(id, cookie, &shown).await
    }

    /// Approves what was shown then.
    async fn approve_as(&self, id: i64, cookie: &str, shown: &Value) -> Answer {
        let body = json!({"digest": shown["digest"], "base": shown["base"], "note": "read it"});
        let path = format!("/api/v1/runbooks/shop/proposals/{id}/approve");
        self.site.post_json(&path, cookie, &body.to_string()).await
    }

    /// A version that is in use without anybody having looked at it.
    async fn slip_in(&self, yaml: &str) {
        let runbook = parse_runbook(yaml).unwrap().runbook;
        let now = self.site.clock().now();
        runbooks::publish(&mut *self.site.conn().await, &runbook, yaml, "a test", now)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_version_counts_once_another_person_has_approved_it() {
    let desk = Desk::new().await;
    let made = desk
        .brings(&desk.ana, &text(ONE, "One"), StatusCode::ACCEPTED)
        .await;
    assert_eq!(
        (&made["outcome"], &made["proposal"]),
        (&"proposed".into(), &1.into())
    );
    assert_eq!(desk.title().await, "");
    // The same once more is the same proposal.
    let same = desk
        .brings(&desk.ana, &text(ONE, "One"), StatusCode::ACCEPTED)
        .await;
    assert_eq!(same["proposal"], 1);

    let gone = desk.site.get("/runbooks/shop", &desk.rob).await;
    assert_eq!(gone.header("location"), "/runbooks/shop/proposals/1");
    let page = "/runbooks/shop/proposals/1";
    let own = desk.site.get(page, &desk.ana).await.text;
    assert!(
        own.contains("Somebody else has to look at it: you proposed it."),
        "{own}"
    );
    assert!(!own.contains("/approve\""), "{own}");
    let refused = desk.approve(1, &desk.ana).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    let refused = desk.approve(1, &desk.rob).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let by_hand = desk
        .sql("insert into proposal_approvals select 1, id, null::bigint, '', now() from operators where name = 'ana'")
        .await;
    assert!(by_hand.unwrap_err().to_string().contains("their own proposal"));

    // Eve approves by the page's own form.
    let shown = desk.site.get(page, &desk.eve).await;
    for said in [
        "0 of 1 approval given that count",
        "title: One",
        "Approve this version",
    ] {
        assert!(shown.text.contains(said), "{said}: {}", shown.text);
    }
    let fields = ["op", "digest", "base"].map(|name| (name, shown.field(name)));
    let mut form: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    form.push(("note", "read every line"));
    let sent = desk.site.post(&format!("{page}/approve"), &desk.eve, &form).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let version = desk.current().await.unwrap();
    assert_eq!((version.number, version.runbook.title.as_str()), (1, "One"));
    assert_eq!(
        desk.publisher(version.id).await.unwrap().name,
        "ana",
        "its rights are its author's"
    );
    let acts: Vec<(String, String)> = desk
        .acts()
        .await
        .into_iter()
        .map(|(by, act, _)| (by, act))
        .collect();
    assert_eq!(
        acts,
        [
            ("ana".to_owned(), "runbook_proposed".to_owned()),
            ("eve".to_owned(), "proposal_approved".to_owned()),
            ("eve".to_owned(), "runbook_published".to_owned()),
        ]
    );
    let late = desk.approve(1, &desk.fay).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert!(
        late.text.contains("It is published since eve approved it."),
        "{}",
        late.text
    );

    // No version lifts the review that the one in use asks for.
    desk.brings(&desk.ana, &text("", "Two"), StatusCode::ACCEPTED)
        .await;
    assert_eq!(desk.title().await, "One");
    let library = desk.site.get("/runbooks", &desk.rob).await.text;
    assert!(library.contains("/runbooks/shop/proposals/2"), "{library}");
    let page = desk.site.get("/runbooks/shop", &desk.rob).await.text;
    for said in [
        "A new version waits for review",
        "1 other person must approve a new version",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[tokio::test]
async fn an_approval_against_another_version_than_the_one_in_use_does_not_count() {
    let desk = Desk::new().await;
    desk.slip_in(&text(TWO, "One")).await;
    desk.brings(&desk.ana, &text(TWO, "Mine"), StatusCode::ACCEPTED)
        .await;
    let before = desk.proposal(1).await;
    let first = desk.approve(1, &desk.eve).await;
    assert_eq!(first.json()["version"], Value::Null, "one of two");
    let twice = desk.approve(1, &desk.eve).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text);
    assert!(
        twice.text.contains("You have approved it already."),
        "{}",
        twice.text
    );

    desk.slip_in(&text(TWO, "Another")).await;
    let stale = desk.approve_as(1, &desk.fay, &before).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.text);
    assert!(
        stale.text.contains("Version 2 came into use since you looked"),
        "{}",
        stale.text
    );
    let shown = desk.proposal(1).await;
    assert_eq!(
        (&shown["given"], &shown["approvals"][0]["counts"]),
        (&0.into(), &false.into())
    );
    let page = desk.site.get("/runbooks/shop/proposals/1", &desk.fay).await.text;
    assert!(
        page.contains(
            "it was compared with version 1, and version 2 is in use since: it must be looked at again"
        ),
        "{page}"
    );
    let after = desk.approve(1, &desk.fay).await;
    assert_eq!(after.json()["version"], Value::Null, "{}", after.text);
    let again = desk.approve(1, &desk.eve).await;
    assert_eq!(again.json()["version"], 3, "{}", again.text);
    assert_eq!(desk.title().await, "Mine");
}

#[tokio::test]
async fn only_who_still_may_publish_counts_and_a_wrong_hash_counts_for_nobody() {
    let desk = Desk::new().await;
    let head = format!("{TWO}access: {{ publish: {{ teams: [storage] }} }}\n");
    for name in ["ana", "eve", "fay"] {
        desk.join("storage", name).await;
    }
    desk.brings(&desk.ana, &text(&head, "One"), StatusCode::ACCEPTED)
        .await;
    let mut wrong = desk.proposal(1).await;
    wrong["digest"] = json!("0".repeat(64));
    let refused = desk.approve_as(1, &desk.eve, &wrong).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    desk.approve(1, &desk.eve).await;
    desk.sql("delete from team_members where operator_id = (select id from operators where name = 'eve')")
        .await
        .unwrap();
    let second = desk.approve(1, &desk.fay).await;
    assert_eq!(
        second.json()["version"],
        Value::Null,
        "eve may not any more: {}",
        second.text
    );
    assert_eq!(desk.proposal(1).await["given"], 1);
    let page = desk.site.get("/runbooks/shop/proposals/1", &desk.rob).await.text;
    assert!(page.contains("eve may no longer approve it"), "{page}");
    let refused = desk.approve(1, &desk.eve).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
}

#[tokio::test]
async fn a_newer_proposal_takes_the_place_of_an_older_one_and_one_sent_back_waits_no_longer() {
    let desk = Desk::new().await;
    desk.brings(&desk.ana, &text(ONE, "One"), StatusCode::ACCEPTED)
        .await;
    desk.brings(&desk.eve, &text(ONE, "Two"), StatusCode::ACCEPTED)
        .await;
    let old = desk.proposal(1).await;
    assert_eq!(
        (&old["state"], &old["word"]),
        (&"replaced".into(), &"eve proposed a newer one".into())
    );
    let late = desk.approve(1, &desk.fay).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert!(late.text.contains("Eve proposed a newer one."), "{}", late.text);
    let second = desk
        .sql(
            "insert into proposals (runbook_id, digest, source, definition, origin, note, proposed_at, state)
             select runbook_id, digest, source, definition, origin, note, proposed_at, 'waiting' from proposals limit 1",
        )
        .await;
    assert!(second.unwrap_err().to_string().contains("proposals_waiting"));
    let changed = desk.sql("update proposals set source = 'x' where id = 2").await;
    assert!(changed.unwrap_err().to_string().contains("does not change"));

    let path = "/api/v1/runbooks/shop/proposals/2/send-back";
    let silent = desk.site.post_json(path, &desk.ana, r#"{"note": " "}"#).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let own = desk.site.post_json(path, &desk.eve, r#"{"note": "x"}"#).await;
    assert_eq!(own.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", own.text);
    let sent = desk
        .site
        .post_json(path, &desk.ana, r#"{"note": "no gate"}"#)
        .await;
    assert_eq!(sent.status, StatusCode::NO_CONTENT, "{}", sent.text);
    let late = desk.approve(2, &desk.fay).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.text.contains("Ana has sent it back: no gate"),
        "{}",
        late.text
    );
    let page = desk.site.get("/runbooks/shop/proposals/2", &desk.eve).await.text;
    assert!(page.contains("ana sent it back: no gate"), "{page}");

    let made = desk
        .brings(&desk.eve, &text(ONE, "Three"), StatusCode::ACCEPTED)
        .await;
    let id = made["proposal"].as_i64().unwrap();
    let path = &format!("/api/v1/runbooks/shop/proposals/{id}/withdraw");
    let others = desk.site.post_json(path, &desk.ana, "{}").await;
    assert_eq!(others.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", others.text);
    let taken = desk.site.post_json(path, &desk.eve, "{}").await;
    assert_eq!(taken.status, StatusCode::NO_CONTENT, "{}", taken.text);
    assert_eq!(desk.proposal(id).await["state"], "withdrawn");
    assert_eq!(desk.title().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reviewers_at_once_publish_once() {
    for _ in 0..5 {
        let desk = Desk::new().await;
        desk.brings(&desk.ana, &text(ONE, "One"), StatusCode::ACCEPTED)
            .await;
        let shown = desk.proposal(1).await;
        let (one, other) = tokio::join!(
            desk.approve_as(1, &desk.eve, &shown),
            desk.approve_as(1, &desk.fay, &shown)
        );
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(
            statuses,
            [StatusCode::OK, StatusCode::CONFLICT],
            "{} {}",
            one.text,
            other.text
        );
        let count = desk
            .site
            .intake
            .database
            .count("select count(*) from publications")
            .await;
        assert_eq!(count, 1);
    }
}

#[tokio::test]
async fn a_token_proposes_and_approves_nothing() {
    let desk = Desk::new().await;
    let (shown_once, now) = (
        Token::of(PERSONAL_MARK, [7; RANDOM_BYTES]),
        desk.site.clock().now(),
    );
    let secret = shown_once.reveal();
    let mut conn = desk.site.conn().await;
    let (eve, _) = operators::find_by_name(&mut conn, "eve").await.unwrap().unwrap();
    let token = NewApiToken {
        operator: eve.id,
        name: "ci",
        prefix: "muster_t",
        hash: shown_once.digest(),
        scopes: &["publish".to_owned()],
        expires_at: now + TimeDelta::days(1),
    };
    api_tokens::insert(&mut conn, &token, now).await.unwrap().unwrap();
    let send = async |path: &str, body: Value| {
        let request = Request::post(path)
            .header(header::HOST, "muster.test")
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))
            .header(header::CONTENT_TYPE, "application/json");
        desk.site
            .send(request.body(Body::from(body.to_string())).unwrap())
            .await
    };
    let proposed = send("/api/v1/runbooks", json!({"yaml": text(ONE, "By a program")})).await;
    assert_eq!(proposed.status, StatusCode::ACCEPTED, "{}", proposed.text);
    assert_eq!(desk.proposal(1).await["origin"], "the API");

    desk.brings(&desk.ana, &text(ONE, "By ana"), StatusCode::ACCEPTED)
        .await;
    let shown = desk.proposal(2).await;
    let body = json!({"digest": shown["digest"], "base": shown["base"]});
    let refused = send("/api/v1/runbooks/shop/proposals/2/approve", body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(refused.text.contains("no token may do this"), "{}", refused.text);
    assert_eq!(desk.approve(2, &desk.eve).await.status, StatusCode::OK);
}
