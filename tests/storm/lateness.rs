//! How late leases were ended: from the kill of a worker, or the last renewal by its handler, which lives on, to the end
//! of each lease that it had. Not counted is the time in which nobody could end it: while a stopped process held the
//! store's lock, while the server was stopped, for workers over HTTP, and while the machine held up the witness too.

use super::blows::{Blows, LEASE, SWEEP};
use super::players::{Stage, Way};
use rusqlite::Connection;
use std::collections::HashMap;

/// From and to, by the wall clock.
pub type Span = (i64, i64);

/// What is left of a lease's end once what nobody could help is taken off.
#[derive(Default)]
pub struct Lateness {
    /// Leases of killed workers that ran out.
    recoveries: usize,
    slowest_ms: i64,
    pub late: usize,
    /// Those that are not late only because of what the machine held up.
    machine: usize,
    /// Those of which a renewal was tried and it is not known whether it was one.
    unknown: usize,
}

/// The longest that a recovery may take.
fn bound_ms() -> i64 {
    (LEASE + SWEEP).as_millis() as i64
}

impl Lateness {
    pub fn of(stage: &Stage, store: &Connection, blows: &Blows) -> Lateness {
        let mut found = Lateness::default();
        let sql = "SELECT a.worker_id, claimed_at, ended_at, job_id || '.' || a.attempt
            FROM job_attempt a JOIN job ON seq = job_seq WHERE outcome = 'lease_expired'";
        let mut statement = store.prepare(sql).expect("the query is well formed");
        let read = |row: &rusqlite::Row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, String>(3)?))
        };
        let expired = statement.query_map([], read).expect("the query runs");
        let killed: HashMap<&str, (Way, i64)> =
            blows.killed.iter().map(|(name, way, at)| (name.as_str(), (*way, *at))).collect();
        for (worker, claimed_at, ended_at, attempt) in expired.map(|row| row.expect("it is as the schema says")) {
            let Some((way, killed_at)) = killed.get(worker.as_str()).copied() else { continue };
            if ended_at < killed_at {
                continue;
            }
            if stage.place.path("tried").join(&attempt).exists() {
                found.unknown += 1;
                continue;
            }
            let from = killed_at.max(claimed_at).max(stage.renewed_at(&attempt));
            found.recovery(&format!("{attempt} of {worker} ({way:?})"), way, (from, ended_at), blows);
        }
        found
    }

    fn recovery(&mut self, lease: &str, way: Way, span: Span, blows: &Blows) {
        let mut excused = blows.held.clone();
        if way == Way::Http {
            excused.extend(&blows.mute);
        }
        let strict_ms = outside_ms(excused.clone(), span);
        excused.extend(&blows.machine);
        let took_ms = outside_ms(excused, span);
        self.recoveries += 1;
        self.slowest_ms = self.slowest_ms.max(took_ms);
        self.machine += usize::from(strict_ms > bound_ms() && took_ms <= bound_ms());
        self.late += usize::from(took_ms > bound_ms());
        if strict_ms > bound_ms() {
            let stopped = blows.stops.iter().filter(|stop| overlap(**stop, span) > 0).count();
            println!(
                "late: a lease, {lease}, from {} to {}, took {took_ms} ms, and {} ms of the machine's; {stopped} stops \
                 meanwhile; the machine's load is {}",
                span.0,
                span.1,
                strict_ms - took_ms,
                load()
            );
        }
    }

    pub fn summary(&self, blows: &Blows) -> String {
        let Lateness { recoveries, slowest_ms, late, machine, unknown } = self;
        let pause_ms = blows.machine.iter().map(|span| span.1 - span.0).max().unwrap_or(0);
        format!(
            "{late} late of {recoveries} recoveries, the slowest took {slowest_ms} ms of {} ms; {machine} more only by what \
             the machine held up (at most {pause_ms} ms), {unknown} not measured",
            bound_ms()
        )
    }
}

/// How much of `of` is in none of the spans, which may overlap.
fn outside_ms(mut spans: Vec<Span>, of: Span) -> i64 {
    spans.sort_unstable();
    let (mut outside, mut at) = (0, of.0);
    for (from, to) in spans {
        outside += (from.min(of.1) - at).max(0);
        at = at.max(to);
    }
    outside + (of.1 - at).max(0)
}

fn overlap(span: Span, of: Span) -> i64 {
    (span.1.min(of.1) - span.0.max(of.0)).max(0)
}

/// How busy the machine is, in its own words.
fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

#[test]
fn what_is_excused_twice_is_taken_off_once() {
    assert_eq!(outside_ms(vec![], (10, 40)), 30);
    assert_eq!(outside_ms(vec![(0, 5), (50, 60)], (10, 40)), 30);
    assert_eq!(outside_ms(vec![(20, 30), (15, 25)], (10, 40)), 15);
    assert_eq!(outside_ms(vec![(20, 30), (22, 24), (35, 99)], (10, 40)), 15);
    assert_eq!(outside_ms(vec![(0, 99)], (10, 40)), 0);
}
