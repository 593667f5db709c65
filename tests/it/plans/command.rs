//! `muster runbook`: what the commands say, and their exit codes.

use std::process::{Command, Output};

use serde_json::Value;

use super::{Target, WHOLE, targets_file};
use crate::scratch::Scratch;

async fn folder(target: &Target, runbook: &str) -> Scratch {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("whole.yaml"), runbook).unwrap();
    std::fs::write(scratch.path().join("targets.yaml"), targets_file(target)).unwrap();
    scratch
}

async fn muster(scratch: &Scratch, arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .args(arguments)
        .env("MUSTER_RUNBOOKS", scratch.path())
        .env_remove("MUSTER_TARGETS")
        // There is no database to be found.
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .env("SHOP_SECRET", "hunter22-hunter22");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, said)
}

#[tokio::test]
async fn a_plan_of_what_works_ends_with_0_and_changes_nothing() {
    let target = Target::start().await;
    let scratch = folder(&target, WHOLE).await;
    let (output, said) = muster(&scratch, &["runbook", "plan", "whole", "--label", "pool=blue"]).await;
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("All 6 steps can work\n"), "{said}");
    for part in [
        "HOLDS         look  look",
        "WOULD ASK     ask  Restart blue?",
        &format!("POST http://{}/restart/a", target.address),
        "DONE ALREADY  set",
        "under the gate ask",
        "does not hold now, and is asked after tell was done",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        target.reads().len() >= 4 && target.changes() == 0,
        "{:?}",
        target.reads()
    );

    let file = scratch.path().join("whole.yaml");
    let arguments = [
        "runbook",
        "plan",
        file.to_str().unwrap(),
        "--input",
        "pool=green",
        "--json",
    ];
    let (output, said) = muster(&scratch, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["headline"], "All 6 steps can work");
    assert_eq!(said["broken"], false);
    assert_eq!(said["rehearsal"]["steps"][0]["verdict"]["verdict"], "checked");
    let request = said["rehearsal"]["steps"][0]["request"].as_str().unwrap();
    assert!(request.ends_with("/look/green"), "{request}");
}

#[tokio::test]
async fn a_plan_of_what_cannot_work_ends_with_1_and_names_it() {
    let target = Target::start().await;
    let locked = WHOLE.replace("{ target: shop, method: POST", "{ target: locked, method: POST");
    let scratch = folder(&target, &locked).await;
    let plan = ["runbook", "plan", "whole", "--label", "pool=blue"];
    let (output, said) = muster(&scratch, &plan).await;
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = "5 of 6 steps can work; restart cannot: secret env:MUSTER_TEST_NO_SUCH_SECRET is not set\n";
    assert!(said.starts_with(line), "{said}");

    let keyed = targets_file(&target).replace("env:MUSTER_TEST_NO_SUCH_SECRET", "env:SHOP_SECRET");
    let other = scratch.path().join("elsewhere.targets");
    std::fs::write(&other, keyed).unwrap();
    let (output, said) = muster(
        &scratch,
        &[&plan[..], &["--targets", other.to_str().unwrap()]].concat(),
    )
    .await;
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("hunter22"), "{said}");

    let before = target.reads().len();
    let (output, said) = muster(&scratch, &[&plan[..], &["--no-checks"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.starts_with("5 of 6 steps can be rendered; restart can only be known"),
        "{said}"
    );
    assert_eq!(target.reads().len(), before, "nothing was asked");

    let (output, said) = muster(&scratch, &["runbook", "plan", "whole"]).await;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("A run cannot begin: no value for the required input pool; "),
        "{said}"
    );
    assert_eq!(target.changes(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_ends_with_1_and_a_wrong_command_with_2() {
    let target = Target::start().await;
    let scratch = folder(&target, WHOLE).await;
    std::fs::write(scratch.path().join("torn.yaml"), "runbook: torn\n").unwrap();
    let complaint = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let (output, _) = muster(&scratch, &["runbook", "plan", "torn"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaint(&output).contains("torn.yaml:1"),
        "{}",
        complaint(&output)
    );
    std::fs::remove_file(scratch.path().join("torn.yaml")).unwrap();
    let (output, _) = muster(&scratch, &["runbook", "plan", "nobody"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaint(&output).contains("there is no runbook nobody"),
        "{}",
        complaint(&output)
    );
    let (output, _) = muster(&scratch, &["runbook", "plan", "whole", "--input", "pool"]).await;
    assert_eq!(output.status.code(), Some(2));

    let path = scratch.path().to_str().unwrap();
    for lint in [&["lint", path][..], &["runbook", "lint", path]] {
        let (output, said) = muster(&scratch, lint).await;
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(
            said,
            "1 runbooks, 4 targets, 0 faults, 0 warnings, 0 fixtures, 0 scenarios\n",
            "{}",
            complaint(&output)
        );
    }
    std::fs::write(scratch.path().join("torn.yaml"), "runbook: torn\n").unwrap();
    for lint in [&["lint", path][..], &["runbook", "lint", path]] {
        let (output, _) = muster(&scratch, lint).await;
        assert_eq!(output.status.code(), Some(1));
    }
}
