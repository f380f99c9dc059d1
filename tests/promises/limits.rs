//! Limits on every input: for each field of each command what stands at its bounds is taken, and one over them is refused
//! with the place, what was given and what is allowed; nothing is written then. `limits/known.rs` says for each bound of
//! `src/job/limits.rs` which test holds it, so that a bound without a test fails.

mod cases;
mod elsewhere;
mod known;
mod times;

use crate::support::{Store, get, text};
use cases::{Case, cases};
use errand::api::{self, COMMANDS, Client, Code, Command, Error, Field, Kind, Names, OpenOptions};
use errand::value::{Value, edn};
use rusqlite::types::ValueRef;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// A store with one thing of each kind in it.
pub struct World {
    pub store: Store,
    pub client: Arc<dyn Client>,
    /// Cancelled: to await it takes no time.
    ended_job: String,
    ended_batch: String,
    table: String,
    account: String,
    key: String,
}

impl World {
    pub fn new() -> World {
        let store = Store::new();
        let client = store.open_with(OpenOptions { durable: false, ..OpenOptions::default() });
        let made = |command: &str, args: &str, path: [&str; 2]| text(&get(&*client, command, args), &path).to_string();
        let ended_job = made("jobs.create", "{:job-type \"ended\"}", ["job", "job-id"]);
        let ended_batch = made("jobs.batches.create", "{:job-type \"ended\" :jobs [{}]}", ["batch", "batch-id"]);
        get(&*client, "jobs.cancel", &format!("{{:job-id {ended_job:?}}}"));
        get(&*client, "jobs.batches.cancel", &format!("{{:batch-id {ended_batch:?}}}"));
        let account = "{:name \"a\" :capabilities [:jobs.read]}";
        let account = made("service_accounts.create", account, ["service-account", "service-account-id"]);
        let key = format!("{{:service-account-id {account:?}}}");
        let key = made("service_accounts.keys.create", &key, ["key", "key-id"]);
        let mut world = World { store, client, ended_job, ended_batch, table: String::new(), account, key };
        let held = world.held();
        let table = format!("{{:job-id {:?} :lease-token {:?} :label \"t\" :rows [{{:a 1}}]}}", held.0, held.1);
        world.table = text(&get(&*world.client, "jobs.attach_table", &table), &["artifact", "resource-uri"]).into();
        world
    }

    /// A claimed job with its lease token.
    pub fn held(&self) -> (String, String) {
        get(&*self.client, "jobs.create", "{:job-type \"held\"}");
        let claim = "{:job-type \"held\" :worker-id \"w\" :lease-duration \"1h\"}";
        let claimed = get(&*self.client, "jobs.claim", claim);
        (text(&claimed, &["job", "job-id"]).into(), text(&claimed, &["job", "lease-token"]).into())
    }

    /// Something that a command takes in a field, where `held` is a job under lease.
    fn plausible(&self, command: &Command, field: &Field, held: &(String, String)) -> Value {
        match field.name {
            "job-id" if command.name == "jobs.await" => Value::str(&*self.ended_job),
            "batch-id" => Value::str(&*self.ended_batch),
            "job-id" => Value::str(&*held.0),
            "lease-token" => Value::str(&*held.1),
            "uri" => Value::str(&*self.table),
            "service-account-id" => Value::str(&*self.account),
            "key-id" => Value::str(&*self.key),
            "capabilities" => Value::Vector(vec![Value::str("jobs.read")]),
            "jobs" | "rows" => Value::Vector(vec![Value::Map(Vec::new())]),
            "job-type" => Value::str("t"),
            _ => Value::str("some"),
        }
    }

    /// Asks a command with a value in one field, and in the others that are required what it takes.
    fn ask(&self, command: &Command, field: &Field, value: &Value, held: &(String, String)) -> Result<Value, Error> {
        let others = command.fields.iter().filter(|other| other.required && other.name != field.name);
        let mut args: Vec<_> =
            others.map(|other| (Value::key(other.name), self.plausible(command, other, held))).collect();
        args.push((Value::key(field.name), value.clone()));
        api::ask(&*self.client, command.name, Value::Map(args), Names::Clojure)
    }

    /// What stands in every table.
    pub fn rows(&self) -> u64 {
        rows(&self.store.path())
    }
}

/// A digest of every row of the store.
pub fn rows(path: &Path) -> u64 {
    let store = rusqlite::Connection::open(path).expect("the store opens");
    let mut hasher = DefaultHasher::new();
    let mut tables = store.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables {
        let mut all = store.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = all.column_count();
        let mut all = all.query([]).unwrap();
        while let Some(row) = all.next().unwrap() {
            table.hash(&mut hasher);
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.hash(&mut hasher),
                    other => format!("{other:?}").hash(&mut hasher),
                }
            }
        }
    }
    hasher.finish()
}

/// Every field of every command.
fn fields() -> impl Iterator<Item = (&'static Command, &'static Field)> {
    COMMANDS.iter().flat_map(|command| command.fields.iter().map(move |field| (command, field)))
}

#[track_caller]
pub fn assert_refused(what: &str, reply: Result<Value, Error>, code: Code, words: &[&str]) {
    let error = reply.err().unwrap_or_else(|| panic!("{what} is taken"));
    let message = &error.message;
    assert_eq!(error.code, code, "{what}: {message}");
    words.iter().for_each(|word| assert!(message.contains(word), "{what}: {message:?} does not say {word:?}"));
    let size = edn::write(&error.to_value()).len();
    assert!(size < 4_000, "{what}: the error is {size} bytes long");
}

#[test]
fn one_over_the_bound_of_any_field_is_refused_with_its_place_and_writes_nothing() {
    let world = World::new();
    let held = world.held();
    let before = world.rows();
    for (command, field) in fields() {
        for Case { what, value, refused } in cases(field.kind) {
            let Some((code, words)) = refused else { continue };
            let what = format!("{} {}: {what}", command.name, field.name);
            let reply = world.ask(command, field, &value, &held);
            let path = reply.as_ref().err().and_then(|error| error.path.first().cloned());
            let place = format!(":{}", field.name);
            let words: Vec<&str> = words.iter().map(String::as_str).chain([&*place]).collect();
            assert_refused(&what, reply, code, &words);
            assert_eq!(path, Some(Value::key(field.name)), "{what}");
        }
    }
    assert!(world.rows() == before, "something was written");
}

/// Whether an error is not about what was given but about what is there: an id of so many bytes may well name nothing.
fn is_of_the_store(error: &Error) -> bool {
    let words = ["is not one of ours", "is not a resource's", "is not a vector of"];
    matches!(error.code, Code::NotFound | Code::LeaseLost | Code::Refused)
        || words.iter().any(|word| error.message.contains(word))
}

#[test]
fn what_stands_at_the_bound_of_any_field_is_taken() {
    let world = World::new();
    for (command, field) in fields() {
        for Case { what, value, refused } in cases(field.kind) {
            if refused.is_some() || cases::is_elsewhere(field, &value) {
                continue;
            }
            let held = world.held();
            // For a claim, which then need not wait.
            get(&*world.client, "jobs.create", "{:job-type \"t\"}");
            match world.ask(command, field, &value, &held) {
                Ok(_) => {}
                Err(error) => assert!(is_of_the_store(&error), "{} {}: {what}: {error:?}", command.name, field.name),
            }
        }
    }
}

#[test]
fn every_kind_of_field_has_its_cases() {
    for (command, field) in fields() {
        let bounded = !matches!(field.kind, Kind::Bool | Kind::Word(_) | Kind::Backoff | Kind::Instant);
        assert_eq!(bounded, !cases(field.kind).is_empty(), "{} {}", command.name, field.name);
    }
}
