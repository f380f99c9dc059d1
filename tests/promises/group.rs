//! Operations that share a commit: each is told its own truth, and what befalls the commit befalls all.

use super::disk::{self, Disk, Fault};
use super::invariants;
use super::live::{LONG, Live, PlainClaim, claim, claim_of, end, new_job, submit, wait_for_end_of, write};
use super::world::{TestClock, TestIds, WORKSPACE, complete, fast_folder, make_store, options, start};
use errand::engine::{
    Bound, Claim, Claiming, Class, End, Engine, Error, JobView, NewJob, Now, Result, Submit, Waited, Work,
};
use errand::job::{Ending, Status};
use errand::store::{self, Rows, SqliteOptions};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Runs `ask` while the writer is busy, so that all that it asks for shares one commit.
fn in_one_group<T>(engine: &Arc<Engine>, ask: impl FnOnce() -> T) -> T {
    let (begun, has_begun) = channel();
    let (end, may_end) = channel::<()>();
    let other = engine.clone();
    let thread = std::thread::spawn(move || {
        super::live::write(&other, Class::Urgent, move |_| {
            begun.send(()).ok();
            may_end.recv().ok();
            Ok(())
        });
    });
    has_begun.recv_timeout(LONG).expect("the writer is busy");
    let asked = ask();
    drop(end);
    thread.join().expect("its operation is done");
    asked
}

fn ask(engine: &Arc<Engine>, mut op: impl FnMut(&mut Work) -> Result<()> + Send + 'static) -> Receiver<Result<()>> {
    let (told, tell) = channel();
    let again = told.clone();
    if let Some(result) = engine.write(Class::Bulk, move |work| op(work), move |result| drop(told.send(result))) {
        drop(again.send(result));
    }
    tell
}

fn create(engine: &Arc<Engine>) -> Receiver<Result<()>> {
    let submit = new_job("kind");
    ask(engine, move |work| work.create(&submit, &NewJob::default()).map(|_| ()))
}

fn jobs(path: &Path) -> i64 {
    let store = rusqlite::Connection::open(path).expect("the store opens");
    store.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).expect("the query gives a number")
}

#[test]
fn a_refusal_or_a_panic_in_a_group_is_its_own_callers_business() {
    let live = Live::new();
    let engine = live.engine();
    let submit = new_job("kind");
    let (made, refused, panicked) = in_one_group(&engine, || {
        let made: Vec<_> = (0..5).map(|_| create(&engine)).collect();
        let refused = ask(&engine, |work| work.cancel(WORKSPACE, "nobody", None).map(|_| ()));
        let panicked = ask(&engine, move |work| {
            work.create(&submit, &NewJob::default())?;
            panic!("this caller is broken")
        });
        (made.into_iter().chain((0..5).map(|_| create(&engine))).collect::<Vec<_>>(), refused, panicked)
    });
    assert!(made.iter().all(|made| matches!(made.recv_timeout(LONG), Ok(Ok(())))));
    assert!(matches!(refused.recv_timeout(LONG), Ok(Err(Error::NoJob(_)))));
    assert!(matches!(panicked.recv_timeout(LONG), Ok(Err(Error::Panicked(_)))));
    assert_eq!(jobs(&live.path()), 10);
    invariants::assert_hold(&live.path());
}

#[test]
fn an_operation_that_is_undone_leaves_its_batch_as_the_others_left_it() {
    let live = Live::new();
    let engine = live.engine();
    let submit = new_job("kind");
    write(&engine, Class::Bulk, move |work| {
        let jobs: Vec<_> = (0..6).map(|_| NewJob::default()).collect();
        work.create_batch(&submit, None, &jobs).map(|_| ())
    });
    let claim = |refused: bool| {
        ask(&engine, move |work| {
            work.claim(&claim_of("kind"))?;
            if refused { Err(Error::NoJob("it broke after that".into())) } else { Ok(()) }
        })
    };
    let told = in_one_group(&engine, || [false, true, false, true, true, false].map(claim));
    let kept: Vec<bool> = told.map(|told| told.recv_timeout(LONG).expect("everybody is told").is_ok()).into();
    assert_eq!(kept, [true, false, true, false, false, true]);
    invariants::assert_hold(&live.path());
    let counts = "SELECT leased * 10 + queued FROM batch";
    let store = rusqlite::Connection::open(live.path()).expect("the store opens");
    assert_eq!(store.query_row(counts, [], |row| row.get::<_, i64>(0)).expect("one batch"), 33);
}

#[test]
fn a_group_whose_commit_fails_is_told_so_and_is_there_wholly_or_not() {
    let folder = fast_folder();
    let path = folder.path().join("jobs.db");
    let (engine, disk) = on_a_faulty_disk(folder.path());
    let asked = in_one_group(&engine, || {
        let asked: Vec<_> = (0..10).map(|_| create(&engine)).collect();
        disk.lock().expect("nobody panics with it").fail_next_sync();
        asked
    });
    for told in asked {
        let told = told.recv_timeout(LONG).expect("everybody is told");
        assert!(matches!(told, Err(Error::Store(store::Error::Unknown(_)))), "{told:?}");
    }
    assert!([0, 10].contains(&jobs(&path)), "{} of 10 are there", jobs(&path));
    assert!(matches!(create(&engine).recv_timeout(LONG), Ok(Ok(()))), "the store is used again");
    drop(engine);
    disk::lose_power(folder.path());
    invariants::assert_integrity(&path);
    invariants::assert_hold(&path);
}

/// An engine on a disk that can be told to fail.
fn on_a_faulty_disk(folder: &Path) -> (Arc<Engine>, Arc<Mutex<Disk>>) {
    let path = folder.join("jobs.db");
    make_store(&path);
    let disk = disk::insert(folder, Fault::None, 3);
    let options = SqliteOptions { vfs: Some(disk::VFS), ..options() };
    (start(&path, options, Arc::new(TestClock::new()), Arc::new(TestIds::new())), disk)
}

fn keyed(kind: &str) -> Submit {
    Submit { idempotency_key: Some("key".into()), ..new_job(kind) }
}

#[test]
fn a_refusal_that_rests_on_a_commit_that_fails_is_not_told() {
    let folder = fast_folder();
    let (engine, disk) = on_a_faulty_disk(folder.path());
    let submit = |kind: &str| {
        let submit = keyed(kind);
        ask(&engine, move |work| work.create(&submit, &NewJob::default()).map(|_| ()))
    };
    let cancel = || ask(&engine, |work| work.cancel(WORKSPACE, "nobody", None).map(|_| ()));
    let claim = || ask(&engine, |work| work.claim(&claim_of("kind")).map(drop));
    let (before, nothing, made, taken, after) = in_one_group(&engine, || {
        let asked = (cancel(), claim(), submit("kind"), submit("other"), cancel());
        disk.lock().expect("nobody panics with it").fail_next_sync();
        asked
    });
    let told = |told: Receiver<Result<()>>| told.recv_timeout(LONG).expect("everybody is told");
    let unknown = |told: Result<()>| assert!(matches!(told, Err(Error::Store(store::Error::Unknown(_)))), "{told:?}");
    assert!(matches!(told(before), Err(Error::NoJob(_))), "it came before anything was written");
    told(nothing).expect("there was nothing before anything was written");
    unknown(told(made));
    // It was told that its key had made a job, which may not be there.
    unknown(told(taken));
    unknown(told(after));
}

/// A claim that refuses what it finds.
struct Refusing(PlainClaim);

impl Claiming for Refusing {
    type Given = JobView;

    fn claim(&self) -> &Claim {
        self.0.claim()
    }

    fn look(&self, rows: &mut dyn Rows, now: Now) -> Result<bool> {
        self.0.look(rows, now)
    }

    fn run(&self, work: &mut Work) -> Result<Option<JobView>> {
        let (rows, now) = work.rows();
        if self.look(rows, now)? { Err(Error::Invalid("a job is there".into())) } else { Ok(None) }
    }

    fn undo(&self, _work: &mut Work, _given: &JobView) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_claim_is_not_told_of_a_job_whose_commit_it_shared_and_which_failed() {
    let folder = fast_folder();
    let (engine, disk) = on_a_faulty_disk(folder.path());
    let (told, tell) = channel();
    let done = move |result: Result<Option<JobView>>| drop(told.send(result));
    let waits = engine.claim(Refusing(PlainClaim(claim_of("kind"))), Bound::after_ms(600_000, None), done);
    assert!(matches!(waits, Waited::Later(_)), "there is no job yet");
    disk.lock().expect("nobody panics with it").fail_next_sync();
    let made = create(&engine).recv_timeout(LONG).expect("it is told");
    assert!(matches!(made, Err(Error::Store(store::Error::Unknown(_)))), "{made:?}");
    let told = tell.recv_timeout(LONG).expect("it shared the commit");
    assert!(matches!(told, Err(Error::Store(store::Error::Unknown(_)))), "{:?}", told.map(drop));
}

#[test]
fn an_end_whose_commit_fails_is_told_to_nobody_until_it_is_there() {
    let folder = fast_folder();
    let (engine, disk) = on_a_faulty_disk(folder.path());
    for in_the_commit in [true, false] {
        let job = submit(&engine, "kind");
        let (_, token) = claim(&engine, "kind").expect("it is due");
        let ended = wait_for_end_of(&engine, End { little: in_the_commit, ..end(&job) });
        let completed = || {
            let (job, token) = (job.clone(), token.clone());
            ask(&engine, move |work| {
                work.settle(WORKSPACE, &job, &token, &complete(Ending::Succeeded, "done")).map(drop)
            })
        };
        disk.lock().expect("nobody panics with it").fail_next_sync();
        let told = completed().recv_timeout(LONG).expect("it is told");
        assert!(matches!(told, Err(Error::Store(store::Error::Unknown(_)))), "{told:?}");
        let there = engine.read(|rows, _| Ok(rows.job_by_id(&job)?.expect("it is there").facts.status));
        if there.expect("the store is read") == Status::Succeeded {
            assert_eq!(ended.recv_timeout(LONG), Ok(Status::Succeeded));
            continue;
        }
        assert!(ended.try_recv().is_err(), "it has not ended");
        completed().recv_timeout(LONG).expect("it is told").expect("it is completed");
        assert_eq!(ended.recv_timeout(LONG), Ok(Status::Succeeded));
    }
}

#[test]
fn operations_that_cannot_even_begin_are_told_so() {
    let folder = fast_folder();
    let path = folder.path().join("jobs.db");
    make_store(&path);
    let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..options() };
    let engine = start(&path, options, Arc::new(TestClock::new()), Arc::new(TestIds::new()));
    let other = rusqlite::Connection::open(&path).expect("the store opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let asked: Vec<_> = (0..3).map(|_| create(&engine)).collect();
    for told in asked {
        let told = told.recv_timeout(LONG).expect("everybody is told");
        assert!(matches!(told, Err(Error::Store(store::Error::Busy(_)))), "{told:?}");
    }
    other.execute_batch("ROLLBACK").expect("it is open");
    assert!(matches!(create(&engine).recv_timeout(LONG), Ok(Ok(()))), "the store is free again");
}

#[test]
fn a_broken_row_in_a_group_is_the_trouble_of_the_one_that_meets_it() {
    let live = Live::new();
    let engine = live.engine();
    super::live::submit(&engine, "broken");
    let store = rusqlite::Connection::open(live.path()).expect("the store opens");
    store.execute_batch("DELETE FROM job_body").expect("it is written");
    drop(store);
    let claim = || ask(&engine, |work| work.claim(&claim_of("broken")).map(drop));
    let (before, broken, after) = in_one_group(&engine, || (create(&engine), claim(), create(&engine)));
    let told = |told: Receiver<Result<()>>| told.recv_timeout(LONG).expect("it is told");
    assert!(matches!(told(broken), Err(Error::Store(store::Error::Corrupt(_)))));
    told(before).expect("it is there");
    told(after).expect("it is there");
}

#[test]
fn what_is_urgent_does_not_wait_for_all_that_was_there_before() {
    let live = Live::new();
    let engine = live.engine();
    let (ran, order) = channel();
    let bulk = |name: &'static str, urgent: bool| {
        let (ran, asked) = (ran.clone(), engine.clone());
        let op = move |_: &mut Work| {
            ran.send(name).ok();
            if urgent {
                let ran = ran.clone();
                let urgent = move |_: &mut Work| {
                    ran.send("urgent").ok();
                    Ok(())
                };
                asked.write(Class::Urgent, urgent, |_| {});
            }
            // Longer than one commit takes operations in.
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_millis(30) {}
            Ok(())
        };
        let (tell, told) = channel();
        engine.write(Class::Bulk, op, move |result| drop(tell.send(result)));
        told
    };
    let all = in_one_group(&engine, || [bulk("first", false), bulk("second", true), bulk("third", false)]);
    for told in all {
        told.recv_timeout(LONG).expect("it is told").expect("it is done");
    }
    let order: Vec<_> = (0..4).map(|_| order.recv_timeout(LONG).expect("it ran")).collect();
    assert_eq!(order, ["first", "second", "urgent", "third"]);
}
