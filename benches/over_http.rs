//! The phases over HTTP: round trips with a worker elsewhere, and many connections that claim and complete.
//! It does not know how a load is made.

use crate::http::{self, Server};
use crate::load::{self, Timed};
use crate::phases::{Bench, Figures, TRIPS, worker};
use crate::report::{Bar, Limit};
use std::time::Instant;

const CONNECTIONS: usize = 64;
const JOBS: usize = 10_000;
/// Claims with their completions a second, for each core of the machine: server and callers share them all.
const PER_CORE: f64 = 2_500.0;

impl Bench {
    /// Phase D with the store behind a control plane: the submitter and the worker are two clients of it.
    pub fn trips_over_http(&mut self) {
        let server = Server::start(&self.path("trips-http"));
        let client = http::connect(&server.url, &server.key);
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            let raw = self.raw("raw-trips-http", true);
            let begun = Instant::now();
            let commit = Timed::of(raw.submits("t", self.time / 2), begun.elapsed());
            figures.add("commit", commit.percentile(0.5));
            let mut child = worker(server.url.as_ref(), &[("ERRAND_API_KEY", &server.key)]);
            let (pickup, whole) = load::round_trips(&*client, "trip", TRIPS);
            drop(child.stdin.take());
            let _ = child.wait();
            figures.add("pickup", pickup.percentile(0.5));
            figures.add("whole", whole.percentile(0.5));
            figures.add("p99", whole.percentile(0.99));
        }
        client.close();
        for (figure, name, commits) in [("pickup", "pickup", 1.0), ("whole", "await round trip", 3.0)] {
            let bar = Some(Bar::AtMost(commits, 1000.0));
            let limit = Limit { what: "raw commit, p50".into(), rounds: figures.of("commit"), bar };
            self.row("D round trip", format!("{name} over HTTP, p50"), "µs", figures.of(figure), Some(limit));
        }
        self.row("D round trip", "await round trip over HTTP, p99", "µs", figures.of("p99"), None);
    }

    /// Phase H.
    pub fn over_http(&mut self) {
        let server = Server::start(&self.path("http"));
        let mut figures = Figures::default();
        for round in 0..=self.rounds {
            let name = format!("h{round}");
            http::fill(&server, &name, JOBS);
            let load = http::drain(&server, &name, JOBS, CONNECTIONS);
            // The first round only warms up.
            if round > 0 {
                figures.add("jobs", load.jobs.per_second);
                figures.add("p50", load.requests.percentile(0.5));
                figures.add("p99", load.requests.percentile(0.99));
                figures.add("server", load.server_us);
                figures.add("callers", load.callers_us);
            }
        }
        drop(server);
        let limit = Limit {
            what: format!("2 500 for each of {} cores", self.cores),
            rounds: vec![PER_CORE * self.cores as f64; self.rounds],
            bar: Some(Bar::AtLeast(1.0)),
        };
        let what = format!("claims + completes, {CONNECTIONS} connections");
        self.row("H HTTP", what, "/s", figures.of("jobs"), Some(limit));
        for (figure, what) in [
            ("p50", "one request, p50"),
            ("p99", "one request, p99"),
            ("server", "processor time of one claim + complete, server"),
            ("callers", "processor time of one claim + complete, callers"),
        ] {
            self.row("H HTTP", what, "µs", figures.of(figure), None);
        }
    }
}
