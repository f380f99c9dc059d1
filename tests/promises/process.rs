//! The same with real processes: this test program starts itself in a role, and the `errand` program.

use super::invariants;
use super::live::{Live, end, finish, submit, wait_for_job};
use errand::engine::{Engine, Settings};
use errand::store::{Rows, Sqlite};
use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How many jobs one process submits.
const SUBMITTED: i64 = 60;

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
        "submit" => (0..SUBMITTED).for_each(|_| drop(submit(&engine, "kind"))),
        "work" => work(&engine),
        other => panic!("no role \"{other}\""),
    }
}

fn idle(engine: &Arc<Engine>) {
    let job = submit(engine, "nobody's");
    let look = {
        let id = job.clone();
        move |rows: &mut dyn Rows, _| Ok((rows.job_by_id(&id)?.is_some(), false))
    };
    let _ends = engine.await_end(end(&job), look, |_| {});
    let _claimed = wait_for_job(engine, "none");
    wait(Duration::from_millis(300));
    let before = cpu();
    wait(Duration::from_secs(2));
    println!("cpu_us={}", (cpu() - before).as_micros());
}

/// Does jobs, one after the other, until none comes for a while.
fn work(engine: &Arc<Engine>) {
    let mut done = 0;
    while let Ok(Some(lease)) = wait_for_job(engine, "kind").1.recv_timeout(Duration::from_secs(3)) {
        finish(engine, lease);
        done += 1;
    }
    println!("done={done}");
}

pub fn wait(time: Duration) {
    let (_keep, never) = channel::<()>();
    never.recv_timeout(time).ok();
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

#[test]
fn processes_on_one_file_do_each_job_once_and_wake_each_other() {
    let live = Live::new();
    let mut workers: Vec<Child> = (0..3).map(|_| start("work", &live.path())).collect();
    let submitters: Vec<Child> = (0..2).map(|_| start("submit", &live.path())).collect();
    for mut child in submitters {
        assert!(child.wait().expect("it ends").success());
    }
    let done: i64 = workers.iter_mut().map(|worker| told(worker, "done")).sum();
    for mut child in workers {
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(done, 2 * SUBMITTED);
    invariants::assert_hold(&live.path());
    let sql = "SELECT count(*) FROM job WHERE status = 'succeeded' AND attempt = 1";
    let store = rusqlite::Connection::open(live.path()).expect("the store opens");
    assert_eq!(store.query_row(sql, [], |row| row.get::<_, i64>(0)), Ok(done));
}
