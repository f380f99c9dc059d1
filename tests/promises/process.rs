//! The same with real processes: this test program starts itself in a role, and the `errand` program.

use super::invariants;
use super::live::{LONG, Live, claim, finish, submit, wait_for_end, wait_for_job};
use errand::engine::{Engine, Settings};
use errand::job::Status;
use errand::store::Sqlite;
use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Starts this program again, to be only what `role` says.
fn start(role: &str, store: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", "promises::process::a_process_in_a_role", "--nocapture"]);
    command.env("ERRAND_TEST_ROLE", role).env("ERRAND_TEST_STORE", store);
    command.stdout(Stdio::piped()).spawn().expect("this program can be started")
}

/// The numbers that the child prints after `name`.
fn told(child: &mut Child, name: &str) -> i64 {
    let lines = BufReader::new(child.stdout.as_mut().expect("its output is a pipe")).lines();
    let mut found = lines.map_while(std::result::Result::ok).filter_map(|line| {
        let (_, value) = line.split_once(&format!("{name}="))?;
        value.trim().parse().ok()
    });
    found.next().expect("the child tells it")
}

#[test]
fn a_process_in_a_role() {
    let (Ok(role), Ok(store)) = (std::env::var("ERRAND_TEST_ROLE"), std::env::var("ERRAND_TEST_STORE")) else { return };
    let sqlite = Sqlite::open(store.as_ref(), super::world::options()).expect("the store opens");
    let engine = Engine::start(Arc::new(sqlite), Settings::default()).expect("the engine starts");
    match role.as_str() {
        "idle" => idle(&engine),
        "submit" => (0..100).for_each(|_| drop(submit(&engine, "kind"))),
        "work" => work(&engine),
        other => panic!("no role \"{other}\""),
    }
}

fn idle(engine: &Arc<Engine>) {
    let job = submit(engine, "nobody's");
    let (_ends, _claimed) = (wait_for_end(engine, &job), wait_for_job(engine, "none"));
    wait(Duration::from_millis(300));
    let before = cpu();
    wait(Duration::from_secs(2));
    println!("cpu_us={}", (cpu() - before).as_micros());
}

fn work(engine: &Arc<Engine>) {
    let mut done = 0;
    while let Ok(Some(lease)) = wait_for_job(engine, "kind").1.recv_timeout(LONG) {
        finish(engine, lease);
        done += 1;
        if claim_is_last(engine) {
            break;
        }
    }
    println!("done={done}");
}

/// Whether the job that ends it all was claimed.
fn claim_is_last(engine: &Engine) -> bool {
    claim(engine, "stop").is_some_and(|lease| {
        finish(engine, lease);
        true
    })
}

fn wait(time: Duration) {
    let (_keep, never) = channel::<()>();
    drop(never.recv_timeout(time));
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn a_process_in_which_all_wait_does_next_to_nothing() {
    let live = Live::new();
    let mut child = start("idle", &live.path());
    let used_us = told(&mut child, "cpu_us");
    assert!(child.wait().expect("it ends").success());
    // The promise is 10 ms in 10 s; this is 2 s of an unoptimized build on a machine that does other things.
    assert!(used_us < 20_000, "{used_us} µs of CPU in 2 s of waiting");
}
