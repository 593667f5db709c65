//! The engine under every schedule of faults: the pure core of Muster driven with a simulated database, simulated
//! workers, people and targets, each with a clock of its own, all from one seed. A failing seed fails again, with the
//! same story.
//!
//! ```text
//! cargo test --test simulation                                  20,000 schedules, and every mutant
//! MUSTER_SEED=4711 cargo test --test simulation every_schedule -- --nocapture       the story of one
//! MUSTER_SCHEDULES=1000000 cargo test --release --test simulation -- --nocapture    many, on all cores
//! ```
//!
//! `MUSTER_FIRST` is the seed to begin with, for others than the usual ones.
//!
//! # What is simulated
//!
//! - **Database** (`database`, `turn`): the log of each run and the rows beside it; a turn of a worker is one
//!   transaction that is refused for good when its fence is stale, and for now when a person acted since the worker
//!   looked, or when something in it is not due, or has lapsed, by the database's clock.
//! - **Workers** (`worker`, `drive`, `hands`, `messages`): claim, plan on what they remember, write the outcome of one
//!   step with the intent of the next, send what is committed, side by side. Their messages are lost, late, or answered
//!   to nobody. They die, stand still longer than their lease, lose it, come back and believe that they still own a run.
//! - **World** (`world`): does it, refuses, is down, loses the answer or the question, does it when nobody waits any
//!   more; probes lag or cannot be asked. The witness there counts effects.
//! - **People** (`people`, `deeds`): everything they can do, at any moment, on what they saw a while ago, two at once.
//! - **Runbooks** (`runbooks`): every kind of step in every combination, and some that nobody should write.
//!
//! After a rough time nothing breaks any more and people are kind: then every run must come to its end.
//!
//! # What is checked, after everything that happens
//!
//! P3 to P9 of the promises in the crate's documentation, and around them: a worker's memory is the log; an unknown
//! outcome is settled by a probe or a person only; a run that is over stays over; what is said to be done was done;
//! steps wait for what they need; what was done is taken back in reverse order; `finally` always runs; moves of one plan
//! can be made together; a runbook that the catalogue takes never has steps that wait for each other. The checker
//! (`checker`, `order`, `idle`, `ending`) has these rules written down a second time and does not ask the planner.
//!
//! # What is broken on purpose
//!
//! | mutant | what it must break |
//! | --- | --- |
//! | recovery repeats an effect that may not be repeated | P4: only the unique index stops the second sending |
//! | a write with a stale fence is accepted | P6 |
//! | an approval that has lapsed is used | P5 |
//! | what is sent is not compared with what was approved | P5 |
//! | it is sent before its intent is committed | P3 |
//! | a person's act does not refuse a worker's stale turn | P5: something begins after a stop, a pause, a withdrawal |
//! | what was done is taken back in forward order | the order of undo |
//! | timers follow the worker's clock | P9, P5: early or late by the clock that counts |
//! | it is sent on a lease that is over | P6: an old fence leaves after a newer claim |
//! | a turn lands after its worker gave it up and read the run again | P7: the worker plans on what is not true |
//! | a run follows the newest version | P8 |
//! | a run begins without its locks | P6 |
//! | a step does not wait for what it needs | the order of steps |
//! | what is out is forgotten | an answer that is awaited is written off |
//! | a lost answer counts as a refusal | P4, at the witness |
//! | a pause holds nothing back | P5 |
//! | finally is left out | the end of a run |
//! | a run that waits has no timer | P9: it does not end |
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
mod worker;

mod drive;
mod hands;
mod messages;

mod deeds;
mod faults;
mod people;
mod world;

mod checker;
mod ending;
mod idle;
mod order;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use reach::Reach;
use rules::{MUTANTS, Rules};
use schedule::{Broken, Schedule};

/// Schedules of a normal test run.
const SCHEDULES: u64 = 20_000;
/// A mutant that lives through so many schedules is not found.
const FOUND_WITHIN: u64 = 5_000;

/// Plays one seed.
fn play(seed: u64, rules: Rules, is_told: bool) -> (Option<Broken>, Reach, Vec<String>) {
    let mut schedule = Schedule::new(seed, rules, is_told);
    let result = catch_unwind(AssertUnwindSafe(|| schedule.run()));
    if result.is_err() {
        schedule.broken("panic", "see above".to_owned());
    }
    (
        schedule.broken,
        schedule.reached,
        schedule.story.unwrap_or_default(),
    )
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {text}")),
    )
}

/// The story of a failing seed, and how to see it again.
fn story(seed: u64) -> String {
    let (broken, _, story) = play(seed, Rules::REAL, true);
    let story = story.join("\n");
    format!(
        "{story}\n\nseed {seed} breaks {broken:?}\nMUSTER_SEED={seed} cargo test --test simulation every_schedule"
    )
}

/// Plays seeds on all cores until one breaks a promise; what was reached, or the lowest such seed.
fn play_all(first: u64, count: u64) -> Result<Reach, u64> {
    let (next, worst) = (AtomicU64::new(first), AtomicU64::new(u64::MAX));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut reached = Reach::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || seed > worst.load(Ordering::Relaxed) {
                return reached;
            }
            let (broken, one, _) = play(seed, Rules::REAL, false);
            reached.add(&one);
            if broken.is_some() {
                worst.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    let mut all = Reach::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            all.add(&worker.join().unwrap());
        }
    });
    match worst.into_inner() {
        u64::MAX => Ok(all),
        seed => Err(seed),
    }
}

#[test]
fn every_schedule_keeps_the_promises_and_ends() {
    if let Some(seed) = setting("MUSTER_SEED") {
        println!("{}", story(seed));
        assert_eq!(play(seed, Rules::REAL, false).0, None);
        return;
    }
    let count = setting("MUSTER_SCHEDULES").unwrap_or(SCHEDULES);
    let began = Instant::now();
    let first = setting("MUSTER_FIRST").unwrap_or(0);
    let reached = play_all(first, count).unwrap_or_else(|seed| panic!("{}", story(seed)));
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!(
        "{count} schedules, {} events, {rate:.0} schedules a second\n{}",
        reached.events,
        reached.table()
    );
    // A fault that did not fire and a move that was not made prove nothing.
    if count >= SCHEDULES {
        assert_eq!(reached.missed(), Vec::<&str>::new(), "never reached");
    }
}

#[test]
fn every_broken_rule_is_found() {
    for mutant in MUTANTS {
        let found = (0..FOUND_WITHIN).find_map(|seed| Some((seed, play(seed, mutant.rules, false).0?)));
        let Some((seed, Broken { promise, what })) = found else {
            panic!("{FOUND_WITHIN} schedules do not find this: {}", mutant.name);
        };
        println!("{}: seed {seed} breaks {promise}: {what}", mutant.name);
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for mutant in MUTANTS {
        for seed in 0..20 {
            let (first, _, told) = play(seed, mutant.rules, true);
            let (second, _, again) = play(seed, mutant.rules, true);
            assert_eq!((&first, told), (&second, again));
            assert_eq!(
                first,
                play(seed, mutant.rules, false).0,
                "a story changes nothing"
            );
        }
    }
}
