//! How long an await may take, and how often it looks besides being woken.

use super::limits::{AWAIT_DEFAULT_MS, INTERVAL_DEFAULT_MS, WAIT_MAX_MS};

/// How the delay between scheduled checks grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    Constant,
    /// The k-th delay is `interval × (1 + factor × (k − 1))`.
    Linear(f64),
    /// The k-th delay is `interval × factor^(k − 1)`.
    Exponential(f64),
}

/// The bounds of one await.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait {
    pub interval_ms: i64,
    pub growth: Growth,
    /// No delay grows beyond this.
    pub delay_max_ms: i64,
    /// Scheduled checks at most; the first read is check 1.
    pub checks_max: Option<i64>,
    pub timeout_ms: Option<i64>,
}

impl Default for Wait {
    fn default() -> Wait {
        Wait {
            interval_ms: INTERVAL_DEFAULT_MS,
            growth: Growth::Constant,
            delay_max_ms: WAIT_MAX_MS,
            checks_max: None,
            timeout_ms: None,
        }
    }
}

impl Wait {
    /// The delay between check `k` and the next, in milliseconds.
    pub fn delay_ms(&self, k: i64) -> i64 {
        let factor = match self.growth {
            Growth::Constant => 1.0,
            Growth::Linear(factor) => 1.0 + factor * (k - 1) as f64,
            Growth::Exponential(factor) => factor.powf((k - 1) as f64),
        };
        let delay = self.interval_ms as f64 * factor;
        if delay < self.delay_max_ms as f64 { delay as i64 } else { self.delay_max_ms }
    }

    /// How long the wait lasts at most, in milliseconds: until its last check or its timeout, whichever is first;
    /// 5 minutes where it names neither.
    pub fn bound_ms(&self) -> i64 {
        match (self.checks_max, self.timeout_ms) {
            (None, None) => AWAIT_DEFAULT_MS,
            (None, Some(timeout)) => timeout,
            (Some(checks), timeout) => self.last_check_ms(checks).min(timeout.unwrap_or(WAIT_MAX_MS)),
        }
    }

    fn last_check_ms(&self, checks: i64) -> i64 {
        let mut at = 0i64;
        for k in 1..checks {
            at = at.saturating_add(self.delay_ms(k).max(1));
            if at >= WAIT_MAX_MS {
                return WAIT_MAX_MS;
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(growth: Growth, checks: Option<i64>, timeout_ms: Option<i64>) -> i64 {
        Wait { interval_ms: 100, growth, delay_max_ms: 350, checks_max: checks, timeout_ms }.bound_ms()
    }

    #[test]
    fn a_wait_without_bounds_takes_five_minutes() {
        assert_eq!(wait(Growth::Constant, None, None), 300_000);
    }

    #[test]
    fn the_first_read_is_check_one() {
        assert_eq!(wait(Growth::Constant, Some(1), None), 0);
        assert_eq!(wait(Growth::Constant, Some(3), None), 200);
    }

    #[test]
    fn delays_grow_up_to_their_cap() {
        assert_eq!(wait(Growth::Linear(1.0), Some(5), None), 100 + 200 + 300 + 350);
        assert_eq!(wait(Growth::Exponential(2.0), Some(5), None), 100 + 200 + 350 + 350);
    }

    #[test]
    fn the_smaller_bound_holds() {
        assert_eq!(wait(Growth::Constant, Some(3), Some(150)), 150);
        assert_eq!(wait(Growth::Constant, Some(3), Some(500)), 200);
    }
}
