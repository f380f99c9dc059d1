//! When a held lease has to be renewed, and when its handler has to be gone, by the worker's own monotonic clock.
//! It does not renew or stop anything.

use std::time::{Duration, Instant};

const BEAT_MAX: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(1);
const MARGIN_MIN: Duration = Duration::from_millis(100);
const MARGIN_MAX: Duration = Duration::from_secs(2);

/// One lease, as far as this worker can be sure of it: counted from when the request that renewed it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    length: Duration,
    until: Instant,
}

impl Lease {
    pub fn new(length: Duration, from: Instant) -> Lease {
        Lease { length, until: from + length }
    }

    /// Counts the lease anew; an answer that arrives late takes nothing away.
    pub fn renew(&mut self, sent: Instant) {
        self.until = self.until.max(sent + self.length);
    }

    pub fn length(&self) -> Duration {
        self.length
    }

    /// When the lease may be over.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Delay between heartbeats: a third of the lease, at most five seconds.
    pub fn beat_every(&self) -> Duration {
        (self.length / 3).min(BEAT_MAX)
    }

    /// Delay before a heartbeat that failed is sent again.
    pub fn retry_after(&self) -> Duration {
        (self.beat_every() / 4).min(RETRY_MAX)
    }

    /// When a handler that still runs is killed, so that it is gone before the lease is.
    pub fn kill_at(&self) -> Instant {
        self.until - (self.length / 10).clamp(MARGIN_MIN, MARGIN_MAX)
    }

    /// When a handler is asked to stop, where nothing renewed the lease: its grace ends at `kill_at`, but is no more
    /// than a third of the lease.
    pub fn stop_at(&self, grace: Duration) -> Instant {
        self.kill_at() - grace.min(self.length / 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_asked_to_stop_and_killed_before_its_lease_is_over() {
        let now = Instant::now();
        for seconds in [1, 2, 10, 120, 86_400] {
            let lease = Lease::new(Duration::from_secs(seconds), now);
            let stop = lease.stop_at(Duration::from_secs(10));
            assert!(now + lease.beat_every() + lease.retry_after() < stop, "{seconds}: one heartbeat may fail");
            assert!(stop < lease.kill_at() && lease.kill_at() < lease.until(), "{seconds}");
        }
    }

    #[test]
    fn a_late_answer_does_not_shorten_the_lease() {
        let now = Instant::now();
        let mut lease = Lease::new(Duration::from_secs(10), now);
        lease.renew(now + Duration::from_secs(5));
        let until = lease.until();
        lease.renew(now + Duration::from_secs(1));
        assert_eq!(lease.until(), until);
    }
}
