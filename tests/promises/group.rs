//! Operations that share a commit: each is told its own truth, and what befalls the commit befalls all.

use super::disk::{self, Fault};
use super::invariants;
use super::live::{LONG, Live, claim, end, new_job, submit, wait_for_end_of};
use super::world::{TestClock, TestIds, WORKSPACE, complete, fast_folder, make_store, options, start};
use errand::engine::{Class, End, Engine, Error, NewJob, Result, Work};
use errand::job::{Ending, Status};
use errand::store::{self, SqliteOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
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
fn a_group_whose_commit_fails_is_told_so_and_is_there_wholly_or_not() {
    let folder = fast_folder();
    let path = folder.path().join("jobs.db");
    make_store(&path);
    let disk = disk::insert(folder.path(), Fault::None, 3);
    let options = SqliteOptions { vfs: Some(disk::VFS), ..options() };
    let engine = start(&path, options, Arc::new(TestClock::new()), Arc::new(TestIds::new()));
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

#[test]
fn an_end_whose_commit_fails_is_told_to_nobody_until_it_is_there() {
    let folder = fast_folder();
    let path = folder.path().join("jobs.db");
    make_store(&path);
    let disk = disk::insert(folder.path(), Fault::None, 3);
    let options = SqliteOptions { vfs: Some(disk::VFS), ..options() };
    let engine = start(&path, options, Arc::new(TestClock::new()), Arc::new(TestIds::new()));
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
    let claim = || ask(&engine, |work| work.claim(&super::live::claim_of("broken")).map(drop));
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
