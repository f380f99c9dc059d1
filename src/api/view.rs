//! Jobs, batches and counts as maps: the keys that callers see. Absent facts are absent keys.

use super::args::kebab_keys;
use crate::engine::{BatchView, Depth, Held, JobView};
use crate::job::Status;
use crate::store::{Attempt, Count, Outcome, Progress, Text};
use crate::value::{MapBuilder, Value, edn};

/// Keys of the worker's facts that are ours; JSON gives their camelCase twins.
const WORKER_KEYS: [&str; 1] = ["worker-id"];

/// What in a reply stands for text: the caller's own data, and maps whose keys alone are ours.
pub const KEPT: [&str; 9] =
    ["payload", "metadata", "worker-labels", "details", "metrics", "outputs", "error", ARTIFACTS, WORKER_INFO];

const ARTIFACTS: &str = "artifacts";
const WORKER_INFO: &str = "worker-info";

/// A reply that was read back with `KEPT` as text, as it was.
pub fn reshaped(reply: Value) -> Value {
    match reply {
        Value::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| reshaped_entry(key, value)).collect()),
        Value::Vector(items) => Value::Vector(items.into_iter().map(reshaped).collect()),
        other => other,
    }
}

fn reshaped_entry(key: Value, value: Value) -> (Value, Value) {
    let value = match (&key, value) {
        (Value::Keyword(name), Value::Text(text)) if name == WORKER_INFO => tree(&text),
        (Value::Keyword(name), Value::Text(text)) if name == ARTIFACTS => match edn::read(&text) {
            Ok(Value::Vector(items)) => {
                Value::Vector(items.iter().map(|item| tree(&edn::write(item).into())).collect())
            }
            Ok(_) | Err(_) => Value::Text(text),
        },
        (_, value) => reshaped(value),
    };
    (key, value)
}

/// `{:job …}`
pub fn job_data(view: JobView) -> Value {
    MapBuilder::new().put("job", job(view)).build()
}

/// A job as callers see it.
pub fn job(view: JobView) -> Value {
    let full = view.depth == Depth::Full;
    let result = if full { result(&view) } else { None };
    let JobView { job, body, progress, outcome, attempts, .. } = view;
    let status = job.facts.status;
    let (summary, error) = outcome.map_or((None, None), |outcome| (outcome.summary, outcome.error));
    MapBuilder::with_room(if attempts.is_empty() { 16 } else { 32 })
        .put("job-id", job.job_id)
        .put("job-type", job.job_type)
        .put("status", status.name())
        .put_some("payload", body.payload.map(Value::Text))
        .put_some("metadata", body.metadata.map(Value::Text))
        .put("attempt", job.facts.attempt)
        .put("max-attempts", job.facts.max_attempts)
        .put_some("attempts", (!attempts.is_empty()).then(|| attempts.into_iter().map(attempt).collect::<Vec<_>>()))
        .put_some("batch-id", body.batch_id)
        .put("workspace-id", job.workspace_id)
        .put_some("root-workflow-id", body.root_workflow_id)
        .put_some("parent-step-id", body.parent_step_id)
        .put_some("fanout-parent-step-id", body.fanout_parent_step_id)
        .put_some("fanout-max-concurrency", body.fanout_max_concurrency)
        .put_some("idempotency-key", body.idempotency_key)
        .put_some("worker-id", job.worker_id)
        .put_some("worker-labels", view.worker_labels.map(Value::Text))
        .put_some("progress", progress.map(self::progress))
        .put_some("result", result)
        .put_some("result-summary", summary)
        .put_some("error", error.map(Value::Text))
        .put_some("cancel-requested?", job.facts.cancel_requested.then_some(true))
        .put("created-at", Value::Inst(job.created_at))
        .put_some("started-at", job.started_at.map(Value::Inst))
        .put("updated-at", Value::Inst(job.updated_at))
        .put_some("completed-at", job.completed_at.map(Value::Inst))
        .put_some("last-heartbeat-at", job.last_heartbeat_at.map(Value::Inst))
        .put_some("lease-expires-at", view.lease_expires_at.map(Value::Inst))
        .put_some("lease-token", view.lease_token)
        .build()
}

fn attempt(attempt: Attempt) -> Value {
    MapBuilder::new()
        .put("attempt", attempt.attempt)
        .put("worker-id", attempt.worker_id)
        .put("claimed-at", Value::Inst(attempt.claimed_at))
        .put_some("ended-at", attempt.ended_at.map(Value::Inst))
        .put_some("outcome", attempt.outcome)
        .put_some("error", attempt.error.map(Value::Text))
        .build()
}

fn progress(progress: Progress) -> Value {
    MapBuilder::new()
        .put("status", progress.status.name())
        .put_some("message", progress.message)
        .put_some("details", progress.details.map(Value::Text))
        .put_some("metrics", progress.metrics.map(Value::Text))
        .put("updated-at", Value::Inst(progress.updated_at))
        .build()
}

fn result(view: &JobView) -> Option<Value> {
    let Outcome { summary, outputs, metrics, worker_info, error: _ } = view.outcome.clone().unwrap_or_default();
    let artifacts: Vec<Value> = view.artifacts.iter().map(|artifact| tree(&artifact.artifact)).collect();
    let result = MapBuilder::new()
        .put_some("summary", summary)
        .put_some("outputs", outputs.map(Value::Text))
        .put_some("metrics", metrics.map(Value::Text))
        .put_some(ARTIFACTS, (!artifacts.is_empty()).then_some(artifacts))
        .put_some(WORKER_INFO, worker_info.map(|info| kebab_keys(tree(&info), &WORKER_KEYS)))
        .build();
    (result != Value::Map(Vec::new())).then_some(result)
}

/// An artifact as callers see it.
pub fn artifact(text: &Text) -> Value {
    tree(text)
}

/// A map whose keys are ours to spell; what stands under them is the caller's.
fn tree(text: &Text) -> Value {
    match edn::read(text) {
        Ok(Value::Map(entries)) => {
            let keep = |value: Value| match value {
                nested @ (Value::Map(_) | Value::Vector(_) | Value::List(_) | Value::Set(_) | Value::Tagged(..)) => {
                    Value::Text(edn::write(&nested).into())
                }
                plain => plain,
            };
            Value::Map(entries.into_iter().map(|(key, value)| (key, keep(value))).collect())
        }
        Ok(_) | Err(_) => Value::Text(text.clone()),
    }
}

/// `{:job … :directive … :lease-remaining-ms …}`
pub fn held_data(held: Held) -> Value {
    MapBuilder::new()
        .put("job", job(held.job))
        .put("directive", held.directive.name())
        .put("lease-remaining-ms", held.lease_remaining_ms)
        .build()
}

/// `{:batch … :jobs […]}`
pub fn batch_data(view: BatchView) -> Value {
    let BatchView { batch, jobs, truncated } = view;
    let counts = Status::ALL.map(|status| (Value::key(status.name()), Value::Int(batch.counts.of(status))));
    let batch = MapBuilder::new()
        .put("batch-id", batch.batch_id)
        .put("job-type", batch.job_type)
        .put("status", batch.status.name())
        .put("requested-count", batch.requested_count)
        .put("counts", Value::Map(counts.into()))
        .put_some("metadata", batch.metadata.map(Value::Text))
        .put("workspace-id", batch.workspace_id)
        .put_some("root-workflow-id", batch.root_workflow_id)
        .put_some("parent-step-id", batch.parent_step_id)
        .put_some("idempotency-key", batch.idempotency_key)
        .put("created-at", Value::Inst(batch.created_at))
        .put("updated-at", Value::Inst(batch.updated_at))
        .put_some("completed-at", batch.completed_at.map(Value::Inst))
        .put_some("jobs-truncated?", (jobs.is_some() && truncated).then_some(true))
        .build();
    let jobs = jobs.map(|jobs| jobs.into_iter().map(job).collect::<Vec<_>>());
    MapBuilder::new().put("batch", batch).put_some("jobs", jobs).build()
}

/// `{:total n :counts {…} :by-type {"type" {…}}}`
pub fn stats_data(counts: Vec<Count>) -> Value {
    let mut total = [0; Status::ALL.len()];
    let mut by_type: Vec<(Value, Value)> = Vec::new();
    for Count { job_type, status, jobs } in counts {
        total[status as usize] += jobs;
        let name = Value::str(job_type);
        let entry = (Value::key(status.name()), Value::Int(jobs));
        match by_type.last_mut() {
            Some((last, Value::Map(entries))) if *last == name => entries.push(entry),
            Some(_) | None => by_type.push((name, Value::Map(vec![entry]))),
        }
    }
    let counts = Status::ALL.map(|status| (Value::key(status.name()), Value::Int(total[status as usize])));
    MapBuilder::new()
        .put("total", total.iter().sum::<i64>())
        .put("counts", Value::Map(counts.into()))
        .put("by-type", Value::Map(by_type))
        .build()
}
