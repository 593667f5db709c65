//! What a drill costs: the largest scenario of the house, played unattended, and how much of a processor a simulated hour
//! of it takes.
//!
//! Everything is the real thing in a theatre of its own: a private Postgres, the engine, twins on loopback, the conductor,
//! people who play by themselves. Counted is the time on the processor of this process and of all processes of its
//! own Postgres, so that nothing hides in another one. The bar is 5 s for a simulated hour.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, ensure};
use muster::{cli::drill::theatre::Theatre, store::embedded::Embedded};

/// The largest scenario: the one that is planned for the longest time.
const SCENARIO: &str = "region-loss";
/// Drills of one measurement.
const DRILLS: u64 = 5;
/// Seconds on the processor that a simulated hour may take.
const BAR: f64 = 5.0;
/// Ticks of the processor's clock in a second, as Linux counts them for everybody.
const TICKS: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    muster::actions::install_crypto();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("muster-bench-drill-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let database = Embedded::start(&folder.join("data")).await?;
    let runbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    let relay = PathBuf::from(env!("CARGO_BIN_EXE_muster"));
    let options = database.connect_options();
    let theatre = Theatre::open(&options, &runbooks, relay, folder.join("twins")).await?;
    let version = theatre
        .scenarios()
        .await?
        .into_iter()
        .find(|version| version.slug == SCENARIO)
        .context("the scenario is gone")?;
    theatre.play(version.id, 0, None).await?;

    let (cpu, began) = (processor(&folder)?, Instant::now());
    let mut simulated = 0.0;
    for seed in 1..=DRILLS {
        let card = theatre.play(version.id, seed, None).await?;
        let took = card.score.took.context("the drill has no end")?;
        ensure!(card.score.passes(), "{:?}", card.score.shortfalls());
        simulated += took.as_millis() as f64 / 1000.0;
    }
    let (cpu, wall) = (processor(&folder)? - cpu, began.elapsed().as_secs_f64());
    let hours = simulated / 3600.0;
    println!(
        "{SCENARIO}: {DRILLS} drills, {:.0} simulated minutes",
        simulated / 60.0
    );
    let cost = cpu / hours;
    println!("  processor for a simulated hour  {cost:>6.2} s (bar {BAR} s)");
    println!("  wall clock for a simulated hour {:>6.2} s", wall / hours);
    theatre.close().await;
    database.stop().await;
    std::fs::remove_dir_all(&folder)?;
    ensure!(
        cost <= BAR,
        "a simulated hour takes more than {BAR} s of the processor"
    );
    Ok(())
}

/// Seconds on the processor of this process, of the Postgres in its folder, and of all that they started, ended ones
/// included.
fn processor(folder: &Path) -> anyhow::Result<f64> {
    let written = std::fs::read_to_string(folder.join("data/pg/postmaster.pid"))?;
    let postmaster = written.lines().next().context("nobody serves the database")?;
    let mut ours = vec![std::process::id(), postmaster.trim().parse()?];
    let mut ticks = 0;
    let all = processes()?;
    // Parents first, however they are listed.
    let mut has_grown = true;
    while has_grown {
        has_grown = false;
        for (pid, parent, _) in &all {
            if !ours.contains(pid) && ours.contains(parent) {
                ours.push(*pid);
                has_grown = true;
            }
        }
    }
    for (pid, _, spent) in all {
        if ours.contains(&pid) {
            ticks += spent;
        }
    }
    Ok(ticks as f64 / TICKS)
}

/// Every process: number, parent, ticks spent by it and by those it has waited for.
fn processes() -> anyhow::Result<Vec<(u32, u32, u64)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has just ended is none any more.
        let Ok(text) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((_, after)) = text.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = after.split(' ').collect();
        let number = |place: usize| {
            fields
                .get(place)
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        };
        // utime, stime, cutime, cstime.
        let spent = (11..=14).map(number).sum();
        all.push((pid, number(1) as u32, spent));
    }
    Ok(all)
}
