//! The six ops of `flow/step :job`: which command each runs, which keys it takes, how its reply is given back.

use super::args::{Arg, Place, check, unknown_key};
use super::command::command;
use super::error::{Code, Error};
use super::field::Kind;
use super::shown::shown;
use super::spelling::Names;
use super::waiting::Waiting;
use super::{Answer, Call, Client, Done, Reply};
use crate::job::limits;
use crate::value::Value;
use std::time::Duration;

/// The name of a wait's bound in the table of commands.
const TIMEOUT_MS: &str = "timeout-ms";

/// One op of the step.
pub struct StepOp {
    /// Without the colon.
    pub name: &'static str,
    /// The command that it runs.
    pub command: &'static str,
    pub required: &'static [&'static str],
    pub optional: &'static [&'static str],
    /// The key of the reply that the caller gets.
    gives: &'static str,
}

/// The ops, in the order of the reference.
pub static STEP_OPS: &[StepOp] = &[
    StepOp {
        name: "submit",
        command: "jobs.create",
        required: &["job-type"],
        optional: &["payload", "metadata", "max-attempts", "idempotency-key"],
        gives: "job",
    },
    StepOp {
        name: "submit-batch",
        command: "jobs.batches.create",
        required: &["job-type", "jobs"],
        optional: &["metadata", "max-attempts", "idempotency-key"],
        gives: "batch",
    },
    StepOp { name: "get", command: "jobs.get", required: &["job-id"], optional: &[], gives: "job" },
    StepOp {
        name: "get-batch",
        command: "jobs.batches.get",
        required: &["batch-id"],
        optional: &["include-jobs?", "limit"],
        gives: "batch",
    },
    StepOp {
        name: "await",
        command: "jobs.await",
        required: &["job-id"],
        optional: &["interval", "timeout", "max-attempts", "backoff"],
        gives: "job",
    },
    StepOp {
        name: "await-batch",
        command: "jobs.batches.await",
        required: &["batch-id"],
        optional: &["interval", "timeout", "max-attempts", "backoff", "include-jobs?", "limit"],
        gives: "batch",
    },
];

/// Runs one step: checks the config, runs its command as the step `step_id`, and gives the job or batch map itself.
/// A bounded wait that ends without a terminal status is `await-timeout` with the last state in its details.
/// `config` is a map with the keys of the op; namespaced keys are the caller's own. An empty `step_id` is that of a call
/// outside of flows.
pub fn step(client: &dyn Client, step_id: &str, config: Value, done: Done) -> Answer {
    step_within(client, step_id, config, Duration::ZERO, done)
}

/// As `step`; what has only to be made durable is waited for on this thread, for as long as `patience`.
pub fn step_within(client: &dyn Client, step_id: &str, config: Value, patience: Duration, done: Done) -> Answer {
    let (op, call) = match read(step_id, config) {
        Ok(read) => read,
        Err(error) => return Answer::Now(Err(error)),
    };
    let waiting = Waiting::of(client, &call);
    let later = waiting.clone();
    let answer = client.call_within(call, patience, Box::new(move |reply| done(given(op, later, reply))));
    match answer {
        Answer::Now(reply) => Answer::Now(given(op, waiting, reply)),
        later @ Answer::Later(_) => later,
    }
}

fn read(step_id: &str, config: Value) -> Result<(&'static StepOp, Call), Error> {
    let root = Place::root(Names::Clojure);
    let Value::Map(mut entries) = config else {
        return Err(Error::new(Code::InvalidArgument, "config of a step is not a map; allowed: a map with :op"));
    };
    entries.retain(|(key, _)| !matches!(key, Value::Keyword(name) if name.contains('/') && &**name != "/"));
    let op = take(&mut entries, "op");
    let op = step_op(op.as_ref(), &root)?;
    match take(&mut entries, "type") {
        None | Some(Value::Nil) => {}
        Some(Value::Keyword(name)) if name == "job" => {}
        Some(Value::Str(name)) if &*name == "job" => {}
        Some(_) => {
            let hint = if op.required.contains(&"job-type") { "; did you mean :job-type?" } else { "" };
            return Err(root.key("type").invalid(format!("is not the type of this step{hint} (allowed: :job)")));
        }
    }
    let known = || op.required.iter().chain(op.optional).copied();
    // A call that is no step of a flow has no :op or :type of its caller's, and may bound its wait as the command does.
    let more: &[&str] = if !step_id.is_empty() {
        &["op", "type"]
    } else if op.optional.contains(&"timeout") {
        &[TIMEOUT_MS]
    } else {
        &[]
    };
    for (key, _) in &entries {
        let taken = |name: &str| known().any(|known| known == name) || more == [name];
        if !matches!(key, Value::Keyword(name) if taken(name)) {
            return Err(unknown_key(&root, key, known().chain(more.iter().copied())));
        }
    }
    if has(&entries, "timeout") && has(&entries, TIMEOUT_MS) {
        return Err(root.key("timeout").invalid(format!("and :{TIMEOUT_MS} are both given; allowed: one of them")));
    }
    if let Some(name) = op.required.iter().find(|name| !has(&entries, name)) {
        let op = op.name;
        return Err(root.key(name).invalid(format!("is missing; :op :{op} requires it")));
    }
    adapt(op, step_id, &mut entries, &root)?;
    let command = command(op.command).unwrap_or_else(|| unreachable!("{} is in the table", op.command));
    Ok((op, Call { command, args: Value::Map(entries), names: Names::Clojure }))
}

/// Turns the step's keys into the command's.
fn adapt(op: &StepOp, step_id: &str, entries: &mut Vec<(Value, Value)>, root: &Place) -> Result<(), Error> {
    if op.optional.contains(&"timeout")
        && let Some(timeout) = take(entries, "timeout").filter(|timeout| *timeout != Value::Nil)
    {
        let Arg::Int(ms) = check(Kind::Millis(1, limits::WAIT_MAX_MS), &timeout, &root.key("timeout"))? else {
            unreachable!("milliseconds are a number")
        };
        entries.push((Value::key(TIMEOUT_MS), Value::Int(ms)));
    }
    if op.command.ends_with("create") {
        check(Kind::Text(limits::KEY_MAX), &Value::str(step_id), &root.key("step-id"))?;
        entries.push((Value::key("parent-step-id"), Value::str(step_id)));
    }
    if op.command == "jobs.batches.get" && !has(entries, "include-jobs?") {
        entries.push((Value::key("include-jobs?"), Value::Bool(false)));
    }
    Ok(())
}

fn step_op(op: Option<&Value>, root: &Place) -> Result<&'static StepOp, Error> {
    let place = root.key("op");
    let allowed = || STEP_OPS.iter().map(|op| format!(":{}", op.name)).collect::<Vec<_>>().join(", ");
    let given: &str = match op {
        Some(Value::Keyword(name)) => name,
        Some(Value::Str(name)) => name.strip_prefix(':').unwrap_or(name),
        Some(Value::Nil) | None => return Err(place.invalid(format!("is missing; allowed: {}", allowed()))),
        Some(other) => return Err(place.invalid(format!("is {}; allowed: {}", shown(other), allowed()))),
    };
    let found = STEP_OPS.iter().find(|op| op.name == given);
    found.ok_or_else(|| {
        let near = STEP_OPS.iter().map(|op| (strsim::damerau_levenshtein(op.name, given), op.name)).min();
        let hint = match near {
            Some((distance, name)) if distance <= 3 => format!("; did you mean :{name}?"),
            Some(_) | None => String::new(),
        };
        place.invalid(format!("\"{given}\" is unknown{hint} (allowed: {})", allowed()))
    })
}

fn has(entries: &[(Value, Value)], name: &str) -> bool {
    entries.iter().any(|(key, value)| matches!(key, Value::Keyword(k) if k == name) && *value != Value::Nil)
}

fn take(entries: &mut Vec<(Value, Value)>, name: &str) -> Option<Value> {
    let index = entries.iter().position(|(key, _)| matches!(key, Value::Keyword(k) if k == name))?;
    Some(entries.swap_remove(index).1)
}

/// The job or batch map of a reply, with its jobs; a wait that did not end is an error.
fn given(op: &StepOp, waiting: Option<Waiting>, reply: Reply) -> Reply {
    let Value::Map(mut data) = reply? else { unreachable!("a reply is a map") };
    let ended = take(&mut data, "terminal");
    let jobs = take(&mut data, "jobs");
    let given = take(&mut data, op.gives).unwrap_or_else(|| unreachable!("{} gives a {}", op.command, op.gives));
    let given = match (given, jobs) {
        (Value::Map(mut entries), Some(jobs)) => {
            entries.push((Value::key("jobs"), jobs));
            Value::Map(entries)
        }
        (given, _) => given,
    };
    match waiting {
        Some(waiting) if ended == Some(Value::Bool(false)) => Err(waiting.over(op.gives, given)),
        Some(_) | None => Ok(given),
    }
}
