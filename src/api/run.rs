//! How each command runs: arguments to the engine's operations, their answers to maps.

use super::Reply;
pub use crate::engine::Class;

/// How a command runs.
pub enum Run {
    Read(fn() -> Reply),
    Write(Class, fn() -> Reply),
    Claim(fn() -> Reply),
    Await(fn() -> Reply),
}
macro_rules! stub { ($($n:ident)*) => { $(pub fn $n() -> Reply { todo!() })* } }
stub!(create list get claim heartbeat progress complete fail release cancel retry await_job stats create_batch get_batch await_batch cancel_batch list_batches);
