//! Pauses between attempts: exponential, with full jitter, bounded.

use super::{span::Span, step::Retry};

/// The pause after attempt number `attempt` (from 1): a share `jitter` in 0..=1 of the exponential bound. Full
/// jitter keeps many runs that failed together from coming back together.
pub fn pause(retry: &Retry, attempt: u32, jitter: f64) -> Span {
    let doubled = retry
        .initial
        .as_millis()
        .saturating_mul(1 << attempt.saturating_sub(1).min(30));
    let bound = doubled.min(retry.max.as_millis());
    Span::from_millis((bound as f64 * jitter.clamp(0.0, 1.0)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound() {
        let retry = Retry {
            attempts: 9,
            initial: Span::from_secs(1),
            max: Span::from_secs(5),
        };
        let full: Vec<u64> = (1..=5)
            .map(|attempt| pause(&retry, attempt, 1.0).as_millis())
            .collect();
        assert_eq!(full, [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(pause(&retry, 3, 0.5).as_millis(), 2000);
        assert_eq!(pause(&retry, u32::MAX, 1.0).as_millis(), 5000);
        assert_eq!(pause(&retry, 1, 0.0).as_millis(), 0);
    }
}
