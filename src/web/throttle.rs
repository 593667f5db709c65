//! Slows down guessing: after a few wrong tries for one name from one address the next has to wait, and is told how
//! long. Kept in memory: a restart forgives, and a second replica counts by itself.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Tries that cost nothing.
const FREE_TRIES: u32 = 5;
/// The longest wait, and how long a failure is remembered.
const WAIT_MAX_S: i64 = 900;
/// Names and addresses remembered at once; when full, the oldest go.
const KEPT_MAX: usize = 10_000;

/// Wrong tries by name and address; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Throttle(Arc<Mutex<HashMap<(String, IpAddr), Failures>>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: DateTime<Utc>,
}

impl Failures {
    /// 2, 4, 8 … seconds after the free tries.
    fn until(self) -> DateTime<Utc> {
        let over = self.count.saturating_sub(FREE_TRIES);
        let wait_s = match over {
            0 => 0,
            over => (1_i64 << over.min(20)).min(WAIT_MAX_S),
        };
        self.last + TimeDelta::seconds(wait_s)
    }
}

impl Throttle {
    /// How long this name from this address still has to wait; `None` when it may try.
    pub fn wait(&self, name: &str, from: IpAddr, now: DateTime<Utc>) -> Option<TimeDelta> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = kept.get(&key(name, from))?.until();
        (until > now).then(|| until - now)
    }

    /// Remembers a wrong try.
    pub fn failed(&self, name: &str, from: IpAddr, now: DateTime<Utc>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, failures| now - failures.last < TimeDelta::seconds(WAIT_MAX_S));
        }
        if kept.len() >= KEPT_MAX {
            let oldest = kept
                .iter()
                .min_by_key(|(_, failures)| failures.last)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                kept.remove(&oldest);
            }
        }
        let failures = kept
            .entry(key(name, from))
            .or_insert(Failures { count: 0, last: now });
        let forgotten = now - failures.last > TimeDelta::seconds(WAIT_MAX_S);
        failures.count = if forgotten {
            1
        } else {
            failures.count.saturating_add(1)
        };
        failures.last = now;
    }

    /// Forgets the failures of a name that got it right.
    pub fn succeeded(&self, name: &str, from: IpAddr) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key(name, from));
    }
}

fn key(name: &str, from: IpAddr) -> (String, IpAddr) {
    // Names are bounded where they are kept; here too, or a stranger fills the memory with long ones.
    (name.chars().take(100).collect(), from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_are_free_and_then_the_wait_doubles_up_to_its_bound() {
        let throttle = Throttle::default();
        let from: IpAddr = [192, 0, 2, 1].into();
        let mut now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for _ in 0..FREE_TRIES {
            throttle.failed("ana", from, now);
            assert_eq!(throttle.wait("ana", from, now), None);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            throttle.failed("ana", from, now);
            let wait = throttle.wait("ana", from, now).unwrap();
            waits.push(wait.num_seconds());
            now += wait;
            assert_eq!(throttle.wait("ana", from, now), None);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(throttle.wait("ben", from, now), None);
        throttle.succeeded("ana", from);
        throttle.failed("ana", from, now);
        assert_eq!(throttle.wait("ana", from, now), None);
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for number in 0..KEPT_MAX + 10 {
            throttle.failed(&number.to_string(), [192, 0, 2, 1].into(), now);
        }
        assert_eq!(throttle.0.lock().unwrap().len(), KEPT_MAX);
    }
}
