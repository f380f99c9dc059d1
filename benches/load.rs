//! Loads on an engine in this process, through the client that every surface uses.
//! It does not judge the figures.

use crate::raw::PAYLOAD;
use errand::api::{self, Client, Names, OpenOptions};
use errand::value::{MapBuilder, Value, edn};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub fn open(path: &Path, full: bool) -> Arc<dyn Client> {
    let options = OpenOptions { durable: full, ..OpenOptions::default() };
    api::open(path, options).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()))
}

pub fn ask(client: &dyn Client, command: &str, args: MapBuilder) -> Value {
    let reply = api::ask(client, command, args.build(), Names::Clojure);
    reply.unwrap_or_else(|error| panic!("{command}: {error:?}"))
}

fn submission(job_type: &str) -> MapBuilder {
    MapBuilder::new()
        .put("job-type", job_type.to_string())
        .put("parent-step-id", "bench")
        .put("payload", Value::Text(PAYLOAD.into()))
}

/// What a timed load did.
pub struct Timed {
    pub per_second: f64,
    /// One per call, sorted.
    pub took: Vec<Duration>,
}

impl Timed {
    pub fn of(mut took: Vec<Duration>, elapsed: Duration) -> Timed {
        took.sort();
        Timed { per_second: took.len() as f64 / elapsed.as_secs_f64(), took }
    }

    /// In microseconds.
    pub fn percentile(&self, part: f64) -> f64 {
        let at = ((self.took.len() as f64 - 1.0) * part).round().max(0.0) as usize;
        self.took.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
    }
}

/// Runs `work` on `threads` threads, each until it says that it is done; times every call of it.
fn on_threads(threads: usize, work: impl Fn() -> bool + Sync) -> Timed {
    let begun = Instant::now();
    let took: Vec<Vec<Duration>> = std::thread::scope(|scope| {
        let run = || {
            let mut took = Vec::new();
            loop {
                let begun = Instant::now();
                if !work() {
                    break took;
                }
                took.push(begun.elapsed());
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a caller that ends")).collect()
    });
    Timed::of(took.concat(), begun.elapsed())
}

/// Submits one by one from so many callers, for so long.
pub fn submit(client: &dyn Client, job_type: &str, callers: usize, time: Duration) -> Timed {
    let until = Instant::now() + time;
    on_threads(callers, || {
        let more = Instant::now() < until;
        if more {
            ask(client, "jobs.create", submission(job_type));
        }
        more
    })
}

/// Submits one batch.
pub fn submit_batch(client: &dyn Client, job_type: &str, jobs: usize) -> Duration {
    let one = || Value::Map(vec![(Value::key("payload"), Value::Text(PAYLOAD.into()))]);
    let jobs: Vec<Value> = (0..jobs).map(|_| one()).collect();
    let args = MapBuilder::new().put("job-type", job_type.to_string()).put("jobs", jobs);
    let begun = Instant::now();
    ask(client, "jobs.batches.create", args);
    begun.elapsed()
}

/// Claims and completes every job of the type from so many workers: each once, or it panics.
pub fn drain(client: &dyn Client, job_type: &str, jobs: usize, workers: usize) -> Timed {
    let before = done(client, job_type);
    let completed = AtomicUsize::new(0);
    let timed = on_threads(workers, || {
        let claim = MapBuilder::new().put("job-type", job_type.to_string()).put("worker-id", "bench");
        let claimed = ask(client, "jobs.claim", claim);
        let Some(job) = claimed.get("job").filter(|job| **job != Value::Nil) else { return false };
        complete(client, job, None);
        completed.fetch_add(1, Ordering::Relaxed);
        true
    });
    let completed = completed.into_inner();
    assert_eq!((completed, done(client, job_type) - before), (jobs, jobs as i64), "each job is done once");
    timed
}

/// Completes a claimed job.
pub fn complete(client: &dyn Client, job: &Value, outputs: Option<Value>) {
    ask(client, "jobs.complete", lease(job).put_some("outputs", outputs));
}

/// What names the lease of a claimed job.
pub fn lease(job: &Value) -> MapBuilder {
    MapBuilder::new().put("job-id", text(job, "job-id")).put("lease-token", text(job, "lease-token"))
}

/// How many jobs of the type have succeeded.
fn done(client: &dyn Client, job_type: &str) -> i64 {
    let stats = ask(client, "jobs.stats", MapBuilder::new().put("job-type", job_type.to_string()));
    match stats.get("counts").and_then(|counts| counts.get("succeeded")) {
        Some(Value::Int(done)) => *done,
        _ => 0,
    }
}

pub fn text(map: &Value, key: &str) -> String {
    map.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no :{key} in {}", edn::write(map))).to_string()
}

/// How long it takes until a thread that sleeps goes on, once another wakes it.
pub fn wakes(times: usize) -> Timed {
    let (begun, over) = (Instant::now(), AtomicBool::new(false));
    let (woken_at, woken) = (AtomicI64::new(0), mpsc::channel());
    let took = std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                std::thread::park();
                let at = woken_at.swap(0, Ordering::AcqRel);
                if at != 0 {
                    woken.0.send(Duration::from_nanos((shared_ns() - at).max(0) as u64)).expect("somebody counts");
                }
            }
        });
        let wake = |_| {
            // As long as a commit takes: the sleeper really sleeps by then.
            let until = Instant::now() + Duration::from_micros(150);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            woken_at.store(shared_ns(), Ordering::Release);
            sleeper.thread().unpark();
            woken.1.recv().expect("the sleeper says when it was woken")
        };
        let took: Vec<_> = (0..times).map(wake).collect();
        over.store(true, Ordering::Release);
        sleeper.thread().unpark();
        took
    });
    Timed::of(took, begun.elapsed())
}

/// Nanoseconds of a clock that all processes of the host share.
pub fn shared_ns() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Handles jobs of the type until its standard input ends or the process does: says in each result when it began.
pub fn work_until(client: &dyn Client, job_type: &str, over: impl Fn() -> bool) {
    while !over() {
        let claim =
            MapBuilder::new().put("job-type", job_type.to_string()).put("worker-id", "bench").put("wait-ms", 500i64);
        let claimed = ask(client, "jobs.claim", claim);
        if let Some(job) = claimed.get("job").filter(|job| **job != Value::Nil) {
            let begun = shared_ns();
            complete(client, job, Some(Value::Text(begun.to_string().into())));
        }
    }
}

/// One round trip after the other: pickup (from the submission's return to the handler's start), and the whole.
pub fn round_trips(client: &dyn Client, job_type: &str, times: usize) -> (Timed, Timed) {
    let (mut pickups, mut wholes) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for _ in 0..times {
        let submitting = Instant::now();
        let created = ask(client, "jobs.create", submission(job_type));
        let submitted = shared_ns();
        let id = text(created.get("job").unwrap_or(&Value::Nil), "job-id");
        let args = MapBuilder::new().put("job-id", id).put("timeout-ms", 30_000i64).put("interval", 3_600_000i64);
        let ended = ask(client, "jobs.await", args);
        wholes.push(submitting.elapsed());
        let outputs = ended.get("job").and_then(|job| job.get("result")).and_then(|result| result.get("outputs"));
        let began = match outputs {
            Some(Value::Text(text)) => text.parse::<i64>().expect("a number of nanoseconds"),
            other => panic!("the worker gave {other:?}"),
        };
        pickups.push(Duration::from_nanos(began.saturating_sub(submitted).max(0) as u64));
    }
    let elapsed = begun.elapsed();
    (Timed::of(pickups, elapsed), Timed::of(wholes, elapsed))
}
