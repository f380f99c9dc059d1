//! The one command that ends an attempt: sent until it is answered or the lease is over.
//! It does not choose the command.

use super::calls;
use super::job::Job;
use super::lease::Lease;
use super::result;
use super::verdict::{Exit, Verdict, judge, shortened};
use crate::api::{self, Call, Client, Code, Error, Names};
use crate::value::Value;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What became of a verdict.
pub struct Settled {
    /// The verdict that was taken: where the first one was refused for what the handler reported, the failure that
    /// says so.
    pub verdict: Verdict,
    pub reply: Result<Value, Error>,
}

/// Reports a verdict. The same command with the same token gets the same answer, so a lost answer is asked for again.
pub async fn settle(client: &Arc<dyn Client>, job: &Job, lease: &Lease, verdict: Verdict) -> Settled {
    let reply = send(client, job, lease, &verdict).await;
    match &reply {
        Err(error) if refuses_content(error) => {
            let verdict = invalid_result(error);
            let reply = send(client, job, lease, &verdict).await;
            Settled { verdict, reply }
        }
        _ => Settled { verdict, reply },
    }
}

/// The command, with its arguments checked and as they would be stored, that ends an attempt of a handler that exited
/// with `code` and left `bytes` as its result; without the job's id and token it would be refused, so they stand in.
pub fn reported(bytes: &[u8], code: i32) -> Result<(&'static str, Value), Error> {
    let verdict = judge(Exit::Code(code), result::parse(bytes), json!({"workerId": "w"}));
    match checked(&verdict) {
        Err(error) if refuses_content(&error) => {
            let verdict = invalid_result(&error);
            checked(&verdict).map(|args| (verdict.command, args))
        }
        args => args.map(|args| (verdict.command, args)),
    }
}

fn checked(verdict: &Verdict) -> Result<Value, Error> {
    let Some(command) = api::command(verdict.command) else { unreachable!("a verdict is a command of the table") };
    let mut args = verdict.args.clone();
    args.extend([("jobId".to_owned(), json!("j")), ("leaseToken".to_owned(), json!("t"))]);
    let args = calls::to_value(&args.into())?;
    api::checked(&Call { command, args, names: Names::Json }).map(|checked| checked.args)
}

fn refuses_content(error: &Error) -> bool {
    matches!(error.code, Code::InvalidArgument | Code::PayloadTooLarge)
}

fn invalid_result(error: &Error) -> Verdict {
    let message = format!("result was refused: {}", error.message);
    let mut verdict = Verdict::fail("invalid_result", &shortened(&message));
    verdict.args.insert("details".into(), json!({"refusal": error.code.row().name}));
    verdict
}

async fn send(client: &Arc<dyn Client>, job: &Job, lease: &Lease, verdict: &Verdict) -> Result<Value, Error> {
    let mut args = job.args();
    args.extend(verdict.args.clone());
    let mut delay = RETRY_FIRST;
    loop {
        let reply = calls::ask(client, verdict.command, args.clone().into()).await;
        match reply {
            Err(error) if error.code.row().retry && Instant::now() + delay < lease.until() => {}
            reply => return reply,
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY_MAX);
    }
}
