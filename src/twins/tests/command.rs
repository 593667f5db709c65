//! The twins of programs: the scripts, the door they ask at, and the real client of that door.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{
    domain::program::{Accepts, Argument, Parameter},
    twins::relay::{self, Answer, Ask},
};

/// Does what the relay does, as far as the texts of these tests need it.
const RELAY: &str = r#"#!/bin/bash
[ "$1 $2 $3" = "drill answer --" ] || exit 99
shift 3
exec 5<>"/dev/tcp/${1%:*}/${1##*:}"
printf '{"token":"%s","program":"%s","args":["%s"],"stdin":"%s"}\n' "$2" "$3" "$4" "$(cat)" >&5
answer=$(cat <&5)
[ -n "$answer" ] || kill -KILL $$
field() { printf '%s' "$answer" | sed 's/.*"'"$1"'":"\([^"]*\)".*/\1/'; }
field output
field errors >&2
exit "$(printf '%s' "$answer" | sed 's/.*"exit":\([0-9]*\).*/\1/')"
"#;

pub(super) fn stand_in(folder: &Path) -> PathBuf {
    let path = folder.join("re lay's");
    std::fs::write(&path, RELAY).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// A host with a folder, a user and variables that only the real one has.
pub(super) fn host() -> Connection {
    let parameter = Parameter {
        name: "to".to_owned(),
        accepts: Accepts::OneOf(["x", "a b", "it's $(id)"].map(str::to_owned).into()),
        flag: None,
        optional: true,
        repeated: 1,
        leading_dash: false,
    };
    let promote = Program {
        args: vec![Argument::Parameter(parameter)],
        ..Program::bare("/usr/bin/promote")
    };
    let twice = |name: &str, literal: &str| Program {
        name: Some(name.to_owned()),
        args: vec![Argument::Literal(literal.to_owned())],
        ..Program::bare("/opt/o'ps/ctl")
    };
    Connection::Command(CommandConnection {
        dir: Some("/var/log/real".to_owned()),
        env: [("TOKEN".to_owned(), secret())].into(),
        user: Some("nobody-here".to_owned()),
        ..CommandConnection::new(vec![promote, twice("stop", "--stop"), twice("start", "--start")])
    })
}

#[tokio::test]
async fn a_program_writes_what_the_oracle_says() {
    let stage = Stage::open(host(), |asked| match asked {
        Asked::Program { program, .. } if program.ends_with("ctl") => Reply::Program {
            output: String::new(),
            errors: "no such cluster".to_owned(),
            exit: 3,
        },
        _ => Reply::Program {
            output: "promoted".to_owned(),
            errors: "slowly".to_owned(),
            exit: 0,
        },
    })
    .await;
    let with = json!({"program": "/usr/bin/promote", "params": {"to": "it's $(id)"}, "stdin": "yes"});
    let result = stage.go(with).await.unwrap().result;
    assert_eq!(
        result,
        json!({"ok": true, "exit_code": 0, "stdout": "promoted", "stderr": "slowly"})
    );
    let failure = stage.go(json!({"program": "stop"})).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Refused);
    assert!(
        failure.message.contains("ended with 3: no such cluster"),
        "{failure}"
    );
    let programs: Vec<Asked> = stage.script.heard().into_iter().map(|(_, asked)| asked).collect();
    let asked = |program: &str, arg: &str, stdin: &str| Asked::Program {
        program: program.to_owned(),
        args: vec![arg.to_owned()],
        stdin: stdin.to_owned(),
    };
    assert_eq!(
        programs,
        [
            asked("/usr/bin/promote", "it's $(id)", "yes"),
            asked("/opt/o'ps/ctl", "--stop", ""),
        ]
    );
    // What the target does not foresee stays so.
    for with in [
        json!({"program": "/usr/bin/promote", "params": {"to": "y"}}),
        json!({"program": "/opt/o'ps/ctl", "args": ["--stop"]}),
        json!({"program": "/bin/sh"}),
    ] {
        assert_eq!(stage.go(with).await.unwrap_err().class, FailureClass::Invalid);
    }
}

/// Where a script asks, and with what token.
fn door(stage: &Stage) -> (String, String) {
    let Connection::Command(host) = stage.post.connection(&stage.real) else {
        panic!("programs stay programs");
    };
    let script = std::fs::read_to_string(&host.programs[0].path).unwrap();
    let words: Vec<&str> = script.split(" -- ").nth(1).unwrap().split(' ').collect();
    (words[0].to_owned(), words[1].to_owned())
}

async fn ask(address: &str, token: &str, stdin: &str) -> std::io::Result<Option<Answer>> {
    let ask = Ask {
        token: token.to_owned(),
        program: "/usr/bin/promote".to_owned(),
        args: vec!["-- \"x\"\n".to_owned()],
        stdin: stdin.to_owned(),
    };
    let address = address.to_owned();
    let asking = tokio::task::spawn_blocking(move || relay::exchange(&address, &ask));
    asking.await.unwrap()
}

#[tokio::test]
async fn the_relay_carries_everything_both_ways() {
    let stage = Stage::open(host(), |asked| match asked {
        Asked::Program { stdin, .. } if stdin == "break" => Reply::Lost,
        Asked::Program { args, stdin, .. } => Reply::Program {
            output: format!("{args:?} {}", stdin.len()),
            errors: "ü\0".to_owned(),
            exit: 200,
        },
        other => panic!("{other:?}"),
    })
    .await;
    let (address, token) = door(&stage);
    let long = "\"".repeat(1024 * 1024);
    let answer = ask(&address, &token, &long).await.unwrap().unwrap();
    assert_eq!(
        answer,
        Answer {
            output: format!("[\"-- \\\"x\\\"\\n\"] {}", long.len()),
            errors: "ü\0".to_owned(),
            exit: 200,
        }
    );
    assert_eq!(ask(&address, &token, "break").await.unwrap(), None);
    stage.script.heard();
    assert_eq!(
        ask(&address, "guessed", "").await.unwrap(),
        None,
        "only its own scripts"
    );
    assert_eq!(stage.script.heard(), []);
    let away = ask("192.0.2.1:80", &token, "").await.unwrap_err();
    assert!(away.to_string().contains("loopback"), "{away}");
    let Connection::Tcp { address } = Closed::open().unwrap().connection(&Connection::Tcp {
        address: "x:1".to_owned(),
    }) else {
        panic!("a port stays a port");
    };
    let gone = ask(&address, &token, "").await.unwrap_err();
    assert!(gone.to_string().contains("is not there"), "{gone}");
}
