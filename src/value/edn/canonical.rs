//! One text for all values that are equal in Clojure. It does not decide who compares what.

use super::{number, read, writer::write_scalar};
use crate::value::stream::Scalar;
use crate::value::{Fault, Value};

/// The text with map entries and set elements in a fixed order, so that equal values have equal texts: `1N` is `1`,
/// `1.50M` is `1.5M`, `-0.0` is `0.0`, and a list is a vector.
pub fn canonical(text: &str) -> Result<String, Fault> {
    read(text).map(|value| canonical_of(&value))
}

/// The canonical text of a tree. It recurs: what was read is at most `DEPTH_MAX` deep.
pub(in crate::value) fn canonical_of(value: &Value) -> String {
    text_of(value, number_of)
}

/// Tagged literals are compared by `.equals` in Clojure, to which `1` and `1N` are two.
fn number_as_it_is(value: &Value) -> String {
    super::write(value)
}

fn number_of(value: &Value) -> String {
    match value {
        Value::BigInt(digits) => match digits.parse() {
            Ok(small) => scalar(Scalar::Int(small)),
            Err(_) => format!("{digits}N"),
        },
        Value::Decimal(text) => format!("{}M", number::stripped_decimal(text).as_deref().unwrap_or(text)),
        Value::Double(zero) if *zero == 0.0 => "0.0".to_owned(),
        other => super::write(other),
    }
}

fn text_of(value: &Value, leaf: fn(&Value) -> String) -> String {
    let texts = |items: &[Value]| items.iter().map(|item| text_of(item, leaf)).collect();
    match value {
        Value::List(items) | Value::Vector(items) => wrap("[", texts(items), "]"),
        Value::Set(items) => wrap("#{", sorted(texts(items)), "}"),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{} {}", text_of(key, leaf), text_of(value, leaf)));
            wrap("{", sorted(entries.collect()), "}")
        }
        Value::Tagged(tag, value) => format!("#{tag} {}", text_of(value, number_as_it_is)),
        other => leaf(other),
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}

fn wrap(open: &str, texts: Vec<String>, close: &str) -> String {
    [open, &texts.join(" "), close].concat()
}

fn scalar(scalar: Scalar<'_>) -> String {
    let mut out = String::new();
    write_scalar(scalar, &mut out);
    out
}
