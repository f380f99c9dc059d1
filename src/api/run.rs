//! How a command runs: on what it reads and writes, what it makes of that, and how a claim or a wait of a caller's is
//! asked of the engine. It does not know what any one command does: `jobs.rs`, `resources.rs` and `accounts.rs` do.

use super::Reply;
use super::access::Allow;
use super::args::Args;
use super::error::{Code, Error};
use super::files::LocalFiles;
use super::operation::Operation;
use super::view;

use crate::engine::{self, BatchView, Claim, Class, Held, JobView, Now, Settle, Work};
use crate::job::Wait;
use crate::store::Rows;
use crate::value::{MapBuilder, Value};

/// How a command runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// On one consistent state.
    Read(fn(&mut Reading, &Args) -> Reply),
    /// In a transaction, perhaps more than once.
    Write(Class, fn(&str, Args) -> Op),
    /// As `Write`, where repeating it is harmless and its answer is of the moment.
    Renew(Class, fn(&str, Args) -> Op),
    /// As a claim that may wait.
    Claim(fn(&str, &Args) -> Claim),
    /// On a thread of its own, since it may take long.
    Long(fn(&LocalFiles, &Args) -> Reply),
    /// As a wait for an end.
    Await(fn(&str, &Args) -> Await),
}

/// What is run in a transaction: the writer's thread is everybody's, so that only what needs it is in there.
pub type Op = Box<dyn FnMut(&mut Work) -> engine::Result<Made> + Send>;

/// What an operation made: rows, which its caller's thread turns into a reply.
pub enum Made {
    Job(Box<JobView>),
    Held(Box<Held>),
    Batch(Box<BatchView>),
    Data(Value),
}

impl Made {
    pub fn data(self) -> Value {
        match self {
            Made::Job(view) => view::job_data(*view),
            Made::Held(held) => view::held_data(*held),
            Made::Batch(view) => view::batch_data(*view),
            Made::Data(data) => data,
        }
    }

    pub fn job(view: JobView) -> Made {
        Made::Job(Box::new(view))
    }

    pub fn batch(view: BatchView) -> Made {
        Made::Batch(Box::new(view))
    }

    pub fn held(held: Held) -> Made {
        Made::Held(Box::new(held))
    }

    /// Id and lease token of a job that was claimed.
    fn claimed(&self) -> Option<(&str, &str)> {
        match self {
            Made::Job(view) => Some((&view.job.job_id, view.lease_token.as_deref()?)),
            Made::Data(data) => claimed(data),
            Made::Held(_) | Made::Batch(_) => None,
        }
    }
}

/// An operation that is rare: all of it runs in its transaction.
pub fn plainly(workspace: &str, args: Args, run: fn(&mut Work, &str, &Args) -> engine::Result<Value>) -> Op {
    let workspace = workspace.to_string();
    Box::new(move |work| run(work, &workspace, &args).map(Made::Data))
}

/// What a read reads, when, and for whom.
pub struct Reading<'a> {
    pub rows: &'a mut dyn Rows,
    pub now: Now,
    pub workspace: &'a str,
}

/// A claim of a caller's.
pub struct ClaimAs {
    pub claim: Claim,
    pub allow: Allow,
    pub operation: Operation,
}

impl engine::Claiming for ClaimAs {
    type Given = Made;

    fn claim(&self) -> &Claim {
        &self.claim
    }

    fn look(&self, rows: &mut dyn Rows, now: Now) -> engine::Result<bool> {
        self.allow.check(rows, now)?;
        Ok(self.operation.is_answered(rows, now)? || self.claim.look(rows, now)?)
    }

    fn run(&self, work: &mut Work) -> engine::Result<Option<Made>> {
        self.allow.check_in(work)?;
        if let Some(answer) = self.operation.recalled(work)? {
            return Ok(Some(Made::Data(answer)));
        }
        let Some(view) = work.claim(&self.claim)? else { return Ok(None) };
        self.operation.remember(work, Made::job(view)).map(Some)
    }

    fn undo(&self, work: &mut Work, given: &Made) -> engine::Result<()> {
        let Some((job_id, token)) = given.claimed() else { return Ok(()) };
        release_claimed(work, &self.claim.workspace, &self.operation, job_id, token)
    }
}

fn claimed(data: &Value) -> Option<(&str, &str)> {
    let text = |name| data.get("job").and_then(|job| job.get(name)).and_then(Value::as_str);
    text("job-id").zip(text("lease-token"))
}

/// Releases a job that was claimed for a caller that is gone.
pub fn give_back(work: &mut Work, workspace: &str, operation: &Operation, given: &Value) -> engine::Result<()> {
    let Some((job_id, token)) = claimed(given) else { return Ok(()) };
    release_claimed(work, workspace, operation, job_id, token)
}

fn release_claimed(
    work: &mut Work,
    workspace: &str,
    operation: &Operation,
    job_id: &str,
    token: &str,
) -> engine::Result<()> {
    operation.forget(work)?;
    let release = Settle::Release { reason: Some("claim was given up".into()) };
    work.settle(workspace, job_id, token, &release).map(|_| ())
}

/// The data of a claim.
pub fn claim_data(claimed: Option<Made>) -> Value {
    claimed.map(Made::data).unwrap_or_else(|| MapBuilder::new().put("job", Value::Nil).build())
}

/// Reads the state of what is waited for, and whether it has ended.
pub type Look = Box<dyn Fn(&mut dyn Rows, Now) -> engine::Result<(Value, bool)> + Send + Sync>;

/// A wait for an end.
pub struct Await {
    pub id: String,
    pub wait: Wait,
    /// Equal where the same is read of the same id.
    pub alike: String,
    /// Whether little is read.
    pub little: bool,
    pub look: Look,
}

/// Where the page begins that a cursor names.
pub fn before(args: &Args) -> Result<i64, Error> {
    let Some(cursor) = args.maybe_text("cursor") else { return Ok(i64::MAX) };
    let wrong = || format!("cursor \"{cursor}\" is not one of ours; allowed: next-cursor of a page");
    cursor.parse().map_err(|_| Error::new(Code::InvalidArgument, wrong()))
}

pub fn items_data(items: Vec<Value>, next: Option<i64>) -> Value {
    MapBuilder::new().put("items", items).put_some("next-cursor", next.map(|seq| seq.to_string())).build()
}
