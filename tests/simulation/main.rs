//! The engine under every schedule of faults: the pure core of Muster driven with a simulated database, simulated
//! workers, people and targets, and clocks of their own, all from one seed. A failing seed fails again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what went wrong by failing"
)]

mod agenda;
mod dice;
mod reach;
mod rules;
mod schedule;
mod trace;

mod bound;
mod runbooks;

mod database;
mod turn;

mod drive;
mod hands;
mod people;
mod worker;
mod world;

mod checker;
mod ending;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use reach::Reach;
use rules::{MUTANTS, Rules};
use schedule::{Broken, Schedule};

/// Plays one seed.
fn play(seed: u64, rules: Rules, is_told: bool) -> (Option<Broken>, Reach, Vec<String>) {
    let mut schedule = Schedule::new(seed, rules, is_told);
    let result = catch_unwind(AssertUnwindSafe(|| schedule.run()));
    if result.is_err() {
        schedule.broken("panic", "see above".to_owned());
    }
    (schedule.broken, schedule.reached, schedule.story.unwrap_or_default())
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

/// The story of a failing seed, and how to see it again.
fn story(seed: u64, rules: Rules) -> String {
    let (broken, _, story) = play(seed, rules, true);
    format!("{}\n\nseed {seed} breaks {broken:?}", story.join("\n"))
}

#[test]
fn every_schedule_keeps_the_promises_and_ends() {
    if let Some(seed) = setting("MUSTER_SEED") {
        let (broken, _, lines) = play(seed, Rules::REAL, true);
        println!("{}", lines.join("\n"));
        assert_eq!(broken, None);
        return;
    }
    let count = setting("MUSTER_SCHEDULES").unwrap_or(20_000);
    let began = Instant::now();
    let (next, worst) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let reached: Vec<Reach> = std::thread::scope(|scope| {
        let work = || {
            let mut reached = Reach::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= count || seed > worst.load(Ordering::Relaxed) {
                    return reached;
                }
                let (broken, one, _) = play(seed, Rules::REAL, false);
                reached.add(&one);
                if broken.is_some() {
                    worst.fetch_min(seed, Ordering::Relaxed);
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let seed = worst.into_inner();
    assert!(seed == u64::MAX, "{}", story(seed, Rules::REAL));
    let mut all = Reach::default();
    reached.iter().for_each(|one| all.add(one));
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("{count} schedules, {} events, {rate:.0} schedules a second\n{}", all.events, all.table());
    assert_eq!(all.missed(), Vec::<&str>::new(), "never reached");
}

#[test]
fn every_broken_rule_is_found() {
    for mutant in MUTANTS {
        let found = (0..5000).find_map(|seed| Some((seed, play(seed, mutant.rules, false).0?)));
        match found {
            Some((seed, broken)) => println!("{}: seed {seed} breaks {}: {}", mutant.name, broken.promise, broken.what),
            None => panic!("not found: {}", mutant.name),
        }
    }
}
