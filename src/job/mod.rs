//! The rules: states, batches, retries, waits, limits.
//! Pure: no I/O, no clock, no SQL, no text formats.

mod batch;
mod decide;
pub mod limits;
mod retry;
mod status;
mod wait;

pub use batch::{BatchStatus, Counts};
pub use decide::{Change, Ending, Event, Facts, Outcome, Refusal, decide};
pub use status::Status;
pub use wait::{Growth, Wait};
