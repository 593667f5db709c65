//! Programs and files of this machine, and the TCP check.

use serde_json::json;
use tokio::{fs::File, time::timeout};

use super::*;
use crate::domain::target::CommandConnection;

fn shell(dir: Option<&str>) -> Target {
    target(Connection::Command(CommandConnection {
        programs: vec![
            "/bin/sh".to_owned(),
            "/bin/cat".to_owned(),
            "/no/such/program".to_owned(),
        ],
        dir: dir.map(str::to_owned),
        env: BTreeMap::new(),
    }))
}

async fn sh(script: &str, envelope: &Envelope) -> Result<Outcome, Failure> {
    let with = json!({"program": "/bin/sh", "args": ["-c", script, "sh", "$(id); `id` \"x\"", 7]});
    go(&shell(None), with, envelope).await
}

#[tokio::test]
async fn a_program_gets_its_arguments_and_an_almost_empty_environment() {
    let outcome = sh("echo \"$1|$2\"; env | sort; pwd", &envelope()).await.unwrap();
    let stdout = outcome.result["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("$(id); `id` \"x\"|7\n"), "{stdout}");
    let names: Vec<&str> = stdout
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(
        names,
        ["LANG", "MUSTER_FENCE", "MUSTER_IDEMPOTENCY_KEY", "PATH", "PWD"]
    );
    assert!(
        stdout.contains("MUSTER_IDEMPOTENCY_KEY=run-7/promote\n") && stdout.contains("MUSTER_FENCE=42\n")
    );
    assert!(stdout.ends_with("\n/\n"), "{stdout}");
    assert_eq!(
        (&outcome.result["ok"], &outcome.result["exit_code"]),
        (&json!(true), &json!(0))
    );

    let fed = json!({"program": "/bin/cat", "stdin": "a\0b"});
    assert_eq!(
        go(&shell(None), fed, &envelope()).await.unwrap().result["stdout"],
        "a␀b"
    );
    // Input nobody reads does not hold the program up, nor does it hold up the input.
    let unread = json!({"program": "/bin/sh", "args": ["-c", "exit 0"], "stdin": "x".repeat(1_000_000)});
    assert_eq!(
        go(&shell(None), unread, &envelope()).await.unwrap().result["ok"],
        true
    );
}

#[tokio::test]
async fn how_a_program_ends_is_how_it_went() {
    let failure = sh("echo out; echo why >&2; exit 3", &envelope())
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Refused);
    assert_eq!(failure.message, "/bin/sh ended with 3: why");
    let check = sh("echo out; echo why >&2; exit 3", &reading()).await.unwrap();
    assert_eq!(
        check.result,
        json!({"ok": false, "exit_code": 3, "stdout": "out\n", "stderr": "why\n"})
    );
    let killed = sh("kill -9 $$", &envelope()).await.unwrap_err();
    assert_eq!(killed.class, FailureClass::Lost, "{killed}");
    for target in [shell(None), shell(Some("/no/such/folder"))] {
        let failure = go(&target, json!({"program": "/no/such/program"}), &envelope())
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
    }
}

#[tokio::test]
async fn output_without_end_is_read_and_cut() {
    let script =
        "head -c 5000000 /dev/zero | tr '\\0' y; head -c 3000000 /dev/zero | tr '\\0' z >&2; echo >&2 end";
    let outcome = sh(script, &envelope()).await.unwrap();
    assert_eq!(
        (&outcome.result["ok"], &outcome.result["truncated"]),
        (&json!(true), &json!(true))
    );
    assert!(outcome.result["stdout"].as_str().unwrap().starts_with("yyy"));
    assert!(outcome.result["stderr"].as_str().unwrap().starts_with("zzz"));
    assert!(outcome.result.to_string().len() <= RESULT_BYTES_MAX);
}

/// Runs a script whose children hold a pipe open, and waits until the last of them has let go of it.
async fn until_all_are_gone(script: &str, envelope: &Envelope) -> Result<Outcome, Failure> {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let held = tokio::spawn(async move {
        let mut text = String::new();
        File::open(pipe)
            .await
            .unwrap()
            .read_to_string(&mut text)
            .await
            .unwrap();
        text
    });
    let answer = sh(&script.replace("PIPE", &folder.path("pipe")), envelope).await;
    let text = timeout(PLENTY.as_duration(), held)
        .await
        .expect("somebody is left")
        .unwrap();
    assert_eq!(text, "started\n");
    answer
}

#[tokio::test]
async fn at_its_time_the_whole_group_is_ended() {
    let short = within(Span::from_millis(500));
    for script in [
        "exec 3>PIPE; echo started >&3; sleep 600",
        "exec 3>PIPE; (sh -c 'sleep 600 & sleep 600 & wait' &) ; echo started >&3; sleep 600",
        "trap '' TERM; exec 3>PIPE; (trap '' TERM; sleep 600) & echo started >&3; while :; do sleep 600; done",
    ] {
        let failure = until_all_are_gone(script, &short).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Lost, "{failure}");
        assert!(failure.message.contains("stopped after 0.5 s"), "{failure}");
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_does_not_hold_it_up() {
    let script = "exec 3>PIPE; echo started >&3; sleep 600 & echo done; exit 0";
    let outcome = until_all_are_gone(script, &envelope()).await.unwrap();
    assert_eq!(outcome.result["stdout"], "done\n");
}

#[tokio::test]
async fn a_dropped_action_leaves_no_program_behind() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("exec 3>{pipe}; echo started >&3; sleep 600 & sleep 600");
    let action = tokio::spawn(async move { sh(&script, &envelope()).await });
    let mut held = File::open(&pipe).await.unwrap();
    let mut text = [0; 8];
    held.read_exact(&mut text).await.unwrap();
    action.abort();
    let rest = timeout(PLENTY.as_duration(), held.read(&mut text)).await;
    assert_eq!(rest.expect("somebody is left").unwrap(), 0);
}

#[tokio::test]
async fn the_last_lines_of_a_file_are_read() {
    let folder = Folder::new();
    std::fs::write(folder.path("log"), "one\nerror two\n\0three error\r\nfour").unwrap();
    let file = |name: &str| {
        target(Connection::File {
            path: folder.path(name),
        })
    };
    let outcome = go(&file("log"), json!({"limit": 5, "contains": "error"}), &reading())
        .await
        .unwrap();
    assert_eq!(
        outcome.result,
        json!({"ok": true, "count": 2, "lines": [{"text": "error two"}, {"text": "␀three error"}]})
    );
    std::os::unix::fs::symlink(folder.path("log"), folder.path("link")).unwrap();
    nix::unistd::mkfifo(folder.path("pipe").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, class) in [
        ("link", FailureClass::Invalid),
        ("pipe", FailureClass::Invalid),
        ("", FailureClass::Invalid),
        ("absent", FailureClass::Refused),
    ] {
        let failure = go(&file(name), json!({}), &reading()).await.unwrap_err();
        assert_eq!(failure.class, class, "{name}: {failure}");
    }
}

#[tokio::test]
async fn a_port_that_accepts_is_ok() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let outcome = go(&target(Connection::Tcp { address }), json!({}), &reading())
        .await
        .unwrap();
    assert_eq!(outcome.result["ok"], true);
    assert!(outcome.result["connect_ms"].is_u64());
}
