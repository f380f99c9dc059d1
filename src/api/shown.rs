//! Values as errors show them: short. It does not know what is wrong with them.

use crate::job::limits;
use crate::value::{Value, edn};

/// A caller's key as the path of an error has it: itself, where it is short.
pub fn clipped(key: Value) -> Value {
    let bytes = match &key {
        Value::Keyword(name) => name.len(),
        Value::Str(text) => text.len(),
        Value::Nil | Value::Bool(_) | Value::Int(_) => 0,
        other => edn::write(other).len(),
    };
    if bytes > limits::KEY_MAX { Value::str(shown(&key)) } else { key }
}

/// A value as an error shows it: short.
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Str(text) => format!("{text:?}"),
        Value::Map(_) | Value::Vector(_) | Value::List(_) | Value::Set(_) => return kind_of(value).into(),
        other => edn::write(other),
    };
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What a value is, in a word.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::BigInt(_) | Value::Ratio(_) | Value::Double(_) | Value::Decimal(_) => "a number",
        Value::Char(_) => "a character",
        Value::Str(_) => "text",
        Value::Keyword(_) => "a keyword",
        Value::Symbol(_) => "a symbol",
        Value::List(_) => "a list",
        Value::Vector(_) => "a vector",
        Value::Map(_) => "a map",
        Value::Set(_) => "a set",
        Value::Inst(_) => "an instant",
        Value::Uuid(_) => "a uuid",
        Value::Tagged(..) => "a tagged value",
        Value::Text(_) => "data",
    }
}
