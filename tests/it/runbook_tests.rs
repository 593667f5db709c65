//! `muster runbook test` and `muster lint` as authors use them: what they print, and their exit codes.

use std::{
    path::Path,
    process::{Command, Output},
};

use muster::{cli, config::Test};

use crate::fleet::scratch::Scratch;

const RUNBOOK: &str = "
runbook: strike
title: Strike
match: ['alertname=\"Broken\"']
steps:
  - id: look
    check: tcp
    with: { target: t }
  - id: ask
    gate: {}
  - id: strike
    call: http
    with: { target: u, method: POST, path: /x }
    on_failure: continue
";

const PASSES: &str = "
runbook: strike
test: it strikes once it may
alert: { labels: { alertname: Broken } }
answers: { look: { result: {} }, strike: { result: {} } }
people: { ask: approve }
expect: { result: succeeded, gates: [ask], calls: [strike] }
";

const FAILS: &str = "
runbook: strike
test: it strikes by itself
alert: { labels: { alertname: Broken } }
answers: { look: [{ lost: x }, { result: {} }], strike: { result: {} } }
expect: { result: succeeded, calls: [strike] }
";

const TARGETS: &str = "
targets:
  - { name: t, tcp: { address: \"h:1\" } }
  - { name: u, http: { url: \"http://h:2/\" } }
";

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

/// A folder with a runbook, its targets and these fixtures.
fn folder(fixtures: &[(&str, &str)]) -> Scratch {
    let mut scratch = Scratch::new().unwrap();
    scratch.ended_well();
    let tests = scratch.path().join("runbooks/tests");
    std::fs::create_dir_all(&tests).unwrap();
    std::fs::write(scratch.path().join("runbooks/strike.yaml"), RUNBOOK).unwrap();
    std::fs::write(scratch.path().join("runbooks/targets.yaml"), TARGETS).unwrap();
    for (name, source) in fixtures {
        std::fs::write(tests.join(name), source).unwrap();
    }
    scratch
}

#[test]
fn one_line_a_fixture_and_what_was_never_taken() {
    let folder = folder(&[("good.yaml", PASSES)]);
    let told = muster(&["runbook", "test"], folder.path());
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    assert_eq!(
        text(&told.stdout),
        "ok   strike: it strikes once it may

strike: 3 of 8 branches, 1 fixture
  look    1/2  never taken: failure path
  ask     1/3  never taken: rejected, expired
  strike  1/3  never taken: failure path (continue), lost answer decided by a person

1 fixture, 0 failed, 0 faults
"
    );
}

#[test]
fn a_fixture_that_fails_tells_the_difference_and_the_story() {
    let folder = folder(&[("bad.yaml", FAILS), ("good.yaml", PASSES)]);
    let told = muster(
        &["runbook", "test", "runbooks", "--runbook", "strike"],
        folder.path(),
    );
    assert_eq!(told.status.code(), Some(1));
    let text = text(&told.stdout);
    assert!(
        text.starts_with(
            "FAIL strike: it strikes by itself
     runbooks/tests/bad.yaml
     result
       expected  succeeded
       got       failed
     calls
       expected  [strike]
       got       []
     answers: strike was never asked
     what happened:
           +0s  look: tcp t
           +0s  look: failed: the answer is not ok; x
           +0s  The run failed: look: the answer is not ok; x
ok   strike: it strikes once it may
"
        ),
        "{text}"
    );
    assert!(text.ends_with("2 fixtures, 1 failed, 0 faults\n"), "{text}");

    let told = muster(&["runbook", "test", "--json"], folder.path());
    assert_eq!(told.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(report["fixtures"][0]["passed"], false);
    assert_eq!(report["fixtures"][0]["differences"][1]["got"], "[]");
    assert_eq!(report["coverage"][0]["branches"], 8);
    assert_eq!(report["coverage"][0]["steps"][1]["missing"][0], "rejected");
}

#[test]
fn faults_of_fixtures_are_named_by_the_test_and_by_lint() {
    let twice = PASSES.replace("calls", "cals");
    let folder = folder(&[("a.yaml", &twice), ("b.yaml", PASSES), ("c.yaml", PASSES)]);
    let wanted = "runbooks/tests/a.yaml:7:44: expect.cals: unknown field \"cals\"; did you mean \"calls\"?
runbooks/tests/c.yaml:1:1: a test of that name is in runbooks/tests/b.yaml already
";
    for arguments in [["runbook", "test"], ["lint", "runbooks"]] {
        let told = muster(&arguments, folder.path());
        assert_eq!(told.status.code(), Some(1));
        assert!(text(&told.stderr).starts_with(wanted), "{}", text(&told.stderr));
    }
    let told = muster(&["runbook", "test", "--runbook", "stroke"], folder.path());
    assert!(text(&told.stderr).contains("there is no runbook stroke in runbooks"));
}

#[test]
fn a_target_that_is_not_there_fails_the_fixture_as_it_would_fail_the_run() {
    let folder = folder(&[("good.yaml", PASSES)]);
    let targets = folder.path().join("runbooks/targets.yaml");
    std::fs::write(&targets, TARGETS.replace("name: t,", "name: elsewhere,")).unwrap();
    let told = muster(&["runbook", "test"], folder.path());
    assert_eq!(told.status.code(), Some(1));
    assert!(
        text(&told.stdout).contains("there is no target t"),
        "{}",
        text(&told.stdout)
    );
    // Without a targets file nobody can say which targets there are.
    std::fs::remove_file(&targets).unwrap();
    assert_eq!(muster(&["runbook", "test"], folder.path()).status.code(), Some(0));
}

/// The samples are tested by the same command their authors use.
#[test]
fn every_sample_runbook_passes_its_tests() {
    for (folder, fixtures, taken) in [("runbooks", 24, 54), ("runbooks/demo", 4, 11)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let report = cli::test::report(&Test {
            folder,
            targets: None,
            runbook: None,
            json: false,
        });
        assert!(
            report.is_good(),
            "{}\n{}",
            report.faults.join("\n"),
            report.text()
        );
        assert!(report.fixtures.len() >= fixtures, "{}", report.text());
        let covered: usize = report.coverage.iter().map(|covered| covered.taken).sum();
        assert!(covered >= taken, "{}", report.text());
    }
}

#[test]
fn the_fixture_of_the_readme_passes() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme
        .split_once("```yaml\nrunbook: postgres-primary-down\n")
        .unwrap();
    let (body, _) = rest.split_once("```").unwrap();
    let folder = folder(&[("readme.yaml", &format!("runbook: postgres-primary-down\n{body}"))]);
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    for name in ["postgres-primary-down.yaml", "targets.yaml"] {
        std::fs::copy(samples.join(name), folder.path().join("runbooks").join(name)).unwrap();
    }
    let told = muster(
        &["runbook", "test", "--runbook", "postgres-primary-down"],
        folder.path(),
    );
    assert_eq!(
        told.status.code(),
        Some(0),
        "{}{}",
        text(&told.stderr),
        text(&told.stdout)
    );
}
