//! EDN text: what `clojure.edn` reads, read without recursion and with bounded depth, and its canonical text.
//! Comments, discarded forms and metadata leave no trace. It does not know which keys mean what.

mod canonical;
mod name;
mod number;
mod reader;
mod token;
mod writer;

#[cfg(test)]
mod tests;

pub use canonical::canonical;
pub(super) use canonical::canonical_of;
pub(super) use name::{is_keyword, is_symbol, is_tag};
pub(super) use number::{Number, big_int, decimal, ratio};
pub(super) use reader::stream;
pub(super) use token::unicode;
pub(super) use writer::{TextWriter, write_scalar};

use super::stream::feed;
use super::tree::Tree;
use super::{Fault, Value};

/// Reads exactly one value from `text`.
pub fn read(text: &str) -> Result<Value, Fault> {
    read_open(text, &[])
}

/// As `read`, but what stands under a map key named in `open` is kept as canonical `Value::Text` (checked: depth,
/// keys that collide as JSON). Keys are compared by keyword or string name, at any level outside a kept text.
pub fn read_open(text: &str, open: &[&str]) -> Result<Value, Fault> {
    let mut tree = Tree::new(open);
    stream(text, &mut tree)?;
    Ok(tree.finish())
}

/// As `read`, for a text whose keys and elements are known to be distinct.
pub(super) fn read_checked(text: &str) -> Result<Value, Fault> {
    let mut tree = Tree::trusting();
    stream(text, &mut tree)?;
    Ok(tree.finish())
}

/// The canonical EDN text of a value: what Clojure's `pr-str` gives, so that whatever is equal to a value's text in
/// Clojure's eyes is readable to people too.
pub fn write(value: &Value) -> String {
    let mut text = TextWriter::plain();
    match feed(value, &mut text) {
        Ok(()) => text.finish(),
        Err(wrong) => unreachable!("a value has a text: {}", wrong.message),
    }
}
