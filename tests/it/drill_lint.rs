//! `muster drill lint` as authors use it: what it prints, and its exit code.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::fleet::scratch::Scratch;

const RUNBOOK: &str = "
runbook: strike
title: Strike
match: ['alertname=\"Broken\"']
steps:
  - id: look
    check: tcp
    with: { target: port }
";

const SCENARIO: &str = "
scenario: struck
title: Struck
summary: Trains a look.
brief: You are on call.
length: 8m
runbooks: [strike]
world: { services: { app: { state: { up: true } } } }
twins: { port: { tcp: { up: app.up } } }
alerts: [{ labels: { alertname: Broken }, while: not app.up }]
injects: [{ id: fall, title: It falls, after: 10s, set: { app.up: false } }]
expected: [{ id: take, acknowledge: true, within: 2m }]
";

fn folder(files: &[(&str, &str)]) -> Scratch {
    let folder = Scratch::new().unwrap();
    let drills = folder.path().join("runbooks/drills");
    std::fs::create_dir_all(&drills).unwrap();
    std::fs::write(folder.path().join("runbooks/strike.yaml"), RUNBOOK).unwrap();
    let targets = "targets: [{ name: port, tcp: { address: \"h:1\" } }]";
    std::fs::write(folder.path().join("runbooks/targets.yaml"), targets).unwrap();
    for (name, source) in files {
        std::fs::write(drills.join(name), source).unwrap();
    }
    folder
}

fn muster(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("MUSTER_TARGETS");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn good_scenarios_are_counted() {
    let folder = folder(&[("struck.yaml", SCENARIO)]);
    for (arguments, wanted) in [
        (
            ["drill", "lint"].as_slice(),
            "1 scenarios, 0 faults, 0 warnings\n",
        ),
        (
            &["lint"],
            "1 runbooks, 1 targets, 0 faults, 0 warnings, 0 fixtures, 1 scenarios\n",
        ),
    ] {
        let told = muster(arguments, folder.path());
        assert_eq!(text(&told.stdout), wanted);
        assert_eq!((told.status.code(), text(&told.stderr)), (Some(0), String::new()));
    }
}

#[test]
fn faults_of_scenarios_are_named_where_they_stand() {
    let bad = SCENARIO
        .replace("twins: { port:", "twins: { prt:")
        .replace("not app.up", "not ap.up");
    let folder = folder(&[("bad.yaml", &bad), ("struck.yaml", SCENARIO)]);
    let wanted = "runbooks/drills/bad.yaml:7:12: runbooks[0]: no twin for target port, which runbook strike step look asks; \
                  did you call its twin \"prt\"?
runbooks/drills/bad.yaml:10:50: alerts[0].while: there is no name \"ap\"; did you mean \"app\"?
";
    for arguments in [
        ["drill", "lint"].as_slice(),
        &["drill", "lint", "runbooks"],
        &["lint"],
    ] {
        let told = muster(arguments, folder.path());
        assert_eq!(told.status.code(), Some(1));
        assert_eq!(text(&told.stderr), wanted);
    }
}

#[test]
fn a_runbook_with_faults_is_not_there_for_scenarios() {
    let folder = folder(&[("struck.yaml", SCENARIO)]);
    let broken = RUNBOOK.replace("title", "tilte");
    std::fs::write(folder.path().join("runbooks/strike.yaml"), broken).unwrap();
    let told = muster(&["drill", "lint"], folder.path());
    assert_eq!(told.status.code(), Some(1));
    let said = text(&told.stderr);
    assert!(
        said.contains("7:12: runbooks[0]: there is no runbook \"strike\" without faults in this folder"),
        "{said}"
    );
    assert!(said.contains("muster runbook lint names them"), "{said}");
}
