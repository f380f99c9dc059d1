//! Work between two waits of a request. To let a thread's other requests go elsewhere costs two switches of threads,
//! more than most requests take in all: only what may be long is worth it. A commit is short enough: one thread at a
//! time is in one, and whoever comes meanwhile is queued.
//! It does not know what the work is.

use crate::value::Value;
use tokio::task::block_in_place;

/// What is read or written in so many bytes takes well below a millisecond.
const SHORT_BYTES: usize = 64 << 10;

/// Work on so many bytes.
pub fn on_bytes<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes <= SHORT_BYTES { work() } else { block_in_place(work) }
}

/// Work that is as long as a value is large, such as writing it.
pub fn on_value<T>(value: Value, work: impl FnOnce(Value) -> T) -> T {
    if is_short(&value) { work(value) } else { block_in_place(|| work(value)) }
}

/// Whether a value is soon read or written.
pub fn is_short(value: &Value) -> bool {
    has_room(value, &mut { SHORT_BYTES })
}

/// Whether a value takes no more than so many bytes, about; looks no further than that.
fn has_room(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::Str(text) => text.len(),
        Value::Text(text) => text.len(),
        _ => 0,
    };
    let Some(rest) = left.checked_sub(16 + own) else { return false };
    *left = rest;
    match value {
        Value::Map(entries) => entries.iter().all(|(_, value)| has_room(value, left)),
        Value::Vector(items) | Value::List(items) | Value::Set(items) => items.iter().all(|item| has_room(item, left)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_measured_no_further_than_what_is_short() {
        let text = |bytes: usize| Value::Str("x".repeat(bytes).into());
        assert!(is_short(&Value::Nil) && is_short(&text(1000)) && !is_short(&text(SHORT_BYTES)));
        assert!(is_short(&Value::Vector(vec![Value::Int(1); 1000])));
        assert!(!is_short(&Value::Vector(vec![Value::Int(1); SHORT_BYTES])));
        let nested = Value::Map(vec![(Value::key("a"), Value::Vector(vec![text(SHORT_BYTES / 2); 2]))]);
        assert!(!is_short(&nested));
    }
}
