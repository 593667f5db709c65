//! Whether a runbook can be trusted: its track, its numbers, what it matched, what its versions did otherwise.

use std::time::Duration;

use axum::http::StatusCode;
use muster::domain::run::RunResult;

use super::{World, text};

#[tokio::test]
async fn a_runbook_without_a_past_says_so_and_one_with_a_past_does_not_pretend() {
    let world = World::new().await;
    world
        .publish(&text("shop", "Down", "services: [shop]\nowner: web\n"))
        .await;
    let fresh = world.page("/runbooks/shop", &world.rob).await;
    for words in [
        "v1 · never run · never drilled · credentials never checked",
        "It has never run, so there are no numbers",
        "None so far.",
    ] {
        assert!(fresh.contains(words), "{words}: {fresh}");
    }

    let incident = world.fire("Down").await;
    world
        .run("shop", incident, Duration::from_secs(41), RunResult::Succeeded)
        .await;
    world
        .run("shop", incident, Duration::from_secs(90), RunResult::Failed)
        .await;
    let page = world.page("/runbooks/shop", &world.rob).await;
    let track = "last run TIME, failed</strong> · never drilled · 1 of 2 runs worked · median 41 s";
    assert!(page.contains(track), "{page}");
    assert!(
        page.contains("href=\"/incidents/1/runs/new?runbook=shop\""),
        "{page}"
    );

    // A run of the version before says nothing of this one.
    world
        .publish(&text("shop", "Down", "summary: New.\nservices: [shop]\n"))
        .await;
    let page = world.page("/runbooks/shop", &world.rob).await;
    assert!(page.contains("v2 · "), "{page}");
    assert!(
        page.contains("this version has not run; v1 ran TIME, failed"),
        "{page}"
    );
    let old = world.page("/runbooks/shop?version=1", &world.rob).await;
    assert!(old.contains("Version 2 is in use, not this one."), "{old}");

    // The newest look at the version in use is told, and what was missing.
    world
        .sql(
            "insert into preflights (incident_id, version_id, state, queued_at, due, report, finished_at)
             select 1, current_version_id, 'done', now(), now(), '{\"steps\": [{\"verdict\": {\"verdict\": \"broken\",
                    \"fault\": \"secret\", \"reason\": \"secret env:LB_TOKEN is not set\"}}]}', now() from runbooks",
        )
        .await;
    let list = world.page("/runbooks", &world.rob).await;
    assert!(
        list.contains("credential missing: secret env:LB_TOKEN is not set, seen TIME"),
        "{list}"
    );
}

#[tokio::test]
async fn a_start_asks_twice_where_a_credential_was_missing() {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    let incident = world.fire("Down").await;
    let page = format!("/incidents/{incident}/runs/new?runbook=shop");
    let calm = world.page(&page, &world.rob).await;
    assert!(!calm.contains("name=\"despite\""), "{calm}");
    world
        .sql(
            "insert into preflights (incident_id, version_id, state, queued_at, due, report, finished_at)
             select 1, current_version_id, 'done', now(), now(), '{\"steps\": [{\"verdict\": {\"verdict\": \"broken\",
                    \"fault\": \"secret\", \"reason\": \"secret env:LB_TOKEN is not set\"}}]}', now() from runbooks
             on conflict (incident_id, version_id) do update set state = 'done', report = excluded.report,
                    finished_at = excluded.finished_at",
        )
        .await;
    let told = world.page(&page, &world.rob).await;
    assert!(
        told.contains("A credential was missing when Muster looked TIME: secret env:LB_TOKEN is not set.")
            && told.contains("name=\"despite\" value=\"yes\" required"),
        "{told}"
    );
    let form = world.site.get(&page, &world.rob).await;
    let (op, version) = (form.field("op"), form.field("version"));
    let (path, runs) = (format!("/incidents/{incident}/runs"), "select count(*) from runs");
    let once = [("op", op.as_str()), ("version", &version)];
    let refused = world.site.post(&path, &world.rob, &once).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("env:LB_TOKEN"), "{}", refused.text);
    assert_eq!(world.site.intake.database.count(runs).await, 0);
    let twice = [once[0], once[1], ("despite", "yes")];
    let started = world.site.post(&path, &world.rob, &twice).await;
    assert_eq!(started.status, StatusCode::SEE_OTHER, "{}", started.text);
    assert_eq!(world.site.intake.database.count(runs).await, 1);
}

#[tokio::test]
async fn steps_and_gates_of_past_runs_are_timed() {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "")).await;
    let incident = world.fire("Down").await;
    for seconds in [10, 30] {
        world
            .run(
                "shop",
                incident,
                Duration::from_secs(seconds),
                RunResult::Succeeded,
            )
            .await;
    }
    world
        .sql(
            "insert into approvals (run_id, incident_id, step, state, bound, digest, rule, title, impact, opened_at,
                                    decide_by, use_by, decided_at)
             select id, incident_id, 'ask', 'approved', '{}', decode(repeat('00', 32), 'hex'), '{}', 't', '',
                    started_at, started_at, started_at, started_at + id * interval '20 s' from runs",
        )
        .await;
    world
        .sql(
            "insert into attempts (run_id, step, attempt, effect, idempotency_key, fence, request, command, state,
                                   started_at, finished_at)
             select id, step, 1, 'safe', 'k', 1, '{}', '', state, started_at, started_at + interval '4 s'
             from runs, (values ('pause[0]', 'succeeded'), ('pause[1]', 'failed'), ('undo:pause', 'failed')) s (step, state)
             where id = 1",
        )
        .await;
    let page = world.page("/runbooks/shop", &world.rob).await;
    for words in [
        "2 of 2 approved · waited, median 20 s · 9 of 10 within 40 s",
        "aria-label=\"ask: 2 runs, 2 worked, half of those that worked within 20 s; the longest took 40 s.\"",
        // One item failed, so the step did; what takes it back is not counted.
        "0 of 1 worked",
        "<td>pause</td><td><a href=\"/runs/1\">1</a></td><td>4 s</td><td>failed</td>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test]
async fn the_library_finds_by_words_service_team_and_past() {
    let world = World::new().await;
    let empty = world.page("/runbooks", &world.ana).await;
    assert!(empty.contains("/runbooks/new?sample=web-service-down"), "{empty}");
    world
        .publish(&text("shop", "Down", "services: [shop]\nowner: web\n"))
        .await;
    world
        .publish(&text("disk", "Full", "services: [disk]\nowner: ops\n"))
        .await;
    world.publish(&text("sleepy", "Never", "")).await;
    let incident = world.fire("Down").await;
    world
        .run("shop", incident, Duration::from_secs(1), RunResult::Succeeded)
        .await;
    world
        .sql(
            "insert into matches (incident_id, version_id, alert_id, report, at)
             select 1, b.current_version_id, (select min(id) from alerts), '{}', now() from runbooks b
             where b.slug = 'shop'",
        )
        .await;
    for (query, found) in [
        ("", &["shop", "disk", "sleepy"][..]),
        ("?q=DISK", &["disk"]),
        ("?service=shop", &["shop"]),
        ("?owner=ops", &["disk"]),
        ("?show=unmatched", &["disk", "sleepy"]),
        ("?show=unrun&q=disk", &["disk"]),
        ("?q=nothing", &[]),
    ] {
        let page = world.page(&format!("/runbooks{query}"), &world.rob).await;
        for slug in ["shop", "disk", "sleepy"] {
            let is_there = page.contains(&format!("<a href=\"/runbooks/{slug}\">"));
            assert_eq!(is_there, found.contains(&slug), "{query} {slug}: {page}");
        }
        let says_filter = page.contains("Clear the filter");
        assert_eq!(says_filter, !query.is_empty(), "{query}");
    }
    let matched = world.page("/runbooks/shop", &world.rob).await;
    assert!(
        matched.contains("by v1 · <a href=\"/incidents/1/runbooks\">why</a>"),
        "{matched}"
    );
}

#[tokio::test]
async fn any_two_versions_are_compared_and_a_lost_gate_is_said_first() {
    let world = World::new().await;
    let one = text("shop", "Down", "");
    let two = one
        .replace("  - id: ask\n    gate: {}\n", "")
        .replace("wait: 1s", "wait: 2s");
    let three = two.replace("wait: 2s", "wait: 3s");
    for source in [&one, &two, &three] {
        world.publish(source).await;
    }
    let list = world.page("/runbooks/shop/versions", &world.rob).await;
    for words in [
        "never run",
        "/runbooks/shop/diff?a=2&amp;b=3",
        "name=\"a\" value=\"2\"",
        "in use",
    ] {
        assert!(list.contains(words), "{words}: {list}");
    }
    let older = world.page("/runbooks/shop/versions?before=2", &world.rob).await;
    assert!(older.contains("v1</a>") && !older.contains("v2</a>"), "{older}");

    let far = world.page("/runbooks/shop/diff?a=1&b=3", &world.rob).await;
    let gate = far.find("gate ask removed").unwrap_or_else(|| panic!("{far}"));
    let wait = far
        .find("step pause: wait 1s → 3s")
        .unwrap_or_else(|| panic!("{far}"));
    assert!(
        gate < wait && far.contains("Less careful</span> gate ask removed"),
        "{far}"
    );
    assert!(far.contains("removed: </span>  - id: ask"), "{far}");
    let back = world.page("/runbooks/shop/diff?a=3&b=1", &world.rob).await;
    assert!(
        back.contains("gate ask added") && !back.contains("Less careful"),
        "{back}"
    );
    for gone in ["a=1&b=9", "a=0&b=1"] {
        let path = format!("/runbooks/shop/diff?{gone}");
        let answer = world.site.get(&path, &world.rob).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{gone}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_version_that_waits_for_me_is_the_first_thing_the_library_says() {
    let world = World::new().await;
    world.publish(&text("shop", "Down", "review: 1\n")).await;
    let next = text("shop", "Down", "summary: New.\nreview: 1\n");
    let body = serde_json::json!({"yaml": next, "note": "why"}).to_string();
    let made = world.site.post_json("/api/v1/runbooks", &world.ana, &body).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.text);
    let mine = world.page("/runbooks", &world.eve).await;
    assert!(mine.contains("1 version waits for your review"), "{mine}");
    for cookie in [&world.ana, &world.rob] {
        let others = world.page("/runbooks", cookie).await;
        assert!(others.contains("Waiting for others to review"), "{others}");
    }
}
