//! Starts of Muster: how long it was away, what that delayed, who is told, and what the pages say of it.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    catalog,
    domain::{
        action::{FailureClass, Rendered},
        approval::{ApprovalState, Bound, BoundStep},
        boot::{Boot, Company, Found},
        digest::Digest,
        event::{Event, IncidentFact, NewEvent, Recorded, first_broken_link},
        id::{ApprovalId, BootId, IncidentId, ReplicaId, RunId, StepId},
        operator::{Operator, Role},
        overdue::{LateIncident, LateRun, Timer},
        run::{RunFact, Settled, UnknownChoice},
        span::Span,
        step::{ActionKind, Effect, StepKind},
    },
    execute::{people, worker},
    store::{
        approvals::{self, NewApproval},
        boots, events, queue, replicas, runbooks, runs,
    },
    upkeep,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{
        database::Database,
        ledger::Ledger,
        muster::{Setup, client},
        site::Site,
    },
};

const MINUTE: Duration = Duration::from_secs(60);
const AWAY: Duration = Duration::from_secs(300);
const HOSTILE: &str = "</p><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}gnp";

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
struct Bench {
    site: Site,
    ana: Operator,
    cookie: String,
}

impl Bench {
    async fn new() -> Self {
        let site = Site::new().await;
        let (ana, cookie) = site.person("ana", Role::Approver).await;
        Self { site, ana, cookie }
    }

    fn now(&self) -> DateTime<Utc> {
        self.site.clock().now()
    }

    /// Starts as the application does.
    async fn start(&self) -> Boot {
        start(&mut *self.site.conn().await, self.now()).await
    }

    /// Everybody who is there dies without a word, and so much time goes by.
    async fn all_die_for(&self, time: Duration) {
        let age = "update replicas set lease_until = clock_timestamp() - $1 + interval '10 s',
                   last_seen_at = clock_timestamp() - $1, started_at = started_at - $1 where stopped_at is null";
        self.age(age, time).await;
    }

    /// Lets time go by on both clocks, over rows that the statement makes so much older.
    async fn age(&self, sql: &'static str, time: Duration) {
        let interval = sqlx::postgres::types::PgInterval::try_from(time).unwrap();
        let mut conn = self.site.conn().await;
        sqlx::query(sql).bind(interval).execute(&mut *conn).await.unwrap();
        self.site.clock().advance(time);
    }

    async fn upkeep(&self) {
        while self.site.intake.upkeep.pass().await.unwrap() > 0 {}
    }

    /// Fires an alert of a group of its own; returns its incident.
    async fn incident(&self, name: &str) -> IncidentId {
        self.say(name, None).await;
        let newest = self
            .site
            .intake
            .database
            .count("select max(id) from incidents")
            .await;
        IncidentId(newest)
    }

    async fn say(&self, name: &str, end: Option<DateTime<Utc>>) {
        let body = json!({"receiver": "r", "groupKey": name, "alerts": [{
            "status": if end.is_some() { "resolved" } else { "firing" },
            "labels": {"alertname": name}, "startsAt": "2026-11-21T02:59:00Z",
            "endsAt": end.map_or("0001-01-01T00:00:00Z".to_owned(), |end| end.to_rfc3339()),
        }]});
        let (status, answer) = self.site.intake.post("prom", body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// A run of the runbook, with these facts in its log, that is due at a time.
    async fn run(&self, incident: IncidentId, facts: Vec<RunFact>, due: DateTime<Utc>) -> RunId {
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

    async fn note(&self, conn: &mut PgConnection, incident: IncidentId, run: RunId, facts: Vec<RunFact>) {
        let now = self.now();
        let facts: Vec<NewEvent> = facts
            .into_iter()
            .map(|fact| NewEvent::of_run(run, fact, now))
            .collect();
        events::append(conn, incident, &facts, now).await.unwrap();
    }

    /// An attempt that began, of a run that this replica holds.
    async fn begun(&self, run: RunId, holder: ReplicaId, step: &str, effect: &str) {
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
    async fn approval(&self, run: RunId, is_approved: bool, due: DateTime<Utc>) -> ApprovalId {
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

    async fn timeline(&self, incident: IncidentId) -> Vec<Recorded> {
        let mut conn = self.site.conn().await;
        events::list_after(&mut conn, incident, 0, 1000).await.unwrap()
    }

    /// The outages that an incident was told of.
    async fn told(&self, incident: IncidentId) -> Vec<BootId> {
        let timeline = self.timeline(incident).await;
        assert_eq!(first_broken_link(incident, &timeline), None);
        let boots = timeline.into_iter().filter_map(|recorded| match recorded.event {
            Event::Incident(IncidentFact::MusterWasDown { boot, .. }) => Some(boot),
            _ => None,
        });
        boots.collect()
    }

    async fn find(&self, id: BootId) -> Boot {
        boots::find(&mut *self.site.conn().await, id)
            .await
            .unwrap()
            .unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.site.get(path, &self.cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.text
    }
}

async fn start(conn: &mut PgConnection, now: DateTime<Utc>) -> Boot {
    let mut tx = conn.begin().await.unwrap();
    let found = boots::look(&mut tx).await.unwrap();
    let boot = register(&mut tx, &found, now).await;
    tx.commit().await.unwrap();
    upkeep::tell_of_outages(conn, now).await.unwrap();
    boot
}

async fn register(conn: &mut PgConnection, found: &Found, now: DateTime<Utc>) -> Boot {
    let lease = worker::register(conn).await.unwrap();
    boots::insert(conn, lease.replica, found, now, now).await.unwrap()
}

fn failed(step: &str, retry_at: DateTime<Utc>) -> RunFact {
    RunFact::StepFailed {
        step: step.into(),
        attempt: 1,
        class: FailureClass::NotSent,
        message: HOSTILE.to_owned(),
        retry_at: Some(retry_at),
    }
}

fn opened(approval: ApprovalId, decide_by: DateTime<Utc>) -> RunFact {
    RunFact::GateOpened {
        step: "ask".into(),
        approval,
        digest: Digest::ZERO,
        decide_by,
        needed: 1,
    }
}

/// About so long: the database's clock goes on while a test does.
fn is_about(length: Option<TimeDelta>, wanted: Duration) -> bool {
    let over = length.unwrap() - TimeDelta::from_std(wanted).unwrap();
    (TimeDelta::zero()..TimeDelta::seconds(5)).contains(&over)
}

#[tokio::test]
async fn the_first_start_is_no_outage() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    let boot = bench.start().await;
    assert_eq!(
        (boot.company, boot.away(), boot.is_outage()),
        (Company::Alone, None, false)
    );
    assert_eq!(bench.told(incident).await, []);
    assert!(
        bench
            .page("/system")
            .await
            .contains("nothing is known of a Muster before it")
    );
}

#[tokio::test]
async fn a_clean_stop_and_a_start_are_as_far_apart_as_nobody_was_there() {
    let bench = Bench::new().await;
    let first = bench.start().await;
    replicas::end(&mut *bench.site.conn().await, first.replica)
        .await
        .unwrap();
    let age = "update replicas set stopped_at = clock_timestamp() - $1, last_seen_at = last_seen_at - $1";
    bench.age(age, AWAY).await;
    let boot = bench.start().await;
    assert_eq!((boot.company, boot.clean_stop), (Company::Alone, true));
    assert!(is_about(boot.away(), AWAY), "{boot:?}");
    assert!(
        boot.sentence().ends_with("UTC (it was stopped cleanly)."),
        "{}",
        boot.sentence()
    );
    assert_eq!(bench.find(boot.id).await, boot);
}

#[tokio::test]
async fn a_killed_one_was_last_there_when_it_renewed_its_lease() {
    let bench = Bench::new().await;
    let first = bench.start().await;
    assert!(
        replicas::renew(&mut *bench.site.conn().await, first.replica)
            .await
            .unwrap()
    );
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    assert_eq!((boot.company, boot.clean_stop), (Company::Alone, false));
    // The lease went on for ten seconds; the one that held it did not.
    assert!(is_about(boot.away(), AWAY), "{boot:?}");
    assert!(
        boot.sentence().starts_with("Muster was away for 5 min"),
        "{}",
        boot.sentence()
    );
    assert!(
        boot.sentence().ends_with("UTC (it was killed)."),
        "{}",
        boot.sentence()
    );
}

#[tokio::test]
async fn one_of_a_release_that_noted_no_sign_of_life_is_known_by_its_lease() {
    let bench = Bench::new().await;
    let mut conn = bench.site.conn().await;
    let older = "insert into replicas (started_at, lease_until) values
                 (now() - interval '9 h', now() - interval '50 s'), (now() - interval '1 h', 'epoch')";
    sqlx::query(older).execute(&mut *conn).await.unwrap();
    drop(conn);
    let boot = bench.start().await;
    assert!(is_about(boot.away(), MINUTE), "{boot:?}");
    // Of a clean stop no time is known, so no outage is claimed.
    let mut conn = bench.site.conn().await;
    sqlx::query("delete from replicas where lease_until <> 'epoch'")
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);
    assert_eq!(bench.start().await.away(), None);
}

#[tokio::test]
async fn two_replicas_that_start_at_once_make_one_outage() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    bench.start().await;
    bench.all_die_for(AWAY).await;

    let now = bench.now();
    let mut conn = bench.site.conn().await;
    let mut tx = conn.begin().await.unwrap();
    let found = boots::look(&mut tx).await.unwrap();
    let second = tokio::spawn({
        let pool = bench.site.intake.database.pools.engine.clone();
        async move { start(&mut pool.acquire().await.unwrap(), now).await }
    });
    // The second stands at the lock before the first has registered.
    wait::until("the second waits", MINUTE, async || {
        let waiting = "select count(*) from pg_locks where not granted and relation = 'boots'::regclass";
        anyhow::ensure!(bench.site.intake.database.count(waiting).await == 1);
        Ok(())
    })
    .await
    .unwrap();
    let first = register(&mut tx, &found, now).await;
    tx.commit().await.unwrap();
    upkeep::tell_of_outages(&mut conn, now).await.unwrap();
    let second = second.await.unwrap();
    assert!(first.is_outage(), "{first:?}");
    assert_eq!((second.company, second.away()), (Company::Unsettled, None));

    // The first lives, so the second was beside it.
    bench
        .age(
            "update replicas set started_at = started_at - $1",
            Duration::from_secs(12),
        )
        .await;
    assert!(replicas::renew(&mut conn, first.replica).await.unwrap());
    bench.upkeep().await;
    let second = bench.find(second.id).await;
    assert_eq!(
        (second.company, second.away()),
        (Company::Beside, Some(TimeDelta::zero()))
    );
    assert_eq!(bench.told(incident).await, [first.id]);
}

#[tokio::test]
async fn a_replica_beside_a_live_one_reports_no_outage() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    let run = bench.run(incident, Vec::new(), bench.now()).await;
    let first = bench.start().await;
    bench.begun(run, first.replica, "strike", "once").await;
    bench.site.clock().advance(MINUTE);
    let second = bench.start().await;
    assert_eq!(second.company, Company::Unsettled);
    assert!(!second.is_outage());
    let page = bench.page(&format!("/system/boots/{}", second.id)).await;
    assert!(
        page.contains("shows in a few seconds") && !page.contains("What needs you now"),
        "{page}"
    );

    // Too early to tell, then the first is heard of again.
    bench.upkeep().await;
    assert_eq!(bench.find(second.id).await.company, Company::Unsettled);
    bench
        .age(
            "update replicas set started_at = started_at - $1",
            Duration::from_secs(12),
        )
        .await;
    assert!(
        replicas::renew(&mut *bench.site.conn().await, first.replica)
            .await
            .unwrap()
    );
    bench.upkeep().await;
    let second = bench.find(second.id).await;
    assert_eq!(
        (second.company, second.away()),
        (Company::Beside, Some(TimeDelta::zero()))
    );
    assert!(
        second.report.is_empty(),
        "what a live one works on is not overdue"
    );
    assert_eq!(bench.told(incident).await, []);
    let page = bench.page(&format!("/system/boots/{}", second.id)).await;
    assert!(page.contains("beside another that was at work"), "{page}");
}

#[tokio::test]
async fn one_that_stopped_cleanly_after_the_start_was_there() {
    let bench = Bench::new().await;
    let first = bench.start().await;
    let second = bench.start().await;
    let mut conn = bench.site.conn().await;
    replicas::end(&mut conn, first.replica).await.unwrap();
    replicas::prune(&mut conn).await.unwrap();
    bench
        .age(
            "update replicas set started_at = started_at - $1",
            Duration::from_secs(12),
        )
        .await;
    bench.upkeep().await;
    assert_eq!(bench.find(second.id).await.company, Company::Beside);
}

#[tokio::test]
async fn a_kill_and_a_start_within_the_lease_are_told_apart_from_company() {
    let bench = Bench::new().await;
    let incident = bench.incident("Down").await;
    let run = bench.run(incident, Vec::new(), bench.now()).await;
    let first = bench.start().await;
    bench.begun(run, first.replica, "strike", "once").await;
    // The first is dead by now, and its lease does not know.
    let second = bench.start().await;
    // The second dies as well, at once; a third comes.
    let third = bench.start().await;
    assert_eq!(
        (second.company, third.company),
        (Company::Unsettled, Company::Unsettled)
    );
    bench
        .age(
            "update replicas set started_at = started_at - $1, last_seen_at = last_seen_at - $1,
               lease_until = lease_until - $1",
            Duration::from_secs(12),
        )
        .await;
    bench.upkeep().await;
    let (second, third) = (bench.find(second.id).await, bench.find(third.id).await);
    for boot in [&second, &third] {
        assert_eq!(
            (boot.company, boot.clean_stop, boot.is_outage()),
            (Company::Alone, false, false),
            "{boot:?}"
        );
        assert!(boot.away().unwrap() < TimeDelta::seconds(5), "{boot:?}");
    }
    // Each reports what its own predecessor held.
    assert_eq!((second.report.unknown.count, second.report.taken.count), (1, 1));
    assert_eq!((third.report.unknown.count, third.report.taken.count), (0, 0));
    let page = bench.page(&format!("/system/boots/{}", second.id)).await;
    assert!(
        page.contains("What needs you now") && page.contains("attempt 1 of strike"),
        "{page}"
    );
}

#[tokio::test]
async fn everything_that_is_overdue_is_counted_with_how_late_it_is() {
    let bench = Bench::new().await;
    let site = &bench.site;
    let gone = bench.start().await.replica;
    let (incident, t) = (bench.incident(HOSTILE).await, bench.now());
    let at = |seconds: i64| t + TimeDelta::seconds(seconds);

    // Timers of runs.
    let retry = bench.run(incident, vec![failed("strike", at(60))], at(60)).await;
    let until = |until| RunFact::WaitBegan {
        step: "pause".into(),
        until,
    };
    let waited = bench.run(incident, vec![until(at(70))], at(70)).await;
    let gated = bench.run(incident, vec![], at(80)).await;
    let undecided = bench.approval(gated, false, at(80)).await;
    let ready = bench.run(incident, vec![], at(5)).await;
    let asked = RunFact::ManualAsked {
        step: "strike".into(),
        instruction: "look".to_owned(),
        due: None,
    };
    let looked = bench.run(incident, vec![asked], at(90)).await;
    bench.run(incident, vec![until(at(9000))], at(9000)).await;
    {
        let mut conn = site.conn().await;
        bench
            .note(&mut conn, incident, gated, vec![opened(undecided, at(80))])
            .await;
        let waits = "update run_queue set state = 2 where run_id = $1";
        sqlx::query(waits)
            .bind(gated.0)
            .execute(&mut *conn)
            .await
            .unwrap();
    }

    // Approvals: one not used, one whose step has run, one that is good for long.
    let unused = bench.run(incident, vec![until(at(9000))], at(9000)).await;
    let unused_approval = bench.approval(unused, true, at(100)).await;
    let used = bench.run(incident, vec![until(at(9000))], at(9000)).await;
    bench.approval(used, true, at(100)).await;
    let good = bench.run(incident, vec![until(at(9000))], at(9000)).await;
    bench.approval(good, true, at(9000)).await;

    // Attempts that were cut off, and one whose run somebody could still hold.
    let once = bench.run(incident, vec![], at(9000)).await;
    bench.begun(once, gone, "strike", "once").await;
    let repeatable = bench.run(incident, vec![], at(9000)).await;
    bench.begun(repeatable, gone, "strike", "idempotent").await;
    bench.begun(used, gone, "strike", "once").await;
    let done = RunFact::StepSucceeded {
        step: "strike".into(),
        attempt: 1,
        summary: "done".to_owned(),
        settled: Settled::Answer,
    };
    let mut conn = site.conn().await;
    bench.note(&mut conn, incident, used, vec![done]).await;
    for sql in [
        "update attempts set state = 'succeeded', finished_at = started_at where run_id = $1",
        "update run_queue set state = 2, owner = null where run_id = $1",
    ] {
        sqlx::query(sql).bind(used.0).execute(&mut *conn).await.unwrap();
    }

    // A heartbeat, a recovery, a re-fire.
    site.intake.source("watchdog", Some(Span::from_secs(60))).await;
    let beat = json!({"receiver": "r", "groupKey": "w", "alerts": [{
        "status": "firing", "labels": {"alertname": HOSTILE}, "startsAt": "2026-11-21T02:00:00Z"}]});
    let (status, _) = site.intake.post("watchdog", beat.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let recovering = bench.incident("Ends").await;
    bench.say("Ends", Some(t)).await;
    let refired = bench.incident("Flaps").await;
    bench.say("Flaps", Some(t)).await;
    let refires = "update episodes set refire_due = $1 where incident_id = $2";
    sqlx::query(refires)
        .bind(at(30))
        .bind(refired.0)
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);

    site.clock().advance(Duration::from_secs(1));
    bench.all_die_for(AWAY).await;
    // Came in while the next one starts.
    bench.run(incident, vec![], bench.now()).await;
    let boot = bench.start().await;
    let report = &boot.report;
    assert_eq!(report.open_incidents, 3);
    assert_eq!(report.unknown.count, 1);
    assert_eq!(
        (report.unknown.items[0].run, report.unknown.items[0].effect),
        (once, Effect::Once)
    );
    assert_eq!(report.repeated.count, 1);
    assert_eq!(report.repeated.items[0].run, repeatable);
    let taken: Vec<RunId> = report.taken.items.iter().map(|taken| taken.run).collect();
    assert_eq!((report.taken.count, taken), (2, vec![once, repeatable]));

    let lapsed: Vec<_> = report
        .approvals
        .items
        .iter()
        .map(|lapsed| (lapsed.approval, lapsed.unused))
        .collect();
    assert_eq!(lapsed, [(undecided, false), (unused_approval, true)]);
    assert_eq!(report.approvals.count, 2);
    assert_eq!(
        (report.heartbeats.count, report.heartbeats.items[0].due),
        (1, at(60))
    );

    let late = |run, timer, step: Option<&str>, seconds| LateRun {
        run,
        incident,
        timer,
        step: step.map(StepId::from),
        due: at(seconds),
    };
    assert_eq!(
        report.timers.items,
        [
            late(ready, Timer::Ready, None, 5),
            late(retry, Timer::Retry, Some("strike"), 60),
            late(waited, Timer::Wait, Some("pause"), 70),
            late(gated, Timer::Gate, Some("ask"), 80),
            late(looked, Timer::Look, None, 90),
        ]
    );
    assert_eq!(report.timers.count, 5);
    let due = |late: &LateIncident| (late.incident, late.due);
    assert_eq!(
        report.recoveries.items.iter().map(due).collect::<Vec<_>>(),
        [(recovering, at(60)), (refired, at(60))]
    );
    assert_eq!(
        report.refires.items.iter().map(due).collect::<Vec<_>>(),
        [(refired, at(30))]
    );

    // The page says how late, and shows outside text as text.
    let page = bench.page(&format!("/system/boots/{}", boot.id)).await;
    for words in [
        "Muster was away for 5 min",
        "1 attempt was cut off that may not be repeated",
        "the next attempt of strike was due at",
        "the wait pause was over at",
        "the time to decide at ask was over at",
        "<strong>4 min 1 s late</strong>",
        "was approved and not used by",
        "was not decided by",
        "was to be taken for recovered at",
        "was not heard by",
        "2 runs were left behind, with 1 attempt",
        &format!("href=\"/approvals/{undecided}\""),
        &format!("href=\"/runs/{once}\""),
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert_eq!(page.matches("<script").count(), 1, "only our own script");
    for mark in ["<img", " style=", " onclick=", "\u{202e}"] {
        assert!(!page.contains(mark), "{mark}");
    }
    let order = [
        "What needs you now",
        "What expired",
        "Timers that fired late",
        "What was taken over",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|heading| page.find(&format!("<h2>{heading}")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test]
async fn the_page_shows_where_things_stand_now() {
    let bench = Bench::new().await;
    let gone = bench.start().await.replica;
    let incident = bench.incident("Down").await;
    let run = bench.run(incident, vec![], bench.now()).await;
    bench.begun(run, gone, "strike", "once").await;
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    let path = format!("/system/boots/{}", boot.id);
    let json = format!("/api/v1/boots/{}", boot.id);
    assert!(bench.page(&path).await.contains("To be settled"));

    let unknown = RunFact::OutcomeUnknown {
        step: "strike".into(),
        attempt: 1,
        reason: HOSTILE.to_owned(),
    };
    bench
        .note(&mut *bench.site.conn().await, incident, run, vec![unknown])
        .await;
    let page = bench.page(&path).await;
    assert!(
        page.contains("Outcome unknown") && page.contains("1 waits for a person"),
        "{page}"
    );
    assert_eq!(
        bench.site.get(&json, &bench.cookie).await.json()["awaiting_person"],
        1
    );

    let decided = RunFact::UnknownDecided {
        step: "strike".into(),
        choice: UnknownChoice::MarkDone,
        evidence: "I looked".to_owned(),
    };
    bench
        .note(&mut *bench.site.conn().await, incident, run, vec![decided])
        .await;
    let page = bench.page(&path).await;
    assert!(
        page.contains("I looked") && page.contains("None of them waits for a person now"),
        "{page}"
    );
    assert_eq!(
        bench.site.get(&json, &bench.cookie).await.json()["awaiting_person"],
        0
    );
}

#[tokio::test]
async fn counts_are_exact_and_lists_are_cut() {
    let bench = Bench::new().await;
    bench.start().await;
    let incident = bench.incident("Down").await;
    bench.run(incident, vec![], bench.now()).await;
    let copies = "with made as (
            insert into runs (incident_id, runbook_id, version_id, mode, requested_by, inputs, context, started_at)
            select incident_id, runbook_id, version_id, mode, requested_by, inputs, context, started_at
            from runs, generate_series(1, 119) returning id, incident_id, started_at)
        insert into run_queue (run_id, incident_id, state, due) select id, incident_id, 0, started_at from made";
    sqlx::query(copies)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    bench.site.clock().advance(Duration::from_secs(1));
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    assert_eq!(
        (boot.report.timers.count, boot.report.timers.items.len()),
        (120, 100)
    );
    let listed = boots::list(&mut *bench.site.conn().await, i64::MAX, 1)
        .await
        .unwrap();
    assert_eq!(
        (listed[0].report.timers.count, listed[0].report.timers.items.len()),
        (120, 0)
    );
}

#[tokio::test]
async fn every_open_incident_is_told_once_and_its_chain_holds() {
    let bench = Bench::new().await;
    bench.start().await;
    let mut incidents = Vec::new();
    // More than are told in one transaction.
    for number in 0..52 {
        incidents.push(bench.incident(&format!("Down {number}")).await);
    }
    let over = incidents[3];
    let mut conn = bench.site.conn().await;
    let now = bench.now();
    muster::incident::respond::resolve(&mut conn, over, &bench.ana, "over", now)
        .await
        .unwrap();
    bench.all_die_for(AWAY).await;

    // A start that breaks off after one transaction.
    let mut tx = conn.begin().await.unwrap();
    let found = boots::look(&mut tx).await.unwrap();
    let boot = register(&mut tx, &found, bench.now()).await;
    tx.commit().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(boots::tell(&mut tx, bench.now()).await.unwrap(), 50);
    tx.commit().await.unwrap();
    drop(conn);
    // What opens later knows of no outage; what is left is told by whoever comes next.
    let later = bench.incident("Later").await;
    bench.upkeep().await;
    bench.upkeep().await;
    for incident in incidents {
        let wanted = if incident == over { vec![] } else { vec![boot.id] };
        assert_eq!(bench.told(incident).await, wanted, "INC-{incident}");
    }
    assert_eq!(bench.told(later).await, []);

    // The usual timeline and the postmortem say so.
    let since = boot.last_alive_at.unwrap().format("%H:%M:%S").to_string();
    for path in [
        "/incidents/1",
        "/incidents/1/postmortem",
        "/incidents/1/postmortem.md",
    ] {
        let page = bench.page(path).await.replace("\\_", "_");
        assert!(
            page.contains("Muster was away for 5 min") && page.contains(&since),
            "{path}: {page}"
        );
    }

    // A restart is no outage.
    bench.all_die_for(Duration::from_secs(25)).await;
    let restart = bench.start().await;
    assert_eq!((restart.company, restart.is_outage()), (Company::Alone, false));
    assert_eq!(bench.told(IncidentId(1)).await, [boot.id]);
}

#[tokio::test]
async fn what_is_counted_is_not_handled_before() {
    let bench = Bench::new().await;
    bench.start().await;
    let incident = bench.incident("Down").await;
    let run = bench
        .run(incident, vec![failed("strike", bench.now())], bench.now())
        .await;
    bench.site.clock().advance(Duration::from_secs(1));
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    let mut conn = bench.site.conn().await;
    let claims = queue::claim(
        &mut conn,
        boot.replica,
        bench.now(),
        chrono::DateTime::default(),
        10,
    )
    .await
    .unwrap();
    assert_eq!(
        claims.iter().map(|claim| claim.claim.run).collect::<Vec<_>>(),
        [run]
    );
    assert_eq!(
        bench.find(boot.id).await.report.timers.count,
        1,
        "what was found stays found"
    );
}

#[tokio::test]
async fn people_find_the_report_from_the_list_the_system_and_the_banner() {
    let bench = Bench::new().await;
    bench.incident("Down").await;
    bench.start().await;
    assert!(!bench.page("/incidents").await.contains("class=\"banner\""));
    bench.all_die_for(AWAY).await;
    let boot = bench.start().await;
    let link = format!("href=\"/system/boots/{}\"", boot.id);
    for path in ["/incidents", "/system", "/system/boots"] {
        let page = bench.page(path).await;
        assert!(
            page.contains(&link) && page.contains("Muster was away for 5 min"),
            "{path}: {page}"
        );
    }
    // A restart after it changes nothing about the outage.
    bench.all_die_for(Duration::from_secs(20)).await;
    bench.start().await;
    bench.site.clock().advance(28 * MINUTE);
    assert!(bench.page("/incidents").await.contains(&link));
    bench.site.clock().advance(2 * MINUTE);
    assert!(!bench.page("/incidents").await.contains("class=\"banner\""));

    for path in ["/system/boots", "/system/boots/1"] {
        let stranger = bench.site.get(path, "").await;
        assert_eq!(stranger.status, StatusCode::SEE_OTHER, "{path}");
    }
    assert_eq!(
        bench.site.get("/system/boots/99", &bench.cookie).await.status,
        StatusCode::NOT_FOUND
    );
    let list = bench
        .site
        .get("/api/v1/boots?limit=2", &bench.cookie)
        .await
        .json();
    let ids: Vec<&Value> = list["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["id"])
        .collect();
    assert_eq!((ids, &list["next"]), (vec![&json!(3), &json!(2)], &json!(2)));
    let full = bench.site.get("/api/v1/boots/2", &bench.cookie).await.json();
    assert_eq!(
        (&full["company"], &full["clean_stop"]),
        (&json!("alone"), &json!(false))
    );
    assert_eq!(full["away_ms"].as_i64().unwrap() / 10_000, 30);
    assert_eq!(full["report"]["open_incidents"], 1);
    let missing = bench.site.get("/api/v1/boots/99", &bench.cookie).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_list_goes_on_on_further_pages_and_old_starts_are_forgotten() {
    let bench = Bench::new().await;
    let boot = bench.start().await;
    let copies =
        "insert into boots (replica_id, started_at, last_alive_at, clean_stop, company, rivals, report)
                  select replica_id, started_at, last_alive_at, clean_stop, company, rivals, report
                  from boots, generate_series(1, 60)";
    sqlx::query(copies)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    let page = bench.page("/system/boots").await;
    assert_eq!(page.matches("First start").count(), 50);
    assert!(page.contains("href=\"/system/boots?before=12\""), "{page}");
    let page = bench.page("/system/boots?before=12").await;
    assert_eq!(page.matches("First start").count(), 11);
    assert!(!page.contains("?before="), "{page}");

    let many = "insert into boots (replica_id, started_at, clean_stop, company, rivals, report)
                select 1, now(), false, 'alone', '{}', '{}' from generate_series(1, 1000)";
    sqlx::query(many)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    let newest = bench.start().await;
    assert_eq!(
        bench
            .site
            .intake
            .database
            .count("select count(*) from boots")
            .await,
        1000
    );
    assert!(
        boots::find(&mut *bench.site.conn().await, boot.id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(bench.find(newest.id).await.id, newest.id);
}

const WAITS: &str = r#"
runbook: waits
title: Wait, then strike
match: ['alertname="Broken"']
start: automatic
steps:
  - id: look
    check: http
    with: { target: ledger, path: /look }
  - id: ask
    gate: { decide_within: 1s }
    title: Go on?
  - id: strike
    call: http
    with: { target: ledger, method: POST, path: /strike }
    effect: once
"#;

/// The whole program: killed at an open gate, started again five minutes later by its leases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_says_after_its_start_how_long_it_was_away_and_what_expired() {
    let (database, scratch, ledger) = (Database::new().await, Scratch::new(), Ledger::start().await);
    let targets = format!(
        "targets:\n  - name: ledger\n    http: {{ url: \"http://{}/\" }}\n",
        ledger.address
    );
    std::fs::write(scratch.path().join("waits.yaml"), WAITS).unwrap();
    std::fs::write(scratch.path().join("targets.yaml"), targets).unwrap();
    let setup = Setup::new(database.url(), scratch.path());
    // Dies right after the commit that opens the gate, so nobody decides.
    let mut muster = setup.start(Some("after:gate-opened/ask"));
    muster
        .stores(&json!({"receiver": "r", "groupKey": "g", "alerts": [{
            "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z"}]}))
        .await;
    wait::until("it dies at the gate", MINUTE, async || {
        anyhow::ensure!(muster.ended().is_some(), "{}", setup.logged());
        Ok(())
    })
    .await
    .unwrap();
    let mut conn = database.pools.background.acquire().await.unwrap();
    for sql in [
        "update replicas set lease_until = lease_until - interval '5 min', last_seen_at = last_seen_at - interval '5 min'",
        "update run_queue set due = due - interval '2 s'",
        "update approvals set decide_by = decide_by - interval '2 s'",
    ] {
        sqlx::query(sql).execute(&mut *conn).await.unwrap();
    }
    let now = muster::clock::Clock::real().now();
    let ana = muster::store::operators::insert(&mut conn, "ana", "none", Role::Viewer, now)
        .await
        .unwrap()
        .unwrap();
    let cookie = muster::web::session::begin(&mut conn, ana, false, now)
        .await
        .unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();

    let muster = setup.start(None);
    let page = wait::until("the start is written down", MINUTE, async || {
        let page = client()
            .get(muster.url("/system/boots/2"))
            .header("cookie", &cookie)
            .send()
            .await?;
        let (is_there, text) = (page.status().is_success(), page.text().await?);
        // The gate was closed after it was counted, and the page tells both.
        anyhow::ensure!(
            is_there && text.contains("Ended at its gate"),
            "{text}\n{}",
            setup.logged()
        );
        Ok(text)
    })
    .await
    .unwrap();
    for words in [
        "Muster was away for 5 min",
        "(it was killed)",
        "was not decided by",
        "Go on?",
        "Expired",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let timeline = events::list_after(&mut conn, IncidentId(1), 0, 100)
        .await
        .unwrap();
    assert_eq!(first_broken_link(IncidentId(1), &timeline), None);
    let place = |wanted: &dyn Fn(&Event) -> bool| {
        timeline
            .iter()
            .position(|recorded| wanted(&recorded.event))
            .unwrap()
    };
    let down = place(&|event| matches!(event, Event::Incident(IncidentFact::MusterWasDown { .. })));
    let expired = place(&|event| matches!(event, Event::Run(_, RunFact::GateExpired { .. })));
    assert!(down < expired, "the reason stands before what follows from it");
    assert_eq!(ledger.entries(), []);
}
