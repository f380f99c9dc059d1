//! JSON projections of EDN, both ways. Numbers keep their digits; what JSON cannot say is said as near as it can.
//! It does not know commands or their fields.

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use super::stream::feed;
use super::tree::Tree;
use super::{Fault, Value, camel, edn};
use writer::Writer;

/// Reads one JSON value. Object keys are strings, numbers are long, BigInt or double; what stands under a key
/// named in `open` (camelCase or as it is) is kept as canonical `Value::Text` by the JSON → EDN rule for keys.
/// Duplicate keys are a fault.
pub fn read(bytes: &[u8], open: &[&str]) -> Result<Value, Fault> {
    let camels: Vec<String> = open.iter().map(|name| camel(name)).collect();
    let names: Vec<&str> = open.iter().copied().chain(camels.iter().map(|name| &**name)).collect();
    let mut tree = Tree::new(&names);
    reader::stream(bytes, &mut tree)?;
    Ok(tree.finish())
}

/// Reads one JSON value wholly by the JSON → EDN rule, into its canonical EDN text.
pub fn read_text(bytes: &[u8]) -> Result<Value, Fault> {
    let mut text = edn::TextWriter::checking();
    reader::stream(bytes, &mut text)?;
    Ok(Value::Text(text.finish().into()))
}

/// The JSON of a value: keywords that are map keys outside a `Text` become camelCase, `Text` follows the
/// EDN → JSON rule with its keys as they are.
pub fn write(value: &Value) -> String {
    written(value, Writer::compact())
}

/// As `write`, indented by two spaces for people.
pub fn write_pretty(value: &Value) -> String {
    written(value, Writer::pretty())
}

fn written(value: &Value, mut writer: Writer) -> String {
    match feed(value, &mut writer) {
        Ok(()) => writer.finish(),
        Err(wrong) => unreachable!("a value has a JSON form: {}", wrong.message),
    }
}

/// Whether an object key becomes a keyword: a letter or one of `_*!?$%&=<>+-`, then those, digits and dots.
fn is_plain_key(key: &str) -> bool {
    let mark = |b: u8| b.is_ascii_alphabetic() || b"_*!?$%&=<>+-".contains(&b);
    let mut bytes = key.bytes();
    bytes.next().is_some_and(mark) && bytes.all(|b| mark(b) || b.is_ascii_digit() || b == b'.')
}
