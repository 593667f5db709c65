//! Slows down guessing. Tries are counted in Postgres, so that a restart forgives nothing and every replica counts the
//! same ones, and each wait is remembered here as well, so that whoever has to wait costs neither a hash nor a query.
//!
//! Three things are counted, and a try has to wait for the longest of their waits: a name from one network, any name
//! from that network, and the name from everywhere. Nobody is ever locked out: the last of these waits a minute at most,
//! so a crowd of machines that guesses somebody's password delays that person and does not shut them out; and a passkey
//! or a provider is no guess and never waits.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};

use crate::{
    domain::digest::Digest,
    store::{
        StoreError,
        tries::{self, Pace},
    },
};

/// A name from one network.
const PAIR: Pace = Pace {
    free: 5,
    wait_max: TimeDelta::minutes(15),
};
/// Any name from one network: many people sit behind one address.
const NETWORK: Pace = Pace {
    free: 50,
    wait_max: TimeDelta::minutes(15),
};
/// A name from everywhere.
const NAME: Pace = Pace {
    free: 50,
    wait_max: TimeDelta::minutes(1),
};
/// Waits remembered here at once; more are found in the database.
const KEPT_MAX: usize = 10_000;
/// Characters of a name that count; no person's is longer.
const NAME_CHARS_MAX: usize = 100;

/// Waits by key; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Throttle(Arc<Mutex<HashMap<Digest, DateTime<Utc>>>>);

/// A try at guessing what opens `name`.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    keys: [(Digest, Pace); 3],
}

impl Guess {
    /// A try for that name, which may be anything somebody typed, from that address.
    pub fn new(name: &str, from: IpAddr) -> Self {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let network = network(from);
        let key = |text: String| Digest::of_bytes(text.as_bytes());
        Self {
            keys: [
                (key(format!("pair\n{network}\n{name}")), PAIR),
                (key(format!("network\n{network}")), NETWORK),
                (key(format!("name\n{name}")), NAME),
            ],
        }
    }
}

/// The network an address belongs to: what one stranger easily has many addresses of.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl Throttle {
    /// Counts a try before it is looked at; `Err` with how long it has to wait, which counts nothing and looks at
    /// nothing.
    pub async fn take(
        &self,
        db: &PgPool,
        guess: Guess,
        now: DateTime<Utc>,
    ) -> Result<Result<(), TimeDelta>, StoreError> {
        if let Some(wait) = self.remembered(guess, now) {
            return Ok(Err(wait));
        }
        let mut tx = db.begin().await?;
        let mut waits = Vec::new();
        // Always in this order, so that two tries never wait for each other.
        for (key, pace) in guess.keys {
            match tries::take(&mut tx, key, pace, now).await? {
                Ok(until) => waits.push((key, until)),
                Err(until) => {
                    self.remember(&[(key, until)], now);
                    return Ok(Err(until - now));
                }
            }
        }
        tx.commit().await?;
        self.remember(&waits, now);
        Ok(Ok(()))
    }

    /// The try was right: its name begins anew, and its network has one try less.
    pub async fn right(&self, conn: &mut PgConnection, guess: Guess) -> Result<(), StoreError> {
        let [(pair, _), (network, _), (name, _)] = guess.keys;
        tries::forget(conn, pair).await?;
        tries::give_back(conn, network).await?;
        tries::forget(conn, name).await?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in guess.keys {
            kept.remove(&key);
        }
        Ok(())
    }

    fn remembered(&self, guess: Guess, now: DateTime<Utc>) -> Option<TimeDelta> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = guess.keys.iter().filter_map(|(key, _)| kept.get(key)).max()?;
        (*until > now).then(|| *until - now)
    }

    fn remember(&self, waits: &[(Digest, DateTime<Utc>)], now: DateTime<Utc>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + waits.len() > KEPT_MAX {
            kept.retain(|_, until| *until > now);
        }
        for (key, until) in waits.iter().filter(|(_, until)| *until > now) {
            if kept.len() < KEPT_MAX || kept.contains_key(key) {
                kept.insert(*key, *until);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_network() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.0");
        assert_eq!(of("::ffff:192.0.2.200"), "192.0.2.0");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for number in 0..KEPT_MAX + 10 {
            let key = Digest::of_bytes(number.to_string().as_bytes());
            throttle.remember(&[(key, now + TimeDelta::seconds(1))], now);
        }
        assert_eq!(throttle.0.lock().unwrap().len(), KEPT_MAX);
        let key = Digest::of_bytes(b"later");
        let later = now + TimeDelta::minutes(1);
        throttle.remember(&[(key, later + TimeDelta::seconds(1))], later);
        assert_eq!(throttle.0.lock().unwrap().len(), 1);
    }
}
