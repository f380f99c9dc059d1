//! `errand bench`: how many jobs a second this disk takes, measured on a database of its own that goes away again.
//! It does not touch the database with the jobs.

use super::Ended;
use super::output::{Format, Screen, print};
use crate::api::{self, Client, Code, Error, Names, OpenOptions};
use crate::value::{MapBuilder, Value};
use clap::{Arg, ArgMatches, Command, value_parser};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CALLERS: [usize; 4] = [1, 4, 16, 64];
const WORKERS: [usize; 3] = [1, 4, 16];
const SYNCS: usize = 200;

pub fn command() -> Command {
    Command::new("bench")
        .about("Measure submissions and completions a second on this disk")
        .long_about(
            "Measure how many jobs a second one process submits, and claims and completes, one by one and each durable, \
             on a new database in a folder of your choice. The database is removed afterwards.",
        )
        .arg(
            Arg::new("folder")
                .long("folder")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .default_value(".")
                .help("on the disk that is to be measured"),
        )
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=600))
                .default_value("1")
                .help("how long each load lasts"),
        )
        .after_help("Example:\n  errand bench --folder /var/lib/jobs --seconds 3")
}

pub fn run(matches: &ArgMatches, screen: &Screen) -> Ended {
    let (Some(folder), Some(seconds)) = (matches.get_one::<PathBuf>("folder"), matches.get_one::<u64>("seconds"))
    else {
        unreachable!("both have defaults")
    };
    let place = Place::make(folder)?;
    let fsync_us = place.fsync_us()?;
    let options = OpenOptions { workspace: "bench".into(), ..OpenOptions::default() };
    let client = api::open(&place.0.join("bench.db"), options)?;
    let rows = measure(&*client, Duration::from_secs(*seconds));
    client.close();
    let rows = rows?;
    match screen.format {
        Format::People => print(&shown(fsync_us, &rows)),
        Format::Json | Format::Edn => {
            let rows: Vec<Value> = rows.iter().map(Row::value).collect();
            screen.bare(&MapBuilder::new().put("fsync-us", fsync_us as i64).put("rows", rows).build())
        }
    }
}

/// A folder that goes away with what is in it.
struct Place(PathBuf);

impl Place {
    fn make(folder: &Path) -> Result<Place, Error> {
        let place = folder.join(format!("errand-bench-{}", std::process::id()));
        std::fs::create_dir(&place).map_err(|cause| unusable(&place, &cause))?;
        Ok(Place(place))
    }

    /// Median microseconds of appending 4 KiB and making it durable.
    fn fsync_us(&self) -> Result<f64, Error> {
        let path = self.0.join("fsync");
        let mut took = (|| {
            let mut file = File::create(&path)?;
            let mut took = Vec::with_capacity(SYNCS);
            for _ in 0..SYNCS {
                let begun = Instant::now();
                file.write_all(&[1; 4096])?;
                file.sync_data()?;
                took.push(begun.elapsed());
            }
            Ok(took)
        })()
        .map_err(|cause| unusable(&path, &cause))?;
        took.sort();
        Ok(percentile_us(&took, 0.5))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left over is only rubbish, and its name says so.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn unusable(path: &Path, cause: &std::io::Error) -> Error {
    if let (ErrorKind::NotFound, Some(folder)) = (cause.kind(), path.parent()) {
        return Error::new(Code::NotFound, format!("folder \"{}\" does not exist; make it first", folder.display()));
    }
    Error::new(Code::InvalidArgument, format!("folder \"{}\" cannot be used: {cause}", path.display()))
}

/// What one load gave.
struct Row {
    what: &'static str,
    threads: usize,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Row {
    fn value(&self) -> Value {
        MapBuilder::new()
            .put("what", self.what)
            .put("threads", self.threads as i64)
            .put("per-second", self.per_second.round() as i64)
            .put("p50-us", self.p50_us.round() as i64)
            .put("p99-us", self.p99_us.round() as i64)
            .build()
    }
}

fn measure(client: &dyn Client, time: Duration) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for callers in CALLERS {
        rows.push(load("submit", callers, time, &|| submit(client))?);
    }
    for workers in WORKERS {
        rows.push(load("claim + complete", workers, time, &|| work(client))?);
    }
    Ok(rows)
}

/// Repeats `work` on so many threads for so long, and at least once on each.
fn load(
    what: &'static str,
    threads: usize,
    time: Duration,
    work: &(dyn Fn() -> Result<(), Error> + Sync),
) -> Result<Row, Error> {
    let begun = Instant::now();
    let one = || {
        let mut took = Vec::new();
        loop {
            let called = Instant::now();
            work()?;
            took.push(called.elapsed());
            if begun.elapsed() >= time {
                return Ok(took);
            }
        }
    };
    let took: Result<Vec<Vec<Duration>>, Error> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let gone = |_| Err(Error::new(Code::Internal, "a thread of the measurement panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(gone)).collect()
    });
    let elapsed = begun.elapsed();
    let mut took = took?.concat();
    took.sort();
    let per_second = took.len() as f64 / elapsed.as_secs_f64();
    Ok(Row { what, threads, per_second, p50_us: percentile_us(&took, 0.5), p99_us: percentile_us(&took, 0.99) })
}

/// Of sorted durations; nothing took no time.
fn percentile_us(took: &[Duration], part: f64) -> f64 {
    let at = (took.len().saturating_sub(1) as f64 * part).round() as usize;
    took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e6)
}

fn submit(client: &dyn Client) -> Result<(), Error> {
    let payload = Value::Text("{:surface \"flows-api\"}".into());
    let args = MapBuilder::new().put("job-type", "bench").put("payload", payload).build();
    api::ask(client, "jobs.create", args, Names::Clojure).map(drop)
}

/// Claims and completes one job; where there is none left, makes one.
fn work(client: &dyn Client) -> Result<(), Error> {
    let claim = MapBuilder::new().put("job-type", "bench").put("worker-id", "bench").build();
    let claimed = api::ask(client, "jobs.claim", claim, Names::Clojure)?;
    let fact = |name: &str| claimed.get("job").and_then(|job| job.get(name)).cloned();
    match (fact("job-id"), fact("lease-token")) {
        (Some(id), Some(token)) => {
            let args = MapBuilder::new().put("job-id", id).put("lease-token", token).build();
            api::ask(client, "jobs.complete", args, Names::Clojure).map(drop)
        }
        _ => submit(client),
    }
}

fn shown(fsync_us: f64, rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["", "THREADS", "PER SECOND", "P50 µs", "P99 µs"]);
    for row in rows {
        let numbers = [row.threads as f64, row.per_second, row.p50_us, row.p99_us].map(|number| format!("{number:.0}"));
        table.add_row(std::iter::once(row.what.to_string()).chain(numbers));
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("append 4 KiB + fdatasync: p50 {fsync_us:.0} µs; every job durable (sync FULL)\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let place = Place::make(folder.path()).expect("a place");
        assert!(place.fsync_us().expect("a disk") > 0.0);
        let client = api::open(&place.0.join("bench.db"), OpenOptions::default()).expect("a store");
        let rows = measure(&*client, Duration::from_millis(20)).expect("loads that end");
        assert!(rows.len() == CALLERS.len() + WORKERS.len() && rows.iter().all(|row| row.per_second.is_finite()));
        client.close();
        drop(place);
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }
}
