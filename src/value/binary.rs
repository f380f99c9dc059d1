//! The binary form of EDN that crosses JNI; `Codec.java` is its other half. It does not know what crosses.
//!
//! A message is the byte `VERSION` and one value. A value is a tag byte and what the tag says follows:
//!
//! | tag | value | follows |
//! |---|---|---|
//! | 00 01 02 | nil, false, true | |
//! | 03 | long | varint, zigzag |
//! | 04 | double | 8 bytes, big-endian |
//! | 05 | BigInt | string: its decimal digits |
//! | 06 | ratio | two strings: numerator and denominator |
//! | 07 | BigDecimal | string, as `BigDecimal.toString` |
//! | 08 | character | varint: its UTF-16 unit |
//! | 09 | string | varint: length in bytes; UTF-8 |
//! | 0a 0b | keyword, symbol | string: its name, `ns/name` |
//! | 0c 0d 0e 0f | list, vector, map, set | count, 4 bytes big-endian (entries for a map); values (key, value, … for a map) |
//! | 10 | `#inst` | 8 bytes, big-endian: milliseconds since the epoch |
//! | 11 | `#uuid` | 16 bytes, big-endian |
//! | 12 | tagged | string: the tag; the value |
//! | 13 | keyword | one byte: number of its word less 128 |
//! | 20–3f | long 0–31 | |
//! | 40–bf | keyword | word 0–127 of `words.txt` |
//! | c0–df | string of 0–31 bytes | UTF-8 |
//! | e0–ef | map of 0–15 entries | keys and values |
//! | f0–ff | vector of 0–15 items | values |
//!
//! "string" after a tag means varint length and UTF-8. Varints are little-endian groups of 7 bits, at most 10 bytes.
//! Both halves write the shortest tag for longs, strings and words, but may write any collection with its count.

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use super::stream::feed;
use super::tree::Tree;
use super::{Fault, Value};
use writer::Writer;

/// The version that the first byte of every message names.
pub const VERSION: u8 = 1;

const NIL: u8 = 0x00;
const FALSE: u8 = 0x01;
const TRUE: u8 = 0x02;
const INT: u8 = 0x03;
const DOUBLE: u8 = 0x04;
const BIG_INT: u8 = 0x05;
const RATIO: u8 = 0x06;
const DECIMAL: u8 = 0x07;
const CHAR: u8 = 0x08;
const STR: u8 = 0x09;
const KEYWORD: u8 = 0x0a;
const SYMBOL: u8 = 0x0b;
const LIST: u8 = 0x0c;
const VECTOR: u8 = 0x0d;
const MAP: u8 = 0x0e;
const SET: u8 = 0x0f;
const INST: u8 = 0x10;
const UUID: u8 = 0x11;
const TAGGED: u8 = 0x12;
const FAR_WORD: u8 = 0x13;
const SMALL_INT: u8 = 0x20;
const WORD: u8 = 0x40;
const SHORT_STR: u8 = 0xc0;
const SMALL_MAP: u8 = 0xe0;
const SMALL_VECTOR: u8 = 0xf0;

/// Reads one message. `open` as in `edn::read_open`.
pub fn read(bytes: &[u8], open: &[&str]) -> Result<Value, Fault> {
    let mut tree = Tree::new(open);
    reader::stream(bytes, &mut tree)?;
    Ok(tree.finish())
}

/// Appends one message (version byte included).
pub fn write(value: &Value, out: &mut Vec<u8>) {
    out.push(VERSION);
    if let Err(wrong) = feed(value, &mut Writer::new(out)) {
        unreachable!("a value has a binary form: {}", wrong.message);
    }
}
