//! A small file system that is filled up and emptied again while jobs are submitted and worked on. Where none can be
//! made (it takes `unshare` and the right to mount), `promises::power` has the full disk of a faulty VFS alone.

use super::load::{Load, eventually, work_off};
use super::{roles, seconds};
use crate::program::{Worker, program};
use crate::promises::invariants;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes of a payload: so that the disk is filled soon.
const PAD: usize = 8 << 10;

/// The size of the file system in MiB: it is memory. Once the store has half of it, that has been enough.
fn mebibytes() -> u64 {
    if seconds(1) > 5 { 256 } else { 64 }
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_is_forgotten_once_there_is_space() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let said = ["--user --map-root-user", ""].iter().find_map(|rights| run_on_small_disk(folder.path(), rights));
    let Some(said) = said else {
        println!("storm: full disk: not run, no file system can be made here; promises::power has a full disk");
        return;
    };
    let summary = said.lines().find_map(|line| line.split_once("said "));
    let (_, summary) = summary.unwrap_or_else(|| panic!("it did not come to its end:\n{said}"));
    println!("storm: {summary}");
    assert!(summary.contains("; 0 lost, 0 there though refused, 0 stuck"), "{said}");
}

/// Runs the role on a file system of its own; nothing where that cannot be made.
fn run_on_small_disk(folder: &Path, rights: &str) -> Option<String> {
    let mount = format!("mount -t tmpfs -o size={}m,mode=700 none \"$0\" && echo mounted && exec \"$@\"", mebibytes());
    let role = roles::command("full disk", &folder.display().to_string(), "");
    let mut command = Command::new("unshare");
    command.args(rights.split_whitespace()).args(["--mount", "--", "sh", "-c", &mount]).arg(folder);
    command.arg(role.get_program()).args(role.get_args());
    command.envs(role.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    said.contains("mounted").then_some(said)
}

/// The role: fills the disk that it is on, again and again.
pub fn fill(folder: &Path) {
    let (store, filler) = (folder.join("jobs.db"), folder.join("filler"));
    let client = roles::open(&store.display().to_string());
    let until = Instant::now() + Duration::from_secs(seconds(1));
    let load = Load::start(&client, 3, PAD);
    let worker = worker(&store);
    let mut fillings = 0;
    while fillings == 0
        || (Instant::now() < until && store.metadata().map_or(0, |found| found.len()) < mebibytes() << 19)
    {
        let before = load.fates.refusals.load(Ordering::Relaxed);
        fill_up(&filler);
        assert!(eventually(|| load.fates.refusals.load(Ordering::Relaxed) > before + 3), "nothing is refused");
        std::fs::remove_file(&filler).expect("it is ours");
        fillings += 1;
        let before = load.fates.count.load(Ordering::Relaxed);
        assert!(eventually(|| load.fates.count.load(Ordering::Relaxed) > before + 20), "nothing is taken any more");
    }
    let fates = load.end();
    let handled = &worker.drained()["handledCount"];
    let stuck = work_off(&*client, &store);
    let (_, _, words) = fates.check(&*client);
    client.close();
    invariants::assert_hold(&store);
    roles::say(&format!(
        "full disk: filled {fillings} times, {handled} jobs by a worker process, {words}, {stuck} stuck"
    ));
}

/// A worker process, which has its own files elsewhere.
fn worker(store: &Path) -> Worker {
    let mut command = Command::new(program());
    command.args(["jobs", "worker", "run", "--type", "t", "--handler", "true", "--lease-duration", "1s"]);
    command.arg("--db").arg(store).stdin(Stdio::null()).stdout(Stdio::piped());
    Worker::of(command.spawn().expect("the program can be started"))
}

/// Leaves no byte free.
fn fill_up(filler: &Path) {
    let mut file = File::create(filler).expect("the folder is ours");
    for size in [1 << 20, 4 << 10, 1] {
        let zeros = vec![0; size];
        while file.write_all(&zeros).is_ok() {}
    }
}
