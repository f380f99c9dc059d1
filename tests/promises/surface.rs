//! The commands of the model asked over HTTP, and the answers taken back into the engine's own words, so that the model
//! can judge them as it judges the engine's. Each is said twice under one operation id, as after a lost reply: the
//! second answer must be the first. It does not judge what is answered otherwise.

use super::world::{Answer, Command};
use errand::api::Host;
use errand::engine::{Engine, Error, Result, Settle, Submit};
use errand::http::{ServeOptions, Server};
use errand::job::{Refusal, Status};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

static CLIENT: LazyLock<reqwest::blocking::Client> = LazyLock::new(crate::http::client);

/// A server that lets everybody in, on an engine.
pub fn serve(engine: Arc<Engine>, folder: &Path) -> Server {
    let options = ServeOptions {
        listen: "127.0.0.1:0".into(),
        no_auth: true,
        drain_time: Duration::ZERO,
        ..ServeOptions::default()
    };
    Server::start(Arc::new(Host::of(engine, folder.join("jobs.db"))), options).expect("the server starts")
}

/// What the server answers; nothing where the command is none of a caller's.
pub fn ask(server: &Server, command: &Command, wall_ms: i64) -> Option<Result<Answer>> {
    let (name, args) = request(command)?;
    let operation = Uuid::new_v4().to_string();
    let (status, body) = send(server, name, &args, &operation, 1);
    let (again, repeated) = send(server, name, &args, &operation, 2);
    // Nothing that happened has nothing to remember.
    if body["data"]["job"] != Value::Null || status != 200 {
        assert_eq!((again, &repeated), (status, &body), "{name} {args} said twice under one operation id");
    }
    Some(if status == 200 { Ok(answer(command, &body["data"], wall_ms)) } else { Err(refusal(status, &body["error"])) })
}

fn send(server: &Server, name: &str, args: &Value, operation: &str, attempt: u32) -> (u16, Value) {
    let request = CLIENT
        .post(format!("{}/api/commands", server.url()))
        .header("Content-Type", "application/json")
        .header("X-Errand-Operation-ID", operation)
        .header("X-Errand-Operation-Attempt", attempt)
        .body(json!({"command": name, "args": args}).to_string());
    crate::http::answer(request)
}

/// Name and arguments; what is absent is not said.
fn request(command: &Command) -> Option<(&'static str, Value)> {
    let (name, args) = match command {
        Command::Create { submit, max_attempts } => {
            let mut args = submission(submit);
            args.insert("maxAttempts".into(), (*max_attempts).into());
            ("jobs.create", Value::Object(args))
        }
        Command::CreateBatch { submit, jobs, max_attempts } => {
            let mut args = submission(submit);
            args.insert("jobs".into(), vec![json!({"maxAttempts": max_attempts}); *jobs].into());
            ("jobs.batches.create", Value::Object(args))
        }
        Command::Claim(claim) => (
            "jobs.claim",
            json!({"jobType": claim.job_type, "workerId": claim.worker_id, "batchId": claim.batch_id,
                "leaseDuration": claim.lease_ms, "requestId": claim.request_id}),
        ),
        Command::Heartbeat { job, token, lease_ms } => {
            ("jobs.heartbeat", json!({"jobId": job, "leaseToken": token, "leaseDuration": lease_ms}))
        }
        Command::Progress { job, token, status } => {
            let status = status.map(Status::name);
            ("jobs.progress", json!({"jobId": job, "leaseToken": token, "status": status, "message": "on its way"}))
        }
        Command::Settle { job, token, settle } => settling(job, token, settle),
        Command::Cancel { job } => ("jobs.cancel", json!({"jobId": job, "reason": "no longer wanted"})),
        Command::CancelBatch { batch } => ("jobs.batches.cancel", json!({"batchId": batch})),
        Command::Retry { job } => ("jobs.retry", json!({"jobId": job})),
        Command::Sweep => return None,
    };
    let Value::Object(mut args) = args else { unreachable!("arguments are an object") };
    args.retain(|_, value| !value.is_null());
    Some((name, args.into()))
}

fn submission(submit: &Submit) -> Map<String, Value> {
    let args = json!({
        "jobType": submit.job_type,
        "idempotencyKey": submit.idempotency_key,
        "rootWorkflowId": submit.root_workflow_id,
        "parentStepId": submit.parent_step_id,
        "fanoutParentStepId": submit.fanout_parent_step_id,
        "fanoutMaxConcurrency": submit.fanout_max_concurrency,
    });
    match args {
        Value::Object(args) => args,
        _ => unreachable!("arguments are an object"),
    }
}

fn settling(job: &str, token: &str, settle: &Settle) -> (&'static str, Value) {
    match settle {
        Settle::Complete { status, summary, .. } => (
            "jobs.complete",
            json!({"jobId": job, "leaseToken": token, "status": status.status().name(), "summary": summary}),
        ),
        Settle::Fail { retryable, retry_after_ms, .. } => (
            "jobs.fail",
            json!({"jobId": job, "leaseToken": token, "code": "broken", "retryable": retryable,
                "retryAfterMs": retry_after_ms}),
        ),
        Settle::Release { .. } => ("jobs.release", json!({"jobId": job, "leaseToken": token})),
    }
}

fn answer(command: &Command, data: &Value, wall_ms: i64) -> Answer {
    let text = |value: &Value| value.as_str().map(String::from);
    let id = |value: &Value, name: &str| text(&value[name]).unwrap_or_else(|| panic!("no {name} in {data}"));
    match command {
        Command::CreateBatch { .. } => {
            let jobs = data["jobs"].as_array().unwrap_or_else(|| panic!("no jobs in {data}"));
            Answer::Batch(id(&data["batch"], "batchId"), jobs.iter().map(|job| id(job, "jobId")).collect())
        }
        Command::CancelBatch { .. } => Answer::Batch(id(&data["batch"], "batchId"), Vec::new()),
        Command::Heartbeat { .. } | Command::Progress { .. } => {
            let until = id(&data["job"], "leaseExpiresAt");
            // As people are shown it, by the wall clock.
            let shown = errand::value::edn::read(&format!("#inst \"{until}\""));
            let Ok(errand::value::Value::Inst(until)) = shown else { panic!("{until} is no instant") };
            let told = data["leaseRemainingMs"].as_i64().unwrap_or(until - wall_ms);
            assert_eq!(until - wall_ms, told, "{data}");
            Answer::Told { cancel: data["directive"] == "cancel", lease_ms: told }
        }
        _ if data["job"].is_null() => Answer::NoJob,
        _ => Answer::Job(id(&data["job"], "jobId"), text(&data["job"]["leaseToken"])),
    }
}

/// The refusal as the engine says it; statuses and codes are compared on the way.
fn refusal(status: u16, error: &Value) -> Error {
    let details = &error["details"];
    match (status, error["code"].as_str().unwrap_or_default()) {
        (409, "lease-lost") => Error::Refused(Refusal::LeaseLost),
        (409, "refused") if !details["made"].is_null() => Error::KeyTaken("key".into(), "id".into()),
        (409, "refused") => Error::Settled(Status::Queued),
        (404, "not-found") => Error::NoJob("it".into()),
        _ => Error::Invalid(format!("{status} {error}")),
    }
}
