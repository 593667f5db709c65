//! Why each runbook did or did not match an incident: the line that came closest, and the values that were there instead.

use axum::http::StatusCode;
use muster::{
    catalog,
    domain::{
        id::{AlertId, IncidentId},
        labels::Labels,
        operator::Role,
    },
    matching::{self, Asked},
    store::runbooks,
};
use serde_json::{Value, json};

use crate::support::site::Site;

fn runbook(slug: &str, triggers: &str) -> String {
    format!(
        "runbook: {slug}\ntitle: The {slug} one\n{triggers}start: suggest\nsteps:\n  - id: pause\n    wait: 1m\n"
    )
}

async fn publish(site: &Site, slug: &str, triggers: &str) {
    let source = runbook(slug, triggers);
    let parsed = catalog::parse_runbook(&source).unwrap().runbook;
    let mut conn = site.conn().await;
    let now = site.clock().now();
    runbooks::publish(&mut conn, &parsed, &source, "a.yaml", now)
        .await
        .unwrap();
}

async fn fire(site: &Site) {
    let alert = |labels: Value| {
        json!({"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "endsAt": "0001-01-01T00:00:00Z",
               "labels": labels})
    };
    let body = json!({"receiver": "r", "groupKey": "g", "alerts": [
        alert(json!({"alertname": "DiskFull", "team": "web", "instance": "</p><script>alert(1)</script>"})),
        alert(json!({"alertname": "DiskFull", "team": "db", "disk": "sda"})),
    ]});
    let (status, answer) = site.intake.post("prom", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn each_runbook_that_did_not_match_says_what_was_there_instead() {
    let site = Site::new().await;
    let (_, cookie) = site.person("vic", Role::Viewer).await;
    fire(&site).await;
    let near = "match:\n  - alertname=\"CpuHot\", team=\"ops\", disk=\"sdb\"\n  - alertname=\"DiskFull\", disk=\"sdb\", team=\"db\"\n";
    publish(&site, "near", near).await;
    publish(&site, "absent", "match: ['rack=\"7\"']\n").await;
    publish(&site, "by-hand", "").await;
    publish(&site, "late", "match: ['alertname=\"DiskFull\"']\n").await;
    publish(&site, "script", "match: ['instance=\"none\"']\n").await;

    let body = site.get("/api/v1/incidents/1/runbooks", &cookie).await.json();
    assert_eq!((&body["alerts"], &body["matched"]), (&json!(2), &json!([])));
    let missed: Vec<(&str, &Value, &Value)> = body["missed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|miss| {
            (
                miss["runbook"].as_str().unwrap(),
                &miss["closest_line"],
                &miss["applies_now"],
            )
        })
        .collect();
    assert_eq!(
        missed,
        [
            ("absent", &json!(0), &json!(false)),
            ("by-hand", &Value::Null, &json!(false)),
            ("late", &json!(0), &json!(true)),
            ("near", &json!(1), &json!(false)),
            ("script", &json!(0), &json!(false)),
        ]
    );
    let line = &body["missed"][3]["report"]["lines"][1]["matchers"];
    assert_eq!(
        *line,
        json!([
            {"matcher": "alertname=\"DiskFull\"", "actual": "DiskFull", "holds": true},
            {"matcher": "disk=\"sdb\"", "actual": "sda", "holds": false},
            {"matcher": "team=\"db\"", "actual": "db", "holds": true},
        ])
    );

    let incident = site.get("/incidents/1", &cookie).await.text;
    assert!(incident.contains("href=\"/incidents/1/runbooks\""), "{incident}");
    let page = site.get("/incidents/1/runbooks", &cookie).await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "2 alerts of the incident",
        "does not hold</span> <code><bdi>disk=&#34;sdb&#34;</bdi></code> met <code><bdi>sda</bdi></code>",
        "<bdi>rack=&#34;7&#34;</bdi></code> met no such label",
        "It has no trigger: only people start it.",
        "It would match now",
        "1 more line of its trigger",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains("<script>alert"), "{}", page.text);

    // What matched is said with its values, and not named among the others.
    {
        let mut conn = site.conn().await;
        let shelf = runbooks::list_current(&mut conn).await.unwrap();
        let labels = Labels::from([("alertname", "DiskFull")]);
        let asked = [Asked {
            incident: IncidentId(1),
            is_new: false,
            alerts: vec![(AlertId(1), &labels)],
        }];
        matching::record(&mut conn, &asked, &shelf, site.clock().now())
            .await
            .unwrap();
    }
    let page = site.get("/incidents/1/runbooks", &cookie).await.text;
    let (matched, missed) = page.split_once("Runbooks that did not match").unwrap();
    assert!(
        matched.contains("/runbooks/late") && matched.contains("holds</span>"),
        "{matched}"
    );
    assert!(!missed.contains("/runbooks/late"), "{missed}");
}

#[tokio::test]
async fn many_runbooks_are_shown_in_pages() {
    let site = Site::new().await;
    let (_, cookie) = site.person("vic", Role::Viewer).await;
    fire(&site).await;
    for n in 0..55 {
        publish(&site, &format!("book-{n:02}"), "match: ['rack=\"7\"']\n").await;
    }
    let first = site.get("/incidents/1/runbooks", &cookie).await.text;
    assert!(first.contains("book-49") && !first.contains("/runbooks/book-50"));
    assert!(first.contains("/incidents/1/runbooks?after=book-49"), "{first}");
    let next = site
        .get("/api/v1/incidents/1/runbooks?after=book-49", &cookie)
        .await
        .json();
    assert_eq!(
        (next["missed"].as_array().unwrap().len(), &next["next"]),
        (5, &Value::Null)
    );
    let missing = site.get("/incidents/77/runbooks", &cookie).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
