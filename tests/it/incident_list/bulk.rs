//! Acts on many incidents at once.

use axum::http::StatusCode;
use muster::domain::operator::Role;

use super::{Desk, rows};

#[tokio::test]
async fn all_that_match_are_acknowledged_in_two_presses_and_the_failed_stay_ticked() {
    let desk = Desk::new().await;
    desk.five().await;
    let page = desk.get("/incidents").await;
    assert!(page.text.contains("All 4 that match"), "{}", page.text);
    let op = page.field("op");
    let form = [
        ("op", op.as_str()),
        ("q", "state:open"),
        ("all", "yes"),
        ("act", "acknowledge"),
    ];
    let mut events = Vec::new();
    for _ in 0..2 {
        let answer = desk.site.post("/incidents/bulk", &desk.ana, &form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let told = desk.get(answer.header("location")).await.text;
        assert!(told.contains("3 incidents acknowledged."), "{told}");
        assert!(
            told.contains("INC-3</a>: <bdi>The incident is acknowledged already.</bdi>"),
            "{told}"
        );
        assert_eq!(told.matches(" checked>").count(), 1, "{told}");
        assert!(told.contains("name=\"id\" value=\"3\" checked>"), "{told}");
        events.push(
            desk.site
                .intake
                .database
                .count("select count(*) from events")
                .await,
        );
    }
    assert_eq!(events[0], events[1], "a second tap changes nothing");
    assert_eq!(desk.found("owner:me").await, [5, 3, 2, 1]);
    let (_, ben) = desk.site.person("ben", Role::Responder).await;
    let other = desk.site.get(&format!("/incidents?result={op}"), &ben).await;
    assert!(
        !other.text.contains("acknowledged."),
        "an outcome is told to whom it belongs"
    );
}

#[tokio::test]
async fn a_note_goes_to_each_that_is_ticked_and_nothing_to_none() {
    let desk = Desk::new().await;
    desk.five().await;
    let note = [
        ("act", "note"),
        ("text", "one <switch> died"),
        ("id", "1"),
        ("id", "5"),
        ("id", "999"),
    ];
    let answer = desk.act("/incidents/bulk", &note).await;
    let told = desk.get(answer.header("location")).await.text;
    assert!(told.contains("2 incidents given the note."), "{told}");
    assert!(
        told.contains("INC-999</a>: <bdi>There is no such incident.</bdi>"),
        "{told}"
    );
    for id in [1, 5] {
        let page = desk.get(&format!("/incidents/{id}?show=all")).await.text;
        assert!(page.contains("one &lt;switch&gt; died"), "{page}");
    }
    for wrong in [
        &[("act", "note"), ("text", "x")][..],
        &[("act", "note"), ("id", "1"), ("text", " ")],
        &[("act", "resolve"), ("id", "1")],
    ] {
        let refused = desk.act("/incidents/bulk", wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    }
    let unreadable = desk
        .act("/incidents/bulk", &[("act", "explode"), ("id", "1")])
        .await;
    assert_eq!(unreadable.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn many_are_resolved_only_after_a_page_that_lists_them_and_what_changed_meanwhile_is_left() {
    let desk = Desk::new().await;
    desk.five().await;
    let page = desk.get("/incidents/resolve?q=state%3Aopen&all=yes").await;
    assert!(page.text.contains("Resolve 4 incidents"), "{}", page.text);
    let seen = |id: i64| page.field(&format!("seen-{id}"));
    let (one, two) = (seen(1), seen(2));
    // Meanwhile somebody else decides something about the second.
    let (_, ben) = desk.site.person("ben", Role::Responder).await;
    desk.act_as(&ben, "/incidents/2/acknowledge", &[]).await;
    let form = [
        ("act", "resolve"),
        ("reason", "the switch is back"),
        ("id", "1"),
        ("seen-1", one.as_str()),
        ("id", "2"),
        ("seen-2", two.as_str()),
    ];
    let answer = desk.act("/incidents/bulk", &form).await;
    let told = desk.get(answer.header("location")).await.text;
    assert!(told.contains("1 incident resolved."), "{told}");
    assert!(
        told.contains("INC-2</a>: <bdi>Something that bears on this happened"),
        "{told}"
    );
    assert_eq!(desk.found("state:resolved").await, [4, 1]);
    let story = desk.get("/incidents/1?show=all").await.text;
    assert!(story.contains("the switch is back"), "{story}");
    let over = desk.get("/incidents/resolve?id=1&id=2").await.text;
    assert!(
        over.contains("Resolve 1 incident") && over.contains("1 of those ticked are over"),
        "{over}"
    );
    let none = desk.get("/incidents/resolve").await.text;
    assert!(none.contains("Tick the incidents in the list first."), "{none}");
    assert_eq!(rows(&desk.get("/incidents").await.text), [5, 3, 2]);
}

#[tokio::test]
async fn many_are_given_to_somebody_who_then_commands_each_of_them() {
    let desk = Desk::new().await;
    desk.five().await;
    let (ben, _) = desk.site.person("ben", Role::Responder).await;
    let (vic, _) = desk.site.person("vic", Role::Viewer).await;
    let page = desk.get("/incidents/assign?id=1&id=2&id=4").await.text;
    assert!(
        page.contains("Assign 2 incidents") && page.contains("1 of those ticked are over"),
        "{page}"
    );
    assert!(
        page.contains(">ben<") || page.contains("<bdi>ben</bdi>"),
        "{page}"
    );
    assert!(!page.contains("<bdi>vic</bdi>"), "only who may respond: {page}");
    let to = ben.id.to_string();
    let fields = [
        ("to", to.as_str()),
        ("reason", "you know the switch"),
        ("id", "1"),
        ("id", "2"),
        ("id", "999"),
    ];
    let form = [&[("act", "assign")][..], &fields].concat();
    let answer = desk.act("/incidents/bulk", &form).await;
    let told = desk.get(answer.header("location")).await.text;
    assert!(told.contains("2 incidents given to <bdi>ben</bdi>."), "{told}");
    assert!(
        told.contains("INC-999</a>: <bdi>There is no such incident.</bdi>"),
        "{told}"
    );
    assert_eq!(
        told.matches("<bdi>ben</bdi> commands").count(),
        2,
        "the rows say so: {told}"
    );
    let story = desk.get("/incidents/2?show=all").await.text;
    assert!(
        story.contains("ben is incident commander now: you know the switch"),
        "{story}"
    );
    // Once more says of each why nothing was done.
    let answer = desk.act("/incidents/bulk", &form).await;
    let told = desk.get(answer.header("location")).await.text;
    assert!(
        told.contains("0 incidents given to") && told.contains("Ben has it already"),
        "{told}"
    );
    let vic = vic.id.to_string();
    for to in [vic.as_str(), "", "77"] {
        let refused = desk
            .act("/incidents/bulk", &[("act", "assign"), ("id", "1"), ("to", to)])
            .await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{to}");
    }
}

#[tokio::test]
async fn many_are_merged_into_the_one_that_is_kept_and_those_that_cannot_be_say_why() {
    let desk = Desk::new().await;
    desk.five().await;
    let page = desk.get("/incidents/merge?id=2&id=3&id=5").await.text;
    assert!(page.contains("Merge 3 incidents into one"), "{page}");
    assert!(
        page.contains("name=\"into\" value=\"3\" required checked>"),
        "the worst is kept: {page}"
    );
    assert_eq!(page.matches(" checked>").count(), 1);
    let alone = desk.get("/incidents/merge?id=2&id=4").await.text;
    assert!(alone.contains("Tick at least two open incidents"), "{alone}");
    let form = [
        ("act", "merge"),
        ("into", "3"),
        ("reason", "the same switch"),
        ("id", "2"),
        ("id", "3"),
        ("id", "4"),
        ("id", "5"),
    ];
    let answer = desk.act("/incidents/bulk", &form).await;
    let told = desk.get(answer.header("location")).await.text;
    assert!(
        told.contains("2 incidents merged into <bdi>INC-3</bdi>."),
        "{told}"
    );
    assert!(
        told.contains("INC-4</a>: <bdi>INC-4 is resolved; only open incidents are merged"),
        "{told}"
    );
    assert_eq!(desk.found("state:merged").await, [5, 2]);
    let kept = desk.get("/incidents/3").await.text;
    assert!(kept.contains("Took in <a href=\"/incidents/2\">"), "{kept}");
    for wrong in [
        &[("act", "merge"), ("id", "1")][..],
        &[("act", "merge"), ("id", "1"), ("into", "1")],
    ] {
        let refused = desk.act("/incidents/bulk", wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    }
}
