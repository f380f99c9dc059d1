//! The phases: which loads, beside which limits, under which bars. It does not know how a load is made.

use crate::java::{Java, number};
use crate::load::{self, Timed};
use crate::plot::Line;
use crate::raw::Raw;
use crate::report::{Bar, Limit, Row, median};
use errand::api::Client;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The numbers of callers or workers.
const CALLERS: [usize; 4] = [1, 4, 16, 64];
const WORKERS: [usize; 3] = [1, 4, 16];
/// Those that share commits; what they could have at best is measured beside them.
const MANY: [usize; 2] = [16, 64];
const BATCH: usize = 1000;
pub const TRIPS: usize = 1000;
const AWAITS: usize = 100_000;

type Phase = fn(&mut Bench);

/// One run of the benchmark.
pub struct Bench {
    pub folder: PathBuf,
    pub rounds: usize,
    /// Of each timed load.
    pub time: Duration,
    /// Finished jobs in the aged database.
    pub aged: usize,
    pub cores: usize,
    pub java: Option<Java>,
    pub rows: Vec<Row>,
    pub throughput: Vec<Line>,
    pub latency: Vec<Line>,
}

/// Figures by name, one for each round, in the order of their first mention.
#[derive(Default)]
pub struct Figures(pub Vec<(String, Vec<f64>)>);

impl Figures {
    pub fn add(&mut self, name: impl Into<String>, figure: f64) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(figure),
            None => self.0.push((name, vec![figure])),
        }
    }

    pub fn of(&self, name: &str) -> Vec<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, rounds)| rounds.clone()).unwrap_or_default()
    }
}

impl Bench {
    pub fn run(&mut self, only: &str) {
        let phases: [(char, Phase); 15] = [
            ('A', Bench::submits),
            ('B', Bench::batches),
            ('C', Bench::drains),
            ('D', Bench::trips),
            ('D', Bench::trips_over_http),
            ('E', Bench::aged),
            ('F', Bench::boundary),
            ('G', Bench::awaits),
            ('H', Bench::over_http),
            ('S', Bench::sizes),
            ('S', Bench::leases),
            ('S', Bench::waits),
            ('M', Bench::memory),
            ('M', Bench::memory_of_awaits),
            ('U', Bench::starts),
        ];
        for (phase, run) in phases {
            if only.contains(phase) {
                let begun = Instant::now();
                run(self);
                eprintln!("phase {phase} took {:.0} s", begun.elapsed().as_secs_f64());
            }
        }
    }

    pub fn row(
        &mut self,
        phase: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        rounds: Vec<f64>,
        limit: Option<Limit>,
    ) {
        self.rows.push(Row { phase, what: what.into(), unit, rounds, limit });
    }

    /// What a figure for many callers must reach on this machine.
    fn many(&self, factor: f64) -> f64 {
        if self.cores <= 2 { 0.6 * factor } else { factor }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.db"))
    }

    /// A raw connection on a file that an engine made.
    pub fn raw(&self, name: &str, full: bool) -> Raw {
        let path = self.path(name);
        load::open(&path, full).close();
        Raw::open(&path, full)
    }

    fn submits(&mut self) {
        for (full, level, phase) in [(true, "full", "A submit one by one"), (false, "normal", "A submit, sync NORMAL")]
        {
            let raw = self.raw(&format!("raw-{level}"), full);
            let rust = load::open(&self.path(&format!("rust-{level}")), full);
            let clojure = format!("{}", self.path(&format!("clojure-{level}")).display());
            let mut figures = Figures::default();
            let mut latency = Vec::new();
            load::submit(&*rust, "warm", 4, self.time);
            raw.submits("warm", self.time);
            if let Some(java) = &mut self.java {
                for callers in [1, 16, 1] {
                    java.run(&submit_task(&clojure, level, callers, Duration::from_millis(1500)));
                }
            }
            for round in 0..self.rounds {
                let (begun, took) = (Instant::now(), raw.submits("a", self.time));
                let limit = Timed::of(took, begun.elapsed());
                figures.add("raw", limit.per_second);
                for callers in MANY {
                    let (begun, mut jobs) = (Instant::now(), 0);
                    while begun.elapsed() < self.time {
                        raw.submit_together("a", callers);
                        jobs += callers;
                    }
                    figures.add(format!("raw {callers}"), jobs as f64 / begun.elapsed().as_secs_f64());
                }
                for callers in CALLERS {
                    let timed = load::submit(&*rust, "a", callers, self.time);
                    figures.add(format!("Rust {callers}"), timed.per_second);
                    if round == 0 && full {
                        let points = [50.0, 75.0, 90.0, 95.0, 99.0];
                        let points = points.into_iter().map(|part| (part, timed.percentile(part / 100.0)));
                        latency.push(Line { name: callers_of(callers, "Rust"), points: points.collect() });
                    }
                    if let Some(java) = &mut self.java {
                        let reply = java.run(&submit_task(&clojure, level, callers, self.time));
                        figures.add(format!("Clojure {callers}"), number(&reply, "per-second"));
                    }
                }
            }
            rust.close();
            let limit = figures.of("raw");
            for callers in MANY {
                let rounds = figures.of(&format!("raw {callers}"));
                let limit = Limit { what: "raw rusqlite, one commit each".into(), rounds: limit.clone(), bar: None };
                self.row(phase, format!("raw rusqlite, {callers} a transaction"), "/s", rounds, Some(limit));
            }
            for language in ["Rust", "Clojure"] {
                for callers in CALLERS {
                    let rounds = figures.of(&format!("{language} {callers}"));
                    if rounds.is_empty() {
                        continue;
                    }
                    let factor = match callers {
                        1 => Some(0.85),
                        16 => Some(self.many(6.0)),
                        64 => Some(self.many(12.0)),
                        _ => None,
                    };
                    let bar = factor.filter(|_| full).map(Bar::AtLeast);
                    let what = "raw rusqlite, one commit each".into();
                    self.row(
                        phase,
                        callers_of(callers, language),
                        "/s",
                        rounds,
                        Some(Limit { what, rounds: limit.clone(), bar }),
                    );
                }
                if full {
                    let points = CALLERS.map(|n| (n as f64, median(&figures.of(&format!("{language} {n}")))));
                    let points: Vec<_> = points.into_iter().filter(|(_, y)| !y.is_nan()).collect();
                    if !points.is_empty() {
                        self.throughput.push(Line { name: format!("Errand from {language}"), points });
                    }
                }
            }
            self.beyond_rust(phase, &figures);
            if full {
                let flat = CALLERS.map(|n| (n as f64, median(&limit)));
                self.throughput.push(Line { name: "raw rusqlite, one connection".into(), points: flat.into() });
                self.latency = latency;
            }
        }
    }

    /// What a call from Clojure takes beyond one from Rust, in time of the whole machine: that of one call where there is
    /// one caller, a share of it where callers have the cores to themselves in turn.
    fn beyond_rust(&mut self, phase: &'static str, figures: &Figures) {
        for callers in CALLERS {
            let of = |language| figures.of(&format!("{language} {callers}"));
            let pairs = of("Clojure").into_iter().zip(of("Rust"));
            let rounds: Vec<_> = pairs.map(|(clojure, rust)| 1e6 / clojure - 1e6 / rust).collect();
            if !rounds.is_empty() {
                self.row(phase, format!("{callers} × at once, Clojure beyond Rust, a call"), "µs", rounds, None);
            }
        }
    }

    fn batches(&mut self) {
        let (raw, rust) = (self.raw("raw-batch", true), load::open(&self.path("rust-batch"), true));
        let clojure = format!("{}", self.path("clojure-batch").display());
        let task = format!("{{:phase :batch :db {clojure:?} :sync \"full\" :jobs {BATCH} :times 10 :job-type \"b\"}}");
        let mut figures = Figures::default();
        for round in 0..=self.rounds {
            let begun = Instant::now();
            (0..10).for_each(|_| raw.submit_batch("b", BATCH));
            let limit = 10.0 * BATCH as f64 / begun.elapsed().as_secs_f64();
            let took: Duration = (0..10).map(|_| load::submit_batch(&*rust, "b", BATCH)).sum();
            let rust = 10.0 * BATCH as f64 / took.as_secs_f64();
            let clojure = self.java.as_mut().map(|java| number(&java.run(&task), "per-second"));
            // The first round only warms up.
            if round > 0 {
                figures.add("raw", limit);
                figures.add("Rust", rust);
                clojure.into_iter().for_each(|figure| figures.add("Clojure", figure));
            }
        }
        rust.close();
        for language in ["Rust", "Clojure"] {
            let rounds = figures.of(language);
            if !rounds.is_empty() {
                let bar = (language == "Clojure").then_some(Bar::AtLeast(0.35));
                let limit = Limit { what: "raw rusqlite, 1000 a transaction".into(), rounds: figures.of("raw"), bar };
                self.row("B submit batches", format!("jobs in batches of 1000, {language}"), "/s", rounds, Some(limit));
            }
        }
    }

    fn drains(&mut self) {
        let (raw, rust) = (self.raw("raw-drain", true), load::open(&self.path("rust-drain"), true));
        let clojure = format!("{}", self.path("clojure-drain").display());
        let mut figures = Figures::default();
        for round in 0..self.rounds {
            let name = format!("c{round}");
            raw.submit_batch(&name, 1500);
            let begun = Instant::now();
            while raw.work(&name, 1) {}
            figures.add("raw", 1500.0 / begun.elapsed().as_secs_f64());
            raw.submit_batch(&name, 10 * BATCH);
            let begun = Instant::now();
            while raw.work(&name, 16) {}
            figures.add("raw 16", 10.0 * BATCH as f64 / begun.elapsed().as_secs_f64());
            for workers in WORKERS {
                let (jobs, name) = (drain_jobs(workers), format!("c{round}-{workers}"));
                for _ in 0..jobs / BATCH {
                    load::submit_batch(&*rust, &name, BATCH);
                }
                figures.add(workers.to_string(), load::drain(&*rust, &name, jobs, workers).per_second);
            }
            if let Some(java) = &mut self.java {
                let task = format!(
                    "{{:phase :drain :db {clojure:?} :sync \"full\" :jobs 5000 :workers 16 :job-type {name:?}}}"
                );
                figures.add("Clojure", number(&java.run(&task), "per-second"));
            }
        }
        rust.close();
        for workers in ["raw 16", "1", "4", "16", "Clojure"] {
            let rounds = figures.of(workers);
            if rounds.is_empty() {
                continue;
            }
            let bar = (workers == "16").then_some(Bar::AtLeast(self.many(5.0)));
            let what = match workers {
                "raw 16" => "raw rusqlite, 16 a transaction".to_string(),
                "Clojure" => "claim + complete, 16 workers, Clojure".to_string(),
                _ => format!("claim + complete, {}", workers_of(workers)),
            };
            let limit = Limit { what: "raw rusqlite, one commit each".into(), rounds: figures.of("raw"), bar };
            self.row("C drain", what, "/s", rounds, Some(limit));
        }
    }

    fn trips(&mut self) {
        let path = self.path("trips");
        let (raw, client) = (self.raw("raw-trips", true), load::open(&path, true));
        let mut figures = Figures::default();
        // As in phase A: a log that grows is synced more slowly than one that is written over, which is what both have
        // but for their first moments.
        load::submit(&*client, "warm", 4, self.time);
        raw.submits("warm", self.time);
        for (place, outside) in [("in one process", false), ("across processes", true)] {
            for _ in 0..self.rounds {
                let begun = Instant::now();
                let commit = Timed::of(raw.submits("t", self.time / 2), begun.elapsed());
                figures.add(format!("commit {place}"), commit.percentile(0.5));
                if !outside {
                    let begun = Instant::now();
                    figures.add("two commits", Timed::of(raw.trips("trip", TRIPS), begun.elapsed()).percentile(0.5));
                    figures.add("wake", load::wakes(TRIPS).percentile(0.5));
                }
                let (pickup, whole) = match outside {
                    true => trips_outside(&client, &path),
                    false => trips_inside(&client),
                };
                figures.add(format!("pickup {place}"), pickup.percentile(0.5));
                figures.add(format!("whole {place}"), whole.percentile(0.5));
                figures.add(format!("p99 {place}"), whole.percentile(0.99));
            }
            if !outside {
                let limit = || Limit {
                    what: "raw commit, p50".into(),
                    rounds: figures.of(&format!("commit {place}")),
                    bar: None,
                };
                let rows = [
                    ("two commits", "raw rusqlite, the two commits of a round trip on one thread, p50"),
                    ("wake", "a thread is woken by another, p50"),
                ];
                for (name, what) in rows {
                    self.row("D round trip", what, "µs", figures.of(name), Some(limit()));
                }
            }
            let more = if outside { 1000.0 } else { 0.0 };
            for (figure, name, commits) in [("pickup", "pickup", 1.0), ("whole", "await round trip", 3.0)] {
                let limit = Limit {
                    what: "raw commit, p50".into(),
                    rounds: figures.of(&format!("commit {place}")),
                    bar: Some(Bar::AtMost(commits, more)),
                };
                let rounds = figures.of(&format!("{figure} {place}"));
                self.row("D round trip", format!("{name} {place}, p50"), "µs", rounds, Some(limit));
            }
            self.row(
                "D round trip",
                format!("await round trip {place}, p99"),
                "µs",
                figures.of(&format!("p99 {place}")),
                None,
            );
        }
        client.close();
    }

    fn aged(&mut self) {
        let aged = self.raw("aged", true);
        let begun = Instant::now();
        aged.age("old", self.aged);
        eprintln!("{} finished jobs made in {:.0} s", self.aged, begun.elapsed().as_secs_f64());
        drop(aged);
        let stores = [("fresh", load::open(&self.path("fresh"), true)), ("aged", load::open(&self.path("aged"), true))];
        let mut figures = Figures::default();
        for round in 0..self.rounds {
            for (age, client) in &stores {
                let timed = load::submit(&**client, "e", 1, self.time);
                figures.add(format!("submit, 1 caller {age}"), timed.per_second);
                let timed = load::submit(&**client, "e", 16, self.time);
                figures.add(format!("submit, 16 callers {age}"), timed.per_second);
                let name = format!("e{round}");
                let took: Duration = (0..8).map(|_| load::submit_batch(&**client, &name, BATCH)).sum();
                figures.add(format!("batches of 1000 {age}"), 8.0 * BATCH as f64 / took.as_secs_f64());
                let timed = load::drain(&**client, &name, 8 * BATCH, 16);
                figures.add(format!("claim + complete, 16 workers {age}"), timed.per_second);
                let (_, whole) = trips_inside(client);
                figures.add(format!("round trips in one process {age}"), 1e6 / whole.percentile(0.5));
            }
        }
        for what in [
            "submit, 1 caller",
            "submit, 16 callers",
            "batches of 1000",
            "claim + complete, 16 workers",
            "round trips in one process",
        ] {
            let limit = Limit {
                what: "the same on an empty database".into(),
                rounds: figures.of(&format!("{what} fresh")),
                bar: Some(Bar::AtLeast(1.0 / 1.15)),
            };
            self.row("E aged", what, "/s", figures.of(&format!("{what} aged")), Some(limit));
        }
        stores.iter().for_each(|(_, client)| client.close());
    }

    /// What one caller in Clojure costs besides time. Without syncs, so that its own waiting for the disk is not counted.
    fn costs(&mut self) {
        let task = format!("{{:phase :costs :db {:?} :sync \"normal\"}}", self.path("costs").display().to_string());
        let Some(java) = &mut self.java else { return };
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            let reply = java.run(&task);
            for key in ["slept", "bytes", "bytes-a-byte"] {
                figures.add(key, number(&reply, key));
            }
        }
        for (key, what, unit) in [
            ("slept", "submits of one caller that give up their thread, sync NORMAL", "%"),
            ("bytes", "heap allocated by one submit", "bytes"),
            ("bytes-a-byte", "heap allocated by one byte of its payload more", "bytes"),
        ] {
            self.row("F boundary", what, unit, figures.of(key), None);
        }
    }

    fn boundary(&mut self) {
        self.costs();
        let task =
            format!("{{:phase :boundary :db {:?} :sync \"normal\"}}", self.path("boundary").display().to_string());
        let Some(java) = &mut self.java else { return };
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            let reply = java.run(&task);
            for key in ["out", "out-text", "in", "in-text", "empty"] {
                figures.add(key, number(&reply, key) / 1000.0);
            }
        }
        for (key, what, times) in [("out", "one full job map out", 6.0), ("in", "one submit map in", 5.0)] {
            let rounds = figures.of(&format!("{key}-text"));
            let limit =
                Limit { what: "pr-str, edn/read-string".into(), rounds, bar: Some(Bar::AtMost(1.0 / times, 0.0)) };
            self.row("F boundary", what, "µs", figures.of(key), Some(limit));
        }
        self.row("F boundary", "an empty native call", "µs", figures.of("empty"), None);
    }

    fn awaits(&mut self) {
        let task = format!(
            "{{:phase :awaits :db {:?} :sync \"full\" :awaits {AWAITS}}}",
            self.path("awaits").display().to_string()
        );
        let Some(java) = &mut self.java else { return };
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            let reply = java.run(&task);
            for key in ["bytes-each", "woken-us", "enter-us"] {
                figures.add(key, number(&reply, key));
            }
        }
        let fixed = |what: &str, bound: f64| Limit {
            what: what.into(),
            rounds: vec![bound; self.rounds],
            bar: Some(Bar::AtMost(1.0, 0.0)),
        };
        let (heap, woken) = (fixed("1 KiB", 1024.0), fixed("10 µs each", 10.0 * AWAITS as f64));
        self.row("G awaits", "heap of one of 100 000, above its future", "bytes", figures.of("bytes-each"), Some(heap));
        self.row("G awaits", "commit until the last of 100 000 is woken", "µs", figures.of("woken-us"), Some(woken));
        self.row("G awaits", "time to begin one", "µs", figures.of("enter-us"), None);
    }
}

fn submit_task(db: &str, level: &str, callers: usize, time: Duration) -> String {
    let ms = time.as_millis();
    format!("{{:phase :submit :db {db:?} :sync {level:?} :callers {callers} :ms {ms} :job-type \"a\"}}")
}

fn callers_of(callers: usize, language: &str) -> String {
    format!("{callers} caller{}, {language}", if callers == 1 { "" } else { "s" })
}

fn workers_of(workers: &str) -> String {
    format!("{workers} worker{}", if workers == "1" { "" } else { "s" })
}

fn drain_jobs(workers: usize) -> usize {
    match workers {
        1 => 2 * BATCH,
        4 => 4 * BATCH,
        _ => 10 * BATCH,
    }
}

fn trips_inside(client: &Arc<dyn Client>) -> (Timed, Timed) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| load::work_until(&**client, "trip", || over.load(Ordering::Relaxed)));
        let timed = load::round_trips(&**client, "trip", TRIPS);
        over.store(true, Ordering::Relaxed);
        timed
    })
}

fn trips_outside(client: &Arc<dyn Client>, path: &Path) -> (Timed, Timed) {
    let mut child = worker(path, &[]);
    let timed = load::round_trips(&**client, "trip", TRIPS);
    drop(child.stdin.take());
    let _ = child.wait();
    timed
}

/// This program as a worker in another process, once it is ready.
pub fn worker(path: &Path, env: &[(&str, &str)]) -> Child {
    let this = std::env::current_exe().expect("this program");
    let mut command = Command::new(this);
    command.arg("--worker").arg(path).envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("this program starts");
    let mut line = String::new();
    let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    assert!(read.is_some_and(|read| read.is_ok()) && line == "ready\n", "the worker is ready");
    child
}
