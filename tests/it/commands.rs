//! Programs that misbehave: what a target's limits leave of them, and that nothing an alert says becomes more than a value.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use muster::{
    actions::{Bounds, Outside},
    domain::{
        action::{Envelope, Failure, FailureClass, Rendered},
        aim,
        program::{Accepts, Argument, Parameter, Program, ProgramLimits},
        span::Span,
        step::{ActionKind, Request},
        target::{CommandConnection, Connection, Target},
    },
};
use nix::unistd::{Uid, User};
use serde_json::{Value, json};

use crate::{fleet::wait, scratch::Scratch};

fn parameter(name: &str, pattern: &str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        accepts: Accepts::Pattern(pattern.to_owned().try_into().unwrap()),
        flag: None,
        optional: false,
        repeated: 1,
        leading_dash: false,
    }
}

/// A shell that reads a script, which only a test would ever allow.
fn shell() -> CommandConnection {
    CommandConnection::new(vec![Program {
        args: vec![
            Argument::Literal("-c".to_owned()),
            Argument::Parameter(parameter("script", "(?s).*")),
        ],
        ..Program::bare("/bin/sh")
    }])
}

async fn perform(host: CommandConnection, with: Value, timeout: Span) -> Result<Value, Failure> {
    let target = Target::new("tools", Connection::Command(host));
    let request = Rendered {
        action: ActionKind::Command,
        target: target.name.clone(),
        with,
    };
    let envelope = Envelope {
        key: "run-1/step".to_owned(),
        fence: 1,
        timeout,
        not_after: None,
        read_only: true,
    };
    let outcome = Outside::new(Bounds::default())
        .perform(&target, &request, &envelope)
        .await?;
    Ok(outcome.result)
}

async fn sh(host: CommandConnection, script: &str, timeout: Span) -> Result<Value, Failure> {
    perform(
        host,
        json!({"program": "/bin/sh", "params": {"script": script}}),
        timeout,
    )
    .await
}

/// The processes of a session, by what the kernel says of each.
fn session(leader: &str) -> Vec<PathBuf> {
    processes(|stat, _| {
        // After the name in brackets: state, parent, group, session.
        let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
        behind.split(' ').nth(3) == Some(leader)
    })
}

fn processes(is: impl Fn(&str, &Path) -> bool) -> Vec<PathBuf> {
    let found = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_number = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.parse::<u32>().is_ok()
    };
    found
        .filter(is_number)
        .filter(|path| fs::read_to_string(path.join("stat")).is_ok_and(|stat| is(&stat, path)))
        .collect()
}

#[tokio::test]
async fn a_program_has_a_session_limits_and_nothing_of_musters() {
    let host = CommandConnection {
        limits: ProgramLimits {
            cpu: Span::from_secs(7),
            memory_mib: 512,
            open_files: 33,
            file_mib: 2,
            processes: None,
        },
        ..shell()
    };
    let script = "echo core $(ulimit -c) cpu $(ulimit -t) memory $(ulimit -v) files $(ulimit -n) file $(ulimit -f)\n\
        echo mask $(umask)\ngrep NoNewPrivs /proc/self/status\nls -l /proc/$$/fd | grep -c musters-own\n\
        read -r _ _ _ _ group session _ < /proc/$$/stat; echo own $(($$ - group)) $(($$ - session))\n";
    // A file that is open here, and not there.
    let folder = Scratch::new();
    let _open = fs::File::create(folder.path().join("musters-own")).unwrap();
    let result = sh(host, script, Span::from_secs(20)).await.unwrap();
    let lines: Vec<&str> = result["stdout"]
        .as_str()
        .unwrap()
        .lines()
        .map(str::trim)
        .collect();
    assert_eq!(
        lines,
        [
            "core 0 cpu 7 memory 524288 files 33 file 4096",
            "mask 0077",
            "NoNewPrivs:\t1",
            "0",
            "own 0 0",
        ],
        "{result}"
    );
}

#[tokio::test]
async fn a_program_that_wants_too_much_gets_no_more_than_its_target_allows() {
    let folder = Scratch::new();
    let file = folder.path().join("long");
    let limited = |limits: ProgramLimits| CommandConnection { limits, ..shell() };
    let usual = ProgramLimits::default();
    for (limits, script, said) in [
        (
            ProgramLimits {
                memory_mib: 64,
                ..usual
            },
            "dd if=/dev/zero of=/dev/null bs=500M count=1".to_owned(),
            "memory exhausted",
        ),
        (
            ProgramLimits { file_mib: 1, ..usual },
            format!("head -c 5000000 /dev/zero > {}", file.display()),
            "",
        ),
    ] {
        let answer = sh(limited(limits), &script, Span::from_secs(20)).await;
        println!("{script}: {answer:?}");
        match answer {
            Ok(result) => assert!(result["stderr"].as_str().unwrap().contains(said), "{result}"),
            Err(failure) => assert!(failure.message.contains(said), "{failure}"),
        }
    }
    assert!(
        fs::metadata(&file).unwrap().len() <= 1 << 20,
        "a file ends where its limit is"
    );
    let busy = limited(ProgramLimits {
        cpu: Span::from_secs(1),
        ..usual
    });
    let failure = sh(busy, "while :; do :; done", Span::from_secs(30))
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Lost);
    assert!(
        failure.message.contains("used up its time on the processor"),
        "{failure}"
    );
}

#[tokio::test]
async fn whatever_it_starts_ends_with_it() {
    let folder = Scratch::new();
    for (name, script) in [
        ("children", "sleep 1000 & (sleep 1000 & sleep 1000) & sleep 1000"),
        ("deaf", "trap '' TERM INT HUP; while :; do sleep 1000; done"),
        ("deaf-child", "(trap '' TERM; sleep 1000) & sleep 1000"),
        ("flood", "exec yes"),
    ] {
        let file = folder.path().join(name);
        let script = format!("echo $$ > {}; {script}", file.display());
        let failure = sh(shell(), &script, Span::from_millis(700)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Lost, "{name}: {failure}");
        assert!(
            failure.message.contains("stopped after 0.7 s"),
            "{name}: {failure}"
        );
        let leader = fs::read_to_string(&file).unwrap().trim().to_owned();
        wait::until("nobody of it is left", Duration::from_secs(5), async || {
            let left = session(&leader);
            anyhow::ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_program_that_multiplies_is_bounded_and_gone_at_its_time() {
    const MOST: u32 = 20;
    let Some(nobody) = User::from_name("nobody")
        .unwrap()
        .filter(|_| Uid::effective().is_root())
    else {
        println!("not run: only root can give a program a user of its own");
        return;
    };
    let host = CommandConnection {
        user: Some("nobody".to_owned()),
        limits: ProgramLimits {
            processes: Some(MOST),
            ..ProgramLimits::default()
        },
        ..shell()
    };
    let bomb = tokio::spawn(sh(
        host,
        "bomb() { bomb | bomb & }; bomb; sleep 1000",
        Span::from_secs(3),
    ));
    let uid = nobody.uid.as_raw();
    let of_nobody = || {
        processes(|_, path| {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(path).is_ok_and(|about| about.uid() == uid)
        })
    };
    let before = of_nobody().len();
    let mut most = 0;
    while !bomb.is_finished() {
        most = most.max(of_nobody().len().saturating_sub(before));
        tokio::task::yield_now().await;
    }
    println!("at most {most} processes at once");
    assert!(most <= MOST as usize + 1, "{most}");
    let _ = bomb.await.unwrap();
    wait::until("none of them is left", Duration::from_secs(5), async || {
        let left = of_nobody().len();
        anyhow::ensure!(left <= before, "{left}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_program_runs_as_the_user_its_target_names() {
    if !Uid::effective().is_root() {
        println!("not run: only root can give a program a user of its own");
        return;
    }
    let host = |user: &str| CommandConnection {
        user: Some(user.to_owned()),
        ..shell()
    };
    let result = sh(
        host("nobody"),
        "id -un; id -Gn; cat /etc/shadow",
        Span::from_secs(20),
    )
    .await
    .unwrap();
    assert_eq!(result["ok"], false);
    assert_eq!(result["stdout"], "nobody\nnogroup\n", "{result}");
    let failure = sh(host("no-such-user"), "id", Span::from_secs(20))
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Invalid);
    assert!(failure.message.contains("no-such-user"), "{failure}");
}

/// What shells, printf and option parsers treat in their own way.
const BYTES: &[&str] = &[
    "$(touch CANARY)",
    "`touch CANARY`",
    ";",
    "&",
    "&&",
    "|",
    "||",
    "\n",
    "\r",
    "'",
    "\"",
    "\\",
    "touch CANARY",
    "$IFS",
    "${PATH}",
    "<",
    ">",
    ">CANARY",
    "*",
    "?",
    "[a]",
    "~",
    "#",
    "!",
    "%s",
    "%n",
    "{a,b}",
    "-rf",
    "--",
    " ",
    "\t",
    "\u{1b}[31m",
    "\u{202e}",
    "ü",
    "é",
    "=",
    "a",
    "0",
    "{{ 7*7 }}",
    "{% raw %}",
    "\0",
];

#[tokio::test]
async fn what_an_alert_says_stays_one_argument_or_is_refused() {
    let folder = Scratch::new();
    let canary = folder.path().join("canary");
    let host = |pattern: &str| CommandConnection {
        dir: Some(folder.path().display().to_string()),
        ..CommandConnection::new(vec![Program {
            args: vec![
                Argument::Literal("%s.".to_owned()),
                Argument::Parameter(parameter("unit", pattern)),
            ],
            ..Program::bare("/usr/bin/printf")
        }])
    };
    let request = Request {
        action: ActionKind::Command,
        with: json!({"target": "tools", "program": "/usr/bin/printf", "params": {"unit": "{{ labels.unit }}"}}),
    };
    let mut chance = fastrand::Rng::with_seed(7);
    let (mut literal, mut refused) = (0, 0);
    for round in 0..300 {
        let value: String = match BYTES.get(round) {
            Some(one) => format!("a{one}"),
            None => (0..chance.usize(1..8))
                .map(|_| BYTES[chance.usize(..BYTES.len())])
                .collect(),
        };
        let value = value.replace("CANARY", canary.to_str().unwrap());
        let Ok(rendered) = aim::rendered(&request, &json!({"labels": {"unit": value}})) else {
            assert!(value.contains('\0'), "{value:?}");
            refused += 1;
            continue;
        };
        let is_strict = round % 3 == 0;
        let pattern = if is_strict {
            r"[a-z][a-z0-9-]{0,40}\.service"
        } else {
            "(?s).*"
        };
        match perform(host(pattern), rendered.with, Span::from_secs(20)).await {
            Ok(result) => {
                assert!(!is_strict, "{value:?}");
                assert_eq!(result["stdout"], format!("{value}."), "{value:?}");
                literal += 1;
            }
            Err(failure) => {
                assert_eq!(failure.class, FailureClass::Invalid, "{value:?}: {failure}");
                let is_meant = is_strict || value.starts_with('-') || value.contains('\0');
                assert!(is_meant, "{value:?}: {failure}");
                refused += 1;
            }
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "{value:?} made something"
        );
    }
    println!("{literal} stayed one argument, {refused} were refused, nothing was made");
    assert!(literal > 100 && refused > 100);
}
