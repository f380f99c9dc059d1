//! Stores: rows in, rows out. A store carries what the engine decided; it does not know which change is legal.

mod check;
mod prune;
mod resource;
mod rows;
mod sql;
mod sqlite;

pub use check::{Checked, Depth, Fault, Faults};
pub use prune::{PruneRows, PruneTx};
pub use resource::{
    Cell, Range, Removed, Resource, ResourcePage, ResourceRows, ResourceTx, Table, TableRow, Upload, uri_parts,
};
pub use rows::{
    AccessKey, Account, Answered, Artifact, Attempt, Batch, Body, ClockRow, Count, Fanout, Grant, Job, OperationName,
    Outcome, Page, Progress, Queue, Submission, Text, WorkspaceCount,
};
pub use sqlite::{Copied, Reading, Sqlite, SqliteOptions, Vacant, broken_laws, laws, sqlite_version};

use crate::job::Status;

/// Trouble with a store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another writer holds the store, for longer than we wait.
    #[error("{0}")]
    Busy(String),
    /// The store cannot be opened or used as it is: the message says why and what would help.
    #[error("{0}")]
    Unusable(String),
    /// The store does not exist and was not to be made.
    #[error("{0}")]
    Missing(String),
    /// An I/O error, a full disk or a lost connection: the transaction is undone.
    #[error("{0}")]
    Unavailable(String),
    /// A COMMIT that failed: the transaction is wholly there or not at all.
    #[error("outcome is unknown: {0}")]
    Unknown(String),
    /// The contents contradict themselves.
    #[error("{0}")]
    Corrupt(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// How long `begin` may wait for another writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: `Busy` at once.
    None,
    /// As long as the store was opened to.
    Full,
}

/// One database, open in this process.
pub trait Store: Send + Sync {
    /// A session that writes. One at a time is in a transaction.
    fn writer(&self) -> Result<Box<dyn Tx + Send>>;

    /// A session that reads what is committed.
    fn reader(&self) -> Result<Box<dyn Rows + Send>>;

    /// Calls `on_change` after other processes may have committed. Sometimes it is called for nothing.
    fn watch(&self, on_change: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Send + Sync>>;

    /// How long the log of commits is that are not in the store's file yet.
    fn log_bytes(&self) -> u64;

    /// Moves the log into the file and empties it; false where somebody reads an old state, who keeps it from that.
    fn shorten_log(&self) -> Result<bool>;

    /// Tells the other processes that watch this store; called after a commit that matters to them.
    fn announce(&self) -> Result<()>;
}

/// Reads. Outside a transaction each sees what is committed; between `hold` and `let_go` all see the same state.
pub trait Rows: ResourceRows + PruneRows {
    fn hold(&mut self) -> Result<()>;
    fn let_go(&mut self) -> Result<()>;

    /// A number that changes when another session has committed since the last call on this one.
    fn version(&mut self) -> Result<i64>;

    fn clock(&mut self) -> Result<Option<ClockRow>>;
    /// A store time that was reached already, the latest that the rows tell of.
    fn time_reached(&mut self) -> Result<Option<i64>>;
    fn job_by_id(&mut self, job_id: &str) -> Result<Option<Job>>;
    fn job_by_seq(&mut self, seq: i64) -> Result<Option<Job>>;
    /// What the job was submitted with; `payload` says whether to read that too.
    fn body(&mut self, seq: i64, payload: bool) -> Result<Body>;
    fn progress(&mut self, seq: i64) -> Result<Option<Progress>>;
    fn outcome(&mut self, seq: i64) -> Result<Option<Outcome>>;
    fn artifacts(&mut self, seq: i64) -> Result<Vec<Artifact>>;
    /// Kind and label of each, in the same order.
    fn artifact_names(&mut self, seq: i64) -> Result<Vec<(String, Option<String>)>>;
    /// The last so many attempts of a job, in their order.
    fn last_attempts(&mut self, seq: i64, limit: i64) -> Result<Vec<Attempt>>;
    fn attempt_by_token(&mut self, seq: i64, token: &str) -> Result<Option<Attempt>>;
    fn attempt(&mut self, seq: i64, attempt: i64) -> Result<Option<Attempt>>;
    fn attempt_by_request(&mut self, request_id: &str) -> Result<Vec<Attempt>>;
    /// The jobs that are to be claimed next, in their order.
    fn claimable(&mut self, queue: &Queue, now_ms: i64, limit: i64) -> Result<Vec<i64>>;
    /// When the next queued job of the type that is not due at `now_ms` will be.
    fn next_due(&mut self, queue: &Queue, now_ms: i64) -> Result<Option<i64>>;
    /// Jobs whose lease was over at `now_ms`, longest first.
    fn expired(&mut self, now_ms: i64, limit: i64) -> Result<Vec<i64>>;
    /// The end of the lease that ends first.
    fn next_expiry(&mut self) -> Result<Option<i64>>;
    fn list_jobs(&mut self, page: &Page) -> Result<Vec<Job>>;
    fn batch_by_id(&mut self, batch_id: &str) -> Result<Option<Batch>>;
    fn batch_by_seq(&mut self, seq: i64) -> Result<Option<Batch>>;
    fn list_batches(&mut self, page: &Page) -> Result<Vec<Batch>>;
    /// The batch's jobs in the order of submission, above `after`.
    fn batch_jobs(&mut self, batch_seq: i64, after: i64, limit: i64) -> Result<Vec<Job>>;
    fn submission(&mut self, workspace: &str, key: &str) -> Result<Option<Submission>>;
    fn counts(&mut self, workspace: &str, job_type: Option<&str>) -> Result<Vec<Count>>;
    /// The ids of jobs and batches that ended after `ended_seq`, and the last number used.
    fn ended_since(&mut self, ended_seq: i64) -> Result<(Vec<String>, i64)>;
    /// The last number used for an ending.
    fn last_ended_seq(&mut self) -> Result<i64>;
    fn fanout(&mut self, fanout_id: i64) -> Result<Option<Fanout>>;
    fn fanout_by_name(&mut self, workspace: &str, name: &str) -> Result<Option<Fanout>>;
    /// The caps of the types that share the cap `name` and may have no queued jobs with a place.
    fn fanouts_without_places(&mut self, workspace: &str, name: &str) -> Result<Vec<Fanout>>;
    /// At most so many caps of the types that share the cap `name` and have queued jobs with a place.
    fn fanouts_with_places(&mut self, workspace: &str, name: &str, limit: i64) -> Result<Vec<Fanout>>;
    /// The queued job of the cap that waits for a place and is due first.
    fn next_held(&mut self, fanout_id: i64) -> Result<Option<i64>>;
    /// The queued job of the cap that has a place and is due last.
    fn last_placed(&mut self, fanout_id: i64) -> Result<Option<i64>>;
    fn all_counts(&mut self) -> Result<Vec<WorkspaceCount>>;

    fn account(&mut self, account_id: &str) -> Result<Option<Account>>;
    /// Newest first, below `before`.
    fn accounts(&mut self, workspace: &str, before: i64, limit: i64) -> Result<Vec<Account>>;
    fn key(&mut self, key_id: &str) -> Result<Option<AccessKey>>;
    fn grant(&mut self, key_id: &str) -> Result<Option<Grant>>;
    /// Newest first, below `before`.
    fn keys(&mut self, account_seq: i64, before: i64, limit: i64) -> Result<Vec<AccessKey>>;
    /// Whether any key of any workspace opens anything.
    fn has_usable_key(&mut self, now_wall_ms: i64) -> Result<bool>;
    fn answered(&mut self, name: OperationName, now_ms: i64) -> Result<Option<Answered>>;
    /// Until when the operation is kept that is kept the shortest.
    fn next_operation_until(&mut self) -> Result<Option<i64>>;
}

/// A transaction: `begin`, writes, `commit`; savepoints for operations that may have to be undone by themselves.
pub trait Tx: Rows + ResourceTx + PruneTx {
    /// Grows with every row that this session writes.
    fn writes(&self) -> u64;
    fn begin(&mut self, patience: Patience) -> Result<()>;
    /// Runs `work` in the transaction, for many operations one after the other: what they have in common is prepared once.
    fn repeatedly(&mut self, work: &mut dyn FnMut(&mut dyn Tx));
    /// Makes it durable. After an error the outcome is unknown and the transaction is over.
    fn commit(&mut self) -> Result<()>;
    /// Undoes the transaction, if one is open.
    fn rollback(&mut self);
    fn savepoint(&mut self) -> Result<()>;
    fn keep(&mut self) -> Result<()>;
    fn undo(&mut self) -> Result<()>;

    fn set_clock(&mut self, clock: &ClockRow) -> Result<()>;
    /// Remembers that store time has come to `now_ms`.
    fn keep_time(&mut self, now_ms: i64) -> Result<()>;
    /// Adds `lease_ms` of each job to `now_ms` as the end of its lease.
    fn renew_all_leases(&mut self, now_ms: i64) -> Result<()>;
    /// Stores a job and gives its `seq`.
    fn insert_job(&mut self, job: &Job, body: &Body) -> Result<i64>;
    /// Replaces the row if it still has revision `job.rev - 1`; false otherwise.
    fn update_job(&mut self, job: &Job) -> Result<bool>;
    /// As `update_job`, where only the lease and when the worker last spoke changed: the job keeps its place in all lists.
    fn renew_lease(&mut self, job: &Job) -> Result<bool>;
    /// Puts a job under its cap or lets it wait for a place.
    fn set_held(&mut self, seq: i64, held: bool) -> Result<()>;
    fn put_progress(&mut self, seq: i64, progress: &Progress) -> Result<()>;
    fn put_outcome(&mut self, seq: i64, outcome: &Outcome) -> Result<()>;
    fn put_artifact(&mut self, seq: i64, position: i64, artifact: &Artifact) -> Result<()>;
    /// Forgets progress, result and artifacts of earlier attempts.
    fn clear_reports(&mut self, seq: i64) -> Result<()>;
    fn insert_attempt(&mut self, attempt: &Attempt) -> Result<()>;
    fn end_attempt(&mut self, attempt: &Attempt) -> Result<()>;
    /// Stores a batch and gives its `seq`.
    fn insert_batch(&mut self, batch: &Batch) -> Result<i64>;
    fn update_batch(&mut self, batch: &Batch) -> Result<()>;
    /// As `update_batch`, where neither the status nor the end changed.
    fn update_batch_counts(&mut self, batch: &Batch) -> Result<()>;
    fn insert_submission(&mut self, workspace: &str, key: &str, submission: &Submission) -> Result<()>;
    /// Adds to the maintained count.
    fn add_count(&mut self, workspace: &str, job_type: &str, status: Status, jobs: i64) -> Result<()>;
    /// Stores a cap with nothing under it and gives its id.
    fn insert_fanout(&mut self, workspace: &str, name: &str, cap: i64) -> Result<i64>;
    fn update_fanout(&mut self, fanout: &Fanout) -> Result<()>;
    /// Stores a service account and gives its `seq`.
    fn insert_account(&mut self, account: &Account) -> Result<i64>;
    fn update_account(&mut self, account: &Account) -> Result<()>;
    /// Stores a key and gives its `seq`.
    fn insert_key(&mut self, key: &AccessKey) -> Result<i64>;
    fn revoke_key(&mut self, seq: i64, revoked_at: i64) -> Result<()>;
    /// Remembers an answer, in place of one that was kept long enough.
    fn put_answered(&mut self, name: OperationName, answered: &Answered, until_ms: i64) -> Result<()>;
    fn delete_answered(&mut self, name: OperationName) -> Result<()>;
    /// Forgets answers that were kept until `now_ms`, at most `limit`; how many there were.
    fn delete_old_answers(&mut self, now_ms: i64, limit: i64) -> Result<usize>;
}
