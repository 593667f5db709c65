//! Writing a runbook in the browser and by program.

use axum::http::StatusCode;

use super::{Desk, text};
use crate::support::site::Answer;

const NEW: &str = "/runbooks/new";

/// Sends the form of a page as it shows it.
async fn submit(desk: &Desk, page: &str, cookie: &str, yaml: &str) -> Answer {
    let shown = desk.site.get(page, cookie).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    let (op, base) = (shown.field("op"), shown.field("base"));
    let fields = [
        ("op", op.as_str()),
        ("base", &base),
        ("yaml", yaml),
        ("note", "my note"),
    ];
    desk.site.post(page, cookie, &fields).await
}

#[tokio::test]
async fn a_text_with_faults_comes_back_with_their_places_and_one_without_is_in_use() {
    let desk = Desk::new().await;
    let list = desk.site.get("/runbooks", &desk.ana).await.text;
    assert!(list.contains("href=\"/runbooks/new\""), "{list}");
    let list = desk.site.get("/runbooks", &desk.rob).await.text;
    assert!(!list.contains("href=\"/runbooks/new\""), "{list}");
    let refused = desk.site.get(NEW, &desk.rob).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let faulty = text("ownr: <b>me\n", "Shop");
    let answer = submit(&desk, NEW, &desk.ana, &faulty).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    for said in [
        "3:1</a>",
        "ownr: unknown field",
        "did you mean",
        "ownr: &#60;b&#62;me",
        "value=\"my note\"",
    ] {
        assert!(answer.text.contains(said), "{said}: {}", answer.text);
    }
    assert_eq!(desk.title().await, "");

    // A browser sends carriage returns, which a file has not.
    let good = text("summary: Two lines.\n", "Shop");
    let answer = submit(&desk, NEW, &desk.ana, &good.replace('\n', "\r\n")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(answer.header("location"), "/runbooks/shop");
    let version = desk.current().await.unwrap();
    assert_eq!((version.number, version.runbook.title.as_str()), (1, "Shop"));
    assert_eq!(desk.publisher(version.id).await.unwrap().name, "ana");
    let page = desk.site.get("/runbooks/shop", &desk.ana).await.text;
    for said in [
        "from <bdi>the browser</bdi>, by <bdi>ana</bdi>",
        "my note",
        "/runbooks/shop/edit",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert_eq!(
        desk.acts().await,
        [(
            "ana".to_owned(),
            "runbook_published".to_owned(),
            "my note".to_owned()
        )]
    );

    // The same text is the same version, and the page says that nothing was published.
    let again = submit(&desk, "/runbooks/shop/edit", &desk.eve, &good).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        again.text.contains("Version 1 says exactly this already"),
        "{}",
        again.text
    );
    let other = good.replace("runbook: shop", "runbook: other");
    let other = submit(&desk, "/runbooks/shop/edit", &desk.eve, &other).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        other.text.contains("publish that as a runbook of its own"),
        "{}",
        other.text
    );
    assert_eq!(desk.acts().await.len(), 1);
}

#[tokio::test]
async fn who_is_overtaken_sees_the_difference_and_may_publish_over_it() {
    let desk = Desk::new().await;
    desk.brings(&desk.ana, &text("", "One"), StatusCode::CREATED)
        .await;
    let page = "/runbooks/shop/edit";
    let shown = desk.site.get(page, &desk.eve).await;
    desk.brings(&desk.ana, &text("", "Two"), StatusCode::CREATED)
        .await;
    let yaml = text("", "Three");
    let (op, base) = (shown.field("op"), shown.field("base"));
    let fields = [("op", op.as_str()), ("base", &base), ("yaml", &yaml)];
    let answer = desk.site.post(page, &desk.eve, &fields).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    for said in [
        "Version 2 came into use since you looked",
        "<bdi>ana</bdi> published v2 while you edited",
        "<span class=\"sr\">added: </span><bdi>title: Two</bdi>",
        "<span class=\"sr\">added: </span><bdi>title: Three</bdi>",
    ] {
        assert!(answer.text.contains(said), "{said}: {}", answer.text);
    }
    assert_eq!(desk.title().await, "Two");
    let (op, base) = (answer.field("op"), answer.field("base"));
    let fields = [("op", op.as_str()), ("base", &base), ("yaml", &yaml)];
    let sent = desk.site.post(page, &desk.eve, &fields).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    assert_eq!(desk.title().await, "Three");
    // A second tap changes nothing and leads to the same page.
    let twice = desk.site.post(page, &desk.eve, &fields).await;
    assert_eq!(twice.header("location"), "/runbooks/shop");
    assert_eq!(desk.current().await.unwrap().number, 3);
}

#[tokio::test]
async fn only_whom_both_versions_name_publishes() {
    let desk = Desk::new().await;
    let mine = text("access: { publish: { people: [ana] } }\n", "One");
    let refused = desk.publish(&desk.eve, &mine).await;
    assert_eq!(
        refused.status,
        StatusCode::FORBIDDEN,
        "nobody shuts themselves out: {}",
        refused.text
    );
    desk.brings(&desk.ana, &mine, StatusCode::CREATED).await;

    let open = text("", "Two");
    let refused = desk.publish(&desk.eve, &open).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "nobody lets themselves in");
    for said in ["it is for ana only", "An admin can change"] {
        assert!(refused.text.contains(said), "{said}: {}", refused.text);
    }
    let shut = desk.site.get("/runbooks/shop/edit", &desk.eve).await;
    assert_eq!(shut.status, StatusCode::FORBIDDEN);
    // By the page of a new one as well, and the text stays.
    let tried = submit(&desk, NEW, &desk.eve, &open).await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN, "{}", tried.text);
    assert!(tried.text.contains("title: Two"), "{}", tried.text);
    assert_eq!(desk.title().await, "One");

    let team = text(
        "access: { publish: { teams: [storage], people: [ana] } }\n",
        "Three",
    );
    desk.brings(&desk.ana, &team, StatusCode::CREATED).await;
    let refused = desk.publish(&desk.eve, &open).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    desk.join("storage", "eve").await;
    desk.brings(&desk.eve, &open, StatusCode::CREATED).await;
    assert_eq!(desk.title().await, "Two");
}

#[tokio::test]
async fn programs_read_faults_by_line_and_column() {
    let desk = Desk::new().await;
    let faulty = desk
        .brings(
            &desk.ana,
            &text("ownr: me\n", "A"),
            StatusCode::UNPROCESSABLE_ENTITY,
        )
        .await;
    let fault = &faulty["error"]["faults"][0];
    assert_eq!(
        (fault["line"].as_i64(), fault["column"].as_i64()),
        (Some(3), Some(1))
    );
    assert_eq!(fault["path"], "ownr");
    let made = desk.brings(&desk.ana, &text("", "A"), StatusCode::CREATED).await;
    assert_eq!(
        (&made["outcome"], &made["version"]),
        (&"published".into(), &1.into())
    );
    let same = desk.brings(&desk.eve, &text("", "A"), StatusCode::OK).await;
    assert_eq!(
        (&same["outcome"], &same["version"]),
        (&"unchanged".into(), &1.into())
    );
    // Going back to what was before is a publication of its own, of the same version.
    desk.brings(&desk.eve, &text("", "B"), StatusCode::CREATED).await;
    let back = desk.brings(&desk.eve, &text("", "A"), StatusCode::CREATED).await;
    assert_eq!(back["version"], 1);
    let version = desk.current().await.unwrap();
    assert_eq!(desk.publisher(version.id).await.unwrap().name, "eve");
    // Longer than any other form, and still a runbook.
    let long = text(&format!("summary: {}\n", "word ".repeat(20_000)), "Long");
    desk.brings(&desk.ana, &long, StatusCode::CREATED).await;
    let sent = submit(&desk, NEW, &desk.ana, &long.replace("Long", "Longer")).await;
    assert_eq!(
        sent.status,
        StatusCode::CONFLICT,
        "a base of nothing is not what stands: {}",
        sent.text.len()
    );
}
