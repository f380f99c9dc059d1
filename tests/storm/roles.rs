//! What the processes do that are this test program itself: it starts itself in a role, and says each thing on its
//! standard output only after it was answered. `tests/clj/errand/storm.clj` is the same for the JVM.

use crate::support::{ask, text};
use errand::api::{self, Client, Error, OpenOptions, RemoteOptions};
use errand::http;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// What jobs are for: what their handler does, and how they have to end.
const DEEDS: [&str; 10] =
    ["plain", "artifacts", "plain", "cancel", "plain", "retry", "plain", "artifacts", "fail", "plain"];
/// How many waves of work a process has under way.
const WAVES: usize = 4;
const IN_BATCH: usize = 3;

/// The command that starts this program to be only what `role` says, on a store or a control plane.
pub fn command(role: &str, place: &str, name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", "storm::roles::a_process_in_a_role", "--nocapture"]);
    command.env("ERRAND_STORM_ROLE", role).env("ERRAND_STORM_PLACE", place).env("ERRAND_STORM_NAME", name);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

pub fn start(role: &str, place: &str, name: &str) -> Child {
    command(role, place, name).spawn().expect("this program can be started")
}

/// Says something outside, in one write.
pub fn say(text: &str) {
    println!("said {text}");
}

#[test]
fn a_process_in_a_role() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(role), Some(place)) = (variable("ERRAND_STORM_ROLE"), variable("ERRAND_STORM_PLACE")) else { return };
    let name = variable("ERRAND_STORM_NAME").unwrap_or_default();
    match role.as_str() {
        "submit" => submit_for_ever(&*open(&place), &name),
        "write" => write_for_ever(Path::new(&place)),
        "full disk" => super::full_disk::fill(Path::new(&place)),
        "few descriptors" => super::descriptors::use_up(Path::new(&place)),
        "hold leases" => super::million::hold(&*open(&place)),
        "submit many" => super::million::submit(&*open(&place), &name),
        other => panic!("no role \"{other}\""),
    }
}

/// A client of a store or of a control plane.
pub fn open(place: &str) -> Arc<dyn Client> {
    let opened = match place.starts_with("http") {
        true => http::connect(place, RemoteOptions::default()),
        false => api::open(Path::new(place), OpenOptions::default()),
    };
    opened.unwrap_or_else(|error| panic!("{place}: {error:?}"))
}

/// Begins to write, and does not end.
fn write_for_ever(store: &Path) {
    let store = rusqlite::Connection::open(store).expect("the store opens");
    store.execute_batch("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE").expect("SQLite knows it");
    say("ready");
    crate::promises::wait(std::time::Duration::MAX);
}

/// Submits waves of work, cancels some of it and awaits all of it, until this process is killed.
fn submit_for_ever(client: &dyn Client, name: &str) {
    say("ready");
    let submit = |thread: usize| {
        for wave in 0.. {
            if let Err(error) = submit_wave(client, &format!("{name}-{thread}-{wave}")) {
                // Over HTTP the server may be gone for longer than a call is tried.
                say(&format!("trouble {}: {}", error.code.row().name, error.message));
            }
        }
    };
    std::thread::scope(|scope| (0..WAVES).for_each(|thread| drop(scope.spawn(move || submit(thread)))));
}

fn submit_wave(client: &dyn Client, name: &str) -> Result<(), Error> {
    let mut jobs = Vec::new();
    for (number, deed) in DEEDS.into_iter().enumerate() {
        let n = format!("{name}-{number}");
        // Each kill costs an attempt.
        let args = format!("{{:job-type \"t\" :max-attempts 100 :payload {{:n \"{n}\" :do \"{deed}\"}}}}");
        let reply = ask(client, "jobs.create", &args)?;
        let id = text(&reply, &["job", "job-id"]).to_owned();
        say(&format!("acknowledged {id}"));
        if deed == "cancel" {
            let reply = ask(client, "jobs.cancel", &format!("{{:job-id \"{id}\"}}"))?;
            say(&format!("cancelled {id} {}", text(&reply, &["job", "status"])));
        }
        jobs.push(id);
    }
    let batch = submit_batch(client, name)?;
    for id in jobs {
        let reply = ask(client, "jobs.await", &format!("{{:job-id \"{id}\" :timeout-ms 600000}}"))?;
        say(&format!("ended {id} {}", text(&reply, &["job", "status"])));
    }
    let reply = ask(client, "jobs.batches.await", &format!("{{:batch-id \"{batch}\" :timeout-ms 600000}}"))?;
    say(&format!("batch-ended {batch} {}", text(&reply, &["batch", "status"])));
    Ok(())
}

/// A batch of which two jobs may be worked on at a time.
fn submit_batch(client: &dyn Client, name: &str) -> Result<String, Error> {
    let jobs: String = (0..IN_BATCH)
        .map(|number| format!("{{:payload {{:n \"{name}-batch-{number}\" :do \"plain\"}} :max-attempts 100}}"))
        .collect();
    let args = format!("{{:job-type \"t\" :fanout-max-concurrency 2 :jobs [{jobs}]}}");
    let reply = ask(client, "jobs.batches.create", &args)?;
    let id = text(&reply, &["batch", "batch-id"]).to_owned();
    say(&format!("batch {id} {IN_BATCH}"));
    Ok(id)
}
