//! Power loss, broken and full disks at each write, sync, truncate, read and lock of a workload: what was acknowledged
//! is there, what was refused is not, a commit that failed is wholly there or not, and the store holds its laws.
//! Every few operations by default; `ERRAND_FAULTS=1` breaks at each.

use super::disk::{self, Fault};
use super::invariants;
use super::live::{LONG, PlainClaim, claim_of};
use super::world::{
    self, Answer, Command, TestClock, TestIds, WORKSPACE, complete, fail, fast_folder, make_store, options, try_start,
};
use errand::engine::{Bound, Claim, Class, Engine, Error, JobView, NewJob, Result, Submit, Waited, Work, digest};
use errand::job::{Ending, Status};
use errand::store;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use tempfile::TempDir;

enum Step {
    Do(Command),
    /// Somebody waits for a job while that is done, and gets it in the same commit.
    DoForOneWhoWaits(Claim, Command),
    /// A submission with a payload of so many bytes.
    Large(usize),
    /// Somebody reads that job.
    Look(&'static str),
    Restart,
}

/// Submissions, claims, reports, ends of every kind; with restarts, so that the log is folded into the database.
fn workload() -> Vec<Step> {
    let submit = |kind: &str| Submit { workspace: WORKSPACE.into(), job_type: kind.into(), ..Submit::default() };
    let create = |kind| Step::Do(Command::Create { submit: submit(kind), max_attempts: 2 });
    let claim = |kind: &str| {
        let (workspace, job_type, worker_id) = (WORKSPACE.into(), kind.into(), "worker".into());
        Step::Do(Command::Claim(Claim { workspace, job_type, worker_id, lease_ms: Some(5_000), ..Claim::default() }))
    };
    let keyed = Submit { idempotency_key: Some("key".into()), digest: digest(["a"].into_iter()), ..submit("keyed") };
    let batch = Submit { fanout_max_concurrency: Some(2), ..submit("batch") };
    let at = |made: usize, claimed: usize| (format!("op{made}-000001"), format!("token-op{claimed}-000001"));
    let settle = |(job, token): (String, String), settle| Step::Do(Command::Settle { job, token, settle });
    vec![
        create("a"),                                                                // 0
        Step::Do(Command::CreateBatch { submit: batch, jobs: 5, max_attempts: 1 }), // 1
        claim("a"),                                                                 // 2
        Step::Do({
            let (job, token) = at(0, 2);
            Command::Progress { job, token, status: Some(Status::Running) }
        }), // 3
        Step::Restart,                                                              // 4
        settle(at(0, 2), fail(true, Some(1_000))),                                  // 5
        Step::Large(300_000),                                                       // 6
        claim("batch"),                                                             // 7
        Step::Do(Command::Create { submit: keyed.clone(), max_attempts: 3 }),       // 8
        claim("a"),                                                                 // 9
        settle(at(0, 9), complete(Ending::Succeeded, "done")),                      // 10
        Step::Do(Command::Create { submit: keyed, max_attempts: 3 }),               // 11
        Step::Restart,                                                              // 12
        claim("batch"),                                                             // 13
        Step::Do(Command::Cancel { job: "op8-000001".into() }),                     // 14
        Step::Do(Command::Retry { job: "op8-000001".into() }),                      // 15
        claim("keyed"),                                                             // 16
        Step::Do({
            let (job, token) = at(8, 16);
            Command::Heartbeat { job, token, lease_ms: None }
        }), // 17
        Step::Do(Command::Sweep),                                                   // 18
        Step::Do(Command::CancelBatch { batch: "op1-000001".into() }),              // 19
        settle(at(8, 16), complete(Ending::NoChanges, "nothing")),                  // 20
        Step::DoForOneWhoWaits(
            claim_of("awaited"),
            Command::Create {
                submit: Submit {
                    idempotency_key: Some("awaited".into()),
                    digest: digest(["b"].into_iter()),
                    ..submit("awaited")
                },
                max_attempts: 1,
            },
        ), // 21
        settle(("op21-000001".into(), "token-op21-000002".into()), complete(Ending::Succeeded, "at once")), // 22
        Step::Look("op6-000001"),
        Step::Restart,
        Step::Look("op0-000001"),
    ]
}

/// What goes on under one engine on one disk.
struct Bench {
    folder: TempDir,
    clock: Arc<TestClock>,
    ids: Arc<TestIds>,
    durable: bool,
    engine: Option<Arc<Engine>>,
}

impl Bench {
    fn new(fault: Fault, chance: u64, durable: bool) -> Bench {
        let folder = fast_folder();
        make_store(&folder.path().join("jobs.db"));
        disk::insert(folder.path(), fault, chance);
        let (clock, ids) = (Arc::new(TestClock::new()), Arc::new(TestIds::new()));
        Bench { folder, clock, ids, durable, engine: None }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    fn engine(&mut self) -> Result<Arc<Engine>> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let options = store::SqliteOptions { durable: self.durable, vfs: Some(disk::VFS), ..options() };
        let engine = try_start(&self.path(), options, self.clock.clone(), self.ids.clone())?;
        self.engine = Some(engine.clone());
        Ok(engine)
    }

    /// Does a step; doing it again does the same.
    fn step(&mut self, number: usize, step: &Step) -> Result<()> {
        match step {
            Step::Restart => {
                self.engine = None;
                Ok(())
            }
            Step::Do(command) => {
                let command = command.clone();
                self.write(number, move |work| command.run(work))
            }
            Step::DoForOneWhoWaits(claim, command) => {
                let (told, tell) = mpsc::channel();
                let done = move |result: Result<Option<JobView>>| drop(told.send(result));
                let bound = Bound::after_ms(600_000, None);
                let waited = self.engine()?.claim(PlainClaim(claim.clone()), bound, done);
                let ticket = match waited {
                    Waited::Now(result) => return result.map(|view| assert!(view.is_none(), "there is no job yet")),
                    Waited::Later(ticket) => ticket,
                };
                let command = command.clone();
                let result = self.write(number, move |work| command.run(work));
                if result.is_ok() {
                    let given = tell.recv_timeout(LONG).expect("the claim is answered by the same commit")?;
                    assert!(given.is_some_and(|view| view.lease_token.is_some()), "it is given the job");
                }
                ticket.forget();
                result
            }
            Step::Look(job) => {
                let found = self.engine()?.read(|rows, _| {
                    let job = rows.job_by_id(job)?;
                    job.map(|job| rows.body(job.seq, true)).transpose().map_err(Error::from)
                })?;
                assert!(found.is_some_and(|body| body.payload.is_some()), "step {number}: the job is gone");
                Ok(())
            }
            Step::Large(bytes) => {
                let payload = format!("\"{}\"", "x".repeat(*bytes));
                let new = NewJob { payload: Some(payload.into()), ..NewJob::default() };
                let submit = Submit { workspace: WORKSPACE.into(), job_type: "large".into(), ..Submit::default() };
                self.write(number, move |work| work.create(&submit, &new).map(world::job))
            }
        }
    }

    fn write(&mut self, number: usize, mut op: impl FnMut(&mut Work) -> Result<Answer> + Send + 'static) -> Result<()> {
        let (engine, ids) = (self.engine()?, self.ids.clone());
        let (told, tell) = mpsc::channel();
        let op = move |work: &mut Work| {
            ids.restart(&format!("op{number}-"));
            op(work)
        };
        let done = move |result| told.send(result).expect("the test waits");
        let result = engine.write(Class::Urgent, op, done).unwrap_or_else(|| tell.recv().expect("it is answered"));
        result.map(|_| ())
    }
}

/// Everything that is in the store, as text, but for its clock, which opening sets.
fn contents(path: &Path) -> String {
    let connection = Connection::open(path).expect("the store opens");
    // It only looks: what it wrote when it is closed last would not be seen by the disk.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("SQLite knows it");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'store_clock' ORDER BY name";
    let mut statement = connection.prepare(tables).expect("the query is well formed");
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).expect("the query runs").map(|name| name.expect("a name")).collect();
    let mut text = String::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("the table can be read");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("the query runs");
        while let Some(row) = rows.next().expect("a row") {
            let cells = (0..columns).map(|column| match row.get::<_, rusqlite::types::Value>(column) {
                Ok(rusqlite::types::Value::Text(long)) if long.len() > 1_000 => format!("{} bytes", long.len()),
                cell => format!("{:?}", cell.expect("a cell")),
            });
            text += &format!("{table}: {}\n", cells.collect::<Vec<_>>().join(" "));
        }
    }
    text
}

/// What is in the store after so many steps, and how much a disk has to do for all of them.
struct Expected {
    after: Vec<String>,
    changes: usize,
    writes: usize,
    reads: usize,
    locks: usize,
    syncs: usize,
}

fn expected(durable: bool) -> Expected {
    let mut bench = Bench::new(Fault::None, 1, durable);
    let disk = disk::insert(bench.folder.path(), Fault::None, 1);
    let mut after = vec![contents(&bench.path())];
    for (number, step) in workload().iter().enumerate() {
        bench.clock.advance(1_000);
        bench.step(number, step).unwrap_or_else(|error| panic!("step {number}: {error}"));
        after.push(contents(&bench.path()));
    }
    bench.engine = None;
    let disk = disk.lock().expect("nobody panics with it");
    assert!(disk.changes > 100 && disk.reads > 0 && disk.locks > 0, "the workload does not go through this disk");
    Expected {
        after,
        changes: disk.changes,
        writes: disk.writes,
        reads: disk.reads,
        locks: disk.locks,
        syncs: disk.syncs,
    }
}

/// The points to break at: each, or about as many as `few`.
fn points(all: usize, few: usize) -> impl Iterator<Item = usize> {
    let stride = if std::env::var_os("ERRAND_FAULTS").is_some() { 1 } else { (all / few).max(1) };
    (1..=all).step_by(stride)
}

/// The power fails at that change: which step's state is there afterwards, and how many steps were acknowledged.
fn lose_power_at(point: usize, durable: bool, expected: &Expected) -> (usize, usize, bool) {
    let mut bench = Bench::new(Fault::PowerLoss(point), point as u64, durable);
    let (mut acknowledged, mut unknown) = (0, false);
    for (number, step) in workload().iter().enumerate() {
        bench.clock.advance(1_000);
        match bench.step(number, step) {
            Ok(()) => acknowledged = number + 1,
            Err(error) => {
                unknown = is_unknown(&error);
                break;
            }
        }
    }
    bench.engine = None;
    disk::lose_power(bench.folder.path());
    let engine = try_start(&bench.path(), options(), bench.clock.clone(), bench.ids.clone());
    drop(engine.unwrap_or_else(|error| panic!("power loss at change {point}: the store does not open: {error}")));
    invariants::assert_integrity(&bench.path());
    invariants::assert_hold(&bench.path());
    let found = contents(&bench.path());
    // Some steps change nothing: of equal states the last that may be meant.
    let last = acknowledged + usize::from(unknown);
    let state = (0..=last).rev().find(|state| expected.after[*state] == found);
    let state = state.unwrap_or_else(|| panic!("power loss at change {point}: what is there never was:\n{found}"));
    (state, acknowledged, unknown)
}

fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::Store(store::Error::Unknown(_)))
}

#[test]
fn what_was_acknowledged_survives_power_loss_at_any_write_sync_or_truncate() {
    let expected = expected(true);
    for point in points(expected.changes, 120) {
        let (state, acknowledged, _) = lose_power_at(point, true, &expected);
        assert!(
            state >= acknowledged || expected.after[state] == expected.after[acknowledged],
            "power loss at change {point}: {acknowledged} steps were acknowledged, {state} are there"
        );
    }
}

/// The proof that the test above bites: without the syncs it finds loss. What is left is an earlier state, never a mix.
#[test]
fn without_full_sync_the_same_power_loss_is_seen_to_lose() {
    let expected = expected(false);
    let lost = points(expected.changes, 60).filter(|point| {
        let (state, acknowledged, _) = lose_power_at(*point, false, &expected);
        state < acknowledged && expected.after[state] != expected.after[acknowledged]
    });
    assert!(lost.count() > 0, "synchronous=NORMAL lost nothing: this disk does not test anything");
}

/// A disk that fails once: each caller is told, what failed is not there or wholly there, and doing it again succeeds.
fn survives(fault: Fault, expected: &Expected) {
    let mut bench = Bench::new(fault, 7, true);
    let disk = disk::insert(bench.folder.path(), fault, 7);
    for (number, step) in workload().iter().enumerate() {
        bench.clock.advance(1_000);
        for time in 0.. {
            let Err(error) = bench.step(number, step) else { break };
            assert!(time < 5, "{fault:?}: step {number} does not get through: {error}");
            assert!(matches!(error, Error::Store(_)), "{fault:?}: step {number}: {error}");
            let found = contents(&bench.path());
            let done = found == expected.after[number + 1];
            let undone = found == expected.after[number];
            assert!(
                undone || (done && is_unknown(&error)),
                "{fault:?}: step {number} is told {error}, and left:\n{found}"
            );
            if done {
                break;
            }
        }
        assert_eq!(contents(&bench.path()), expected.after[number + 1], "{fault:?}: step {number} was acknowledged");
    }
    bench.engine = None;
    assert!(disk.lock().expect("nobody panics with it").has_failed(), "{fault:?} never came");
    drop(disk);
    disk::lose_power(bench.folder.path());
    invariants::assert_integrity(&bench.path());
    invariants::assert_hold(&bench.path());
    assert_eq!(Some(&contents(&bench.path())), expected.after.last(), "{fault:?}: all of it was acknowledged");
}

#[test]
fn a_write_sync_or_truncate_that_fails_is_told_and_can_be_done_again() {
    let expected = expected(true);
    points(expected.changes, 80).for_each(|point| survives(Fault::Broken(point), &expected));
}

/// How the process ends that had a commit fail.
#[derive(Clone, Copy, Debug)]
enum End {
    /// What was written is there, synced or not.
    Killed,
    PowerLost,
}

/// Runs until a commit fails: whether it is there once the store is opened again. Nothing where none failed.
fn is_there_after(fault: Fault, end: End, expected: &Expected) -> Option<bool> {
    let chance = match fault {
        Fault::Unsynced(at) | Fault::Full(at, _) => at as u64,
        _ => 1,
    };
    let mut bench = Bench::new(fault, chance, true);
    let steps = workload();
    // Another program has the store open: the log is not emptied when a failed commit's connection is closed.
    let other = Connection::open(bench.path()).expect("the store opens");
    other.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("SQLite knows it");
    other.query_row("SELECT count(*) FROM job", [], |_| Ok(())).expect("it can be read");
    let failed = steps.iter().enumerate().find_map(|(number, step)| {
        bench.clock.advance(1_000);
        let error = bench.step(number, step).err()?;
        Some((number, error))
    });
    let (number, error) = failed?;
    let again = fast_folder();
    let path = match end {
        End::Killed => {
            // As the file system has it in that moment; memory that processes share is gone.
            for name in ["jobs.db", "jobs.db-wal"] {
                let from = bench.folder.path().join(name);
                if from.exists() {
                    std::fs::copy(from, again.path().join(name)).expect("a copy");
                }
            }
            again.path().join("jobs.db")
        }
        End::PowerLost => {
            bench.engine = None;
            drop(other);
            disk::lose_power(bench.folder.path());
            bench.path()
        }
    };
    drop(try_start(&path, options(), bench.clock.clone(), bench.ids.clone()).expect("the store opens"));
    invariants::assert_integrity(&path);
    invariants::assert_hold(&path);
    let found = contents(&path);
    let (before, after) = (&expected.after[number], &expected.after[number + 1]);
    let there = found == *after;
    assert!(there || found == *before, "{fault:?}, {end:?}: step {number} was told {error} and left:\n{found}");
    assert!(is_unknown(&error) || !there || before == after, "{fault:?}, {end:?}: {error} was told, and it is there");
    (is_unknown(&error) && before != after).then_some(there)
}

/// A failed commit has an unknown outcome: whoever is told so finds all of it afterwards, or nothing.
#[test]
fn a_commit_that_failed_is_wholly_there_after_a_restart_or_not_at_all() {
    let expected = expected(true);
    for end in [End::Killed, End::PowerLost] {
        let unsynced = points(expected.syncs, 40).map(Fault::Unsynced);
        let full = points(expected.writes, 60).map(|at| Fault::Full(at, usize::MAX / 2));
        let mut seen = [[0; 2]; 2];
        for fault in unsynced.chain(full) {
            if let Some(there) = is_there_after(fault, end, &expected) {
                seen[usize::from(matches!(fault, Fault::Full(..)))][usize::from(there)] += 1;
            }
        }
        let [[unsynced_gone, unsynced_there], [full_gone, full_there]] = seen;
        println!(
            "{end:?}: commits that failed: not synced {unsynced_there} there and {unsynced_gone} not, \
             on a full disk {full_there} there and {full_gone} not"
        );
        match end {
            End::Killed => assert!(unsynced_there > 0, "no commit that failed is there"),
            End::PowerLost => assert!(unsynced_gone > 0, "every commit that failed is there"),
        }
        assert!(full_gone > 0, "{end:?}: no commit failed on a full disk");
    }
}

/// A store that was being made when the power failed can be made again.
#[test]
fn a_store_that_is_being_made_survives_power_loss_at_any_write_sync_or_truncate() {
    let make = |fault, chance| {
        let folder = fast_folder();
        let disk = disk::insert(folder.path(), fault, chance);
        let (clock, ids) = (Arc::new(TestClock::new()), Arc::new(TestIds::new()));
        let options = store::SqliteOptions { vfs: Some(disk::VFS), ..options() };
        drop(try_start(&folder.path().join("jobs.db"), options, clock, ids));
        (folder, disk)
    };
    let (_folder, whole) = make(Fault::None, 1);
    let changes = whole.lock().expect("nobody panics with it").changes;
    assert!(changes > 50, "the store is not made on this disk");
    for point in points(changes, 60) {
        let (folder, _) = make(Fault::PowerLoss(point), point as u64);
        disk::lose_power(folder.path());
        let path = folder.path().join("jobs.db");
        let again = try_start(&path, options(), Arc::new(TestClock::new()), Arc::new(TestIds::new()));
        drop(again.unwrap_or_else(|error| panic!("power loss at change {point}: {error}")));
        invariants::assert_integrity(&path);
        invariants::assert_hold(&path);
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_is_told_and_loses_nothing() {
    let expected = expected(true);
    points(expected.writes, 50).for_each(|point| survives(Fault::Full(point, 3), &expected));
}

#[test]
fn a_read_that_fails_is_told_and_changes_nothing() {
    let expected = expected(true);
    points(expected.reads, 40).for_each(|point| survives(Fault::Unreadable(point), &expected));
}

#[test]
fn a_lock_that_fails_is_told_and_changes_nothing() {
    let expected = expected(true);
    points(expected.locks, 40).for_each(|point| survives(Fault::Unlockable(point), &expected));
}
