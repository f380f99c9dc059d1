//! Very many submissions, in batches and one by one, from several processes, while a process holds jobs with short
//! leases: its heartbeats have to stay in time. A few thousand by default, a million with `make storm`.

use super::number;
use super::roles;
use crate::program::Place;
use crate::promises::wait;
use crate::support::{ask, get, text};
use errand::api::Client;
use rusqlite::Connection;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Jobs under lease while the others are submitted.
const HELD: usize = 16;
const LEASE: &str = "\"2s\"";
const BEAT: Duration = Duration::from_millis(600);
const IN_BATCH: u64 = 1_000;
const BATCHERS: u64 = 2;
/// Processes that submit one by one, and threads in each.
const SINGLERS: u64 = 2;
const THREADS: u64 = 4;

/// How many are submitted in all.
fn submissions() -> u64 {
    number("ERRAND_STORM_SUBMISSIONS", 20_000)
}

#[test]
fn heartbeats_stay_in_time_while_very_many_jobs_are_submitted() {
    let place = Place::new();
    let store = place.store().display().to_string();
    let mut holder = roles::start("hold leases", &store, "");
    let mut holds = BufReader::new(holder.stdout.take().expect("it is a pipe"));
    said(&mut holds, "ready");
    let began = Instant::now();
    // One in ten alone, the others in batches.
    let names = (0..SINGLERS).map(|_| "one by one").chain((0..BATCHERS).map(|_| "in batches"));
    let submitters: Vec<Child> = names.map(|name| roles::start("submit many", &store, name)).collect();
    for mut child in submitters {
        assert!(child.wait().expect("it is a child").success());
    }
    let seconds = began.elapsed().as_secs_f64();
    std::fs::write(place.path("end"), "").expect("the folder is ours");
    let told = said(&mut holds, "heartbeats");
    assert!(holder.wait().expect("it is a child").success());
    let store = Connection::open(place.store()).expect("the store opens");
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("the query gives a number");
    let there = count("SELECT count(*) FROM job WHERE job_type = 'many'") as u64;
    let expired = count("SELECT count(*) FROM job_attempt WHERE outcome = 'lease_expired'");
    println!(
        "storm: million, {there} submissions of {} processes in {seconds:.1} s beside {HELD} jobs with leases of 2 s: \
         heartbeats {told}; {} lost, {expired} leases lost",
        BATCHERS + SINGLERS,
        submissions() - there
    );
    assert_eq!(there, submissions());
    // As an ordinary test it does not judge a machine that stood still for seconds.
    let judges = std::env::var_os("ERRAND_STORM_SUBMISSIONS").is_some();
    assert!(expired == 0 || !judges, "{expired} leases were lost");
}

/// The rest of the line that says it.
fn said(from: &mut impl BufRead, what: &str) -> String {
    let mut lines = from.lines().map_while(Result::ok);
    let found = lines.find_map(|line| line.split_once(&format!("said {what}")).map(|(_, rest)| rest.trim().to_owned()));
    found.unwrap_or_else(|| panic!("it did not say \"{what}\""))
}

/// The role: holds jobs and renews their leases until there is a file `end` beside the store.
pub fn hold(client: &dyn Client) {
    let errand::api::Place::Store(store) = client.place() else { panic!("this role is on a store") };
    let end = store.with_file_name("end");
    let leases: Vec<String> = (0..HELD).map(|_| lease(client)).collect();
    roles::say("ready");
    let (ended, lost, took_ms) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for lease in &leases {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let reply = ask(client, "jobs.heartbeat", lease);
                    let took = began.elapsed();
                    took_ms.lock().expect("nobody panics with it").push(took.as_millis() as u64);
                    if let Err(error) = reply {
                        println!("a heartbeat was refused after {took:?}: {error:?}");
                        lost.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    wait(BEAT.saturating_sub(took));
                }
            });
        }
        // Where the storm itself failed its folder is gone.
        while !end.exists() && store.exists() {
            wait(Duration::from_millis(20));
        }
        ended.store(true, Ordering::Relaxed);
    });
    let completed = leases.iter().filter(|lease| ask(client, "jobs.complete", lease).is_ok()).count();
    let mut took_ms = took_ms.into_inner().expect("nobody panicked with it");
    took_ms.sort_unstable();
    let at = |part: f64| took_ms.get(((took_ms.len() - 1) as f64 * part) as usize).copied().unwrap_or(0);
    roles::say(&format!(
        "heartbeats {} sent, {} refused, median {} ms, 99 % within {} ms, slowest {} ms, {completed} jobs completed",
        took_ms.len(),
        lost.load(Ordering::Relaxed),
        at(0.5),
        at(0.99),
        at(1.0)
    ));
}

/// Submits and claims a job: what names its lease.
fn lease(client: &dyn Client) -> String {
    get(client, "jobs.create", "{:job-type \"held\"}");
    let args = format!("{{:job-type \"held\" :worker-id \"holder\" :lease-duration {LEASE}}}");
    let reply = get(client, "jobs.claim", &args);
    let (id, token) = (text(&reply, &["job", "job-id"]), text(&reply, &["job", "lease-token"]));
    format!("{{:job-id \"{id}\" :lease-token \"{token}\"}}")
}

/// The role: submits this process's share.
pub fn submit(client: &dyn Client, how: &str) {
    let singles = submissions() / 10 / SINGLERS / THREADS;
    if how == "one by one" {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for number in 0..singles {
                        get(client, "jobs.create", &format!("{{:job-type \"many\" :payload {{:n {number}}}}}"));
                    }
                });
            }
        });
    } else {
        let mut left = (submissions() - singles * THREADS * SINGLERS) / BATCHERS;
        while left > 0 {
            let size = left.min(IN_BATCH);
            let jobs: String = (0..size).map(|number| format!("{{:payload {{:n {number}}}}}")).collect();
            get(client, "jobs.batches.create", &format!("{{:job-type \"many\" :jobs [{jobs}]}}"));
            left -= size;
        }
    }
}
