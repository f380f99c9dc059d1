//! `make bench`: every phase of the benchmark, each beside its limit on the same schema and disk in the same rounds.
//! It prints a table and writes `target/bench.json` and `target/bench.svg`; it fails nothing by time.

mod crowd;
mod http;
mod java;
mod load;
mod machine;
mod over_http;
mod phases;
mod plot;
mod raw;
mod report;
mod size;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use phases::Bench;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn main() {
    let matches = options().get_matches();
    if let Some(place) = matches.get_one::<String>("worker") {
        return worker(place);
    }
    if let Some(path) = matches.get_one::<PathBuf>("memory") {
        return size::memory_of_a_batch(path);
    }
    if let (Some(kind), Some(path)) = (matches.get_one::<String>("memory-awaits"), matches.get_one::<PathBuf>("folder"))
    {
        return crowd::memory_of_awaits(path, kind);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::set_current_dir(root).expect("the project's folder");
    let folder = matches.get_one::<PathBuf>("folder").cloned().unwrap_or_else(|| root.join("target/bench"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the databases");
    let java = java_of(&matches);
    let machine = machine::Machine::look(&folder, java.as_deref().unwrap_or("java"));
    let number = |name: &str| matches.get_one::<usize>(name).copied().unwrap_or_default();
    let mut bench = Bench {
        folder: folder.clone(),
        rounds: number("rounds"),
        time: Duration::from_millis(number("time") as u64),
        aged: number("aged"),
        cores: machine.cores,
        java: java.map(|java| java::Java::start(&java, &class_path())),
        rows: Vec::new(),
        throughput: Vec::new(),
        latency: Vec::new(),
    };
    let only = matches.get_one::<String>("only").map_or("ABCDEFGHSMU", String::as_str).to_uppercase();
    bench.run(&only);
    println!("{}", report::table(&machine, &bench.rows));
    let json = format!("{:#}\n", report::json(&machine, &bench.rows));
    std::fs::write("target/bench.json", json).expect("target/bench.json can be written");
    if !bench.throughput.is_empty() {
        let plotted = plot::write(Path::new("target/bench.svg"), &bench.throughput, &bench.latency);
        plotted.expect("target/bench.svg can be written");
    }
    drop(bench);
    let _ = std::fs::remove_dir_all(&folder);
    println!("target/bench.json and target/bench.svg have it too");
}

fn options() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").default_value(default).value_parser(value_parser!(usize)).help(help)
    };
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("PATH").value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("bench")
        .arg(number("rounds", "5", "rounds of each figure"))
        .arg(number("time", "400", "milliseconds of each timed load"))
        .arg(number("aged", "1000000", "finished jobs in the aged database"))
        .arg(Arg::new("only").long("only").value_name("PHASES").help("such as AC; all phases where absent"))
        .arg(Arg::new("no-java").long("no-java").action(ArgAction::SetTrue).help("leave the Clojure half out"))
        .arg(path("folder", "where the databases are made; its contents are removed"))
        .arg(Arg::new("worker").long("worker").help("run as a worker on this database or URL").hide(true))
        .arg(path("memory", "submit a large batch to this database").hide(true))
        .arg(Arg::new("memory-awaits").long("memory-awaits").help("begin many awaits on the database").hide(true))
        .arg(Arg::new("bench").long("bench").action(ArgAction::SetTrue).hide(true))
}

fn java_of(matches: &ArgMatches) -> Option<String> {
    let home = std::env::var("JAVA_HOME").ok().filter(|home| !home.is_empty());
    let java = home.map_or_else(|| "java".into(), |home| format!("{home}/bin/java"));
    (!matches.get_flag("no-java")).then_some(java)
}

fn class_path() -> String {
    let read = std::fs::read_to_string("target/classpath/run");
    read.expect("make build makes target/classpath/run").trim().to_string()
}

/// A worker in a process of its own, until its standard input ends.
fn worker(place: &str) {
    use std::io::Read;
    let client = match std::env::var("ERRAND_API_KEY") {
        Ok(key) if errand::http::is_url(place) => http::connect(place, &key),
        _ => load::open(Path::new(place), true),
    };
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| load::work_until(&*client, "trip", || over.load(std::sync::atomic::Ordering::Relaxed)));
        println!("ready");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
