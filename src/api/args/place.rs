//! Where in a caller's arguments something stands, and the errors that say so in the caller's own names.
//! It does not know what is allowed there.

use crate::api::error::{Code, Error};
use crate::api::shown::shown;
use crate::api::spelling::{Names, nearest, spell};
use crate::value::{Value, camel, edn};
use std::fmt::Display;

/// Where in the arguments something stands. It is put into words only where something is wrong there.
pub struct Place<'a> {
    pub names: Names,
    step: Option<Step<'a>>,
    above: Option<&'a Place<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// A key of ours.
    Key(&'a str),
    Index(usize),
    /// A key that the caller gave.
    Given(&'a Value),
}

impl<'a> Place<'a> {
    pub fn root(names: Names) -> Place<'a> {
        Place { names, step: None, above: None }
    }

    /// The place under a key of ours, in the outermost map.
    pub fn top(names: Names, name: &'a str) -> Place<'a> {
        Place { names, step: Some(Step::Key(name)), above: None }
    }

    /// The place under a key of ours.
    pub fn key<'b>(&'b self, name: &'b str) -> Place<'b> {
        self.then(Step::Key(name))
    }

    pub fn index(&self, index: usize) -> Place<'_> {
        self.then(Step::Index(index))
    }

    pub fn given<'b>(&'b self, key: &'b Value) -> Place<'b> {
        self.then(Step::Given(key))
    }

    fn then<'b>(&'b self, step: Step<'b>) -> Place<'b> {
        Place { names: self.names, step: Some(step), above: Some(self) }
    }

    /// An error that says what is wrong with the value here.
    pub fn invalid(&self, problem: impl Display) -> Error {
        invalid(format!("{} {problem}", self.text())).at(self.path())
    }

    pub fn too_large(&self, bytes: usize, max: usize) -> Error {
        let message = format!("{} is {bytes} bytes of EDN; at most {max} are allowed", self.text());
        Error::new(Code::PayloadTooLarge, message).at(self.path()).with("limit", max as i64)
    }

    /// From the outermost inwards.
    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps: Vec<_> = std::iter::successors(Some(self), |place| place.above).filter_map(|p| p.step).collect();
        steps.reverse();
        steps
    }

    fn path(&self) -> Vec<Value> {
        let value = |step| match step {
            Step::Key(name) => spell_value(name, self.names),
            Step::Index(index) => Value::Int(index as i64),
            Step::Given(key) => Value::clone(key),
        };
        self.steps().into_iter().map(value).collect()
    }

    fn text(&self) -> String {
        let text = |step| match step {
            Step::Key(name) => spell(name, self.names),
            Step::Index(index) => index.to_string(),
            Step::Given(key) => shown(key),
        };
        self.steps().into_iter().map(text).collect::<Vec<_>>().join(" ")
    }
}

fn spell_value(name: &str, names: Names) -> Value {
    match names {
        Names::Clojure => Value::Keyword(name.to_string().into()),
        Names::Json => Value::str(camel(name)),
        Names::Flag => Value::str(spell(name, names)),
    }
}

pub fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, message)
}

/// An error for a key that nobody knows: with the nearest one, and all.
pub fn unknown_key(place: &Place, key: &Value, known: impl Iterator<Item = &'static str>) -> Error {
    let known: Vec<&str> = known.collect();
    let given = match key {
        Value::Keyword(name) => name.to_string(),
        Value::Str(name) => name.to_string(),
        other => edn::write(other),
    };
    let hint = match nearest(&given, known.iter().copied()) {
        Some(name) => format!("; did you mean {}?", spell(name, place.names)),
        None => String::new(),
    };
    let all: Vec<String> = known.iter().map(|name| spell(name, place.names)).collect();
    let allowed = if all.is_empty() { "nothing".to_string() } else { all.join(", ") };
    place.given(key).invalid(format!("is unknown{hint} (allowed: {allowed})"))
}
