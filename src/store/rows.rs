//! The rows of a store, as Rust sees them. It does not know SQL.

use crate::job::{BatchStatus, Counts, Facts, Status};
use std::sync::Arc;

/// EDN text.
pub type Text = Arc<str>;

/// The row of a job that changes with every event.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub seq: i64,
    pub job_id: String,
    pub workspace_id: String,
    pub job_type: String,
    pub rev: i64,
    pub facts: Facts,
    pub worker_id: Option<String>,
    pub batch_seq: Option<i64>,
    pub fanout_id: Option<i64>,
    pub held: bool,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub updated_at: i64,
    pub completed_at: Option<i64>,
    pub last_heartbeat_at: Option<i64>,
    pub ended_seq: Option<i64>,
}

/// What a job was submitted with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    pub batch_id: Option<String>,
    pub root_workflow_id: Option<String>,
    pub parent_step_id: Option<String>,
    pub fanout_parent_step_id: Option<String>,
    pub fanout_max_concurrency: Option<i64>,
    pub idempotency_key: Option<String>,
    pub metadata: Option<Text>,
    /// Absent where a reader did not ask for it.
    pub payload: Option<Text>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// How far the attempt was when it reported.
    pub status: Status,
    pub message: Option<String>,
    pub details: Option<Text>,
    pub metrics: Option<Text>,
    pub updated_at: i64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub summary: Option<String>,
    pub outputs: Option<Text>,
    pub metrics: Option<Text>,
    pub worker_info: Option<Text>,
    pub error: Option<Text>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    pub kind: String,
    pub label: Option<String>,
    pub artifact: Text,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub job_seq: i64,
    pub attempt: i64,
    pub worker_id: String,
    pub worker_labels: Option<Text>,
    pub lease_token: String,
    pub request_id: Option<String>,
    pub claimed_at: i64,
    pub ended_at: Option<i64>,
    pub outcome: Option<String>,
    pub error: Option<Text>,
    pub settled_by: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub seq: i64,
    pub batch_id: String,
    pub workspace_id: String,
    pub job_type: String,
    pub status: BatchStatus,
    pub begun: bool,
    pub requested_count: i64,
    pub counts: Counts,
    pub created_at: i64,
    pub updated_at: i64,
    pub completed_at: Option<i64>,
    pub ended_seq: Option<i64>,
    pub idempotency_key: Option<String>,
    pub root_workflow_id: Option<String>,
    pub parent_step_id: Option<String>,
    pub metadata: Option<Text>,
}

/// A cap that several jobs share. `used` counts those of them that are claimable or active; where the cap is of a step,
/// its own row counts the active ones, and the row of each type those that are claimable.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanout {
    pub fanout_id: i64,
    pub cap: i64,
    pub used: i64,
    pub name: String,
}

/// What a submission under an idempotency key made.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    pub id: String,
    pub digest: Vec<u8>,
}

/// How many jobs of a type stand at a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    pub job_type: String,
    pub status: Status,
    pub jobs: i64,
}

/// The store's clock: in the boot `boot_id`, store time is time since boot plus `offset_ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockRow {
    pub boot_id: String,
    pub offset_ms: i64,
}

/// Which jobs a worker may claim.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'a> {
    pub workspace_id: &'a str,
    pub job_type: &'a str,
    pub batch_seq: Option<i64>,
}

/// Which jobs a page shows: newest first, below `before`.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    pub workspace_id: &'a str,
    pub job_type: Option<&'a str>,
    pub batch_seq: Option<i64>,
    pub status: Option<&'a str>,
    pub before: i64,
    pub limit: i64,
}

/// Who keys are made for, and what they open.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub seq: i64,
    pub account_id: String,
    pub workspace_id: String,
    pub name: String,
    /// Where false, its keys open nothing.
    pub active: bool,
    pub capabilities: Vec<String>,
    /// Absent where all are allowed.
    pub allowed_job_types: Option<Vec<String>>,
    pub metadata: Option<Text>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessKey {
    pub seq: i64,
    pub key_id: String,
    pub account_seq: i64,
    pub account_id: String,
    pub name: Option<String>,
    pub hash: Vec<u8>,
    pub metadata: Option<Text>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
}

/// A key and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub key: AccessKey,
    pub account: Account,
}

/// What names an operation: whose it is and the caller's own id.
#[derive(Clone, Copy, Debug)]
pub struct OperationName<'a> {
    pub workspace_id: &'a str,
    pub caller: &'a str,
    pub operation_id: &'a str,
}

/// The first answer to an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Of the command and its arguments.
    pub digest: Vec<u8>,
    pub answer: Text,
}

/// How many jobs of a type stand at a status in a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkspaceCount {
    pub workspace_id: String,
    pub count: Count,
}
