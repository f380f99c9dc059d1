//! The stream of events between the forms: each form is read into a `Sink` and written by one, so that any form
//! becomes any other in one pass without a tree in between. It does not know bytes or texts.

use super::{Fault, FaultKind, Value};

/// A value without parts, borrowed from where it was read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    BigInt(&'a str),
    Ratio(&'a str, &'a str),
    Double(f64),
    Decimal(&'a str),
    Char(char),
    Str(&'a str),
    Keyword(&'a str),
    Symbol(&'a str),
    Inst(i64),
    Uuid(u128),
}

/// What a value with parts is; a tag has one part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape<'a> {
    List,
    Vector,
    Map,
    Set,
    Tag(&'a str),
}

/// What takes a value event by event: map entries as key, value, key, value.
pub(super) trait Sink {
    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), Wrong>;

    /// Begins a value with parts; `count` is the number of its parts (entries of a map) where it is known.
    fn open(&mut self, shape: Shape<'_>, count: Option<usize>) -> Result<(), Wrong>;

    fn close(&mut self) -> Result<(), Wrong>;

    /// Takes a whole value that is kept as canonical EDN text.
    fn kept(&mut self, text: &str) -> Result<(), Wrong>;

    /// Whether what comes now is being kept as text, where the keys of JSON objects become keywords.
    fn keeping(&self) -> bool {
        false
    }
}

/// A fault before its place is known.
#[derive(Debug)]
pub(super) struct Wrong {
    pub message: String,
    pub kind: FaultKind,
}

impl Wrong {
    pub fn new(message: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), kind: FaultKind::Invalid }
    }

    pub fn too_large(message: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), kind: FaultKind::TooLarge }
    }

    pub fn too_deep() -> Wrong {
        Wrong::new(format!("nesting is deeper than {} levels", super::DEPTH_MAX))
    }

    pub fn at(self, path: Vec<Value>) -> Fault {
        Fault { path, message: self.message, kind: self.kind }
    }
}

/// Gives a tree to a sink. It recurs: trees are at most `DEPTH_MAX` deep, which their readers saw to.
pub(super) fn feed<S: Sink>(value: &Value, sink: &mut S) -> Result<(), Wrong> {
    match value {
        Value::Nil => sink.scalar(Scalar::Nil),
        Value::Bool(v) => sink.scalar(Scalar::Bool(*v)),
        Value::Int(v) => sink.scalar(Scalar::Int(*v)),
        Value::BigInt(v) => sink.scalar(Scalar::BigInt(v)),
        Value::Ratio(v) => sink.scalar(Scalar::Ratio(&v.0, &v.1)),
        Value::Double(v) => sink.scalar(Scalar::Double(*v)),
        Value::Decimal(v) => sink.scalar(Scalar::Decimal(v)),
        Value::Char(v) => sink.scalar(Scalar::Char(*v)),
        Value::Str(v) => sink.scalar(Scalar::Str(v)),
        Value::Keyword(v) => sink.scalar(Scalar::Keyword(v)),
        Value::Symbol(v) => sink.scalar(Scalar::Symbol(v)),
        Value::Inst(v) => sink.scalar(Scalar::Inst(*v)),
        Value::Uuid(v) => sink.scalar(Scalar::Uuid(*v)),
        Value::List(items) => feed_all(Shape::List, items, sink),
        Value::Vector(items) => feed_all(Shape::Vector, items, sink),
        Value::Set(items) => feed_all(Shape::Set, items, sink),
        Value::Map(entries) => {
            sink.open(Shape::Map, Some(entries.len()))?;
            for (key, value) in entries {
                feed(key, sink)?;
                feed(value, sink)?;
            }
            sink.close()
        }
        Value::Tagged(tag, value) => {
            sink.open(Shape::Tag(tag), Some(1))?;
            feed(value, sink)?;
            sink.close()
        }
        Value::Text(text) => sink.kept(text),
    }
}

fn feed_all<S: Sink>(shape: Shape<'_>, items: &[Value], sink: &mut S) -> Result<(), Wrong> {
    sink.open(shape, Some(items.len()))?;
    for item in items {
        feed(item, sink)?;
    }
    sink.close()
}
