//! Opening a store: together, as what it is not, and where it cannot be.

use crate::program::Place;
use crate::support::Store;
use errand::api::{self, Code, OpenOptions};
use std::process::Stdio;

#[test]
fn processes_that_make_one_database_at_the_same_time_all_open_it() {
    for _ in 0..5 {
        let place = Place::new();
        let start =
            |_| place.errand(&["jobs", "create", "--type", "t"]).stdout(Stdio::null()).spawn().expect("it starts");
        let processes: Vec<_> = (0..8).map(start).collect();
        for mut process in processes {
            assert!(process.wait().expect("a child").success());
        }
        assert_eq!(place.ask(&["jobs", "stats"])["total"], 8);
    }
}

#[test]
fn two_clients_of_one_file_share_one_engine() {
    let store = Store::new();
    let (one, other) = (store.open(), store.open());
    crate::support::get(&*one, "jobs.create", r#"{:job-type "t"}"#);
    one.close();
    let stats = crate::support::get(&*other, "jobs.stats", "{}");
    assert_eq!(stats.get("total"), Some(&1.into()));
    let error = crate::support::ask(&*one, "jobs.stats", "{}").expect_err("it is closed");
    assert_eq!(error.code, Code::Closed);
}

#[test]
fn one_file_cannot_be_open_with_two_sync_levels() {
    let store = Store::new();
    let _full = store.open();
    let error = api::open(&store.path(), OpenOptions { durable: false, ..OpenOptions::default() }).err();
    let error = error.expect("the levels differ");
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.contains("\"full\"") && error.message.contains("\"normal\""), "{}", error.message);
}

/// The names of what stands in a folder.
fn names(folder: &std::path::Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

fn refused(path: &std::path::Path, create: bool) -> api::Error {
    let options = OpenOptions { create, busy_timeout_ms: 100, ..OpenOptions::default() };
    api::open(path, options).err().expect("it cannot be opened")
}

#[test]
fn what_is_no_database_of_ours_is_told_and_left_alone() {
    let store = Store::new();
    let text = store.folder().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to look like a page of one ".repeat(20)).expect("a file");
    let before = std::fs::read(&text).expect("a file");
    let error = refused(&text, true);
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.contains("not a database"), "{}", error.message);
    assert_eq!(std::fs::read(&text).expect("a file"), before);
    assert_eq!(names(store.folder()), ["notes.txt"]);

    let other = store.folder().join("other.db");
    let connection = rusqlite::Connection::open(&other).expect("a database");
    connection.execute_batch("CREATE TABLE theirs (x)").expect("a table");
    drop(connection);
    let error = refused(&other, true);
    assert!(error.message.contains("belongs to another program"), "{}", error.message);
    assert_eq!(names(store.folder()), ["notes.txt", "other.db"]);
}

#[test]
fn a_newer_schema_is_refused() {
    let store = Store::new();
    store.open().close();
    let connection = rusqlite::Connection::open(store.path()).expect("a database");
    connection.execute_batch("PRAGMA user_version = 999").expect("a version");
    drop(connection);
    let error = refused(&store.path(), true);
    assert!(error.message.contains("newer version of Errand") && error.message.contains("999"), "{}", error.message);
}

#[test]
fn a_missing_folder_a_missing_file_and_a_folder_are_told() {
    let store = Store::new();
    for create in [true, false] {
        let error = refused(&store.folder().join("none/jobs.db"), create);
        assert_eq!(error.code, Code::NotFound);
        assert!(error.message.ends_with("none\" does not exist; make it first"), "{}", error.message);
    }
    let error = refused(&store.path(), false);
    assert_eq!(error.code, Code::NotFound);
    assert!(!store.path().exists());
    let error = refused(store.folder(), true);
    assert!(error.message.contains("is not a file"), "{}", error.message);
}

/// A store as an older program left it, which is open in one.
fn older(store: &Store) -> std::fs::File {
    store.open().close();
    let connection = rusqlite::Connection::open(store.path()).expect("a database");
    connection.execute_batch("PRAGMA user_version = 0; PRAGMA application_id = 0").expect("an older version");
    let tables = "SELECT group_concat('DROP TABLE ' || name, ';') FROM sqlite_schema WHERE type = 'table'";
    let drops: String = connection.query_row(tables, [], |row| row.get(0)).expect("the tables");
    connection.execute_batch(&drops).expect("an empty database");
    drop(connection);
    let lock = std::fs::File::open(store.folder().join("jobs.db-lock")).expect("the sidecar");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared).expect("an older opener");
    lock
}

#[test]
fn a_migration_waits_for_older_openers_and_then_says_so() {
    let store = Store::new();
    let lock = older(&store);
    let error = refused(&store.path(), true);
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("older schema"), "{}", error.message);
    drop(lock);
    store.open().close();
}

#[test]
fn who_waits_for_one_file_to_open_keeps_nobody_from_another() {
    let (slow, other) = (Store::new(), Store::new());
    let lock = older(&slow);
    let path = slow.path();
    let (tell, told) = std::sync::mpsc::channel();
    let opening = std::thread::spawn(move || {
        let _ = tell.send(false);
        let opened = api::open(&path, OpenOptions { busy_timeout_ms: 600_000, ..OpenOptions::default() });
        opened.map(|client| client.close()).expect("it is free at last");
        let _ = tell.send(true);
    });
    assert_eq!(told.recv(), Ok(false));
    let waiting = slow.folder().join("jobs.db-wal");
    crate::program::eventually("the first is at the file", || waiting.exists() || told.try_recv().is_ok());
    other.open().close();
    assert!(told.try_recv().is_err(), "the first file is opened only when its older program is gone");
    drop(lock);
    opening.join().expect("it opens");
}

#[test]
fn threads_that_open_one_file_under_several_names_share_one_engine() {
    let store = Store::new();
    let link = store.folder().join("link.db");
    std::os::unix::fs::symlink("jobs.db", &link).expect("a link");
    store.open().close();
    let names = [store.path(), link, store.folder().join("./jobs.db")];
    std::thread::scope(|scope| {
        for name in names.iter().cycle().take(12) {
            scope.spawn(move || {
                let client = api::open(name, OpenOptions::default()).expect("it opens");
                crate::support::get(&*client, "jobs.create", r#"{:job-type "t"}"#);
                client.close();
            });
        }
    });
    assert_eq!(crate::support::get(&*store.open(), "jobs.stats", "{}").get("total"), Some(&12.into()));
}

#[test]
fn the_files_of_a_store_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::new();
    let client = store.open();
    crate::support::get(&*client, "jobs.create", r#"{:job-type "t"}"#);
    for file in std::fs::read_dir(store.folder()).expect("a folder").flatten() {
        let mode = file.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}
