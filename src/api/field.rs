//! What a command's argument is called and holds, and those arguments that several commands have.
//! It does not check what a caller gives: `args` does.

use super::spelling::{Names, is_plain, key_text};
use crate::job::limits;
use crate::value::Value;

/// One argument of a command.
#[derive(Debug)]
pub struct Field {
    /// The kebab-case name, as in Clojure; the other names follow from it.
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub doc: &'static str,
}

/// What a field holds, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Text of 1 to so many bytes.
    Text(usize),
    /// Text of 0 to so many bytes.
    Message(usize),
    /// 1 to 128 characters of `A-Z a-z 0-9 . _ : / -`.
    JobType,
    /// A whole number within the bounds.
    Int(i64, i64),
    /// Whole milliseconds or a duration such as "10s", within the bounds in milliseconds.
    Millis(i64, i64),
    Bool,
    /// One of these words, as text or a keyword.
    Word(&'static [&'static str]),
    /// The caller's own data, of at most so many bytes of EDN text.
    Open(usize),
    /// A map with at most so many entries, each name and value text of at most `limits::KEY_MAX` bytes.
    Labels(usize),
    /// `{:payload :metadata :max-attempts}` maps, 1 to `limits::BATCH_JOBS_MAX` of them.
    Jobs,
    /// Some of these words.
    Words(&'static [&'static str]),
    /// Job types.
    JobTypes,
    /// An instant, or its RFC 3339 text.
    Instant,
    /// Maps of artifacts, at most `limits::ARTIFACTS_MAX`, or a lone one.
    Artifacts,
    /// Names of fields, at most so many, or a lone one.
    Names(usize),
    /// Maps, 1 to `limits::TABLE_CALL_ROWS_MAX` of them, of at most so many bytes of EDN text together.
    Rows(usize),
    /// A map of job types to durations.
    Keeps,
    /// How the delay between scheduled checks grows: `:constant`, or `{:type … :factor … :max …}`.
    Backoff,
}

/// The field that a caller's key names.
pub fn named(fields: &'static [Field], key: &Value, names: Names) -> Option<&'static Field> {
    let given = key_text(key, names)?;
    fields.iter().find(|field| is_plain(given, field.name, names))
}

pub const fn need(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, required: true, doc }
}

pub const fn may(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, required: false, doc }
}

pub const KEY: Kind = Kind::Text(limits::KEY_MAX);
pub const NAME: Kind = Kind::Text(limits::NAME_MAX);
pub const MESSAGE: Kind = Kind::Message(limits::MESSAGE_MAX);
pub const DETAILS: Kind = Kind::Open(limits::DETAILS_MAX);
pub const LEASE: Kind = Kind::Millis(limits::LEASE_MIN_MS, limits::LEASE_MAX_MS);
pub const WAIT: Kind = Kind::Millis(0, limits::WAIT_MAX_MS);
pub const KEEP: Kind = Kind::Millis(1, limits::RETENTION_MAX_MS);
pub const POSITIVE_WAIT: Kind = Kind::Millis(1, limits::WAIT_MAX_MS);

pub const JOB_TYPE: Field = need("job-type", Kind::JobType, "which workers may take it");
pub const JOB_ID: Field = need("job-id", KEY, "the job");
pub const BATCH_ID: Field = need("batch-id", KEY, "the batch");
pub const ACCOUNT_ID: Field = need("service-account-id", KEY, "the service account");
pub const TOKEN: Field = need("lease-token", KEY, "the secret that the claim gave; any other is lease-lost");
pub const PAYLOAD: Field =
    may("payload", Kind::Open(limits::PAYLOAD_MAX), "what the worker is to work on; {} when absent");
pub const METADATA: Field = may("metadata", Kind::Open(limits::METADATA_MAX), "the caller's own notes");
pub const MAX_ATTEMPTS: Field = may(
    "max-attempts",
    Kind::Int(1, limits::ATTEMPTS_MAX),
    "how many lost leases and retryable failures the job may use up; 3 when absent",
);
pub const IDEMPOTENCY_KEY: Field =
    may("idempotency-key", KEY, "unique in the workspace: the same key gives the same submission back");
pub const ROOT_WORKFLOW_ID: Field = may("root-workflow-id", KEY, "the workflow that this belongs to");
pub const PARENT_STEP_ID: Field = may("parent-step-id", KEY, "the step that submitted it");
pub const FANOUT_STEP_ID: Field = may("fanout-parent-step-id", KEY, "the step whose jobs share a cap");
pub const FANOUT_MAX: Field = may(
    "fanout-max-concurrency",
    Kind::Int(1, limits::FANOUT_MAX),
    "cap on jobs under lease at once within the batch, or within (root workflow, fan-out step)",
);
pub const LEASE_DURATION: Field = may("lease-duration", LEASE, "how long the lease lasts; 2m when absent");
pub const LABEL: Field = need("label", KEY, "what the artifact is called; one of the same kind and label is replaced");
pub const URI: Field = need("uri", Kind::Text(2 * limits::KEY_MAX), "the resource: res://v1/ws/…");
pub const DETAILS_FIELD: Field = may("details", DETAILS, "the worker's own facts");
pub const METRICS: Field = may("metrics", DETAILS, "numbers by name");
pub const ARTIFACTS: Field = may("artifacts", Kind::Artifacts, "what was produced: maps with a kind and a label");
pub const REASON: Field = may("reason", MESSAGE, "why, for people");
pub const LIMIT: Field = may("limit", Kind::Int(1, limits::LIST_MAX), "how many at most; 50 when absent");
pub const CURSOR: Field = may("cursor", KEY, "next-cursor of the page before");
pub const SHOWN: Field =
    may("limit", Kind::Int(1, limits::BATCH_SHOWN_MAX), "how many of the batch's jobs at most; 100 when absent");
pub const TIMEOUT: Field =
    may("timeout-ms", WAIT, "how long to wait at most; 5m when absent and no max-attempts is given");
pub const INTERVAL: Field = may("interval", POSITIVE_WAIT, "delay between scheduled checks; 1s when absent");
pub const CHECKS: Field = may("max-attempts", Kind::Int(1, limits::CHECKS_MAX), "how many scheduled checks at most");
pub const BACKOFF: Field =
    may("backoff", Kind::Backoff, "how the delay between scheduled checks grows; constant when absent");
