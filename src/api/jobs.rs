//! How the commands about jobs and batches run: submit, claim, report, settle, read, await.
//! It does not know surfaces; the rules are the engine's.

use super::Reply;
use super::args::Args;
use super::error::Error;
use super::run::{Await, Made, Op, Reading, before, items_data};
use super::view;
use crate::engine::{self, BatchView, Claim, Depth, JobView, Now, Report, Settle, Submit};
use crate::job::{Ending, Growth, Status, Wait, limits};
use crate::store::{Page, Rows, Text};
use crate::value::{MapBuilder, Value, edn};

fn submit(workspace: &str, args: &Args) -> Submit {
    Submit {
        workspace: workspace.into(),
        job_type: args.text("job-type").into(),
        idempotency_key: args.maybe_string("idempotency-key"),
        digest: Vec::new(),
        root_workflow_id: args.maybe_string("root-workflow-id"),
        parent_step_id: args.maybe_string("parent-step-id"),
        fanout_parent_step_id: args.maybe_string("fanout-parent-step-id"),
        fanout_max_concurrency: args.int("fanout-max-concurrency"),
    }
}

/// The digest of a submission: equal values, equal digests.
fn digested(mut submit: Submit, kind: &str, metadata: Option<&Text>, jobs: &[engine::NewJob]) -> Submit {
    if submit.idempotency_key.is_none() {
        return submit;
    }
    let canonical = |text: &Text| edn::canonical(text).unwrap_or_else(|_| text.to_string());
    let open = |text: Option<&Text>| text.map(canonical).unwrap_or_default();
    let mut parts = vec![kind.to_string(), format!("{submit:?}"), open(metadata)];
    for job in jobs {
        parts.extend([open(job.payload.as_ref()), open(job.metadata.as_ref()), format!("{:?}", job.max_attempts)]);
    }
    submit.digest = engine::digest(parts.iter().map(String::as_str));
    submit
}

pub fn create(workspace: &str, args: Args) -> Op {
    let new = engine::NewJob {
        payload: args.open("payload"),
        metadata: args.open("metadata"),
        max_attempts: args.int("max-attempts"),
    };
    let submit = digested(submit(workspace, &args), "job", None, std::slice::from_ref(&new));
    Box::new(move |work| work.create(&submit, &new).map(Made::job))
}

pub fn create_batch(workspace: &str, args: Args) -> Op {
    let mut jobs = args.jobs();
    for job in &mut jobs {
        job.max_attempts = job.max_attempts.or(args.int("max-attempts"));
    }
    let metadata = args.open("metadata");
    let submit = digested(submit(workspace, &args), "batch", metadata.as_ref(), &jobs);
    Box::new(move |work| work.create_batch(&submit, metadata.as_ref(), &jobs).map(Made::batch))
}

pub fn get(reading: &mut Reading, args: &Args) -> Reply {
    Ok(view::job_data(job(reading.rows, reading.now, reading.workspace, args.text("job-id"))?))
}

fn job(rows: &mut dyn Rows, now: Now, workspace: &str, job_id: &str) -> engine::Result<JobView> {
    let found = rows.job_by_id(job_id)?.filter(|job| job.workspace_id == workspace);
    let job = found.ok_or_else(|| engine::Error::NoJob(job_id.into()))?;
    JobView::read(rows, job, Depth::Full, now)
}

fn batch(
    rows: &mut dyn Rows,
    now: Now,
    workspace: &str,
    batch_id: &str,
    limit: Option<i64>,
) -> engine::Result<BatchView> {
    let found = rows.batch_by_id(batch_id)?.filter(|batch| batch.workspace_id == workspace);
    let batch = found.ok_or_else(|| engine::Error::NoBatch(batch_id.into()))?;
    BatchView::read(rows, batch, limit, limits::REPLY_BYTES_MAX, now)
}

fn shown(args: &Args, include: bool) -> Option<i64> {
    args.flag("include-jobs?").unwrap_or(include).then(|| args.int("limit").unwrap_or(limits::BATCH_SHOWN_DEFAULT))
}

pub fn get_batch(reading: &mut Reading, args: &Args) -> Reply {
    let limit = shown(args, true);
    Ok(view::batch_data(batch(reading.rows, reading.now, reading.workspace, args.text("batch-id"), limit)?))
}

pub fn list(reading: &mut Reading, args: &Args) -> Reply {
    let Reading { rows, now, workspace } = reading;
    let batch_seq = match args.maybe_text("batch-id") {
        Some(batch_id) => Some(batch(*rows, *now, workspace, batch_id, None)?.batch.seq),
        None => None,
    };
    let depth = if args.flag("full?") == Some(true) { Depth::Full } else { Depth::Short };
    let page = page(workspace, args, batch_seq)?;
    let mut found = rows.list_jobs(&Page { limit: page.limit + 1, ..page })?;
    let mut more = found.len() as i64 > page.limit;
    found.truncate(page.limit as usize);
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    for job in found {
        let seq = job.seq;
        let view = JobView::read(*rows, job, depth, *now)?;
        bytes += view.size();
        if bytes > limits::REPLY_BYTES_MAX && last.is_some() {
            more = true;
            break;
        }
        items.push(view::job(view));
        last = Some(seq);
    }
    Ok(items_data(items, last.filter(|_| more)))
}

pub fn list_batches(reading: &mut Reading, args: &Args) -> Reply {
    let page = page(reading.workspace, args, None)?;
    let mut found = reading.rows.list_batches(&Page { limit: page.limit + 1, ..page })?;
    let more = found.len() as i64 > page.limit;
    found.truncate(page.limit as usize);
    let last = found.last().map(|batch| batch.seq).filter(|_| more);
    let items = found.into_iter().map(|batch| {
        let data = view::batch_data(BatchView { batch, jobs: None, truncated: false });
        data.get("batch").cloned().unwrap_or(Value::Nil)
    });
    Ok(items_data(items.collect(), last))
}

fn page<'a>(workspace: &'a str, args: &'a Args, batch_seq: Option<i64>) -> Result<Page<'a>, Error> {
    Ok(Page {
        workspace_id: workspace,
        job_type: args.maybe_text("job-type"),
        batch_seq,
        status: args.maybe_text("status"),
        before: before(args)?,
        limit: args.int("limit").unwrap_or(limits::LIST_DEFAULT),
    })
}

pub fn stats(reading: &mut Reading, args: &Args) -> Reply {
    let counts = reading.rows.counts(reading.workspace, args.maybe_text("job-type")).map_err(engine::Error::from)?;
    Ok(view::stats_data(counts))
}

pub fn claim(workspace: &str, args: &Args) -> Claim {
    Claim {
        workspace: workspace.into(),
        job_type: args.text("job-type").into(),
        worker_id: args.text("worker-id").into(),
        worker_labels: args.open("worker-labels"),
        batch_id: args.maybe_string("batch-id"),
        lease_ms: args.int("lease-duration"),
        request_id: args.maybe_string("request-id"),
    }
}

/// The job and the lease token that a worker names.
fn holder(workspace: &str, args: &Args) -> (String, String, String) {
    (workspace.into(), args.text("job-id").into(), args.text("lease-token").into())
}

pub fn heartbeat(workspace: &str, args: Args) -> Op {
    let ((workspace, job_id, token), lease_ms) = (holder(workspace, &args), args.int("lease-duration"));
    Box::new(move |work| {
        super::trip::wire_telling("heartbeat", || format!("{job_id} {token}"));
        work.heartbeat(&workspace, &job_id, &token, lease_ms).map(Made::held)
    })
}

pub fn progress(workspace: &str, args: Args) -> Op {
    let (workspace, job_id, token) = holder(workspace, &args);
    let report = Report {
        status: args.maybe_text("status").and_then(Status::from_name),
        message: args.maybe_string("message"),
        details: args.open("details"),
        metrics: args.open("metrics"),
        artifacts: args.artifacts(),
    };
    Box::new(move |work| work.progress(&workspace, &job_id, &token, &report).map(Made::held))
}

pub fn complete(workspace: &str, args: Args) -> Op {
    let settle = Settle::Complete {
        status: args.maybe_text("status").and_then(Ending::from_name).unwrap_or(Ending::Succeeded),
        summary: args.maybe_string("summary"),
        outputs: args.open("outputs"),
        metrics: args.open("metrics"),
        artifacts: args.artifacts(),
        worker_info: args.open("worker-info"),
    };
    settled(workspace, &args, settle)
}

pub fn fail(workspace: &str, args: Args) -> Op {
    let error = MapBuilder::new()
        .put("code", args.maybe_text("code").unwrap_or("failed"))
        .put("message", args.maybe_text("message").unwrap_or("worker reported a failure"))
        .put_some("details", args.open("details").map(Value::Text))
        .build();
    let settle = Settle::Fail {
        error: edn::write(&error).into(),
        artifacts: args.artifacts(),
        retryable: args.flag("retryable").unwrap_or(false),
        retry_after_ms: args.int("retry-after-ms"),
    };
    settled(workspace, &args, settle)
}

pub fn release(workspace: &str, args: Args) -> Op {
    settled(workspace, &args, Settle::Release { reason: args.maybe_string("reason") })
}

fn settled(workspace: &str, args: &Args, settle: Settle) -> Op {
    let (workspace, job_id, token) = holder(workspace, args);
    let settled_by = settle.digest();
    Box::new(move |work| work.settle_as(&workspace, &job_id, &token, &settle, &settled_by).map(Made::job))
}

pub fn cancel(workspace: &str, args: Args) -> Op {
    let workspace = workspace.to_string();
    Box::new(move |work| work.cancel(&workspace, args.text("job-id"), args.maybe_text("reason")).map(Made::job))
}

pub fn retry(workspace: &str, args: Args) -> Op {
    let workspace = workspace.to_string();
    Box::new(move |work| work.retry(&workspace, args.text("job-id")).map(Made::job))
}

pub fn cancel_batch(workspace: &str, args: Args) -> Op {
    let workspace = workspace.to_string();
    Box::new(move |work| {
        work.cancel_batch(&workspace, args.text("batch-id"), args.maybe_text("reason")).map(Made::batch)
    })
}

pub fn await_job(workspace: &str, args: &Args) -> Await {
    let (workspace, id) = (workspace.to_string(), args.text("job-id").to_string());
    let (job_id, alike) = (id.clone(), workspace.clone());
    let look = move |rows: &mut dyn Rows, now: Now| {
        let view = job(rows, now, &workspace, &job_id)?;
        let ended = view.job.facts.status.is_terminal();
        Ok((MapBuilder::new().put("job", view::job(view)).put("terminal", ended).build(), ended))
    };
    Await { id, wait: wait(args), alike: format!("job {alike}"), little: true, look: Box::new(look) }
}

pub fn await_batch(workspace: &str, args: &Args) -> Await {
    let (workspace, id) = (workspace.to_string(), args.text("batch-id").to_string());
    let (batch_id, limit) = (id.clone(), shown(args, false));
    let alike = format!("batch {limit:?} {workspace}");
    let look = move |rows: &mut dyn Rows, now: Now| {
        let view = batch(rows, now, &workspace, &batch_id, None)?;
        let ended = view.batch.status.is_terminal();
        let view = BatchView::read(rows, view.batch, limit, limits::REPLY_BYTES_MAX, now)?;
        let Value::Map(mut data) = view::batch_data(view) else { unreachable!("a reply is a map") };
        data.push((Value::key("terminal"), Value::Bool(ended)));
        Ok((Value::Map(data), ended))
    };
    Await { id, wait: wait(args), alike, little: false, look: Box::new(look) }
}

fn wait(args: &Args) -> Wait {
    let (growth, delay_max_ms) = args.growth().unwrap_or((Growth::Constant, None));
    Wait {
        interval_ms: args.int("interval").unwrap_or(limits::INTERVAL_DEFAULT_MS),
        growth,
        delay_max_ms: delay_max_ms.unwrap_or(limits::WAIT_MAX_MS),
        checks_max: args.int("max-attempts"),
        timeout_ms: args.int("timeout-ms"),
    }
}
