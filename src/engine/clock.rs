//! Where time and chance come from, so that tests can own them.

use crate::store::ClockRow;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What time it is.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch: for showing.
    fn wall_ms(&self) -> i64;
    /// Milliseconds since the host was started, sleep included: for deciding.
    fn boot_ms(&self) -> i64;
    /// Names the present boot of the host.
    fn boot_id(&self) -> String;
}

/// Ids, secrets and chance.
pub trait Ids: Send + Sync {
    /// An id that nobody guesses, later ones sorting after earlier ones.
    fn id(&self) -> String;
    /// A secret.
    fn token(&self) -> String;
    /// Any number.
    fn jitter(&self) -> u32;
}

/// The moment of an operation: the wall clock's for showing, the store's for deciding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub wall_ms: i64,
    pub store_ms: i64,
}

impl Now {
    /// The wall clock's name for a moment of the store's.
    pub fn shown(&self, store_ms: i64) -> i64 {
        self.wall_ms + (store_ms - self.store_ms)
    }
}

/// A clock that goes on where the store's last one stopped, whatever the wall clock says: not before `last_ms`.
pub fn begin_clock(clock: &dyn Clock, last_ms: i64) -> ClockRow {
    ClockRow { boot_id: clock.boot_id(), offset_ms: clock.wall_ms().max(last_ms) - clock.boot_ms() }
}

/// The host's clocks.
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or_else(|before| -(before.duration().as_millis() as i64), |since| since.as_millis() as i64)
    }

    fn boot_ms(&self) -> i64 {
        #[cfg(target_os = "linux")]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let id = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(id);
        time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }

    fn boot_id(&self) -> String {
        boot_id().unwrap_or_else(|| "unknown".into())
    }
}

#[cfg(target_os = "linux")]
fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_string())
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> Option<String> {
    let output = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "kern.bootsessionuuid"]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string()).filter(|id| !id.is_empty())
}

/// UUIDs: version 7 for ids, version 4 for secrets.
pub struct RandomIds;

impl Ids for RandomIds {
    fn id(&self) -> String {
        Uuid::now_v7().to_string()
    }

    fn token(&self) -> String {
        Uuid::new_v4().simple().to_string()
    }

    fn jitter(&self) -> u32 {
        Uuid::new_v4().as_u128() as u32
    }
}
