//! Threads that submit and work through one client and keep what became of each submission, and what of it is in the
//! store.

use crate::promises::wait;
use crate::support::{ask, get, text};
use errand::api::{Client, Error};
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the submissions, by what they were called.
#[derive(Default)]
pub struct Fates {
    acknowledged: Mutex<Vec<String>>,
    refused: Mutex<Vec<String>>,
    /// The commit failed: there or not there.
    unknown: Mutex<Vec<String>>,
    pub count: AtomicUsize,
    pub refusals: AtomicUsize,
    /// Calls of the workers that failed.
    pub troubles: AtomicUsize,
}

/// Threads that submit a job and work on one, until they are told to end.
pub struct Load {
    pub fates: Arc<Fates>,
    end: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    pub fn start(client: &Arc<dyn Client>, threads: usize, pad: usize) -> Load {
        let (fates, end) = (Arc::new(Fates::default()), Arc::new(AtomicBool::new(false)));
        let threads = (0..threads).map(|number| {
            let (client, fates, end) = (client.clone(), fates.clone(), end.clone());
            std::thread::spawn(move || {
                for count in 0.. {
                    if end.load(Ordering::Relaxed) {
                        return;
                    }
                    fates.submit(&*client, format!("{number}-{count}"), pad);
                    if work_one(&*client).is_err() {
                        fates.troubles.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        Load { threads: threads.collect(), fates, end }
    }

    /// Ends the threads, of which none may have panicked.
    pub fn end(self) -> Arc<Fates> {
        self.end.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        self.fates
    }
}

impl Fates {
    fn submit(&self, client: &dyn Client, n: String, pad: usize) {
        let payload = format!("{{:n \"{n}\" :do \"plain\" :pad \"{}\"}}", "x".repeat(pad));
        let args = format!("{{:job-type \"t\" :max-attempts 100 :payload {payload}}}");
        let list = match ask(client, "jobs.create", &args) {
            Ok(_) => {
                self.count.fetch_add(1, Ordering::Relaxed);
                &self.acknowledged
            }
            Err(error) => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
                // What is refused is not asked again at once.
                wait(Duration::from_millis(5));
                if is_unknown(&error) { &self.unknown } else { &self.refused }
            }
        };
        list.lock().expect("nobody panics with it").push(n);
    }

    /// How many were acknowledged and are not there, how many were refused and are there, and all in words.
    pub fn check(&self, client: &dyn Client) -> (usize, usize, String) {
        let there = submissions(client);
        let list = |of: &Mutex<Vec<String>>| of.lock().expect("nobody panics with it").clone();
        let (acknowledged, refused, unknown) = (list(&self.acknowledged), list(&self.refused), list(&self.unknown));
        let lost = acknowledged.iter().filter(|n| !there.contains(*n)).count();
        let kept = refused.iter().filter(|n| there.contains(*n)).count();
        let words = format!(
            "{} acknowledged, {} refused, {} of unknown outcome, {} calls of workers refused; {lost} lost, {kept} there though refused",
            acknowledged.len(),
            refused.len(),
            unknown.len(),
            self.troubles.load(Ordering::Relaxed)
        );
        (lost, kept, words)
    }
}

fn is_unknown(error: &Error) -> bool {
    format!("{error:?}").contains("unknown")
}

/// What all submissions in the store are called.
fn submissions(client: &dyn Client) -> HashSet<String> {
    let (mut found, mut cursor) = (HashSet::new(), String::new());
    loop {
        let page = get(client, "jobs.list", &format!("{{:full? true :limit 500 {cursor}}}"));
        let page: serde_json::Value =
            serde_json::from_str(&errand::value::json::write(&page)).expect("a value has a JSON form");
        let items = page["items"].as_array().expect("items are a list");
        found.extend(items.iter().map(|job| job["payload"]["n"].as_str().unwrap_or_default().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!(":cursor \"{next}\""),
            None => return found,
        }
    }
}

/// Works until nothing is left of the store's jobs; how many are left when nothing happens any more.
pub fn work_off(client: &dyn Client, store: &Path) -> i64 {
    let connection = rusqlite::Connection::open(store).expect("the store opens");
    connection.busy_timeout(PATIENCE).expect("SQLite knows it");
    let mut last_done = Instant::now();
    while super::check::open_jobs(&connection) > 0 && last_done.elapsed() < PATIENCE {
        // What a worker lost comes back with the end of its lease.
        match work_one(client) {
            Ok(true) => last_done = Instant::now(),
            Ok(false) | Err(_) => wait(Duration::from_millis(10)),
        }
    }
    super::check::open_jobs(&connection)
}

/// Waits until it is so, for a minute at most; whether it is.
pub fn eventually(is_so: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() && began.elapsed() < PATIENCE {
        wait(Duration::from_millis(2));
    }
    is_so()
}

/// Leases a job, where there is one, and completes it; whether there was one.
fn work_one(client: &dyn Client) -> Result<bool, Error> {
    let reply = ask(client, "jobs.claim", "{:job-type \"t\" :worker-id \"w\" :lease-duration \"1s\"}")?;
    if reply.get("job").and_then(|job| job.get("job-id")).is_none() {
        return Ok(false);
    }
    let (id, token) = (text(&reply, &["job", "job-id"]), text(&reply, &["job", "lease-token"]));
    ask(client, "jobs.complete", &format!("{{:job-id \"{id}\" :lease-token \"{token}\"}}"))?;
    Ok(true)
}
