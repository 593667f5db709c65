//! Writing a runbook without any script: checking, drafts, the last look, and two people at once.

use axum::http::StatusCode;

use super::{World, plain, text};
use crate::support::site::Answer;

const EDIT: &str = "/runbooks/shop/edit";

impl World {
    /// Presses a button of the editor that is shown now.
    async fn press(&self, cookie: &str, button: &str, yaml: &str) -> Answer {
        let shown = self.site.get(EDIT, cookie).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
        self.press_on(&shown, cookie, button, yaml).await
    }

    async fn press_on(&self, shown: &Answer, cookie: &str, button: &str, yaml: &str) -> Answer {
        let (op, base) = (shown.field("op"), shown.field("base"));
        let fields = [
            ("op", op.as_str()),
            ("base", &base),
            ("yaml", yaml),
            ("note", "why"),
            ("do", button),
        ];
        self.site.post(EDIT, cookie, &fields).await
    }

    async fn number(&self) -> i64 {
        let list = self.site.get("/api/v1/runbooks/shop", &self.rob).await.json();
        list["version"].as_i64().unwrap_or_else(|| panic!("{list}"))
    }
}

#[tokio::test]
async fn a_check_says_where_each_error_is_and_keeps_nothing() {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    let faulty = text("shop", "Down", "ownr: me\n").replace("wait: 1s", "wait: soon");
    let answer = world.press(&world.ana, "check", &faulty).await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = plain(&answer.text);
    assert!(page.contains("2 errors to put right"), "{page}");
    let first = page.find("data-at=\"3:1\"").unwrap_or_else(|| panic!("{page}"));
    let second = page.find("data-at=\"9:11\"").unwrap_or_else(|| panic!("{page}"));
    assert!(first < second, "in the order of the text");
    // The mark stands below the column, for whoever has no script.
    assert!(
        page.contains("ownr: me\n^</pre>") && page.contains("    wait: soon\n          ^</pre>"),
        "{page}"
    );
    assert!(
        page.contains("Not saved") && page.contains("value=\"why\""),
        "{page}"
    );
    assert_eq!(world.number().await, 1);

    // The same is told to the script, and to nobody who may not publish.
    let fields = [("yaml", faulty.as_str()), ("base", "1")];
    let path = format!("{EDIT}/check");
    let part = world.site.post(&path, &world.ana, &fields).await;
    assert_eq!(part.status, StatusCode::OK);
    assert!(
        part.text.starts_with("<section id=\"messages\"") && part.text.contains("data-at=\"3:1\""),
        "{}",
        part.text
    );
    assert!(!part.text.contains("while you edit"), "{}", part.text);
    let refused = world.site.post(&path, &world.rob, &fields).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    world.publish(&text("shop", "Other", "")).await;
    let part = world.site.post(&path, &world.ana, &fields).await;
    assert!(
        part.text
            .contains("The runbooks folder published v2 while you edit"),
        "{}",
        part.text
    );
}

#[tokio::test]
async fn a_new_trigger_is_tried_on_the_alerts_of_the_past() {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    let (down, slow) = (world.fire("Down").await, world.fire("Slow").await);
    world.fire("Else").await;
    let same = world
        .press(&world.ana, "check", &text("shop", "Down", "summary: New.\n"))
        .await;
    assert!(
        same.text.contains("It applies to the same alerts as version 1."),
        "{}",
        same.text
    );
    let answer = world.press(&world.ana, "review", &text("shop", "Slow", "")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = plain(&answer.text);
    let words = "Tried on 3 alerts of the last 90 days: it would have matched 1 incident, 1 of them new; it would no longer match 1 that";
    assert!(page.contains(words), "{page}");
    let (gained, lost) = page.split_once("No longer these").unwrap();
    assert!(
        gained.contains(&format!("/incidents/{slow}\"")) && lost.contains(&format!("/incidents/{down}\"")),
        "{page}"
    );
    // Older than that it is not looked at.
    world
        .site
        .intake
        .pass(std::time::Duration::from_secs(91 * 86_400))
        .await;
    let (_, ana) = world
        .site
        .person("anna", muster::domain::operator::Role::Approver)
        .await;
    let later = world.press(&ana, "check", &text("shop", "Slow", "")).await;
    assert!(
        later.text.contains("There were no alerts in the last 90 days"),
        "{}",
        later.text
    );
}

#[tokio::test]
async fn the_last_look_shows_what_changes_and_errors_never_get_there() {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    let careless = text("shop", "Down", "").replace("  - id: ask\n    gate: {}\n", "");
    let look = world.press(&world.ana, "review", &careless).await;
    assert_eq!(look.status, StatusCode::OK, "{}", look.text);
    let page = plain(&look.text);
    assert!(page.contains("Less careful</span> gate ask removed"), "{page}");
    assert!(
        page.contains("Publish this version") && page.contains("No drill has covered anything of it"),
        "{page}"
    );
    assert_eq!(world.number().await, 1, "looking changes nothing");
    let back = world.press_on(&look, &world.ana, "edit", &careless).await;
    assert!(
        back.text.contains("id=\"editor\"") && back.text.contains("id: pause"),
        "{}",
        back.text
    );
    let published = world.press_on(&look, &world.ana, "publish", &careless).await;
    assert_eq!(published.status, StatusCode::SEE_OTHER, "{}", published.text);
    assert_eq!(world.number().await, 2);

    let faulty = world.press(&world.ana, "review", "runbook: shop\n").await;
    assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        faulty.text.contains("errors have to be put right first"),
        "{}",
        faulty.text
    );
    let same = world.press(&world.ana, "review", &careless).await;
    assert_eq!(same.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        same.text.contains("Version 2 says exactly this already"),
        "{}",
        same.text
    );
}

#[tokio::test]
async fn a_draft_waits_for_its_writer_only_and_goes_when_it_is_published() {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    let mine = text("shop", "Down", "summary: Half a thou\n");
    let saved = world.press(&world.ana, "save", &mine.replace('\n', "\r\n")).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    assert_eq!(saved.header("location"), "/runbooks/shop/edit?draft=1");
    let kept = world.page("/runbooks/shop/edit?draft=1", &world.ana).await;
    assert!(
        kept.contains("Half a thou") && kept.contains("Your draft, saved at TIME"),
        "{kept}"
    );
    let plain_page = world.page(EDIT, &world.ana).await;
    assert!(
        plain_page.contains("You left a draft at TIME") && !plain_page.contains("Half a thou"),
        "{plain_page}"
    );
    let others = world.page("/runbooks/shop/edit?draft=1", &world.eve).await;
    assert!(
        !others.contains("draft at") && !others.contains("Half a thou"),
        "{others}"
    );

    // Somebody else publishes: the draft still knows which version it began from.
    world.publish(&text("shop", "Down", "summary: Theirs.\n")).await;
    let shown = world.site.get("/runbooks/shop/edit?draft=1", &world.ana).await;
    let look = world.press_on(&shown, &world.ana, "review", &mine).await;
    assert_eq!(look.status, StatusCode::CONFLICT, "{}", look.text);
    let sent = world.press_on(&look, &world.ana, "publish", &mine).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let after = world.page(EDIT, &world.ana).await;
    assert!(!after.contains("You left a draft"), "{after}");

    let long = format!("runbook: shop\n# {}\n", "x".repeat(260 * 1024));
    let refused = world.press(&world.ana, "save", &long).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    world.press(&world.ana, "save", &mine).await;
    let gone = world.press(&world.ana, "discard", "").await;
    assert_eq!(gone.header("location"), EDIT);
    assert!(!world.page(EDIT, &world.ana).await.contains("You left a draft"));
    // One of a new runbook is kept as well; of one that does not exist there is nothing to change.
    let fields = [
        ("op", "00000000-0000-4000-8000-000000000001"),
        ("yaml", "runbook: n\n"),
        ("do", "save"),
    ];
    let new = world.site.post("/runbooks/new", &world.ana, &fields).await;
    assert_eq!(new.header("location"), "/runbooks/new?draft=1");
    let nowhere = world
        .site
        .post("/runbooks/nowhere/edit", &world.ana, &fields)
        .await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_is_overtaken_sees_three_texts_and_keeps_their_own() {
    let world = World::new().await;
    let base = text("shop", "Down", "");
    world.publish(&base).await;
    let shown = world.site.get(EDIT, &world.eve).await;
    let theirs = base.replace("wait: 1s", "wait: 2s");
    let body = serde_json::json!({"yaml": theirs, "note": ""}).to_string();
    world.site.post_json("/api/v1/runbooks", &world.ana, &body).await;
    let mine = base.replace("gate: {}", "gate: { approvals: 2 }");
    let answer = world.press_on(&shown, &world.eve, "publish", &mine).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    let page = plain(&answer.text);
    assert!(page.contains("ana published v2 while you edited"), "{page}");
    let (theirs, rest) = page.split_once("What you changed").unwrap();
    let (mine_part, over) = rest.split_once("What publishing your text would change").unwrap();
    assert!(theirs.contains("step pause: wait 1s → 2s"), "{theirs}");
    assert!(
        mine_part.contains("gate ask: approvals 1 → 2") && !mine_part.contains("wait 1s"),
        "{mine_part}"
    );
    assert!(over.contains("step pause: wait 2s → 1s"), "{over}");
    assert!(over.contains("approvals: 2"), "the text is kept");
    assert_eq!(answer.field("base"), "2");
    // A text with errors is no reason to hide what they did.
    let broken = world
        .press_on(&shown, &world.eve, "review", "runbook: shop\nx: y\n")
        .await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
}
