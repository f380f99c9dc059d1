//! The boundary to Java: a handful of native functions, generic over the table of commands, and the only unsafe code.
//! Bytes come in, bytes go out; handles are numbers in a table; no call waits but `events`. It does not know commands
//! or jobs, attaches no thread to the JVM, and never unwinds into it.
//!
//! A reply is one byte (0 for data, 1 for an error) and then one message of `value::binary`.

mod describe;
mod entries;
mod events;
mod handles;
mod pending;
mod request;
mod servers;
mod thrown;
