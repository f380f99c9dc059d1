//! Real processes, killed with -9 and stopped for longer than their lease at random, and a checker that knows only what
//! they said outside the store. A few seconds by default; `ERRAND_STORM_S=600` for longer, `ERRAND_SEED` for others.

use super::invariants;
use super::live::claim_of;
use super::process;
use super::world::options;
use crate::program::{Place, Worker};
use errand::engine::{Class, Engine, NewJob, Settings};
use errand::store::Sqlite;
use rustix::process::Signal;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

const WORKERS: usize = 3;
const SUBMITTERS: usize = 2;
const LEASE: Duration = Duration::from_secs(1);
/// The engine's own: how long a lease that is over may go unnoticed.
const SWEEP: Duration = Duration::from_secs(1);

/// Submits until it is killed, and says so only afterwards.
pub fn submit_for_ever(engine: &Engine) {
    // Each kill costs an attempt.
    let job = NewJob { max_attempts: Some(100), ..NewJob::default() };
    for number in 0.. {
        let job = job.clone();
        if number % 5 == 4 {
            let new = errand::engine::Submit { fanout_max_concurrency: Some(2), ..super::live::new_job("t") };
            let jobs = vec![job; 3];
            let view = super::live::write(engine, Class::Bulk, move |work| work.create_batch(&new, None, &jobs));
            view.jobs.unwrap_or_default().iter().for_each(|job| println!("acknowledged={}", job.job.job_id));
        } else {
            let new = super::live::new_job("t");
            let view = super::live::write(engine, Class::Bulk, move |work| work.create(&new, &job));
            println!("acknowledged={}", view.job.job_id);
        }
        process::wait(Duration::from_millis(10));
    }
}

struct Storm {
    place: Place,
    handler: String,
    workers: Vec<(String, Worker)>,
    submitters: Vec<Child>,
    acknowledged: (Sender<String>, Receiver<String>),
    /// Which worker was killed, and when by the wall clock.
    killed: Vec<(String, i64)>,
    stopped: usize,
    started: usize,
    chance: u64,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let place = Place::new();
        let handler =
            place.script("handler.sh", "echo \"$ERRAND_JOB_ID $ERRAND_JOB_ATTEMPT\" >>runs.txt; sleep 0.0$(($$ % 5))");
        Storm {
            place,
            handler,
            workers: Vec::new(),
            submitters: Vec::new(),
            acknowledged: channel(),
            killed: Vec::new(),
            stopped: 0,
            started: 0,
            chance: seed,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % bound
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let id = format!("worker-{}", self.started);
        let more = ["--worker-id", &id, "--lease-duration", "1s", "--concurrency", "2"];
        let worker = self.place.worker(&self.handler, &more);
        self.workers.push((id, worker));
    }

    fn start_submitter(&mut self) {
        let mut child = process::start("storm", &self.place.store());
        let (lines, tell) =
            (BufReader::new(child.stdout.take().expect("its output is a pipe")), self.acknowledged.0.clone());
        std::thread::spawn(move || {
            // A line that the kill cut off was not said.
            for line in lines.lines().map_while(Result::ok) {
                if let Some((_, id)) = line.split_once("acknowledged=") {
                    tell.send(id.to_string()).ok();
                }
            }
        });
        self.submitters.push(child);
    }

    /// One blow.
    fn strike(&mut self) {
        match self.below(10) {
            0..2 => {
                let mut child = self.submitters.swap_remove(0);
                child.kill().expect("it runs");
                child.wait().expect("it is dead");
                self.start_submitter();
            }
            2 => {
                let number = self.below(WORKERS);
                self.workers[number].1.signal(Signal::STOP);
                process::wait(LEASE + LEASE / 2);
                self.workers[number].1.signal(Signal::CONT);
                self.stopped += 1;
            }
            _ => {
                let number = self.below(WORKERS);
                let (id, worker) = self.workers.swap_remove(number);
                worker.signal(Signal::KILL);
                self.killed.push((id, wall_ms()));
                drop(worker);
                self.start_worker();
            }
        }
    }

    fn rage(&mut self, time: Duration) {
        (0..WORKERS).for_each(|_| self.start_worker());
        (0..SUBMITTERS).for_each(|_| self.start_submitter());
        let until = Instant::now() + time;
        while Instant::now() < until {
            let pause = 50 + self.below(250);
            process::wait(Duration::from_millis(pause as u64));
            self.strike();
        }
        for mut child in self.submitters.drain(..) {
            child.kill().expect("it runs");
            child.wait().expect("it is dead");
        }
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    since.as_millis() as i64
}

fn numbers(store: &rusqlite::Connection, sql: &str) -> i64 {
    store.query_row(sql, [], |row| row.get(0)).expect("the query gives a number")
}

/// The longest time between the kill of a worker and the end of a lease that it had.
fn slowest_recovery(store: &rusqlite::Connection, killed: &[(String, i64)]) -> i64 {
    let sql = "SELECT coalesce(max(ended_at), 0) FROM job_attempt WHERE worker_id = ?1 AND outcome = 'lease_expired'";
    let mut statement = store.prepare(sql).expect("the query is well formed");
    let late = killed.iter().map(|(worker, at)| {
        let ended_at: i64 = statement.query_row([worker], |row| row.get(0)).expect("the query gives a number");
        ended_at - at
    });
    late.max().unwrap_or(0)
}

#[test]
fn a_storm_of_kills_loses_nothing_leaves_nothing_stuck_and_completes_nothing_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut storm = Storm::new(number("ERRAND_SEED").unwrap_or(1));
    // This process survives: somebody has to look after leases.
    let sqlite = Sqlite::open(&storm.place.store(), options()).expect("the store opens");
    let engine = Engine::start(Arc::new(sqlite), Settings::default()).expect("the engine starts");
    storm.rage(Duration::from_secs(number("ERRAND_STORM_S").unwrap_or(4)));
    let store = rusqlite::Connection::open(storm.place.store()).expect("the store opens");
    store.busy_timeout(Duration::from_secs(30)).expect("SQLite knows it");
    let open = "SELECT count(*) FROM job WHERE completed_at IS NULL";
    let calm = Instant::now();
    while numbers(&store, open) > 0 && calm.elapsed() < Duration::from_secs(60) {
        process::wait(Duration::from_millis(50));
    }
    let stuck = numbers(&store, open);
    drop(storm.acknowledged.0);
    let acknowledged: HashSet<String> = storm.acknowledged.1.iter().collect();
    let sql = "SELECT count(*) FROM job WHERE job_id = ?1";
    let is_there = |id: &&String| store.query_row(sql, [id], |row| row.get::<_, i64>(0)) == Ok(1);
    let lost = acknowledged.len() - acknowledged.iter().filter(is_there).count();
    let twice = numbers(
        &store,
        "SELECT count(*) FROM (SELECT 1 FROM job_attempt WHERE outcome = 'succeeded' GROUP BY job_seq HAVING count(*) > 1)",
    );
    let runs = std::fs::read_to_string(storm.place.path("runs.txt")).expect("handlers ran");
    let (all, different) = (runs.lines().count(), runs.lines().collect::<HashSet<_>>().len());
    let recovery = slowest_recovery(&store, &storm.killed);
    println!(
        "storm: {} acknowledged, {} kills, {} stops, {} runs; {lost} lost, {stuck} stuck, {twice} completed twice, {} runs doubled, slowest recovery {recovery} ms",
        acknowledged.len(),
        storm.killed.len(),
        storm.stopped,
        all,
        all - different
    );
    assert!(acknowledged.len() > 10 && !storm.killed.is_empty(), "there was no storm");
    assert_eq!((lost, stuck, twice, all - different), (0, 0, 0, 0));
    assert_eq!(numbers(&store, "SELECT count(*) FROM job WHERE status <> 'succeeded'"), 0);
    // What else this machine does may delay the engine's thread.
    let slack = Duration::from_secs(5);
    assert!(
        recovery <= (LEASE + SWEEP + slack).as_millis() as i64,
        "a killed worker's job came back after {recovery} ms"
    );
    let none = super::live::write(&engine, Class::Urgent, |work| work.claim(&claim_of("t")));
    assert!(none.is_none(), "nothing is left to be done");
    invariants::assert_hold_on(&store);
}
