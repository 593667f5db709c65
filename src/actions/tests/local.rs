//! Programs and files of this machine, and the TCP check.

use std::io::Read;

use serde_json::json;
use tokio::{sync::oneshot, time::timeout};

use super::*;
use crate::domain::target::CommandConnection;

fn shell(dir: Option<&str>) -> Target {
    target(Connection::Command(CommandConnection {
        dir: dir.map(str::to_owned),
        ..CommandConnection::new(["/bin/sh", "/bin/cat", "/no/such/program"].map(any).into())
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

/// A pipe that scripts hold open for as long as one of their processes lives.
struct Pipe {
    folder: Folder,
    started: oneshot::Receiver<()>,
    all_gone: oneshot::Receiver<()>,
}

impl Pipe {
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.path("pipe");
        nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (say_started, started) = oneshot::channel();
        let (say_gone, all_gone) = oneshot::channel();
        // A thread of its own: a reader that waits in vain must not keep the test from failing.
        std::thread::spawn(move || {
            let mut pipe = std::fs::File::open(path).unwrap();
            pipe.read_exact(&mut [0; 8]).unwrap();
            let _ = say_started.send(());
            pipe.read_to_end(&mut Vec::new()).unwrap();
            let _ = say_gone.send(());
        });
        Self {
            folder,
            started,
            all_gone,
        }
    }

    /// The script with the pipe's path, saying that it has begun.
    fn in_script(&self, script: &str) -> String {
        script.replace(
            "HOLD",
            &format!("exec 3>{}; echo started >&3", self.folder.path("pipe")),
        )
    }

    async fn until_all_are_gone(self) {
        let gone = timeout(Span::from_secs(10).as_duration(), self.all_gone).await;
        gone.expect("somebody is left").unwrap();
    }
}

#[tokio::test]
async fn at_its_time_the_whole_group_is_ended() {
    let short = within(Span::from_millis(500));
    for script in [
        "HOLD; sleep 60",
        "HOLD; (sh -c 'sleep 60 & sleep 60 & wait' &) ; sleep 60",
        "trap '' TERM; HOLD; (trap '' TERM; sleep 60) & while :; do sleep 60; done",
    ] {
        let pipe = Pipe::new();
        let failure = sh(&pipe.in_script(script), &short).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Lost, "{failure}");
        assert!(failure.message.contains("stopped after 0.5 s"), "{failure}");
        pipe.until_all_are_gone().await;
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_does_not_hold_it_up() {
    let pipe = Pipe::new();
    let script = pipe.in_script("HOLD; sleep 60 & echo done; exit 0");
    let outcome = sh(&script, &envelope()).await.unwrap();
    assert_eq!(outcome.result["stdout"], "done\n");
    pipe.until_all_are_gone().await;
}

#[tokio::test]
async fn a_dropped_action_leaves_no_program_behind() {
    let mut pipe = Pipe::new();
    let script = pipe.in_script("sleep 60 & HOLD; sleep 60 & sleep 60");
    let action = tokio::spawn(async move { sh(&script, &envelope()).await });
    (&mut pipe.started).await.unwrap();
    action.abort();
    pipe.until_all_are_gone().await;
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
