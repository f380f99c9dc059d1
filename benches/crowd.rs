//! What many at once cost: leases that run or are over, awaits, heartbeats beside pruning, and the memory of an await.
//! It does not know how a load is made.

use crate::java::number;
use crate::load::{self, Timed};
use crate::phases::{Bench, Figures};
use crate::report::Limit;
use crate::size::{of_status, of_type, resident_kib};
use errand::api::{self, Answer, Call, Client, Names, Pending};
use errand::value::{MapBuilder, Value};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Leases that are over when an engine opens the store.
const OVER: i64 = 10_000;
const AWAITS: usize = 100_000;
/// Awaits that are timed together.
const SOME: usize = 2_000;
const CALLS: usize = 60;
const BEATERS: usize = 16;
const BEAT: Duration = Duration::from_millis(20);

type Operation = (&'static str, fn(&dyn Client, &Value) -> Value);

/// What is done beside few leases and beside many; the job is under lease.
const BESIDE_LEASES: &[Operation] = &[
    ("heartbeat, beside the leases", |client, job| load::ask(client, "jobs.heartbeat", load::lease(job))),
    ("claim + complete, beside the leases", |client, _| {
        let claimed = load::ask(client, "jobs.claim", of_type("deep").put("worker-id", "w"));
        load::complete(client, claimed.get("job").expect("there are enough"), None);
        claimed
    }),
    ("list, leased", |client, _| load::ask(client, "jobs.list", of_status("leased"))),
    ("list, leased of a type", |client, _| load::ask(client, "jobs.list", of_status("leased").put("job-type", "deep"))),
];

impl Bench {
    /// Sweeps for leases that are over, and work beside them, with few leases and with many.
    pub fn leases(&mut self) {
        let mut figures = Figures::default();
        for (name, rows) in [("small", 1_000), ("large", self.aged as i64)] {
            let path = self.path(&format!("leases-{name}"));
            let raw = self.raw(&format!("leases-{name}"), true);
            LEASED.iter().for_each(|sql| raw.all(sql, rows, OVER));
            for _ in 0..self.rounds {
                AGAIN_OVER.iter().for_each(|sql| raw.all(sql, rows, OVER));
                figures.add(format!("over {name}"), until_ended_ms(&path));
            }
            drop(raw);
            let client = load::open(&path, true);
            let job = load::ask(&*client, "jobs.claim", of_type("deep").put("worker-id", "w"));
            let job = job.get("job").expect("there are enough");
            for _ in 0..self.rounds {
                for (what, call) in BESIDE_LEASES {
                    figures.add(format!("{what} {name}"), median_us(|| drop(call(&*client, job))));
                }
                figures.add(format!("idle {name}"), processor_ms(|| std::thread::sleep(Duration::from_secs(1))));
            }
            client.close();
        }
        let idle = "processor time of an idle second, sweeps for leases among it";
        let ended = format!("{OVER} leases are over: until the last is ended");
        let rows = [("idle", idle, "ms"), ("over", ended.as_str(), "ms")];
        for (key, what, unit) in rows.into_iter().chain(BESIDE_LEASES.iter().map(|(what, _)| (*what, *what, "µs"))) {
            let limit =
                Limit { what: "with few leases".into(), rounds: figures.of(&format!("{key} small")), bar: None };
            self.row("S leases", what, unit, figures.of(&format!("{key} large")), Some(limit));
        }
    }

    /// How long it takes to begin an await, and a round trip, beside none and beside many that wait.
    pub fn waits(&mut self) {
        waiting_jobs(self, "waits");
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            for (kind, own) in [("of one job", false), ("each of its own", true)] {
                let client = load::open(&self.path("waits"), true);
                let trips = |client: &dyn Client| trips(client).percentile(0.5);
                figures.add(format!("trip {kind} none"), trips(&*client));
                let mut pending = Vec::new();
                figures.add(format!("begin {kind} none"), begun_us(&*client, own, SOME, &mut pending));
                begun_us(&*client, own, AWAITS - SOME, &mut pending);
                figures.add(format!("begin {kind} many"), begun_us(&*client, own, SOME, &mut pending));
                figures.add(format!("trip {kind} many"), trips(&*client));
                client.close();
            }
        }
        for kind in ["of one job", "each of its own"] {
            for (key, what) in [("begin", "begin an await"), ("trip", "round trip in one process, p50")] {
                let rounds = figures.of(&format!("{key} {kind} none"));
                let limit = Limit { what: "beside none".into(), rounds, bar: None };
                let what = format!("{what}, beside {AWAITS} awaits {kind}");
                self.row("S awaits", what, "µs", figures.of(&format!("{key} {kind} many")), Some(limit));
            }
        }
    }

    /// Submissions from four callers and heartbeats of others while all that ended is pruned, beside the same before.
    pub fn prune(&mut self, client: &dyn Client) {
        let alone = beside(client, || std::thread::sleep(3 * self.time));
        let (mut jobs, mut took) = (0, Duration::ZERO);
        let pruning = beside(client, || {
            let begun = Instant::now();
            let reply = load::ask(client, "jobs.prune", MapBuilder::new().put("older-than", 1i64));
            took = begun.elapsed();
            let pruned = reply.get("pruned").and_then(|pruned| pruned.get("jobs")).or(reply.get("jobs"));
            let Some(Value::Int(pruned)) = pruned else { panic!("prune gave {reply:?}") };
            jobs = *pruned;
        });
        for (what, alone, pruning) in
            [("submit", &alone.submits, &pruning.submits), ("heartbeat", &alone.beats, &pruning.beats)]
        {
            for (name, part) in [("p50", 0.5), ("p99", 0.99), ("slowest", 1.0)] {
                let rounds = vec![alone.percentile(part)];
                let limit = Some(Limit { what: "without pruning".into(), rounds, bar: None });
                let what = format!("{what} while {jobs} are pruned, {name}");
                self.row("S size", what, "µs", vec![pruning.percentile(part)], limit);
            }
        }
        let rate = jobs as f64 / took.as_secs_f64();
        self.row("S size", "pruned, beside those", "/s", vec![rate], None);
    }

    /// Resident memory that one of many awaits takes: the whole of it from Rust, what is not heap in a JVM.
    pub fn memory_of_awaits(&mut self) {
        waiting_jobs(self, "memory-awaits");
        let path = self.path("memory-awaits");
        let this = std::env::current_exe().expect("this program");
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            for kind in ["one", "own"] {
                let mut child = Command::new(&this);
                child.arg("--memory-awaits").arg(kind).arg("--folder").arg(&path).stderr(Stdio::inherit());
                let text = String::from_utf8(child.output().expect("this program starts").stdout);
                let bytes = text.expect("a number").trim().parse::<f64>().expect("a number of bytes");
                figures.add(format!("{kind} Rust"), bytes);
            }
            if let Some(java) = &self.java {
                // All of the heap is resident before: what grows is not heap.
                let mut java = java.another(&["-Xms1g", "-Xmx1g", "-XX:+AlwaysPreTouch"]);
                let db = path.display().to_string();
                let task = format!("{{:phase :resident :db {db:?} :sync \"full\" :awaits {AWAITS}}}");
                figures.add("own JVM", number(&java.run(&task), "bytes-each"));
            }
        }
        for (key, what) in [
            ("one Rust", "one of 100 000 awaits of one job, resident, Rust"),
            ("own Rust", "one of 100 000 awaits, each of its own job, resident, Rust"),
            ("own JVM", "one of 100 000 awaits, each of its own job, resident beside the heap, Clojure"),
        ] {
            if !figures.of(key).is_empty() {
                self.row("M memory", what, "bytes", figures.of(key), None);
            }
        }
    }
}

/// The child of that part: prints how many bytes one await takes.
pub fn memory_of_awaits(path: &Path, kind: &str) {
    let client = load::open(path, true);
    let (own, mut pending) = (kind == "own", Vec::new());
    begun_us(&*client, own, SOME, &mut pending);
    let before = resident_kib("VmRSS:");
    begun_us(&*client, own, AWAITS, &mut pending);
    println!("{:.0}", (resident_kib("VmRSS:") - before) * 1024.0 / AWAITS as f64);
    client.close();
}

/// A store with a job for each await.
fn waiting_jobs(bench: &Bench, name: &str) {
    let raw = bench.raw(name, true);
    WAITED.iter().for_each(|sql| raw.all(sql, (AWAITS + 2 * SOME) as i64, 0));
}

/// Begins so many awaits more; microseconds for each.
fn begun_us(client: &dyn Client, own: bool, times: usize, pending: &mut Vec<Pending>) -> f64 {
    let command = api::command("jobs.await").expect("a command");
    let begun = Instant::now();
    for _ in 0..times {
        let id = if own { format!("wait-{}", pending.len() + 1) } else { "wait-1".into() };
        let args = MapBuilder::new().put("job-id", id).put("timeout-ms", 600_000i64).build();
        match client.call(Call { command, args, names: Names::Clojure }, Box::new(|_| ())) {
            Answer::Later(one) => pending.push(one),
            Answer::Now(reply) => panic!("an await that ended at once: {reply:?}"),
        }
    }
    begun.elapsed().as_secs_f64() * 1e6 / times as f64
}

fn trips(client: &dyn Client) -> Timed {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| load::work_until(client, "trip", || over.load(Ordering::Relaxed)));
        let (_, wholes) = load::round_trips(client, "trip", 200);
        over.store(true, Ordering::Relaxed);
        wholes
    })
}

/// From the opening of the store until no lease is over any more.
fn until_ended_ms(path: &Path) -> f64 {
    let begun = Instant::now();
    let client = load::open(path, true);
    loop {
        let stats = load::ask(&*client, "jobs.stats", of_type("over"));
        if stats.get("counts").and_then(|counts| counts.get("queued")) == Some(&Value::Int(OVER)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed();
    client.close();
    took.as_secs_f64() * 1e3
}

fn median_us(mut call: impl FnMut()) -> f64 {
    let (all, mut took) = (Instant::now(), Vec::new());
    // What takes long is not done as often.
    while took.len() < CALLS && (took.len() < 3 || all.elapsed() < Duration::from_secs(1)) {
        let begun = Instant::now();
        call();
        took.push(begun.elapsed());
    }
    Timed::of(took, all.elapsed()).percentile(0.5)
}

/// Processor time that this process takes meanwhile.
fn processor_ms(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let before = now();
    work();
    now() - before
}

/// How long each call took.
struct Beside {
    submits: Timed,
    beats: Timed,
}

/// Submissions from four callers and heartbeats of jobs under lease for as long as `work` takes.
fn beside(client: &dyn Client, work: impl FnOnce()) -> Beside {
    let leases: Vec<Value> = (0..BEATERS).map(|_| leased(client)).collect();
    let over = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let over = &over;
        let beat = |lease| scope.spawn(move || beats(client, lease, || over.load(Ordering::Relaxed)));
        let beaters: Vec<_> = leases.iter().map(beat).collect();
        let submitter = scope.spawn(|| {
            let (begun, mut took) = (Instant::now(), Vec::new());
            while !over.load(Ordering::Relaxed) {
                took.extend(load::submit(client, "beside", 4, Duration::from_millis(200)).took);
            }
            Timed::of(took, begun.elapsed())
        });
        let begun = Instant::now();
        work();
        over.store(true, Ordering::Relaxed);
        let beats = beaters.into_iter().flat_map(|beater| beater.join().expect("a worker that ends")).collect();
        Beside { submits: submitter.join().expect("callers that end"), beats: Timed::of(beats, begun.elapsed()) }
    });
    leases.iter().for_each(|job| load::complete(client, job, None));
    beside
}

fn leased(client: &dyn Client) -> Value {
    load::ask(client, "jobs.create", of_type("beaten"));
    let claimed = load::ask(client, "jobs.claim", of_type("beaten").put("worker-id", "w"));
    claimed.get("job").cloned().expect("the job that was just submitted")
}

fn beats(client: &dyn Client, job: &Value, over: impl Fn() -> bool) -> Vec<Duration> {
    let mut took = Vec::new();
    while !over() {
        let begun = Instant::now();
        load::ask(client, "jobs.heartbeat", load::lease(job));
        took.push(begun.elapsed());
        std::thread::sleep(BEAT.saturating_sub(begun.elapsed()));
    }
    took
}

/// Leases that run for years, `?2` that will be over, and jobs to claim.
const LEASED: &[&str] = &[
    "INSERT INTO job SELECT NULL, 'leased-' || n, 'default', 'deep', 'leased', 1, 1, 3, 0, 0, n, 1000, (1 << 50) + n, 'a', \
     NULL, NULL, 0, n, n, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job SELECT NULL, 'over-' || n, 'default', 'over', 'leased', 1, 1, 100, 0, 0, n, 1000, n, 'a', \
     NULL, NULL, 0, n, n, n, NULL, NULL, NULL FROM (SELECT row_number() OVER () AS n FROM numbers a, numbers b LIMIT ?2)",
    "INSERT INTO job SELECT NULL, 'deep-' || n, 'default', 'deep', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, \
     NULL, 0, n, NULL, n, NULL, NULL, NULL FROM numbers LIMIT 1000",
    "INSERT INTO job_body SELECT seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{:surface \"flows-api\"}' FROM job",
    "INSERT INTO job_attempt SELECT seq, 1, 'a', NULL, job_id, NULL, 1, NULL, NULL, NULL, NULL FROM job \
     WHERE lease_until_ms IS NOT NULL",
    "INSERT INTO job_count SELECT workspace_id, job_type, status, count(*) FROM job GROUP BY 1, 2, 3",
];

/// Has the leases of those jobs be over another time.
const AGAIN_OVER: &[&str] = &[
    "UPDATE job SET status = 'leased', lease_until_ms = 1 WHERE job_type = 'over' AND ?1 > 0",
    "UPDATE job_count SET jobs = CASE status WHEN 'leased' THEN ?2 ELSE 0 END WHERE job_type = 'over' AND ?1 > 0",
];

const WAITED: &[&str] = &[
    "INSERT INTO job SELECT NULL, 'wait-' || n, 'default', 'waited', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, \
     NULL, 0, n, NULL, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job_body SELECT seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{:surface \"flows-api\"}' FROM job",
    "INSERT INTO job_count SELECT workspace_id, job_type, status, count(*) FROM job GROUP BY 1, 2, 3",
];
