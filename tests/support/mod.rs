//! What the tests share: a store in a folder of its own, and commands asked in EDN.

use errand::api::{self, Client, Error, Names, OpenOptions};
use errand::value::{Value, edn};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A database file in a folder that goes away with it.
pub struct Store {
    folder: TempDir,
}

impl Store {
    pub fn new() -> Store {
        Store { folder: TempDir::new().expect("a folder for the test") }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    pub fn open(&self) -> Arc<dyn Client> {
        self.open_with(OpenOptions::default())
    }

    pub fn open_with(&self, options: OpenOptions) -> Arc<dyn Client> {
        api::open(&self.path(), options).expect("the store opens")
    }
}

/// Asks for a command with arguments in EDN, as Clojure would.
pub fn ask(client: &dyn Client, command: &str, args: &str) -> Result<Value, Error> {
    let args = edn::read_open(args, api::open_fields()).expect("the test's own EDN");
    api::ask(client, command, args, Names::Clojure)
}

/// As `ask`, for commands that succeed.
pub fn get(client: &dyn Client, command: &str, args: &str) -> Value {
    ask(client, command, args).unwrap_or_else(|error| panic!("{command} {args:.200}: {error:?}"))
}

/// What stands under the keys, one after the other.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| value.get(key).unwrap_or_else(|| panic!("no :{key} in {}", edn::write(value))))
}

/// The text under the keys.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).as_str().unwrap_or_else(|| panic!("{path:?} is not text"))
}
