//! What is reported for a handler that ended: its exit and its result file to one command.
//! It does not send it.

use super::result::Found;
use super::watch::Why;
use rustix::io::Errno;
use serde_json::{Map, Value, json};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// EX_TEMPFAIL: another attempt may help.
const TEMPORARY_FAILURE: i32 = 75;
const MESSAGE_BYTES_MAX: usize = 2000;

/// How a handler process ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Exit {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => unreachable!("a process that was waited for has exited or was killed"),
        }
    }
}

/// One command that ends the attempt, without the job's id and token.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    pub command: &'static str,
    pub args: Map<String, Value>,
    short: bool,
}

impl Verdict {
    pub fn fail(code: &str, message: &str) -> Verdict {
        let mut args = Map::new();
        args.insert("code".into(), code.into());
        args.insert("message".into(), shortened(message).into());
        Verdict { command: "jobs.fail", args, short: false }
    }

    /// The verdict where no handler could be started: a failure, unless only this worker is short of something now.
    pub fn cannot_begin(error: &std::io::Error, code: &str, message: &str) -> Verdict {
        let short = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM];
        match error.raw_os_error() {
            Some(cause) if short.iter().any(|errno| errno.raw_os_error() == cause) => {
                Verdict { short: true, ..Verdict::release(&format!("worker is short of something: {error}")) }
            }
            _ => Verdict::fail(code, message),
        }
    }

    /// Whether the job goes back because this worker is short of something.
    pub fn short(&self) -> bool {
        self.short
    }

    fn release(reason: &str) -> Verdict {
        let mut args = Map::new();
        args.insert("reason".into(), reason.into());
        Verdict { command: "jobs.release", args, short: false }
    }

    /// Whether the job is reported as failed.
    pub fn failed(&self) -> bool {
        self.command == "jobs.fail"
    }

    /// Whether the job goes back unfinished.
    pub fn released(&self) -> bool {
        self.command == "jobs.release"
    }
}

/// The verdict on a handler that ended by itself.
pub fn judge(exit: Exit, found: Found, worker_info: Value) -> Verdict {
    match exit {
        Exit::Code(0) => judge_result(found, worker_info),
        Exit::Code(code) => {
            let message = format!("handler exited with status {code}");
            judge_failure(&message, ("exitCode", code), found, code == TEMPORARY_FAILURE)
        }
        Exit::Signal(signal) => {
            let message = format!("handler was killed by signal {signal}");
            judge_failure(&message, ("signal", signal), found, true)
        }
    }
}

/// The verdict on a handler that this worker stopped; nothing where nothing may be reported any more.
pub fn judge_stopped(why: Why, exit: Exit, found: Found, worker_info: Value) -> Option<Verdict> {
    if why == Why::LeaseLost {
        return None;
    }
    if finished(exit, &found) {
        return Some(judge_result(found, worker_info));
    }
    Some(match why {
        Why::Cancelled => {
            let mut result = Map::new();
            result.insert("status".into(), "cancelled".into());
            result.insert("summary".into(), "handler was stopped, the job was cancelled".into());
            if let Found::Object(mut left) = found {
                result.extend(left.remove("artifacts").map(|artifacts| ("artifacts".to_owned(), artifacts)));
            }
            complete(result, worker_info)
        }
        Why::Drained => Verdict::release("worker is shutting down"),
        Why::Lapsed | Why::LeaseLost => Verdict::release("worker could not renew its lease"),
    })
}

/// Whether a handler that was being stopped had said how its work ended.
fn finished(exit: Exit, found: &Found) -> bool {
    match found {
        Found::Object(result) => result.contains_key("status") || (exit == Exit::Code(0) && !result.is_empty()),
        Found::Nothing | Found::Broken(_) => false,
    }
}

fn judge_result(found: Found, worker_info: Value) -> Verdict {
    let mut result = match found {
        Found::Broken(problem) => return Verdict::fail("invalid_result", &problem),
        Found::Nothing => Map::from_iter([("summary".to_owned(), "handler exited successfully".into())]),
        Found::Object(result) => result,
    };
    let (code, message) = match result.get("status").and_then(Value::as_str) {
        Some("failed") => ("handler_failed", "handler reported a failure"),
        Some("timed_out") => ("timed_out", "handler reported that it ran out of time"),
        _ => return complete(result, worker_info),
    };
    let mut args = failure(&mut result);
    args.entry("code").or_insert_with(|| code.into());
    args.entry("message").or_insert_with(|| message.into());
    Verdict { command: "jobs.fail", args, short: false }
}

fn complete(mut result: Map<String, Value>, mut worker_info: Value) -> Verdict {
    match (result.remove("workerInfo"), worker_info.as_object_mut()) {
        (Some(Value::Object(theirs)), Some(ours)) => ours.extend(theirs),
        (Some(other), _) if !other.is_null() => worker_info = other,
        _ => {}
    }
    let mut args = pick(&mut result, &["status", "summary", "outputs", "metrics", "artifacts"]);
    args.insert("workerInfo".into(), worker_info);
    Verdict { command: "jobs.complete", args, short: false }
}

fn judge_failure(message: &str, fact: (&str, i32), found: Found, retryable: bool) -> Verdict {
    let (mut result, problem) = match found {
        Found::Object(result) => (result, None),
        Found::Nothing => (Map::new(), None),
        Found::Broken(problem) => (Map::new(), Some(problem)),
    };
    let mut args = failure(&mut result);
    args.entry("message").or_insert_with(|| message.into());
    args.entry("code").or_insert_with(|| "handler_failed".into());
    let mut details = match args.remove("details") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(details)) => details,
        Some(other) => Map::from_iter([("details".to_owned(), other)]),
    };
    details.insert(fact.0.into(), fact.1.into());
    details.extend(problem.map(|problem| ("resultProblem".to_owned(), shortened(&problem).into())));
    args.insert("details".into(), Value::Object(details));
    if retryable {
        args.insert("retryable".into(), true.into());
    }
    Verdict { command: "jobs.fail", args, short: false }
}

fn failure(result: &mut Map<String, Value>) -> Map<String, Value> {
    pick(result, &["message", "code", "details", "retryable", "artifacts"])
}

/// What the result says under these names; `null` says nothing, and recorded artifacts are not sent again.
fn pick(result: &mut Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let mut picked = Map::new();
    for name in names {
        match result.remove(*name) {
            None => {}
            Some(Value::Null) if *name != "outputs" => {}
            Some(value) if *name == "artifacts" => {
                let fresh = fresh_artifacts(value);
                if !fresh.is_empty() {
                    picked.insert("artifacts".into(), fresh.into());
                }
            }
            Some(value) => {
                picked.insert((*name).to_owned(), value);
            }
        }
    }
    picked
}

fn fresh_artifacts(artifacts: Value) -> Vec<Value> {
    let all = match artifacts {
        Value::Array(all) => all,
        lone => vec![lone],
    };
    all.into_iter().filter(|artifact| artifact.get("_breytaPersisted") != Some(&json!(true))).collect()
}

/// The text within what a message may hold.
pub fn shortened(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Found {
        match value {
            Value::Object(object) => Found::Object(object),
            other => panic!("{other} is no object"),
        }
    }

    fn info() -> Value {
        json!({"workerId": "w", "pid": 7})
    }

    fn judged(exit: Exit, found: Found) -> (&'static str, Value) {
        let verdict = judge(exit, found, info());
        (verdict.command, Value::Object(verdict.args))
    }

    #[test]
    fn a_good_exit_without_a_result_is_a_success() {
        let expected = json!({"summary": "handler exited successfully", "workerInfo": info()});
        assert_eq!(judged(Exit::Code(0), Found::Nothing), ("jobs.complete", expected));
    }

    #[test]
    fn a_good_exit_completes_with_the_status_of_the_result() {
        for status in ["succeeded", "no_changes", "cancelled"] {
            let result = json!({"status": status, "outputs": null, "extra": 1, "workerInfo": {"pid": 8, "gpu": true}});
            let expected =
                json!({"status": status, "outputs": null, "workerInfo": {"workerId": "w", "pid": 8, "gpu": true}});
            assert_eq!(judged(Exit::Code(0), object(result)), ("jobs.complete", expected));
        }
    }

    #[test]
    fn a_good_exit_with_a_failed_result_fails_with_its_words() {
        let (command, args) =
            judged(Exit::Code(0), object(json!({"status": "failed", "message": "no", "details": [1]})));
        assert_eq!((command, args), ("jobs.fail", json!({"message": "no", "code": "handler_failed", "details": [1]})));
        let (_, args) = judged(Exit::Code(0), object(json!({"status": "timed_out"})));
        assert_eq!(args["code"], "timed_out");
    }

    #[test]
    fn a_broken_result_is_an_invalid_result() {
        let (command, args) = judged(Exit::Code(0), Found::Broken("result.json is not JSON".into()));
        assert_eq!((command, &args["code"]), ("jobs.fail", &json!("invalid_result")));
    }

    #[test]
    fn a_bad_exit_fails_and_only_a_temporary_one_is_retryable() {
        let (_, args) = judged(Exit::Code(3), Found::Nothing);
        let expected =
            json!({"message": "handler exited with status 3", "code": "handler_failed", "details": {"exitCode": 3}});
        assert_eq!(args, expected);
        let (_, args) = judged(Exit::Code(75), object(json!({"code": "busy", "details": {"a": 1}})));
        assert_eq!((&args["retryable"], &args["code"]), (&json!(true), &json!("busy")));
        assert_eq!(args["details"], json!({"a": 1, "exitCode": 75}));
    }

    #[test]
    fn a_death_by_a_signal_is_retryable() {
        let (command, args) = judged(Exit::Signal(9), Found::Nothing);
        assert_eq!((command, &args["details"], &args["retryable"]), ("jobs.fail", &json!({"signal": 9}), &json!(true)));
    }

    #[test]
    fn recorded_artifacts_are_not_sent_again_and_a_lone_one_counts_as_one() {
        let result = json!({"artifacts": [{"label": "a", "_breytaPersisted": true}, {"label": "b"}]});
        assert_eq!(judged(Exit::Code(0), object(result)).1["artifacts"], json!([{"label": "b"}]));
        let result = json!({"artifacts": {"label": "c"}});
        assert_eq!(judged(Exit::Code(0), object(result)).1["artifacts"], json!([{"label": "c"}]));
    }

    #[test]
    fn a_stopped_handler_is_reported_by_why_unless_it_had_finished() {
        let unfinished = || object(json!({"summary": "half"}));
        let killed = Exit::Signal(15);
        let command = |why, found| judge_stopped(why, killed, found, info()).map(|verdict| verdict.command);
        assert_eq!(command(Why::LeaseLost, unfinished()), None);
        assert_eq!(command(Why::Drained, unfinished()), Some("jobs.release"));
        assert_eq!(command(Why::Lapsed, Found::Nothing), Some("jobs.release"));
        let cancelled = judge_stopped(Why::Cancelled, killed, unfinished(), info()).unwrap();
        assert_eq!((cancelled.command, &cancelled.args["status"]), ("jobs.complete", &json!("cancelled")));
        let done = judge_stopped(Why::Cancelled, killed, object(json!({"status": "succeeded"})), info()).unwrap();
        assert_eq!(done.args["status"], "succeeded");
        let done = judge_stopped(Why::Drained, Exit::Code(0), unfinished(), info()).unwrap();
        assert_eq!((done.command, &done.args["summary"]), ("jobs.complete", &json!("half")));
    }
}
