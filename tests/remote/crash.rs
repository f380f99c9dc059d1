//! A control plane that is killed while bytes come and while they go: nothing half is seen, nothing stays for ever.

use super::plane::Plane;
use crate::program::{Place, eventually};
use crate::support::{ask, get, text};
use errand::api::{self, Client, Code, NewFile, OpenOptions};
use errand::value::Value;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn tmp(place: &Place) -> PathBuf {
    place.path("jobs.db-files/tmp")
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.into_iter().flat_map(|entry| below(entry.path())).collect()
}

fn blobs(place: &Place) -> usize {
    files(&place.path("jobs.db-files/sha256")).len()
}

/// A client of the store that prunes all the time.
fn pruning(place: &Place) -> Arc<dyn Client> {
    api::open(&place.store(), OpenOptions { prune_every_ms: 20, ..OpenOptions::default() }).unwrap()
}

fn post(url: String, body: &str) -> serde_json::Value {
    let request = reqwest::blocking::Client::new().post(url).header("Content-Type", "application/json");
    crate::program::json(&request.body(body.to_owned()).send().unwrap().bytes().unwrap())
}

#[test]
fn an_upload_that_is_cut_off_by_a_kill_leaves_nothing_and_is_made_again() {
    let mut plane = Plane::open();
    let begun = post(format!("{}/api/files/uploads/init", plane.url()), r#"{"filename": "a.txt"}"#);
    let (uri, url) = (begun["uri"].as_str().unwrap(), begun["upload-url"].as_str().unwrap());
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "PUT /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 10000000\r\n\r\n").unwrap();
    stream.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let half = || files(&tmp(&plane.place));
    eventually("some of it came", || half().first().is_some_and(|file| file.metadata().unwrap().len() >= 1 << 20));
    plane.kill();
    plane.again();
    let client = plane.client();
    let read = |client: &dyn Client| ask(client, "resources.read", &format!("{{:uri {uri:?}}}"));
    assert_eq!(read(&*client).unwrap_err().code, Code::NotFound, "nothing half is seen");
    assert_eq!((blobs(&plane.place), files(&tmp(&plane.place)).len()), (0, 1));

    let whole = "whole".repeat(100);
    let put = reqwest::blocking::Client::new().put(url).body(whole.clone()).send().unwrap();
    assert_eq!(put.status(), 200, "the one-time URL was not used up");
    assert_eq!(text(&read(&*client).unwrap(), &["content"]), whole);
    // What the killed one left goes, as soon as it is a minute old.
    let left = File::options().write(true).open(&files(&tmp(&plane.place))[0]).unwrap();
    left.set_modified(SystemTime::now() - Duration::from_secs(120)).unwrap();
    let _pruning = pruning(&plane.place);
    eventually("the private file is gone", || files(&tmp(&plane.place)).is_empty());
    assert_eq!(blobs(&plane.place), 1);
}

/// A file whose job has ended.
fn file_of_an_ended_job(client: &dyn Client, bytes: &str) -> String {
    let new = NewFile { filename: "a.txt".into(), ..NewFile::default() };
    let stored = client.files().unwrap().put(new, &mut Cursor::new(bytes.to_owned())).unwrap();
    let uri = text(&stored, &["uri"]).to_owned();
    get(client, "jobs.create", "{:job-type \"t\"}");
    let job = get(client, "jobs.claim", "{:job-type \"t\" :worker-id \"w\"}");
    let (id, token) = (text(&job, &["job", "job-id"]), text(&job, &["job", "lease-token"]));
    let artifact = format!("[{{:kind \"file\" :label \"f\" :resource-uri {uri:?}}}]");
    get(client, "jobs.complete", &format!("{{:job-id {id:?} :lease-token {token:?} :artifacts {artifact}}}"));
    uri
}

#[test]
fn a_kill_in_the_middle_of_pruning_leaves_whole_files_and_in_the_end_none() {
    const FILES: usize = 40;
    let mut plane = Plane::open();
    let client = plane.client();
    let uris: Vec<String> = (0..FILES).map(|n| file_of_an_ended_job(&*client, &format!("bytes {n}"))).collect();
    assert_eq!(blobs(&plane.place), FILES);
    let url = plane.url();
    let pruning_thread = std::thread::spawn(move || {
        // It is killed meanwhile, or has just answered.
        let body = r#"{"command": "jobs.prune", "args": {"olderThan": 0}}"#;
        let request = reqwest::blocking::Client::new().post(format!("{url}/api/commands")).body(body);
        let _ = request.header("Content-Type", "application/json").send();
    });
    eventually("some are gone", || blobs(&plane.place) < FILES);
    plane.kill();
    pruning_thread.join().unwrap();
    let left = plane.direct();
    for (n, uri) in uris.iter().enumerate() {
        match ask(&*left, "resources.read", &format!("{{:uri {uri:?}}}")) {
            Ok(read) => assert_eq!(read.get("content"), Some(&Value::str(format!("bytes {n}"))), "{uri}"),
            Err(error) => assert_eq!(error.code, Code::NotFound, "{uri}: {error}"),
        }
    }
    drop(left);
    // Bytes of a commit that never came.
    let orphan = plane.place.path("jobs.db-files/sha256/ab");
    fs::create_dir_all(&orphan).unwrap();
    fs::write(orphan.join(format!("ab{}", "0".repeat(62))), "orphan").unwrap();
    let pruning = pruning(&plane.place);
    get(&*pruning, "jobs.prune", "{:older-than 0}");
    eventually("no bytes are left", || blobs(&plane.place) == 0);
    assert_eq!(get(&*pruning, "resources.list", "{}").get("items"), Some(&Value::Vector(Vec::new())));
}

/// A file on a disk that fails in the middle of it.
struct Failing(u64);

impl std::io::Read for Failing {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0 > 1 << 20 {
            return Err(std::io::Error::other("bad sector"));
        }
        self.0 += into.len() as u64;
        Ok(into.len())
    }
}

impl std::io::Seek for Failing {
    fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
        Ok(self.0)
    }
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_is_not_taken_for_a_whole_one() {
    let plane = Plane::open();
    let client = plane.client();
    let error = client.files().unwrap().put(NewFile { filename: "a".into(), ..NewFile::default() }, &mut Failing(0));
    let error = error.unwrap_err();
    assert!(error.message.contains("bad sector"), "{error}");
    eventually("what came of it is gone", || files(&tmp(&plane.place)).is_empty());
    assert_eq!(get(&*client, "resources.list", "{}").get("items"), Some(&Value::Vector(Vec::new())));
    assert_eq!(blobs(&plane.place), 0);
}
