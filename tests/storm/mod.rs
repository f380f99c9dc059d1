//! Storms: real processes that are killed and stopped at random, a full disk, no descriptors left, a million
//! submissions; and a checker that knows only what was said outside the store. `make storm` runs them for minutes, each
//! with a line that sums it up; a short form of each is an ordinary test.

mod blows;
mod check;
mod descriptors;
mod full_disk;
mod lateness;
mod load;
mod million;
mod players;
mod processes;
mod roles;
mod silence;
mod witness;

use std::time::{SystemTime, UNIX_EPOCH};

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How long a part goes on: a few seconds where nobody asks for more.
fn seconds(default: u64) -> u64 {
    number("ERRAND_STORM_S", default)
}

/// Whether somebody asked for it.
fn is_long() -> bool {
    std::env::var_os("ERRAND_STORM_S").is_some()
}

fn seed() -> u64 {
    number("ERRAND_SEED", 1)
}

fn wall_ms() -> i64 {
    ms_of(SystemTime::now())
}

fn ms_of(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as i64
}

/// Chance from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
