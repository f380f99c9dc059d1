//! Awaiting from the command line: one long call, and a bar that shows a batch meanwhile.
//! It does not decide when the wait is over: the command does.

use crate::api::{self, Call, Client, Code, Command, Error, Names, Reply, Waiting};
use crate::value::Value;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

const BATCH_ID: &str = "batch-id";
const REFRESH: Duration = Duration::from_millis(500);

/// Waits, and makes an error of a wait that ended before what was awaited.
pub fn ask(client: &dyn Client, command: &'static Command, args: Value) -> Reply {
    let waiting = Waiting::of(client, &Call { command, args: args.clone(), names: Names::Flag });
    let batch = match &args {
        Value::Map(entries) => {
            entries.iter().find(|(name, _)| name.as_str() == Some(BATCH_ID)).map(|(_, id)| id.clone())
        }
        _ => None,
    };
    let reply = match batch {
        Some(batch) if std::io::stderr().is_terminal() => with_bar(client, command, args, &batch),
        _ => api::ask(client, command.name, args, Names::Flag),
    }?;
    let Some(waiting) = waiting.filter(|_| reply.get("terminal") == Some(&Value::Bool(false))) else {
        return Ok(reply);
    };
    let state = ["job", "batch"].into_iter().find_map(|kind| reply.get(kind).map(|state| (kind, state.clone())));
    match state {
        Some((kind, state)) => Err(waiting.over(kind, state)),
        None => Ok(reply),
    }
}

/// Waits on another thread and shows the batch's counts here until the wait is over.
fn with_bar(client: &dyn Client, command: &Command, args: Value, batch: &Value) -> Reply {
    thread::scope(|scope| {
        let (tell, told) = channel();
        scope.spawn(move || tell.send(api::ask(client, command.name, args, Names::Flag)));
        let bar = ProgressBar::new(0);
        let template = "{bar:40} {pos}/{len}  {msg}  {elapsed}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        loop {
            show(client, batch, &bar);
            match told.recv_timeout(REFRESH) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Code::Internal, "wait ended by a fault"));
                }
                Ok(reply) => {
                    bar.finish_and_clear();
                    return reply;
                }
            }
        }
    })
}

fn show(client: &dyn Client, batch: &Value, bar: &ProgressBar) {
    let args = [(BATCH_ID, batch.clone()), ("include-jobs?", false.into())];
    let args = Value::Map(args.map(|(name, value)| (Value::str(name), value)).to_vec());
    let Ok(reply) = api::ask(client, "jobs.batches.get", args, Names::Flag) else { return };
    let Some(batch) = reply.get("batch") else { return };
    let number = |value: Option<&Value>| match value {
        Some(Value::Int(number)) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    };
    let total = number(batch.get("requested-count"));
    let Some(Value::Map(counts)) = batch.get("counts") else { return };
    let live = ["queued", "leased", "started", "running"];
    let is_live = |name: &Value| match name {
        Value::Keyword(name) => live.contains(&name.as_ref()),
        Value::Str(name) => live.contains(&name.as_ref()),
        _ => false,
    };
    let open: u64 = counts.iter().filter(|(name, _)| is_live(name)).map(|(_, count)| number(Some(count))).sum();
    bar.set_length(total);
    bar.set_position(total.saturating_sub(open));
    bar.set_message(batch.get("status").and_then(Value::as_str).unwrap_or_default().to_owned());
}
