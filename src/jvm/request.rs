//! What Java asks and is answered, as bytes: arguments to a `Value`, a `Reply` to bytes, a panic to an `internal`
//! error. It does not call the engine.

use crate::api::{self, Code, Error, Reply};
use crate::value::{FaultKind, Value, binary, edn};
use std::panic::{AssertUnwindSafe, catch_unwind};

const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Steps of a path that a message shows.
const PATH_SHOWN: usize = 8;

/// Appends a reply: its first byte, then the data or the error. A reply that cannot be written is an `internal` error.
pub fn write_reply(reply: &Reply, out: &mut Vec<u8>) {
    let start = out.len();
    let written = guarded(|| {
        match reply {
            Ok(data) => {
                out.push(DATA);
                binary::write(data, out);
            }
            Err(error) => {
                out.push(ERROR);
                binary::write(&error.to_value(), out);
            }
        }
        Ok(())
    });
    if let Err(error) = written {
        out.truncate(start);
        out.push(ERROR);
        binary::write(&error.to_value(), out);
    }
}

/// The bytes of a reply.
pub fn reply_bytes(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write_reply(reply, &mut out);
    out
}

/// Reads arguments; the caller's own data is kept as text.
pub fn read(bytes: &[u8]) -> Result<Value, Error> {
    binary::read(bytes, api::open_fields()).map_err(|fault| {
        let code = match fault.kind {
            FaultKind::Invalid => Code::InvalidArgument,
            FaultKind::TooLarge => Code::PayloadTooLarge,
        };
        Error::new(code, format!("{}{}", place(&fault.path), fault.message)).at(fault.path)
    })
}

/// A path as the beginning of a message; the error itself has all its steps.
fn place(path: &[Value]) -> String {
    let mut text = String::new();
    for step in path.iter().take(PATH_SHOWN) {
        text.push_str(&edn::write(step));
        text.push(' ');
    }
    if path.len() > PATH_SHOWN {
        text.push_str("… ");
    }
    text
}

/// Runs `work`; a panic of it is an `internal` error.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        // Dropping a payload may panic in its turn.
        std::mem::forget(payload);
        Err(Error::new(Code::Internal, "internal fault in the native library; details are in the log"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_internal_error() {
        let caught = guarded::<()>(|| panic!("a panic that this test provokes"));
        assert_eq!(caught.map_err(|error| error.code), Err(Code::Internal));
    }
}
