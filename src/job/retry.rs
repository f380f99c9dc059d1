//! When a job that may be tried again is due.

use super::limits::{BACKOFF_FIRST_MS, BACKOFF_MAX_MS};

/// The delay in milliseconds after `spent` earlier failures: 1 s doubled each time up to 5 m, less up to a fifth.
/// `jitter` is a random number; any will do.
pub fn delay_ms(spent: i64, jitter: u32) -> i64 {
    let doublings = u32::try_from(spent.max(0)).unwrap_or(u32::MAX).min(30);
    let full = BACKOFF_FIRST_MS.saturating_mul(1 << doublings).min(BACKOFF_MAX_MS);
    full - full / 5 * i64::from(jitter % 1001) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_five_minutes() {
        let delays: Vec<i64> = [0, 1, 2, 8, 9, 60, i64::MAX].map(|spent| delay_ms(spent, 0)).to_vec();
        assert_eq!(delays, [1_000, 2_000, 4_000, 256_000, 300_000, 300_000, 300_000]);
    }

    #[test]
    fn jitter_takes_away_at_most_a_fifth() {
        for jitter in [1, 500, 1000, u32::MAX] {
            assert!((800..=1_000).contains(&delay_ms(0, jitter)));
        }
    }
}
