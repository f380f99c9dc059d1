//! The six ops of `flow/step :job`: which command each runs, which keys it takes, how its reply is given back.

use super::{Answer, Client, Done};
use crate::value::Value;

/// One op of the step.
pub struct StepOp {
    /// Without the colon.
    pub name: &'static str,
    pub command: &'static str,
    pub required: &'static [&'static str],
    pub optional: &'static [&'static str],
}

/// The ops, in the order of the reference.
pub const STEP_OPS: &[StepOp] = &[];

/// Runs one step: checks the config, runs its command as the step `step_id`, and gives the job or batch map itself.
/// A bounded wait that ends without a terminal status is `await-timeout` with the last state in its details.
/// `config` is a map with the keys of the op; namespaced keys are ignored.
pub fn step(_client: &dyn Client, _step_id: &str, _config: Value, _done: Done) -> Answer {
    todo!()
}
