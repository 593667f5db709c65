//! What stands over every run, on the pages and as JSON: who may change it, what everybody sees, and what is kept.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::StreamExt;
use muster::{
    catalog::parse_runbook,
    domain::{
        action::FailureClass,
        id::{IncidentId, RunId},
        operator::{Operator, Role},
    },
    execute::people,
    store::{locks, runbooks},
};
use serde_json::{Value, json};

use crate::support::site::{Answer, Site};

const HOSTILE: &str = "</p><script>alert(1)</script>\u{202e}gnp";

/// A form with an operation of its own.
async fn post(site: &Site, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let op = uuid::Uuid::new_v4().to_string();
    let fields: Vec<(&str, &str)> = [("op", op.as_str())]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    site.post(path, cookie, &fields).await
}

async fn open_circuit(site: &Site, target: &str, reason: &str) {
    let failure = Some((FailureClass::NotSent, reason));
    let (standing, now) = (&site.state.standing, site.clock().now());
    for _ in 0..5 {
        standing
            .report(&site.state.db, target, failure, now)
            .await
            .unwrap();
    }
}

async fn fire(site: &Site, name: &str) {
    let alert = json!({
        "status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Down"},
        "annotations": {"summary": name},
    });
    let body = json!({"receiver": "r", "groupKey": "g", "alerts": [alert]});
    assert_eq!(site.intake.post("prom", body.to_string()).await.0, StatusCode::OK);
}

/// A run that holds the lock.
async fn lock(site: &Site, by: &Operator, name: &str) -> RunId {
    const RUNBOOK: &str = "runbook: drain\ntitle: Drain\nsteps:\n  - id: ask\n    manual: Do it\n";
    let (mut conn, now) = (site.conn().await, site.clock().now());
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "a test", now)
        .await
        .unwrap();
    let run = people::start(&mut conn, IncidentId(1), version.id, &Default::default(), by, now)
        .await
        .unwrap();
    let taken = locks::take_all(&mut conn, run, &[name.to_owned()], now).await;
    assert_eq!(taken.unwrap(), None);
    run
}

#[tokio::test]
async fn a_pause_stands_on_every_page_until_an_approver_resumes() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    fire(&site, "Down").await;
    let pages = [
        "/incidents",
        "/incidents/1",
        "/approvals",
        "/runbooks",
        "/deliveries",
        "/system",
        "/nowhere",
    ];
    let offers = async |cookie: &str, path: &str| {
        let page = site.get("/system", cookie).await;
        page.text.contains(&format!("action=\"{path}\""))
    };
    assert!(!offers(&vic, "/system/pause").await && offers(&rob, "/system/pause").await);
    let forbidden = post(&site, "/system/pause", &vic, &[("reason", "x")]).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let silent = post(&site, "/system/pause", &rob, &[("reason", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    for path in pages {
        let page = site.get(path, &vic).await;
        assert!(!page.text.contains("All automation is paused"), "{path}");
    }

    let op = uuid::Uuid::new_v4().to_string();
    let form = [("op", op.as_str()), ("reason", HOSTILE)];
    for _ in 0..2 {
        let paused = site.post("/system/pause", &rob, &form).await;
        assert_eq!(paused.header("location"), "/system#automation", "{}", paused.text);
    }
    let mut conn = site.conn().await;
    site.state.standing.refresh(&mut conn).await.unwrap();
    for path in pages {
        let page = site.get(path, &vic).await;
        let banner = page.text.split("<aside").nth(1).unwrap_or_default();
        let banner = banner.split("</aside>").next().unwrap();
        for said in ["All automation is paused", "03:00:00", "rob", "&#60;script&#62;"] {
            assert!(banner.contains(said), "{said} on {path}: {banner}");
        }
        assert!(!page.text.contains("<script>") && !page.text.contains('\u{202e}'));
    }
    assert!(
        !site.get("/login", "").await.text.contains("paused"),
        "not for strangers"
    );
    let late = post(&site, "/system/pause", &ana, &[("reason", "me too")]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("paused by rob") && late.text.contains("me too"));

    assert!(!offers(&rob, "/system/resume").await && offers(&ana, "/system/resume").await);
    let forbidden = post(&site, "/system/resume", &rob, &[("reason", "x")]).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let resumed = post(&site, "/system/resume", &ana, &[("reason", "a cable")]).await;
    assert_eq!(resumed.status, StatusCode::SEE_OTHER, "{}", resumed.text);
    site.state.standing.refresh(&mut conn).await.unwrap();
    for path in pages {
        let page = site.get(path, &vic).await;
        assert!(!page.text.contains("All automation is paused"), "{path}");
    }
    let system = site.get("/system", &vic).await.text;
    assert!(
        system.contains("resumed automation: <bdi>a cable</bdi>"),
        "{system}"
    );
    assert_eq!(
        system.matches("paused all automation").count(),
        1,
        "a second tap is none"
    );
}

#[tokio::test]
async fn an_open_page_hears_of_a_pause_and_of_its_end() {
    let site = Site::new().await;
    let (_, rob) = site.person("rob", Role::Approver).await;
    fire(&site, "Down").await;
    let seen = site.get("/incidents/1", &rob).await.field("seen");
    let mut conn = site.conn().await;
    // The second page was read before its connection broke, and still says that it is paused.
    let path = format!("/live?scope=incident:1&after={seen}");
    let mut fresh = site.live(&format!("{path}&paused=no"), &rob).await;
    let mut old = site.live(&format!("{path}&paused=yes"), &rob).await;
    async fn hear(stream: &mut axum::body::BodyDataStream, until: &str) -> String {
        let mut heard = String::new();
        let listening = async {
            while !heard.contains(until) {
                let bytes = stream.next().await.unwrap().unwrap();
                heard.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        };
        // Ticks go on for ever, so the whole of it has its time.
        let is_heard = tokio::time::timeout(Duration::from_secs(20), listening)
            .await
            .is_ok();
        assert!(is_heard, "never heard {until}: {heard}");
        heard
    }
    const GONE: &str = "{\"target\":\"paused\",\"mode\":\"morph\",\"html\":\"\"}";
    let first = hear(&mut fresh, "event: tick").await;
    assert!(
        !first.contains("event: patch"),
        "it has nothing to unlearn: {first}"
    );
    hear(&mut old, GONE).await;

    post(&site, "/system/pause", &rob, &[("reason", "look <here>")]).await;
    site.state.standing.refresh(&mut conn).await.unwrap();
    for stream in [&mut fresh, &mut old] {
        let news = hear(stream, "All automation is paused").await;
        assert!(news.contains("look &#60;here&#62;"), "{news}");
    }
    post(&site, "/system/resume", &rob, &[("reason", "a cable")]).await;
    site.state.standing.refresh(&mut conn).await.unwrap();
    hear(&mut fresh, GONE).await;
}

#[tokio::test]
async fn the_system_page_shows_circuits_freezes_and_locks_or_says_that_there_are_none() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (ana, cookie) = site.person("ana", Role::Approver).await;
    let empty = site.get("/system", &cookie).await.text;
    for words in [
        "It runs.",
        "Every target answers",
        "None is on or planned.",
        "No run holds a lock.",
        "Nothing yet.",
    ] {
        assert!(empty.contains(words), "{words}");
    }

    fire(&site, HOSTILE).await;
    let run = lock(&site, &ana, HOSTILE).await;
    open_circuit(&site, "lb", HOSTILE).await;
    let failure = Some((FailureClass::Lost, "no answer"));
    let now = site.clock().now();
    let report = site.state.standing.report(&site.state.db, "db", failure, now);
    report.await.unwrap();
    let fields = [
        ("title", HOSTILE.trim_end_matches("\u{202e}gnp")),
        ("matchers", r#"env=~"prod|<b>""#),
        ("ends_at", "2026-11-21T05:00"),
        ("reason", "no surprises"),
    ];
    let made = post(&site, "/system/freezes", &cookie, &fields).await;
    assert_eq!(made.header("location"), "/system#freezes", "{}", made.text);

    let page = site.get("/system", &vic).await.text;
    for said in [
        "nothing is sent since <time",
        "next try <time datetime=\"2026-11-21T03:00:10.000Z\"",
        "1 failure in a row, 5 open it",
        "by <bdi>ana</bdi>: <bdi>no surprises</bdi>",
        "env=~&#34;prod|&#60;b&#62;&#34;",
        &format!("<a href=\"/runs/{run}\">run {run} of drain</a>"),
        "<a href=\"/incidents/1\">INC-1</a>",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    assert!(!page.contains("<script>") && !page.contains('\u{202e}'));
    assert!(!page.contains("action=\"/system"), "a viewer is offered nothing");
    assert!(
        site.get("/system", &cookie)
            .await
            .text
            .contains("action=\"/system/circuits/lb/close\"")
    );

    site.clock().advance(Duration::from_secs(10));
    let page = site.get("/system", &vic).await.text;
    assert!(page.contains("the next step that needs it tries it"), "{page}");
    let now = site.clock().now();
    site.state
        .standing
        .admit(&site.state.db, "lb", now)
        .await
        .unwrap();
    let page = site.get("/system", &vic).await.text;
    assert!(
        page.contains("Half-open") && page.contains("one try is under way"),
        "{page}"
    );
}

#[tokio::test]
async fn circuits_and_freezes_are_changed_by_approvers_with_a_reason() {
    let site = Site::new().await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    open_circuit(&site, "lb", "connection refused").await;
    let (close, why) = ("/system/circuits/lb/close", [("reason", "I looked")]);
    let freeze = [
        ("title", "Release week"),
        ("matchers", "env=prod"),
        ("starts_at", "2026-11-21T04:00"),
        ("ends_at", "2026-11-21T05:00:30"),
        ("reason", "no surprises"),
    ];
    for (path, fields) in [
        (close, &why[..]),
        ("/system/freezes", &freeze[..]),
        ("/system/freezes/1/end", &why[..]),
    ] {
        let forbidden = post(&site, path, &rob, fields).await;
        assert_eq!(forbidden.status, StatusCode::FORBIDDEN, "{path}");
        assert!(forbidden.text.contains("approver"), "{path}");
    }
    for (field, value, status, says) in [
        ("matchers", "env=~\"(\"", 422, "at character 1"),
        ("matchers", "env=prod\nx=y", 422, "one line"),
        ("title", "", 422, "the title"),
        ("ends_at", "", 422, "when it ends"),
        ("ends_at", "2026-11-21T04:00", 422, "end after it starts"),
        ("ends_at", "tomorrow", 400, "2026-11-21T03:00"),
        ("starts_at", "2026-02-31T00:00", 400, "The start"),
        ("reason", "", 422, "why"),
    ] {
        let fields = freeze.map(|(name, given)| (name, if name == field { value } else { given }));
        let refused = post(&site, "/system/freezes", &ana, &fields).await;
        assert_eq!(refused.status.as_u16(), status, "{field}: {value}");
        assert!(
            refused.text.to_lowercase().contains(&says.to_lowercase()),
            "{says}: {}",
            refused.text
        );
        if field != "matchers" {
            assert!(refused.text.contains("env=prod"), "what was typed is kept");
        }
    }
    let made = post(&site, "/system/freezes", &ana, &freeze).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let page = site.get("/system", &ana).await.text;
    assert!(
        page.contains("Planned") && page.contains("Release week"),
        "{page}"
    );
    let ended = post(&site, "/system/freezes/1/end", &ana, &why).await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER, "{}", ended.text);
    let late = post(&site, "/system/freezes/1/end", &ana, &why).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    let nothing = post(&site, "/system/freezes/9/end", &ana, &why).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);

    let closed = post(&site, close, &ana, &why).await;
    assert_eq!(closed.status, StatusCode::SEE_OTHER, "{}", closed.text);
    let late = post(&site, close, &ana, &why).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    let page = site.get("/system", &ana).await.text;
    for said in [
        "None is on or planned.",
        "Every target answers",
        "closed the circuit of <bdi>lb</bdi>",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
}

#[tokio::test]
async fn programs_read_and_change_the_same_as_json() {
    let site = Site::new().await;
    let (me, rob) = site.person("rob", Role::Responder).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    let get = async |path: &str| site.get(&format!("/api/v1{path}"), &rob).await.json();
    let send = async |cookie: &str, path: &str, body: Value| {
        let answer = site
            .post_json(&format!("/api/v1{path}"), cookie, &body.to_string())
            .await;
        let code = match answer.status.is_success() {
            true => Value::Null,
            false => answer.json()["error"]["code"].clone(),
        };
        (
            answer.status.as_u16(),
            code.as_str().unwrap_or_default().to_owned(),
        )
    };
    let ok = |status: u16| (status, String::new());
    let no = |status: u16, code: &str| (status, code.to_owned());
    let why = json!({"reason": "because"});

    assert_eq!(
        get("/pause").await,
        json!({"paused": false, "at": null, "by": null, "reason": null})
    );
    assert_eq!(send(&rob, "/pause", json!({})).await, no(422, "refused"));
    assert_eq!(send(&rob, "/pause", why.clone()).await, ok(200));
    assert_eq!(
        get("/pause").await,
        json!({"paused": true, "at": "2026-11-21T03:00:00Z", "by": "rob", "reason": "because"})
    );
    assert_eq!(send(&rob, "/pause", why.clone()).await, no(409, "moved_on"));
    assert_eq!(send(&rob, "/resume", why.clone()).await, no(403, "forbidden"));
    assert_eq!(send(&ana, "/resume", why.clone()).await, ok(200));
    assert_eq!(get("/pause").await["paused"], false);

    open_circuit(&site, "lb", "connection refused").await;
    assert_eq!(
        get("/circuits").await,
        json!([{
            "target": "lb", "state": "open", "failures": null, "since": "2026-11-21T03:00:00Z",
            "reason": "connection refused", "next_try_at": "2026-11-21T03:00:10Z",
            "changed_at": "2026-11-21T03:00:00Z",
        }])
    );
    let close = "/circuits/lb/close";
    assert_eq!(send(&rob, close, why.clone()).await, no(403, "forbidden"));
    assert_eq!(send(&ana, close, why.clone()).await, ok(204));
    assert_eq!(send(&ana, close, why.clone()).await, no(409, "moved_on"));
    assert_eq!(get("/circuits").await, json!([]));

    let freeze = json!({
        "title": "Release week", "matchers": "{env=prod}", "ends_at": "2026-11-21T06:00:00+01:00", "reason": "because",
    });
    assert_eq!(send(&rob, "/freezes", freeze.clone()).await, no(403, "forbidden"));
    assert_eq!(
        send(&ana, "/freezes", json!({"title": "x"})).await,
        no(400, "unreadable")
    );
    assert_eq!(send(&ana, "/freezes", freeze.clone()).await, ok(201));
    assert_eq!(
        get("/freezes").await,
        json!([{
            "id": 1, "title": "Release week", "matchers": ["env=\"prod\""], "on": true, "reason": "because",
            "starts_at": "2026-11-21T03:00:00Z", "ends_at": "2026-11-21T05:00:00Z", "created_by": "ana",
            "created_at": "2026-11-21T03:00:00Z",
        }])
    );
    assert_eq!(
        send(&rob, "/freezes/1/end", why.clone()).await,
        no(403, "forbidden")
    );
    assert_eq!(send(&ana, "/freezes/1/end", why.clone()).await, ok(204));
    assert_eq!(
        send(&ana, "/freezes/1/end", why.clone()).await,
        no(409, "moved_on")
    );
    assert_eq!(
        send(&ana, "/freezes/2/end", why.clone()).await,
        no(404, "not_found")
    );
    assert_eq!(get("/freezes").await, json!([]));

    assert_eq!(get("/locks").await, json!([]));
    fire(&site, "Down").await;
    let run = lock(&site, &me, "postgres/checkout").await;
    assert_eq!(
        get("/locks").await,
        json!([{
            "lock": "postgres/checkout", "run": run, "runbook": "drain", "incident": 1, "incident_title": "Down",
            "since": "2026-11-21T03:00:00Z",
        }])
    );

    let acts = get("/acts?limit=3").await;
    let done: Vec<&Value> = acts["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["act"])
        .collect();
    assert_eq!(done, ["freeze_ended", "freeze_made", "circuit_closed"]);
    assert_eq!(
        acts["rows"][1]["subject"],
        "Release week (env=\"prod\", until 21 Nov 2026 05:00:00 UTC)"
    );
    let older = get(&format!("/acts?before={}", acts["next"])).await;
    assert_eq!(older["rows"][1]["act"], "paused");
    assert_eq!(older["rows"][1]["by"], "rob");
    assert!(older.get("next").is_none());
}
