//! The table of commands: name, what it does, fields. Every surface reads it; none repeats it.
//! It does not run them: `host.rs` does, as each row says.

use super::access::{SCOPES, Scope};
use super::field::{
    ACCOUNT_ID, ARTIFACTS, BACKOFF, BATCH_ID, CHECKS, CURSOR, DETAILS, DETAILS_FIELD, FANOUT_MAX, FANOUT_STEP_ID,
    Field, IDEMPOTENCY_KEY, INTERVAL, JOB_ID, JOB_TYPE, KEEP, KEY, Kind, LABEL, LEASE_DURATION, LIMIT, MAX_ATTEMPTS,
    MESSAGE, METADATA, METRICS, NAME, PARENT_STEP_ID, PAYLOAD, REASON, ROOT_WORKFLOW_ID, SHOWN, TIMEOUT, TOKEN, URI,
    WAIT, may, need,
};
use super::run::{Run, plainly};
use super::{accounts, jobs, resources};
use crate::engine::Class;
use crate::job::limits;

/// One command.
pub struct Command {
    /// As over HTTP: `jobs.create`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    pub fields: &'static [Field],
    /// What a key needs for it.
    pub scope: Scope,
    pub run: Run,
}

impl Command {
    /// Whether it can change durable state.
    pub fn mutates(&self) -> bool {
        match self.run {
            Run::Read(_) | Run::Await(_) => false,
            Run::Long(_) => self.name == "jobs.prune",
            Run::Write(..) | Run::Renew(..) | Run::Claim(_) => true,
        }
    }

    /// Whether it reads what may be much.
    pub fn reads(&self) -> bool {
        matches!(self.run, Run::Read(_))
    }

    /// Whether it may wait for something to happen.
    pub fn waits(&self) -> bool {
        matches!(self.run, Run::Claim(_) | Run::Await(_))
    }
}

/// The command of that name.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

const JOB_STATUSES: &[&str] =
    &["queued", "leased", "started", "running", "succeeded", "no_changes", "failed", "cancelled", "timed_out"];
const BATCH_STATUSES: &[&str] = &["queued", "running", "completed", "failed", "partially_failed", "cancelled"];

/// Every command, in the order of the documentation.
pub static COMMANDS: &[Command] = &[
    Command {
        name: "jobs.create",
        doc: "Stores one queued job and gives it back.",
        fields: &[
            JOB_TYPE,
            PAYLOAD,
            METADATA,
            MAX_ATTEMPTS,
            IDEMPOTENCY_KEY,
            ROOT_WORKFLOW_ID,
            PARENT_STEP_ID,
            FANOUT_STEP_ID,
            FANOUT_MAX,
        ],
        scope: Scope::JobsSubmit,
        run: Run::Write(Class::Bulk, jobs::create),
    },
    Command {
        name: "jobs.list",
        doc: "Lists jobs, newest first, a page at a time.",
        fields: &[
            may("job-type", Kind::JobType, "only these"),
            may("batch-id", KEY, "only this batch's"),
            may("status", Kind::Word(JOB_STATUSES), "only these"),
            may("full?", Kind::Bool, "whether to give payloads, results and histories too; false when absent"),
            LIMIT,
            CURSOR,
        ],
        scope: Scope::JobsRead,
        run: Run::Read(jobs::list),
    },
    Command {
        name: "jobs.get",
        doc: "Reads the latest state of one job.",
        fields: &[JOB_ID],
        scope: Scope::JobsRead,
        run: Run::Read(jobs::get),
    },
    Command {
        name: "jobs.claim",
        doc: "Leases the next due job of a type to a worker, or gives no job when nothing is due.",
        fields: &[
            JOB_TYPE,
            need("worker-id", NAME, "who works on it"),
            may("batch-id", KEY, "only this batch's jobs"),
            may("worker-labels", Kind::Labels(limits::LABELS_MAX), "facts about the worker, recorded on the job"),
            LEASE_DURATION,
            may("request-id", KEY, "repeated while the lease lives, it gives the same claim again"),
            may("wait-ms", WAIT, "how long to wait for a job; not at all when absent"),
        ],
        scope: Scope::JobsWorker,
        run: Run::Claim(jobs::claim),
    },
    Command {
        name: "jobs.heartbeat",
        doc: "Extends the lease and tells the worker to go on, to cancel or to drain.",
        fields: &[JOB_ID, TOKEN, LEASE_DURATION],
        scope: Scope::JobsWorker,
        run: Run::Renew(Class::Urgent, jobs::heartbeat),
    },
    Command {
        name: "jobs.progress",
        doc: "Reports progress and extends the lease; fields that are given replace, artifacts append.",
        fields: &[
            JOB_ID,
            TOKEN,
            may("status", Kind::Word(&["leased", "started", "running"]), "how far it is; a lower one is ignored"),
            may("message", MESSAGE, "what it does now, for people"),
            DETAILS_FIELD,
            METRICS,
            ARTIFACTS,
        ],
        scope: Scope::JobsWorker,
        run: Run::Write(Class::Urgent, jobs::progress),
    },
    Command {
        name: "jobs.complete",
        doc: "Ends the job with a result.",
        fields: &[
            JOB_ID,
            TOKEN,
            may("status", Kind::Word(&["succeeded", "no_changes", "cancelled"]), "succeeded when absent"),
            may("summary", MESSAGE, "the result in a sentence"),
            may("outputs", Kind::Open(limits::OUTPUTS_MAX), "the result itself"),
            METRICS,
            ARTIFACTS,
            may("worker-info", DETAILS, "what did it, and where"),
        ],
        scope: Scope::JobsWorker,
        run: Run::Write(Class::Urgent, jobs::complete),
    },
    Command {
        name: "jobs.fail",
        doc: "Ends the job as failed, for good unless it is marked retryable and has attempts left.",
        fields: &[
            JOB_ID,
            TOKEN,
            may("message", MESSAGE, "what went wrong, for people"),
            may("code", KEY, "what went wrong, for programs"),
            DETAILS_FIELD,
            ARTIFACTS,
            may("retryable", Kind::Bool, "whether another attempt may help; false when absent"),
            may("retry-after-ms", WAIT, "delay of the next attempt; grows from 1s to 5m when absent"),
        ],
        scope: Scope::JobsWorker,
        run: Run::Write(Class::Urgent, jobs::fail),
    },
    Command {
        name: "jobs.release",
        doc: "Gives the job back unfinished, at no cost to its attempts.",
        fields: &[JOB_ID, TOKEN, REASON],
        scope: Scope::JobsWorker,
        run: Run::Write(Class::Urgent, jobs::release),
    },
    Command {
        name: "jobs.cancel",
        doc: "Cancels a queued job, or asks the worker of an active one to stop.",
        fields: &[JOB_ID, REASON],
        scope: Scope::JobsManage,
        run: Run::Write(Class::Urgent, jobs::cancel),
    },
    Command {
        name: "jobs.retry",
        doc: "Queues a failed, timed out or cancelled job again.",
        fields: &[JOB_ID],
        scope: Scope::JobsManage,
        run: Run::Write(Class::Urgent, jobs::retry),
    },
    Command {
        name: "jobs.await",
        doc: "Waits until the job is terminal or the wait's bound is reached, and gives its state and which it was.",
        fields: &[JOB_ID, TIMEOUT, INTERVAL, CHECKS, BACKOFF],
        scope: Scope::JobsRead,
        run: Run::Await(jobs::await_job),
    },
    Command {
        name: "jobs.stats",
        doc: "Counts the jobs of the workspace by type and status.",
        fields: &[may("job-type", Kind::JobType, "only this type")],
        scope: Scope::JobsRead,
        run: Run::Read(jobs::stats),
    },
    Command {
        name: "jobs.batches.create",
        doc: "Stores a batch of queued jobs of one type, all or none.",
        fields: &[
            JOB_TYPE,
            need("jobs", Kind::Jobs, "1 to 10000 maps of payload, metadata, max-attempts"),
            METADATA,
            MAX_ATTEMPTS,
            IDEMPOTENCY_KEY,
            ROOT_WORKFLOW_ID,
            PARENT_STEP_ID,
            FANOUT_STEP_ID,
            FANOUT_MAX,
        ],
        scope: Scope::JobsSubmit,
        run: Run::Write(Class::Bulk, jobs::create_batch),
    },
    Command {
        name: "jobs.batches.get",
        doc: "Reads the latest state of one batch and its first jobs.",
        fields: &[BATCH_ID, SHOWN, may("include-jobs?", Kind::Bool, "whether to give its jobs; true when absent")],
        scope: Scope::JobsRead,
        run: Run::Read(jobs::get_batch),
    },
    Command {
        name: "jobs.batches.await",
        doc: "Waits until every job of the batch is terminal or the wait's bound is reached.",
        fields: &[
            BATCH_ID,
            TIMEOUT,
            INTERVAL,
            CHECKS,
            BACKOFF,
            SHOWN,
            may("include-jobs?", Kind::Bool, "whether to give its jobs; false when absent"),
        ],
        scope: Scope::JobsRead,
        run: Run::Await(jobs::await_batch),
    },
    Command {
        name: "jobs.batches.cancel",
        doc: "Cancels the queued jobs of a batch and asks the workers of its active ones to stop.",
        fields: &[BATCH_ID, REASON],
        scope: Scope::JobsManage,
        run: Run::Write(Class::Bulk, jobs::cancel_batch),
    },
    Command {
        name: "jobs.batches.list",
        doc: "Lists batches, newest first, a page at a time.",
        fields: &[
            may("job-type", Kind::JobType, "only these"),
            may("status", Kind::Word(BATCH_STATUSES), "only these"),
            LIMIT,
            CURSOR,
        ],
        scope: Scope::JobsRead,
        run: Run::Read(jobs::list_batches),
    },
    Command {
        name: "jobs.prune",
        doc: "Removes jobs, whole batches and their resources that ended longer ago than they are kept.",
        fields: &[
            may("older-than", Kind::Millis(0, limits::RETENTION_MAX_MS), "how long ago; as they are kept when absent"),
            may("job-type", Kind::JobType, "only this type"),
        ],
        scope: Scope::JobsManage,
        run: Run::Long(resources::prune),
    },
    Command {
        name: "jobs.retention",
        doc: "Tells how long what has ended is kept in the workspace, and sets what is given.",
        fields: &[
            may("keep", KEEP, "for all types that have no time of their own; 30d at first"),
            may("by-type", Kind::Keeps, "job types with times of their own, instead of those before"),
        ],
        scope: Scope::JobsManage,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, resources::retention)),
    },
    Command {
        name: "jobs.attach_kv",
        doc: "Stores a value under a key of the job and records it on the job at once.",
        fields: &[
            JOB_ID,
            TOKEN,
            LABEL,
            need("value", Kind::Open(limits::KV_VALUE_MAX), "the value, any data"),
            may("kind", NAME, "of the artifact; kv when absent"),
            may("key", KEY, "the label when absent; another value under it is replaced"),
            may("content-type", NAME, "application/json when absent"),
            may("ttl-seconds", Kind::Int(1, limits::TTL_MAX_S), "after so many seconds it is not found any more"),
        ],
        scope: Scope::JobsWorker,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, resources::attach_kv)),
    },
    Command {
        name: "jobs.attach_table",
        doc: "Stores rows in a table of the job and records it on the job at once.",
        fields: &[
            JOB_ID,
            TOKEN,
            LABEL,
            need(
                "rows",
                Kind::Rows(limits::TABLE_CALL_BYTES_MAX),
                "1 to 10000 maps; their keys are the table's fields",
            ),
            may("kind", NAME, "of the artifact; table when absent"),
            may("table", KEY, "the label when absent; rows go into the table of that name that the job has already"),
            may(
                "write-mode",
                Kind::Word(&["append", "upsert"]),
                "append when absent; upsert changes rows by key fields",
            ),
            may("schema-mode", Kind::Word(&["flexible"]), "flexible: new fields are added as rows have them"),
            may("key-fields", Kind::Names(limits::TABLE_INDEXED_MAX), "what an upsert finds a row by"),
            may("index-fields", Kind::Names(limits::TABLE_INDEXED_MAX), "what queries are fast by"),
            may("content-type", NAME, "application/vnd.breyta.table+json when absent"),
        ],
        scope: Scope::JobsWorker,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, resources::attach_table)),
    },
    Command {
        name: "resources.get",
        doc: "Reads what is known of one resource.",
        fields: &[URI],
        scope: Scope::ResourcesRead,
        run: Run::Read(resources::get),
    },
    Command {
        name: "resources.list",
        doc: "Lists resources, newest first, a page at a time.",
        fields: &[
            may("type", Kind::Word(&["file", "kv", "table"]), "only these"),
            may("job-id", KEY, "only this job's"),
            LIMIT,
            CURSOR,
        ],
        scope: Scope::ResourcesRead,
        run: Run::Read(resources::list),
    },
    Command {
        name: "resources.read",
        doc: "Reads the content of a resource: text, data, rows, or bytes as base64, a part at a time.",
        fields: &[
            URI,
            may("view", Kind::Word(&["text", "base64"]), "how to give a file's bytes; by its content type when absent"),
            may("limit", Kind::Int(1, limits::READ_BYTES_MAX), "how many bytes or rows; 1 MiB or 100 when absent"),
            may("offset", Kind::Int(0, limits::FILE_BYTES_MAX as i64), "how many bytes or rows to pass over"),
        ],
        scope: Scope::ResourcesRead,
        run: Run::Long(resources::read),
    },
    Command {
        name: "resources.table_query",
        doc: "Finds rows of a table.",
        fields: &[
            URI,
            may("select", Kind::Names(limits::TABLE_FIELDS_MAX), "fields to give; all when absent"),
            may("where", DETAILS, "conditions that all have to hold: [[\"field\", \"=\", value], …]"),
            may("sort", DETAILS, "fields in the order of their weight: [[\"field\", \"desc\"], …]"),
            may("limit", Kind::Int(1, limits::QUERY_ROWS_MAX), "how many rows at most; 100 when absent"),
            may("offset", Kind::Int(0, limits::QUERY_OFFSET_MAX), "how many rows to pass over; 0 when absent"),
        ],
        scope: Scope::ResourcesRead,
        run: Run::Read(resources::query_table),
    },
    Command {
        name: "resources.delete",
        doc: "Removes a resource; artifacts that name it stay.",
        fields: &[URI],
        scope: Scope::ResourcesWrite,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, resources::delete)),
    },
    Command {
        name: "service_accounts.create",
        doc: "Makes a service account, for which keys can be made.",
        fields: &[
            need("name", NAME, "what it is for, for people"),
            need("capabilities", Kind::Words(SCOPES), "scopes of its keys"),
            may("allowed-job-types", Kind::JobTypes, "the only job types that its keys are for; all when absent"),
            METADATA,
        ],
        scope: Scope::WorkspaceFull,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, accounts::create)),
    },
    Command {
        name: "service_accounts.list",
        doc: "Lists service accounts, newest first, a page at a time.",
        fields: &[LIMIT, CURSOR],
        scope: Scope::WorkspaceFull,
        run: Run::Read(accounts::list),
    },
    Command {
        name: "service_accounts.get",
        doc: "Reads one service account.",
        fields: &[ACCOUNT_ID],
        scope: Scope::WorkspaceFull,
        run: Run::Read(accounts::get),
    },
    Command {
        name: "service_accounts.update",
        doc: "Changes a service account; what is absent stays, and keys feel it at once.",
        fields: &[
            ACCOUNT_ID,
            may("name", NAME, "what it is for, for people"),
            may("status", Kind::Word(&["active", "disabled"]), "keys of a disabled one open nothing"),
            may("capabilities", Kind::Words(SCOPES), "scopes of its keys"),
            may("allowed-job-types", Kind::JobTypes, "the only job types that its keys are for; all when empty"),
            METADATA,
        ],
        scope: Scope::WorkspaceFull,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, accounts::update)),
    },
    Command {
        name: "service_accounts.keys.create",
        doc: "Makes a key of a service account and shows its secret, this once.",
        fields: &[
            ACCOUNT_ID,
            may("name", NAME, "where it is used, for people"),
            may("expires-at", Kind::Instant, "when it ceases to open anything; never when absent"),
            METADATA,
        ],
        scope: Scope::WorkspaceFull,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, accounts::create_key)),
    },
    Command {
        name: "service_accounts.keys.list",
        doc: "Lists the keys of a service account, newest first, without their secrets.",
        fields: &[ACCOUNT_ID, LIMIT, CURSOR],
        scope: Scope::WorkspaceFull,
        run: Run::Read(accounts::list_keys),
    },
    Command {
        name: "service_accounts.keys.revoke",
        doc: "Revokes a key for good, at once.",
        fields: &[need("key-id", KEY, "the key"), may("service-account-id", KEY, "the service account that it is of")],
        scope: Scope::WorkspaceFull,
        run: Run::Write(Class::Urgent, |workspace, args| plainly(workspace, args, accounts::revoke_key)),
    },
];
