//! `errand backup` and `errand restore`: under load, cut short, and where they must not go.

use super::sample::{self, BYTES, blob};
use crate::program::{Place, entries, succeeded};
use crate::support::{Store, ask, at, get, text};
use errand::api::{self, BackupOptions, BytesTo, CheckOptions, Client, Code, RestoreOptions};
use errand::value::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn to(path: PathBuf) -> BackupOptions {
    BackupOptions {
        to: path,
        bytes: BytesTo::Beside,
        force: false,
        unchecked: false,
        busy_timeout: Duration::from_secs(30),
    }
}

fn back(from: &Path, to: &Path) -> RestoreOptions {
    let (from, to) = (from.to_path_buf(), to.to_path_buf());
    RestoreOptions {
        from,
        to,
        bytes: None,
        force: false,
        take_files: false,
        unchecked: false,
        busy_timeout: Duration::from_secs(30),
    }
}

fn is_whole(path: &Path) -> bool {
    api::check(path, &CheckOptions { deep: true, ..CheckOptions::default() }).expect("it can be looked at").whole
}

/// Submits, and notes what was acknowledged; claims and completes some of it.
fn load(client: &dyn Client, acknowledged: &Mutex<Vec<String>>, stop: &AtomicBool) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let made = get(client, "jobs.create", &format!("{{:job-type \"load\" :payload {{:n {number}}}}}"));
        acknowledged.lock().expect("the list").push(text(&made, &["job", "job-id"]).into());
        if number % 3 == 0 {
            let claimed = get(client, "jobs.claim", r#"{:job-type "load" :worker-id "w"}"#);
            if let Some(job) = claimed.get("job").filter(|job| **job != Value::Nil) {
                let (job, token) = (text(job, &["job-id"]), text(job, &["lease-token"]));
                get(client, "jobs.complete", &format!("{{:job-id {job:?} :lease-token {token:?}}}"));
            }
        }
    }
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before_it_and_works_to_the_end() {
    let place = Place::new();
    let client = api::open(&place.store(), sample::options()).expect("the store opens");
    let (leased, token) = sample::fill(&*client);
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let known = std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| load(&*client, &acknowledged, &stop))));
        crate::program::eventually("there is load", || acknowledged.lock().expect("the list").len() > 50);
        let known = acknowledged.lock().expect("the list").clone();
        let answer = place.errand(&["backup", "--to", "copy.db"]).output();
        stop.store(true, Ordering::Relaxed);
        let answer = crate::program::json(&answer.expect("it runs").stdout);
        assert_eq!((&answer["ok"], &answer["data"]["checked"]), (&true.into(), &true.into()), "{answer}");
        known
    });
    client.close();
    let copy = place.path("copy.db");
    assert_eq!(copy.metadata().expect("the copy").permissions().mode() & 0o777, 0o600);
    assert!(!place.path("copy.db-wal").exists() && is_whole(&copy));
    place.ask(&["restore", "--from", "copy.db", "--to", "restored.db"]);
    assert!(is_whole(&place.path("restored.db")));
    let restored = api::open(&place.path("restored.db"), sample::options()).expect("it opens");
    for id in &known {
        get(&*restored, "jobs.get", &format!("{{:job-id {id:?}}}"));
    }
    // A worker that had a job goes on with it, and a submission under a known key is the known one.
    get(&*restored, "jobs.complete", &format!("{{:job-id {leased:?} :lease-token {token:?}}}"));
    let again = r#"{:job-type "queued" :payload {:n 1} :idempotency-key "key"}"#;
    let types = |client: &dyn Client| at(&get(client, "jobs.stats", "{}"), &["total"]).clone();
    let before = types(&*restored);
    get(&*restored, "jobs.create", again);
    assert_eq!(types(&*restored), before);
    loop {
        let claimed = get(&*restored, "jobs.claim", r#"{:job-type "load" :worker-id "w"}"#);
        let Some(job) = claimed.get("job").filter(|job| **job != Value::Nil) else { break };
        let (job, token) = (text(job, &["job-id"]), text(job, &["lease-token"]));
        get(&*restored, "jobs.complete", &format!("{{:job-id {job:?} :lease-token {token:?}}}"));
    }
    restored.close();
    assert!(is_whole(&place.path("restored.db")));
}

#[test]
fn in_a_restored_store_every_lease_is_renewed_once_and_then_ends_as_any() {
    let (store, leased, token) = sample::store();
    let copy = store.folder().join("copy.db");
    let connection = rusqlite::Connection::open(store.path()).expect("the store opens");
    connection
        .execute_batch("UPDATE job SET lease_until_ms = 1, lease_ms = 1000 WHERE status = 'leased'")
        .expect("a change");
    drop(connection);
    api::backup(&store.path(), &to(copy.clone())).expect("a backup");
    let restored = store.folder().join("restored.db");
    api::restore(&back(&copy, &restored)).expect("it is restored");
    let client = api::open(&restored, sample::options()).expect("it opens");
    let held = format!("{{:job-id {leased:?} :lease-token {token:?} :lease-duration 1000}}");
    get(&*client, "jobs.heartbeat", &held);
    crate::program::eventually("the lease that nobody renews is over", || {
        let job = get(&*client, "jobs.get", &format!("{{:job-id {leased:?}}}"));
        text(&job, &["job", "status"]) == "queued"
    });
    assert_eq!(ask(&*client, "jobs.heartbeat", &held).expect_err("it is lost").code, Code::LeaseLost);
}

#[test]
fn the_bytes_of_files_go_with_a_backup_and_come_back_and_are_not_copied_twice() {
    let (store, ..) = sample::store();
    let folder = store.folder();
    let (copy, shared) = (folder.join("copy.db"), folder.join("shared"));
    let copied = |options: &BackupOptions| {
        let answer = api::backup(&store.path(), options).expect("a backup");
        let number = |name| match answer.get("files").and_then(|files| files.get(name)) {
            Some(Value::Int(number)) => *number,
            other => panic!("{name}: {other:?}"),
        };
        (number("copied"), number("present"))
    };
    let into_shared = BackupOptions { bytes: BytesTo::Folder(shared.clone()), ..to(folder.join("other.db")) };
    assert_eq!(copied(&into_shared), (1, 0));
    assert_eq!(copied(&BackupOptions { force: true, ..into_shared }), (0, 1));
    assert_eq!(copied(&to(copy.clone())), (1, 0));
    assert!(is_whole(&copy), "a copy with its files beside it is a store");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let restored = elsewhere.path().join("jobs.db");
    api::restore(&RestoreOptions { bytes: Some(shared.clone()), ..back(&copy, &restored) }).expect("it is restored");
    assert!(is_whole(&restored));
    assert_eq!(std::fs::read_to_string(blob(&elsewhere.path().join("jobs.db-files"))).expect("bytes"), BYTES);

    std::fs::remove_file(blob(&folder.join("copy.db-files"))).expect("it was there");
    let nowhere = elsewhere.path().join("nowhere.db");
    let error = api::restore(&back(&copy, &nowhere)).expect_err("the bytes are missing");
    assert!(error.code == Code::Refused && error.message.contains("--unchecked"), "{error:?}");
    assert!(!nowhere.exists());
    std::fs::write(blob(&shared), "other bytes").expect("a file");
    let damaged = RestoreOptions { bytes: Some(shared), ..back(&copy, &nowhere) };
    let error = api::restore(&damaged).expect_err("the bytes are others");
    assert!(error.message.contains("stand under hash"), "{error:?}");
}

/// Runs the program where no file may become larger than 64 KiB; what that does to it is said by `trap`.
fn cut_short(place: &Place, trap: &str, args: &str) -> std::process::Output {
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_errand");
    command.args(["-c", &format!("{trap} ulimit -f 64; exec '{program}' {args} --format json")]);
    command.current_dir(place.store().parent().expect("a folder")).env("ERRAND_DB", place.store());
    command.output().expect("it runs")
}

#[test]
fn a_backup_that_is_killed_or_finds_no_space_leaves_nothing_under_its_name() {
    let place = Place::new();
    place.create(&[]);
    for args in ["backup --to copy.db", "restore --from jobs.db --to copy.db"] {
        let killed = cut_short(&place, "", args);
        assert!(killed.status.signal().is_some(), "{killed:?}");
        assert!(!place.path("copy.db").exists(), "{args}");

        let output = cut_short(&place, "trap '' XFSZ;", args);
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        let error = crate::program::json(&output.stdout)["error"].clone();
        let named = place.path("copy.db").display().to_string();
        assert!(error["message"].as_str().is_some_and(|text| text.contains(&named)), "{error}");
        assert!(!place.path("copy.db").exists(), "{args}");
    }
    place.ask(&["backup", "--to", "copy.db"]);
    assert!(is_whole(&place.path("copy.db")));
}

#[test]
fn a_copy_goes_neither_over_its_store_nor_over_what_is_there() {
    let (store, ..) = sample::store();
    let folder = store.folder();
    std::fs::hard_link(store.path(), folder.join("link.db")).expect("a link");
    std::os::unix::fs::symlink(store.path(), folder.join("soft.db")).expect("a link");
    for name in ["jobs.db", "link.db", "soft.db", "jobs.db-wal", "jobs.db-lock"] {
        let options = BackupOptions { force: true, ..to(folder.join(name)) };
        let error = api::backup(&store.path(), &options).expect_err(name);
        assert!(error.code == Code::InvalidArgument && error.message.contains("itself"), "{name}: {error:?}");
    }
    assert!(is_whole(&store.path()));
    let error = api::backup(&store.path(), &to(folder.to_path_buf())).expect_err("a folder");
    assert!(error.message.contains(&folder.display().to_string()), "{error:?}");

    let copy = folder.join("copy.db");
    api::backup(&store.path(), &to(copy.clone())).expect("a backup");
    let error = api::backup(&store.path(), &to(copy.clone())).expect_err("it is there");
    assert!(error.message.contains("--force"), "{error:?}");
    api::backup(&store.path(), &BackupOptions { force: true, ..to(copy.clone()) }).expect("a newer backup");
    let client = api::open(&copy, sample::options()).expect("a copy is a store");
    let error = api::backup(&store.path(), &BackupOptions { force: true, ..to(copy) }).expect_err("it is used");
    assert!(error.message.contains("is used as a store"), "{error:?}");
    client.close();
}

#[test]
fn a_restore_needs_a_place_that_nobody_has_open_and_keeps_what_was_there() {
    let (store, ..) = sample::store();
    let (folder, live) = (store.folder(), Store::new());
    let copy = folder.join("copy.db");
    api::backup(&store.path(), &to(copy.clone())).expect("a backup");

    let client = live.open_with(sample::options());
    get(&*client, "jobs.create", r#"{:job-type "newer"}"#);
    let options = RestoreOptions { force: true, ..back(&copy, &live.path()) };
    let error = api::restore(&options).expect_err("it is open");
    assert!(error.code == Code::Unavailable && error.message.contains("is open"), "{error:?}");
    // As a crash leaves it: the newest commits are only in the log.
    let crashed = Store::new();
    for ending in ["", "-wal", "-shm"] {
        let name = format!("jobs.db{ending}");
        std::fs::copy(live.folder().join(&name), crashed.folder().join(&name)).expect("a copy");
    }
    client.close();

    let error = api::restore(&back(&copy, &crashed.path())).expect_err("it is there");
    assert!(error.message.contains("--force"), "{error:?}");
    let answer = api::restore(&RestoreOptions { force: true, ..back(&copy, &crashed.path()) }).expect("it is restored");
    assert!(is_whole(&crashed.path()));
    let types = |path: &Path| {
        let client = api::open(path, sample::options()).expect("it opens");
        let stats = get(&*client, "jobs.stats", "{}");
        client.close();
        errand::value::edn::write(&stats)
    };
    assert!(types(&crashed.path()).contains("capped") && !types(&crashed.path()).contains("newer"));
    let replaced = text(&answer, &["replaced"]);
    assert!(types(Path::new(replaced)).contains("newer"), "the log went with it");
    let again = api::restore(&RestoreOptions { force: true, ..back(&copy, &crashed.path()) }).expect("it is restored");
    assert_ne!(text(&again, &["replaced"]), replaced);
    assert!(types(Path::new(replaced)).contains("newer"), "what was replaced first is there still");
}

/// Stores a file.
fn put(client: &dyn Client, bytes: &str) -> Result<String, api::Error> {
    let new = api::NewFile { filename: "a.txt".into(), ..api::NewFile::default() };
    let stored = client.files()?.put(new, &mut std::io::Cursor::new(bytes.to_owned()))?;
    Ok(text(&stored, &["uri"]).into())
}

/// Removes what nobody has any more.
fn remove(client: &dyn Client, uri: &str) -> Result<Value, api::Error> {
    get(client, "resources.delete", &format!("{{:uri {uri:?}}}"));
    ask(client, "jobs.prune", "{}")
}

#[test]
fn a_copy_and_a_restored_store_never_remove_the_files_of_the_store_that_was_copied() {
    let store = Store::new();
    let named = store.folder().join("named");
    let resources = Some(named.display().to_string());
    let client = store.open_with(api::OpenOptions { resources, ..sample::options() });
    let uri = put(&*client, "bytes").expect("it is stored");
    let [copy, opened, restored] = ["copy.db", "opened.db", "restored.db"].map(|name| store.folder().join(name));
    api::backup(&store.path(), &to(copy.clone())).expect("a backup");
    api::backup(&store.path(), &to(opened.clone())).expect("another");
    api::restore(&back(&copy, &restored)).expect("it is restored");
    for (path, own) in [(&restored, true), (&opened, false)] {
        let other = api::open(path, sample::options()).expect("it opens");
        let removed = remove(&*other, &uri).map_err(|error| error.message);
        let is_refused = removed.as_ref().is_err_and(|text| text.contains("belongs to another store"));
        assert!(if own { removed.is_ok() } else { is_refused }, "{}: {removed:?}", path.display());
        assert_eq!(put(&*other, "more").is_ok(), own, "{}", path.display());
        other.close();
        assert_eq!(std::fs::read_to_string(blob(&named)).expect("they are there"), "bytes");
    }
    // Asked for, or in the place of the store itself, the folder goes to the restored one: also while the first is open.
    let third = store.folder().join("third.db");
    api::restore(&RestoreOptions { take_files: true, ..back(&copy, &third) }).expect("it is restored");
    let other = api::open(&third, sample::options()).expect("it opens");
    let error = remove(&*client, &uri).expect_err("it is another's now");
    assert!(error.message.contains("belongs to another store"), "{error:?}");
    put(&*other, "more").expect("it is its own");
    remove(&*other, &uri).expect("it is its own");
    other.close();
    client.close();
    let answer = api::restore(&RestoreOptions { force: true, ..back(&copy, &store.path()) }).expect("it is restored");
    assert_eq!(text(&answer, &["files", "path"]), named.display().to_string());
    let client = store.open_with(sample::options());
    put(&*client, "other").expect("it is its own");
    client.close();
    let replaced = api::open(Path::new(text(&answer, &["replaced"])), sample::options()).expect("it opens");
    put(&*replaced, "other").expect_err("it was replaced");
}

#[test]
fn a_backup_of_what_is_broken_says_so_and_can_be_had_all_the_same() {
    let place = Place::new();
    place.create(&[]);
    let connection = rusqlite::Connection::open(place.store()).expect("the store opens");
    connection.execute_batch("UPDATE job SET lease_until_ms = 1").expect("a change");
    drop(connection);
    let before = entries(place.store().parent().expect("a folder"));
    let error = place.refusal(5, &["backup", "--to", "copy.db"]);
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("queued with a lease") && message.contains("--unchecked"), "{error}");
    assert!(entries(place.store().parent().expect("a folder")) <= before + 2 && !place.path("copy.db").exists());
    let shown = succeeded(place.errand(&["backup", "--to", "copy.db", "--unchecked", "--format", "text"]));
    assert!(crate::program::text(&shown.stdout).contains("not checked"));
    let error = place.refusal(5, &["restore", "--from", "copy.db", "--to", "restored.db"]);
    assert!(error["message"].as_str().is_some_and(|text| text.contains("--unchecked")), "{error}");
    assert!(!place.path("restored.db").exists());
}

#[test]
fn a_control_plane_in_the_environment_is_not_taken_for_the_store_of_this_folder() {
    let place = Place::new();
    for command in [&["check"][..], &["backup", "--to", "copy.db"]] {
        let output = place.bare().args(command).env("ERRAND_API_URL", "http://127.0.0.1:1").output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stdout).contains("is no store"), "{output:?}");
    }
}
