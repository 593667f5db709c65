//! The page of a run and the page of one of its steps.

use askama::Template;
use serde_json::{Value, json};

use super::{
    Specimen, frame, now, operator,
    story::{self, Told, ago, beginning, recorded, request, started, succeeded},
};
use crate::{
    domain::{
        action::FailureClass,
        attempt::CUT_OFF,
        digest::Digest,
        id::{ApprovalId, ReplicaId, StepId},
        output::OutputLine,
        run::{RunFact, RunResult},
        step::Effect,
    },
    store::{
        attempts::{AttemptDetail, AttemptRow},
        outputs::Tail,
        queue::Lease,
    },
    web::view::{
        layout::Place,
        log::{Asked, Window},
        record::{RunLog, RunRecord},
        run::{RunPage, RunPart, RunView},
        step_page::{self, StepPage, StepPart, StepRecord, StepRest, Written},
    },
};

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let run = |state, html| Specimen {
        page: "run",
        state,
        html,
    };
    let step = |state, html| Specimen {
        page: "step",
        state,
        html,
    };
    vec![
        run("running", || run_page(story::run(story::FAILOVER, running())?)),
        run("writing", || {
            let mut record = story::run(story::FAILOVER, running())?;
            record.tails.push(Tail {
                run: record.run.id,
                step: "promote".into(),
                text: "waiting for replay: 14 MB left\nwaiting for replay: 3 MB left\nreplay is complete\n\
                       \u{1b}[33mwarning: 2 sessions are still open on checkout-db-1.example.internal:5432 and will be \
                       closed in 10 s\u{1b}[0m\nclosing sessions\n"
                    .to_owned(),
            });
            run_page(record)
        }),
        run("waiting", || run_page(story::run(story::FAILOVER, waiting())?)),
        run("failed", || run_page(story::run(story::FAILOVER, failed())?)),
        run("unknown", || run_page(story::run(story::FAILOVER, unknown())?)),
        run("sixty-steps", || run_page(sixty()?)),
        step("running", || {
            step_page(running(), "promote", None, Asked::default())
        }),
        step("waiting", || step_page(waiting(), "ask", None, Asked::default())),
        step("not-started", || {
            step_page(waiting(), "promote", None, Asked::default())
        }),
        step("failed", || {
            step_page(failed(), "promote", Some(refused()), Asked::default())
        }),
        step("sent-again", || {
            step_page(sent_again(), "promote", None, Asked::default())
        }),
        step("unknown", || {
            step_page(unknown(), "promote", None, Asked::default())
        }),
        step("manual", || step_page(manual(), "look", None, Asked::default())),
        step("done", || {
            step_page(running(), "lag", Some(answer()), Asked::default())
        }),
        step("empty-output", || {
            step_page(running(), "lag", Some(json!({"ok": true})), Asked::default())
        }),
        step("long-output", || {
            step_page(running(), "lag", Some(lines(1500)), Asked::default())
        }),
        step("found", || {
            let asked = Asked {
                find: "timeout".to_owned(),
                ..Asked::default()
            };
            step_page(running(), "lag", Some(lines(1500)), asked)
        }),
        step("not-found", || {
            let asked = Asked {
                find: "no such words".to_owned(),
                ..Asked::default()
            };
            step_page(running(), "lag", Some(lines(30)), asked)
        }),
        step("writing", || {
            written_page(
                running(),
                "promote",
                None,
                Asked::default(),
                written(141..=640, 640),
            )
        }),
        step("written-too-much", || {
            let asked = Asked {
                to: Some(170_000),
                ..Asked::default()
            };
            let lines = written(19_501..=20_000, 203_412);
            written_page(running(), "promote", None, asked, lines)
        }),
        step("worker-died", || {
            written_page(died(), "promote", None, Asked::default(), written(1..=12, 12))
        }),
        step("output-unreadable", || {
            written_page(running(), "promote", None, Asked::default(), Written::Unreadable)
        }),
        step("coloured-output", || {
            step_page(running(), "lag", Some(coloured()), Asked::default())
        }),
    ]
}

fn opened() -> RunFact {
    RunFact::GateOpened {
        step: "ask".into(),
        approval: ApprovalId(41),
        digest: Digest::ZERO,
        decide_by: ago(-710),
        needed: 2,
    }
}

fn waiting() -> Told {
    let mut told = beginning();
    told.push((45, opened()));
    told
}

fn running() -> Told {
    let mut told = waiting();
    let approved = RunFact::GateApproved {
        step: "ask".into(),
        approval: ApprovalId(41),
        use_by: ago(-585),
    };
    told.push((20, approved));
    told.push((
        12,
        started("promote", Effect::Once, "POST http://checkout-db-2/promote"),
    ));
    told
}

fn failed() -> Told {
    let mut told = running();
    let refused = RunFact::StepFailed {
        step: "promote".into(),
        attempt: 1,
        class: FailureClass::Refused,
        message: "POST /promote answered 409: replication slot is active".to_owned(),
        retry_at: None,
    };
    told.push((9, refused));
    let ended = RunFact::RunFinished {
        result: RunResult::Failed,
        reason: "promote failed".to_owned(),
    };
    told.push((8, ended));
    told
}

fn unknown() -> Told {
    let mut told = running();
    let lost = RunFact::OutcomeUnknown {
        step: "promote".into(),
        attempt: 1,
        reason: "no answer within 30s".to_owned(),
    };
    told.push((6, lost));
    let finding = RunFact::ProbeInconclusive {
        step: "promote".into(),
        finding: "GET /role: the connection was refused".to_owned(),
    };
    told.push((4, finding));
    told
}

fn died() -> Told {
    let mut told = running();
    let lost = RunFact::OutcomeUnknown {
        step: "promote".into(),
        attempt: 1,
        reason: CUT_OFF.to_owned(),
    };
    told.push((2, lost));
    told
}

/// These of so many lines that a program wrote; where they are not the last ones, the next 150,000 were let go.
fn written(lines: std::ops::RangeInclusive<usize>, total: usize) -> Written {
    let gone = if *lines.end() < total { 150_000 } else { 0 };
    let line = |number: usize| {
        let is_error = number % 9 == 4;
        let text = match is_error {
            true => format!("warning: web-{number} answers slowly (1,204 ms)"),
            false => format!(
                "03:12:{:02} drained web-{number}, 0 connections left",
                number % 60
            ),
        };
        (number, OutputLine { text, is_error })
    };
    let window = Window {
        total,
        gone: (gone, gone * 47),
        size: (total as i64 - gone) * 47,
        lines: lines.map(line).collect(),
        ..Window::default()
    };
    Written::Lines(window, ago(4))
}

fn manual() -> Told {
    let mut told = running();
    told.push((10, succeeded("promote", "POST /promote answered 200")));
    told.push((
        9,
        started(
            "point",
            Effect::Idempotent,
            "PUT http://checkout-proxy/primary?to=checkout-db-2",
        ),
    ));
    told.push((8, succeeded("point", "PUT /primary answered 204")));
    let asked = RunFact::ManualAsked {
        step: "look".into(),
        instruction: "Place a test order in the shop.".to_owned(),
        due: None,
    };
    told.push((7, asked));
    told
}

fn sixty() -> askama::Result<RunRecord> {
    let mut source = "runbook: checkout-failover\ntitle: Restart every web server\nsteps:\n".to_owned();
    let mut told = beginning();
    told.truncate(1);
    for n in 1..=60 {
        source.push_str(&format!(
            "  - {{ id: server-{n}, title: Restart web-{n}, call: http, with: {{ target: web, method: POST, path: /restart/{n} }}, effect: idempotent, on_failure: continue }}\n"
        ));
        let (id, command) = (format!("server-{n}"), format!("POST http://web/restart/{n}"));
        if n <= 27 {
            told.push((100 - n, started(&id, Effect::Idempotent, &command)));
        }
        if n == 24 {
            let refused = RunFact::StepFailed {
                step: id.as_str().into(),
                attempt: 1,
                class: FailureClass::Refused,
                message: "POST /restart/24 answered 500: no such server".to_owned(),
                retry_at: None,
            };
            told.push((100 - n, refused));
        } else if n <= 26 {
            told.push((100 - n, succeeded(&id, "answered 204")));
        }
    }
    story::run(&source, told)
}

fn run_page(record: RunRecord) -> askama::Result<String> {
    let page = RunPage {
        frame: frame("Run 88 · Fail over the checkout database", Place::Incidents),
        part: RunPart::of(&record, &operator(), now()),
        run: RunView::of(&RunLog::of(&record, now()), "run"),
        incident: record.run.incident.0,
    };
    page.render()
}

fn step_page(told: Told, step: &str, result: Option<Value>, asked: Asked) -> askama::Result<String> {
    written_page(told, step, result, asked, Written::Nothing)
}

fn written_page(
    told: Told,
    step: &str,
    result: Option<Value>,
    asked: Asked,
    written: Written,
) -> askama::Result<String> {
    let run = story::run(story::FAILOVER, told)?;
    let step = StepId::from(step);
    let mut events: Vec<_> = recorded(&run.facts)
        .into_iter()
        .filter(|recorded| match &recorded.event {
            crate::domain::event::Event::Run(_, fact) => fact.step() == Some(&step),
            crate::domain::event::Event::Incident(_) => false,
        })
        .collect();
    events.reverse();
    let chosen = run.attempts.iter().rev().find(|row| row.step == step.0);
    let sent = match step.0.as_str() {
        "promote" => request("checkout-db-2", "POST", "/promote"),
        _ => request("checkout-db-2", "GET", "/lag"),
    };
    let earlier = chosen.filter(|row| row.attempt > 1);
    let record = StepRecord {
        before: earlier.map(|row| AttemptDetail {
            row: AttemptRow {
                attempt: row.attempt - 1,
                ..row.clone()
            },
            effect: "once".to_owned(),
            fence: 11,
            request: request("checkout-db-2", "POST", "/promote?wait=10s"),
        }),
        chosen: chosen.map(|row| {
            let mut row = row.clone();
            row.result = result;
            AttemptDetail {
                row,
                effect: "once".to_owned(),
                fence: 12,
                request: sent,
            }
        }),
        lease: Some(Lease {
            worker: ReplicaId(3),
            fence: 12,
            until: ago(-7),
        }),
        events,
        asked,
        written,
        step,
        run,
    };
    let part = StepPart::of(&record, &operator(), now()).ok_or(askama::Error::Fmt)?;
    let page = StepPage {
        frame: frame(&StepPart::title(&record), Place::Incidents),
        log: step_page::log(&record, now()),
        rest: StepRest::of(&record, &part, now()),
        part,
    };
    page.render()
}

/// It failed once, and was sent again otherwise.
fn sent_again() -> Told {
    let mut told = running();
    let refused = RunFact::StepFailed {
        step: "promote".into(),
        attempt: 1,
        class: FailureClass::NotSent,
        message: "connection refused".to_owned(),
        retry_at: Some(ago(5)),
    };
    told.push((9, refused));
    let RunFact::StepStarted {
        step,
        key,
        fence,
        effect,
        command,
        ..
    } = started("promote", Effect::Once, "POST http://checkout-db-2/promote")
    else {
        return told;
    };
    let again = RunFact::StepStarted {
        step,
        attempt: 2,
        key,
        fence,
        effect,
        command,
    };
    told.push((3, again));
    told
}

fn answer() -> Value {
    json!({"ok": true, "status": 200, "headers": {"content-type": "application/json"},
           "body": {"replica": "checkout-db-2", "lag_s": 0.4, "slots": ["a", "b"]}})
}

fn refused() -> Value {
    json!({"ok": false, "error": "POST /promote answered 409: replication slot is active", "class": "refused"})
}

fn lines(count: usize) -> Value {
    let lines: Vec<Value> = (1..=count)
        .map(|n| {
            let text = match n % 97 {
                0 => format!(
                    "request {n} ended with a timeout after 30.0 s at checkout-db-1.example.internal:5432"
                ),
                _ => format!("request {n} ended with 200"),
            };
            json!({"at": format!("03:{:02}:{:02}", n / 60 % 60, n % 60), "text": text})
        })
        .collect();
    json!({"ok": true, "count": count, "truncated": true, "lines": lines})
}

fn coloured() -> Value {
    json!({"ok": false, "exit_code": 1, "stdout":
        "\u{1b}[1mPLAY [web]\u{1b}[0m\n\u{1b}[32mok: [web-1]\u{1b}[0m\n\u{1b}[33mchanged: [web-2]\u{1b}[0m\n\u{1b}[34mskipping: [web-3]\u{1b}[0m\n\u{1b}[35mwarned: [web-4]\u{1b}[0m\n\u{1b}[36mincluded: more.yaml\u{1b}[0m\n\u{1b}[1;31mfatal: [web-5]: FAILED! token [redacted]\u{1b}[0m\nto \u{202e}be\u{202c} shown",
        "stderr": "exit status 1"})
}
