//! Each kind of fault, for real: caused, seen from outside, taken back, and taken back once more.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use muster::{
    chaos::{self, guard::Guard},
    domain::{
        fault::{Harm, Order, Packets, Process},
        span::Span,
    },
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};
use serde_json::json;
use uuid::Uuid;

use crate::{fleet::wait, scratch::Scratch};

const SOON: Duration = Duration::from_secs(30);

/// A process that only waits, with its pid file.
struct Sleeper {
    child: Child,
    scratch: Scratch,
}

impl Sleeper {
    fn new() -> Result<Self> {
        let scratch = Scratch::new();
        let child = Command::new("sleep").arg("600").spawn()?;
        fs::write(scratch.path().join("pid"), format!("{}\n", child.id()))?;
        Ok(Self { child, scratch })
    }

    fn process(&self) -> Process {
        Process {
            pid_file: self.scratch.path().join("pid").display().to_string(),
            name: "sleep".to_owned(),
        }
    }

    fn order(&self, harm: Harm) -> Order {
        Order {
            harm,
            folder: self.scratch.path().join(Uuid::new_v4().to_string()),
        }
    }

    /// The number that stands in the pid file now.
    fn number(&self) -> Result<u32> {
        Ok(fs::read_to_string(self.process().pid_file)?.trim().parse()?)
    }

    fn state(&self) -> Result<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.number()?))?;
        Ok(stat.split_whitespace().nth(2).unwrap_or_default().to_owned())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Ok(number) = self.number() {
            let _ = kill(Pid::from_raw(number as i32), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

async fn cause(order: &Order) -> Result<()> {
    Ok(chaos::cause(order).await?)
}

/// What is said besides of a fault that is taken back.
async fn undo(order: &Order) -> Result<Option<String>> {
    chaos::undo(order).await.map_err(anyhow::Error::msg)
}

#[tokio::test]
async fn a_process_stands_still_and_goes_on() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let order = sleeper.order(Harm::Pause(sleeper.process()));
    cause(&order).await?;
    assert_eq!(sleeper.state()?, "T");
    for _ in 0..2 {
        undo(&order).await?;
        assert_ne!(sleeper.state()?, "T");
    }
    Ok(())
}

#[tokio::test]
async fn a_process_is_killed_and_started_again() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let before = sleeper.number()?;
    let script = format!("sleep 600 & echo $! > {}", sleeper.process().pid_file);
    let restore = ["/bin/sh".to_owned(), "-c".to_owned(), script];
    let order = sleeper.order(Harm::Kill {
        process: sleeper.process(),
        restore: restore.to_vec(),
    });
    cause(&order).await?;
    assert_eq!(sleeper.state()?, "Z", "gone, and not waited for by its parent");
    let again = chaos::cause(&order).await.unwrap_err().why;
    assert!(
        again.ends_with("names no running process called sleep"),
        "{again}"
    );
    undo(&order).await?;
    let after = sleeper.number()?;
    assert_ne!(after, before);
    undo(&order).await?;
    assert_eq!(sleeper.number()?, after, "what runs is left alone");
    Ok(())
}

#[tokio::test]
async fn a_process_that_does_not_come_back_is_told() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let restore = ["/bin/sh", "-c", "echo the disk is broken; exit 3"].map(str::to_owned);
    let order = sleeper.order(Harm::Kill {
        process: sleeper.process(),
        restore: restore.to_vec(),
    });
    cause(&order).await?;
    let why = chaos::undo(&order).await.unwrap_err();
    assert_eq!(why, "/bin/sh ended badly: the disk is broken");
    Ok(())
}

#[tokio::test]
async fn who_was_stopped_goes_on_whatever_the_pid_file_says_by_then() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let stat = format!("/proc/{}/stat", sleeper.child.id());
    let stands_still = || Ok::<_, anyhow::Error>(fs::read_to_string(&stat)?.contains(") T "));
    let order = sleeper.order(Harm::Pause(sleeper.process()));
    cause(&order).await?;
    assert!(stands_still()?);
    let pid_file = sleeper.process().pid_file;
    fs::remove_file(&pid_file)?;
    undo(&order).await?;
    assert!(!stands_still()?);
    fs::write(pid_file, format!("{}\n", sleeper.child.id()))?;
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_younger_than_its_pid_file_is_another() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let order = sleeper.order(Harm::Pause(sleeper.process()));
    chaos::check(&order).await.map_err(anyhow::Error::msg)?;
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(sleeper.process().pid_file)?
        .set_modified(an_hour_ago)?;
    let why = chaos::check(&order).await.unwrap_err();
    assert!(why.ends_with("names no running process called sleep"), "{why}");
    Ok(())
}

#[tokio::test]
async fn the_number_of_another_process_is_never_touched() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let stranger = Process {
        name: "postgres".to_owned(),
        ..sleeper.process()
    };
    let order = sleeper.order(Harm::Pause(stranger));
    let why = chaos::cause(&order).await.unwrap_err().why;
    assert!(why.ends_with("names no running process called postgres"), "{why}");
    assert_ne!(sleeper.state()?, "T", "it goes on");
    Ok(())
}

#[tokio::test]
async fn a_guard_takes_a_fault_back_when_its_pipe_closes_or_its_time_is_over() -> Result<()> {
    let muster = Path::new(env!("CARGO_BIN_EXE_muster"));
    let sleeper = Sleeper::new()?;
    let order = || sleeper.order(Harm::Pause(sleeper.process()));
    let goes_on = async || {
        wait::until("it goes on", SOON, async || {
            let state = sleeper.state()?;
            ensure!(state != "T", "{state}");
            Ok(())
        })
        .await
    };
    let broken = order();
    let guard = Guard::start(muster, &broken, Span::from_secs(600)).await?;
    cause(&broken).await?;
    drop(guard);
    goes_on().await?;

    let broken = order();
    let guard = Guard::start(muster, &broken, Span::from_secs(1)).await?;
    cause(&broken).await?;
    goes_on().await?;
    drop(guard);

    let broken = order();
    let guard = Guard::start(muster, &broken, Span::from_secs(600)).await?;
    cause(&broken).await?;
    guard.dismiss().await;
    assert_eq!(sleeper.state()?, "T", "it has left without a deed");
    undo(&broken).await?;
    Ok(())
}

#[tokio::test]
async fn what_was_taken_back_is_not_caused_by_whoever_comes_too_late() -> Result<()> {
    let sleeper = Sleeper::new()?;
    let order = sleeper.order(Harm::Pause(sleeper.process()));
    undo(&order).await?;
    let late = chaos::cause(&order).await.unwrap_err();
    assert_eq!(late.why, "it was called off before it was caused");
    assert!(!late.may_stand);
    assert_ne!(sleeper.state()?, "T");
    Ok(())
}

#[tokio::test]
async fn a_process_that_stands_still_already_is_let_alone_and_one_that_has_gone_is_told() -> Result<()> {
    let mut sleeper = Sleeper::new()?;
    let first = sleeper.order(Harm::Pause(sleeper.process()));
    cause(&first).await?;
    // Another target may name it by another file.
    let link = sleeper.scratch.path().join("link");
    std::os::unix::fs::symlink(sleeper.process().pid_file, &link)?;
    let second = sleeper.order(Harm::Pause(Process {
        pid_file: link.display().to_string(),
        ..sleeper.process()
    }));
    assert_eq!(chaos::acts_on(&first), chaos::acts_on(&second));
    let why = chaos::cause(&second).await.unwrap_err();
    assert!(
        why.why.ends_with("stands still already") && !why.may_stand,
        "{why}"
    );
    assert_eq!(sleeper.state()?, "T");
    sleeper.child.kill()?;
    sleeper.child.wait()?;
    let told = undo(&first).await?;
    assert_eq!(
        told.as_deref(),
        Some("the process sleep that stood still has gone")
    );
    Ok(())
}

/// A small disk of its own.
struct Disk(Scratch);

impl Disk {
    fn new(mib: u32) -> Result<Self> {
        let disk = Self(Scratch::new());
        fs::create_dir(disk.place())?;
        let size = format!("size={mib}m");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(disk.place())
            .status()?;
        ensure!(done.success(), "a disk cannot be mounted; this needs root");
        Ok(disk)
    }

    fn place(&self) -> PathBuf {
        self.0.path().join("disk")
    }

    fn free_mib(&self) -> Result<u64> {
        let about = nix::sys::statvfs::statvfs(&self.place())?;
        Ok(about.blocks_available() * about.fragment_size() / 1024 / 1024)
    }
}

impl Disk {
    /// A program that another test starts at this moment may hold the file that was removed until it has begun.
    async fn is_free(&self, mib: u64) -> Result<()> {
        wait::until("the disk is free", SOON, async || {
            let free = self.free_mib()?;
            ensure!(free == mib, "{free}");
            Ok(())
        })
        .await
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.place()).status();
    }
}

#[tokio::test]
async fn a_disk_is_filled_within_its_bound_and_freed() -> Result<()> {
    let disk = Disk::new(32)?;
    let scratch = Scratch::new();
    let order = |folder: &Path, leave_mib, most_mib| Order {
        harm: Harm::FillDisk {
            folder: folder.display().to_string(),
            leave_mib,
            most_mib,
        },
        folder: scratch.path().join(Uuid::new_v4().to_string()),
    };
    let place = disk.place();
    let full = order(&place, 4, 1024);
    cause(&full).await?;
    assert_eq!(disk.free_mib()?, 4);
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(&place, &link)?;
    let second = order(&link, 1, 1024);
    assert_eq!(chaos::acts_on(&full), chaos::acts_on(&second));
    let why = chaos::cause(&second).await.unwrap_err();
    assert!(why.why.ends_with("is there already") && !why.may_stand, "{why}");
    assert_eq!(disk.free_mib()?, 4, "the first stands");
    undo(&full).await?;
    disk.is_free(32).await?;
    let less = order(&place, 4, 10);
    cause(&less).await?;
    assert_eq!(disk.free_mib()?, 22, "no more than it may");
    assert_eq!(undo(&less).await?, None);
    assert_eq!(undo(&less).await?, None);
    disk.is_free(32).await?;

    let own = Order {
        harm: Harm::FillDisk {
            folder: scratch.path().display().to_string(),
            leave_mib: 4,
            most_mib: 10,
        },
        folder: scratch.path().join("fault"),
    };
    let why = chaos::check(&own).await.unwrap_err();
    assert!(why.contains("lies on the disk of Muster's data"), "{why}");
    Ok(())
}

/// A network namespace with one device that leads out of it.
struct Namespace {
    name: String,
    outside: String,
    files: Scratch,
}

impl Namespace {
    const DEVICE: &'static str = "inner0";

    fn new(word: &str, net: u8) -> Result<Self> {
        ensure!(Uid::effective().is_root(), "a network namespace needs root");
        let number = std::process::id();
        let namespace = Self {
            name: format!("md{word}{number}"),
            outside: format!("md{word}{number}"),
            files: Scratch::new(),
        };
        let (name, outside) = (&namespace.name, &namespace.outside);
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {outside} type veth peer name {} netns {name}",
            Self::DEVICE
        ))?;
        ip(&format!("addr add 10.213.{net}.1/30 dev {outside}"))?;
        ip(&format!("link set {outside} up"))?;
        ip(&format!(
            "-n {name} addr add 10.213.{net}.2/30 dev {}",
            Self::DEVICE
        ))?;
        ip(&format!("-n {name} link set {} up", Self::DEVICE))?;
        Ok(namespace)
    }

    fn order(&self, packets: Packets) -> Order {
        Order {
            harm: Harm::Network {
                namespace: self.name.clone(),
                device: Self::DEVICE.to_owned(),
                packets,
            },
            folder: self.files.path().join(Uuid::new_v4().to_string()),
        }
    }

    /// How many of so many packets come out of it.
    fn arrive(&self, net: u8, count: usize) -> Result<usize> {
        let socket = UdpSocket::bind((Ipv4Addr::new(10, 213, net, 1), 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        let to = socket.local_addr()?;
        let script = format!(
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor _ in range({count}):\n \
             try: s.sendto(b'x', ('{}', {}))\n except OSError: pass",
            to.ip(),
            to.port()
        );
        let sent = Command::new("ip")
            .args(["netns", "exec", &self.name, "python3", "-c", &script])
            .status()?;
        ensure!(sent.success());
        let mut block = [0; 8];
        Ok((0..count).take_while(|_| socket.recv(&mut block).is_ok()).count())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.outside));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(words: &str) -> Result<()> {
    let done = Command::new("ip").args(words.split(' ')).status()?;
    ensure!(done.success(), "ip {words}");
    Ok(())
}

#[tokio::test]
async fn a_namespace_is_cut_off_and_joined_again() -> Result<()> {
    const NET: u8 = 71;
    let namespace = Namespace::new("a", NET)?;
    assert_eq!(namespace.arrive(NET, 5)?, 5);
    let cut = namespace.order(Packets::Lost(100));
    cause(&cut).await?;
    assert_eq!(namespace.arrive(NET, 5)?, 0);
    let again = chaos::cause(&namespace.order(Packets::Lost(5)))
        .await
        .unwrap_err();
    assert!(again.why.contains("lost or late already"), "{again}");
    assert!(!again.may_stand, "so the first is not taken back with it");
    undo(&cut).await?;
    undo(&cut).await?;
    assert_eq!(namespace.arrive(NET, 5)?, 5);

    let half = namespace.order(Packets::Lost(50));
    cause(&half).await?;
    let some = namespace.arrive(NET, 200)?;
    assert!((50..150).contains(&some), "{some} of 200");
    undo(&half).await?;
    assert_eq!(namespace.arrive(NET, 5)?, 5);
    let nowhere = Order {
        harm: Harm::Network {
            namespace: "gone".to_owned(),
            device: Namespace::DEVICE.to_owned(),
            packets: Packets::Lost(1),
        },
        folder: namespace.files.path().join("nowhere"),
    };
    assert_eq!(
        chaos::check(&nowhere).await.unwrap_err(),
        "there is no network namespace gone"
    );
    let told = undo(&nowhere).await?;
    assert_eq!(told.as_deref(), Some("the network namespace gone has gone"));
    Ok(())
}

#[tokio::test]
async fn a_device_or_a_namespace_that_has_gone_took_the_fault_along_and_that_is_told() -> Result<()> {
    const NET: u8 = 73;
    let namespace = Namespace::new("c", NET)?;
    let late = namespace.order(Packets::Late(Span::from_millis(150)));
    let cut = namespace.order(Packets::Lost(100));
    cause(&cut).await?;
    ip(&format!("link del {}", namespace.outside))?;
    let gone = format!(
        "the device {} of the network namespace {} has gone",
        Namespace::DEVICE,
        namespace.name
    );
    assert_eq!(undo(&late).await?.as_ref(), Some(&gone));
    assert_eq!(undo(&cut).await?.as_ref(), Some(&gone));
    let tables = Command::new("ip")
        .args(["netns", "exec", &namespace.name, "nft", "list", "tables"])
        .output()?;
    assert_eq!(
        String::from_utf8(tables.stdout)?,
        "",
        "the rule stays by itself, so it was removed"
    );
    ip(&format!("netns del {}", namespace.name))?;
    // What only has its name is no namespace.
    fs::write(format!("/run/netns/{}", namespace.name), "")?;
    let gone = format!("the network namespace {} has gone", namespace.name);
    assert_eq!(undo(&late).await?.as_ref(), Some(&gone));
    assert_eq!(undo(&cut).await?.as_ref(), Some(&gone));
    fs::remove_file(format!("/run/netns/{}", namespace.name))?;
    Ok(())
}

#[tokio::test]
async fn packets_are_late_where_the_kernel_can_do_that_and_otherwise_it_says_so() -> Result<()> {
    const NET: u8 = 72;
    let namespace = Namespace::new("b", NET)?;
    let late = namespace.order(Packets::Late(Span::from_millis(150)));
    match chaos::check(&late).await {
        Err(why) => assert!(
            why.starts_with("this kernel cannot make packets late (it has no netem)"),
            "{why}"
        ),
        Ok(()) => {
            cause(&late).await?;
            let began = std::time::Instant::now();
            assert_eq!(namespace.arrive(NET, 1)?, 1);
            assert!(began.elapsed() >= Duration::from_millis(150));
        }
    }
    undo(&late).await?;
    assert_eq!(namespace.arrive(NET, 5)?, 5);
    Ok(())
}

/// The program `chaos`, as `.ci/install` leaves it.
fn toolkit() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/chaostoolkit/bin");
    let mut places = std::env::split_paths(&path)
        .chain([own])
        .map(|folder| folder.join("chaos"));
    places
        .find(|place| place.is_file())
        .context("Chaos Toolkit is not installed; run .ci/install")
}

#[tokio::test]
async fn an_experiment_of_chaos_toolkit_is_run_and_its_rollbacks_are_proven() -> Result<()> {
    let scratch = Scratch::new();
    let mark = scratch.path().join("broken");
    let process = |name: &str, path: &str, words: &[&str]| {
        json!({"type": "action", "name": name, "provider":
               {"type": "process", "path": path, "arguments": words, "timeout": 600}})
    };
    let mark_text = mark.display().to_string();
    // A rollback of the kind that says itself when it does not work.
    let remove = |path: &str| {
        json!({"type": "action", "name": "mend", "provider":
               {"type": "python", "module": "os", "func": "remove", "arguments": {"path": path}}})
    };
    let experiment = |path: &str| {
        json!({"title": "T", "description": "D", "tags": [],
               "method": [process("break", "/usr/bin/touch", &[&mark_text]), process("wait", "/usr/bin/sleep", &["300"])],
               "rollbacks": [remove(path)]})
    };
    let write = |name: &str, path: &str| -> Result<Order> {
        let file = scratch.path().join(name);
        fs::write(&file, experiment(path).to_string())?;
        Ok(Order {
            harm: Harm::ChaosToolkit {
                program: toolkit()?.display().to_string(),
                experiment: file.display().to_string(),
            },
            folder: scratch.path().join(format!("fault-{name}")),
        })
    };
    let good = write("good.json", &mark_text)?;
    cause(&good).await?;
    wait::until("it is broken", SOON, async || {
        ensure!(mark.exists());
        Ok(())
    })
    .await?;
    undo(&good).await?;
    assert!(!mark.exists(), "its rollback has mended it");
    undo(&good).await?;

    let bad = write("bad.json", "/no/such/file")?;
    cause(&bad).await?;
    let why = chaos::undo(&bad).await.unwrap_err();
    assert!(
        why.starts_with("the rollback \"mend\" of the experiment did not succeed"),
        "{why}"
    );
    // One that was killed leaves no journal: nobody can know.
    let killed = write("killed.json", &mark_text)?;
    cause(&killed).await?;
    let number = fs::read_to_string(killed.folder.join("chaos.known"))?;
    let (number, _) = number.split_once(' ').context("no number")?;
    kill(Pid::from_raw(number.parse()?), Signal::SIGKILL)?;
    let why = chaos::undo(&killed).await.unwrap_err();
    assert!(why.starts_with("nobody can know whether it rolled back"), "{why}");

    let nonsense = scratch.path().join("nonsense.json");
    fs::write(&nonsense, "{}")?;
    let order = Order {
        harm: Harm::ChaosToolkit {
            program: toolkit()?.display().to_string(),
            experiment: nonsense.display().to_string(),
        },
        folder: scratch.path().join("fault-nonsense"),
    };
    assert!(chaos::check(&order).await.is_err(), "it is no experiment");
    Ok(())
}
