//! A storm of incidents folded under one of them, by hand and by rule: the list shows one, each stays its own.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::future::join;
use muster::{
    domain::{
        event::first_broken_link,
        id::IncidentId,
        operator::{Operator, Role},
        sentence::sentence,
        source::{FoldRule, SourceSettings},
        span::Span,
    },
    incident::{
        fold::{self, Chosen},
        merge,
    },
    store::events,
};
use serde_json::{Value, json};

use crate::support::site::Site;

const MINUTE: Duration = Duration::from_secs(60);
const STORM: usize = 2_000;

struct Ward {
    site: Site,
    epoch: DateTime<Utc>,
    ana: Operator,
    cookie: String,
}

impl Ward {
    async fn new() -> Self {
        let site = Site::new().await;
        let (ana, cookie) = site.person("ana", Role::Responder).await;
        let epoch = site.clock().now();
        Self {
            site,
            epoch,
            ana,
            cookie,
        }
    }

    async fn source(&self, name: &str, over: u32) {
        let settings = SourceSettings {
            storm_fold: Some(FoldRule {
                over,
                within: Span::from_secs(300),
            }),
            ..SourceSettings::default()
        };
        self.site.intake.source_with(name, settings).await;
    }

    fn body(&self, group: &str, start: i64, end: Option<i64>) -> Value {
        let at = |second: i64| {
            (self.epoch + TimeDelta::seconds(second)).to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        json!({"receiver": "r", "groupKey": group, "alerts": [{
            "status": if end.is_some() { "resolved" } else { "firing" },
            "labels": {"alertname": group},
            "startsAt": at(start),
            "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), at),
        }]})
    }

    async fn says(&self, source: &str, group: &str, start: i64, end: Option<i64>) {
        let body = self.body(group, start, end).to_string();
        let (status, answer) = self.site.intake.post(source, body).await;
        assert!(status.is_success(), "{answer}");
        self.site.clock().advance(Duration::from_secs(1));
    }

    /// `(incident, state, what it is folded under)`
    async fn folds(&self) -> Vec<(i64, String, Option<i64>)> {
        sqlx::query_as("select id, state, folded_under from incidents order by id")
            .fetch_all(&self.site.intake.database.pools.web)
            .await
            .unwrap()
    }

    async fn under(&self) -> Vec<Option<i64>> {
        self.folds()
            .await
            .into_iter()
            .map(|(_, _, under)| under)
            .collect()
    }

    async fn story(&self, id: i64) -> Vec<String> {
        let mut conn = self.site.conn().await;
        let told = events::list_after(&mut conn, IncidentId(id), 0, 1000)
            .await
            .unwrap();
        assert_eq!(first_broken_link(IncidentId(id), &told), None);
        told.iter().map(|recorded| sentence(&recorded.event)).collect()
    }

    async fn fold(&self, parent: i64, children: &[i64]) -> Result<usize, String> {
        let mut tx = self.site.intake.database.pools.web.begin().await.unwrap();
        let chosen = Chosen::These(children.iter().map(|id| IncidentId(*id)).collect());
        let now = self.site.clock().now();
        let folded = fold::fold(&mut tx, IncidentId(parent), &chosen, "one cause", &self.ana, now)
            .await
            .map_err(|error| error.to_string())?;
        tx.commit().await.unwrap();
        Ok(folded.len())
    }

    async fn list(&self, query: &str) -> Value {
        let path = format!("/api/v1/incidents{query}");
        self.site.get(&path, &self.cookie).await.json()
    }
}

fn numbers(list: &Value) -> Vec<(i64, i64)> {
    let rows = list["items"]
        .as_array()
        .or_else(|| list["rows"].as_array())
        .unwrap();
    rows.iter()
        .map(|row| (row["id"].as_i64().unwrap(), row["below"].as_i64().unwrap()))
        .collect()
}

#[tokio::test]
async fn chosen_incidents_are_folded_by_the_page_and_each_goes_on_alone() {
    let ward = Ward::new().await;
    for group in ["a", "b", "c", "d"] {
        ward.says("prom", group, 0, None).await;
    }
    let form = ward.site.get("/incidents/1/fold", &ward.cookie).await;
    assert_eq!(form.status, StatusCode::OK);
    for number in 2..=4 {
        assert!(form.text.contains(&format!("name=\"child\" value=\"{number}\"")));
    }
    let op = form.field("op");
    let fields = [
        ("op", op.as_str()),
        ("child", "2"),
        ("child", "3"),
        ("reason", "the same switch"),
    ];
    let (first, second) = join(
        ward.site.post("/incidents/1/fold", &ward.cookie, &fields),
        ward.site.post("/incidents/1/fold", &ward.cookie, &fields),
    )
    .await;
    assert_eq!(
        (first.status, second.status),
        (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER)
    );
    assert_eq!(ward.under().await, [None, Some(1), Some(1), None]);
    assert_eq!(numbers(&ward.list("").await), [(4, 0), (1, 2)]);
    assert_eq!(numbers(&ward.list("?under=1").await), [(3, 0), (2, 0)]);
    let list = ward.site.get("/incidents", &ward.cookie).await.text;
    assert!(
        list.contains("<a href=\"/incidents?under=1\">and 2 below it</a>"),
        "{list}"
    );
    assert!(!list.contains("id=\"inc-2\""), "{list}");
    let below = ward.site.get("/incidents?under=1", &ward.cookie).await.text;
    assert!(
        below.contains("id=\"inc-2\"") && !below.contains("id=\"inc-4\""),
        "{below}"
    );
    let page = ward.site.get("/incidents/1", &ward.cookie).await.text;
    assert!(page.contains("Stands for 2 incidents, 2 open"), "{page}");
    let above = ward.story(1).await;
    assert_eq!(
        above
            .iter()
            .filter(|line| line.starts_with("Folded"))
            .collect::<Vec<_>>(),
        ["Folded under it: INC-2, INC-3: the same switch"]
    );
    assert!(
        ward.story(3)
            .await
            .contains(&"Folded under INC-1: the same switch".to_owned())
    );

    // Each has its own end.
    ward.says("prom", "b", 0, Some(10)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    let folds = ward.folds().await;
    assert_eq!(
        (folds[1].1.as_str(), folds[2].1.as_str()),
        ("resolved", "triggered")
    );
    assert_eq!(numbers(&ward.list("").await), [(4, 0), (1, 1)]);
    assert_eq!(numbers(&ward.list("?state=all").await), [(4, 0), (1, 2)]);
    // It comes back where it was.
    ward.says("prom", "b", 200, None).await;
    assert_eq!(ward.under().await, [None, Some(1), Some(1), None]);
    assert_eq!(numbers(&ward.list("").await), [(4, 0), (1, 2)]);
    // What is open is never hidden under what is over.
    ward.says("prom", "a", 0, Some(210)).await;
    ward.site.intake.pass(2 * MINUTE).await;
    assert_eq!(numbers(&ward.list("").await), [(4, 0), (3, 0), (2, 0)]);
}

#[tokio::test]
async fn a_fold_has_one_floor_and_is_taken_back() {
    let ward = Ward::new().await;
    for group in ["a", "b", "c", "d", "e"] {
        ward.says("prom", group, 0, None).await;
    }
    assert_eq!(ward.fold(2, &[3]).await, Ok(1));
    let refusal = ward.fold(3, &[4]).await.unwrap_err();
    assert!(refusal.contains("INC-3 is folded under INC-2"), "{refusal}");
    // What stands for another one brings it along.
    assert_eq!(ward.fold(1, &[1, 2, 4]).await, Ok(3));
    assert_eq!(ward.under().await, [None, Some(1), Some(1), Some(1), None]);
    let refusal = ward.fold(1, &[2, 77]).await.unwrap_err();
    assert!(refusal.contains("none of these"), "{refusal}");
    assert!(
        ward.fold(77, &[1])
            .await
            .unwrap_err()
            .contains("no such incident")
    );

    // A form without a tick, or with a time that is none, says what is missing and leads back.
    for (fields, words) in [
        (vec![("reason", "x")], "Tick at least one incident"),
        (
            vec![("source", "prom"), ("within", "yesterday")],
            "Write how far back",
        ),
        (
            vec![("source", "no\0body"), ("within", "15m")],
            "There is no such source",
        ),
    ] {
        let op = ward.site.get("/incidents/1/fold", &ward.cookie).await.field("op");
        let fields: Vec<(&str, &str)> = [("op", op.as_str())].into_iter().chain(fields).collect();
        let refused = ward.site.post("/incidents/1/fold", &ward.cookie, &fields).await;
        assert!(refused.status.is_client_error(), "{}", refused.status);
        for words in [words, "href=\"/incidents/1/fold\""] {
            assert!(refused.text.contains(words), "{words}: {}", refused.text);
        }
    }

    // One stands for itself again, then all.
    let page = ward.site.get("/incidents/3", &ward.cookie).await;
    assert!(
        page.text.contains("Folded under <a href=\"/incidents/1\">"),
        "{}",
        page.text
    );
    assert!(page.text.contains("<button>Unfold it from INC-1</button>"));
    let above = ward.site.get("/incidents/1", &ward.cookie).await.text;
    assert!(
        above.contains("<button>Unfold the 3 below it</button>"),
        "{above}"
    );
    let op = page.field("op");
    let out = ward
        .site
        .post("/incidents/3/unfold", &ward.cookie, &[("op", &op)])
        .await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert_eq!(ward.under().await, [None, Some(1), None, Some(1), None]);
    assert!(
        ward.story(3)
            .await
            .contains(&"No longer folded under INC-1".to_owned())
    );
    let out = ward
        .site
        .post_json("/api/v1/incidents/1/unfold", &ward.cookie, "")
        .await;
    assert_eq!(out.json(), json!({"incidents": [2, 4]}));
    assert_eq!(ward.under().await, [None; 5]);
    let again = ward
        .site
        .post_json("/api/v1/incidents/1/unfold", &ward.cookie, "")
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(
        ward.story(1)
            .await
            .contains(&"No longer folded under it: INC-2, INC-4".to_owned())
    );

    // All of a source, by a program; and what is merged takes along what it stood for.
    let all = ward
        .site
        .post_json(
            "/api/v1/incidents/5/fold",
            &ward.cookie,
            "{\"source\": \"prom\", \"within\": \"1h\"}",
        )
        .await;
    assert_eq!(all.json(), json!({"incidents": [1, 2, 3, 4]}), "{}", all.text);
    let mut tx = ward.site.intake.database.pools.web.begin().await.unwrap();
    let now = ward.site.clock().now();
    merge::merge(&mut tx, IncidentId(5), IncidentId(1), "", &ward.ana, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ward.under().await, [None, Some(1), Some(1), Some(1), None]);
    let too_far = ward
        .site
        .post_json(
            "/api/v1/incidents/1/fold",
            &ward.cookie,
            "{\"source\": \"prom\", \"within\": \"30d\"}",
        )
        .await;
    assert_eq!(too_far.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_rule_folds_a_storm_and_what_follows_it_and_not_what_people_took_out() {
    let ward = Ward::new().await;
    ward.source("net", 3).await;
    for group in ["a", "b", "c"] {
        ward.says("net", group, 0, None).await;
    }
    ward.says("prom", "other", 0, None).await;
    ward.site.intake.pass(Duration::ZERO).await;
    assert_eq!(ward.under().await, [None; 4], "not more than the rule lets stand");
    ward.says("net", "d", 0, None).await;
    ward.site.intake.pass(Duration::ZERO).await;
    assert_eq!(ward.under().await, [None, Some(1), Some(1), None, Some(1)]);
    ward.says("net", "e", 0, None).await;
    ward.site.intake.pass(Duration::ZERO).await;
    assert_eq!(ward.under().await[5], Some(1), "it joins the fold that stands");
    let told = ward.story(1).await;
    assert!(
        told.contains(
            &"Folded under it: INC-2, INC-3, INC-5: a storm: net opened more than 3 in 5m".to_owned()
        ),
        "{told:#?}"
    );
    let before = ward
        .site
        .intake
        .database
        .count("select count(*) from events")
        .await;
    ward.site.intake.pass(Duration::ZERO).await;
    assert_eq!(
        ward.site
            .intake
            .database
            .count("select count(*) from events")
            .await,
        before,
        "a second look changes nothing"
    );
    // What a person takes out stays out.
    let out = ward
        .site
        .post_json("/api/v1/incidents/2/unfold", &ward.cookie, "")
        .await;
    assert_eq!(out.status, StatusCode::OK);
    ward.says("net", "f", 0, None).await;
    ward.site.intake.pass(Duration::ZERO).await;
    assert_eq!(
        ward.under().await,
        [None, None, Some(1), None, Some(1), Some(1), Some(1)]
    );
    // A later one, alone, stands for itself.
    ward.site.intake.pass(10 * MINUTE).await;
    ward.says("net", "g", 600, None).await;
    ward.site.intake.pass(Duration::ZERO).await;
    assert_eq!(ward.under().await[7], None);
}

#[tokio::test]
async fn two_thousand_groups_are_folded_at_once() {
    let ward = Ward::new().await;
    ward.source("net", 20).await;
    let mut conn = ward.site.conn().await;
    sqlx::query(
        "insert into incidents (title, severity, state, source_id, receiver, group_key, correlation_key, context,
                                opened_at, detected_at)
         select 'Link ' || n, 3, 'triggered', (select id from sources where name = 'net'), 'r', n::text,
                sha256(n::text::bytea), '{}', $1, $1 from generate_series(1, $2) n",
    )
    .bind(ward.site.clock().now())
    .bind(STORM as i32)
    .execute(&mut *conn)
    .await
    .unwrap();
    let folded = fold::fold_storms(&mut conn, ward.site.clock().now())
        .await
        .unwrap();
    assert_eq!(folded, STORM - 1);
    assert_eq!(
        ward.site
            .intake
            .database
            .count("select count(*) from events where kind = 'folded_under'")
            .await,
        STORM as i64 - 1
    );
    assert_eq!(numbers(&ward.list("").await), [(1, STORM as i64 - 1)]);
    let list = ward.site.get("/incidents", &ward.cookie).await.text;
    assert!(list.contains("and 1,999 below it"), "{list}");
    assert!(
        ward.story(1)
            .await
            .iter()
            .any(|line| line.contains("and 1989 more"))
    );
    assert_eq!(ward.story(1_500).await.len(), 1);
}
