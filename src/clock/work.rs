//! Who works by a clock that is moved by hand. Time must not pass while somebody is in the middle of something: in a drill
//! that plays by itself an hour takes seconds, and it shall go the same way every time. On the real clock all of this is
//! nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Bench {
    seats: Mutex<Seats>,
    /// Told when the last who worked has risen.
    pub(super) has_calmed: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    working: usize,
    /// Those who rest until a time, by a number of their own.
    resting: BTreeMap<u64, Seat>,
    /// Counts everybody who sat down to work or rose from it.
    moves: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    until: DateTime<Utc>,
    /// Where the clock has to stop; it may pass `until`, and waits at its next stop.
    stop: Option<DateTime<Utc>>,
}

impl Seats {
    fn sit_down(&mut self) {
        self.working += 1;
        self.moves += 1;
    }
}

impl Bench {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rise(&self) -> MutexGuard<'_, Seats> {
        let mut seats = self.seats();
        seats.working -= 1;
        seats.moves += 1;
        if seats.working == 0 {
            self.has_calmed.notify_waiters();
        }
        seats
    }

    pub(super) fn at_rest(&self, now: DateTime<Utc>) -> Option<u64> {
        let seats = self.seats();
        let is_at_rest = seats.working == 0 && seats.resting.values().all(|seat| seat.until > now);
        is_at_rest.then_some(seats.moves)
    }

    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        let seats = self.seats();
        seats.resting.values().filter_map(|seat| seat.stop).min()
    }
}

/// Somebody works while this is there.
#[derive(Debug, Default)]
pub struct Work(Option<Arc<Bench>>);

impl Work {
    pub(super) fn begin(bench: &Arc<Bench>) -> Self {
        bench.seats().sit_down();
        Self(Some(bench.clone()))
    }

    /// Rests while what comes back is there, waiting for others.
    pub fn rest(&self) -> Rest<'_> {
        if let Some(bench) = &self.0 {
            drop(bench.rise());
        }
        Rest {
            work: self,
            seat: None,
        }
    }

    /// Rests while what comes back is there, until a time at which the clock stops.
    pub fn rest_until(&self, due: DateTime<Utc>) -> Rest<'_> {
        self.seat(due, Some(due))
    }

    /// Rests while what comes back is there, until the clock first stops at a time or later: for what looks now and then,
    /// and may look less often when time passes fast. At `stop`, if it is given, the clock does stop.
    pub fn rest_about(&self, until: DateTime<Utc>, stop: Option<DateTime<Utc>>) -> Rest<'_> {
        self.seat(stop.map_or(until, |stop| stop.min(until)), stop)
    }

    fn seat(&self, until: DateTime<Utc>, stop: Option<DateTime<Utc>>) -> Rest<'_> {
        let seat = self.0.as_ref().map(|bench| {
            let mut seats = bench.rise();
            let number = seats.moves;
            seats.resting.insert(number, Seat { until, stop });
            number
        });
        Rest { work: self, seat }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(bench) = &self.0 {
            drop(bench.rise());
        }
    }
}

/// Somebody rests from their work while this is there.
#[derive(Debug)]
pub struct Rest<'a> {
    work: &'a Work,
    seat: Option<u64>,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if let Some(bench) = &self.work.0 {
            let mut seats = bench.seats();
            seats.sit_down();
            if let Some(seat) = self.seat {
                seats.resting.remove(&seat);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::super::Clock;

    #[tokio::test]
    async fn a_clock_moved_by_hand_knows_who_works_and_who_has_overslept() {
        let noon: chrono::DateTime<chrono::Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        let clock = Clock::test(noon);
        let at_first = clock.at_rest();
        assert!(at_first.is_some());
        let work = clock.work();
        assert_eq!(clock.at_rest(), None);
        let rest = work.rest();
        let waiting = clock.at_rest();
        assert!(waiting.is_some(), "waiting for others is rest");
        assert_ne!(waiting, at_first, "somebody has worked meanwhile");
        drop(rest);
        let rest = work.rest_about(noon + TimeDelta::seconds(3), None);
        assert!(clock.at_rest().is_some());
        assert_eq!(clock.next_rest_over(), None, "the clock need not stop there");
        clock.advance(Duration::from_secs(4));
        assert_eq!(clock.at_rest(), None, "but waits for who should go on");
        clock.set(noon);
        drop(rest);
        let rest = work.rest_about(noon + TimeDelta::seconds(3), Some(noon + TimeDelta::seconds(9)));
        assert_eq!(clock.next_rest_over(), Some(noon + TimeDelta::seconds(9)));
        drop(rest);
        let rest = work.rest_until(noon + TimeDelta::seconds(5));
        assert!(clock.at_rest().is_some());
        assert_eq!(clock.next_rest_over(), Some(noon + TimeDelta::seconds(5)));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.at_rest(), None, "who should go on now has not gone on yet");
        drop(rest);
        assert_eq!(clock.at_rest(), None, "and works again");
        drop(work);
        assert!(clock.at_rest().is_some());
        assert_eq!(clock.next_rest_over(), None);
    }

    #[tokio::test]
    async fn who_waits_for_rest_hears_of_the_last_who_rises() {
        let clock = Clock::test("2026-03-01T12:00:00Z".parse().unwrap());
        let (first, second) = (clock.work(), clock.work());
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.rested().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "one still works");
        drop(second);
        assert_eq!(Some(waiting.await.unwrap()), clock.at_rest());
    }

    #[test]
    fn nobody_waits_for_anybody_on_the_real_clock() {
        let clock = Clock::real();
        let work = clock.work();
        assert!(clock.at_rest().is_some());
        drop(work.rest());
    }
}
