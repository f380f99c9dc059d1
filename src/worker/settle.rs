//! The one command that ends an attempt: sent until it is answered or the lease is over.
//! It does not choose the command.

use super::calls;
use super::job::Job;
use super::lease::Lease;
use super::verdict::{Verdict, shortened};
use crate::api::{Client, Code, Error};
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
