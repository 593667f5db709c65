//! Faults of disks: F3 a process killed at each place of the spool, F14 the database's disk full, F15 the spool's disk full,
//! F16 a sync or a rename that fails once, F17 bytes that changed.
//!
//! F14 and F15 mount small disks, which takes root; without it they are left out and say so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Bench, is_full,
    report::Row,
    server::{LONG, Server},
};
use crate::{fleet::wait, scratch::Scratch};

/// A disk of so many MiB in memory; `None` for whoever may not mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, mib: u32) -> Option<SmallDisk> {
        fs::create_dir_all(&path).unwrap();
        let size = format!("size={mib}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        let is_done = mount.is_ok_and(|status| status.success());
        if !is_done {
            println!("a small disk cannot be mounted here: this row needs root");
        }
        is_done.then_some(SmallDisk(path))
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let all = Command::new("dd")
            .args(["if=/dev/zero", "bs=4k"])
            .arg(format!("of={}", self.filler().display()))
            .stderr(Stdio::null())
            .status();
        assert!(!all.unwrap().success(), "it ends when the disk is full");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_anywhere_in_the_spool_loses_and_doubles_nothing() {
    let mut bench = Bench::new("killed").await;
    bench.history.forget_times();
    let seeds = if is_full() { 20 } else { 1 };
    let mut fired = 0;
    for seed in 1..=seeds {
        for place in ["written", "synced", "renamed", "acked", "applied", "finished"] {
            bench.muster = None;
            // The last two are passed while a load is drained that an earlier process left.
            let is_late = matches!(place, "applied" | "finished");
            if is_late {
                bench.server.end(Signal::SIGINT);
                bench.muster = Some(bench.setup.start(None));
                wait::until("it spools", LONG, async || {
                    anyhow::ensure!(bench.history.post().await == Some(202));
                    Ok(())
                })
                .await
                .unwrap_or_else(|error| panic!("{error:#}\n{}", bench.setup.logged()));
                bench.history.burst(12, 3).await;
                bench.muster = None;
                bench.server.start().await;
            }
            let point = format!("spool/{place}:{seed}");
            bench.muster = Some(bench.setup.start(Some(&point)));
            wait::until(&point, LONG, async || {
                bench.history.burst(6, 3).await;
                anyhow::ensure!(bench.muster.as_mut().unwrap().ended().is_some(), "it lives");
                Ok(())
            })
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", bench.setup.logged()));
            fired += bench
                .setup
                .logged()
                .matches(&format!("crash point {point}\n"))
                .count();
            fs::write(&bench.setup.log, "").unwrap();
        }
    }
    assert_eq!(fired, 6 * seeds, "{}", bench.setup.logged());
    bench.starts().await;
    bench.drains(LONG).await;
    assert!(bench.files("draft").is_empty());
    let remark = format!("{seeds} seeds of 6 places");
    bench
        .checked(Row {
            fault: "F3 killed in the spool",
            fired,
            remark,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_database_stops_no_delivery() {
    let turn = Bench::turn().await;
    let scratch = Scratch::new();
    let Some(disk) = SmallDisk::mount(scratch.path().join("small"), 96) else {
        return;
    };
    let server = Server::new(&disk.0.join("data"), &scratch.path().join("postgres.log")).await;
    let mut bench = Bench::over("full", &[], &[], server, scratch, turn).await;
    bench.history.forget_times();
    disk.fill();
    let mut spooled = 0;
    let began = Instant::now();
    while spooled < 40 && began.elapsed() < LONG {
        for _ in 0..20 {
            let sent = bench.history.post_of(20_000).await;
            assert!(
                matches!(sent.status, Some(200 | 202)),
                "{sent:?}\n{}",
                bench.setup.logged()
            );
            spooled += usize::from(sent.status == Some(202));
        }
    }
    let is_running = bench.server.is_running();
    disk.empty();
    if !is_running {
        bench.server.end(Signal::SIGQUIT);
        bench.server.start().await;
    }
    bench.server.answers().await;
    bench.is_usable().await;
    bench.drains(LONG).await;
    let remark = format!("Postgres {}", if is_running { "refused" } else { "ended" });
    bench
        .checked(Row {
            fault: "F14 database's disk full",
            fired: spooled,
            remark,
        })
        .await;
    bench.muster = None;
    bench.server.end(Signal::SIGQUIT);
    drop(disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_spool_is_503_or_the_database_and_drains_itself() {
    let mounts = Scratch::new();
    let Some(disk) = SmallDisk::mount(mounts.path().join("small"), 4) else {
        return;
    };
    let spool = ("MUSTER_SPOOL", disk.0.join("spool").display().to_string());
    let mut bench = Bench::with("spool", &[], &[spool]).await;
    bench.history.forget_times();

    // Batches that are kept only in case give way.
    for _ in 0..30 {
        let sent = bench.history.post_of(200_000).await;
        assert!(matches!(sent.status, Some(200 | 202)), "{sent:?}");
    }
    // No database and, in the end, no room.
    bench.server.end(Signal::SIGINT);
    let mut refused = Vec::new();
    for _ in 0..60 {
        let sent = bench.history.post_of(100_000).await;
        match sent.status {
            Some(202) => {}
            Some(503) => refused.push(sent),
            _ => panic!("{sent:?}"),
        }
    }
    assert!(refused.iter().all(|sent| sent.has_retry_after), "{refused:?}");
    // The lane may be on its way to find out that it is away.
    let quick = refused
        .iter()
        .filter(|sent| sent.took < Duration::from_secs(1))
        .count();
    assert!(quick + 1 >= refused.len(), "{refused:?}");
    bench.server.start().await;
    let drained = bench.drains(LONG).await;
    bench.is_usable().await;
    let remark = format!("drained itself in {} ms", drained.as_millis());
    bench
        .checked(Row {
            fault: "F15 no room and no database",
            fired: refused.len(),
            remark,
        })
        .await;

    // With its database it goes on without the disk.
    disk.fill();
    let answers = bench.history.burst(30, 4).await;
    assert!(answers.iter().all(|sent| sent.status == Some(200)), "{answers:?}");
    let direct = bench
        .setup
        .logged()
        .matches("the spool did not take a batch")
        .count();
    disk.empty();
    let remark = "straight to the database".to_owned();
    bench
        .checked(Row {
            fault: "F15 no room, database there",
            fired: direct,
            remark,
        })
        .await;
    bench.muster = None;
    drop(disk);
}

/// Makes system calls of a process fail until it is dropped.
struct Tampered {
    strace: std::process::Child,
    log: PathBuf,
}

impl Tampered {
    async fn with(pid: u32, calls: &str, log: &Path) -> Option<Tampered> {
        let strace = Command::new("strace")
            .args(["-f", "-p", &pid.to_string(), "-o"])
            .arg(log)
            .args([
                "-e",
                &format!("trace={calls}"),
                "-e",
                &format!("inject={calls}:error=EIO"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(strace) = strace else {
            println!("there is no strace here, which this row needs");
            return None;
        };
        let traced = || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status
                .lines()
                .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
        };
        let attached = wait::until("strace is attached", LONG, async || {
            anyhow::ensure!(traced());
            Ok(())
        });
        if attached.await.is_err() {
            println!("strace may not attach here, which this row needs");
            return None;
        }
        Some(Tampered {
            strace,
            log: log.to_owned(),
        })
    }

    /// Lets go of the process; how many calls failed.
    fn ends(mut self) -> usize {
        let _ = kill(Pid::from_raw(self.strace.id() as i32), Signal::SIGINT);
        let _ = self.strace.wait();
        fs::read_to_string(&self.log)
            .unwrap_or_default()
            .matches("(INJECTED)")
            .count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_or_a_rename_that_fails_is_never_taken_for_done() {
    let mut bench = Bench::new("sync").await;
    bench.history.forget_times();
    for (fault, calls) in [
        ("F16 fsync fails", "fsync,fdatasync"),
        ("F16 rename fails", "rename,renameat,renameat2"),
    ] {
        let pid = bench.muster.as_ref().unwrap().id();
        let log = bench.scratch.path().join("strace");
        // With the database: it goes there. Without: 503, and never an answer for what is not on the disk.
        let Some(tampered) = Tampered::with(pid, calls, &log).await else {
            return;
        };
        let there = bench.history.burst(4, 2).await;
        bench.server.end(Signal::SIGINT);
        let away = bench.history.burst(6, 2).await;
        let fired = tampered.ends();
        assert!(there.iter().all(|sent| sent.status == Some(200)), "{there:?}");
        assert!(
            away.iter()
                .all(|sent| sent.status == Some(503) && sent.has_retry_after),
            "{away:?}"
        );
        let after = bench.history.post().await;
        assert_eq!(after, Some(202), "the next one is taken");
        assert_eq!(
            bench.files("spool").len(),
            1,
            "nothing is left of those that failed"
        );
        bench.server.start().await;
        bench.is_usable().await;
        bench.drains(LONG).await;
        bench
            .checked(Row {
                fault,
                fired,
                remark: String::new(),
            })
            .await;
    }
}

/// Where a byte is changed in a file of one record, and where a file is cut.
fn damages(file: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (mark, prefix) = (b"muster spool 1\n".len(), 12);
    let head = u32::from_le_bytes(file[mark + 4..mark + 8].try_into().unwrap()) as usize;
    let places = [
        ("mark", 3),
        ("length", mark),
        ("high byte of the length", mark + 3),
        ("length of the head", mark + 4),
        ("checksum", mark + 8),
        ("head", mark + prefix + head / 2),
        ("body", mark + prefix + head + 5),
        ("last byte", file.len() - 1),
    ];
    let mut damages = Vec::new();
    for (name, at) in places {
        let mut flipped = file.to_vec();
        flipped[at] ^= 0x10;
        damages.push((name, flipped));
        if at > mark {
            damages.push((name, file[..at].to_vec()));
        }
    }
    damages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_changed_are_noticed_and_keep_no_other_delivery_out() {
    let mut bench = Bench::new("flipped").await;
    bench.history.forget_times();
    bench.server.end(Signal::SIGINT);
    bench.history.post().await;
    let example = fs::read(&bench.files("spool")[0]).unwrap();
    let kinds = damages(&example).len();
    // Each in a file of its own, with a good one behind it.
    let mut pairs = Vec::new();
    let mut known = bench.files("spool");
    for _ in 0..kinds {
        let bad = bench.history.post_of(0).await;
        assert_eq!(bad.status, Some(202));
        let files = bench.files("spool");
        let file = files.iter().find(|file| !known.contains(file)).unwrap().clone();
        known = files;
        pairs.push((bad.name, file));
        bench.history.post().await;
        known.extend(bench.files("spool"));
    }
    bench.muster = None;
    for (at, (name, file)) in pairs.iter().enumerate() {
        let content = fs::read(file).unwrap();
        let (_, damaged) = damages(&content).swap_remove(at);
        assert_ne!(content, damaged);
        fs::write(file, damaged).unwrap();
        bench.history.excused.lock().unwrap().insert(name.clone());
    }
    bench.server.start().await;
    bench.starts().await;
    bench.drains(LONG).await;
    let aside = bench.files("damaged").len();
    assert_eq!(aside, kinds, "every damage is noticed\n{}", bench.setup.logged());
    let mut conn = bench.server.connect().await;
    for (name, _) in &pairs {
        let stored: i64 = sqlx::query_scalar(
            "select count(*) from deliveries where convert_from(body, 'utf8')::jsonb ->> 'groupKey' = $1",
        )
        .bind(name)
        .fetch_one(&mut conn)
        .await
        .unwrap();
        assert_eq!(stored, 0, "{name}: what changed is never taken for what was sent");
    }
    let remark = format!("{aside} of {kinds} put aside, the others stored");
    bench
        .checked(Row {
            fault: "F17 flipped and cut files",
            fired: aside,
            remark,
        })
        .await;
}
