//! Replays the kept inputs of the fuzzer, `tests/corpus/TARGET/`: its seeds, and everything that ever failed.
//! `make fuzz` looks for more and leaves what fails there.

mod live;
mod memory;
mod targets;

use live::Live;
use std::path::Path;
use std::time::Duration;
use targets::TARGETS;

/// The kept inputs of a target by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path()).expect("the corpus is readable");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    let mut all: Vec<_> = files.flatten().map(read).collect();
    all.sort();
    assert!(!all.is_empty(), "{} is empty", folder.display());
    all
}

#[test]
fn every_kept_input_passes_its_target() {
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        for (file, bytes) in corpus(name) {
            // What it says goes to the output of the test.
            if std::panic::catch_unwind(|| target(&bytes)).is_err() {
                failed.push(format!("tests/corpus/{name}/{file}"));
            }
        }
    }
    assert!(failed.is_empty(), "these inputs fail:\n{}", failed.join("\n"));
}

#[test]
fn a_server_outlives_every_kept_request() {
    let live = Live::start(false);
    for (file, bytes) in corpus("http") {
        println!("tests/corpus/http/{file}");
        live.take(&bytes, Duration::from_millis(20));
        live.assert_well();
    }
}
