//! File descriptors that are used up in the middle of the work: those of a process that has an engine in it, and those
//! of the control plane.

use super::load::{Load, eventually, work_off};
use super::players::{Role, Stage};
use super::{roles, seconds};
use crate::promises::{invariants, wait};
use crate::support::get;
use errand::api::{self, OpenOptions};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const FEW: u64 = 96;

#[test]
fn an_engine_without_descriptors_left_refuses_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let store = folder.path().join("jobs.db").display().to_string();
    let output = roles::command("few descriptors", &store, "").output().expect("this program can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let summary = said.lines().find_map(|line| line.split_once("said "));
    let (_, summary) = summary.unwrap_or_else(|| panic!("it did not come to its end:\n{said}"));
    println!("storm: {summary}");
    assert!(summary.contains("; 0 lost, 0 there though refused, 0 stuck"), "{said}");
}

/// The role: uses up the descriptors of the process that it is, again and again.
pub fn use_up(store: &Path) {
    let place = store.display().to_string();
    let client = roles::open(&place);
    let limit = Rlimit { current: Some(FEW), maximum: Some(FEW) };
    setrlimit(Resource::Nofile, limit).expect("fewer are always allowed");
    let until = Instant::now() + Duration::from_secs(seconds(1));
    let load = Load::start(&client, 4, 10);
    let (mut times, mut not_opened) = (0, 0);
    while times == 0 || Instant::now() < until {
        let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        not_opened += usize::from(api::open(&store.with_file_name("other.db"), OpenOptions::default()).is_err());
        // Those that had their connections go on; new ones for readers cannot be had.
        std::thread::scope(|scope| {
            (0..12).for_each(|_| drop(scope.spawn(|| crate::support::ask(&*client, "jobs.stats", "{}"))));
        });
        wait(Duration::from_millis(50));
        drop(taken);
        times += 1;
        let before = load.fates.count.load(Ordering::Relaxed);
        assert!(eventually(|| load.fates.count.load(Ordering::Relaxed) > before + 20), "nothing is taken any more");
    }
    let fates = load.end();
    let stuck = work_off(&*client, store);
    let (_, _, words) = fates.check(&*client);
    client.close();
    invariants::assert_hold(store);
    roles::say(&format!(
        "descriptors: used up {times} times under an engine ({not_opened} stores could not be opened), {words}, {stuck} stuck"
    ));
}

#[cfg(target_os = "linux")]
#[test]
fn a_control_plane_whose_descriptors_are_used_up_by_idle_connections_serves_again_once_they_are_gone() {
    let mut stage = Stage::new();
    let server = stage.start(Role::Server);
    let url = stage.address(super::players::Way::Http);
    let limit = Rlimit { current: Some(FEW), maximum: Some(FEW) };
    rustix::process::prlimit(Some(server.pid()), Resource::Nofile, limit).expect("fewer are always allowed");
    let client = roles::open(&url);
    let until = Instant::now() + Duration::from_secs(seconds(1));
    let load = Load::start(&client, 3, 10);
    let mut times = 0;
    while times == 0 || Instant::now() < until {
        let address = url.strip_prefix("http://").expect("it is http");
        let idle: Vec<TcpStream> = (0..2 * FEW).filter_map(|_| TcpStream::connect(address).ok()).collect();
        wait(Duration::from_millis(300));
        drop(idle);
        times += 1;
        let before = load.fates.count.load(Ordering::Relaxed);
        assert!(eventually(|| load.fates.count.load(Ordering::Relaxed) > before + 20), "the server serves no more");
    }
    let fates = load.end();
    // A client that comes anew is served, too.
    get(&*roles::open(&url), "jobs.stats", "{}");
    let (lost, kept, words) = fates.check(&*client);
    println!("storm: descriptors: used up {times} times under the control plane, {words}");
    assert_eq!((lost, kept), (0, 0));
    drop(server);
}
