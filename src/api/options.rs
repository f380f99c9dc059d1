//! The options of `open`, by name: those of a database and those of a control plane.

use super::OpenOptions;
use super::args::{Arg, Place, check, unknown_key};
use super::error::Error;
use super::field::Kind;
use super::spelling::Names;
use crate::job::limits;
use crate::value::Value;

const LOCAL: [&str; 10] = [
    "workspace",
    ON_EVENT,
    "sync",
    "create?",
    "fallback-poll",
    "busy-timeout",
    "resources",
    "retention",
    "retention-by-type",
    "prune-every",
];
const REMOTE: [&str; 4] = ["workspace", ON_EVENT, "api-key", "retry-for"];
/// A function of the surface's: it is known here, so that errors name it, and does not come here.
const ON_EVENT: &str = "on-event";
const DURATION: Kind = Kind::Millis(1, limits::WAIT_MAX_MS);

/// For whom a client of a control plane speaks, and how long it tries. `from_value` reads the same by name.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteOptions {
    pub workspace: String,
    pub api_key: Option<String>,
    /// How long a call is tried again while the control plane cannot be reached or is not ready. Absent: 30 s where
    /// it has answered before, else 5 s. A wait is tried until its own bound.
    pub retry_for_ms: Option<u64>,
}

impl Default for RemoteOptions {
    fn default() -> RemoteOptions {
        RemoteOptions { workspace: "default".into(), api_key: None, retry_for_ms: None }
    }
}

impl OpenOptions {
    /// Reads `{:workspace :sync :create? :fallback-poll :busy-timeout :resources :retention :retention-by-type
    /// :prune-every}`: `:sync` is "full" or "normal",
    /// `:fallback-poll` a duration or `false`. Namespaced keys are the caller's own.
    pub fn from_value(options: &Value) -> Result<OpenOptions, Error> {
        let mut read = OpenOptions::default();
        for (name, value, place) in given(options, &LOCAL, "a control plane's", &REMOTE)? {
            match (name, value) {
                ("workspace", _) => read.workspace = text(Kind::Text(limits::NAME_MAX), value, &place)?,
                ("sync", _) => read.durable = text(Kind::Word(&["full", "normal"]), value, &place)? == "full",
                ("create?", _) => {
                    read.create = check(Kind::Bool, value, &place).map(|arg| matches!(arg, Arg::Bool(true)))?
                }
                ("fallback-poll", Value::Bool(false)) => read.fallback_poll_ms = None,
                ("fallback-poll", _) => read.fallback_poll_ms = Some(millis(value, &place)?),
                ("busy-timeout", _) => read.busy_timeout_ms = millis(value, &place)?,
                ("resources", _) => read.resources = Some(text(Kind::Text(limits::KEY_MAX), value, &place)?),
                ("retention", _) => match check(Kind::Millis(1, limits::RETENTION_MAX_MS), value, &place)? {
                    Arg::Int(ms) => read.retention_ms = Some(ms),
                    _ => unreachable!("milliseconds are a number"),
                },
                ("retention-by-type", _) => match check(Kind::Keeps, value, &place)? {
                    Arg::Keeps(keeps) => read.retention_by_type = Some(keeps),
                    _ => unreachable!("durations by type are such"),
                },
                ("prune-every", _) => read.prune_every_ms = millis(value, &place)?,
                (ON_EVENT, _) => {}
                (name, _) => unreachable!("{name} is an option of a database"),
            }
        }
        Ok(read)
    }
}

impl RemoteOptions {
    /// Reads `{:workspace :api-key :retry-for}`. Namespaced keys are the caller's own.
    pub fn from_value(options: &Value) -> Result<RemoteOptions, Error> {
        let mut read = RemoteOptions::default();
        for (name, value, place) in given(options, &REMOTE, "a database's", &LOCAL)? {
            match name {
                "workspace" => read.workspace = text(Kind::Text(limits::NAME_MAX), value, &place)?,
                // The error of a wrong kind would show the secret.
                "api-key" if value.as_str().is_none_or(str::is_empty) => {
                    return Err(place.invalid("is not a text of 1 byte or more"));
                }
                "api-key" => read.api_key = value.as_str().map(str::to_owned),
                "retry-for" => read.retry_for_ms = Some(millis(value, &place)?),
                ON_EVENT => {}
                name => unreachable!("{name} is an option of a control plane"),
            }
        }
        Ok(read)
    }
}

/// The options that are given, by name and place; an error for one that is not known here, which says so where it is
/// `of_others`.
fn given<'a>(
    options: &'a Value,
    known: &[&'static str],
    others: &str,
    of_others: &[&'static str],
) -> Result<Vec<(&'static str, &'a Value, Place<'a>)>, Error> {
    let root = Place::root(Names::Clojure);
    let entries = match options {
        Value::Map(entries) => entries.as_slice(),
        Value::Nil => &[],
        _ => return Err(root.key("options").invalid("are not a map; allowed: a map of options")),
    };
    let mut found = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Value::Keyword(name) = key else { return Err(unknown_key(&root, key, known.iter().copied())) };
        if let Some(known) = known.iter().find(|known| *known == name) {
            if *value != Value::Nil {
                found.push((*known, value, Place::top(Names::Clojure, known)));
            }
        } else if of_others.iter().any(|other| other == name) {
            let all: Vec<String> = known.iter().map(|name| format!(":{name}")).collect();
            let problem = format!("is {others} option and does not apply here (allowed: {})", all.join(", "));
            return Err(root.key(name).invalid(problem));
        } else if !name.contains('/') {
            return Err(unknown_key(&root, key, known.iter().copied()));
        }
    }
    Ok(found)
}

fn text(kind: Kind, value: &Value, place: &Place) -> Result<String, Error> {
    match check(kind, value, place)? {
        Arg::Text(text) => Ok(text),
        _ => unreachable!("text is text"),
    }
}

fn millis(value: &Value, place: &Place) -> Result<u64, Error> {
    match check(DURATION, value, place)? {
        Arg::Int(ms) => Ok(ms as u64),
        _ => unreachable!("milliseconds are a number"),
    }
}
