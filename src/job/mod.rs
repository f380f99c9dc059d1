//! The rules: states, batches, retries, waits, limits.
//! Pure: no I/O, no clock, no SQL, no text formats.

pub mod limits;
