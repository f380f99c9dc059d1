//! Parts beyond the table of phases: what a large store costs beside a small one, what memory a large batch takes, and
//! how long a start lasts. It does not know how a load is made, nor what many at once cost.

use crate::load;
use crate::phases::{Bench, Figures};
use crate::raw::Raw;
use crate::report::Limit;
use errand::api::Client;
use errand::value::{MapBuilder, Value};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CALLS: usize = 60;
const BATCH_JOBS: usize = 10_000;

/// A store to be measured: an engine on what `Raw` left in the file.
struct Stored {
    name: &'static str,
    client: Arc<dyn Client>,
    in_batch: String,
}

impl Bench {
    /// Each operation in a small store and in a large one.
    pub fn sizes(&mut self) {
        let large = self.aged as i64;
        let stores = [("small", 1_500), ("large", large)].map(|(name, rows)| {
            let begun = Instant::now();
            let raw = self.raw(name, true);
            let in_batch = raw.spread(rows, (rows / 100).clamp(10, 10_000));
            drop(raw);
            eprintln!("store of {} jobs made in {:.0} s", 5 * rows, begun.elapsed().as_secs_f64());
            Stored { name, client: load::open(&self.path(name), true), in_batch }
        });
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            for stored in &stores {
                for (what, call) in OPERATIONS {
                    figures.add(format!("{what} {}", stored.name), call.median_us(stored));
                }
            }
        }
        for (what, _) in OPERATIONS {
            let limit =
                Limit { what: "in a small store".into(), rounds: figures.of(&format!("{what} small")), bar: None };
            self.row("S size", *what, "µs", figures.of(&format!("{what} large")), Some(limit));
        }
        let batches = stores.each_ref().map(|stored| cancelled_ms(&*stored.client));
        let limit = Some(Limit { what: "in a small store".into(), rounds: vec![batches[0]], bar: None });
        self.row("S size", "cancel of a batch of 10 000", "ms", vec![batches[1]], limit);
        self.prune(&*stores[1].client);
        stores.iter().for_each(|stored| stored.client.close());
    }

    /// Peak of resident memory while a large batch is submitted, above what the same process had before.
    pub fn memory(&mut self) {
        let this = std::env::current_exe().expect("this program");
        let mut figures = Figures::default();
        for round in 0..self.rounds {
            let path = self.path(&format!("memory-{round}"));
            let output = Command::new(&this).arg("--memory").arg(path).stderr(Stdio::inherit()).output();
            let text = String::from_utf8(output.expect("this program starts").stdout).expect("a number");
            figures.add("Rust", text.trim().parse::<f64>().expect("a number of MiB"));
        }
        let payloads = (BATCH_JOBS * PAYLOAD_BYTES) as f64 / f64::from(1 << 20);
        let limit = Limit { what: "its payloads".into(), rounds: vec![payloads; self.rounds], bar: None };
        let what = "submit-batch of 10 000 × 10 KiB, peak above the payloads given, Rust";
        self.row("M memory", what, "MiB", figures.of("Rust"), Some(limit));
    }

    /// From the start of a process to its end.
    pub fn starts(&mut self) {
        let (empty, aged) = (self.path("start-empty"), self.path("start-aged"));
        drop(self.raw("start-empty", true));
        self.raw("start-aged", true).age("old", self.aged);
        let program = |args: &[&str]| {
            let mut command = Command::new("target/release/errand");
            command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let db = |path: &Path| path.display().to_string();
        let stats = |path: &Path| program(&["jobs", "stats", "--db", &db(path)]);
        let mut figures = Figures::default();
        for _ in 0..4 * self.rounds {
            figures.add("errand --help", run_ms(program(&["--help"])));
            figures.add("errand jobs stats, no jobs", run_ms(stats(&empty)));
            figures.add("errand jobs stats, aged", run_ms(stats(&aged)));
            for (what, path) in [("open and close, no jobs", &empty), ("open and close, aged", &aged)] {
                let begun = Instant::now();
                load::open(path, true).close();
                figures.add(what, begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        if let Some(java) = &self.java {
            let none = "nil";
            // What Clojure takes for any namespace that is not compiled ahead: its own checks of macros, for the most part.
            let small = "(ns small) (defn f [x] x)";
            let require = "(require 'errand.flow)";
            let step =
                format!("{require} (errand.flow/step :job :a {{:op :submit :job-type \"t\" :payload {{:a 1}}}})");
            for _ in 0..self.rounds.max(5) {
                for (what, text) in [
                    ("JVM alone", none),
                    ("JVM, a namespace with one function", small),
                    ("JVM, require", require),
                    ("JVM, require, first step", &step),
                ] {
                    let mut command = java.fresh();
                    command.env("ERRAND_DB", db(&empty)).args(["clojure.main", "-e", text]);
                    figures.add(what, run_ms(command));
                }
            }
        }
        for (what, rounds) in figures.0 {
            self.row("U start", what, "ms", rounds, None);
        }
    }
}

fn cancelled_ms(client: &dyn Client) -> f64 {
    let jobs = vec![Value::Map(Vec::new()); BATCH_JOBS];
    let created = load::ask(client, "jobs.batches.create", of_type("cancelled").put("jobs", jobs));
    let id = load::text(created.get("batch").expect("a batch"), "batch-id");
    let begun = Instant::now();
    load::ask(client, "jobs.batches.cancel", MapBuilder::new().put("batch-id", id));
    begun.elapsed().as_secs_f64() * 1e3
}

fn run_ms(mut command: Command) -> f64 {
    let begun = Instant::now();
    let status = command.stdout(Stdio::null()).status().expect("the program starts");
    assert!(status.success(), "{command:?}");
    begun.elapsed().as_secs_f64() * 1e3
}

const PAYLOAD_BYTES: usize = 10 << 10;

/// The child of the memory part: prints by how many MiB its peak grew.
pub fn memory_of_a_batch(path: &Path) {
    let client = load::open(path, true);
    load::submit_batch(&*client, "warm", 10);
    let job = |n: usize| {
        let text = format!("\"{n:0>0$}\"", PAYLOAD_BYTES - 2);
        Value::Map(vec![(Value::key("payload"), Value::Text(text.into()))])
    };
    let jobs: Vec<Value> = (0..BATCH_JOBS).map(job).collect();
    let before = resident_kib("VmHWM:");
    load::ask(&*client, "jobs.batches.create", MapBuilder::new().put("job-type", "b").put("jobs", jobs));
    println!("{:.1}", (resident_kib("VmHWM:") - before) / 1024.0);
    client.close();
}

/// What the kernel says of this process's memory.
pub fn resident_kib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN)
}

/// One operation that is measured, with what has to be done before and after each time.
enum Call {
    Ask(&'static str, fn(&Stored) -> MapBuilder),
    Work(fn(&Stored) -> MapBuilder),
}

pub fn of_type(name: &str) -> MapBuilder {
    MapBuilder::new().put("job-type", name.to_string())
}

pub fn of_status(status: &str) -> MapBuilder {
    MapBuilder::new().put("status", status.to_string())
}

const OPERATIONS: &[(&str, Call)] = &[
    ("submit", Call::Ask("jobs.create", |_| of_type("more"))),
    ("claim + complete, one type", Call::Work(|_| of_type("deep"))),
    ("claim + complete, one of many types", Call::Work(|_| of_type("type-7"))),
    (
        "claim + complete, one of many batches",
        Call::Work(|stored| of_type("batch").put("batch-id", stored.in_batch.clone())),
    ),
    ("claim + complete, cap reached", Call::Work(|_| of_type("held"))),
    ("claim + complete, cap of 10 types reached", Call::Work(|_| of_type("few-3"))),
    ("claim + complete, cap of 1 000 types reached", Call::Work(|_| of_type("many-3"))),
    ("claim, nothing there", Call::Ask("jobs.claim", |_| of_type("none").put("worker-id", "w"))),
    ("list, no filter", Call::Ask("jobs.list", |_| MapBuilder::new())),
    ("list, by type", Call::Ask("jobs.list", |_| of_type("old"))),
    ("list, queued", Call::Ask("jobs.list", |_| of_status("queued"))),
    ("list, succeeded", Call::Ask("jobs.list", |_| of_status("succeeded"))),
    ("list, failed", Call::Ask("jobs.list", |_| of_status("failed"))),
    ("list, running", Call::Ask("jobs.list", |_| of_status("running"))),
    ("list, failed of a type", Call::Ask("jobs.list", |_| of_status("failed").put("job-type", "deep"))),
    ("list, a page in the middle", Call::Ask("jobs.list", |_| MapBuilder::new().put("cursor", "900"))),
    ("list, of a batch", Call::Ask("jobs.list", |stored| MapBuilder::new().put("batch-id", stored.in_batch.clone()))),
    ("list of batches", Call::Ask("jobs.batches.list", |_| MapBuilder::new())),
    ("list of batches, running", Call::Ask("jobs.batches.list", |_| of_status("running"))),
    (
        "list of batches, running, of a type",
        Call::Ask("jobs.batches.list", |_| of_status("running").put("job-type", "batch")),
    ),
    ("counts of a type", Call::Ask("jobs.stats", |_| of_type("deep"))),
    ("counts of all types", Call::Ask("jobs.stats", |_| MapBuilder::new())),
];

impl Call {
    fn median_us(&self, stored: &Stored) -> f64 {
        let mut took: Vec<Duration> = (0..CALLS).map(|_| self.once(stored)).collect();
        took.sort();
        took[CALLS / 2].as_secs_f64() * 1e6
    }

    fn once(&self, stored: &Stored) -> Duration {
        let begun = Instant::now();
        match self {
            Call::Ask(command, args) => drop(load::ask(&*stored.client, command, args(stored))),
            Call::Work(args) => {
                let claimed = load::ask(&*stored.client, "jobs.claim", args(stored).put("worker-id", "w"));
                let job = claimed.get("job").filter(|job| **job != Value::Nil).expect("there are enough");
                load::complete(&*stored.client, job, None);
            }
        }
        begun.elapsed()
    }
}

impl Raw {
    /// Five times so many jobs: ended, queued of one type, queued under a cap of their own and under caps that types
    /// share, and queued of `many` types and in as many batches; with a few that failed before them all. Gives a batch that has enough to claim.
    fn spread(&self, rows: i64, many: i64) -> String {
        for sql in SPREAD {
            self.all(sql, rows, many);
        }
        format!("b{many}")
    }
}

const SPREAD: &[&str] = &[
    "INSERT INTO job SELECT NULL, 'failed-' || n, 'default', 'old', 'failed', 3, 1, 3, 1, 0, n, 1000, NULL, 'a', NULL, \
     NULL, 0, n, n, n, n, n, n FROM numbers WHERE n <= 20",
    "INSERT INTO job SELECT NULL, 'old-' || n, 'default', 'old', 'succeeded', 3, 1, 3, 0, 0, n, 1000, NULL, 'a', NULL, \
     NULL, 0, n, n, n, n, n, n + 20 FROM numbers",
    "INSERT INTO job SELECT NULL, 'deep-' || n, 'default', 'deep', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, \
     NULL, 0, n, NULL, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job SELECT NULL, 'held-' || n, 'default', 'held', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, \
     1, n > 10, n, NULL, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job SELECT NULL, 'type-' || n, 'default', CASE WHEN n <= 400 THEN 'type-7' ELSE 'type-' || (n % ?2) END, \
     'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, NULL, 0, n, NULL, n, NULL, NULL, NULL FROM numbers \
     WHERE n <= max(500, ?1 / 2)",
    "INSERT INTO job SELECT NULL, 'batch-' || n, 'default', 'batch', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, \
     CASE WHEN n <= 400 THEN ?2 ELSE 1 + n % ?2 END, NULL, 0, n, NULL, n, NULL, NULL, NULL FROM numbers \
     WHERE n <= max(500, ?1 / 2)",
    "INSERT INTO job SELECT NULL, 'few-' || n, 'default', 'few-' || CASE WHEN n <= 400 THEN 3 ELSE n % 10 END, 'queued', 0, \
     0, 3, 0, 0, n, 1000, NULL, NULL, NULL, 100 + CASE WHEN n <= 400 THEN 3 ELSE n % 10 END, \
     NOT (n = 1 OR n BETWEEN 401 AND 410 AND n % 10 <> 3), n, NULL, n, NULL, NULL, NULL FROM numbers \
     WHERE n <= max(1400, ?1 / 2)",
    "INSERT INTO job SELECT NULL, 'many-' || n, 'default', 'many-' || CASE WHEN n <= 400 THEN 3 ELSE n % 1000 END, 'queued', \
     0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, 1000 + CASE WHEN n <= 400 THEN 3 ELSE n % 1000 END, \
     NOT (n = 1 OR n BETWEEN 401 AND 1400 AND n % 1000 <> 3), n, NULL, n, NULL, NULL, NULL FROM numbers \
     WHERE n <= max(1400, ?1 / 2)",
    "INSERT INTO fanout SELECT fanout_id, 'default', \
     iif(fanout_id < 1000, 'steps \"w\" \"few\" ', 'steps \"w\" \"many\" ') || job_type, 1, sum(held = 0) \
     FROM job WHERE fanout_id >= 100 GROUP BY fanout_id",
    "INSERT INTO fanout VALUES (2, 'default', 'steps \"w\" \"few\"', 10, 9), (3, 'default', 'steps \"w\" \"many\"', 10, 9)",
    "INSERT INTO job_body SELECT seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{:surface \"flows-api\"}' FROM job",
    "INSERT INTO job_attempt SELECT seq, 1, 'a', NULL, job_id, NULL, 1, 2, 'succeeded', NULL, x'00' FROM job \
     WHERE completed_at IS NOT NULL",
    "INSERT INTO job_result SELECT seq, 'done', NULL, NULL, NULL, NULL FROM job WHERE completed_at IS NOT NULL",
    "INSERT INTO batch SELECT batch_seq, 'b' || batch_seq, 'default', 'batch', 'queued', 0, count(*), count(*), 0, 0, 0, 0, \
     0, 0, 0, 0, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL FROM job WHERE batch_seq IS NOT NULL GROUP BY 1",
    "INSERT INTO fanout VALUES (1, 'default', 'cap', 10, 10)",
    "INSERT INTO job_count SELECT workspace_id, job_type, status, count(*) FROM job GROUP BY 1, 2, 3",
];
