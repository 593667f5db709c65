//! Who works by a clock that is moved by hand. Time must not pass while somebody is in the middle of something: in a drill
//! that plays by itself an hour takes seconds, and it shall go the same way every time. On the real clock all of this is
//! nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

#[derive(Debug, Default)]
pub(super) struct Bench(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    working: usize,
    /// Those who rest until a time, by a number of their own.
    resting: BTreeMap<u64, DateTime<Utc>>,
    next: u64,
}

impl Bench {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_at_rest(&self, now: DateTime<Utc>) -> bool {
        let seats = self.seats();
        seats.working == 0 && seats.resting.values().all(|until| *until > now)
    }

    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.seats().resting.values().min().copied()
    }
}

/// Somebody works while this is there.
#[derive(Debug, Default)]
pub struct Work(Option<Arc<Bench>>);

impl Work {
    pub(super) fn begin(bench: &Arc<Bench>) -> Self {
        bench.seats().working += 1;
        Self(Some(bench.clone()))
    }

    /// Rests while what comes back is there, waiting for others.
    pub fn rest(&self) -> Rest<'_> {
        if let Some(bench) = &self.0 {
            bench.seats().working -= 1;
        }
        Rest {
            work: self,
            seat: None,
        }
    }

    /// Rests while what comes back is there, until a time.
    pub fn rest_until(&self, due: DateTime<Utc>) -> Rest<'_> {
        let seat = self.0.as_ref().map(|bench| {
            let mut seats = bench.seats();
            seats.working -= 1;
            seats.next += 1;
            let seat = seats.next;
            seats.resting.insert(seat, due);
            seat
        });
        Rest { work: self, seat }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(bench) = &self.0 {
            bench.seats().working -= 1;
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
            seats.working += 1;
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
        assert!(clock.is_at_rest());
        let work = clock.work();
        assert!(!clock.is_at_rest());
        let rest = work.rest();
        assert!(clock.is_at_rest(), "waiting for others is rest");
        drop(rest);
        let rest = work.rest_until(noon + TimeDelta::seconds(5));
        assert!(clock.is_at_rest());
        assert_eq!(clock.next_rest_over(), Some(noon + TimeDelta::seconds(5)));
        clock.advance(Duration::from_secs(5));
        assert!(!clock.is_at_rest(), "who should go on now has not gone on yet");
        drop(rest);
        assert!(!clock.is_at_rest(), "and works again");
        drop(work);
        assert!(clock.is_at_rest());
        assert_eq!(clock.next_rest_over(), None);
    }

    #[test]
    fn nobody_waits_for_anybody_on_the_real_clock() {
        let clock = Clock::real();
        let work = clock.work();
        assert!(clock.is_at_rest());
        drop(work.rest());
    }
}
