//! What Java asks and is answered, as bytes: arguments to a `Value`, a `Reply` to bytes, a panic to an `internal`
//! error. It does not call the engine.

use crate::api::{COMMANDS, Code, Error, Kind, Reply};
use crate::value::{FaultKind, Value, binary};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

const DATA: u8 = 0;
const ERROR: u8 = 1;

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
    binary::read(bytes, open_names()).map_err(|fault| {
        let code = match fault.kind {
            FaultKind::Invalid => Code::InvalidArgument,
            FaultKind::TooLarge => Code::PayloadTooLarge,
        };
        Error::new(code, fault.message).at(fault.path)
    })
}

/// Runs `work`; a panic of it is an `internal` error.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        // Dropping a payload may panic in its turn.
        std::mem::forget(payload);
        Err(Error::new(Code::Internal, "internal fault in the native library; details are in the log"))
    })
}

/// The names of the fields that hold the caller's own data, over all commands.
fn open_names() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let fields = COMMANDS.iter().flat_map(|command| command.fields);
        let mut names: Vec<_> = fields
            .filter(|field| matches!(field.kind, Kind::Open(_) | Kind::Rows(_)))
            .map(|field| field.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
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
