//! The store's log stays short, whoever reads.

use crate::support::Store;
use errand::engine::{Class, Engine, LogTold, NewJob, Settings, Submit};
use errand::store::{Sqlite, SqliteOptions};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;

const MIB: u64 = 1 << 20;

fn engine(store: &Store) -> Arc<Engine> {
    let options = SqliteOptions { durable: false, create: true, busy_timeout: Duration::from_secs(30), vfs: None };
    let sqlite = Sqlite::open(&store.path(), options).expect("the store opens");
    Engine::start(Arc::new(sqlite), Settings { upkeep: false, ..Settings::default() }).expect("an engine")
}

/// Stores so many MiB in one commit.
fn write(engine: &Engine, mib: usize) {
    let submit = Submit { workspace: "default".into(), job_type: "t".into(), ..Submit::default() };
    let payload = format!("\"{}\"", "x".repeat(MIB as usize - 2));
    let jobs = vec![NewJob { payload: Some(payload.into()), ..NewJob::default() }; mib];
    let created = engine.write(Class::Bulk, move |work| work.create_batch(&submit, None, &jobs), |_| {});
    created.expect("nobody else writes").expect("the disk has room");
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
