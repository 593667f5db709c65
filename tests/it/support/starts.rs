//! One start of Muster after the other over a database, with time that goes by between them on both clocks.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use muster::{
    catalog,
    domain::{
        action::{FailureClass, Rendered},
        approval::{ApprovalState, Bound, BoundStep},
        boot::{Boot, Found},
        digest::Digest,
        event::{Event, IncidentFact, NewEvent, Recorded, first_broken_link},
        id::{ApprovalId, BootId, IncidentId, ReplicaId, RunId},
        operator::{Operator, Role},
        run::RunFact,
        step::{ActionKind, StepKind},
    },
    execute::{people, worker},
    store::{
        approvals::{self, NewApproval},
        boots, events, runbooks, runs,
    },
    upkeep,
};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::site::Site;

pub const MINUTE: Duration = Duration::from_secs(60);
pub const AWAY: Duration = Duration::from_secs(300);
pub const HOSTILE: &str = "</p><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}gnp";

const RUNBOOK: &str = r#"
runbook: strike
title: Strike </p><script>alert(1)</script>
steps:
  - id: pause
    wait: 1m
  - id: ask
    gate: { decide_within: 15m, use_within: 10m }
    title: Strike?
  - id: strike
    call: http
    with: { target: ledger, method: POST, path: /strike }
    effect: once
"#;

/// The pages over a database, and one start after the other.
pub struct Bench {
    pub site: Site,
    pub ana: Operator,
    pub cookie: String,
}

impl Bench {
    pub async fn new() -> Self {
        let site = Site::new().await;
        let (ana, cookie) = site.person("ana", Role::Approver).await;
        Self { site, ana, cookie }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.site.clock().now()
    }

    /// Starts as the application does.
    pub async fn start(&self) -> Boot {
        start(&mut *self.site.conn().await, self.now()).await
    }

    /// Everybody who is there dies without a word, and so much time goes by.
    pub async fn all_die_for(&self, time: Duration) {
        let age = "update replicas set lease_until = clock_timestamp() - $1 + interval '10 s',
                   last_seen_at = clock_timestamp() - $1, started_at = started_at - $1 where stopped_at is null";
        self.age(age, time).await;
    }

    /// Lets time go by on both clocks, over rows that the statement makes so much older.
    pub async fn age(&self, sql: &'static str, time: Duration) {
        let interval = sqlx::postgres::types::PgInterval::try_from(time).unwrap();
        let mut conn = self.site.conn().await;
        sqlx::query(sql).bind(interval).execute(&mut *conn).await.unwrap();
        self.site.clock().advance(time);
    }

    pub async fn upkeep(&self) {
        while self.site.intake.upkeep.pass().await.unwrap() > 0 {}
    }

    /// Fires an alert of a group of its own; returns its incident.
    pub async fn incident(&self, name: &str) -> IncidentId {
        self.say(name, None).await;
        let newest = self
            .site
            .intake
            .database
            .count("select max(id) from incidents")
            .await;
        IncidentId(newest)
    }

    pub async fn say(&self, name: &str, end: Option<DateTime<Utc>>) {
        let body = json!({"receiver": "r", "groupKey": name, "alerts": [{
            "status": if end.is_some() { "resolved" } else { "firing" },
            "labels": {"alertname": name}, "startsAt": "2026-11-21T02:59:00Z",
            "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), |end| end.to_rfc3339()),
        }]});
        let (status, answer) = self.site.intake.post("prom", body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// A run of the runbook, with these facts in its log, that is due at a time.
    pub async fn run(&self, incident: IncidentId, facts: Vec<RunFact>, due: DateTime<Utc>) -> RunId {
        let mut conn = self.site.conn().await;
        let runbook = catalog::parse_runbook(RUNBOOK).unwrap().runbook;
        let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "a test", self.now())
            .await
            .unwrap();
        let run = people::start(
            &mut conn,
            incident,
            version.id,
            &Default::default(),
            &self.ana,
            self.now(),
        )
        .await
        .unwrap();
        let state = if facts.is_empty() { 0 } else { 2_i16 };
        self.note(&mut conn, incident, run, facts).await;
        sqlx::query("update run_queue set state = $2, due = $3 where run_id = $1")
            .bind(run.0)
            .bind(state)
            .bind(due)
            .execute(&mut *conn)
            .await
            .unwrap();
        run
    }

    pub async fn note(&self, conn: &mut PgConnection, incident: IncidentId, run: RunId, facts: Vec<RunFact>) {
        let now = self.now();
        let facts: Vec<NewEvent> = facts
            .into_iter()
            .map(|fact| NewEvent::of_run(run, fact, now))
            .collect();
        events::append(conn, incident, &facts, now).await.unwrap();
    }

    /// An attempt that began, of a run that this replica holds.
    pub async fn begun(&self, run: RunId, holder: ReplicaId, step: &str, effect: &str) {
        let mut conn = self.site.conn().await;
        sqlx::query(
            "insert into attempts (run_id, step, attempt, effect, idempotency_key, fence, request, command, state, started_at)
             values ($1, $2, 1, $3, 'k', 1, '{}', 'POST /strike', 'started', $4)",
        )
        .bind(run.0)
        .bind(step)
        .bind(effect)
        .bind(self.now())
        .execute(&mut *conn)
        .await
        .unwrap();
        sqlx::query("update run_queue set state = 1, owner = $2 where run_id = $1")
            .bind(run.0)
            .bind(holder.0)
            .execute(&mut *conn)
            .await
            .unwrap();
        let incident = runs::find(&mut conn, run).await.unwrap().unwrap().incident;
        let started = RunFact::StepStarted {
            step: step.into(),
            attempt: 1,
            key: "k".to_owned(),
            fence: 1,
            effect: serde_json::from_value(json!(effect)).unwrap(),
            command: "POST /strike".to_owned(),
        };
        self.note(&mut conn, incident, run, vec![started]).await;
    }

    /// A request for a decision of a run; once approved, the time is when it lapses unused.
    pub async fn approval(&self, run: RunId, is_approved: bool, due: DateTime<Utc>) -> ApprovalId {
        let runbook = catalog::parse_runbook(RUNBOOK).unwrap().runbook;
        let StepKind::Gate(rule) = &runbook.steps[1].kind else {
            panic!("the second step is the gate");
        };
        let bound = Bound {
            version: Digest::ZERO,
            gate: "ask".into(),
            steps: vec![BoundStep {
                step: "strike".into(),
                title: "Strike".to_owned(),
                request: Rendered {
                    action: ActionKind::Http,
                    target: "ledger".to_owned(),
                    with: json!({}),
                },
                command: "POST /strike".to_owned(),
                target: Digest::ZERO,
                undo: None,
                changes: true,
                irreversible: false,
            }],
            evidence: Vec::new(),
        };
        let mut conn = self.site.conn().await;
        let new = NewApproval {
            run,
            incident: runs::find(&mut conn, run).await.unwrap().unwrap().incident,
            step: &"ask".into(),
            title: HOSTILE,
            impact: "",
            bound: &bound,
            rule,
            requester: None,
            decide_by: due,
        };
        let id = approvals::insert(&mut conn, &new, self.now()).await.unwrap();
        if is_approved {
            let (from, to) = (ApprovalState::Pending, ApprovalState::Approved);
            let moved = approvals::set_state(&mut conn, id, from, to, Some(due), self.now()).await;
            assert!(moved.unwrap());
        }
        id
    }

    pub async fn timeline(&self, incident: IncidentId) -> Vec<Recorded> {
        let mut conn = self.site.conn().await;
        events::list_after(&mut conn, incident, 0, 1000).await.unwrap()
    }

    /// The outages that an incident was told of.
    pub async fn told(&self, incident: IncidentId) -> Vec<BootId> {
        let timeline = self.timeline(incident).await;
        assert_eq!(first_broken_link(incident, &timeline), None);
        let boots = timeline.into_iter().filter_map(|recorded| match recorded.event {
            Event::Incident(IncidentFact::MusterWasDown { boot, .. }) => Some(boot),
            _ => None,
        });
        boots.collect()
    }

    pub async fn find(&self, id: BootId) -> Boot {
        boots::find(&mut *self.site.conn().await, id)
            .await
            .unwrap()
            .unwrap()
    }

    pub async fn page(&self, path: &str) -> String {
        let answer = self.site.get(path, &self.cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.text
    }
}

pub async fn start(conn: &mut PgConnection, now: DateTime<Utc>) -> Boot {
    let mut tx = conn.begin().await.unwrap();
    let found = boots::look(&mut tx).await.unwrap();
    let boot = register(&mut tx, &found, now).await;
    tx.commit().await.unwrap();
    upkeep::tell_of_outages(conn, now).await.unwrap();
    boot
}

pub async fn register(conn: &mut PgConnection, found: &Found, now: DateTime<Utc>) -> Boot {
    let lease = worker::register(conn).await.unwrap();
    boots::insert(conn, lease.replica, found, now, now).await.unwrap()
}

pub fn failed(step: &str, retry_at: DateTime<Utc>) -> RunFact {
    RunFact::StepFailed {
        step: step.into(),
        attempt: 1,
        class: FailureClass::NotSent,
        message: HOSTILE.to_owned(),
        retry_at: Some(retry_at),
    }
}

pub fn opened(approval: ApprovalId, decide_by: DateTime<Utc>) -> RunFact {
    RunFact::GateOpened {
        step: "ask".into(),
        approval,
        digest: Digest::ZERO,
        decide_by,
        needed: 1,
    }
}
