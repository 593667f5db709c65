//! What starts by itself, and what is only suggested because people said so.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    catalog::parse_runbook,
    domain::{
        event::{Event, IncidentFact},
        id::IncidentId,
        operator::{Operator, Role},
    },
    execute::control,
    receive::ReceiverParts,
    store::{events, runbooks, teams},
    web::hooks::{HookLimits, Hooks},
};
use serde_json::json;
use sqlx::{Postgres, pool::PoolConnection};
use tokio::sync::watch;

use super::{asked, freeze, person};
use crate::support::intake::{self, Intake, TOKEN, parts};

const AUTOMATIC: &str = r#"
runbook: restart
title: Restart it
match: ['alertname="Down"']
start: automatic
steps:
  - id: look
    check: http
    with: { target: shop, method: GET, path: / }
"#;

/// An intake with a runbook that starts by itself.
struct Starts {
    intake: Intake,
    hooks: Router,
    ana: Operator,
}

impl Starts {
    async fn new() -> Self {
        Self::of(AUTOMATIC).await
    }

    async fn of(source: &str) -> Self {
        let intake = Intake::new().await;
        intake.source("prom", None).await;
        let (clock, pools) = (intake.clock.clone(), &intake.database.pools);
        let mut conn = pools.web.acquire().await.unwrap();
        let runbook = parse_runbook(source).unwrap().runbook;
        let version = runbooks::publish(&mut conn, &runbook, source, "a test", clock.now())
            .await
            .unwrap();
        let (_, shelf) = watch::channel(Some(Arc::new(vec![version])));
        let hooks = Hooks::new(
            ReceiverParts {
                shelf,
                ..parts(pools.intake.clone(), clock)
            },
            HookLimits::default(),
        );
        let ana = person(&mut conn, "ana", Role::Approver).await;
        Self {
            hooks: hooks.router(),
            intake,
            ana,
        }
    }

    async fn conn(&self) -> PoolConnection<Postgres> {
        self.intake.database.pools.web.acquire().await.unwrap()
    }

    fn now(&self) -> DateTime<Utc> {
        self.intake.clock.now()
    }

    /// An alert of a group of its own opens the next incident; returns why its runbook was only suggested, or `None`
    /// when it was started.
    async fn fire(&self, incident: i64, env: &str) -> Option<String> {
        let body = json!({"receiver": "r", "groupKey": format!("group {incident}"), "alerts": [{
            "status": "firing", "startsAt": self.now(),
            "labels": {"alertname": "Down", "env": env, "pod": incident.to_string()},
        }]});
        let request = Request::post("/api/v1/sources/prom/alertmanager")
            .header("authorization", format!("Bearer {TOKEN}-prom"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = intake::send(&self.hooks, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut conn = self.conn().await;
        let timeline = events::list_after(&mut conn, IncidentId(incident), 0, 100)
            .await
            .unwrap();
        let held = timeline.iter().find_map(|recorded| match &recorded.event {
            Event::Incident(IncidentFact::StartHeldBack { runbook, reason }) => {
                assert_eq!(runbook, "restart");
                Some(reason.clone())
            }
            _ => None,
        });
        let started = timeline
            .iter()
            .any(|recorded| matches!(recorded.event, Event::Run(..)));
        assert_ne!(held.is_some(), started, "{timeline:?}");
        held
    }
}

#[tokio::test]
async fn nothing_starts_by_itself_while_all_automation_is_paused() {
    let starts = Starts::new().await;
    let (mut conn, ana) = (starts.conn().await, &starts.ana);
    assert_eq!(starts.fire(1, "prod").await, None);
    control::pause(&mut conn, "the network\nis odd", ana, starts.now())
        .await
        .unwrap();
    assert_eq!(
        starts.fire(2, "prod").await.unwrap(),
        "all automation is paused by ana since 21 Nov 2026 03:00:00 UTC: the network is odd"
    );
    control::resume(&mut conn, "it was a cable", ana, starts.now())
        .await
        .unwrap();
    assert_eq!(starts.fire(3, "prod").await, None);
}

#[tokio::test]
async fn a_freeze_turns_automatic_into_a_suggestion_for_its_labels_and_its_time() {
    let starts = Starts::new().await;
    let (mut conn, ana, hour) = (starts.conn().await, &starts.ana, Duration::from_secs(3600));
    let mut planned = asked(
        "Release week",
        r#"env=~"prod|staging""#,
        starts.now() + TimeDelta::hours(2),
    );
    planned.starts_at = Some(starts.now() + TimeDelta::hours(1));
    let pools = &starts.intake.database.pools;
    let made = freeze(pools, &planned, "no surprises", ana, starts.now()).await;
    made.unwrap();
    assert_eq!(starts.fire(1, "prod").await, None, "it is only planned");

    starts.intake.clock.advance(hour);
    assert_eq!(
        starts.fire(2, "prod").await.unwrap(),
        "the freeze \"Release week\" of ana holds until 21 Nov 2026 05:00:00 UTC: no surprises"
    );
    assert_eq!(starts.fire(3, "dev").await, None, "not for these labels");
    starts.intake.clock.advance(hour);
    assert_eq!(starts.fire(4, "prod").await, None, "its time is over");

    let short = asked("Now", "env=prod", starts.now() + TimeDelta::hours(1));
    let id = freeze(pools, &short, "wait for me", ana, starts.now())
        .await
        .unwrap();
    assert!(starts.fire(5, "prod").await.unwrap().contains("wait for me"));
    control::end_freeze(&mut conn, id, "I am here", ana, starts.now())
        .await
        .unwrap();
    assert_eq!(starts.fire(6, "prod").await, None, "a person ended it");
}

#[tokio::test]
async fn in_a_storm_a_source_starts_so_many_runs_and_the_rest_are_offered() {
    let starts = Starts::new().await;
    let mut conn = starts.conn().await;
    sqlx::query("update sources set storm_starts = 2, storm_within_ms = 60000")
        .execute(&mut *conn)
        .await
        .unwrap();
    assert_eq!(starts.fire(1, "prod").await, None);
    starts.intake.clock.advance(Duration::from_secs(40));
    assert_eq!(starts.fire(2, "prod").await, None);
    assert_eq!(
        starts.fire(3, "prod").await.unwrap(),
        "its source started 2 runs in 1m, and its storm limit is 2"
    );
    starts.intake.clock.advance(Duration::from_secs(30));
    assert_eq!(starts.fire(4, "prod").await, None, "the first one is long ago");
    assert!(starts.fire(5, "prod").await.is_some());
}

#[tokio::test]
async fn what_starts_by_itself_has_the_rights_of_whoever_published_it_and_no_more() {
    let starts = Starts::new().await;
    // It came from the folder, which counts as an admin.
    assert_eq!(starts.fire(1, "prod").await, None);
    let publish =
        "insert into publications (runbook_id, version_id, published_by, origin, note, published_at)
                   values (1, 1, $1, 'the browser', '', now())";
    sqlx::query(publish)
        .bind(starts.ana.id.0)
        .execute(&mut *starts.conn().await)
        .await
        .unwrap();
    assert_eq!(starts.fire(2, "prod").await, None, "ana may start it herself");
    let mut incident = 2;
    for (change, why) in [
        (
            "update operators set role = 'viewer' where name = 'ana'",
            Some("it needs the role responder; the role is viewer"),
        ),
        ("update operators set role = 'responder' where name = 'ana'", None),
        (
            "update operators set disabled_at = now() where name = 'ana'",
            Some("their account is disabled"),
        ),
        ("update operators set disabled_at = null where name = 'ana'", None),
    ] {
        sqlx::query(change)
            .execute(&mut *starts.conn().await)
            .await
            .unwrap();
        incident += 1;
        let held = starts.fire(incident, "prod").await;
        let expected = why.map(|why| format!("ana published it as version 1 and may not start it: {why}"));
        assert_eq!(held, expected, "{change}");
    }
}

#[tokio::test]
async fn whoever_published_a_version_must_be_among_those_it_names() {
    let source = AUTOMATIC.replace("start:", "access: { start: { teams: [shop] } }\nstart:");
    let starts = Starts::of(&source).await;
    let now = starts.now();
    let mut conn = starts.conn().await;
    sqlx::query(
        "insert into publications (runbook_id, version_id, published_by, origin, note, published_at)
         values (1, 1, $1, 'the browser', '', now())",
    )
    .bind(starts.ana.id.0)
    .execute(&mut *conn)
    .await
    .unwrap();
    assert_eq!(
        starts.fire(1, "prod").await.as_deref(),
        Some("ana published it as version 1 and may not start it: it is for the team shop only")
    );
    teams::insert(&mut conn, "shop", now).await.unwrap();
    teams::set_of(&mut conn, starts.ana.id, &["shop".to_owned()])
        .await
        .unwrap();
    assert_eq!(starts.fire(2, "prod").await, None);
}
