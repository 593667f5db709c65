//! The clock: the only place that reads the time.
//!
//! Everything that depends on the time is handed a [`Clock`], or the `now` somebody read from one, so a test can
//! move an hour ahead in no time. All times are whole microseconds, which is what Postgres keeps: a time that was
//! stored and read back equals the one that was stored.

mod work;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::watch;

use work::Bench;
pub use work::{Rest, Work};

/// The longest single sleep towards a wall-clock time, so that a corrected system clock is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A handle on the time; clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    Test(Arc<Hands>),
}

/// A clock that is moved by hand.
#[derive(Debug)]
struct Hands {
    time: watch::Sender<DateTime<Utc>>,
    bench: Arc<Bench>,
}

impl Clock {
    /// The system's clock.
    pub fn real() -> Clock {
        Clock(Source::Real)
    }

    /// A clock that stands still at `start` until it is moved.
    pub fn test(start: DateTime<Utc>) -> Clock {
        Clock(Source::Test(Arc::new(Hands {
            time: watch::Sender::new(whole_micros(start)),
            bench: Arc::default(),
        })))
    }

    /// The time, cut down to whole microseconds.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::Real => whole_micros(Utc::now()),
            Source::Test(hands) => *hands.time.borrow(),
        }
    }

    /// Somebody works from now on: a clock that is moved by hand waits for them. Nothing on the real clock.
    pub fn work(&self) -> Work {
        match &self.0 {
            Source::Real => Work::default(),
            Source::Test(hands) => Work::begin(&hands.bench),
        }
    }

    /// Something when nobody works and nobody has overslept, so that this clock can be moved without overtaking anybody:
    /// a number that grows whenever somebody has worked. Who finds the same one twice knows that nobody did in between.
    pub fn at_rest(&self) -> Option<u64> {
        match &self.0 {
            Source::Real => Some(0),
            Source::Test(hands) => hands.bench.at_rest(self.now()),
        }
    }

    /// Waits until there is something of [`Self::at_rest`], and returns it.
    pub async fn rested(&self) -> u64 {
        loop {
            let Source::Test(hands) = &self.0 else { return 0 };
            // Listens before it looks: who rises in between is heard of.
            let has_calmed = hands.bench.has_calmed.notified();
            if let Some(moves) = self.at_rest() {
                return moves;
            }
            has_calmed.await;
        }
    }

    /// When the first of those who rest from their work until a time goes on.
    pub fn next_rest_over(&self) -> Option<DateTime<Utc>> {
        match &self.0 {
            Source::Real => None,
            Source::Test(hands) => hands.bench.next(),
        }
    }

    /// Waits until the clock shows `due` or later, resting from `work` meanwhile.
    pub async fn rest_until(&self, work: &Work, due: DateTime<Utc>) {
        let rest = work.rest_until(due);
        self.sleep_until(due).await;
        drop(rest);
    }

    /// Waits for about `duration`, resting from `work` meanwhile: a clock that is moved by hand need not stop then.
    pub async fn rest_about(&self, work: &Work, duration: Duration) {
        let rest = work.rest_about(later(self.now(), duration), None);
        self.sleep(duration).await;
        drop(rest);
    }

    /// Waits for `duration`, resting from `work` meanwhile.
    pub async fn rest(&self, work: &Work, duration: Duration) {
        match &self.0 {
            Source::Real => self.sleep(duration).await,
            Source::Test(_) => self.rest_until(work, later(self.now(), duration)).await,
        }
    }

    /// Waits until the clock shows `due` or later; at once if it already does.
    pub async fn sleep_until(&self, due: DateTime<Utc>) {
        match &self.0 {
            Source::Real => {
                while let Ok(left) = (due - self.now()).to_std() {
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left.min(LOOK_AGAIN)).await;
                }
            }
            Source::Test(hands) => {
                // The sender cannot go away while `self` holds it, so waiting cannot fail.
                let _ = hands.time.subscribe().wait_for(|now| *now >= due).await;
            }
        }
    }

    /// Waits for `duration`. On the real clock this is the monotonic time: a corrected wall clock changes nothing.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::Real => tokio::time::sleep(duration).await,
            Source::Test(_) => self.sleep_until(later(self.now(), duration)).await,
        }
    }

    /// Moves a test clock ahead and wakes who waited for a time now reached.
    pub fn advance(&self, duration: Duration) {
        match &self.0 {
            Source::Real => debug_assert!(false, "only a test clock can be moved"),
            Source::Test(hands) => hands.time.send_modify(|now| *now = later(*now, duration)),
        }
    }

    /// Sets a test clock to a time, which may lie before the present one.
    pub fn set(&self, to: DateTime<Utc>) {
        match &self.0 {
            Source::Real => debug_assert!(false, "only a test clock can be set"),
            Source::Test(hands) => {
                hands.time.send_replace(whole_micros(to));
            }
        }
    }

    /// How many sleepers wait on a test clock, so a test can move it only once the code under test has lain down.
    pub fn sleepers(&self) -> usize {
        match &self.0 {
            Source::Real => 0,
            Source::Test(hands) => hands.time.receiver_count(),
        }
    }
}

/// Towards the past, so that a stored time never lies after the moment it was read.
fn whole_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    // Fails only for years beyond 2262, where the unrounded time serves as well.
    time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time)
}

/// A duration beyond chrono's range ends at the last time there is.
fn later(time: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| time.checked_add_signed(delta))
        .map_or(DateTime::<Utc>::MAX_UTC, whole_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a valid time")
    }

    #[test]
    fn times_are_whole_microseconds() {
        let odd: DateTime<Utc> = "2026-03-01T12:00:00.123456789Z".parse().expect("a valid time");
        assert_eq!(Clock::test(odd).now().timestamp_subsec_nanos(), 123_456_000);
        assert_eq!(Clock::real().now().timestamp_subsec_nanos() % 1_000, 0);
        let before_1970: DateTime<Utc> = "1969-12-31T23:59:59.9999999Z".parse().expect("a valid time");
        assert!(Clock::test(before_1970).now() <= before_1970);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_reaches_its_time_and_not_before() {
        let clock = Clock::test(noon());
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(60)).await;
                clock.now()
            }
        });
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            sleeper.await.expect("the sleeper ends"),
            noon() + TimeDelta::seconds(60)
        );
        assert_eq!(clock.sleepers(), 0);
    }

    #[tokio::test]
    async fn a_time_already_reached_is_not_waited_for() {
        let clock = Clock::test(noon());
        clock.sleep_until(noon()).await;
        clock.set(noon() - TimeDelta::hours(1));
        assert_eq!(clock.now(), noon() - TimeDelta::hours(1));
        Clock::real().sleep_until(noon() - TimeDelta::days(10_000)).await;
    }

    #[test]
    fn a_duration_without_end_does_not_overflow() {
        let clock = Clock::test(noon());
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC);
    }
}
