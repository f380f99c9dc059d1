//! Waits of any length as long polls: one request waits at the server at a time, until the caller's own bound. A
//! server that goes away meanwhile is asked again.
//! It does not know what is waited for.

use super::answer::Fault;
use super::line::{Line, Pauses, Said};
use crate::api::Reply;
use crate::value::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// The longest poll of one request.
const POLL_MAX: Duration = Duration::from_secs(30);
/// The longest poll while others wait for their turn.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Waits so long for the end of a job or batch, and gives its last state.
pub async fn ended(line: Arc<Line>, said: Said, wait_ms: i64) -> Reply {
    // The bound that these make is kept here.
    let said = said.without("max-attempts").without("backoff");
    let is_over = |data: &Value| data.get("terminal") != Some(&Value::Bool(false));
    let with_jobs = said.args.get("include-jobs?") == Some(&Value::Bool(true));
    let brief = with_jobs.then(|| said.with("include-jobs?", false));
    wait(&line, &Asked { whole: said, brief, bound: "timeout-ms" }, wait_ms, is_over).await
}

/// Waits so long for a job to claim.
pub async fn claimed(line: Arc<Line>, said: Said, wait_ms: i64) -> Reply {
    // With an id of its own a claim whose answer was lost gives the same job again.
    let said = match said.args.get("request-id") {
        Some(_) => said,
        None => said.with("request-id", Uuid::new_v4().to_string()),
    };
    let asked = Asked { whole: said, brief: None, bound: "wait-ms" };
    wait(&line, &asked, wait_ms, |data| data.get("job") != Some(&Value::Nil)).await
}

/// What each of the polls of a wait asks.
struct Asked {
    whole: Said,
    /// What is asked instead, where the answer may be large, for as long as nobody is to be given it.
    brief: Option<Said>,
    /// The argument that says how long a poll may take.
    bound: &'static str,
}

impl Asked {
    /// The answer as the caller asked for it, without waiting.
    async fn at_once(&self, line: &Line) -> Reply {
        line.ask(self.whole.with(self.bound, 0).written()).await
    }
}

async fn wait(line: &Line, asked: &Asked, wait_ms: i64, is_over: impl Fn(&Value) -> bool) -> Reply {
    if wait_ms <= 0 {
        return asked.at_once(line).await;
    }
    let begun = Instant::now();
    let until = begun + Duration::from_millis(wait_ms.max(0).unsigned_abs());
    let mut pauses = Pauses::default();
    let mut last = None;
    loop {
        let asked_at = Instant::now();
        let Polled { poll, is_brief, mut sent } = poll(line, asked, until).await;
        if is_brief && sent.as_ref().is_ok_and(&is_over) {
            sent = Ok(asked.at_once(line).await?);
        }
        let pause = match sent {
            Ok(data) if is_over(&data) || !is_brief && Instant::now() >= until => return Ok(data),
            Ok(data) => {
                last = Some(data);
                if asked_at.elapsed() * 2 >= poll {
                    pauses = Pauses::default();
                    continue;
                }
                // It was sent away early: not to be asked again in a circle.
                pauses.grown()
            }
            Err(fault) => {
                let pause = pauses.next(&fault);
                let known = line.has_answered() || begun.elapsed() + pause <= line.retry_for();
                if fault.again && known && Instant::now() + pause < until {
                    pause
                } else {
                    // What was seen before the server went away is the last that is known.
                    return last.filter(|_| fault.again).ok_or(fault.error);
                }
            }
        };
        sleep(pause).await;
    }
}

/// One long poll.
struct Polled {
    /// How long it was to wait.
    poll: Duration,
    is_brief: bool,
    sent: Result<Value, Fault>,
}

async fn poll(line: &Line, asked: &Asked, until: Instant) -> Polled {
    // Whoever finds no place waits here; those that have one keep it for short while others wait.
    let (permit, longest) = match line.waiting.try_acquire() {
        Ok(permit) => (Ok(permit), POLL_MAX),
        Err(_) => (line.waiting.acquire().await, TURN_MAX),
    };
    let left = until.saturating_duration_since(Instant::now());
    let longest = if line.waiting.available_permits() == 0 { TURN_MAX } else { longest };
    let poll = left.min(longest);
    let wait_ms = i64::try_from(poll.as_millis()).unwrap_or(i64::MAX);
    // The answer to the last poll is the caller's, whether or not it says that the wait is over.
    let brief = asked.brief.as_ref().filter(|_| poll < left);
    let said = brief.unwrap_or(&asked.whole).with(asked.bound, wait_ms);
    let sent = line.call(said.written(), poll).send().await;
    drop(permit);
    Polled { poll, is_brief: brief.is_some(), sent }
}
