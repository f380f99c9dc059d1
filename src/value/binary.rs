//! The binary form of EDN that crosses JNI; `Codec.java` is its other half.

use super::{Fault, Value};

/// The version that the first byte of every message names.
pub const VERSION: u8 = 1;

/// Reads one message. `open` as in `edn::read_open`.
pub fn read(_bytes: &[u8], _open: &[&str]) -> Result<Value, Fault> {
    todo!()
}

/// Appends one message (version byte included).
pub fn write(_value: &Value, _out: &mut Vec<u8>) {
    todo!()
}
