//! Calls for an engine elsewhere: arguments checked here, by the same table and in the caller's own names, and made
//! ready to be sent; replies as they come back. It does not send anything.

use super::args::Args;
use super::error::Error;
use super::run::Run;
use super::{Call, Code, view};
use crate::value::{Value, edn};

/// A call whose arguments are right, as far as can be told without the store.
pub struct Checked {
    /// The arguments under the names of Clojure.
    pub args: Value,
    pub wait: Waits,
}

/// Whether and how long a call waits for something to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    Not,
    /// For a job to claim, so many milliseconds.
    Claim(i64),
    /// For an end, so many milliseconds in all, however the caller bounded it.
    End(i64),
}

/// Checks a call's arguments; the errors are those of the engine itself.
pub fn checked(call: &Call) -> Result<Checked, Error> {
    let args = Args::read(call.command, &call.args, call.names)?;
    let wait = match call.command.run {
        Run::Claim(_) => Waits::Claim(args.int("wait-ms").unwrap_or(0)),
        Run::Await(run) => Waits::End(run("", &args).wait.bound_ms()),
        _ => Waits::Not,
    };
    Ok(Checked { args: args.to_value(), wait })
}

/// The data of a reply from its EDN text, as the engine made it: the caller's own data is kept as text.
pub fn reply_data(text: &str) -> Result<Value, Error> {
    let read = edn::read_open(text, &view::KEPT).map_err(|fault| Error::new(Code::Internal, fault.message))?;
    Ok(view::reshaped(read))
}
