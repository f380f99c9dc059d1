//! What the server counts about itself, in the text form of Prometheus.
//! It does not count jobs: the store does.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};
use std::time::Duration;

/// Counters of one server.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    polls: IntGauge,
    connections: IntGauge,
}

/// A poll that is counted for as long as this lives.
pub struct Counted(IntGauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let labels = ["route", "command", "status"];
        let latency = HistogramOpts::new("errand_request_seconds", "Time to answer a request, long polls included");
        let latency = latency.buckets(prometheus::exponential_buckets(0.000_5, 4.0, 9)?);
        let metrics = Metrics {
            registry: Registry::new(),
            requests: IntCounterVec::new(Opts::new("errand_requests_total", "Requests that were answered"), &labels)?,
            latency: HistogramVec::new(latency, &labels[..2])?,
            polls: IntGauge::new("errand_long_polls", "Requests that wait for a job or for an end")?,
            connections: IntGauge::new("errand_connections", "Connections that are open")?,
        };
        metrics.register(metrics.requests.clone())?;
        metrics.register(metrics.latency.clone())?;
        metrics.register(metrics.polls.clone())?;
        metrics.register(metrics.connections.clone())?;
        Ok(metrics)
    }

    fn register(&self, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(collector))
    }

    pub fn answered(&self, route: &str, command: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, command, &status.to_string()]).inc();
        self.latency.with_label_values(&[route, command]).observe(took.as_secs_f64());
    }

    pub fn polling(&self) -> Counted {
        counted(&self.polls)
    }

    pub fn connected(&self) -> Counted {
        counted(&self.connections)
    }

    /// Connections that are open.
    pub fn connections(&self) -> i64 {
        self.connections.get()
    }

    /// All of it as text, with the counts of jobs (workspace, type, status, jobs) that a caller may see.
    pub fn text(&self, jobs: &[(String, String, &'static str, i64)]) -> Result<String, prometheus::Error> {
        let gauge = IntGaugeVec::new(Opts::new("errand_jobs", "Jobs by status"), &["workspace", "type", "status"])?;
        for (workspace, job_type, status, count) in jobs {
            gauge.with_label_values(&[workspace.as_str(), job_type, status]).set(*count);
        }
        let mut families = self.registry.gather();
        if !jobs.is_empty() {
            families.extend(gauge.collect());
        }
        TextEncoder::new().encode_to_string(&families)
    }
}

fn counted(gauge: &IntGauge) -> Counted {
    gauge.inc();
    Counted(gauge.clone())
}
