//! What a handler is given: its environment, its files, its place among processes.

use crate::program::{Place, entries, json, runs, text};
use serde_json::json;
use std::collections::HashMap;
use std::fs;
use std::process::Stdio;

fn environment(place: &Place) -> HashMap<String, String> {
    let dumped = fs::read_to_string(place.path("env.txt")).unwrap();
    dumped.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn the_environment_says_all_about_the_job_under_both_names() {
    let place = Place::new();
    let batch = place.ask(&[
        "jobs",
        "batches",
        "create",
        "--type",
        "t",
        "--job",
        "{\"payload\": [1]}",
        "--parent-step-id",
        "step",
    ]);
    let job = &batch["jobs"][0];
    let handler = place.script("h.sh", "env > env.txt; pwd > pwd.txt; cat > stdin.txt");
    place.work_once(&handler, &["--worker-id", "w1", "--label", "gpu=no"]);
    let env = environment(&place);
    for prefix in ["BREYTA", "ERRAND"] {
        let of = |name: &str| env.get(&format!("{prefix}_{name}")).cloned();
        let dir = of("JOB_DIR").unwrap();
        for (name, file) in [
            ("JOB_FILE", "job.json"),
            ("JOB_PAYLOAD_FILE", "payload.json"),
            ("JOB_RESULT_FILE", "result.json"),
            ("JOB_CONTEXT_FILE", "worker-context.json"),
        ] {
            assert_eq!(of(name), Some(format!("{dir}/{file}")), "{name}");
        }
        assert_eq!(of("JOB_ID").as_deref(), job["jobId"].as_str());
        assert_eq!(of("JOB_BATCH_ID").as_deref(), batch["batch"]["batchId"].as_str());
        let facts = [("JOB_TYPE", "t"), ("JOB_ATTEMPT", "1"), ("JOB_WORKSPACE_ID", "default"), ("WORKER_ID", "w1")];
        for (name, value) in facts {
            assert_eq!(of(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(of("JOB_PARENT_STEP_ID").as_deref(), Some("step"));
        for name in ["JOB_ROOT_WORKFLOW_ID", "JOB_FANOUT_PARENT_STEP_ID", "JOB_FANOUT_MAX_CONCURRENCY"] {
            assert_eq!(of(name).as_deref(), Some(""), "{name}");
        }
        assert!(of("CLI_BIN").is_some_and(|path| path.starts_with('/')));
        for name in ["API_URL", "API_KEY", "TOKEN"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
    assert_eq!(env["ERRAND_DB"], place.store().to_str().unwrap());
    assert!(!env.contains_key("BREYTA_WORKSPACE"));
    assert_eq!(fs::read_to_string(place.path("stdin.txt")).unwrap(), "");
    let here = fs::canonicalize(place.path(".")).unwrap();
    assert_eq!(fs::read_to_string(place.path("pwd.txt")).unwrap().trim(), here.to_str().unwrap());
    let done = place.job(job["jobId"].as_str().unwrap());
    assert_eq!((&done["workerId"], &done["workerLabels"]), (&json!("w1"), &json!({"gpu": "no"})));
}

#[test]
fn the_names_of_a_control_plane_are_taken_away_from_a_handler_on_a_store() {
    let place = Place::new();
    place.create(&[]);
    let handler = place.script("h.sh", "env > env.txt");
    let mut command = place.errand(&["jobs", "worker", "run", "--type", "t", "--once", "--handler", &handler]);
    for name in ["BREYTA_API_URL", "BREYTA_WORKSPACE", "BREYTA_API_KEY", "BREYTA_TOKEN", "ERRAND_API_KEY"] {
        command.env(name, "default");
    }
    assert!(command.status().unwrap().success());
    let env = environment(&place);
    for name in ["BREYTA_API_URL", "BREYTA_WORKSPACE", "BREYTA_API_KEY", "BREYTA_TOKEN", "ERRAND_API_KEY"] {
        assert!(!env.contains_key(name), "{name}");
    }
}

#[test]
fn the_job_directory_is_private_complete_and_gone_afterwards() {
    let place = Place::new();
    let id = place.create(&["--payload", "{\"x/y\": [1, null]}"]);
    let handler = place.script(
        "h.sh",
        "errand jobs worker finish --summary s; cd \"$ERRAND_JOB_DIR\"; stat -c '%a %n' . .. *; cp * \"$OLDPWD\"",
    );
    let args = ["jobs", "worker", "run", "--type", "t", "--once", "--handler", &handler];
    let output = place.errand(&args).output().unwrap();
    let log = text(&output.stderr);
    for line in ["700 .", "700 ..", "600 job.json", "600 payload.json", "600 result.json", "600 worker-context.json"] {
        assert!(log.lines().any(|said| said == line), "{line} in {log}");
    }
    let read = |name: &str| json(&fs::read(place.path(name)).unwrap());
    assert_eq!(read("payload.json"), json!({"x/y": [1, null]}));
    assert_eq!(read("job.json")["jobId"], id.as_str());
    let context = read("worker-context.json");
    assert_eq!(context["jobId"], id.as_str());
    assert!(context["leaseToken"].is_string() && context["resultFile"].is_string());
    assert_eq!(entries(&place.path("tmp")), 0);
}

#[test]
fn kept_job_directories_stay_where_the_summary_says() {
    let place = Place::new();
    let id = place.create(&[]);
    let summary = place.work_once(&place.script("h.sh", "exit 0"), &["--keep-job-dirs", "--worker-id", "w"]);
    let dir = std::path::PathBuf::from(summary["lastJobDir"].as_str().unwrap());
    assert!(dir.join("job.json").is_file());
    assert_eq!(summary["lastJob"]["jobId"], id.as_str());
    let expected = json!(["w", "t", 1, 0, true]);
    let got = json!([
        summary["workerId"],
        summary["jobType"],
        summary["handledCount"],
        summary["failedCount"],
        summary["once"]
    ]);
    assert_eq!(got, expected);
}

#[test]
fn once_on_an_empty_queue_looks_once_and_ends() {
    let place = Place::new();
    let summary = place.work_once(&place.script("h.sh", "exit 0"), &[]);
    assert_eq!((&summary["handledCount"], &summary["idlePolls"]), (&json!(0), &json!(1)));
    assert!(place.store().exists());
}

#[test]
fn a_worker_of_a_batch_takes_only_its_jobs() {
    let place = Place::new();
    let other = place.create(&[]);
    let batch = place.ask(&["jobs", "batches", "create", "--type", "t", "--job", "{}"])["batch"]["batchId"].clone();
    let handler = place.script("h.sh", "exit 0");
    let summary = place.work_once(&handler, &["--batch-id", batch.as_str().unwrap()]);
    assert_eq!((&summary["batchId"], &summary["lastJob"]["batchId"]), (&batch, &batch));
    assert_eq!(place.job(&other)["status"], "queued");
    place.refusal(4, &["jobs", "worker", "run", "--type", "t", "--handler", &handler, "--batch-id", "none"]);
}

#[test]
fn a_handler_may_be_given_with_arguments_after_the_flags_and_no_shell_sees_them() {
    let place = Place::new();
    place.create(&[]);
    place.create(&[]);
    place.script("h.sh", "printf '%s\\n' \"$@\" >> args.txt");
    let run = ["jobs", "worker", "run", "--type", "t", "--once"];
    let after = ["--", "./h.sh", "--fast", "a b;$HOME"];
    assert!(place.errand(&[&run[..], &after].concat()).status().unwrap().success());
    let flags = ["--handler", "./h.sh", "--handler-arg", "--fast", "--handler-arg", "a b;$HOME"];
    assert!(place.errand(&[&run[..], &flags].concat()).status().unwrap().success());
    assert_eq!(fs::read_to_string(place.path("args.txt")).unwrap(), "--fast\na b;$HOME\n".repeat(2));
}

#[test]
fn several_handlers_run_at_a_time_where_it_is_allowed() {
    let place = Place::new();
    let ids = [place.create(&[]), place.create(&[])];
    let (ready, go) = (place.pipe("ready"), place.pipe("go"));
    // Each waits for the other: one after the other would never end.
    let handler = place.script("h.sh", "if mkdir first 2>/dev/null; then read x < ready; else echo > ready; fi; :");
    let worker = place.worker(&handler, &["--concurrency", "2"]);
    for id in &ids {
        assert_eq!(place.ended(id)["status"], "succeeded");
    }
    drop((ready, go));
    assert_eq!(worker.drained()["handledCount"], 2);
}

#[test]
fn output_goes_to_the_workers_standard_error_and_never_through_its_memory() {
    let place = Place::new();
    let id = place.create(&[]);
    let handler = place.script("h.sh", "echo said; head -c 1000000000 /dev/zero; head -c 1000000000 /dev/zero >&2");
    let mut command = place.errand(&["jobs", "worker", "run", "--type", "t", "--handler", &handler]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(place.ended(&id)["status"], "succeeded");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(kib < 100_000, "{peak}");
}

#[test]
fn what_a_handler_left_behind_in_its_group_is_ended() {
    let place = Place::new();
    let id = place.create(&[]);
    place.work_once(&place.script("h.sh", "sleep 1000 & echo $! > child.txt"), &[]);
    assert_eq!(place.job(&id)["status"], "succeeded");
    let child = fs::read_to_string(place.path("child.txt")).unwrap();
    crate::program::eventually("the child has ended", || !runs(child.trim()));
}
