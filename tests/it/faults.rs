//! What a running Muster does with a runbook that has a typo, a target nobody knows, and a database that is away.

use std::{path::Path, process::Command, time::Duration};

use muster::{
    domain::{
        event::Event,
        id::IncidentId,
        run::{RunFact, RunResult},
    },
    store::events,
};
use serde_json::{Value, json};

use crate::{
    fleet::{ports, wait},
    scratch::Scratch,
    support::{
        database::Database,
        ledger::Ledger,
        muster::{Setup, TOKEN, client},
    },
};

const LONG: Duration = Duration::from_secs(30);

const GOOD: &str = r#"
runbook: good
title: Strike once
match: ['alertname="Broken"']
start: automatic
steps:
  - id: strike
    call: http
    with: { target: ledger, method: POST, path: /strike }
"#;

const TYPO: &str = r#"
runbook: typo
title: A key is misspelt
match: ['alertname="Broken"']
start: automatic
steps:
  - id: strike
    call: http
    wiht: { target: ledger, method: POST, path: /typo }
"#;

const ASTRAY: &str = r#"
runbook: astray
title: The second step has nowhere to go
match: ['alertname="Broken"']
start: automatic
steps:
  - id: strike
    call: http
    with: { target: ledger, method: POST, path: /strike }
  - id: lost
    call: http
    with: { target: nowhere, method: POST, path: /lost }
  - id: after
    call: http
    with: { target: ledger, method: POST, path: /after }
"#;

fn alert() -> Value {
    json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
        "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
    }]})
}

fn fill(folder: &Path, ledger: &Ledger, runbooks: &[(&str, &str)]) {
    let targets = format!(
        "targets:\n  - name: ledger\n    http: {{ url: \"http://{}/\" }}\n",
        ledger.address
    );
    std::fs::write(folder.join("targets.yaml"), targets).unwrap();
    for (file, source) in runbooks {
        std::fs::write(folder.join(file), source).unwrap();
    }
}

/// `muster lint` of a folder: its exit code and all that it says.
fn lint(folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("lint")
        .arg(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// The results of all runs, once none is live any more.
async fn results(database: &Database) -> Vec<String> {
    wait::until("every run ends", LONG, async || {
        let rows: Vec<Option<String>> = sqlx::query_scalar("select result from runs order by id")
            .fetch_all(&database.pools.web)
            .await?;
        anyhow::ensure!(!rows.is_empty(), "no run");
        let results: Option<Vec<String>> = rows.into_iter().collect();
        results.ok_or_else(|| anyhow::anyhow!("a run goes on"))
    })
    .await
    .unwrap()
}

fn paths(ledger: &Ledger) -> Vec<String> {
    ledger.entries().into_iter().map(|entry| entry.path).collect()
}

async fn status(url: String) -> anyhow::Result<u16> {
    Ok(client().get(url).send().await?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runbook_with_a_typo_is_named_by_file_line_and_column_and_the_others_work() {
    let (database, scratch, ledger) = (Database::new().await, Scratch::new(), Ledger::start().await);
    fill(
        scratch.path(),
        &ledger,
        &[("good.yaml", GOOD), ("typo.yaml", TYPO)],
    );
    let fault = "typo.yaml:9:5: steps[0].wiht: unknown field \"wiht\"; did you mean \"with\"?";
    let (code, said) = lint(scratch.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(fault), "{said}");

    let setup = Setup::new(database.url(), scratch.path());
    let muster = setup.start(None);
    muster.stores(&alert()).await;
    assert_eq!(results(&database).await, ["succeeded"]);
    assert_eq!(paths(&ledger), ["strike"]);
    // A log may write quotes in its own way; the place is plain text in all of them.
    let logged = setup.logged();
    assert!(
        logged.contains("typo.yaml:9:5: steps[0].wiht: unknown field"),
        "{logged}"
    );
}

#[tokio::test]
async fn a_folder_without_a_fault_passes_lint() {
    let (scratch, ledger) = (Scratch::new(), Ledger::start().await);
    fill(scratch.path(), &ledger, &[("good.yaml", GOOD)]);
    let (code, said) = lint(scratch.path());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 runbooks, 1 targets, 0 faults"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_target_fails_the_run_at_its_step_and_the_timeline_names_it() {
    let (database, scratch, ledger) = (Database::new().await, Scratch::new(), Ledger::start().await);
    fill(scratch.path(), &ledger, &[("astray.yaml", ASTRAY)]);
    let (code, said) = lint(scratch.path());
    // The other steps may work, so the runbook is kept and the target only named.
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("astray.yaml:12:21: steps[1].with.target"), "{said}");

    let setup = Setup::new(database.url(), scratch.path());
    let muster = setup.start(None);
    muster.stores(&alert()).await;
    assert_eq!(results(&database).await, ["failed"]);
    assert_eq!(
        paths(&ledger),
        ["strike"],
        "what came before ran, what came after did not"
    );

    let mut conn = database.pools.web.acquire().await.unwrap();
    let timeline = events::list_after(&mut conn, IncidentId(1), 0, 100)
        .await
        .unwrap();
    let facts: Vec<&RunFact> = timeline
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::Run(_, fact) => Some(fact),
            Event::Incident(_) => None,
        })
        .collect();
    let named = "there is no target nowhere; add it to the targets file";
    let failed = facts.iter().any(|fact| {
        matches!(fact, RunFact::StepFailed { step, message, retry_at: None, .. }
            if step.0 == "lost" && message == named)
    });
    assert!(failed, "{facts:?}");
    let finished = facts.iter().any(|fact| {
        matches!(fact, RunFact::RunFinished { result: RunResult::Failed, reason }
            if *reason == format!("lost: {named}"))
    });
    assert!(finished, "{facts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_muster_without_its_database_says_so_and_goes_on_by_itself_when_it_is_back() {
    let (database, scratch, ledger) = (Database::new().await, Scratch::new(), Ledger::start().await);
    fill(scratch.path(), &ledger, &[("good.yaml", GOOD)]);
    // The address of the database leads through a port where nobody listens yet.
    let door = ports::free().unwrap();
    let name = database.options.get_database().unwrap();
    let user = database.options.get_username();
    let password = url::Url::parse(&database.url())
        .unwrap()
        .password()
        .map(str::to_owned);
    let password = password.map_or_else(String::new, |password| format!(":{password}"));
    let through = format!("postgres://{user}{password}@127.0.0.1:{door}/{name}?sslmode=disable");
    let setup = Setup::new(through, scratch.path());
    let muster = setup.start(None);
    wait::until("Muster answers", LONG, async || {
        anyhow::ensure!(status(muster.url("/healthz")).await? == 200);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(status(muster.url("/readyz")).await.unwrap(), 503);
    let answer = client()
        .post(muster.url("/api/v1/sources/test/alertmanager"))
        .bearer_auth(TOKEN)
        .json(&alert())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    wait::until("the log says why", LONG, async || {
        let logged = setup.logged();
        anyhow::ensure!(logged.contains("the database cannot be used yet"), "{logged}");
        Ok(())
    })
    .await
    .unwrap();

    open(door, &database).await;
    muster.stores(&alert()).await;
    assert_eq!(status(muster.url("/readyz")).await.unwrap(), 200);
    assert_eq!(results(&database).await, ["succeeded"]);
    assert_eq!(paths(&ledger), ["strike"]);
}

/// Leads every connection to `door` on to the database.
async fn open(door: u16, database: &Database) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", door)).await.unwrap();
    let (host, port) = (
        database.options.get_host().to_owned(),
        database.options.get_port(),
    );
    let socket = database
        .options
        .get_socket()
        .map(|folder| folder.join(format!(".s.PGSQL.{port}")));
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (host, socket) = (host.clone(), socket.clone());
            tokio::spawn(async move {
                // Either side may hang up; the other then reads the end.
                let _ = match socket {
                    Some(path) => {
                        let mut far = tokio::net::UnixStream::connect(path).await?;
                        tokio::io::copy_bidirectional(&mut near, &mut far).await
                    }
                    None => {
                        let mut far = tokio::net::TcpStream::connect((host, port)).await?;
                        tokio::io::copy_bidirectional(&mut near, &mut far).await
                    }
                };
                std::io::Result::Ok(())
            });
        }
    });
}
