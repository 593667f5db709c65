//! Chance, from one seed: the same seed gives the same schedule on every machine.

/// A seeded source of chance with the few questions a schedule asks.
#[derive(Debug)]
pub struct Dice(fastrand::Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Whether something of so many per cent happens.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.u32(0..100) < percent
    }

    /// A whole number in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.i64(low..=high)
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.usize(0..count)
    }

    /// A share in 0..1.
    pub fn share(&mut self) -> f64 {
        self.0.f64()
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Mostly short, sometimes near `most`: how long a message or a person takes.
    pub fn delay(&mut self, most: i64) -> i64 {
        let share = self.share();
        1 + (most as f64 * share * share * share) as i64
    }

    /// The index of one of these weights.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.0.u32(0..weights.iter().sum());
        weights
            .iter()
            .position(|weight| match left.checked_sub(*weight) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(0)
    }
}
