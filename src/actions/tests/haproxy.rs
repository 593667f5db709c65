//! The HAProxy action against the real program, over its socket file and over TCP.

use std::process::Command;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use super::*;

struct Haproxy {
    folder: Folder,
    port: u16,
}

impl Haproxy {
    async fn start() -> Self {
        let folder = Folder::new();
        let port = nobody().await.port();
        let config = format!(
            "global\n stats socket {} mode 600 level admin\n stats socket ipv4@127.0.0.1:{port} level operator\n\
             defaults\n mode tcp\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n\
             backend checkout-db\n server primary 127.0.0.1:5432\n server standby 127.0.0.1:5433 disabled\n",
            folder.path("admin.sock")
        );
        std::fs::write(folder.path("config"), config).unwrap();
        // As a daemon it returns once its sockets are there.
        let started = Command::new("haproxy")
            .args(["-D", "-f", &folder.path("config"), "-p", &folder.path("pid")])
            .status()
            .unwrap();
        assert!(started.success());
        Self { folder, port }
    }

    fn target(&self) -> Target {
        let address = format!("unix:{}", self.folder.path("admin.sock"));
        target(Connection::Haproxy { address })
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let pids = std::fs::read_to_string(self.folder.path("pid")).unwrap_or_default();
        for pid in pids.lines().filter_map(|line| line.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[tokio::test]
async fn servers_are_shown_and_their_state_is_changed() {
    let haproxy = Haproxy::start().await;
    let target = haproxy.target();
    let shown = go(&target, json!({"backend": "checkout-db"}), &reading())
        .await
        .unwrap();
    assert_eq!(
        shown.result,
        json!({"ok": true, "servers": {
            "primary": {"operational": "running", "admin": "ready", "address": "127.0.0.1:5432"},
            "standby": {"operational": "stopped", "admin": "maint", "address": "127.0.0.1:5433"}}})
    );
    let swap = json!({"backend": "checkout-db", "enable": "standby", "disable": ["primary"]});
    let failure = go(&target, swap.clone(), &reading()).await.unwrap_err();
    assert_eq!(
        failure.class,
        FailureClass::Invalid,
        "a check does not change: {failure}"
    );
    for _ in 0..2 {
        let swapped = go(&target, swap.clone(), &envelope()).await.unwrap();
        assert_eq!(swapped.result["ok"], true);
        assert_eq!(swapped.result["servers"]["standby"]["admin"], "ready");
        assert_eq!(swapped.result["servers"]["primary"]["admin"], "maint");
    }
    let drained = go(
        &target,
        json!({"backend": "checkout-db", "drain": "standby"}),
        &envelope(),
    )
    .await
    .unwrap();
    assert_eq!(
        drained.result["servers"]["standby"]["admin"], "drain",
        "{drained:?}"
    );
}

#[tokio::test]
async fn what_haproxy_refuses_is_refused_before_anything_changes() {
    let haproxy = Haproxy::start().await;
    for (with, text) in [
        (json!({"backend": "nope"}), "find backend"),
        (json!({"backend": "nope", "enable": "x"}), "find backend"),
        (
            json!({"backend": "checkout-db", "disable": "primary", "enable": "ghost"}),
            "no server ghost",
        ),
    ] {
        let failure = go(&haproxy.target(), with, &envelope()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Refused);
        assert!(failure.message.contains(text), "{failure}");
    }
    // The TCP socket may look and not change.
    let address = format!("127.0.0.1:{}", haproxy.port);
    let operator = target(Connection::Haproxy { address });
    let failure = go(
        &operator,
        json!({"backend": "checkout-db", "disable": "primary"}),
        &envelope(),
    )
    .await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, FailureClass::Refused);
    assert!(failure.message.contains("ermission"), "{failure}");
    let shown = go(&operator, json!({"backend": "checkout-db"}), &reading())
        .await
        .unwrap();
    assert_eq!(shown.result["servers"]["primary"]["admin"], "ready");
}

/// Answers one command a connection from a list; `None` closes without an answer.
async fn scripted(answers: Vec<Option<&'static str>>) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut command = [0; 512];
            let _ = stream.read(&mut command).await.unwrap();
            if let Some(answer) = answer {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        // Nobody listens from here on.
    });
    target(Connection::Haproxy { address })
}

const STATE: &str = "1\n# be_name srv_name srv_addr srv_op_state srv_admin_state srv_port\n\
                     b s 10.0.0.1 2 0 80\nb t 10.0.0.2 2 0 80\n\n";

#[tokio::test]
async fn what_breaks_off_is_lost_from_the_first_change_on() {
    let change = json!({"backend": "b", "disable": ["s", "t"]});
    for (answers, class, text) in [
        (vec![None], FailureClass::NotSent, "without an answer"),
        (vec![Some("nonsense\n")], FailureClass::Refused, "nonsense"),
        (vec![Some(STATE), None], FailureClass::Lost, "without an answer"),
        (vec![Some(STATE), Some("No.\n\n")], FailureClass::Refused, "No."),
        (
            vec![Some(STATE), Some("\n"), Some("No.\n\n")],
            FailureClass::Lost,
            "after 1 of 2",
        ),
        (
            vec![Some(STATE), Some("\n"), None],
            FailureClass::Lost,
            "after 1 of 2",
        ),
        (vec![Some(STATE), Some("\n")], FailureClass::Lost, "after 1 of 2"),
        (
            vec![Some(STATE), Some("\n"), Some("\n"), None],
            FailureClass::Lost,
            "cannot be read",
        ),
    ] {
        let target = scripted(answers.clone()).await;
        let failure = go(&target, change.clone(), &envelope()).await.unwrap_err();
        assert_eq!(failure.class, class, "{answers:?}: {failure}");
        assert!(failure.message.contains(text), "{answers:?}: {failure}");
    }
    // Accepted but not in effect is not ok.
    let target = scripted(vec![Some(STATE), Some("\n"), Some("\n"), Some(STATE)]).await;
    assert_eq!(
        go(&target, change, &envelope()).await.unwrap().result["ok"],
        false
    );
}

#[tokio::test]
async fn silence_is_lost_only_once_a_change_was_sent() {
    let short = within(Span::from_millis(200));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let target = target(Connection::Haproxy { address });
    let change = json!({"backend": "b", "disable": "s"});
    let failure = go(&target, change.clone(), &short).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
    let look = Envelope {
        read_only: true,
        ..short.clone()
    };
    let failure = go(&target, json!({"backend": "b"}), &look).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Lost, "{failure}");

    // Two questions of before are waiting; the third is answered, the change after it is not.
    let answering = tokio::spawn(async move {
        for _ in 0..2 {
            silent.accept().await.unwrap();
        }
        let (mut stream, _) = silent.accept().await.unwrap();
        stream.write_all(STATE.as_bytes()).await.unwrap();
        // Only now: closing with the question unread would reset the connection.
        let _ = stream.read(&mut [0; 512]).await.unwrap();
        silent
    });
    let failure = go(&target, change, &short).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Lost, "{failure}");
    drop(answering.await.unwrap());
}
