//! The store's log stays short, whoever reads.

use crate::support::Store;
use errand::engine::{Class, Engine, LogTold, NewJob, Settings, Submit, Work};
use errand::store::{Sqlite, SqliteOptions};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const MIB: u64 = 1 << 20;

fn engine(store: &Store) -> Arc<Engine> {
    engine_with(store, Settings { upkeep: false, ..Settings::default() })
}

fn engine_with(store: &Store, settings: Settings) -> Arc<Engine> {
    let options = SqliteOptions { durable: false, create: true, busy_timeout: Duration::from_secs(30), vfs: None };
    let sqlite = Sqlite::open(&store.path(), options).expect("the store opens");
    Engine::start(Arc::new(sqlite), settings).expect("an engine")
}

/// Stores so many MiB in one commit.
fn write(engine: &Engine, mib: usize) {
    let submit = Submit { workspace: "default".into(), job_type: "t".into(), ..Submit::default() };
    let payload = format!("\"{}\"", "x".repeat(MIB as usize - 2));
    let jobs = vec![NewJob { payload: Some(payload.into()), ..NewJob::default() }; mib];
    let created = engine.write(Class::Bulk, move |work| work.create_batch(&submit, None, &jobs), |_| {});
    created.expect("nobody else writes").expect("the disk has room");
}

/// Stores one small job.
fn small(engine: &Engine) {
    let submit = Submit { workspace: "default".into(), job_type: "t".into(), ..Submit::default() };
    let create = move |work: &mut Work| work.create(&submit, &NewJob::default());
    let created = engine.write_within(Class::Bulk, Duration::from_secs(600), create, |_| {});
    created.expect("its commit ends").expect("the disk has room");
}

fn log_bytes(store: &Store) -> u64 {
    store.folder().join("jobs.db-wal").metadata().expect("it is there").len()
}

#[test]
fn a_long_reader_makes_the_log_long_is_told_of_and_afterwards_the_log_is_emptied() {
    let store = Store::new();
    let engine = engine(&store);
    write(&engine, 1);
    let reader = Connection::open(store.path()).expect("the store opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM job").expect("a state to read");
    write(&engine, 40);
    let mut told = LogTold::default();
    assert_eq!(engine.shorten_log(&mut told), None, "it is not large yet");
    write(&engine, 40);
    let notice = engine.shorten_log(&mut told).expect("it is large, and cannot be emptied");
    assert!(notice.event == "log-large" && notice.message.contains(" MiB: a program has been reading"), "{notice:?}");
    assert!(log_bytes(&store) > 80 * MIB);
    assert_eq!(engine.shorten_log(&mut told), None, "it was told");
    reader.execute_batch("COMMIT").expect("it was begun");
    assert_eq!(engine.shorten_log(&mut told), None);
    assert_eq!(log_bytes(&store), 0);
    engine.close();
}

#[test]
fn a_log_that_one_commit_made_long_is_cut_down_by_the_next_ones() {
    let store = Store::new();
    let engine = engine(&store);
    write(&engine, 90);
    assert!(log_bytes(&store) > 90 * MIB);
    write(&engine, 1);
    assert!(log_bytes(&store) <= 64 * MIB, "{}", log_bytes(&store));
    engine.close();
}

/// One of two readers who hand over: begins to read a state, tells of it, and reads on until the other has begun after
/// that. One of them waits for the other's first beginning before its own.
fn hand_over(store: &Store, tell: &Sender<()>, other: &Receiver<()>, over: &AtomicBool, waits: bool) {
    let reader = Connection::open(store.path()).expect("the store opens");
    if waits {
        let _ = other.recv();
    }
    while !over.load(Ordering::Relaxed) {
        reader.execute_batch("BEGIN; SELECT count(*) FROM job").expect("a state to read");
        // There is no other any more where both are to end.
        let _ = tell.send(());
        let _ = other.recv();
        reader.execute_batch("COMMIT").expect("it was begun");
    }
}

/// Ends the threads of a test, however it ends itself.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_log_is_emptied_though_there_is_never_a_moment_without_a_reader() {
    let store = Store::new();
    let engine = engine(&store);
    write(&engine, 1);
    let reader = Connection::open(store.path()).expect("the store opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM job").expect("a state to read");
    write(&engine, 80);
    let ((one, first), (other, second)) = (channel(), channel());
    let flag = AtomicBool::new(false);
    thread::scope(|scope| {
        let (store, engine, flag) = (&store, &engine, &flag);
        let over = Over(flag);
        scope.spawn(move || hand_over(store, &one, &second, flag, false));
        scope.spawn(move || hand_over(store, &other, &first, flag, true));
        scope.spawn(move || (0..5_000).take_while(|_| !flag.load(Ordering::Relaxed)).for_each(|_| small(engine)));
        drop(reader);
        let emptied = (0..500).any(|_| {
            engine.shorten_log(&mut LogTold::default());
            log_bytes(store) <= 64 * MIB
        });
        drop(over);
        assert!(emptied, "{} bytes", log_bytes(store));
    });
    engine.close();
}

#[test]
fn commits_move_the_log_into_the_file_now_and_then_also_while_readers_overlap_and_not_each_time() {
    let store = Store::new();
    let engine = engine(&store);
    write(&engine, 1);
    let mut readers = [(); 2].map(|()| Connection::open(store.path()).expect("the store opens"));
    let begin = |reader: &Connection| reader.execute_batch("BEGIN; SELECT count(*) FROM job").expect("a state to read");
    begin(&readers[0]);
    write(&engine, 40);
    let moved = || store.path().metadata().and_then(|found| found.modified()).expect("it is there");
    let before = moved();
    for _ in 0..20 {
        begin(&readers[1]);
        readers[0].execute_batch("COMMIT").expect("it was begun");
        readers.swap(0, 1);
        small(&engine);
    }
    assert_eq!(moved(), before);
    write(&engine, 20);
    assert!(moved() > before);
    drop(readers);
    engine.close();
}

#[test]
fn the_log_is_looked_at_also_while_pruning_takes_long() {
    let store = Store::new();
    let ((began, begun), (over, ends), (told, notices)) = (channel(), channel::<()>(), channel());
    let (began, ends, told) = (Mutex::new(began), Mutex::new(ends), Mutex::new(told));
    let settings = Settings {
        prune_every: Duration::from_millis(1),
        after_prune: Arc::new(move |_| {
            // Nobody listens any more where the test is over.
            let _ = began.lock().expect("nobody panics with it").send(());
            let _ = ends.lock().expect("nobody panics with it").recv();
        }),
        tell: Arc::new(move |notice| {
            let _ = told.lock().expect("nobody panics with it").send(notice.event);
        }),
        ..Settings::default()
    };
    let engine = engine_with(&store, settings);
    begun.recv().expect("it prunes");
    write(&engine, 1);
    let reader = Connection::open(store.path()).expect("the store opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM job").expect("a state to read");
    write(&engine, 80);
    assert_eq!(notices.recv_timeout(Duration::from_secs(100)), Ok("log-large"));
    drop(over);
    drop(reader);
    engine.close();
}
