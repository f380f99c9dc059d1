//! EDN values and the forms they travel in: EDN text, the binary form that crosses JNI, and JSON.
//! Bytes to `Value` and back, nothing else. It does not know commands, jobs or stores.

pub mod binary;
pub mod edn;
pub mod json;

mod instant;
mod keys;
mod stream;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

/// Nesting that any reader or writer accepts: a scalar has depth 0, `[1]` has depth 1.
pub const DEPTH_MAX: usize = 100;

/// One EDN value.
///
/// Numbers that a machine word cannot hold are kept as canonical decimal text. `Text` is a whole value kept as its
/// canonical EDN text: what a caller's own data (payload, outputs, …) travels as between the surfaces and the store,
/// so that it is transcoded in one pass and never built as a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    /// Decimal digits, with `-` where negative, no leading zeros.
    BigInt(Box<str>),
    /// Numerator and denominator in lowest terms; the denominator is at least 2.
    Ratio(Box<(Box<str>, Box<str>)>),
    Double(f64),
    /// As `BigDecimal.toString` writes it, without the `M`.
    Decimal(Box<str>),
    Char(char),
    Str(Box<str>),
    /// Without the colon; `ns/name` where it has a namespace.
    Keyword(Name),
    Symbol(Name),
    List(Vec<Value>),
    Vector(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    /// Milliseconds since the Unix epoch.
    Inst(i64),
    Uuid(u128),
    /// A tag that we do not interpret, and its value.
    Tagged(Name, Box<Value>),
    Text(Arc<str>),
}

/// The name of a keyword, symbol or tag.
pub type Name = Cow<'static, str>;

/// What is wrong with a text or a byte string, and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Map keys and indexes from the outermost value inwards.
    pub path: Vec<Value>,
    /// Noun, problem, what is allowed; lower case, no final stop.
    pub message: String,
    pub kind: FaultKind,
}

/// Whether a value was malformed or merely larger than we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Invalid,
    TooLarge,
}

impl Value {
    /// A string value.
    pub fn str(text: impl Into<Box<str>>) -> Value {
        Value::Str(text.into())
    }

    /// A keyword of our own, by its name without the colon.
    pub const fn key(name: &'static str) -> Value {
        Value::Keyword(Cow::Borrowed(name))
    }

    /// The text of a string; nothing for any other value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value under a keyword in a map; nothing where it is absent or this is no map.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Map(entries) => entries.iter().find_map(|(key, value)| match key {
                Value::Keyword(key) if key == name => Some(value),
                _ => None,
            }),
            _ => None,
        }
    }
}

/// A map under construction whose keys are keywords of ours; absent facts are absent keys.
#[derive(Default)]
pub struct MapBuilder(Vec<(Value, Value)>);

impl MapBuilder {
    pub fn new() -> MapBuilder {
        MapBuilder::default()
    }

    /// With room for so many entries, where they are known to be many: growing costs more than the entries.
    pub fn with_room(entries: usize) -> MapBuilder {
        MapBuilder(Vec::with_capacity(entries))
    }

    pub fn put(mut self, name: &'static str, value: impl Into<Value>) -> MapBuilder {
        self.0.push((Value::key(name), value.into()));
        self
    }

    pub fn put_some(self, name: &'static str, value: Option<impl Into<Value>>) -> MapBuilder {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    pub fn build(self) -> Value {
        Value::Map(self.0)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Str(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Str(value.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Value {
        Value::Vector(value)
    }
}

/// The camelCase twin of a kebab-case name: `cancel-requested?` is `cancelRequested`.
pub fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '-' => upper = true,
            '?' => {}
            c if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}
