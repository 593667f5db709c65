//! What drills cover of runbooks: kept when a drill ends, lost by what a new version changes, told wherever a runbook is
//! named, and due again after a while.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::StatusCode;
use muster::{
    catalog::parse_runbook,
    cli::drill::theatre::Theatre,
    domain::{
        coverage::Gain,
        drill::{Depth, EndKind},
        id::DrillId,
        operator::Role,
        span::Span,
    },
    drill::{self, Card, NewPlan},
    store::{coverage, runbooks},
};
use serde_json::Value;
use sqlx::Executor;
use uuid::Uuid;

use crate::{
    scratch::Scratch,
    support::{database::Database, site::Site},
};

const RUNBOOK: &str = include_str!("../../../runbooks/postgres-primary-down.yaml");
const SLUG: &str = "postgres-primary-down";
const SCENARIO: &str = "checkout-primary-dead";
/// What the sample drill exercises when all goes as expected.
const EXERCISED: [&str; 8] = [
    "ask/approved",
    "ask/by-approver",
    "last-log-lines/done",
    "primary-unreachable/done",
    "promote/done",
    "send-traffic/done",
    "standby-there/done",
    "writes-work/done",
];
/// When unattended drills are over: they begin on New Year's Day of 2026.
const AFTERWARDS: &str = "2026-01-02T00:00:00Z";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Plays the sample drill so many times in the database of a site.
async fn played(database: &Database, times: usize) -> Vec<Card> {
    let scratch = Scratch::new();
    let theatre = Theatre::open(
        &database.options,
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks"),
        PathBuf::from(env!("CARGO_BIN_EXE_muster")),
        scratch.path().join("twins"),
    )
    .await
    .unwrap();
    let all = theatre.scenarios().await.unwrap();
    let version = all.iter().find(|version| version.slug == SCENARIO).unwrap().id;
    let mut cards = Vec::new();
    for _ in 0..times {
        cards.push(theatre.play(version, 7, None).await.unwrap());
    }
    theatre.close().await;
    cards
}

/// The pages over a database in which the drill was played, a while after that.
async fn site(times: usize) -> (Site, Vec<Card>) {
    let site = Site::new().await;
    let cards = played(&site.intake.database, times).await;
    site.clock().set(AFTERWARDS.parse().unwrap());
    (site, cards)
}

fn keys<'a>(items: impl IntoIterator<Item = &'a muster::domain::coverage::Item>) -> BTreeSet<String> {
    items.into_iter().map(|item| item.key()).collect()
}

fn exercised(gain: &Gain) -> BTreeSet<String> {
    keys(gain.first.iter().chain(&gain.again))
}

async fn publish(site: &Site, source: &str) {
    let runbook = parse_runbook(source).unwrap().runbook;
    let now = site.clock().now();
    let mut conn = site.conn().await;
    runbooks::publish(&mut conn, &runbook, source, "the folder", now)
        .await
        .unwrap();
}

/// What the due list says of a runbook.
async fn due(site: &Site, cookie: &str, slug: &str) -> Option<Value> {
    let all = site.get("/api/v1/drills/due", cookie).await.json();
    let found = all.as_array().unwrap().iter().find(|one| one["runbook"] == slug);
    found.cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_covers_what_it_exercises() {
    let (site, cards) = site(2).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    let wanted: BTreeSet<String> = EXERCISED.map(str::to_owned).into();
    let (first, second) = (&cards[0].gains[0], &cards[1].gains[0]);
    assert_eq!((first.slug.as_str(), first.number, first.of()), (SLUG, 1, 16));
    assert_eq!(keys(&first.first), wanted);
    assert_eq!(exercised(second), wanted, "the same seed exercises the same");
    assert_eq!((first.again.len(), second.first.len()), (0, 0));

    // An incident that its version matched says so, and so does a gate of its runs.
    let id = cards[0].drill.id;
    let drill = site.get(&format!("/api/v1/drills/{id}"), &ana).await.json();
    let incident = format!("/incidents/{}", drill["incidents"][0]);
    for address in [incident.as_str(), "/approvals/1"] {
        let page = site.get(address, &ana).await.text;
        assert!(page.contains("coverage 8 of 16"), "{address}: {page}");
    }
    // What stands in for a target is no part of what that belongs to for real.
    let gate = site.get("/approvals/1", &ana).await.text;
    assert!(
        gate.contains("<span class=\"badge drill\">DRILL twin</span>"),
        "{gate}"
    );

    // A scorecard stays as it was when it was made.
    let card = site.get(&format!("/api/v1/drills/{id}/score"), &ana).await.json();
    let gained = &card["coverage"][0];
    assert_eq!(
        (&gained["exercised"], &gained["of"]),
        (&8.into(), &16.into()),
        "{card}"
    );
    assert_eq!(gained["first"].as_array().unwrap().len(), 8, "{card}");
    let page = site.get(&format!("/drills/{id}/score"), &ana).await.text;
    for words in [
        "Coverage gained",
        "8 of 16 exercised, 8 for the first time",
        "ask: decided by one of the approvers",
        "8 not covered yet",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let next = cards[1].drill.id;
    let page = site.get(&format!("/drills/{next}/score"), &ana).await.text;
    assert!(page.contains("8 of 16 exercised</p>"), "{page}");

    // The runbook says by which drill, and what a scenario asks for that nobody has done.
    let json = site
        .get(&format!("/api/v1/runbooks/{SLUG}/coverage"), &ana)
        .await
        .json();
    assert_eq!((&json["covered"], &json["of"]), (&8.into(), &16.into()), "{json}");
    let approved = json["items"].as_array().unwrap();
    let approved = approved
        .iter()
        .find(|item| item["key"] == "ask/approved")
        .unwrap();
    assert_eq!(approved["last"]["drill"], next.0, "{json}");
    let page = site.get(&format!("/runbooks/{SLUG}"), &ana).await.text;
    for words in [
        "coverage 8 of 16",
        &format!("<a href=\"/drills/{next}/score\">DRILL-{next}</a> with v1"),
        "ask: rejected",
        "asked for by <a href=\"/drills/scenarios/checkout-standby-lags\">",
        "href=\"/drills/scenarios/checkout-primary-dead#launch-head\"",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_keeps_what_it_leaves_and_undrills_what_it_changes() {
    let (site, _) = site(1).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    assert_eq!(due(&site, &ana, SLUG).await, None, "it was practised yesterday");

    // The last look before publishing says what is lost.
    let changed = RUNBOOK.replace("pg_promote(true, 30)", "pg_promote(true, 60)");
    let op = Uuid::new_v4().to_string();
    let fields = [
        ("op", op.as_str()),
        ("base", "1"),
        ("yaml", &changed),
        ("do", "review"),
    ];
    let look = site.post(&format!("/runbooks/{SLUG}/edit"), &ana, &fields).await;
    assert_eq!(look.status, StatusCode::OK, "{}", look.text);
    for words in ["Drills cover 8 of 16, and 7 of 16 after it.", "promote: done"] {
        assert!(look.text.contains(words), "{words}: {}", look.text);
    }
    assert!(!look.text.contains("send-traffic: done"), "{}", look.text);

    publish(&site, &changed).await;
    let wanted = "coverage 7 of 16, 1 undrilled by changes since v1";
    for address in [
        "/runbooks".to_owned(),
        "/runbooks?show=due".to_owned(),
        format!("/runbooks/{SLUG}"),
    ] {
        let page = site.get(&address, &ana).await.text;
        assert!(page.contains(wanted), "{address}: {page}");
    }
    let page = site
        .get(&format!("/runbooks/{SLUG}/diff?a=1&b=2"), &ana)
        .await
        .text;
    assert!(
        page.contains("Drills cover 8 of 16, and 7 of 16 after it."),
        "{page}"
    );
    // The version that an incident matched is another one than that in use.
    let page = site.get("/incidents/1", &ana).await.text;
    assert!(
        page.contains("coverage 8 of 16") && !page.contains(wanted),
        "{page}"
    );
    let lost = due(&site, &ana, SLUG).await.unwrap();
    assert_eq!(
        (&lost["reason"], &lost["items"], &lost["since"]),
        (&"changed".into(), &1.into(), &1.into())
    );
    assert_eq!(lost["scenarios"][0], SCENARIO, "{lost}");
    let list = site.get("/drills", &ana).await.text;
    assert!(list.contains("1 thing changed since v1 was drilled"), "{list}");
    let due_at = list.find("id=\"due-head\"").unwrap();
    assert!(
        due_at < list.find("id=\"all-head\"").unwrap(),
        "what is due comes first"
    );
    assert!(
        list.contains("<a href=\"/drills/scenarios/checkout-primary-dead#launch-head\">Plan <bdi>"),
        "{list}"
    );

    // Going back to what was practised brings its coverage back.
    publish(&site, RUNBOOK).await;
    assert_eq!(due(&site, &ana, SLUG).await, None);
    let page = site.get("/runbooks", &ana).await.text;
    assert!(page.contains("coverage 8 of 16"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_practised_long_ago_is_due_again() {
    let (site, _) = site(1).await;
    site.clock()
        .set(AFTERWARDS.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + 91 * DAY);
    let (_, ana) = site.person("ana", Role::Viewer).await;
    let old = due(&site, &ana, SLUG).await.unwrap();
    assert_eq!(
        (&old["reason"], &old["items"]),
        (&"old".into(), &8.into()),
        "{old}"
    );
    let never = due(&site, &ana, "web-service-down").await.unwrap();
    assert_eq!(never["reason"], "never", "{never}");
    let list = site.get("/drills", &ana).await.text;
    let (never, old) = (
        list.find("No scenario trains it"),
        list.find("8 things not practised for long"),
    );
    assert!(
        never.is_some() && never < old,
        "nobody has practised comes first: {list}"
    );

    let mut conn = site.conn().await;
    let year = Span::from_secs(365 * 24 * 3600);
    let found = muster::web::drills::due::list(&mut conn, year, site.clock().now())
        .await
        .unwrap();
    assert!(
        !found.iter().any(|one| one.slug == SLUG),
        "the setting says a year"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_keeps_coverage_to_drills_that_are_over() {
    let (site, cards) = site(1).await;
    let now = site.clock().now();
    let mut conn = site.conn().await;
    let (version, _) = runbooks::find_newest(&mut conn, SLUG).await.unwrap().unwrap();
    let all = muster::domain::coverage::items(&version.runbook);
    let one: Vec<_> = all.iter().take(1).collect();
    let mut planned = Vec::new();
    for depth in [Depth::Simulated, Depth::Tabletop] {
        let new = NewPlan {
            version: cards[0].drill.version,
            depth,
            seed: 1,
            trainer: None,
            players: &[],
            planned_for: None,
        };
        planned.push(drill::plan(&mut conn, &new, now).await.unwrap());
    }
    let refused = async |conn: &mut sqlx::PgConnection, id: DrillId| {
        let error = coverage::insert(conn, id, version.id, &one).await.unwrap_err();
        format!("{error:?}")
    };
    let why = "only a drill that is over and in which something was carried out";
    assert!(refused(&mut conn, planned[0]).await.contains(why));
    for id in &planned {
        drill::start(&mut conn, *id, None, now).await.unwrap();
        drill::end(&mut conn, *id, EndKind::Stopped, "", None, now)
            .await
            .unwrap();
        assert_eq!(coverage::of_drill(&mut conn, *id).await.unwrap(), Vec::new());
    }
    assert!(
        refused(&mut conn, planned[0])
            .await
            .contains("did not run in the drill")
    );
    assert!(
        refused(&mut conn, planned[1]).await.contains(why),
        "a tabletop covers nothing"
    );

    // What was kept stays, and keeping it twice comes to the same.
    let drill = cards[0].drill.id;
    coverage::insert(&mut conn, drill, version.id, &one)
        .await
        .unwrap();
    assert_eq!(
        coverage::of_drill(&mut conn, drill).await.unwrap().len(),
        EXERCISED.len()
    );
    for statement in [
        "delete from drill_coverage",
        "update drill_coverage set item = 'x/y'",
    ] {
        let error = conn.execute(statement).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}
