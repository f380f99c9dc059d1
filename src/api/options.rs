//! The options of `open`, by name.

use super::OpenOptions;
use super::args::{Arg, Place, check, unknown_key};
use super::command::{Kind, Names};
use super::error::Error;
use crate::job::limits;
use crate::value::Value;

const KNOWN: [&str; 9] = [
    "workspace",
    "sync",
    "create?",
    "fallback-poll",
    "busy-timeout",
    "resources",
    "retention",
    "retention-by-type",
    "prune-every",
];

impl OpenOptions {
    /// Reads `{:workspace :sync :create? :fallback-poll :busy-timeout :resources :retention :retention-by-type
    /// :prune-every}`: `:sync` is "full" or "normal",
    /// `:fallback-poll` a duration or `false`. Namespaced keys are the caller's own.
    pub fn from_value(options: &Value) -> Result<OpenOptions, Error> {
        let root = Place::root(Names::Clojure);
        let mut read = OpenOptions::default();
        let entries = match options {
            Value::Map(entries) => entries.as_slice(),
            Value::Nil => &[],
            _ => return Err(root.key("options").invalid("are not a map; allowed: a map of options")),
        };
        for (key, value) in entries {
            let Value::Keyword(name) = key else { return Err(unknown_key(&root, key, KNOWN.into_iter())) };
            let place = root.key(name);
            let duration = Kind::Millis(1, limits::WAIT_MAX_MS);
            match (&**name, value) {
                (_, Value::Nil) if KNOWN.contains(&&**name) => {}
                ("workspace", _) => read.workspace = text(Kind::Text(limits::NAME_MAX), value, &place)?,
                ("sync", _) => read.durable = text(Kind::Word(&["full", "normal"]), value, &place)? == "full",
                ("create?", _) => {
                    read.create = check(Kind::Bool, value, &place).map(|arg| matches!(arg, Arg::Bool(true)))?
                }
                ("fallback-poll", Value::Bool(false)) => read.fallback_poll_ms = None,
                ("fallback-poll", _) => read.fallback_poll_ms = Some(millis(duration, value, &place)?),
                ("busy-timeout", _) => read.busy_timeout_ms = millis(duration, value, &place)?,
                ("resources", _) => read.resources = Some(text(Kind::Text(limits::KEY_MAX), value, &place)?),
                ("retention", _) => {
                    read.retention_ms = Some(millis(Kind::Millis(1, limits::RETENTION_MAX_MS), value, &place)? as i64);
                }
                ("retention-by-type", _) => match check(Kind::Keeps, value, &place)? {
                    Arg::Keeps(keeps) => read.retention_by_type = Some(keeps),
                    _ => unreachable!("durations by type are such"),
                },
                ("prune-every", _) => read.prune_every_ms = millis(duration, value, &place)?,
                (name, _) if name.contains('/') => {}
                _ => return Err(unknown_key(&root, key, KNOWN.into_iter())),
            }
        }
        Ok(read)
    }
}

fn text(kind: Kind, value: &Value, place: &Place) -> Result<String, Error> {
    match check(kind, value, place)? {
        Arg::Text(text) => Ok(text),
        _ => unreachable!("text is text"),
    }
}

fn millis(kind: Kind, value: &Value, place: &Place) -> Result<u64, Error> {
    match check(kind, value, place)? {
        Arg::Int(ms) => Ok(ms as u64),
        _ => unreachable!("milliseconds are a number"),
    }
}
