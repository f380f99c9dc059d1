//! Arguments: a caller's map checked against a command's fields. Every surface's mistakes are told here, in the
//! caller's own names. It does not know what the commands do with them.

mod artifacts;
mod check;
mod collection;
mod jobs;
mod place;

pub use artifacts::kebab_keys;
pub use check::check;
pub use place::{Place, unknown_key};

use super::command::Command;
use super::error::Error;
use super::field::{self, Field, Kind};
use super::shown::kind_of;
use super::spelling::Names;
use crate::engine::NewJob;
use crate::job::Growth;
use crate::resource::NewRow;
use crate::store::{Artifact, Text};
use crate::value::{MapBuilder, Value};
use place::invalid;
use std::fmt::Display;

/// A checked argument.
#[derive(Clone, Debug)]
pub enum Arg {
    Text(String),
    Int(i64),
    Bool(bool),
    Open(Text),
    Jobs(Vec<NewJob>),
    Artifacts(Vec<Artifact>),
    Names(Vec<String>),
    Rows(Vec<NewRow>),
    Keeps(Vec<(String, i64)>),
    Growth(Growth, Option<i64>),
    Words(Vec<String>),
}

impl Arg {
    fn to_value(&self) -> Value {
        match self {
            Arg::Text(text) => Value::str(text.as_str()),
            Arg::Int(int) => Value::Int(*int),
            Arg::Bool(flag) => Value::Bool(*flag),
            Arg::Open(text) => Value::Text(text.clone()),
            Arg::Words(words) => Value::Vector(words.iter().map(|word| Value::str(word.as_str())).collect()),
            Arg::Jobs(jobs) => Value::Vector(jobs.iter().map(job_value).collect()),
            Arg::Artifacts(all) => Value::Vector(all.iter().map(|one| Value::Text(one.artifact.clone())).collect()),
            Arg::Names(names) => Value::Vector(names.iter().map(|name| Value::str(name.as_str())).collect()),
            Arg::Rows(rows) => Value::Vector(rows.iter().map(|row| Value::Text(row.text.clone())).collect()),
            Arg::Keeps(keeps) => {
                Value::Map(keeps.iter().map(|(name, ms)| (Value::str(name.as_str()), Value::Int(*ms))).collect())
            }
            Arg::Growth(growth, max) => growth_value(*growth, *max),
        }
    }
}

fn job_value(job: &NewJob) -> Value {
    MapBuilder::new()
        .put_some("payload", job.payload.clone().map(Value::Text))
        .put_some("metadata", job.metadata.clone().map(Value::Text))
        .put_some("max-attempts", job.max_attempts)
        .build()
}

fn growth_value(growth: Growth, max: Option<i64>) -> Value {
    let (kind, factor) = match growth {
        Growth::Constant => ("constant", None),
        Growth::Linear(factor) => ("linear", Some(factor)),
        Growth::Exponential(factor) => ("exponential", Some(factor)),
    };
    MapBuilder::new().put("type", kind).put_some("factor", factor.map(Value::Double)).put_some("max", max).build()
}

/// The checked arguments of one call.
pub struct Args {
    values: Vec<(&'static str, Arg)>,
}

impl Args {
    /// Checks `args` against the fields of `command`.
    pub fn read(command: &Command, args: &Value, names: Names) -> Result<Args, Error> {
        Args::of(format_args!("arguments of {}", command.name), command.fields, args, names)
    }

    /// Checks what a caller gives by name against fields; `what` it is begins an error.
    pub fn of(what: impl Display, fields: &'static [Field], args: &Value, names: Names) -> Result<Args, Error> {
        let Value::Map(entries) = args else {
            return Err(invalid(format!("{what} are {}; allowed: a map", kind_of(args))));
        };
        let mut values = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let field = find(fields, key, names)?;
            if matches!(value, Value::Nil)
                && !(matches!(field.kind, Kind::Open(_)) && matches!(field.name, "payload" | "value"))
            {
                continue;
            }
            let place = Place::top(names, field.name);
            values.push((field.name, check(field.kind, value, &place)?));
        }
        let missing = fields.iter().find(|field| field.required && !values.iter().any(|(n, _)| *n == field.name));
        match missing {
            Some(field) => {
                let place = Place::top(names, field.name);
                Err(place.invalid(format!("is missing; it is required: {}", field.doc)))
            }
            None => Ok(Args { values }),
        }
    }

    /// The arguments as a map again, under the names of Clojure: what `read` takes for the same.
    pub fn to_value(&self) -> Value {
        Value::Map(self.values.iter().map(|(name, arg)| (Value::key(name), arg.to_value())).collect())
    }

    fn get(&self, name: &str) -> Option<&Arg> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, arg)| arg)
    }

    /// The text of a required field.
    pub fn text(&self, name: &'static str) -> &str {
        self.maybe_text(name).unwrap_or_else(|| unreachable!("{name} is required"))
    }

    pub fn maybe_text(&self, name: &'static str) -> Option<&str> {
        match self.get(name) {
            Some(Arg::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn maybe_string(&self, name: &'static str) -> Option<String> {
        self.maybe_text(name).map(String::from)
    }

    pub fn int(&self, name: &'static str) -> Option<i64> {
        match self.get(name) {
            Some(Arg::Int(int)) => Some(*int),
            _ => None,
        }
    }

    pub fn flag(&self, name: &'static str) -> Option<bool> {
        match self.get(name) {
            Some(Arg::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub fn open(&self, name: &'static str) -> Option<Text> {
        match self.get(name) {
            Some(Arg::Open(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn jobs(&self) -> Vec<NewJob> {
        match self.get("jobs") {
            Some(Arg::Jobs(jobs)) => jobs.clone(),
            _ => Vec::new(),
        }
    }

    pub fn artifacts(&self) -> Vec<Artifact> {
        match self.get("artifacts") {
            Some(Arg::Artifacts(artifacts)) => artifacts.clone(),
            _ => Vec::new(),
        }
    }

    pub fn names(&self, name: &'static str) -> Option<Vec<String>> {
        match self.get(name) {
            Some(Arg::Names(names)) => Some(names.clone()),
            _ => None,
        }
    }

    pub fn rows(&self) -> Vec<NewRow> {
        match self.get("rows") {
            Some(Arg::Rows(rows)) => rows.clone(),
            _ => Vec::new(),
        }
    }

    pub fn keeps(&self, name: &'static str) -> Option<Vec<(String, i64)>> {
        match self.get(name) {
            Some(Arg::Keeps(keeps)) => Some(keeps.clone()),
            _ => None,
        }
    }

    pub fn words(&self, name: &'static str) -> Option<Vec<String>> {
        match self.get(name) {
            Some(Arg::Words(words)) => Some(words.clone()),
            _ => None,
        }
    }

    pub fn growth(&self) -> Option<(Growth, Option<i64>)> {
        match self.get("backoff") {
            Some(Arg::Growth(growth, max)) => Some((*growth, *max)),
            _ => None,
        }
    }
}

/// The field that a key names; else an error with the nearest one that is known.
fn find(fields: &'static [Field], key: &Value, names: Names) -> Result<&'static Field, Error> {
    let known = fields.iter().map(|field| field.name);
    field::named(fields, key, names).ok_or_else(|| unknown_key(&Place::root(names), key, known))
}
