//! `errand jobs worker run`: flags to a worker's setup, its outcome to a summary.
//! It does not know how a worker works.

use super::output::{Format, Screen};
use super::place::{self, Missing};
use super::{Ended, flags, help, source};
use crate::api::{self, Call, Names};
use crate::value::{MapBuilder, Value};
use crate::worker::{self, Outcome, Program, Setup};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::ffi::OsString;
use std::time::Duration;

const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(24 * 3600);
const POLL_MIN: Duration = Duration::from_millis(50);
const CONCURRENCY_MAX: i64 = 1000;

/// `errand jobs worker` with `run` and the handlers' helpers.
pub fn command(helpers: Vec<Command>) -> Command {
    Command::new("worker")
        .about("Run handlers for jobs; helpers for handlers")
        .long_about(help::WORKER)
        .after_long_help(help::WORKER_EXAMPLES)
        .subcommand(run_command())
        .subcommands(helpers)
}

fn run_command() -> Command {
    let duration = |name: &'static str, default: &'static str| {
        Arg::new(name).long(name).value_name("DURATION").default_value(default).value_parser(source::duration)
    };
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let text = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("run")
        .about("Claim jobs of a type and run a handler for each until a signal drains the worker")
        .after_help(help::RUN_EXAMPLES)
        .arg(text("type", "TYPE").required(true).help("the type of the jobs that are taken"))
        .arg(
            text("handler", "CMD")
                .value_parser(value_parser!(OsString))
                .required_unless_present("command")
                .conflicts_with("command")
                .help("program to run for each job: a path, or a name on PATH; no shell is used"),
        )
        .arg(
            text("handler-arg", "ARG")
                .action(ArgAction::Append)
                .value_parser(value_parser!(OsString))
                .allow_hyphen_values(true)
                .requires("handler")
                .help("argument of the handler; repeat for more"),
        )
        .arg(
            Arg::new("command")
                .value_name("CMD ARG")
                .num_args(1..)
                .trailing_var_arg(true)
                .value_parser(value_parser!(OsString))
                .help("the handler and its arguments, after the flags; -- may stand before them"),
        )
        .arg(text("worker-id", "ID").help("who works; host name and process id when absent"))
        .arg(text("batch-id", "ID").help("take this batch's jobs only"))
        .arg(
            text("label", "NAME=VALUE")
                .action(ArgAction::Append)
                .value_parser(source::pair)
                .help("fact about this worker, recorded on the jobs that it takes; repeat for more"),
        )
        .arg(duration("lease-duration", "2m").help("how long a job stays this worker's without a heartbeat, 1s to 24h"))
        .arg(duration("poll-interval", "5s").help("how long one claim waits for a job; a new job is taken at once"))
        .arg(
            text("concurrency", "N")
                .default_value("1")
                .value_parser(value_parser!(i64).range(1..=CONCURRENCY_MAX))
                .help("how many handlers run at a time"),
        )
        .arg(switch("once").help("look once, do at most one job, and end"))
        .arg(switch("keep-job-dirs").help("leave the directories of the jobs in place, to look into them"))
        .arg(duration("grace", "10s").help("time that a handler has to end by itself before it is killed"))
}

/// Runs a worker and prints what it did.
pub fn run(matches: &ArgMatches, screen: &Screen) -> Ended {
    let setup = setup(matches)?;
    let summary = summary_head(&setup);
    let client = place::connect(matches, Missing::Make)?;
    let outcome = worker::run(client.clone(), setup);
    client.close();
    let mut outcome = outcome?;
    let error = outcome.error.take();
    if screen.format == Format::People || error.is_some() {
        worker::say(&format!("worker ended: {} handled, {} failed", outcome.handled, outcome.failed));
        worker::heard();
    }
    match error {
        Some(error) => Err(error),
        None if screen.format == Format::People => Ok(()),
        None => screen.bare(&summarised(summary, outcome)),
    }
}

fn setup(matches: &ArgMatches) -> Result<Setup, crate::api::Error> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let time = |name: &str| matches.get_one::<Duration>(name).copied().unwrap_or_default();
    let lease = time("lease-duration");
    let shown = |time: Duration| api::duration_text(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
        return Err(source::wrong(format!("--lease-duration is {}; allowed: 1s to 24h", shown(lease))));
    }
    if time("poll-interval") < POLL_MIN {
        let poll = shown(time("poll-interval"));
        return Err(source::wrong(format!("--poll-interval is {poll}; allowed: 50ms and more")));
    }
    let pairs = matches.get_many::<(String, String)>("label").unwrap_or_default();
    let worker_id = text("worker-id").unwrap_or_else(worker::default_worker_id);
    let job_type = text("type").unwrap_or_default();
    check_claim(&job_type, &worker_id, text("batch-id"))?;
    Ok(Setup {
        job_type,
        handler: handler(matches)?,
        worker_id,
        batch_id: text("batch-id"),
        labels: pairs.cloned().collect(),
        lease,
        poll_interval: time("poll-interval"),
        concurrency: matches.get_one::<i64>("concurrency").and_then(|n| usize::try_from(*n).ok()).unwrap_or(1),
        once: matches.get_flag("once"),
        keep_job_dirs: matches.get_flag("keep-job-dirs"),
        grace: time("grace"),
        api_key: place::api_key(matches)?,
    })
}

/// Checks what every claim will be made with, in the words of the flags and before anything is opened.
fn check_claim(job_type: &str, worker_id: &str, batch_id: Option<String>) -> Result<(), api::Error> {
    let Some(command) = api::command("jobs.claim") else { unreachable!("jobs are claimed by a command of the table") };
    let given =
        [("job-type", Some(job_type.to_owned())), ("worker-id", Some(worker_id.to_owned())), ("batch-id", batch_id)];
    let given = given.into_iter().filter_map(|(name, value)| Some((Value::str(name), Value::from(value?))));
    let call = Call { command, args: Value::Map(given.collect()), names: Names::Flag };
    api::checked(&call).map(|_| ()).map_err(flags::in_words_of_flags)
}

fn handler(matches: &ArgMatches) -> Result<Program, crate::api::Error> {
    let many = |name: &str| matches.get_many::<OsString>(name).unwrap_or_default().cloned().collect::<Vec<_>>();
    match matches.get_one::<OsString>("handler") {
        Some(name) => Program::find(name, many("handler-arg")),
        None => {
            let mut words = many("command").into_iter();
            let Some(name) = words.next() else { unreachable!("a handler is required") };
            Program::find(&name, words.collect())
        }
    }
}

fn summary_head(setup: &Setup) -> MapBuilder {
    MapBuilder::new()
        .put("worker-id", setup.worker_id.as_str())
        .put("job-type", setup.job_type.as_str())
        .put_some("batch-id", setup.batch_id.as_deref())
        .put("once", setup.once)
}

fn summarised(head: MapBuilder, outcome: Outcome) -> Value {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let dir = outcome.last_job_dir.map(|dir| dir.to_string_lossy().into_owned());
    head.put("handled-count", count(outcome.handled))
        .put("failed-count", count(outcome.failed))
        .put("idle-polls", count(outcome.idle_polls))
        .put_some("last-job", outcome.last_job)
        .put_some("last-job-dir", dir)
        .build()
}
