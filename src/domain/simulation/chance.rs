//! Chance that can be drawn again: the same seed, name and second give the same number.

use sha2::{Digest as _, Sha256};

/// A whole number from `from` to `to`, both included.
pub(super) fn draw(seed: u64, service: &str, variable: &str, second: u64, from: i64, to: i64) -> i64 {
    let width = u64::try_from(to.saturating_sub(from))
        .unwrap_or_default()
        .saturating_add(1);
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(second.to_le_bytes());
    hasher.update(service.as_bytes());
    hasher.update([0]);
    hasher.update(variable.as_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    // The bias of the remainder is far below what anybody could see in a drill.
    from.saturating_add((u64::from_le_bytes(first) % width) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_inside_and_can_be_repeated() {
        let mut seen = std::collections::BTreeSet::new();
        for second in 0..200 {
            let drawn = draw(7, "queue", "inflow", second, -2, 3);
            assert!((-2..=3).contains(&drawn), "{drawn}");
            assert_eq!(drawn, draw(7, "queue", "inflow", second, -2, 3));
            seen.insert(drawn);
        }
        assert_eq!(seen.len(), 6, "every number comes");
        assert_eq!(draw(7, "a", "b", 0, 5, 5), 5);
        let other: Vec<i64> = (0..50).map(|second| draw(8, "a", "b", second, 0, 99)).collect();
        let this: Vec<i64> = (0..50).map(|second| draw(7, "a", "b", second, 0, 99)).collect();
        assert_ne!(this, other, "another seed, another drill");
    }
}
